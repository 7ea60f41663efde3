"""Small networks: points and digits, training plainly, on attacked and on noisy images, and weights on disk."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fooling_utils import Classifier, away_from, l2_ball, optimize_pixels, pgd, run_until, toward, unit_step
from fooling_utils.data import path as data_path
from fooling_utils.defences.robustness import accuracy_under, right
from fooling_utils.networks import small
from fooling_utils.networks.small import (
    Points,
    attacked,
    digit_net,
    digits,
    fit,
    fit_points,
    frozen,
    load_weights,
    noisy,
    plane_net,
    plane_points,
    save_weights,
)
from nets import NUMBERS, SHAPE, Linear, generator, lengths, random_images
from pixels import Pickled

EPSILON = 0.5


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def plain(data):
    """A network trained on digits as they are, and its losses."""
    net = digit_net()
    return net, list(fit(net, data.train_images, data.train_labels, epochs=12))


def after(data, count: int = 200, *, net: nn.Module | None = None, **settings) -> nn.Module:
    """A `digit_net` after training on a few digits."""
    net = net or digit_net()
    for _ in fit(net, data.train_images[:count], data.train_labels[:count], **{"epochs": 2, **settings}):
        pass
    return net


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def losses(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return nn.functional.cross_entropy(net(images), labels, reduction="none")


# data and networks


def test_the_digits_are_always_the_same_and_none_is_in_both_parts(data):
    again = digits()
    assert all(torch.equal(first, second) for first, second in zip(data, again, strict=True))
    assert [len(part) for part in data] == [1347, 1347, 450, 450]
    assert data.train_images.shape[1:] == (1, 8, 8) and data.train_images.dtype == torch.float32
    assert data.train_images.aminmax() == (0, 1)
    first = {tuple(image.flatten().tolist()) for image in data.train_images}
    assert not first & {tuple(image.flatten().tolist()) for image in data.test_images}
    assert sorted(set(data.train_labels.tolist())) == list(range(10))


def test_a_seed_gives_a_network_and_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert same(digit_net(), digit_net())
    assert not same(digit_net(), digit_net(seed=1))
    assert digit_net(11)(torch.zeros(2, 1, 8, 8)).shape == (2, 11)
    assert torch.equal(torch.rand(3), expected)


def test_a_frozen_network_is_a_copy_that_names_the_classes(data):
    net = digit_net()
    model = frozen(net)
    before = model(data.test_images[:4])
    after(data, net=net, epochs=1)
    assert torch.equal(model(data.test_images[:4]), before)
    assert not torch.equal(net(data.test_images[:4]), before)
    assert model.labels == tuple("0123456789")
    assert frozen(digit_net(11)).labels == (*"0123456789", "rubbish")


# training


def test_training_lowers_the_loss_and_the_digits_are_told_apart(data, plain):
    net, history = plain
    assert len(history) == 12
    assert history[-1] < 0.1 < 1 < history[0]
    assert right(net.eval(), data.test_images, data.test_labels).double().mean() > 0.95


@pytest.mark.parametrize("shown", [None, noisy(0.25), attacked(EPSILON)], ids=["plain", "noisy", "attacked"])
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(data, shown):
    first = after(data, 100, epochs=1, shown=shown)
    torch.rand(7)
    assert same(first, after(data, 100, epochs=1, shown=shown))
    assert not same(first, after(data, 100, epochs=1, shown=shown, seed=1))


def test_all_images_are_shown_once_an_epoch_with_their_own_labels_in_a_new_order():
    images, labels, seen = torch.arange(10.0)[:, None], torch.arange(10) % 3, []

    def shown(net, batch, classes, generator):
        assert torch.equal(batch[:, 0].long() % 3, classes)
        seen.append(batch[:, 0].tolist())
        return batch

    for _ in fit(nn.Linear(1, 3), images, labels, epochs=2, batch_size=4, shown=shown):
        pass
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    first, second = ([number for batch in epoch for number in batch] for epoch in (seen[:3], seen[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second and first != sorted(first)


def test_the_loss_is_the_mean_over_all_images_also_where_the_last_batch_is_small(data):
    net, images, labels = digit_net(), data.train_images[:70], data.train_labels[:70]
    expected = losses(net, images, labels).mean().item()
    assert next(fit(net, images, labels, epochs=1, rate=1e-12)) == pytest.approx(expected, rel=1e-5)


def test_training_sees_what_is_shown_instead_of_the_images(data):
    inverted = data._replace(train_images=1 - data.train_images)
    expected = after(inverted)
    assert same(after(data, shown=lambda net, images, labels, generator: 1 - images), expected)


def test_training_in_the_lesson_by_hand_gives_the_same_weights(data):
    images, labels = data.train_images[:160], data.train_labels[:160]
    net, order = digit_net(), generator(3)
    adam = torch.optim.Adam(net.parameters(), lr=0.003)
    for _ in range(2):
        for chosen in torch.randperm(160, generator=order).split(64):
            batch, classes = images[chosen], labels[chosen]
            model = Classifier(net.eval(), None, (1, 8, 8), prepare=False)
            *_, last = optimize_pixels(
                model, batch, away_from(classes), step=unit_step(2.5 * 0.5 / 7), constraint=l2_ball(batch, 0.5), steps=7
            )
            loss = nn.functional.cross_entropy(net.train()(last.image), classes)
            adam.zero_grad()
            loss.backward()
            adam.step()
    assert same(net, after(data, 160, shown=attacked(0.5), seed=3))


def test_it_trains_inside_no_grad_and_modifies_no_input(data):
    images, labels = data.train_images[:100].clone(), data.train_labels[:100].clone()
    for shown in (None, noisy(0.25), attacked(EPSILON)):
        expected = after(data, 100, shown=shown)
        with torch.no_grad():
            net = digit_net()
            for _ in fit(net, images, labels, epochs=2, shown=shown):
                pass
        assert same(net, expected)
        assert torch.equal(images, data.train_images[:100]) and torch.equal(labels, data.train_labels[:100])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, x, y: fit(net, x, y, epochs=0), "epochs must be a whole number and at least 1, got 0"),
        (lambda net, x, y: fit(net, x, y, epochs=2.5), "epochs must be a whole number and at least 1, got 2.5"),
        (lambda net, x, y: fit(net, x, y, epochs=1, rate=-0.1), "rate must be greater than 0, got -0.1"),
        (lambda net, x, y: fit(net, x, y, epochs=1, rate=float("nan")), "rate must be greater than 0, got nan"),
        (
            lambda net, x, y: fit(net, x, y, epochs=1, batch_size=0),
            "batch_size must be a whole number .* got 0",
        ),
        (lambda net, x, y: fit(net, x, y[:2], epochs=1), "one label per image, got 3 images and 2 labels"),
        (lambda net, x, y: fit(net, x[:0], y[:0], epochs=1), "one label per image, got 0 images and 0 labels"),
        (lambda net, x, y: fit(net, x, 0 * y, epochs=1), "3 images of 1 class: training needs images of two classes"),
        (lambda net, x, y: fit_points(plane_net(), Points(x[:0, 0, 0, :2], y[:0])), "got 0 images and 0 labels"),
        (lambda *_: plane_points("blob"), "preset must be one of blobs, moons, rings, spiral, got 'blob'"),
        (lambda *_: plane_points(classes=4), "classes must be a whole number from 2 to 3, got 4"),
        (lambda *_: plane_points(classes=1), "classes must be a whole number from 2 to 3, got 1"),
        (lambda *_: plane_points(count=0), "count must be a whole number and at least 1, got 0"),
        (lambda *_: plane_net(activation="sigmoid"), "activation must be one of relu, tanh, got 'sigmoid'"),
        (lambda *_: plane_net(hidden=0), "hidden must be a whole number and at least 1, got 0"),
        (lambda *_: plane_net(depth=0), "depth must be a whole number and at least 1, got 0"),
        (lambda net, x, y: attacked(0), "epsilon must be greater than 0, got 0"),
        (lambda net, x, y: attacked(float("nan")), "epsilon must be greater than 0, got nan"),
        (lambda net, x, y: attacked(0.5, steps=0), "steps must be a whole number and at least 1, got 0"),
        (lambda net, x, y: noisy(0), "sigma must be greater than 0, got 0"),
        (lambda net, x, y: noisy(-0.25), "sigma must be greater than 0, got -0.25"),
    ],
)
def test_what_cannot_work_raises_at_the_call_with_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call(digit_net(), torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 2]))


# attacked images


def two_classes() -> tuple[Linear, Tensor]:
    """A linear network, and the unit vector from class 0 to class 1."""
    weight = 0.3 * torch.randn(2, NUMBERS, generator=generator())
    difference = (weight[1] - weight[0]).view(SHAPE)
    return Linear(weight), difference / difference.norm()


@pytest.mark.parametrize(("epsilon", "steps"), [(0.3, 7), (0.3, 1), (0.05, 20)])
def test_on_a_linear_network_each_image_goes_the_whole_way_straight_to_the_other_class(epsilon, steps):
    net, across = two_classes()
    images, labels = random_images(5), torch.tensor([0, 1, 1, 0, 1])
    best = images + epsilon * (1 - 2 * labels.view(-1, 1, 1, 1)) * across
    assert torch.allclose(attacked(epsilon, steps=steps)(net, images, labels, generator()), best, atol=1e-4)
    with torch.no_grad():
        net.weight.neg_()  # it is the network as it is now that is attacked
    best = images - epsilon * (1 - 2 * labels.view(-1, 1, 1, 1)) * across
    assert torch.allclose(attacked(epsilon, steps=steps)(net, images, labels, generator()), best, atol=1e-4)


def test_attacked_digits_stay_in_the_ball_and_the_range_and_are_harder(data, plain):
    net, _ = plain
    images, labels = data.test_images[:100], data.test_labels[:100]
    found = attacked(EPSILON)(net, images, labels, generator())
    assert (lengths(found - images) <= EPSILON * (1 + 1e-5)).all()
    assert lengths(found - images).mean() > 0.8 * EPSILON
    assert found.min() >= 0 and found.max() <= 1
    assert not found.requires_grad
    before, harder = losses(net, images, labels), losses(net, found, labels)
    assert harder.mean() > before.mean() + 0.5
    assert (harder > before).double().mean() > 0.95
    more = attacked(2 * EPSILON)(net, images, labels, generator())
    assert losses(net, more, labels).mean() > harder.mean()


def test_the_attack_asks_the_network_as_it_answers_and_leaves_it_ready_to_train(data):
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)).train()
    images, labels = data.train_images[:8], data.train_labels[:8]
    torch.manual_seed(0)
    first = attacked(EPSILON)(net, images, labels, generator())
    torch.manual_seed(1)
    assert net.training and net[1].training
    assert torch.equal(attacked(EPSILON)(net, images, labels, generator()), first)
    assert all(weight.requires_grad and weight.grad is None for weight in net.parameters())


def test_a_few_epochs_on_attacked_digits_lower_the_loss_that_an_attack_on_the_result_leaves(data, plain):
    images, labels = data.test_images[:200], data.test_labels[:200]
    robust = after(data, 1347, net=copy.deepcopy(plain[0]), epochs=3, shown=attacked(EPSILON))
    left = [
        losses(net, attacked(EPSILON)(net, images, labels, generator()), labels).mean() for net in (robust, plain[0])
    ]
    assert left[0] < 0.7 * left[1]


def test_points_of_the_plane_are_attacked_where_no_value_is_illegal():
    points, net = plane_points("blobs"), plane_net()
    assert points.places.min() < -0.1
    list(fit(net, points.places, points.labels, epochs=5, rate=0.01))
    found = attacked(0.1, bounds=None)(net, points.places, points.labels, generator())
    assert lengths(found - points.places).tolist() == pytest.approx([0.1] * 90, rel=1e-3)
    assert (losses(net, found, points.labels) > losses(net, points.places, points.labels)).double().mean() > 0.9
    history = list(fit(net, points.places, points.labels, epochs=10, shown=attacked(0.1, bounds=None)))
    assert history[-1] < history[0]
    with pytest.raises(ValueError, match=r"start must be in \[0, 1\]"):
        attacked(0.1)(net, points.places, points.labels, generator())


# noisy images


def test_the_noise_has_the_standard_deviation_and_is_neither_clipped_nor_repeated():
    images, labels, source = torch.full((400, 1, 8, 8), 0.9), torch.zeros(400), generator(1)
    first, second = (noisy(0.25)(digit_net(), images, labels, source) for _ in range(2))
    assert (first - images).std().item() == pytest.approx(0.25, rel=0.02)
    assert (first - images).mean().item() == pytest.approx(0, abs=0.01)
    assert first.max() > 1.2
    assert ((first - second).std() / 2**0.5).item() == pytest.approx(0.25, rel=0.02)
    assert (first[0] - first[1]).std().item() > 0.25


def test_the_noise_comes_from_the_generator_only():
    images = torch.full((4, 1, 8, 8), 0.5)
    state = torch.get_rng_state()
    first = noisy(0.25)(digit_net(), images, None, generator(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(noisy(0.25)(digit_net(), images, None, generator(1)), first)
    assert not torch.equal(noisy(0.25)(digit_net(), images, None, generator(2)), first)
    assert torch.equal(images, torch.full((4, 1, 8, 8), 0.5))


# weights on disk


@pytest.mark.parametrize("classes", [10, 11])
def test_weights_come_back_as_they_were(tmp_path, classes):
    net = digit_net(classes, seed=4)
    save_weights(net, tmp_path / "net.npz")
    loaded = load_weights(tmp_path / "net.npz")
    assert same(loaded, net)
    assert not loaded.training


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        load_weights(tmp_path / "nowhere.npz")


def stored(tmp_path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a network that was just saved, and where."""
    path = str(tmp_path / "net.npz")
    save_weights(digit_net(), path)
    with np.load(path) as file:
        return dict(file), path


