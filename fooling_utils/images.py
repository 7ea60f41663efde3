"""Images: (N, 3, H, W) float32 in [0, 1]. Pictures in and out, blanks and noise, and how far two images are apart."""

import difflib
import io
import os
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

MAX_DOWNLOAD_BYTES = 20_000_000
MAX_DOWNLOAD_SECONDS = 20

DATA = Path(__file__).parent / "data"


def default_device() -> torch.device:
    """A CUDA GPU if there is one, else the CPU: where models and images go unless told otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _own_drawing(name: str) -> Callable[[], Image.Image]:
    return lambda: Image.open(DATA / f"{name}.png")


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


def load_image(
    source: str | os.PathLike | bytes | memoryview | Image.Image | np.ndarray,
    size: int = 224,
    *,
    device: str | torch.device | None = None,
) -> Tensor:
    """One picture as an image (1, 3, size, size), float32 in [0, 1], every value a multiple of 1/255.

    source: the name of a built-in picture (see `PICTURES`), a file, an http(s) address, the bytes of a file, a PIL
        image, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, or of floats in [0, 1].
    size: height and width in pixels; the middle square of the picture is cut out and scaled to it.
    device: where the image goes; by default where `load_model` puts the network.
    Transparency is laid on white, and of an animation the first frame is taken.
    Raises FileNotFoundError for an unknown name or file, ConnectionError for an address that cannot be read, and
    ValueError for what is not a picture.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    try:
        picture = _to_rgb(_open(source))
    except Image.DecompressionBombError as error:
        raise ValueError(f"the picture is too large to be opened safely ({error}): make it smaller first") from error
    except UnidentifiedImageError as error:
        raise ValueError(_unreadable(source)) from error
    except (OSError, SyntaxError) as error:
        if isinstance(error, (FileNotFoundError, IsADirectoryError, PermissionError, ConnectionError)):
            raise
        raise ValueError(f"the picture is damaged or cut short ({error}): save it again as PNG or JPEG") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None]
    return from_uint8(pixels).contiguous().to(device or default_device())


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
        raise FileNotFoundError(f"there is no picture and no file {str(source)!r}: {hint}")
    return Image.open(source)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"an array must have the shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"an array of floats must be in [0, 1], got {array.min()} to {array.max()}: "
                             "divide by 255, or convert it to uint8")
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
        name, head = f"the content, {len(source)} bytes,", bytes(source[:16])
    elif isinstance(source, (str, os.PathLike)) and os.path.isfile(source):
        with open(source, "rb") as file:
            name, head = f"the file {str(source)!r}", file.read(16)
    else:
        name, head = f"what {str(source)!r} gives", b""
    kind = "a HEIC photograph of a phone" if head[4:8] == b"ftyp" else "no picture that can be read"
    return f"{name} is {kind}: save it as PNG or JPEG first"


def download(url: str) -> bytes:
    """The bytes behind an http or https address, at most 20 MB within 20 seconds; ConnectionError says what failed."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"an address must begin with http:// or https://, got {url!r}")
    opener = urllib.request.OpenerDirector()  # without the handlers for file:// and ftp://, also after a redirection
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPRedirectHandler,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers={"User-Agent": "fooling-utils (a course notebook)"})
    end = time.monotonic() + MAX_DOWNLOAD_SECONDS
    content = b""
    try:
        with opener.open(request, timeout=MAX_DOWNLOAD_SECONDS / 2) as response:
            while block := response.read1(65536):
                content += block
                if len(content) > MAX_DOWNLOAD_BYTES:
                    raise ValueError(f"{url} is larger than {MAX_DOWNLOAD_BYTES // 10**6} MB: save a smaller copy")
                if time.monotonic() > end:
                    raise TimeoutError(f"it took more than {MAX_DOWNLOAD_SECONDS} seconds")
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"{url} cannot be read ({error}): save the picture to a file and load that") from error
    return content


def blank(value: float = 0.5, count: int = 1, size: int = 224, *, device: str | torch.device | None = None) -> Tensor:
    """`count` images of one shade, 0 black, 0.5 grey, 1 white: (count, 3, size, size)."""
    if not 0 <= value <= 1:
        raise ValueError(f"value must be in [0, 1], got {value}")
    return torch.full((count, 3, size, size), float(value), device=device or default_device())


def uniform_noise(
    count: int = 1, size: int = 224, *, seed: int = 0, device: str | torch.device | None = None
) -> Tensor:
    """`count` images whose values are independent and uniform in [0, 1]: (count, 3, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=generator).to(device or default_device())


def gaussian_noise(
    count: int = 1, size: int = 224, *, mean: float = 0.5, std: float = 0.1, seed: int = 0,
    device: str | torch.device | None = None,
) -> Tensor:  # fmt: skip
    """`count` images of independent Gaussian values, cut off at 0 and 1: (count, 3, size, size)."""
    if std < 0:
        raise ValueError(f"std must not be negative, got {std}")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 3, size, size, generator=generator)
    return (mean + std * noise).clamp(0, 1).to(device or default_device())


