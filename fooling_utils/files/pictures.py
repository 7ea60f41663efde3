"""Pictures of every kind as RGB: the middle square, upright, on white, in sRGB colours."""

import functools
import io
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..arguments import instance, shown, whole

# What a page or a stranger may have read. Pillow knows fifty more: one of them runs PostScript.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "PPM")
MOST_PIXELS = 80_000_000  # so that reading takes less than 500 MB
FEWER_PIXELS = {  # where a decoder keeps copies of its own, or takes a second for a million of them
    "TIFF": 55_000_000,
    "progressive JPEG": 55_000_000,
    "AVIF": 40_000_000,
    "WEBP": 30_000_000,
    "PPM with 16 bits or as text": 8_000_000,
}
LARGE = 16_000_000  # pixels: larger pictures are reduced while they are converted
SHARP = 2000  # pixels: the least side that is kept of them
ORIENTATION = 0x0112  # in the EXIF data of a photograph

OTHERS = {  # how a file begins that is no picture of these formats
    b"%!PS": "an EPS drawing",
    b"\xc5\xd0\xd3\xc6": "an EPS drawing",
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop file (PSD)",
    b"DDS ": "a texture (DDS)",
    b"\0\0\1\0": "an icon (ICO)",
    b"icns": "an icon (ICNS)",
    b"\0\0\0\x0cjP": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x0cJXL": "a JPEG XL picture",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file, perhaps an SVG drawing",
    b"PK": "a zip archive or an office document",
}
PAGES = (b"<!doctype", b"<html")
KNOWN = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # and RIFF....WEBP


class Unreadable(ValueError):
    """A picture that cannot be read or used. The message says why, and what to do."""


