"""L-BFGS with a search for the weight of the change, on linear networks where the smallest change is known."""

import math

import pytest
import torch

from fooling_utils import lbfgs_frames
from fooling_utils.optimize import ZeroGradient
from nets import NUMBERS, by_lbfgs, linear, margins, random_images, two_classes


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("margin", [-0.2, -1.0])
def test_lbfgs_finds_nearly_the_smallest_change_that_crosses_the_boundary(scale, margin):
    model, image, difference = two_classes(scale, margin)
    to_boundary = -margin / difference.norm().item()
    result = by_lbfgs(model, image, 1, rounds=10)
    assert margins(model, result) > 0
    assert to_boundary <= (result - image).norm().item() <= 1.05 * to_boundary


def test_the_frames_of_lbfgs_get_smaller_and_every_one_is_what_it_says():
    model, image, _ = two_classes()
    model.net.backwards[0] = 0
    results = []
    for found in lbfgs_frames(model, image, 1, rounds=6):
        results.append(found)
        assert found.gradients == model.net.backwards[0]
    assert len(results) == 6
    norms = [found.size.item() for found in results]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < norms[0]
    for found in results:
        assert (found.image - image).norm().item() == pytest.approx(found.size.item(), rel=1e-4)
        assert torch.allclose(found.logits, model(found.image), atol=1e-5)
        assert margins(model, found.image) > 0


def test_changing_a_frame_of_lbfgs_does_not_change_the_run():
    model, image, _ = two_classes()
    undisturbed = [found.logits for found in lbfgs_frames(model, image, 1)]
    disturbed = []
    for found in lbfgs_frames(model, image, 1):
        disturbed.append(found.logits.clone())
        for tensor in (found.image, found.tried, found.logits, found.size):
            tensor.zero_()
    assert torch.equal(torch.cat(disturbed), torch.cat(undisturbed))


def test_an_impossible_target_gives_the_unchanged_image_and_ends():
    constant = linear(torch.zeros(2, NUMBERS), torch.tensor([1.0, 0.0]))
    image = random_images()
    constant.net.forwards[0] = 0
    with pytest.warns(ZeroGradient):
        results = list(lbfgs_frames(constant, image, 1, rounds=3, evaluations=10))
    assert len(results) == 3
    assert constant.net.forwards[0] < 100
    for found in results:
        assert torch.equal(found.image, image)
        assert found.size.tolist() == [math.inf]
    with pytest.warns(ZeroGradient):
        assert torch.equal(by_lbfgs(constant, image, 1, rounds=3), image)


def test_lbfgs_works_without_bounds(plane):
    result = by_lbfgs(plane, torch.tensor([[-3.0, 1.0]]), 1)
    assert result[0, 0].item() == pytest.approx(0, abs=0.1)
    assert result[0, 0] > 0
    assert result[0, 1].item() == pytest.approx(1, abs=1e-3)


def test_lbfgs_needs_a_target(three_classes):
    with pytest.raises(TypeError, match="a class must be a name or an index, got None"):
        by_lbfgs(three_classes, random_images(), None)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda m, x: lbfgs_frames(m, x, 0), "lbfgs_frames takes one image and got 2: use image"),
        (lambda m, x: lbfgs_frames(m, x[:1], 2, rounds=0), "rounds must be a whole number and at least 1, got 0"),
        (
            lambda m, x: lbfgs_frames(m, x[:1], 2, evaluations=0),
            "evaluations must be a whole number and at least 1, got 0",
        ),
    ],
)
def test_what_cannot_work_raises_with_the_value_and_the_way_out(attack, message):
    model = linear(torch.zeros(3, NUMBERS), torch.tensor([1.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match=message):
        attack(model, random_images(2))
