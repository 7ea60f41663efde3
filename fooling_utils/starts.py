"""Where to start: pictures of the course, files, addresses, uploads, arrays, crops of photographs, blanks and noise."""

import difflib
import io
import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .arguments import affordable, between, finite, one_of, seeded, several, shown, usable_device, whole
from .data.gallery import PICTURES
from .files import pictures
from .files.downloads import download
from .images import from_pil

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
    several(names=names)
    for name in names:
        one_of(PHOTOGRAPHS, photograph=name)
    whole(crops=crops, size=size)
    crops, size = int(crops), int(size)
    affordable(3 * len(names) * crops * size * size, f"{crops} crops of size {size} of {len(names)} photographs")
    places = torch.rand(len(PHOTOGRAPHS), crops, 3, generator=seeded(seed))
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
        image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of grey levels, or of floats in [0, 1].
    size: height and width in pixels; the middle square of the picture is cut out and scaled to this size.
    device: where the image goes; by default, the device that `load_model` uses.
    Files may be JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF or PPM, of at most 80 million pixels (TIFF and
    progressive JPEG: 55, AVIF: 40, WebP: 30).
    Transparent parts become white, a colour profile is followed, an animation gives its first frame, or, passed in as
    a PIL image, the one that it shows.
    Raises FileNotFoundError for an unknown name or file, ConnectionError for an address that cannot be read, and
    ValueError for anything that is not a picture.
    """
    whole(size=size)
    affordable(3 * size * size, f"an image of size {size}")
    place = usable_device(device)
    return from_pil(_square(source, int(size))).contiguous().to(place)


def _square(source, size: int) -> Image.Image:
    if isinstance(source, Image.Image):
        return pictures.square(source, size)
    if isinstance(source, np.ndarray):
        return pictures.square(_from_array(source), size)
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
        return pictures.from_file(io.BytesIO(content), f"the content ({len(content)} bytes)", size)
    if isinstance(source, str) and "://" in source:
        address = source.strip()
        return pictures.from_file(io.BytesIO(download(address)), f"the content of {address!r}", size)
    if isinstance(source, str) and source.strip().replace(" ", "_") in PICTURES:
        return _square(PICTURES[source.strip().replace(" ", "_")](), size)
    if isinstance(source, Tensor):
        raise TypeError(f"a picture is a name, a file or an array, got {shown(source)}: a tensor is already an image")
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"a picture is a name, a file, an address, bytes, a PIL image or an array, got {type(source).__name__}"
        )
    with open(_file(source), "rb") as file:
        return pictures.from_file(file, f"the file {os.fspath(source)!r}", size)


def _file(source: str | os.PathLike) -> str:
    """The file that is meant. FileNotFoundError suggests similar names, ValueError says why it cannot be read."""
    name = os.fsdecode(source)
    bare = name.strip().strip("'\"`“”‘’").strip()  # as it is copied from a terminal, a file manager or a text
    for path in (name, bare, bare.replace("\\ ", " "), os.path.expanduser(bare)):
        if os.path.isfile(path):
            return path
    if os.path.exists(os.path.expanduser(bare)):
        kind = "a folder" if os.path.isdir(os.path.expanduser(bare)) else "not an ordinary file"
        raise FileNotFoundError(f"{name!r} is {kind}: give the name of a picture file")
    near = difflib.get_close_matches(bare[:100], PICTURES, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the pictures are {', '.join(PICTURES)}"
    raise FileNotFoundError(f"there is no picture or file called {name!r}: {hint}")


def _from_array(array: np.ndarray) -> Image.Image:
    if np.ma.is_masked(array):
        raise ValueError("an array must have no masked values: fill them first, such as with array.filled(1) for white")
    array = np.asarray(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        way = ": use array.transpose(1, 2, 0)" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        raise ValueError(
            f"an array must have the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {array.shape}{way}"
        )
    if array.dtype.kind not in "buif":
        raise ValueError(f"an array must hold numbers, got {array.dtype}: use array.astype(float)")
    array = array[:, :, 0] if array.shape[2:] == (1,) else array
    deep = array.dtype.kind == "u" and array.dtype.itemsize == 2
    low, high = array.min(), array.max()
    if not np.isfinite([low, high]).all():
        raise ValueError("the array holds values that are NaN or infinite")
    if array.dtype.kind == "f" and not (low >= 0 and high <= 1):
        way = "divide by 255" if low >= 0 and high <= 255 else "scale them to go from 0 (black) to 1 (white)"
        raise ValueError(f"an array of floats must be in [0, 1], got {low} to {high}: {way}")
    if array.dtype.kind in "ui" and not deep and not (low >= 0 and high <= 255):
        raise ValueError(f"an array of whole numbers must be grey levels from 0 to 255, got {low} to {high}")
    white = {"b": 1, "f": 1}.get(array.dtype.kind, 65535 if deep else 255)
    if array.dtype != np.uint8:
        array = np.rint(array.astype(np.float64) * (255 / white)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


def blank(value: float = 0.5, count: int = 1, size: int = 224, *, device: str | torch.device | None = None) -> Tensor:
    """`count` images of one shade, from 0 for black to 1 for white: (count, 3, size, size)."""
    between(0, 1, value=value)
    count, size = _batch(count, size)
    return torch.full((count, 3, size, size), float(value), device=usable_device(device))


def uniform_noise(
    count: int = 1, size: int = 224, *, seed: int = 0, device: str | torch.device | None = None
) -> Tensor:
    """`count` images whose values are independent and uniform in [0, 1]: (count, 3, size, size)."""
    count, size = _batch(count, size)
    return torch.rand(count, 3, size, size, generator=seeded(seed)).to(usable_device(device))


def gaussian_noise(
    count: int = 1, size: int = 224, *, mean: float = 0.5, std: float = 0.1, seed: int = 0,
    device: str | torch.device | None = None,
) -> Tensor:  # fmt: skip
    """`count` images of independent Gaussian values, clipped to [0, 1]: (count, 3, size, size)."""
    between(0, math.inf, std=std)
    finite(mean=mean, std=std)
    count, size = _batch(count, size)
    noise = torch.randn(count, 3, size, size, generator=seeded(seed))
    return (float(mean) + float(std) * noise).clamp(0, 1).to(usable_device(device))


def _batch(count: int, size: int) -> tuple[int, int]:
    whole(count=count, size=size)
    affordable(3 * count * size * size, f"{count} images of size {size}")
    return int(count), int(size)
