"""Attacks on a linear network, where the best change of every size is known."""

import pytest
import torch

from fooling_utils import fgsm, pgd, pixel_range, sign_step
from fooling_utils.attacks import gradient
from fooling_utils.steps import Step
from nets import NUMBERS, by_lbfgs, linear, margins, random_images, random_linear, two_classes

EPSILON = 0.05


def sizes(change: torch.Tensor, norm: str) -> torch.Tensor:
    flat = change.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


# what is best


def check_fgsm_is_optimal() -> None:
    model, image, difference = two_classes()
    for target in (1, None):
        result = fgsm(model, image, EPSILON, target)
        assert sizes(result - image, "linf").item() == pytest.approx(EPSILON, rel=1e-4)
        gain = (margins(model, result) - margins(model, image)).item()
        assert gain == pytest.approx(EPSILON * difference.abs().sum().item(), rel=1e-4)


def check_pgd_is_optimal(norm: str) -> None:
    model, image, difference = two_classes()
    best = {"linf": difference.abs().sum(), "l2": difference.norm()}[norm].item() * EPSILON
    for target in (1, None):
        result = pgd(model, image, EPSILON, target, norm=norm)
        assert sizes(result - image, norm).item() <= EPSILON * (1 + 1e-4)
        gain = (margins(model, result) - margins(model, image)).item()
        assert 0.99 * best <= gain <= best * (1 + 1e-4)


def test_fgsm_is_the_best_change_of_its_size_on_a_linear_network():
    check_fgsm_is_optimal()


def test_no_other_change_of_that_size_gains_more_than_fgsm():
    model, image, _ = two_classes()
    best = margins(model, fgsm(model, image, EPSILON, 1))
    changes = EPSILON * (2 * torch.rand(1000, 3, 4, 4, generator=torch.Generator().manual_seed(0)) - 1)
    assert (margins(model, image + changes) < best).all()
    assert (margins(model, image + EPSILON * changes.sign()) < best).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_reaches_the_best_change_in_its_ball_on_a_linear_network(norm):
    check_pgd_is_optimal(norm)


# planted mistakes must be seen by the checks above


def wrong_way(size: float) -> Step:
    rule = sign_step(size)
    return Step(rule.init, lambda gradient, state: rule.move(-gradient, state))


def without_norm(size: float) -> Step:
    return Step(lambda variable: None, lambda gradient, state: (size * gradient, state))


def half_of_it(size: float) -> Step:
    rule = sign_step(size)
    half = (torch.arange(NUMBERS) % 2).view(1, 3, 4, 4)
    return Step(rule.init, lambda gradient, state: rule.move(gradient * half, state))


@pytest.mark.parametrize("mistake", [wrong_way, without_norm, half_of_it])
def test_the_check_of_fgsm_rejects_a_wrong_step(monkeypatch, mistake):
    monkeypatch.setattr(gradient, "sign_step", mistake)
    with pytest.raises(AssertionError):
        check_fgsm_is_optimal()


@pytest.mark.parametrize(
    ("norm", "name", "mistake"),
    [
        ("linf", "sign_step", wrong_way),
        ("l2", "unit_step", wrong_way),
        ("l2", "unit_step", sign_step),
        ("linf", "linf_ball", lambda centre, radius: pixel_range()),
        ("l2", "l2_ball", lambda centre, radius: pixel_range()),
        ("l2", "l2_ball", gradient.linf_ball),
    ],
)
def test_the_check_of_pgd_rejects_a_wrong_step_and_a_wrong_ball(monkeypatch, norm, name, mistake):
    monkeypatch.setattr(gradient, name, mistake)
    with pytest.raises(AssertionError):
        check_pgd_is_optimal(norm)


# all attacks

ATTACKS = {
    "fgsm": lambda model, images, target: fgsm(model, images, 0.1, target),
    "pgd linf": lambda model, images, target: pgd(model, images, 0.1, target, steps=5),
    "pgd l2": lambda model, images, target: pgd(model, images, 0.5, target, norm="l2", steps=5),
    "lbfgs": lambda model, images, target: by_lbfgs(model, images, target, rounds=4, evaluations=15),
}


def other_classes(model, images: torch.Tensor) -> list[int]:
    """For each image a class that it is not, not the same one for all."""
    now = model(images).argmax(1).tolist()
    return [(label + 1 + i % 2) % 3 for i, label in enumerate(now)]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_batch_is_its_members_one_by_one(three_classes, name):
    images = random_images(4)
    targets = other_classes(three_classes, images)
    assert len(set(targets)) > 1
    together = ATTACKS[name](three_classes, images, targets)
    alone = [ATTACKS[name](three_classes, images[i : i + 1], targets[i]) for i in range(4)]
    assert together.shape == images.shape
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_moves_toward_its_targets_and_modifies_nothing(three_classes, name):
    images = random_images(4)
    before, targets = images.clone(), other_classes(three_classes, images)
    result = ATTACKS[name](three_classes, images, targets)
    members = range(4)
    assert (three_classes(result).log_softmax(1)[members, targets]
            > three_classes(images).log_softmax(1)[members, targets]).all()  # fmt: skip
    assert torch.equal(images, before)
    assert not result.requires_grad