def check_images(
    images: Tensor, bounds: tuple[float, float] | None = (0.0, 1.0), dimensions: int = 3, name: str = "image"
) -> None:
    """Raise unless `images` is a batch of at least one legal image; the message says what to do instead."""
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(images).__name__}: use load_image({name})")
    limits = f" in [{bounds[0]:g}, {bounds[1]:g}]" if bounds else ""
    if images.dtype != torch.float32:
        top = f" with maximum {images.max()}" if images.numel() and images.device.type != "meta" else ""
        way = "images.from_uint8" if images.dtype == torch.uint8 else f"{name}.float()"
        raise TypeError(f"{name} must be float32{limits}, got {images.dtype}{top}: use {way}")
    if images.ndim != dimensions + 1:
        shape = "(N, 3, H, W)" if dimensions == 3 else f"(N, and {dimensions} more)"
        way = f"{name}[None] makes a batch of one" if images.ndim == dimensions else "one dimension is for the batch"
        raise ValueError(f"{name} must have the shape {shape}, got {tuple(images.shape)}: {way}")
    if not images.numel():
        raise ValueError(f"{name} is empty: its shape is {tuple(images.shape)}")
    if images.device.type == "meta":
        return
    low, high = (value.item() for value in images.aminmax())
    if not np.isfinite([low, high]).all():
        bad = images.isfinite().logical_not().sum().item()
        raise ValueError(f"{name} has {bad} values that are NaN or infinite")
    if bounds and (low < bounds[0] or high > bounds[1]):
        raise ValueError(f"{name} must be{limits}, got {low:.4g} to {high:.4g}: "
                         f"use {name}.clamp({bounds[0]:g}, {bounds[1]:g})")


def to_uint8(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] as they would be saved: uint8, each value rounded to one of 256 grey levels."""
    check_images(images)
    return (images * 255).round().to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Images of uint8, as they come from a file, as float32 in [0, 1]."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, got {images.dtype}")
    return images.float() / 255


def round_to_8bit(images: Tensor) -> Tensor:
    """The images as they are after they were saved as PNG and loaded again: what counts as a fooled image."""
    return from_uint8(to_uint8(images))


def to_pil(image: Tensor) -> Image.Image:
    """One image (1, 3, H, W) as a PIL picture."""
    if len(image) != 1:
        raise ValueError(f"to_pil takes one image and got {len(image)}: use image[i : i + 1]")
    return Image.fromarray(to_uint8(image)[0].permute(1, 2, 0).cpu().numpy())


def save_png(image: Tensor, path: str | os.PathLike) -> None:
    """Write one image (1, 3, H, W) to a PNG file; `load_image(path, size=H)` gives back what `round_to_8bit` gives."""
    to_pil(image).save(path, format="PNG")


def through_jpeg(images: Tensor, quality: int = 75) -> Tensor:
    """The images after they were saved as JPEG of this quality (1 to 95) and loaded again."""
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must be from 1 to 95, got {quality}")

    def one(image: Tensor) -> Tensor:
        file = io.BytesIO()
        to_pil(image).save(file, format="JPEG", quality=quality)
        return from_uint8(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None])

    return torch.cat([one(image) for image in images.split(1)]).to(images.device)


class Distances(NamedTuple):
    """How far two images are apart. One grey level is 1/255 of the range from black to white."""

    l2: float
    linf_grey_levels: float
    rms_grey_levels: float
    changed_share: float
    ssim: float


def distances(original: Tensor, image: Tensor) -> Distances:
    """How far one image (1, 3, H, W) is from another, in the measures of the literature.

    l2: the Euclidean norm of the change, on the scale where a value goes from 0 to 1.
    linf_grey_levels, rms_grey_levels: the largest change of a value, and the root of the mean square, in grey levels.
    changed_share: the share of the values that differ once both are rounded to 8 bit.
    ssim: structural similarity, 1 for equal images. Source: Wang et al. 2004, by scikit-image.
    Raises ValueError unless both are one image each, of equal shape and large enough for SSIM (3 x 3 pixels).
    """
    from skimage.metrics import structural_similarity

    check_images(original, name="original")
    check_images(image)
    if original.shape != image.shape or len(image) != 1 or min(image.shape[2:]) < 3:
        raise ValueError("distances compares one image with one, of 3 x 3 pixels or more, got shapes "
                         f"{tuple(original.shape)} and {tuple(image.shape)}")
    change = (image - original).double()
    as_array = [one[0].permute(1, 2, 0).cpu().numpy() for one in (original, image)]
    window = min(7, (min(image.shape[2:]) - 1) // 2 * 2 + 1)
    return Distances(
        l2=change.norm().item(),
        linf_grey_levels=255 * change.abs().max().item(),
        rms_grey_levels=255 * change.square().mean().sqrt().item(),
        changed_share=(to_uint8(original) != to_uint8(image)).double().mean().item(),
        ssim=float(structural_similarity(*as_array, channel_axis=2, data_range=1.0, win_size=window)),
    )
