"""Random views, and filters in front of a network."""

import pytest
import torch

from fooling_utils import round_to_8bit
from fooling_utils.defences.transforms import DEFENCES
from fooling_utils.images import through_jpeg
from fooling_utils.views import blurred, quantised, random_views, recompressed, straight_through
from nets import generator, random_images

# random views


def test_without_motion_a_view_is_the_image():
    images = random_images(2, 8)
    assert torch.allclose(random_views(shift=0, degrees=0, zoom=0)(images, generator()), images, atol=1e-5)


def test_a_shift_moves_the_image_and_fills_the_rest():
    image = torch.zeros(1, 3, 9, 9)
    image[..., 4, 4] = 1
    where = set()
    for seed in range(40):
        view = random_views(shift=2 / 9, degrees=0, zoom=0, fill=0)(image, generator(seed))
        centre = (view[0, 0] * torch.arange(9.0)).sum() / view[0, 0].sum()
        assert 1.9 <= centre <= 6.1
        where.add(round(centre.item()))
    assert {2, 6} & where and len(where) >= 4
    filled = random_views(shift=0.3, degrees=0, zoom=0, fill=0.25)(torch.ones(1, 3, 9, 9), generator(3))
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
        turns.append(area_and_direction(random_views(shift=0, degrees=30, zoom=0, fill=0)(bar, generator(seed)))[1])
        zooms.append(
            area_and_direction(random_views(shift=0, degrees=0, zoom=0.2, fill=0)(bar, generator(seed)))[0] / area
        )
    assert -31 < min(turns) < -20 and 20 < max(turns) < 31
    assert 1 / 1.5 < min(zooms) < 0.8 and 1.25 < max(zooms) < 1.5  # the area goes with the square: 1.44


def test_views_come_in_blocks_and_treat_all_images_alike():
    images = random_images(1, 8).repeat(3, 1, 1, 1)
    views = random_views(4)(images, generator())
    assert views.shape == (12, 3, 8, 8)
    for block in views.split(3):
        assert torch.equal(block[0], block[1])
    assert not torch.allclose(views[0], views[3], atol=1e-3)


def test_views_follow_the_generator_alone():
    images = random_images(2, 8)
    first = random_views(2)(images, generator(5))
    torch.manual_seed(123)
    assert torch.equal(first, random_views(2)(images, generator(5)))
    assert not torch.equal(first, random_views(2)(images, generator(6)))


def test_a_gradient_flows_through_views_of_any_shape():
    image = torch.rand(1, 3, 10, 14).requires_grad_()
    (gradient,) = torch.autograd.grad(random_views(3)(image, generator()).sum(), image)
    assert gradient.isfinite().all() and gradient[..., 5, 7].min() > 0


# filters in front of a network


@pytest.mark.parametrize("levels", [2, 3, 8, 256])
def test_quantised_has_so_many_levels_and_takes_the_nearest(levels):
    images = torch.linspace(0, 1, 3 * 100 * 100).view(1, 3, 100, 100)
    seen = quantised(levels)(images, generator())
    assert seen.unique().tolist() == pytest.approx([i / (levels - 1) for i in range(levels)])
    assert (seen - images).abs().max().item() <= 0.5 / (levels - 1) + 1e-6
    assert torch.equal(quantised(levels)(seen, generator()), seen)
    if levels == 256:
        assert torch.allclose(seen, round_to_8bit(images))


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.5, 3.0])
def test_blurred_spreads_a_point_by_sigma(sigma):
    point = torch.zeros(1, 3, 41, 41)
    point[:, :, 20, 20] = 1
    seen = blurred(sigma)(point, generator())[0, 0]
    assert seen.sum().item() == pytest.approx(1, abs=1e-4)
    away = torch.arange(41.0) - 20
    for share in (seen.sum(0), seen.sum(1)):
        assert (share @ away).item() == pytest.approx(0, abs=1e-4)
        assert (share @ away**2).sqrt().item() == pytest.approx(sigma, rel=0.1)
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert torch.allclose(blurred(sigma)(flat, generator()), flat, atol=1e-5) or sigma > 2.5


@pytest.mark.parametrize("quality", [30, 75])
def test_recompressed_is_a_jpeg_of_this_quality_and_its_gradient_is_zero(quality):
    images = round_to_8bit(random_images(3, 16, low=0, high=1))
    leaf = images.clone().requires_grad_()
    seen = recompressed(quality)(leaf, generator())
    assert torch.equal(seen, through_jpeg(images, quality))
    (gradient,) = torch.autograd.grad(seen.sum(), leaf)
    assert gradient.eq(0).all()
    assert torch.equal(DEFENCES[f"JPEG {quality}"][0](images, generator()), seen)
    assert torch.equal(recompressed()(images, generator()), through_jpeg(images, 75))


@pytest.mark.parametrize("defence", [quantised(3), recompressed(20), blurred(), random_views(1, shift=0.3)])
def test_straight_through_is_the_defence_forwards_and_the_identity_backwards(defence):
    leaf = random_images(3, 16, low=0, high=1).requires_grad_()
    seen = straight_through(defence)(leaf, generator(3))
    assert torch.allclose(seen, defence(leaf.detach(), generator(3)), atol=1e-6)
    assert not torch.allclose(seen, leaf, atol=0.01)
    weights = torch.randn(leaf.shape, generator=generator(4))
    (gradient,) = torch.autograd.grad((seen * weights).sum(), leaf)
    assert torch.equal(gradient, weights)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_views(count=0), "count must be a whole number from 1 to 10000, got 0"),
        (lambda: random_views(count=1.5), "count must be a whole number"),
        (lambda: random_views(shift=-1), "shift must be a number from 0 to 100, got -1"),
        (lambda: random_views(zoom=float("nan")), "zoom must be a number from 0 to 100"),
        (lambda: quantised(1), "levels must be a whole number from 2 to 65536, got 1"),
        (lambda: quantised(2.5), "levels must be a whole number from 2 to 65536, got 2.5"),
        (lambda: blurred(0), "sigma must be greater than 0, got 0"),
        (lambda: blurred(float("nan")), "sigma must be greater than 0, got nan"),
        (lambda: recompressed(0)(random_images(3, 16), generator()), "quality must be a whole number from 1 to 95"),
    ],
)
def test_what_cannot_work_raises_with_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
