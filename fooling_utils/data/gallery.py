"""The pictures that need no download, by name: drawings of the course, and photographs of packages it needs anyway."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from . import path


def _own_drawing(name: str) -> Callable[[], Image.Image]:
    return lambda: Image.open(path(name))


def _from_skimage(name: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        import skimage.data

        return getattr(skimage.data, name)()

    return load


def _from_sklearn(file_name: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        from sklearn.datasets import load_sample_image

        return load_sample_image(file_name)

    return load


def _motorcycle() -> np.ndarray:
    import skimage.data

    return skimage.data.stereo_motorcycle()[0]


def _grace_hopper() -> Image.Image:
    from matplotlib.cbook import get_sample_data

    return Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False))


PICTURES: dict[str, Callable[[], Image.Image | np.ndarray]] = {
    "school_bus": _own_drawing("school_bus"),
    "robin": _own_drawing("robin"),
    "cat": _from_skimage("cat"),
    "coffee": _from_skimage("coffee"),
    "astronaut": _from_skimage("astronaut"),
    "rocket": _from_skimage("rocket"),
    "motorcycle": _motorcycle,
    "clock": _from_skimage("clock"),
    "palace": _from_sklearn("china.jpg"),
    "flower": _from_sklearn("flower.jpg"),
    "grace_hopper": _grace_hopper,
}
