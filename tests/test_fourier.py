"""Images as waves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fooling_utils import adam_step, fourier_decode, fourier_encode, fourier_start, logit, optimize_pixels, random_views
from fooling_utils.data import make
from fooling_utils.fourier import COLOURS
from nets import linear

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
    with pytest.raises(ValueError, match="height must be a whole number and at least 2, got 1"):
        fourier_decode(1)


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
