"""The Fourier parameterisation and random views."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fooling_utils import adam_step, fourier_decode, fourier_encode, fourier_start, logit, optimize_pixels, random_views
from fooling_utils.data import make
from fooling_utils.fourier import COLOURS
from nets import linear, random_images

# ------------------------------------------------------------------------------------------------- coordinates and back

sizes = st.tuples(st.integers(2, 17), st.integers(2, 17))


@given(size=sizes, decay=st.floats(0, 2), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_decode_gives_back_what_was_encoded(size, decay, seed):
    images = 0.1 + 0.8 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))
    again = fourier_decode(size, decay=decay)(fourier_encode(images, decay=decay))
    assert torch.allclose(again, images, atol=1e-4)


def test_black_and_white_come_back_half_a_grey_level_off():
    images = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    again = fourier_decode(8)(fourier_encode(images))
    assert (again - images).abs().max() < 0.6 / 255


@given(size=sizes)
@settings(deadline=None, max_examples=20)
def test_a_start_fits_its_decoder_and_every_image_is_legal(size):
    images = fourier_decode(size)(fourier_start(2, size, std=3))
    assert images.shape == (2, 3, *size)
    assert images.min() >= 0 and images.max() <= 1


def test_no_waves_are_grey():
    assert torch.allclose(fourier_decode(8)(fourier_start(1, 8, std=0)), torch.full((1, 3, 8, 8), 0.5))


def test_one_wave_is_that_wave():
    variable = torch.zeros(1, 3, 16, 9, 2)
    variable[0, 0, 0, 2, 0] = 1  # brightness, two periods from left to right
    image = fourier_decode(16)(variable)
    spectrum = torch.fft.rfft2(image[0, 0].logit()).abs()
    assert spectrum.argmax().item() == 2
    assert spectrum.flatten().sort().values[-2] < 1e-3 * spectrum.max()


@pytest.mark.parametrize("decay", [0, 1, 1.3])
def test_energy_falls_with_frequency_as_asked_and_the_contrast_is_std(decay):
    size = 64
    images = fourier_decode(size, decay=decay)(fourier_start(50, size, std=0.2, device="cpu"))
    mixtures = torch.einsum("cr,nrhw->nchw", torch.linalg.inv(torch.tensor(COLOURS)), images.logit())
    assert mixtures.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.1)
    power = torch.fft.rfft2(mixtures).abs().square().mean((0, 1))[0, 2:30]  # 28 frequencies along one axis
    slope = np.polyfit(np.log(np.arange(2, 30)), np.log(power.numpy()), 1)[0]
    assert slope == pytest.approx(-2 * decay, abs=0.2)


def test_the_colours_are_those_of_the_photographs():
    assert torch.allclose(make.colours(), torch.tensor(COLOURS).double(), atol=0.02)


def test_a_decoder_of_another_size_says_so_at_the_call():
    model = linear(torch.zeros(2, 3 * 8 * 8), shape=(3, 8, 8))
    with pytest.raises(ValueError, match="give fourier_start and fourier_decode the same size"):
        optimize_pixels(model, fourier_start(1, 16), logit(0), decode=fourier_decode(8))
    with pytest.raises(ValueError, match="size must be at least 2 pixels, got 1"):
        fourier_decode(1)


# --------------------------------------------------------------------------------------------------------------- views


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_motion_a_view_is_the_image():
    images = random_images(2, 8)
    assert torch.allclose(random_views(shift=0, degrees=0, zoom=0)(images, draws()), images, atol=1e-5)


def test_a_shift_moves_the_image_and_fills_the_rest():
    image = torch.zeros(1, 3, 9, 9)
    image[..., 4, 4] = 1
    where = set()
    for seed in range(40):
        view = random_views(shift=2 / 9, degrees=0, zoom=0, fill=0)(image, draws(seed))
        centre = (view[0, 0] * torch.arange(9.0)).sum() / view[0, 0].sum()
        assert 1.9 <= centre <= 6.1
        where.add(round(centre.item()))
    assert {2, 6} & where and len(where) >= 4
    filled = random_views(shift=0.3, degrees=0, zoom=0, fill=0.25)(torch.ones(1, 3, 9, 9), draws(3))
    assert filled.min().item() == pytest.approx(0.25)


def area_and_direction(view):
    """The sum of a view, and the angle in degrees of its longest axis from the horizontal."""
    weight = view[0, 0] / view[0, 0].sum()
    y, x = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")
    cross, across, down = ((weight * part).sum() for part in (x * y, x * x, y * y))
    return view[0, 0].sum().item(), torch.rad2deg(torch.atan2(2 * cross, across - down) / 2).item()


def test_turns_and_zooms_go_as_far_as_asked_and_no_further():
    bar = torch.zeros(1, 3, 41, 41)
    bar[..., 19:22, 10:31] = 1
    area, _ = area_and_direction(bar)
    turns, zooms = [], []
    for seed in range(40):
        turns.append(area_and_direction(random_views(shift=0, degrees=30, zoom=0, fill=0)(bar, draws(seed)))[1])
        zooms.append(area_and_direction(random_views(shift=0, degrees=0, zoom=0.2, fill=0)(bar, draws(seed)))[0] / area)
    assert -31 < min(turns) < -20 and 20 < max(turns) < 31
    assert 1 / 1.5 < min(zooms) < 0.8 and 1.25 < max(zooms) < 1.5  # the area goes with the square: 1.44


def test_views_come_in_blocks_and_treat_all_images_alike():
    images = random_images(1, 8).repeat(3, 1, 1, 1)
    views = random_views(4)(images, draws())
    assert views.shape == (12, 3, 8, 8)
    for block in views.split(3):
        assert torch.equal(block[0], block[1])
    assert not torch.allclose(views[0], views[3], atol=1e-3)


def test_views_follow_the_generator_alone():
    images = random_images(2, 8)
    first = random_views(2)(images, draws(5))
    torch.manual_seed(123)
    assert torch.equal(first, random_views(2)(images, draws(5)))
    assert not torch.equal(first, random_views(2)(images, draws(6)))


def test_a_gradient_flows_through_views_of_any_shape():
    image = torch.rand(1, 3, 10, 14).requires_grad_()
    (gradient,) = torch.autograd.grad(random_views(3)(image, draws()).sum(), image)
    assert gradient.isfinite().all() and gradient[..., 5, 7].min() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count must be a whole number and at least 1, got 0"),
        ({"count": 1.5}, "count must be a whole number"),
        ({"shift": -1}, "shift must be 0 or more, got -1"),
        ({"zoom": float("nan")}, "zoom must be 0 or more"),
    ],
)
def test_views_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        random_views(**settings)


# ------------------------------------------------------------------------------------------------------------ together


def test_a_run_through_waves_and_views_is_the_same_again_and_depends_on_the_seed(model):
    def run(seed):
        choices = {"decode": fourier_decode(32), "view": random_views(), "step": adam_step(0.1)}
        frames = optimize_pixels(model, fourier_start(1, 32), logit("ostrich"), **choices, steps=4, seed=seed)
        return list(frames)[-1].image

    again = (run(0) - run(0)).abs().mean()  # two threads may add up in another order, and Adam magnifies that
    assert again < 0.01 * (run(0) - run(1)).abs().mean()


def test_waves_and_views_raise_the_logit_of_the_real_network(model):
    choices = {"decode": fourier_decode((48, 64)), "view": random_views(), "step": adam_step(0.1)}
    frames = list(optimize_pixels(model, fourier_start(1, (48, 64)), logit("ostrich"), **choices, steps=15))
    index = model.index("ostrich")
    assert frames[-1].logits[0, index] > frames[0].logits[0, index] + 3
