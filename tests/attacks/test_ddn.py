"""The decoupled direction and norm."""

import pytest
import torch

from fooling_utils import round_to_8bit
from fooling_utils.attacks.ddn import ddn
from fooling_utils.optimize import ZeroGradient
from nets import NUMBERS, SHAPE, linear, random_images


def test_ddn_shrinks_to_one_grey_level_at_the_places_that_count():
    weight = torch.zeros(2, NUMBERS)
    weight[1, :5] = 1.0
    network = linear(weight, torch.tensor([0.5 * 3 / 255, 0.0]))  # more than 1.5 grey levels in sum fool it
    image = torch.zeros(1, *SHAPE)
    nearest = ddn(network, image, 1, steps=60, size=0.1)
    assert torch.equal(nearest, round_to_8bit(nearest))
    assert network.top(nearest)[0].index == 1
    assert (255 * nearest).round().sum() <= 5, "one level at each of the five places that count, alike"


def test_ddn_returns_the_image_where_nothing_fools():
    network = linear(torch.zeros(2, NUMBERS), torch.tensor([1.0, 0.0]))
    image = round_to_8bit(random_images())
    with pytest.warns(ZeroGradient):
        assert torch.equal(ddn(network, image, 1, steps=5), image)