def from_file(file: BinaryIO, name: str, size: int) -> Image.Image:
    """The middle square of the picture in an open file, in RGB, size x size; of an animation, the first frame.

    name: how messages call the file. Raises Unreadable, a ValueError, for anything that is not a picture.
    """
    if not hasattr(file, "read"):
        raise TypeError(f"file must be an open binary file, got {shown(file)}")
    instance(str, name=name)
    whole(1, 100_000, size=size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of what nobody who only looks at a picture can change
        try:
            picture = Image.open(file, formats=_formats())
        except Image.DecompressionBombError as error:
            raise Unreadable(
                f"{name} is too large to open safely ({str(error).partition(',')[0]}): make it smaller first"
            ) from error
        except Exception as error:  # Pillow raises many kinds
            raise Unreadable(_what_it_is(file, name, error)) from error
        kind = f"progressive {picture.format}" if picture.info.get("progressive") else picture.format
        if picture.tile and picture.tile[0][0] in ("ppm", "ppm_plain"):
            kind = "PPM with 16 bits or as text"
        most = FEWER_PIXELS.get(kind, MOST_PIXELS)
        if picture.width * picture.height > most:
            raise Unreadable(
                f"{name} is too large: it has {picture.width} x {picture.height} pixels, and the limit is "
                f"{most / 1e6:.0f} million ({kind}): make it smaller first"
            )
        if picture.width * picture.height > LARGE:
            picture.draft(picture.mode, (_room(size),) * 2)  # a JPEG can be decoded at half its size, or less
        try:
            return square(picture, size)
        except Unreadable as error:
            raise Unreadable(str(error).replace("the picture", name, 1)) from error


def square(picture: Image.Image, size: int) -> Image.Image:
    """The middle square of a picture, as it is shown at the moment, in RGB, size x size. Raises Unreadable."""
    instance(Image.Image, picture=picture)
    whole(1, 100_000, size=size)
    try:
        if not min(picture.size):
            raise Unreadable(f"the picture has no pixels: {picture.size}")
        picture.load()
        turn, white = _orientation(picture), _white(picture)
        if picture.width * picture.height > LARGE:
            picture = _reduced(picture, white, _room(size))
        else:
            picture = _to_rgb(picture, white)
        picture.getexif()[ORIENTATION] = turn
        picture = ImageOps.exif_transpose(picture)
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        return picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    except Unreadable:
        raise
    except Exception as error:  # Pillow raises many kinds
        text = str(error) or type(error).__name__
        raise Unreadable(f"the picture is damaged or cut short ({text}): save it again as PNG or JPEG") from error


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # AVIF is new in Pillow


def _room(size: int) -> int:
    return max(SHARP, 2 * size)


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data: as if there was none
        return 1


def _white(picture: Image.Image) -> float | None:
    """The value of white in a picture of numbers with more than 8 bit; `None` for any other picture."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        return 65535
    if picture.mode not in ("I", "F"):
        return None
    low, high = picture.getextrema()
    for white in (1, 255, 65535):
        if 0 <= low <= high <= white:
            return white
    raise Unreadable(
        f"the picture holds numbers from {low:g} to {high:g}, and does not say which of them is white: "
        "save it as an ordinary PNG with 8 bits"
    )


def _reduced(picture: Image.Image, white: float | None, room: int) -> Image.Image:
    """The middle square in RGB, reduced to about `room` pixels, strip by strip, since conversions take memory."""
    by = max(1, min(picture.size) // room)
    side = min(picture.size) // by * by
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    rows = max(1, LARGE // 8 // side // by) * by
    small = Image.new("RGB", (side // by, side // by))
    for start in range(0, side, rows):
        strip = picture.crop((left, top + start, left + side, top + min(start + rows, side)))
        small.paste(_to_rgb(strip, white).reduce(by), (0, start // by))
    return small


def _to_rgb(picture: Image.Image, white: float | None) -> Image.Image:
    if white is not None:
        picture = _eight_bit(picture, white)
    if picture.mode == "La":
        picture = picture.convert("LA")
    if not picture.has_transparency_data:
        return _in_srgb(picture)
    value = picture.info.get("transparency")
    if isinstance(value, tuple) and max(value) > 255:  # of 16 bits, of which Pillow has kept the upper 8 in the picture
        picture = picture.copy()
        picture.info["transparency"] = tuple(one >> 8 for one in value)
    clear = picture.convert("RGBA")
    colours = _in_srgb(picture.convert("L") if picture.mode == "LA" else clear.convert("RGB"))
    colours.putalpha(clear.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), colours).convert("RGB")


def _eight_bit(picture: Image.Image, white: float) -> Image.Image:
    values = np.asarray(picture, dtype=np.float64)
    if not np.isfinite(values).all():
        raise Unreadable("the picture holds values that are NaN or infinite: save it as an ordinary PNG with 8 bits")
    grey = np.rint(values / (white / 255)).clip(0, 255).astype(np.uint8)
    if isinstance(clear := picture.info.get("transparency"), int):
        grey[values == clear] = 255
    found = Image.fromarray(grey)
    found.info = {key: value for key, value in picture.info.items() if key == "icc_profile"}
    return found


def _in_srgb(picture: Image.Image) -> Image.Image:
    """The picture in RGB; where it brings a colour profile that can be used, in the colours of sRGB."""
    try:
        if picture.mode == "LAB":
            source = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
            kind = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[source.profile.xcolor_space.strip()]
            picture = picture.convert("RGB") if picture.mode == "P" else picture
            if kind != picture.mode or "sRGB" in ImageCms.getProfileDescription(source):
                return picture.convert("RGB")
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImportError, KeyError, OSError, ValueError, TypeError, ImageCms.PyCMSError):  # none, or a damaged one
        return picture.convert("RGB")


def _what_it_is(file: BinaryIO, name: str, error: Exception) -> str:
    try:
        file.seek(0)
        head = file.read(64)
    except OSError:
        head = b""
    if head.startswith(KNOWN) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        return f"{name} is damaged or cut short{reason}: save it again as PNG or JPEG"
    if head[4:8] == b"ftyp":
        kind = (
            "an AVIF picture, which this Pillow cannot read"
            if head[8:12] in (b"avif", b"avis")
            else ("a HEIC photograph from a phone, or a film")
        )
        return f"{name} is {kind}: save it as PNG or JPEG first"
    if head.lstrip().lower().startswith(PAGES):
        return f"{name} is a web page, not a picture: take the address of the picture itself"
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = next((kind for start, kind in OTHERS.items() if head.startswith(start)), "not a picture that can be read")
    return f"{name} is {kind}: save it as PNG or JPEG first"
