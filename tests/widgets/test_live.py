"""An image that is replaced while a loop runs."""

import io

import numpy as np
from PIL import Image

from fooling_utils.widgets import LiveImage
from nets import random_images
from pixels import levels


def test_a_live_image_shows_the_last_image():
    screen = LiveImage()
    for seed in (0, 1):
        screen.show(random_images(seed=seed))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(screen.value))), levels(random_images(seed=seed)))
