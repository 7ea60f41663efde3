"""What an attack leaves of a network: on linear networks, where the nearest error is known, and with weak attacks."""

import math

import pytest
import torch
from torch import Tensor, nn

from fooling_utils import Classifier, pgd
from fooling_utils.defences import robustness
from fooling_utils.defences.robustness import accuracy_under, nearest_errors, random_change, right, warning_signs
from fooling_utils.steps import unit_vectors
from nets import NUMBERS, SHAPE, Linear, lengths, linear, random_images, random_linear

WIDE = (-100.0, 100.0)
RADII = (0.1, 0.3, 1.0, 12.0)
COUNT = 40  # images, of which every seventh has a wrong label
RIGHT = 34 / 40


def linear_classes(classes: int = 3, bounds: tuple[float, float] | None = WIDE, seed: int = 0):
    """A linear network, images near and far from its boundaries, their labels, and how far (L2) the next error is."""
    generator = torch.Generator().manual_seed(seed)
    weight = 2 * torch.randn(classes, NUMBERS, generator=generator)
    along = unit_vectors(weight - weight.mean(0))[torch.arange(COUNT) % classes].view(-1, *SHAPE)
    images = (
        random_images(COUNT, seed=seed, low=0.45, high=0.55) + torch.linspace(0, 1.2, COUNT).view(-1, 1, 1, 1) * along
    )
    model = linear(weight, -0.5 * weight.sum(1), bounds=bounds)
    labels = model(images).argmax(1)
    labels[::7] = (labels[::7] + 1) % classes
    return model, images, labels, to_the_boundary(model.net, images, labels)


def to_the_boundary(net: Linear, images: Tensor, labels: Tensor) -> Tensor:
    """How far (L2) it is to the nearest other class: (N,), 0 where the image is in one already."""
    logits = net(images).detach()
    ahead = logits.gather(1, labels[:, None]) - logits
    normals = (net.weight[labels, None] - net.weight).norm(dim=2)
    return (ahead / normals).nan_to_num(math.inf).amin(1).clamp_min(0)


def best_change(model: Classifier, images: Tensor, epsilon: float) -> Tensor:
    """The best change of a linear network's images: straight across the nearest boundary."""
    weight, logits = model.net.weight, model(images)
    now = logits.argmax(1)
    normals = weight[now, None] - weight
    distances = (logits.gather(1, now[:, None]) - logits) / normals.norm(dim=2)
    other = distances.nan_to_num(math.inf).argmin(1)
    across = (weight[other] - weight[now]).view_as(images)
    return images + epsilon * unit_vectors(across)


def do_nothing(model: Classifier, images: Tensor, epsilon: float) -> Tensor:
    return images


def strong(model: Classifier, images: Tensor, epsilon: float) -> Tensor:
    return pgd(model, images, epsilon, norm="l2", steps=20)


# accuracy


def test_right_compares_the_most_probable_class_with_the_label():
    model, images, labels, distances = linear_classes()
    assert right(model, images, labels).tolist() == (distances > 0).tolist()
    assert right(model, images, labels).tolist() == [i % 7 != 0 for i in range(COUNT)]
    assert not right(model, images, labels).requires_grad


def between(distances: Tensor) -> list[float]:
    """Sizes that are no image's distance to the boundary, small to large."""
    ordered = distances[distances > 0].sort().values
    return ((ordered[1:] + ordered[:-1]) / 2)[[2, 12, 30]].tolist()


@pytest.mark.parametrize(("classes", "attack"), [(2, best_change), (3, best_change), (2, strong)])
@pytest.mark.parametrize("seed", range(3))
def test_under_the_best_attack_those_stand_that_are_farther_than_epsilon(classes, attack, seed):
    model, images, labels, distances = linear_classes(classes, seed=seed)
    for epsilon in between(distances):
        expected = (distances > epsilon).double().mean().item()
        assert 0 < expected < 0.8
        assert accuracy_under(model, images, labels, attack, epsilon) == pytest.approx(expected)


