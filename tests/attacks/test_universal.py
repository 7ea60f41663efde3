"""One change, and one patch, for all pictures."""

import pytest
import torch
from torch import Tensor

from fooling_utils import Classifier, adam_step, linf_ball, optimize_pixels, toward
from fooling_utils.attacks.universal import add_to_all, lay_on_all, patched, universally
from nets import generator, linear, random_images

SHAPE = (3, 16, 16)


def reddish() -> Classifier:
    """A network whose three classes are the three colours."""
    colours = torch.eye(3).repeat_interleave(256, 1) / 256
    return linear(20 * colours, shape=SHAPE)


def test_universally_adds_the_change_around_grey_and_clamps():
    images, change = random_images(4, 16, low=0, high=1), torch.full((1, *SHAPE), 0.5)
    assert torch.allclose(universally(images, change), images, atol=1e-6)
    change[:, 0], change[:, 1] = 0.8, 0.1
    found = universally(images, change)
    expected = images + torch.tensor([0.3, -0.4, 0.0]).view(3, 1, 1)
    assert (expected > 1).any() and (expected < 0).any()
    assert torch.allclose(found, expected.clamp(0, 1), atol=1e-6)
    assert torch.equal(images, random_images(4, 16, low=0, high=1))


def test_a_universal_change_turns_all_pictures_to_the_class_in_the_loop():
    model, scenes = reddish(), random_images(20, 16, low=0.2, high=0.8)
    grey = torch.full((1, *SHAPE), 0.5)
    frames = list(
        optimize_pixels(
            model,
            grey,
            toward(2),
            view=add_to_all(scenes),
            step=adam_step(0.02),
            constraint=linf_ball(grey, 0.1),
            steps=20,
        )
    )
    assert frames[-1].score.item() > frames[0].score.item() + 0.5
    change = frames[-1].image - 0.5
    assert change[0, 2].min().item() == pytest.approx(0.1, abs=1e-5)
    assert change[0, :2].max().item() == pytest.approx(-0.1, abs=1e-5)
    assert (model(universally(scenes, frames[-1].image)).argmax(1) == 2).all()
    assert torch.equal(scenes, random_images(20, 16, low=0.2, high=0.8))


def test_a_patch_turns_all_pictures_to_the_class_in_the_loop():
    model, scenes = reddish(), random_images(20, 16, low=0.4, high=0.6)
    start = torch.full((1, 3, 6, 6), 0.5)
    frames = list(optimize_pixels(model, start, toward(1), view=lay_on_all(scenes), step=adam_step(0.1), steps=15))
    assert frames[-1].score.item() > frames[0].score.item() + 0.5
    assert frames[-1].image[0, 1].min() > 0.99 and frames[-1].image[0, ::2].max() < 0.01
    assert (model(patched(scenes, frames[-1].image, generator())).argmax(1) == 1).all()
    assert torch.equal(scenes, random_images(20, 16, low=0.4, high=0.6))


@pytest.mark.parametrize("view", [lay_on_all, add_to_all])
def test_a_view_shows_so_many_scenes_at_random_and_all_of_them_in_time(view):
    scenes = torch.linspace(0.1, 0.9, 5).view(5, 1, 1, 1).expand(5, *SHAPE)
    variable = torch.full((1, 3, 2, 2), 0.5) if view is lay_on_all else torch.full((1, *SHAPE), 0.5)
    source = generator()
    shown = [view(scenes, count=3)(variable, source).flatten(1).median(1).values for _ in range(40)]
    assert [len(each) for each in shown] == [3] * 40
    assert len(torch.cat(shown).unique()) == 5
    assert len({tuple(each.tolist()) for each in shown}) > 20
    assert view(scenes)(variable, generator()).shape == (8, *SHAPE)
    assert torch.equal(view(scenes)(variable, generator(1)), view(scenes)(variable, generator(1)))
    state = torch.get_rng_state()
    view(scenes)(variable, source)
    assert torch.equal(torch.get_rng_state(), state)


def places(covered: Tensor, height: int, width: int) -> list[tuple[int, int]]:
    """Where the patches of twos lie; every other value must be one."""
    found = []
    for image in covered:
        mask = image == 2
        assert mask.sum() == 3 * height * width
        top, left = mask[0].nonzero()[0].tolist()
        assert mask[:, top : top + height, left : left + width].all()
        assert (image[~mask] == 1).all()
        found.append((top, left))
    return found


def test_a_patch_is_wholly_inside_anywhere_and_the_rest_is_as_it_was():
    images, patch = torch.ones(600, 3, 6, 7), torch.full((1, 3, 4, 6), 2.0)
    found = places(patched(images, patch, generator()), 4, 6)
    counts = [found.count((top, left)) for top in range(3) for left in range(2)]
    assert sum(counts) == 600
    assert min(counts) > 60, "also in the corners, and everywhere about as often"
    assert torch.equal(images, torch.ones(600, 3, 6, 7)) and torch.equal(patch, torch.full((1, 3, 4, 6), 2.0))
    assert set(places(patched(images[:50], torch.full((1, 3, 6, 7), 2.0), generator()), 6, 7)) == {(0, 0)}


def test_a_patch_lies_upright_with_all_its_values_by_the_seed():
    images, patch = random_images(5, 16), torch.arange(24.0).view(1, 3, 2, 4)
    covered = patched(images, patch, generator(1))
    for image in covered:
        top, left = (image[0] == 1).nonzero()[0].tolist()
        assert torch.equal(image[:, top : top + 2, left - 1 : left + 3], patch[0])
    assert torch.equal(patched(images, patch, generator(1)), covered)
    assert not torch.equal(patched(images, patch, generator(2)), covered)


def test_a_patch_has_the_gradient_of_every_picture_that_it_lies_on():
    patch = torch.rand(1, 3, 4, 5, generator=generator()).requires_grad_()
    (gradient,) = torch.autograd.grad(patched(random_images(7, 16), patch, generator()).sum(), patch)
    assert torch.equal(gradient, torch.full((1, 3, 4, 5), 7.0))


@pytest.mark.parametrize(("height", "width"), [(17, 2), (2, 17)])
def test_a_patch_that_is_larger_than_a_picture_is_refused(height, width):
    with pytest.raises(ValueError, match=rf"{height} x {width} does not fit .* \(16, 16\)"):
        patched(random_images(3, 16), torch.zeros(1, 3, height, width), generator())
