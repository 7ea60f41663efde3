"""Pictures in: the ones of the course, files, addresses, uploads and arrays, all to images (1, 3, size, size)."""

import difflib
import io
import ipaddress
import os
import socket
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .images import default_device, from_uint8

MAX_DOWNLOAD_BYTES = 20_000_000
MAX_DOWNLOAD_SECONDS = 20
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

DATA = Path(__file__).parent / "data"


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


PHOTOGRAPHS = tuple(name for name in PICTURES if name not in ("school_bus", "robin"))  # those two are drawn


def photographs(crops: int = 30, size: int = 224, *, seed: int = 0, device: str | torch.device | None = None) -> Tensor:
    """Seeded crops of each of the `PHOTOGRAPHS`, half of them mirrored: (9 * crops, 3, size, size).

    A crop shows seven eighths of the height and width of the picture, anywhere in it.
    """
    if crops < 1:
        raise ValueError(f"crops must be at least 1, got {crops}")
    generator = torch.Generator().manual_seed(seed)
    cut = []
    for name in PHOTOGRAPHS:
        picture = load_image(name, round(size * 8 / 7), device=device)
        room = picture.shape[-1] - size
        for top, left, mirrored in torch.rand(crops, 3, generator=generator).tolist():
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
        name, head = f"the content, {len(source)} bytes,", bytes(source[:16])
    elif isinstance(source, (str, os.PathLike)) and os.path.isfile(source):
        with open(source, "rb") as file:
            name, head = f"the file {str(source)!r}", file.read(16)
    else:
        name, head = f"what {str(source)!r} gives", b""
    kind = "a HEIC photograph of a phone" if head[4:8] == b"ftyp" else "no picture that can be read"
    return f"{name} is {kind}: save it as PNG or JPEG first"


def download(url: str, *, public_only: bool = False) -> bytes:
    """The bytes behind an http or https address, at most 20 MB within 20 seconds; ConnectionError says what failed.

    public_only: refuse an address that belongs to this machine or to a private network, also after a redirection.
        What one person types into a page that another one's machine serves must not reach what only that machine can.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"an address must begin with http:// or https://, got {url!r}")
    opener = urllib.request.OpenerDirector()  # without the handlers for file:// and ftp://, also after a redirection
    over_the_wire = (
        (_PublicHTTPHandler, _PublicHTTPSHandler)  # and no proxy: it would look up the name for itself
        if public_only
        else (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler)
    )
    for handler in (
        *over_the_wire,
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


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.teredo:
            return False
    return ip.is_global and not ip.is_multicast


def _connect_to_public(address: tuple[str, int], timeout: float, source: object = None) -> socket.socket:
    # The address that was checked is the one that is used: a name could be another machine's at the second look.
    host, port = address
    error: OSError | None = None
    for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(where[0]):
            raise ConnectionError(f"{host} is this machine or in a private network")
        try:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(timeout)
            connection.connect(where)
            return connection
        except OSError as failure:
            connection.close()
            error = failure
    raise error or ConnectionError(f"{host} has no address")


class _PublicHTTP(HTTPConnection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._create_connection = _connect_to_public


class _PublicHTTPS(HTTPSConnection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._create_connection = _connect_to_public


class _PublicHTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(_PublicHTTP, request)


class _PublicHTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(_PublicHTTPS, request)