def test_a_larger_epsilon_leaves_less_and_the_largest_nothing():
    model, images, labels, distances = linear_classes()
    left = [accuracy_under(model, images, labels, best_change, epsilon) for epsilon in (0, 0.1, 0.3, 1, 100)]
    assert left == sorted(left, reverse=True)
    assert left[0] == (distances > 0).double().mean().item() == RIGHT
    assert left[-1] == 0


def test_epsilon_0_is_the_accuracy_and_an_attack_gets_only_what_is_right():
    model, images, labels, _ = linear_classes()
    seen = []

    def attack(model, images, epsilon):
        seen.append((images.clone(), epsilon))
        images += epsilon / 100  # what an attack does to its input is no change of ours
        return images

    assert accuracy_under(model, images, labels, attack, 0) == RIGHT
    assert seen == []
    before = images.clone()
    accuracy_under(model, images, labels, attack, 0.3)
    assert torch.equal(seen[0][0], images[right(model, images, labels)])
    assert seen[0][1] == 0.3
    assert torch.equal(images, before)
    wrong = (model(images).argmax(1) + 1) % 3
    assert accuracy_under(model, images, wrong, attack, 0.3) == 0
    assert len(seen) == 1


def test_an_image_that_an_attack_makes_right_was_wrong_all_the_same():
    model = linear(torch.stack([torch.zeros(NUMBERS), torch.ones(NUMBERS)]), torch.tensor([0.0, -24.0]), bounds=WIDE)
    images = torch.cat([torch.full((1, *SHAPE), 0.45), torch.full((1, *SHAPE), 0.9)])
    labels = torch.tensor([1, 1])
    brighter = lambda model, images, epsilon: images + 0.99 * epsilon / NUMBERS**0.5  # noqa: E731
    assert accuracy_under(model, images, labels, brighter, 1.0) == 0.5


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda m, x, e: best_change(m, x, 1.01 * e), r"moved an image by 0\.505 \(L2\), but epsilon is 0\.5"),
        (lambda m, x, e: torch.cat([best_change(m, x[:-1], e), 0.5 + 0 * x[-1:]]), r"moved an image by 1\.\d+"),
        (lambda m, x, e: x + 0.5 * e * (0.5 - x).sign(), r"moved an image by 1\.732"),  # a ball of another norm
        (lambda m, x, e: x - e * nn.functional.one_hot(torch.tensor(5), NUMBERS).view(SHAPE), r"result must be in \["),
        (lambda m, x, e: x * math.nan, "the attack's result has 1632 values that are NaN"),
    ],
)
def test_an_attack_that_leaves_the_ball_or_the_range_is_named(attack, message):
    model, images, labels, _ = linear_classes(bounds=(0.0, 1.0))
    images[:, 0, 1, 1] = 0.3
    labels = torch.where(torch.arange(COUNT) % 7 == 0, (model(images).argmax(1) + 1) % 3, model(images).argmax(1))
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=message):
        accuracy_under(model, images, labels, attack, 0.5)


def test_exactly_epsilon_is_inside_the_ball():
    model, images, labels, _ = linear_classes()
    for epsilon in (0.01, 0.5, 30.0):
        accuracy_under(model, images, labels, best_change, epsilon)


# nearest errors


@pytest.mark.parametrize(("classes", "targets"), [(2, None), (2, 0), (3, None), (4, 3)])
@pytest.mark.parametrize("seed", range(2))
def test_on_a_linear_network_the_nearest_error_is_found_within_two_percent(classes, targets, seed):
    model, images, labels, distances = linear_classes(classes, seed=seed)
    before = images.clone(), labels.clone()
    found = nearest_errors(model, images, labels, targets=targets)
    assert torch.equal(images, before[0]) and torch.equal(labels, before[1])
    assert not found.requires_grad
    assert (found == 0).tolist() == (distances == 0).tolist() == [i % 7 == 0 for i in range(COUNT)]
    assert (found >= distances * (1 - 1e-4)).all()
    assert (found <= distances * 1.02 + 0.002).all()