@pytest.mark.parametrize("name", ["0.weight", "2.bias", "6.weight"])
@pytest.mark.parametrize("change", [0.3, np.nan])
def test_a_file_with_one_other_weight_is_not_believed(tmp_path, name, change):
    arrays, path = stored(tmp_path)
    arrays[name].flat[5] += change
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match=r"net\.npz was altered: its network's logits differ by"):
        load_weights(path)


@pytest.mark.parametrize("left", [0.0, 0.02, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_not_believed(tmp_path, left):
    _, path = stored(tmp_path)
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[: int(left * len(content))])
    with pytest.raises(ValueError, match=r"net\.npz does not hold the weights .*, or was cut short .* make it again"):
        load_weights(path)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    arrays, path = stored(tmp_path)
    arrays["0.weight"] = np.array([Pickled(tmp_path / "ran")], dtype=object)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match="does not hold the weights of a digit_net"):
        load_weights(path)
    with open(path, "wb") as file:
        pickle.dump(Pickled(tmp_path / "ran"), file)
    with pytest.raises(ValueError, match="does not hold the weights of a digit_net"):
        load_weights(path)
    assert not (tmp_path / "ran").exists()


def without_answers(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays.items() if name != "answers"}


def without_a_layer(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays.items() if name != "2.weight"}