@pytest.mark.parametrize("name", ["fgsm", "pgd linf", "pgd l2"])
def test_without_a_target_an_attack_leaves_the_class_of_each_image(three_classes, name):
    images = random_images(4)
    now = three_classes(images).argmax(1)
    result = ATTACKS[name](three_classes, images, None)
    assert (
        three_classes.probabilities(result)[range(4), now] < three_classes.probabilities(images)[range(4), now]
    ).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_targets_may_be_a_tensor(three_classes, name):
    images = random_images(2)
    targets = other_classes(three_classes, images)
    expected = ATTACKS[name](three_classes, images, targets)
    assert torch.equal(ATTACKS[name](three_classes, images, torch.tensor(targets)), expected)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_result_is_a_legal_image(name):
    model, images = random_linear(), random_images(4, low=0, high=1)
    targets = other_classes(model, images)
    for result in (ATTACKS[name](model, images, targets), fgsm(model, images, 0.9), pgd(model, images, 9.0, norm="l2")):
        assert result.min() >= 0
        assert result.max() <= 1


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_works_where_gradients_are_switched_off(three_classes, name):
    images = random_images(2)
    targets = other_classes(three_classes, images)
    expected = ATTACKS[name](three_classes, images, targets)
    with torch.no_grad():
        assert torch.equal(ATTACKS[name](three_classes, images, targets), expected)


def test_an_attack_costs_one_backward_pass_per_step():
    model = random_linear()
    for attack, steps in (
        (lambda: fgsm(model, random_images(), 0.1), 1),
        (lambda: pgd(model, random_images(), 0.1), 20),
    ):
        model.net.backwards[0] = 0
        attack()
        assert model.net.backwards == [steps]


def test_the_step_size_of_pgd_can_be_chosen(three_classes):
    image = random_images()
    result = pgd(three_classes, image, 0.1, steps=2, step_size=0.01)
    assert sizes(result - image, "linf").item() == pytest.approx(0.02, rel=1e-4)


# L-BFGS


# bad input


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda m, x: fgsm(m, x, 0), "epsilon must be greater than 0, got 0"),
        (lambda m, x: fgsm(m, x, -0.1), "epsilon must be greater than 0, got -0.1"),
        (lambda m, x: fgsm(m, x, float("nan")), "epsilon must be greater than 0, got nan"),
        (lambda m, x: fgsm(m, x, 8), "must be in pixel units, where white is 1, got 8: for grey levels, use 8/255"),
        (lambda m, x: pgd(m, x, 8), "in pixel units, where white is 1, got 8: for grey levels, use 8/255"),
        (lambda m, x: pgd(m, x, 2.5), "for grey levels, use 2.5/255"),
        (lambda m, x: pgd(m, x, 8, step_size=0.01), "for grey levels, use 8/255"),
        (lambda m, x: pgd(m, x, 0, norm="l2"), "epsilon must be greater than 0, got 0"),
        (lambda m, x: pgd(m, x, -1, norm="l2", step_size=0.1), "epsilon must be greater than 0, got -1"),
        (lambda m, x: pgd(m, x, 0.1, norm="L2"), "norm must be one of linf, l2, got 'L2'"),
        (lambda m, x: pgd(m, x, 0.1, steps=0), "steps must be a whole number and at least 1, got 0"),
        (lambda m, x: pgd(m, x, 0.1, step_size=-1), "size must be greater than 0, got -1"),
        (lambda m, x: pgd(m, x, 0.1, [0, 1, 2]), "3 classes are named for 2 images"),
        (lambda m, x: fgsm(m, x, 0.1, "class 7"), "no class is called 'class 7'"),
        (lambda m, x: fgsm(m, x * 255, 0.1), r"image must be in \[0, 1\].*so use image / 255"),
    ],
)
def test_what_cannot_work_raises_with_the_value_and_the_way_out(attack, message):
    model = linear(torch.zeros(3, NUMBERS), torch.tensor([0.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match=message):
        attack(model, random_images(2))


@pytest.mark.parametrize("name", ATTACKS)
def test_the_class_that_an_image_is_already_is_no_target(three_classes, name):
    images = random_images(2)
    targets = other_classes(three_classes, images)
    targets[1] = three_classes(images).argmax(1)[1].item()
    where = "0" if name == "lbfgs" else "1"  # lbfgs takes one image after the other
    with pytest.raises(ValueError, match=rf"image {where} is already 'class {targets[1]}': choose another target"):
        ATTACKS[name](three_classes, images, targets)
