"""What lesson 2 compares its loop with."""

import pytest
import torch

from fooling_utils import load_image, load_model
from fooling_utils.attacks.universal import patched
from fooling_utils.lessons import lesson2


def test_random_changes_have_the_size_and_differ():
    changes = lesson2.random_changes(load_image("coffee"), 1.5, 3, seed=4)
    assert changes.shape == (3, 3, 224, 224)
    assert changes.flatten(1).norm(dim=1).tolist() == pytest.approx([1.5] * 3)
    assert torch.equal(changes[:1], lesson2.random_changes(load_image("coffee"), 1.5, seed=4))
    assert abs(torch.corrcoef(changes.flatten(1))[0, 1]) < 0.02


def test_gains_add_up_with_the_right_signs_and_cancel_with_random_ones():
    gradient = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    bars, sums = lesson2.gains(gradient, missing=10).axes
    assert len(bars.patches) == 2 * lesson2.SOME
    right, *random = [line.get_ydata()[-1] for line in sums.get_lines()[:-1]]
    assert right == pytest.approx(gradient.abs().sum().item() / 255)
    assert len(random) == 5 and max(map(abs, random)) < 0.1 * right


def test_a_patch_hides_what_is_below_it_and_nothing_else():
    image, patch = torch.zeros(1, 3, 20, 30), torch.ones(1, 3, 5, 5)
    shown = patched(image.repeat(50, 1, 1, 1), patch, torch.Generator().manual_seed(1))
    assert shown.sum((1, 2, 3)).tolist() == [75.0] * 50
    assert not image.any()
    assert len({tuple(picture[0].nonzero()[0].tolist()) for picture in shown}) > 40
    with pytest.raises(ValueError, match="does not fit into images"):
        patched(patch, image, torch.Generator())


def test_the_patch_is_shown_beside_a_grey_one_at_the_same_places():
    model, image = load_model(), load_image("coffee")
    axes = lesson2.patch_picture(model, image, torch.ones(1, 3, 60, 60), "ostrich").axes
    shown = [place.get_images()[0].get_array() for place in axes if place.get_images()]
    assert len(shown) == 8
    for grey, white in zip(shown[:4], shown[4:], strict=True):
        assert ((grey != white).any(-1)).sum() <= 60 * 60
        assert (white != grey).any()
    assert all("ostrich 0." in place.get_title() for place in axes if place.get_images())