def with_larger_kernels(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**arrays, "0.weight": np.zeros((16, 1, 5, 5), np.float32)}


def of_a_plane_net(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"answers": arrays["answers"], **{name: x.numpy() for name, x in plane_net().state_dict().items()}}


@pytest.mark.parametrize("foreign", [without_answers, without_a_layer, with_larger_kernels, of_a_plane_net])
def test_the_weights_of_another_network_are_refused(tmp_path, foreign):
    arrays, path = stored(tmp_path)
    np.savez_compressed(path, **foreign(arrays))
    with pytest.raises(ValueError, match=r"net\.npz does not hold the weights of a digit_net"):
        load_weights(path)


def test_the_stored_network_is_right_and_stands_better_than_a_plain_one(data, plain):
    robust = frozen(load_weights())
    assert same(robust.net, load_weights(data_path("robust_digits")))
    assert right(robust, data.test_images, data.test_labels).double().mean() >= 0.95
    images, labels = data.test_images[:100], data.test_labels[:100]
    left = [
        accuracy_under(model, images, labels, lambda model, x, epsilon: pgd(model, x, epsilon, norm="l2"), 0.5)
        for model in (robust, frozen(plain[0]))
    ]
    assert left[0] > max(0.8, left[1] + 0.1)


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
    losses = list(itertools.islice(small.fit_points(net, points), 200))
    assert losses[0] == before
    assert losses[-1] < 0.1 * losses[0]


