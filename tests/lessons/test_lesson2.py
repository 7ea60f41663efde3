"""What lesson 2 compares its loop with."""

import pytest
import torch

from fooling_utils import load_image
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