def test_towards_each_class_an_error_is_found_that_the_way_out_of_the_own_class_misses():
    weight = torch.zeros(3, 2)
    weight[1, 0], weight[2, 1] = 0.1, 300  # class 1 is next in logits, and class 2 is near
    model = linear(weight, torch.tensor([0.0, -1.0, -30.0]), (2,), bounds=None)
    points, labels = torch.zeros(1, 2), torch.tensor([0])
    for targets, nearest in ((0, 10), (1, 10), (2, 0.1), (None, 0.1)):  # the most probable first
        found = nearest_errors(model, points, labels, targets=targets)
        assert found.item() == pytest.approx(nearest, rel=0.02)


@pytest.mark.parametrize("nearest", range(3))
def test_every_other_class_is_a_target(nearest):
    weight, bias = 0.1 * torch.eye(4, 3), torch.tensor([-1.0, -1.0, -1.0, 0.0])  # now it is the fourth class
    weight[nearest, nearest], bias[nearest] = 300, -30
    found = nearest_errors(linear(weight, bias, (3,), bounds=None), torch.zeros(1, 3), torch.tensor([3]))
    assert found.item() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("best", ["away", "towards"])
def test_the_nearest_of_all_that_was_found_counts(monkeypatch, best):
    model, images, labels, distances = linear_classes()

    def found(model, images, target, **settings):
        """Fails towards class 2, goes 1 far by the best way and 2 far by the others."""
        goals = torch.full((len(images),), -1) if target is None else target
        far = torch.where((goals == -1) == (best == "away"), 1.0, 2.0)
        return images + far.where(goals != 2, math.nan).view(-1, 1, 1, 1) / NUMBERS**0.5

    monkeypatch.setattr(robustness, "smallest_change", found)
    monkeypatch.setattr(robustness, "_polished", lambda model, images, best, size: size)
    expected = (distances > 0).float()
    assert nearest_errors(model, images, labels).tolist() == pytest.approx(expected.tolist())
    by_one_way = nearest_errors(model, images, labels, targets=0)
    assert by_one_way.tolist() == pytest.approx((expected * (1 if best == "away" else 2)).tolist())


def test_all_wrong_is_0_and_where_no_error_is_found_it_is_infinite():
    model, images, _, _ = linear_classes()
    assert nearest_errors(model, images, (model(images).argmax(1) + 1) % 3).tolist() == [0.0] * COUNT
    constant = linear(torch.zeros(3, NUMBERS), torch.tensor([1.0, 0.0, 0.0]))
    found = nearest_errors(constant, random_images(2), torch.tensor([0, 1]), steps=5)
    assert found.tolist() == [math.inf, 0.0]


def test_the_legal_range_is_kept():
    flat, images = torch.ones(NUMBERS), torch.full((1, *SHAPE), 0.5)
    model = linear(torch.stack([0 * flat, flat]), torch.tensor([0.0, -NUMBERS * 0.9]))
    found = nearest_errors(model, images, torch.tensor([0]), steps=30)
    assert found.item() == pytest.approx(0.4 * NUMBERS**0.5, rel=0.01)
    out_of_reach = linear(torch.stack([0 * flat, flat]), torch.tensor([0.0, -NUMBERS * 1.1]))
    assert nearest_errors(out_of_reach, images, torch.tensor([0]), steps=30).tolist() == [math.inf]


def test_errors_that_are_not_the_nearest_come_nearer_at_the_end(monkeypatch):
    model, images, labels, distances = linear_classes()
    real = robustness.smallest_change
    monkeypatch.setattr(robustness, "smallest_change", lambda *x, **how: x[1] + 1.01 * (real(*x, **how) - x[1]))
    found = nearest_errors(model, images, labels, targets=0)
    monkeypatch.setattr(robustness, "_polished", lambda model, images, best, size: size)
    without = nearest_errors(model, images, labels, targets=0)
    assert (found >= distances * (1 - 1e-4)).all()
    assert (found <= without).all()
    assert found.mean() < 0.995 * without.mean()


# random changes


def test_a_random_change_has_length_epsilon_and_is_another_for_each_image_and_seed():
    model, images = random_linear(), random_images(5)
    changed = random_change(model, images, 0.4)
    assert lengths(changed - images).tolist() == pytest.approx([0.4] * 5, rel=1e-4)
    assert (lengths(changed - images.flip(0)) > 0.1).all()
    directions = unit_vectors(changed - images).flatten(1)
    assert ((directions @ directions.T).fill_diagonal_(0).abs() < 0.6).all()
    assert torch.equal(random_change(model, images, 0.4), changed)
    assert not torch.allclose(random_change(model, images, 0.4, seed=1), changed)


