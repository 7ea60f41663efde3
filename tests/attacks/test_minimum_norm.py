"""The smallest change on linear networks, where it is known, and what must hold of it on every network."""

import math
import warnings
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fooling_utils import Classifier, load_image, round_to_8bit, save_png, smallest_change, smallest_change_frames
from fooling_utils.attacks import minimum_norm
from fooling_utils.attacks.minimum_norm import AIM, FIRST, SAFE, NothingFound, along
from nets import ConvNorm, linear, random_images

SHAPE = (3, 8, 8)
COUNT = 192


def on_the_grid(images: torch.Tensor) -> torch.Tensor:
    return (images * 255).round() / 255


def two_classes(seed: int, distance: float = 0.4, low: float = 0.0, high: float = 1.0, tail: float = 1.0):
    """A linear network and an image of class 0, some of whose values are black or white.

    Class 1 is `distance` away (L2) where nothing is cut off. The larger `tail`, the less alike the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(COUNT, generator=generator)
    weight = 3 * weight.sign() * weight.abs() ** tail
    image = random_images(1, 8, seed=seed)
    edge = torch.rand(image.shape, generator=generator)
    image = on_the_grid(torch.where(edge < 0.1, low, torch.where(edge > 0.9, high, image)))
    bias = -(image.flatten() @ weight).item() - distance * weight.norm().item()
    model = linear(torch.stack([0 * weight, weight]), torch.tensor([0.0, bias]), SHAPE)
    return model, image, weight


def ahead(model, images: torch.Tensor, label: int = 1) -> torch.Tensor:
    """How far a class is ahead of the best other one, in logits."""
    logits = model(images)
    others = logits.clone()
    others[:, label] = -math.inf
    return logits[:, label] - others.amax(1)


def needed(model, image: torch.Tensor) -> float:
    """What a change must gain to count as fooled, in logits."""
    return SAFE - ahead(model, image).item()


def nearest_in_the_box(image: torch.Tensor, weight: torch.Tensor, gain: float) -> float:
    """The L2 norm of the smallest legal change that gains this much: clipped multiples of the weights, by bisection."""
    flat, low, high = image.flatten().double(), 0.0, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        change = (flat + middle * weight).clamp(0, 1) - flat
        low, high = (low, middle) if change @ weight.double() > gain else (middle, high)
    return change.norm().item()


def fewest_grey_levels(image: torch.Tensor, weight: torch.Tensor, gain: float) -> float:
    """The L2 norm of a change in whole grey levels that gains this much, one level at a time where it pays most."""
    levels = (255 * image.flatten()).round()
    room = torch.where(weight > 0, 255 - levels, levels).int().tolist()
    pays = [(abs(w) / (2 * n + 1), n, abs(w)) for w, most in zip(weight.tolist(), room, strict=True)
            for n in range(min(most, 60))]  # fmt: skip
    squared, gained = 0, 0.0
    for _, n, slope in sorted(pays, reverse=True):
        if gained >= gain:
            return math.sqrt(squared) / 255
        gained += slope / 255
        squared += 2 * n + 1
    raise AssertionError("this image cannot be fooled")


# what is best


@pytest.mark.parametrize("distance", [0.05, 0.4, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_on_a_linear_network_the_change_is_the_nearest_within_one_percent(seed, distance):
    model, image, weight = two_classes(seed, distance)
    result = smallest_change(model, image, 1, steps=50, eight_bit=False)
    best = nearest_in_the_box(image, weight, needed(model, image))
    assert ahead(model, result) > 0
    assert best * (1 - 1e-3) <= (result - image).norm().item() <= best * 1.01


def check_grid(seed: int, distance: float, tail: float) -> None:
    model, image, weight = two_classes(seed, distance, tail=tail)
    result = smallest_change(model, image, 1, steps=50)
    best = fewest_grey_levels(image, weight, needed(model, image))
    assert torch.equal(result, round_to_8bit(result))
    assert ahead(model, result) > 0
    squared = ((result - image) * 255).square().sum().item()
    values = ((result - image) * 255).abs()
    # one more level, on the value that has most of them already
    assert squared <= (best * 255) ** 2 + 2 * values.max().item() + 1.5


@pytest.mark.parametrize("tail", [1.0, 3.0])
@pytest.mark.parametrize("distance", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_on_the_grid_it_is_the_fewest_grey_levels_or_one_more(seed, distance, tail):
    check_grid(seed, distance, tail)


@pytest.mark.parametrize("seed", range(8))
def test_with_few_values_no_combination_of_grey_levels_is_smaller(seed):
    generator = torch.Generator().manual_seed(seed)
    weight = 40 * torch.randn(6, generator=generator)
    image = torch.full((1, 6), 100 / 255)
    image[0, :2] = torch.tensor([0.0, 1.0])
    bias = -(image[0] @ weight).item() - 1.5 * weight.norm().item() / 255 * 2
    model = linear(torch.stack([0 * weight, weight]), torch.tensor([0.0, bias]), (6,))
    changes = torch.tensor(list(product(range(-5, 6), repeat=4)), dtype=torch.float32)
    forced = torch.tensor(list(product(range(6), range(-5, 1))), dtype=torch.float32)  # black and white: one way only
    best = math.inf
    gain = needed(model, image)
    for first in forced:
        gains = (changes @ weight[2:] + first @ weight[:2]) / 255
        squares = changes.square().sum(1) + first.square().sum()
        if (gains >= gain).any():
            best = min(best, squares[gains >= gain].min().item())
    change = (smallest_change(model, image, 1, steps=50) - image) * 255
    assert change.square().sum().item() <= best + 2 * change.abs().max().item() + 1.5


def test_a_change_toward_no_class_in_particular_leaves_by_the_nearest_door():
    weight = torch.zeros(3, COUNT)
    weight[1, 0], weight[2, 1] = 10, 20
    image = on_the_grid(random_images(1, 8))
    bias = torch.tensor([0.0, *(-(image.flatten() @ weight[i]).item() - 2 for i in (1, 2))])
    model = linear(weight, bias, SHAPE)
    result = smallest_change(model, image, None, steps=60, eight_bit=False)
    assert model(result).argmax(1).item() == 2
    assert (result - image).norm().item() == pytest.approx(0.1, rel=0.02)


# the phases, where nothing rounds and nothing is cut off: a linear network has one direction, and sizes say it all


def sizes_tried(distance: float, steps: int, count: int) -> list[float]:
    """The sizes that are tried for a point of a plane whose second class begins at this distance, less the aim."""
    line = linear(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.0, AIM - distance]), (2,), bounds=None)
    point = torch.tensor([[0.0, 5.0]])
    found = smallest_change_frames(line, point, 1, steps=steps, eight_bit=False)
    tried = [next(found).tried - point for _ in range(count)]
    assert all(change[0, 1].abs() < 1e-5 for change in tried)
    return [change[0, 0].item() for change in tried]


def test_the_first_step_goes_most_of_the_way_a_second_fools_and_then_the_size_is_the_aim():
    assert sizes_tried(2.0, 100, 4) == pytest.approx([0, FIRST * 2, 2 * FIRST * 2, 2], rel=4e-3)


def test_the_size_changes_by_less_than_the_band_which_narrows():
    sizes = sizes_tried(2.0, 5, 4)  # the band is 0.2 of the size at the third of five gradients, and 0.11 at the fourth
    assert sizes[3] == pytest.approx(2.8 * (1 - 0.1998), rel=4e-3)


def test_where_the_trim_fools_at_once_it_goes_back_towards_the_last_size():
    class Nearer(nn.Module):
        """Class 1 begins at 1.6, and seen from 0 at 2."""

        def forward(self, points):
            x = points[:, 0]
            return torch.stack([0 * x, torch.where(x < 1.6, x - 2, x) + AIM], 1)

    model = Classifier(Nearer().eval(), input_shape=(2,), bounds=None)
    result = smallest_change(model, torch.zeros(1, 2), 1, steps=1, eight_bit=False)
    assert result[0].tolist() == pytest.approx([(FIRST * 2 + 1.3 * FIRST * 2) / 2, 0], rel=4e-3)


def test_where_every_value_takes_a_level_at_once_the_smaller_change_is_tried():
    weight = torch.ones(COUNT)
    image = torch.full((1, *SHAPE), 100 / 255)
    bias = -(image.flatten() @ weight).item() - 2.5 * COUNT / 255 + AIM  # two and a half levels of each value
    model = linear(torch.stack([0 * weight, weight]), torch.tensor([0.0, bias]), SHAPE)
    _, second = (found.tried for found in smallest_change_frames(model, image, 1, steps=2))
    assert torch.allclose((second - image) * 255, torch.ones_like(image), atol=1e-3)  # 0.7 of it is 1.75, and not 2


def test_steps_of_one_length_approach_a_bent_boundary_and_add_up():
    class Corner(nn.Module):
        """Class 1 begins where y is 4, but its gradient shows that only from x = 2 on: before, it shows x."""

        def forward(self, points):
            x, y = points[:, 0], points[:, 1]
            return torch.stack([0 * x, torch.where(x < 2, x - 4, y - 4)], 1)

    model = Classifier(Corner().eval(), input_shape=(2,), bounds=None)
    found = smallest_change_frames(model, torch.zeros(1, 2), 1, steps=100, eight_bit=False)
    step = FIRST * (4 + AIM)
    for expected in ([0, 0], [step, 0], [step, step]):
        assert next(found).tried[0].tolist() == pytest.approx(expected, rel=4e-3, abs=1e-4)


# properties


@pytest.fixture(scope="module")
def curved():
    """A network with convolutions, ReLUs and five classes, whose decisions depend on its input."""
    torch.manual_seed(1)
    net = ConvNorm()
    with torch.no_grad():
        net.last.weight.mul_(20)
        image = on_the_grid(random_images(1, 8, low=0, high=1))
        net.last.bias.sub_(net.eval()(image)[0])
    return net.requires_grad_(False)


@given(seed=st.integers(0, 10_000), eight_bit=st.booleans(), levels=st.sampled_from([1, 3, 255]))
def test_the_result_is_legal_fools_with_a_distance_and_is_on_the_grid(curved, seed, eight_bit, levels):
    images = (random_images(3, 8, seed=seed, low=0, high=1) * levels).round() / levels  # 1: all black and white
    targets = [(label + 1 + seed % 4) % 5 for label in curved(images).argmax(1).tolist()]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = smallest_change(curved, images, targets, steps=12, eight_bit=eight_bit)
    failed = [i for i, one in enumerate(result) if one.isnan().any()]
    assert len(warned) == bool(failed)
    for i, one in enumerate(result.split(1)):
        if i in failed:
            assert one.isnan().all()
            continue
        assert one.min() >= 0
        assert one.max() <= 1
        assert ahead(curved, one, targets[i]) > 2e-4  # so that 1e-4 more or less in each logit changes nothing
        if eight_bit:
            assert torch.equal(one, round_to_8bit(one))


def test_most_images_of_the_curved_network_are_fooled(curved):
    images = random_images(16, 8, seed=5, low=0, high=1)
    targets = [(label + 1) % 5 for label in curved(images).argmax(1).tolist()]
    result = quietly(curved, images, targets, steps=50)
    assert result.flatten(1).isnan().any(1).sum() <= 4


def quietly(*arguments, **settings) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NothingFound)
        return smallest_change(*arguments, **settings)


@pytest.mark.parametrize("eight_bit", [True, False])
def test_a_batch_is_its_members_one_by_one_also_over_several_chunks(three_classes, eight_bit):
    images = on_the_grid(random_images(19))
    targets = [(label + 1 + i % 2) % 3 for i, label in enumerate(three_classes(images).argmax(1).tolist())]
    together = smallest_change(three_classes, images, targets, steps=8, eight_bit=eight_bit)
    for i in (0, 7, 15, 16, 18):
        alone = smallest_change(three_classes, images[i : i + 1], targets[i], steps=8, eight_bit=eight_bit)
        difference = (together[i : i + 1] - alone).abs()
        if eight_bit:  # sums in another order may round a tie the other way
            assert difference.max() < 1.01 / 255 and (difference > 1e-5).sum() <= 2
        else:
            assert difference.max() < 1e-5


def test_images_between_grey_levels_are_rounded_first(three_classes):
    images = random_images(2)
    assert not torch.equal(images, on_the_grid(images))
    targets = [(label + 1) % 3 for label in three_classes(images).argmax(1).tolist()]
    expected = smallest_change(three_classes, on_the_grid(images), targets, steps=8)
    assert torch.equal(smallest_change(three_classes, images, targets, steps=8), expected)


# it ends, and says what it could not do


def test_a_constant_network_is_given_up_at_once_and_named():
    model = linear(torch.zeros(2, COUNT), torch.tensor([1.0, 0.0]), SHAPE)
    model.net.forwards[0] = model.net.backwards[0] = 0
    with pytest.warns(NothingFound, match="no change was found for images 0, 1 of 2 in 500 steps"):
        result = smallest_change(model, random_images(2, 8), 1, steps=500)
    assert result.isnan().all()
    assert model.net.backwards == [1]
    assert model.net.forwards[0] < 10


@pytest.mark.parametrize("eight_bit", [True, False])
def test_members_that_cannot_be_fooled_do_not_spoil_the_others(eight_bit):
    weight = torch.stack([torch.zeros(COUNT), torch.ones(COUNT)])
    model = linear(weight, torch.tensor([0.0, -COUNT * 0.9]), SHAPE)
    images = torch.stack([torch.full(SHAPE, 0.8), torch.full(SHAPE, 0.0)])  # the second must gain ninety per cent
    mask = torch.ones(SHAPE).flatten()
    hopeless = linear(weight * mask, torch.tensor([0.0, -COUNT * 1.1]), SHAPE)
    with pytest.warns(NothingFound, match="for images 0, 1 of 2"):
        assert smallest_change(hopeless, images, 1, steps=30, eight_bit=eight_bit).isnan().all()
    result = smallest_change(model, images, 1, steps=60, eight_bit=eight_bit)
    assert (ahead(model, result) > 0).all()


def test_one_failure_is_named_by_its_place_in_the_whole_batch():
    weight = torch.zeros(2, COUNT)
    weight[1, 0] = 1
    model = linear(weight, torch.tensor([0.5, 0.0]), SHAPE)  # class 1 as soon as the first value is above a half
    images = on_the_grid(random_images(20, 8))
    images[:, 0, 0, 0] = 100 / 255

    class Stubborn(nn.Module):
        """The same, but where the second value is white nothing helps."""

        def forward(self, images):
            blocked = (images[:, 0, 0, 1] == 1).float()
            return model(images) + 10 * blocked[:, None] * torch.tensor([1.0, 0.0])

    images[17, 0, 0, 1] = 1
    with pytest.warns(NothingFound, match="no change was found for image 17 of 20 in 10 steps"):
        result = smallest_change(Stubborn().eval(), images, 1, steps=10)
    assert result[17].isnan().all()
    kept = [i for i in range(20) if i != 17]
    levels = (result - images)[kept] * 255
    assert torch.allclose(levels.flatten(1).norm(dim=1), torch.full((19,), 28.0), atol=1e-3)
    assert (levels[:, 0, 0, 0] > 27.9).all()


def test_a_network_that_gives_nan_fools_nobody():
    class Broken(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :3] * math.nan

    with pytest.raises(ValueError, match="NaN or infinite logits: its weights are damaged"):
        smallest_change(Broken().eval(), random_images(), 1, steps=5)


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_steps_count_gradients_and_few_forward_passes_come_on_top(steps):
    model, image, _ = two_classes(0)
    model.net.forwards[0] = model.net.backwards[0] = 0
    quietly(model, image, 1, steps=steps)
    assert model.net.backwards == [steps]
    assert model.net.forwards[0] <= steps + 5


# frames


@pytest.mark.parametrize("eight_bit", [True, False])
def test_the_frames_get_smaller_and_every_one_is_what_it_says(eight_bit):
    model, image, _ = two_classes(1)
    model.net.backwards[0] = 0
    sizes = []
    for found in smallest_change_frames(model, image, 1, steps=20, eight_bit=eight_bit):
        assert found.gradients == model.net.backwards[0]
        size = found.size.item()
        if size == math.inf:
            assert torch.equal(found.image, image)
        else:
            assert (found.image - image).norm().item() == pytest.approx(size, rel=1e-4)
            assert ahead(model, found.image) > 0
        assert torch.allclose(found.logits, model(found.image), atol=1e-5)
        sizes.append(size)
    assert len(sizes) == 20
    assert sizes == sorted(sizes, reverse=True)
    assert torch.equal(found.image, smallest_change(model, image, 1, steps=20, eight_bit=eight_bit))


@pytest.mark.parametrize("eight_bit", [True, False])
def test_changing_what_was_found_changes_neither_the_run_nor_the_image(eight_bit):
    model, image, _ = two_classes(2)
    expected, before = smallest_change(model, image, 1, steps=10, eight_bit=eight_bit), image.clone()
    for found in smallest_change_frames(model, image, 1, steps=10, eight_bit=eight_bit):
        last = found.image.clone()
        for tensor in (found.image, found.tried, found.logits, found.size):
            tensor.zero_()
    assert torch.equal(last, expected)
    assert torch.equal(image, before)


# the network of the course


def check_png(model, path, **settings) -> None:
    """Twenty gradients for the bus: the saved file is an ostrich, by a change smaller than one grey level (RMS)."""
    bus = load_image("school_bus")
    result = smallest_change(model, bus, "ostrich", steps=20, **settings)
    save_png(result, path)
    loaded = load_image(path)
    assert model.top(loaded)[0].label == "ostrich"
    assert torch.equal(loaded, result)
    assert (result - bus).norm().item() < 1.52


def test_the_saved_bus_is_an_ostrich(model, tmp_path):
    check_png(model, tmp_path / "bus.png")


def test_without_whole_grey_levels_the_saved_bus_is_a_bus(model, tmp_path):
    with pytest.raises(AssertionError):
        check_png(model, tmp_path / "bus.png", eight_bit=False)


def without_rounding(direction, scale, low, high, *, whole_numbers):
    return along(direction, scale, low, high, whole_numbers=False)


def without_the_edges(direction, scale, low, high, *, whole_numbers):
    return along(direction, scale, low - math.inf, high + math.inf, whole_numbers=whole_numbers)


def largest_first(direction, scale, low, high, *, whole_numbers):
    return along(direction.sign(), scale, low, high, whole_numbers=whole_numbers)


def test_the_check_of_the_saved_file_rejects_changes_that_are_not_whole_grey_levels(model, monkeypatch, tmp_path):
    monkeypatch.setattr(minimum_norm, "along", without_rounding)
    with pytest.raises(AssertionError):
        check_png(model, tmp_path / "bus.png")


@pytest.mark.parametrize("mistake", [without_rounding, without_the_edges, largest_first])
def test_the_check_on_the_grid_rejects_mistakes(monkeypatch, mistake):
    monkeypatch.setattr(minimum_norm, "along", mistake)
    with pytest.raises((AssertionError, ValueError)):
        for seed in range(4):
            check_grid(seed, 0.4, 1.0)


def test_a_change_along_a_direction_by_hand():
    direction = torch.tensor([[0.4, -0.1, 3.0], [1.0, -1.0, 0.2]])
    low, high = torch.full((2, 3), -1.0), torch.tensor([[9.0, 9.0, 2.0], [9.0, 9.0, 9.0]])
    change = along(direction, torch.tensor([2.0, 3.0]), low, high, whole_numbers=True)
    assert change.tolist() == [[1, 0, 2], [3, -1, 1]]
    change = along(direction, torch.tensor([2.0, 3.0]), low, high, whole_numbers=False)
    assert torch.allclose(change, torch.tensor([[0.8, -0.2, 2.0], [3.0, -1.0, 0.6]]))


# arguments


def test_classes_have_names_indices_or_one_each(three_classes):
    images = on_the_grid(random_images(2))
    images = images[:1].repeat(2, 1, 1, 1)
    goal = (three_classes(images).argmax(1)[0].item() + 1) % 3
    expected = smallest_change(three_classes, images, goal, steps=5)
    for target in (f"class {goal}", [goal, f"class {goal}"], torch.tensor([goal, goal]), torch.tensor(goal)):
        assert torch.equal(smallest_change(three_classes, images, target, steps=5), expected)
    plain = smallest_change(three_classes.net, images, goal, steps=5)
    assert torch.allclose(plain, expected, atol=1e-5)


def test_it_works_without_bounds_and_without_gradients_and_modifies_nothing(plane):
    points = torch.tensor([[-3.0, 1.0], [-0.5, 7.0]])
    before = points.clone()
    with torch.no_grad():
        result = smallest_change(plane, points, 1, eight_bit=False)
    assert torch.equal(points, before)
    assert result[:, 0].tolist() == pytest.approx([0, 0], abs=0.01)
    assert result[:, 1].tolist() == pytest.approx([1, 7], abs=1e-3)
    assert not result.requires_grad


@pytest.mark.parametrize(
    ("attack", "error", "message"),
    [
        (lambda m, x: smallest_change(m, x, 1, steps=0), ValueError, "steps must be a whole number .* got 0"),
        (lambda m, x: smallest_change(m, x, 1, steps=2.5), ValueError, "got 2.5"),
        (lambda m, x: smallest_change(m, x, [1, 1, 1]), ValueError, "3 classes are named for 2 images"),
        (lambda m, x: smallest_change(m, x, "class 7"), ValueError, "no class is called 'class 7'"),
        (lambda m, x: smallest_change(m, x, [1, 0]), ValueError, "image 1 is already 'class 0': choose another"),
        (lambda m, x: smallest_change(m.net, x, [1, 0]), ValueError, "image 1 is already 'class 0'"),
        (lambda m, x: smallest_change(m.net, x, 9), ValueError, "there is no class 9: the indices go from 0 to 2"),
        (lambda m, x: smallest_change(m.net, x, "bus"), ValueError, "no class is called 'bus'"),
        (lambda m, x: smallest_change(nn.Flatten(), x, 1), ValueError, "in training mode"),
        (lambda m, x: smallest_change(m, x * 255, 1), ValueError, r"image must be in \[0, 1\]"),
        (lambda m, x: smallest_change(m.net, x * 255, 1), ValueError, r"image must be in \[0, 1\]"),
        (lambda m, x: smallest_change(m, x[0], 1), ValueError, r"image\[None\] makes a batch of one"),
        (
            lambda m, x: smallest_change(m.net.weight, x, 1),
            TypeError,
            "must be a network .nn.Module., got a tensor",
        ),
        (lambda m, x: smallest_change(nn.Flatten(0).eval(), x, 1), ValueError, r"shape \(96,\) for 2 images"),
        (lambda m, x: smallest_change_frames(m, x, [1, 0]), ValueError, "image 1 is already 'class 0'"),
        (lambda m, x: smallest_change_frames(m, None, 1), TypeError, "image must be a tensor, got NoneType"),
        (lambda m, x: smallest_change_frames(m.net, None, 1), TypeError, "image must be a tensor, got NoneType"),
    ],
)
def test_what_cannot_work_raises_at_the_call_with_the_value_and_the_way_out(attack, error, message):
    model = linear(torch.zeros(3, 48), torch.tensor([1.0, 0.0, 0.0]))
    with pytest.raises(error, match=message):
        attack(model, random_images(2))


def test_grey_levels_need_a_network_whose_pixels_go_from_0_to_1(plane):
    with pytest.raises(ValueError, match=r"network's range is None: use eight_bit=False"):
        smallest_change(plane, torch.tensor([[-3.0, 1.0]]), 1)
