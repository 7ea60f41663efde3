"""Pictures of known pixels, as arrays and as files; and a file that must not be trusted."""

import io

import numpy as np
from PIL import Image
from torch import Tensor


def levels(image: Tensor) -> np.ndarray:
    """The grey levels (H, W, 3), 0 to 255, of one image."""
    return np.rint(255 * image[0].permute(1, 2, 0).numpy()).astype(np.uint8)


def colours(height: int = 8, width: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Grey levels (height, width, channels) at random."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def as_file(picture: Image.Image, kind: str = "PNG", **settings) -> bytes:
    """The content of a file of this picture."""
    file = io.BytesIO()
    picture.save(file, format=kind, **settings)
    return file.getvalue()


class Pickled:
    """What makes a file as soon as it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")
