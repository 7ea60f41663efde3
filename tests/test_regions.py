"""Small networks of points, maps, planes and distances, on networks whose regions are known."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fooling_utils import optimize_pixels, regions, run_until, toward
from fooling_utils.networks import small
from fooling_utils.networks.small import Points
from fooling_utils.regions import boundary_distance, on_plane, plane_through, refine_map, region_map
from nets import NUMBERS, linear, random_images, random_linear

SQUARE = (-1.0, 1.0, -1.0, 1.0)


# ------------------------------------------------------------------------------------------ small networks, a plane


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("preset", small.PRESETS)
def test_a_preset_is_points_of_every_class_in_the_square(preset, classes):
    places, labels = small.plane_points(preset, 20, classes)
    expected = 2 if preset == "moons" else classes
    assert labels.bincount().tolist() == [20] * expected
    assert places.shape == (20 * expected, 2) and places.dtype == torch.float32
    assert (places.abs() < 1.25).all() and places.abs().max() > 0.5
    assert not torch.equal(places, small.plane_points(preset, 20, classes, seed=1).places)
    assert torch.equal(places, small.plane_points(preset, 20, classes).places)


@pytest.mark.parametrize(("preset", "classes"), [("blobs", 2), ("blobs", 3), ("spiral", 2), ("spiral", 3)])
def test_classes_stand_around_the_middle(preset, classes):
    places, labels = small.plane_points(preset, 400, classes)
    middles = torch.stack([places[labels == label].mean(0) for label in range(classes)])
    assert middles.mean(0).norm() < 0.02 < 0.1 < middles.norm(dim=1).min()


@pytest.mark.parametrize("preset", small.PRESETS)
def test_a_network_learns_each_preset(preset):
    points = small.plane_points(preset)
    model = small.trained(points)
    assert (model.probabilities(points.places).argmax(1) == points.labels).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "blob"}, "no preset is called 'blob': choose from blobs, moons, rings, spiral"),
        ({"classes": 4}, "classes must be 2 or 3 and count at least 1, got 4 and 30"),
        ({"classes": 1}, "got 1 and 30"),
        ({"count": 0}, "got 3 and 0"),
    ],
)
def test_points_that_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        small.plane_points(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "sigmoid"}, "no activation is called 'sigmoid': choose from relu, tanh"),
        ({"hidden": 0}, "got 0 and 2"),
        ({"depth": 0}, "got 32 and 0"),
    ],
)
def test_networks_that_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        small.plane_net(**arguments)


def test_a_network_has_the_layers_that_were_asked_for():
    kinds = [type(layer) for layer in small.plane_net(5, 3, "tanh", classes=2)]
    assert kinds == [nn.Linear, nn.Tanh] * 3 + [nn.Linear]
    assert [tuple(p.shape) for p in small.plane_net(5, 1, classes=2).parameters()] == [(5, 2), (5,), (2, 5), (2,)]


def test_a_network_depends_on_its_seed_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second, third = (small.plane_net(seed=seed)[0].weight for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, third)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_is_the_loop_by_hand():
    points = small.plane_points()
    net = small.plane_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(20):
        loss = nn.functional.cross_entropy(net(points.places), points.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model = small.trained(points, steps=20, weight_decay=0.1)
    assert torch.equal(model(points.places), net(points.places))


def test_training_tells_the_loss_before_each_step_and_has_no_end():
    points = small.plane_points()
    net = small.plane_net()
    before = nn.functional.cross_entropy(net(points.places), points.labels).item()
    losses = list(itertools.islice(small.train(net, points), 200))
    assert losses[0] == before
    assert losses[-1] < 0.1 * losses[0]


def test_training_goes_on_with_an_optimizer_that_is_given():
    points = small.plane_points()
    once, twice = small.plane_net(), small.plane_net()
    list(itertools.islice(small.train(once, points), 20))
    optimizer = torch.optim.Adam(twice.parameters(), 0.01)
    for _ in range(2):
        list(itertools.islice(small.train(twice, points, optimizer=optimizer), 10))
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))


def test_a_network_of_two_classes_has_two_names():
    model = small.trained(small.plane_points(classes=2), classes=2, steps=100)
    assert model.labels == ("cheetah", "robin")


@pytest.mark.parametrize(("labels", "message"), [([], "0 points of 0 classes"), ([1, 1], "2 points of 1 classes")])
def test_training_needs_two_classes_and_says_so_at_the_call(labels, message):
    points = Points(torch.zeros(len(labels), 2), torch.tensor(labels, dtype=torch.long))
    with pytest.raises(ValueError, match=message):
        small.train(small.plane_net(), points)


def test_coincident_points_of_two_classes_and_a_thousand_points_can_be_trained():
    places = torch.zeros(1000, 2)
    labels = torch.arange(1000) % 2
    *_, loss = itertools.islice(small.train(small.plane_net(), Points(places, labels)), 100)
    assert loss == pytest.approx(math.log(2), abs=0.05)  # half of them must be wrong


def test_a_classifier_of_points_is_a_frozen_copy():
    net = small.plane_net()
    model = small.plane_classifier(net)
    places = torch.randn(5, 2)
    expected = model(places)
    next(small.train(net, small.plane_points()))
    assert torch.equal(model(places), expected) and not torch.equal(net(places), expected)
    assert model.labels == ("cheetah", "robin", "armadillo")


def test_the_loop_walks_a_point_straight_over_the_boundary(plane):
    start = torch.tensor([[-0.5, 0.3]])
    reached = run_until(optimize_pixels(plane, start, toward("class 1")), "class 1", 0.5)
    assert torch.allclose(reached.image, torch.tensor([[0.1, 0.3]]), atol=1e-6)


# -------------------------------------------------------------------------------------------------- maps of regions


def test_a_map_has_its_corners_at_its_corners():
    grid = regions.grid_points((-1.0, 3.0, 5.0, 9.0), 5)
    assert grid[0, 0].tolist() == [-1, 5] and grid[-1, -1].tolist() == [3, 9] and grid[0, -1].tolist() == [3, 5]
    assert torch.allclose(grid[2, 2], torch.tensor([1.0, 7.0]))


@pytest.mark.parametrize(("extent", "size"), [((1.0, -1.0, -1.0, 1.0), 5), ((-1.0, 1.0, 1.0, 1.0), 5), (SQUARE, 1)])
def test_a_map_without_an_area_is_refused(extent, size):
    with pytest.raises(ValueError, match="a map needs left < right, bottom < top and a size of 2 or more"):
        region_map(random_plane(), extent, size)


@pytest.mark.parametrize("settings", [{"coarse": 0}, {"sure": 1.5}, {"sure": -0.1}])
def test_settings_of_a_refined_map_are_checked_at_the_call(settings):
    with pytest.raises(ValueError, match="coarse must be at least 1 and sure between 0 and 1"):
        refine_map(random_plane(), SQUARE, 5, **settings)


def random_plane(seed=0):
    return small.plane_classifier(small.plane_net(seed=seed)).probabilities


class Counting:
    """Probabilities of a function, and every place that was asked for."""

    def __init__(self, predict):
        self.predict, self.places = predict, []

    def __call__(self, places):
        self.places.extend(map(tuple, places.tolist()))
        return self.predict(places)


@given(size=st.integers(2, 40), coarse=st.integers(1, 12), seed=st.integers(0, 50))
def test_a_refined_map_ends_as_the_whole_map_and_asks_for_each_place_once(size, coarse, seed):
    predict = Counting(random_plane(seed))
    *_, last = refine_map(predict, SQUARE, size, coarse=coarse)
    assert len(predict.places) == len(set(predict.places)) == size * size
    whole = region_map(predict, SQUARE, size)
    assert torch.equal(last.labels, whole.labels) and last.exact.all()
    assert torch.allclose(last.confidence, whole.confidence, atol=1e-6)  # batches of another size round differently


@given(size=st.integers(2, 40), coarse=st.integers(1, 12))
def test_each_coarser_map_is_whole_and_right_where_it_says_exact(size, coarse):
    grid = regions.grid_points(SQUARE, size)
    predict = random_plane(3)
    whole = region_map(predict, SQUARE, size)
    counts = []
    for found in refine_map(predict, SQUARE, size, coarse=coarse):
        assert found.labels.shape == (size, size) and (found.confidence > 0).all()
        assert torch.equal(found.labels[found.exact], whole.labels[found.exact])
        counts.append(found.exact.sum().item())
    assert counts == sorted(counts) and counts[-1] == size * size
    assert len(grid) == size


def test_a_coarse_map_shows_the_nearest_computed_place():
    first = next(refine_map(random_plane(), SQUARE, 9, coarse=4))
    assert first.exact.nonzero().tolist() == [[r, c] for r in (0, 4, 8) for c in (0, 4, 8)]
    assert first.labels[1, 1] == first.labels[0, 0] and first.labels[3, 5] == first.labels[4, 4]


def striped(places):
    """Two classes, divided at x = 0.3; 90 % sure at the boundary already, 95 % at a distance of 1."""
    right = places[:, 0] > 0.3
    sure = 0.9 + 0.05 * (places[:, 0] - 0.3).abs()
    return torch.where(right[:, None], torch.stack([1 - sure, sure], 1), torch.stack([sure, 1 - sure], 1))


def test_places_between_four_that_agree_are_filled_in_and_called_so():
    predict = Counting(striped)
    *_, found = refine_map(predict, SQUARE, 33, sure=0.9)
    whole = region_map(striped, SQUARE, 33)
    assert torch.equal(found.labels, whole.labels)  # a straight boundary is found
    assert len(predict.places) == found.exact.sum() < 0.45 * 33 * 33
    assert torch.equal(found.confidence[found.exact], whole.confidence[found.exact])
    # linear in x, so that filling in is exact
    assert torch.allclose(found.confidence, whole.confidence, atol=1e-6)


@given(size=st.integers(2, 40), coarse=st.integers(1, 12))
def test_what_was_filled_in_once_is_never_computed_nor_changed(size, coarse):
    predict = Counting(striped)
    filled = torch.zeros(size, size, dtype=torch.bool)
    stride = min(coarse, size - 1)
    for found in refine_map(predict, SQUARE, size, coarse=coarse, sure=0.9):
        lines = torch.tensor([*range(0, size - 1, stride), size - 1])
        on_lines = torch.zeros_like(filled)
        on_lines[lines[:, None], lines] = True
        assert not (filled & found.exact).any()
        filled |= on_lines & ~found.exact
        stride = stride // 2 if stride % 2 == 0 else 1
    assert len(predict.places) == len(set(predict.places)) == found.exact.sum()
    assert torch.equal(found.labels, region_map(striped, SQUARE, size).labels)


def test_places_are_not_filled_in_where_the_network_is_not_sure_enough():
    predict = Counting(striped)
    *_, found = refine_map(predict, SQUARE, 33, sure=0.99)
    assert found.exact.all() and len(predict.places) == 33 * 33


def test_an_island_smaller_than_the_first_map_can_be_missed():
    def island(places):
        inside = (places - torch.tensor([0.13, 0.13])).norm(dim=1) < 0.08
        return torch.where(inside[:, None], torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))

    *_, found = refine_map(island, SQUARE, 33, sure=0.5)
    assert (region_map(island, SQUARE, 33).labels == 1).any() and not (found.labels == 1).any()
    *_, careful = refine_map(island, SQUARE, 33, coarse=1, sure=0.5)
    assert (careful.labels == 1).any()


def test_the_boundary_of_a_linear_network_on_a_map_is_a_straight_line():
    model = linear(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([0.0, -1.0]), shape=(2,), bounds=None)
    grid = regions.grid_points(SQUARE, 41)
    found = region_map(model.probabilities, SQUARE, 41)
    distance = grid @ torch.tensor([0.6, 0.8]) - 0.2
    clear = distance.abs() > 1e-5
    assert torch.equal(found.labels[clear] == 1, distance[clear] > 0)
    assert torch.allclose(found.confidence, (5 * distance.abs()).sigmoid(), atol=1e-5)


# ------------------------------------------------------------------------------------------------------------ planes


@given(seed=st.integers(0, 1000))
def test_a_plane_goes_through_its_three_images_and_keeps_distances(seed):
    images = random_images(3, seed=seed)
    plane = plane_through(*images.split(1))
    places = plane.coordinates(images)
    assert torch.allclose(places[0], torch.zeros(2), atol=1e-6)
    assert places[1, 0] > 0 and abs(places[1, 1]) < 1e-5 and places[2, 1] > 0
    assert torch.allclose(plane.images(places), images, atol=1e-5)
    somewhere = torch.randn(6, 2, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(torch.pdist(plane.images(somewhere).flatten(1)), torch.pdist(somewhere), atol=1e-4)
    assert torch.allclose(plane.coordinates(plane.images(somewhere)), somewhere, atol=1e-4)


def test_axes_are_at_right_angles_also_when_two_images_are_nearly_in_line():
    first, second, third = random_images(3).split(1)
    plane = plane_through(first, second, first + 20 * (second - first) + 0.01 * (third - first))
    assert abs((plane.across * plane.up).sum().item()) < 1e-5
    assert plane.up.norm().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (lambda a, b: (a, a, b), "the first and the second image are the same"),
        (lambda a, b: (a, b, a), "lie on one line"),
        (lambda a, b: (a, b, b), "lie on one line"),
        (lambda a, b: (a, b, 0.3 * a + 0.7 * b), "lie on one line"),
        (lambda a, b: (a, b, b[..., :3]), r"of one shape \(1, 3, H, W\), got .*\(1, 3, 4, 3\)"),
        (lambda a, b: (torch.cat([a, b]),) * 3, "three single images"),
    ],
)
def test_three_images_that_make_no_plane(images, message):
    with pytest.raises(ValueError, match=message):
        plane_through(*images(*random_images(2).split(1)))


def test_the_regions_of_a_linear_network_on_a_plane_end_at_a_straight_line():
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(NUMBERS, generator=generator)
    first, second, third = random_images(3).split(1)
    model = linear(torch.stack([torch.zeros(NUMBERS), weight]), torch.tensor([0.0, -(weight @ first.flatten()) - 0.05]))
    plane = plane_through(first, second, third)
    slope = torch.stack([weight @ plane.across.flatten(), weight @ plane.up.flatten()])
    extent = (-0.2, 0.2, -0.2, 0.2)
    found = region_map(on_plane(model, plane), extent, 21)
    score = regions.grid_points(extent, 21) @ slope - 0.05
    assert torch.equal(found.labels[score.abs() > 1e-4] == 1, score[score.abs() > 1e-4] > 0)
    assert 0 < (found.labels == 1).sum() < 21 * 21


def test_images_on_a_plane_are_clipped_before_they_are_classified():
    asked = []

    class Sees(nn.Module):
        def forward(self, images):
            asked.append(images)
            return images.flatten(1)[:, :2]

    model = regions.Classifier(Sees().eval(), input_shape=(3, 4, 4), prepare=False)
    plane = plane_through(*random_images(3).split(1))
    asked.clear()
    assert on_plane(model, plane)(50 * torch.randn(40, 2)).shape == (40, 2)
    seen = torch.cat(asked)
    assert max(map(len, asked)) <= 16 and len(seen) == 40
    assert (seen.min(), seen.max()) == (0, 1)


# --------------------------------------------------------------------------------------------- distance to a boundary


@given(seed=st.integers(0, 1000))
def test_the_distance_to_the_boundary_of_a_linear_network(seed):
    generator = torch.Generator().manual_seed(seed)
    model = random_linear(2, seed)
    image = random_images(seed=seed)
    net = model.net
    weight, bias = net.weight[1] - net.weight[0], net.bias[1] - net.bias[0]
    score = (weight @ image.flatten() + bias).item()
    if abs(score) < 0.01:
        return
    normal = -math.copysign(1, score) * weight.view(1, 3, 4, 4)
    aslant = normal / normal.norm() + 0.5 * torch.randn(1, 3, 4, 4, generator=generator) / NUMBERS**0.5
    free = linear(net.weight, net.bias, bounds=None)
    directions, look = torch.cat([normal, 7 * normal, aslant, -normal]), torch.linspace(0, 20, 50)[1:]
    far = boundary_distance(free, image, directions, look, halvings=20)
    expected = abs(score) / weight.norm().item()
    if expected < 10:
        assert far[0].item() == pytest.approx(expected, rel=1e-3)
        assert far[1].item() == pytest.approx(expected, rel=1e-3)
        cosine = (aslant * normal).sum() / (aslant.norm() * normal.norm())
        assert far[2].item() == pytest.approx(expected / cosine.item(), rel=1e-3)
    assert far[3].isinf()


def test_the_distance_to_a_named_class_passes_other_classes():
    weight = torch.tensor([[0.0], [10.0], [30.0]])
    model = linear(weight, torch.tensor([0.0, -5.0, -30.0]), shape=(1,), bounds=None)  # 0 to 0.5 to 1.25
    start, right = torch.zeros(1, 1), torch.ones(1, 1)
    look = torch.linspace(0, 2, 21)[1:]
    assert boundary_distance(model, start, right, look, halvings=16).item() == pytest.approx(0.5, abs=1e-4)
    assert boundary_distance(model, start, right, look, "class 2", halvings=16).item() == pytest.approx(1.25, abs=1e-4)
    assert boundary_distance(model, start, -right, look, "class 2").isinf().all()


def test_more_halvings_come_nearer_and_never_stay_inside():
    model = linear(torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, -0.33]), shape=(1,), bounds=None)
    start, right, look = torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([0.2, 0.4, 0.6])
    errors = [boundary_distance(model, start, right, look, halvings=n).item() - 0.33 for n in (0, 2, 6)]
    assert errors[0] == pytest.approx(0.07, abs=1e-6)
    assert 0 <= errors[2] < errors[1] < errors[0]


def test_a_way_out_is_looked_for_among_images_that_can_be_shown():
    model = linear(torch.ones(1, NUMBERS) * torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, -NUMBERS - 1.0]))
    start = random_images()
    way = torch.ones(1, 3, 4, 4)
    assert boundary_distance(model, start, way, torch.linspace(0, 50, 30)[1:]).isinf()  # clipped, it stays inside
