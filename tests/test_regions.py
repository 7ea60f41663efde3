"""Maps, planes and distances, on networks whose regions are known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fooling_utils import regions
from fooling_utils.networks import small
from fooling_utils.regions import boundary_distance, on_plane, plane_through, refine_map, region_map
from nets import NUMBERS, SHAPE, Linear, Recorder, generator, linear, random_images, random_linear

SQUARE = (-1.0, 1.0, -1.0, 1.0)


# -------------------------------------------------------------------------------------------------- maps of regions


def test_a_map_has_its_corners_at_its_corners():
    grid = regions.grid_points((-1.0, 3.0, 5.0, 9.0), 5)
    assert grid[0, 0].tolist() == [-1, 5] and grid[-1, -1].tolist() == [3, 9] and grid[0, -1].tolist() == [3, 5]
    assert torch.allclose(grid[2, 2], torch.tensor([1.0, 7.0]))


@pytest.mark.parametrize(("extent", "size"), [((1.0, -1.0, -1.0, 1.0), 5), ((-1.0, 1.0, 1.0, 1.0), 5), (SQUARE, 1)])
def test_a_map_without_an_area_is_refused(extent, size):
    with pytest.raises(ValueError, match="a map needs left < right, bottom < top and a size of 2 or more"):
        region_map(random_plane(), extent, size)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coarse": 0}, "coarse must be a whole number and at least 1, got 0"),
        ({"sure": 1.5}, "sure must be a number from 0 to 1, got 1.5"),
        ({"sure": -0.1}, "sure must be a number from 0 to 1, got -0.1"),
    ],
)
def test_settings_of_a_refined_map_are_checked_at_the_call(settings, message):
    with pytest.raises(ValueError, match=message):
        refine_map(random_plane(), SQUARE, 5, **settings)


def random_plane(seed=0):
    return small.frozen(small.plane_net(seed=seed), small.POINTS).probabilities


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
    somewhere = torch.randn(6, 2, generator=generator(seed))
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
    weight = torch.randn(NUMBERS, generator=generator(1))
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
    model = regions.Classifier(Recorder(Linear(torch.eye(2, NUMBERS))).eval(), input_shape=SHAPE, prepare=False)
    plane = plane_through(*random_images(3).split(1))
    model.net.calls.clear()
    assert on_plane(model, plane)(50 * torch.randn(40, 2)).shape == (40, 2)
    seen = torch.cat(model.net.calls)
    assert max(map(len, model.net.calls)) <= 16 and len(seen) == 40
    assert (seen.min(), seen.max()) == (0, 1)


# --------------------------------------------------------------------------------------------- distance to a boundary


@given(seed=st.integers(0, 1000))
def test_the_distance_to_the_boundary_of_a_linear_network(seed):
    model = random_linear(2, seed)
    image = random_images(seed=seed)
    net = model.net
    weight, bias = net.weight[1] - net.weight[0], net.bias[1] - net.bias[0]
    score = (weight @ image.flatten() + bias).item()
    if abs(score) < 0.01:
        return
    normal = -math.copysign(1, score) * weight.view(1, 3, 4, 4)
    aslant = normal / normal.norm() + 0.5 * torch.randn(1, *SHAPE, generator=generator(seed)) / NUMBERS**0.5
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
