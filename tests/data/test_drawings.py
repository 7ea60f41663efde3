"""The stored drawings are what the code draws, and the networks know them."""

import numpy as np
import pytest
from PIL import Image

from fooling_utils import data, load_image, load_model
from fooling_utils.data import drawings


@pytest.mark.parametrize(("name", "draw"), [("school_bus", drawings.draw_school_bus), ("robin", drawings.draw_robin)])
def test_a_stored_drawing_is_what_the_code_draws(name, draw):
    stored = np.asarray(Image.open(data.path(name)), float)
    # other versions of the font library move an edge by a fraction of a pixel
    assert np.abs(stored - np.asarray(draw(), float)).mean() < 1


@pytest.mark.parametrize(("model_name", "at_least"), [("efficientnet_lite0", 0.95), ("efficientnet_lite1", 0.8)])
def test_both_networks_know_the_drawings(model_name, at_least):
    network = load_model(model_name)
    for picture, label in (("school_bus", "school bus"), ("robin", "robin")):
        first = network.top(load_image(picture, size=network.input_size), 1)[0]
        assert (first.label, first.probability > at_least) == (label, True)
