"""Eight bits, files and distances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fooling_utils import (
    blank,
    distances,
    from_uint8,
    load_image,
    round_to_8bit,
    save_png,
    through_jpeg,
    to_uint8,
    uniform_noise,
)
from fooling_utils.images import grey_levels
from nets import random_images

# 8 bit, there and back

values = arrays(np.float32, (1, 3, 4, 4), elements=st.floats(0, 1, width=32))


@given(values)
def test_rounding_moves_a_value_by_half_a_grey_level_at_most_and_only_once(array):
    image = torch.from_numpy(array)
    rounded = round_to_8bit(image)
    assert (rounded - image).abs().max() <= 0.5001 / 255
    assert torch.equal(round_to_8bit(rounded), rounded)


def test_all_256_grey_levels_survive():
    every = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    assert torch.equal(to_uint8(from_uint8(every)), every)


@pytest.mark.parametrize("size", [1, 8, 33])
def test_a_saved_image_comes_back_exactly(tmp_path, size):
    image = uniform_noise(size=size)
    save_png(image, tmp_path / "image.png")
    assert torch.equal(load_image(tmp_path / "image.png", size), round_to_8bit(image))


def test_only_one_image_fits_into_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"one image .*got \(2, 3, 8, 8\): use image\[i : i \+ 1\]"):
        save_png(uniform_noise(2, 8), tmp_path / "image.png")


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (
            torch.full((1, 3, 4, 4), 1.5),
            ValueError,
            r"be in \[0, 1\], got 1\.5 to 1\.5: use image\.clamp\(0, 1\) to cut",
        ),
        (torch.full((1, 3, 4, 4), 1.02), ValueError, r"got 1\.02 to 1\.02: use image\.clamp\(0, 1\)$"),
        (torch.full((1, 3, 4, 4), 200.0), ValueError, "grey levels from 0 to 255, so use image / 255"),
        (torch.tensor([-1.0, 0.9]).expand(1, 3, 4, 2), ValueError, r"from -1 to 1, so use \(image \+ 1\) / 2"),
        (torch.tensor([-2.1, 2.6]).expand(1, 3, 4, 2), ValueError, "normalised .* leave it out, or use image .* std"),
        (
            torch.tensor([0.0, 60_000]).expand(1, 3, 4, 2),
            ValueError,
            "grey levels from 0 to 65535, so use image / 65535",
        ),
        (
            torch.tensor([-70.0, 500]).expand(1, 3, 4, 2),
            ValueError,
            "500: scale it, so that 0 is black and 1 is white",
        ),
        (torch.full((1, 3, 4, 4), 1.7), ValueError, "1.7: scale it, so that 0 is black"),  # clamp would make it white
        (torch.rand(1, 3, 4, 4).to_sparse(), TypeError, r"sparse tensor: use image\.to_dense"),
        (torch.rand(1, 3, 4, 4).to(torch.complex64), TypeError, r"got torch\.complex64"),
        (
            torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
            TypeError,
            "got torch.uint8 with maximum 0: use fooling_utils.from_uint8",
        ),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), TypeError, r"got torch.int64.*use image\.float\(\)"),
        (torch.zeros(3, 4, 4), ValueError, r"got \(3, 4, 4\): image\[None\] makes a batch of one"),
        (torch.zeros(4, 4), ValueError, r"got \(4, 4\): the first dimension is the batch"),
    ],
)
def test_only_images_can_be_converted_to_uint8(image, kind, message):
    with pytest.raises(kind, match=message):
        to_uint8(image)


def test_only_uint8_can_be_converted_from_uint8():
    with pytest.raises(TypeError, match=r"images must be a tensor of uint8, got a tensor of shape .*float32"):
        from_uint8(torch.zeros(1, 3, 4, 4))


def test_jpeg_changes_little_at_high_quality_and_more_at_low():
    image = load_image("coffee", 64)
    rms = [distances(image, through_jpeg(image, quality)).rms_grey_levels for quality in (95, 75, 25, 5)]
    assert rms == sorted(rms)
    assert 0 < rms[0] < 8
    assert rms[3] > 16


def test_jpeg_of_a_batch_is_that_of_its_members_on_the_8_bit_grid():
    batch = uniform_noise(3, 16)
    compressed = through_jpeg(batch, 50)
    assert torch.equal(compressed, torch.cat([through_jpeg(one, 50) for one in batch.split(1)]))
    assert torch.equal(compressed, round_to_8bit(compressed))


@pytest.mark.parametrize("quality", [0, 96, -5])
def test_jpeg_has_no_quality_outside_its_range(quality):
    with pytest.raises(ValueError, match=f"quality must be a whole number from 1 to 95, got {quality}"):
        through_jpeg(uniform_noise(size=8), quality)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_are_saved_and_compressed_as_grey(tmp_path, channels):
    image = uniform_noise(size=16)[:, :channels]
    save_png(image, tmp_path / "image.png")
    loaded = load_image(tmp_path / "image.png", 16)
    assert torch.equal(loaded, round_to_8bit(image).expand(1, 3, 16, 16))
    assert through_jpeg(image, 95).shape == image.shape
    with pytest.raises(ValueError, match=r"got \(1, 2, 16, 16\): a picture has three colours or is grey"):
        save_png(uniform_noise(size=16)[:, :2], tmp_path / "image.png")
    assert torch.equal(load_image(tmp_path / "image.png", 16), loaded), "the old file stays"


# distances


def test_distances_by_hand():
    black, other = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    other[0, :, 1, 2] = 51 / 255  # three of 48 values change by a fifth
    found = distances(black, other)
    assert found.l2 == pytest.approx((3 * 0.2**2) ** 0.5)
    assert found.linf_grey_levels == pytest.approx(51)
    assert found.rms_grey_levels == pytest.approx(51 / 4)
    assert found.changed_share == pytest.approx(3 / 48)
    assert 0 < found.ssim < 1


def test_a_change_that_does_not_survive_8_bit_counts_as_none():
    image = blank(100 / 255, size=8)
    assert distances(image, image + 0.4 / 255).changed_share == 0
    assert distances(image, image + 0.6 / 255).changed_share == 1


def test_ssim_is_that_of_the_literature():
    # equal means and opposite patterns: luminance 1, contrast 1, structure -1, up to the constants
    stripes = (torch.arange(16) % 2).float().expand(1, 3, 16, 16)
    assert distances(0.25 + 0.5 * stripes, 0.75 - 0.5 * stripes).ssim == pytest.approx(-1, abs=0.05)


@given(values, values)
def test_distances_are_symmetric_and_zero_for_equal_images_alone(first, second):
    a, b = torch.from_numpy(first), torch.from_numpy(second)
    there, back = distances(a, b), distances(b, a)
    assert there == pytest.approx(back)
    assert min(there[:4]) >= 0
    assert (there.l2 == 0) == (there.linf_grey_levels == 0) == (there.rms_grey_levels == 0) == torch.equal(a, b)
    same = distances(a, a)
    assert same[:4] == (0, 0, 0, 0)
    assert same.ssim == pytest.approx(1)


@given(values, values, values)
def test_distances_obey_the_triangle_inequality(first, second, third):
    a, b, c = map(torch.from_numpy, (first, second, third))
    for direct, one, two in list(zip(distances(a, c), distances(a, b), distances(b, c), strict=True))[:3]:
        assert direct <= (one + two) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 3, 8, 8), (1, 3, 8, 9)), ((2, 3, 8, 8), (2, 3, 8, 8)), ((1, 3, 2, 8), (1, 3, 2, 8))],
)
def test_distances_need_one_image_and_one_of_the_same_shape(first, second):
    with pytest.raises(ValueError, match=r"two single images of at least 3 x 3 pixels, got shapes \("):
        distances(torch.zeros(first), torch.zeros(second))


def test_distances_refuse_what_is_no_image():
    with pytest.raises(ValueError, match=r"original must be in \[0, 1\]"):
        distances(2 * random_images(), random_images())
    with pytest.raises(TypeError, match="image must be float32"):
        distances(random_images(), random_images().double())


def test_a_change_of_one_grey_level_everywhere_is_one_grey_level_long():
    images = random_images(2)
    assert grey_levels(images) * torch.full((3, 4, 4), 1 / 255).norm().item() == pytest.approx(1)
