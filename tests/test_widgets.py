import io

import numpy as np
import pytest
import torch
from PIL import Image

from fooling_utils import round_to_8bit, widgets
from nets import random_images


def shown(screen) -> np.ndarray:
    """The grey levels (H, W, 3) of the PNG that a widget holds."""
    return np.asarray(Image.open(io.BytesIO(screen.value)))


def levels(image: torch.Tensor) -> np.ndarray:
    return (255 * round_to_8bit(image))[0].permute(1, 2, 0).round().numpy().astype(np.uint8)


def test_a_live_image_shows_the_last_image():
    screen = widgets.LiveImage()
    for seed in (0, 1):
        screen.show(random_images(seed=seed))
        assert np.array_equal(shown(screen), levels(random_images(seed=seed)))


def test_the_slider_shows_the_chosen_image_and_its_title():
    images = random_images(3)
    choose, screen, caption = widgets.slider(images, ["one", "two", "three"], description="which").children
    assert (choose.min, choose.max, choose.description) == (0, 2, "which")
    for place, title in [(0, "one"), (2, "three"), (1, "two")]:
        choose.value = place
        assert np.array_equal(shown(screen), levels(images[place : place + 1]))
        assert title in caption.value


def test_the_slider_takes_a_list_and_titles_of_any_characters():
    _, _, caption = widgets.slider(list(random_images(2).split(1)), ["a < b & c", "d"]).children
    assert "a &lt; b &amp; c" in caption.value


@pytest.mark.parametrize("titles", [[], ["one"], ["one", "two", "three"]])
def test_the_slider_wants_a_title_per_image(titles):
    with pytest.raises(ValueError, match=f"2 images and {len(titles)} titles"):
        widgets.slider(random_images(2), titles)
