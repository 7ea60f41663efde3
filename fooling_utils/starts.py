"""Where to start: pictures of the course, files, addresses, uploads, arrays, crops of photographs, blanks and noise."""

import difflib
import io
import math
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from . import data
from .arguments import between, one_of, whole
from .downloads import download
from .images import default_device, from_pil


def _own_drawing(name: str) -> Callable[[], Image.Image]:
    return lambda: Image.open(data.path(name))


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


PHOTOGRAPHS = tuple(name for name in PICTURES if name not in ("school_bus", "robin"))  # those two are drawn


def photographs(
    crops: int = 30,
    size: int = 224,
    *,
    names: Sequence[str] = PHOTOGRAPHS,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Tensor:
    """Seeded crops of photographs, half of them mirrored: (len(names) * crops, 3, size, size).

    crops: per photograph; a crop shows seven eighths of the picture's height and width, anywhere in it.
    names: some of the `PHOTOGRAPHS`; the crops of one do not depend on which others are named.
    """
    whole(crops=crops, size=size)
    for name in names:
        one_of(PHOTOGRAPHS, photograph=name)
    places = torch.rand(len(PHOTOGRAPHS), crops, 3, generator=torch.Generator().manual_seed(seed))
    cut = []
    for name in names:
        picture = load_image(name, round(size * 8 / 7), device=device)
        room = picture.shape[-1] - size
        for top, left, mirrored in places[PHOTOGRAPHS.index(name)].tolist():
            top, left = round(top * room), round(left * room)
            crop = picture[:, :, top : top + size, left : left + size]
            cut.append(crop.flip(3) if mirrored < 0.5 else crop)
    return torch.cat(cut)


def load_image(
    source: str | os.PathLike | bytes | memoryview | Image.Image | np.ndarray,
    size: int = 224,
    *,
    device: str | torch.device | None = None,
) -> Tensor:
    """One picture as an image (1, 3, size, size), float32 in [0, 1], every value a multiple of 1/255.

    source: the name of a built-in picture (see `PICTURES`), a file, an http(s) address, the bytes of a file, a PIL
        image, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, or of floats in [0, 1].
    size: height and width in pixels; the middle square of the picture is cut out and scaled to this size.
    device: where the image goes; by default, the device that `load_model` uses.
    Transparent parts become white, and an animation gives its first frame.
    Raises FileNotFoundError for an unknown name or file, ConnectionError for an address that cannot be read, and
    ValueError for anything that is not a picture.
    """
    whole(size=size)
    try:
        picture = _to_rgb(_open(source))
    except Image.DecompressionBombError as error:
        raise ValueError(f"the picture is too large to open safely ({error}): make it smaller first") from error
    except UnidentifiedImageError as error:
        raise ValueError(_unreadable(source)) from error
    except (OSError, SyntaxError) as error:
        if isinstance(error, (FileNotFoundError, IsADirectoryError, PermissionError, ConnectionError)):
            raise
        raise ValueError(f"the picture is damaged or cut short ({error}): save it again as PNG or JPEG") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return from_pil(square).contiguous().to(device or default_device())


def _open(source) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Image.open(io.BytesIO(bytes(source)))
    if isinstance(source, str) and "://" in source:
        return Image.open(io.BytesIO(download(source)))
    if isinstance(source, str) and source.replace(" ", "_") in PICTURES:
        return _open(PICTURES[source.replace(" ", "_")]())
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"a picture is a name, a file, an address, bytes, a PIL image or an array, got {type(source)}")
    if not os.path.isfile(source):
        near = difflib.get_close_matches(str(source), PICTURES, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the pictures are {', '.join(PICTURES)}"
        raise FileNotFoundError(f"there is no picture or file called {str(source)!r}: {hint}")
    return Image.open(source)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"an array must have the shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(
                f"an array of floats must be in [0, 1], got {array.min()} to {array.max()}: "
                "divide by 255, or convert it to uint8"
            )
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"an array must be uint8, or float in [0, 1], got {array.dtype}")
    return Image.fromarray(array)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if not min(picture.size):
        raise ValueError(f"the picture has no pixels: {picture.size}")
    picture.seek(0) if getattr(picture, "is_animated", False) else None
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        grey = np.asarray(picture, dtype=np.float64) / 257
        picture = Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _unreadable(source) -> str:
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, head = f"the content ({len(source)} bytes)", bytes(source[:16])
    elif isinstance(source, (str, os.PathLike)) and os.path.isfile(source):
        with open(source, "rb") as file:
            name, head = f"the file {str(source)!r}", file.read(16)
    else:
        name, head = f"the content of {str(source)!r}", b""
    kind = "a HEIC photograph from a phone" if head[4:8] == b"ftyp" else "not a picture that can be read"
    return f"{name} is {kind}: save it as PNG or JPEG first"


def blank(value: float = 0.5, count: int = 1, size: int = 224, *, device: str | torch.device | None = None) -> Tensor:
    """`count` images of one shade, from 0 for black to 1 for white: (count, 3, size, size)."""
    between(0, 1, value=value)
    whole(count=count, size=size)
    return torch.full((count, 3, size, size), float(value), device=device or default_device())


def uniform_noise(
    count: int = 1, size: int = 224, *, seed: int = 0, device: str | torch.device | None = None
) -> Tensor:
    """`count` images whose values are independent and uniform in [0, 1]: (count, 3, size, size)."""
    whole(count=count, size=size)
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=generator).to(device or default_device())


def gaussian_noise(
    count: int = 1, size: int = 224, *, mean: float = 0.5, std: float = 0.1, seed: int = 0,
    device: str | torch.device | None = None,
) -> Tensor:  # fmt: skip
    """`count` images of independent Gaussian values, clipped to [0, 1]: (count, 3, size, size)."""
    between(0, math.inf, std=std)
    whole(count=count, size=size)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 3, size, size, generator=generator)
    return (mean + std * noise).clamp(0, 1).to(device or default_device())
