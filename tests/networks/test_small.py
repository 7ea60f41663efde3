"""Training small networks: plainly, on attacked and on noisy images; and weights on disk."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fooling_utils import Classifier, away_from, l2_ball, optimize_pixels, pgd, unit_step
from fooling_utils.data import path as data_path
from fooling_utils.defences.robustness import accuracy_under, right
from fooling_utils.networks.small import (
    attacked,
    digit_net,
    digits,
    fit,
    frozen,
    load_weights,
    noisy,
    plane_net,
    plane_points,
    save_weights,
)
from nets import NUMBERS, SHAPE, Linear, random_images

EPSILON = 0.5


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def plain(data):
    """A network trained on digits as they are, and its losses."""
    net = digit_net()
    return net, list(fit(net, data.train_images, data.train_labels, epochs=12))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def lengths(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)


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
    assert right(net, data.test_images, data.test_labels).double().mean() > 0.95


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
        (lambda net, x, y: attacked(0), "epsilon must be above 0 .* got 0 and 7"),
        (lambda net, x, y: attacked(float("nan")), "got nan and 7"),
        (lambda net, x, y: attacked(0.5, steps=0), "steps a whole number above 0, got 0.5 and 0"),
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
    with pytest.raises(ValueError, match=r"net\.npz was altered: its network's answers differ by"):
        load_weights(path)


@pytest.mark.parametrize("left", [0.0, 0.02, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_not_believed(tmp_path, left):
    _, path = stored(tmp_path)
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[: int(left * len(content))])
    with pytest.raises(ValueError, match=r"net\.npz holds no weights .*, or was cut short .* make it again"):
        load_weights(path)


class Loud:
    """What runs a command as soon as it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_refused_and_not_run(tmp_path):
    arrays, path = stored(tmp_path)
    arrays["0.weight"] = np.array([Loud(tmp_path / "ran")], dtype=object)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match="holds no weights of a digit_net"):
        load_weights(path)
    with open(path, "wb") as file:
        pickle.dump(Loud(tmp_path / "ran"), file)
    with pytest.raises(ValueError, match="holds no weights of a digit_net"):
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
    with pytest.raises(ValueError, match=r"net\.npz holds no weights of a digit_net"):
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