def test_training_goes_on_with_an_optimizer_that_is_given():
    points = small.plane_points()
    once, twice = small.plane_net(), small.plane_net()
    list(itertools.islice(small.fit_points(once, points), 20))
    optimizer = torch.optim.Adam(twice.parameters(), 0.01)
    for _ in range(2):
        list(itertools.islice(small.fit_points(twice, points, optimizer=optimizer), 10))
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))


def test_a_network_of_two_classes_has_two_names():
    model = small.trained(small.plane_points(classes=2), classes=2, steps=100)
    assert model.labels == ("cheetah", "robin")


def test_coincident_points_of_two_classes_and_a_thousand_points_can_be_trained():
    places = torch.zeros(1000, 2)
    labels = torch.arange(1000) % 2
    *_, loss = itertools.islice(small.fit_points(small.plane_net(), Points(places, labels)), 100)
    assert loss == pytest.approx(math.log(2), abs=0.05)  # half of them must be wrong


def test_a_classifier_of_points_is_a_frozen_copy():
    net = small.plane_net()
    model = small.frozen(net, small.POINTS)
    places = torch.randn(5, 2)
    expected = model(places)
    next(small.fit_points(net, small.plane_points()))
    assert torch.equal(model(places), expected) and not torch.equal(net(places), expected)
    assert model.labels == ("cheetah", "robin", "armadillo")