def test_a_random_change_is_clipped_to_the_range_where_there_is_one():
    images = random_images(5, low=0, high=1)
    changed = random_change(random_linear(), images, 3.0)
    assert changed.aminmax() == (0, 1)
    assert (lengths(changed - images) < 3.0).all()
    wide = random_change(linear(torch.zeros(2, NUMBERS), bounds=WIDE), images, 30.0)
    assert lengths(wide - images).tolist() == pytest.approx([30.0] * 5, rel=1e-4)
    without = random_change(linear(torch.zeros(2, NUMBERS), bounds=None), images, 30.0)
    assert torch.equal(without, wide)


def test_a_random_change_leaves_its_input_and_the_random_numbers_of_others_alone():
    images, state = random_images(3), torch.get_rng_state()
    random_change(random_linear(), images, 0.4)
    assert torch.equal(images, random_images(3))
    assert torch.equal(torch.get_rng_state(), state)


# warning signs


def signs_of(attack, *, known: bool = True, epsilons=RADII) -> list[str]:
    """The warning signs for an attack on a linear network, of which every sentence is cut before the numbers."""
    model, images, labels, distances = linear_classes(bounds=None)
    found = warning_signs(model, images, labels, attack, epsilons, distances if known else None)
    return [sentence.split(":")[0] for sentence in found]


def wrong_way(model: Classifier, images: Tensor, epsilon: float) -> Tensor:
    return 2 * images - strong(model, images, epsilon)


def always_the_first(model: Classifier, images: Tensor, epsilon: float) -> Tensor:
    return strong(model, images, RADII[0])


def weaker_with_more_room(model: Classifier, images: Tensor, epsilon: float) -> Tensor:
    return strong(model, images, 0.01 / epsilon)


def at_most_the_third(model: Classifier, images: Tensor, epsilon: float) -> Tensor:
    return strong(model, images, min(epsilon, RADII[2]))


RANDOM, NEARER, MORE_ROOM = "random changes are stronger", "nearer errors are known", "a larger epsilon leaves more"
STILL = "with 12, where everything is allowed, it still leaves 85%"


@pytest.mark.parametrize("attack", [best_change, strong])
@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_said_against_a_good_attack(attack, known):
    assert signs_of(attack, known=known) == []
    with torch.no_grad():
        assert signs_of(attack, known=known) == []


def test_nothing_is_said_where_some_values_do_not_count():
    model, images, labels, _ = linear_classes(bounds=None)
    model = linear(model.net.weight * (torch.arange(NUMBERS) % 2), model.net.bias, bounds=None)
    labels = model(images).argmax(1)
    assert warning_signs(model, images, labels, best_change, RADII) == []


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (do_nothing, [RANDOM, NEARER, STILL]),
        (wrong_way, [RANDOM, NEARER, STILL]),
        (always_the_first, [RANDOM, NEARER, STILL.replace("85", "75")]),
        (at_most_the_third, [NEARER, STILL.replace("85", "8")]),
        (weaker_with_more_room, [MORE_ROOM, RANDOM, NEARER, STILL]),
    ],
)
def test_a_weak_attack_is_called_weak_for_the_right_reasons(attack, expected):
    assert signs_of(attack) == expected
    assert signs_of(attack, known=False) == [sentence for sentence in expected if sentence != NEARER]


def test_the_sentences_give_the_place_where_it_is_worst():
    model, images, labels, _ = linear_classes(bounds=None)
    first, second = (accuracy_under(model, images, labels, strong, 0.01 / epsilon) for epsilon in RADII[:2])
    more_room, *_ = warning_signs(model, images, labels, weaker_with_more_room, RADII)
    assert more_room == f"a larger epsilon leaves more: 0.1 leaves {first:.0%}, 0.3 leaves {second:.0%}"
    at_random = accuracy_under(model, images, labels, random_change, 12)
    stronger, *_ = warning_signs(model, images, labels, do_nothing, RADII)
    assert stronger == f"random changes are stronger: at 12 the attack leaves 85%, they leave {at_random:.0%}"


def test_what_is_known_is_compared_at_each_epsilon():
    model, images, labels, distances = linear_classes(bounds=None)
    signs = lambda known: warning_signs(model, images, labels, best_change, (0.3, 12.0), known)  # noqa: E731
    left, nearer = ((known > 0.3).double().mean().item() for known in (distances, distances / 2))
    assert left > nearer + 0.1
    assert signs(distances / 2) == [
        f"nearer errors are known: at 0.3 the attack leaves {left:.0%}, they leave {nearer:.0%}"
    ]
    assert signs(2 * distances) == []  # what is known is an upper bound


class Rounded(nn.Module):
    """A linear network of images rounded to eight levels: its gradient is zero, or there is none at all."""

    def __init__(self, net: nn.Module, *, detached: bool = False, share: float = 2.0):
        super().__init__()
        self.net, self.detached, self.share = net, detached, share

    def forward(self, images: Tensor) -> Tensor:
        images = images.detach() if self.detached else images
        chosen = images[:, :1, :1, :1] < self.share  # only images with a small first value are rounded
        return self.net(torch.where(chosen, images.mul(7).round() / 7, images))


def behind_levels(**settings) -> tuple[Classifier, Tensor, Tensor]:
    model, images, _, _ = linear_classes(bounds=(0.0, 1.0))
    quantised = Classifier(Rounded(model.net, **settings).eval(), None, SHAPE, prepare=False)
    return quantised, images, quantised(images).argmax(1)


def test_a_network_that_rounds_its_input_has_no_gradient_to_follow():
    model, images, labels = behind_levels()
    found = warning_signs(model, images, labels, strong, (0.3, 12.0))
    assert found[0] == "the gradient is zero for 100% of the images: an attack that follows it cannot move"
    assert found[1].startswith("random changes are stronger: at 12 the attack leaves 100%")
    assert found[2] == "with 12, where everything is allowed, it still leaves 100%"
    with torch.no_grad():
        assert warning_signs(model, images, labels, strong, (0.3, 12.0)) == found


def test_a_network_without_any_gradient_is_named_too():
    model, images, labels = behind_levels(detached=True)
    found = warning_signs(model, images, labels, do_nothing, (0.3, 12.0))
    assert found[0] == "the gradient is zero for 100% of the images: an attack that follows it cannot move"


def test_the_share_of_images_without_gradient_is_counted():
    images = linear_classes()[1]
    share = 0.5
    model, images, labels = behind_levels(share=share)
    dead = (images[:, 0, 0, 0] < share).double().mean().item()
    assert 0.2 < dead < 0.8
    found = warning_signs(model, images, labels, strong, (0.3, 12.0))
    assert found[0] == f"the gradient is zero for {dead:.0%} of the images: an attack that follows it cannot move"


@pytest.mark.parametrize("epsilons", [[1.0], [1.0, 0.5], [0.5, 0.5], [0.0, 1.0], [-1.0, 1.0]])
def test_epsilons_that_do_not_increase_from_above_0_raise_with_their_values(epsilons):
    model, images, labels, _ = linear_classes()
    with pytest.raises(ValueError, match="epsilons must be two or more increasing numbers above 0, got ") as raised:
        warning_signs(model, images, labels, strong, epsilons)
    assert str(raised.value).endswith(str(epsilons))


def test_an_attack_that_leaves_the_ball_is_no_evaluation_and_nothing_is_modified():
    model, images, labels, distances = linear_classes(bounds=None)
    before = [x.clone() for x in (images, labels, distances)]
    state = torch.get_rng_state()
    warning_signs(model, images, labels, strong, RADII, distances)
    assert all(torch.equal(x, y) for x, y in zip((images, labels, distances), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert images.grad is None and not images.requires_grad
    with pytest.raises(ValueError, match=r"moved an image by 0\.2"):
        warning_signs(model, images, labels, lambda m, x, e: best_change(m, x, 2 * e), RADII)