def test_the_loop_walks_a_point_straight_over_the_boundary(plane):
    start = torch.tensor([[-0.5, 0.3]])
    reached = run_until(optimize_pixels(plane, start, toward("class 1")), "class 1", 0.5)
    assert torch.allclose(reached.image, torch.tensor([[0.1, 0.3]]), atol=1e-6)


# --------------------------------------------------------------------------------- a network that a caller passes in


class WithDropout(nn.Module):
    """A student's network: in training mode it answers differently each time. It counts how it was asked."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5))
        self.asked = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(self.training)
        return self.layers(images)


@pytest.mark.parametrize("mode", [True, False])
def test_freezing_leaves_a_network_in_its_mode(mode):
    net = WithDropout().train(mode)
    net.layers[2].eval()
    model = frozen(net)
    assert [module.training for module in net.modules()] == [mode, mode, mode, mode, False]
    assert not any(module.training for module in model.modules())
    assert net.asked == []


@pytest.mark.parametrize("mode", [True, False])
def test_training_is_in_training_mode_and_leaves_the_mode_between_epochs(data, mode):
    net = WithDropout().train(mode)
    for _ in fit(net, data.train_images[:128], data.train_labels[:128], epochs=2, shown=attacked(0.5, steps=1)):
        assert all(module.training == mode for module in net.modules())
        frozen(net)
    assert net.asked == [True] * 4  # the attacks asked copies


def test_a_network_keeps_its_mode_when_training_stops_with_an_error(data):
    net = WithDropout().eval()

    def broken(*_):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        next(fit(net, data.train_images, data.train_labels, epochs=1, shown=broken))
    assert not any(module.training for module in net.modules())


def test_a_network_of_points_and_one_of_digits_are_frozen_in_one_way():
    point, digit = frozen(plane_net(classes=2), small.POINTS), frozen(digit_net(11))
    assert (point.labels, point.input_shape, point.bounds) == (("cheetah", "robin"), (2,), None)
    assert (digit.labels[-1], digit.input_shape, digit.bounds) == ("rubbish", (1, 8, 8), (0.0, 1.0))
