"""Files of every kind: what is in them is seen as everybody else sees it, and what is no picture does no harm."""

import io
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from fooling_utils import load_image
from fooling_utils.files import pictures
from pixels import as_file, colours, levels

SMOOTH = np.stack([np.add.outer(np.arange(64) * k, np.arange(64)) // k % 256 for k in (2, 3, 4)], 2).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("AVIF", {"quality": 100}),
    ],
)
def test_formats_that_are_read(kind, settings):
    if kind == "AVIF" and "AVIF" not in pictures._formats():
        pytest.skip("this Pillow knows no AVIF")
    image = levels(load_image(as_file(Image.fromarray(SMOOTH), kind, **settings), 64))
    assert np.abs(image.astype(int) - SMOOTH).mean() < (8 if kind == "GIF" else 3)


HEADS = {
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "an EPS drawing",
    b"%PDF-1.7": "a PDF document",
    b"8BPS\0\1": "a Photoshop file",
    b"DDS |": "a texture",
    b"\0\0\1\0\1\0": "an icon",
    b"icns\0": "an icon",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x18ftypheic": "a HEIC photograph from a phone",
    b"<svg xmlns=": "an SVG drawing",
    b"\n\t<svg ": "an SVG drawing",
    b"\xef\xbb\xbf<?xml version=": "an XML file, perhaps an SVG drawing",
    b"PK\3\4": "a zip archive or an office document",
    b"id,label": "not a picture that can be read",
}


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_other_formats_are_named_with_the_way_out(head, tmp_path):
    (tmp_path / "photo.png").write_bytes(head + bytes(500))
    with pytest.raises(ValueError, match=rf"photo.png' is {HEADS[head]}.*: save it as PNG or JPEG first"):
        load_image(tmp_path / "photo.png")


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "ICNS", "TGA", "PCX", "DDS", "SGI", "JPEG2000", "XBM"])
def test_a_format_that_pillow_reads_is_not_read_unless_it_is_on_the_list(kind):
    picture = Image.new("1" if kind == "XBM" else "RGB", (16, 16))
    with pytest.raises(ValueError, match=r"the content .* save it as PNG or JPEG first"):
        load_image(as_file(picture, kind))


def test_no_other_program_is_started(tmp_path, monkeypatch):
    """As Pillow does with Ghostscript, when a picture is a program."""
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **options: pytest.fail(f"{arguments} is started"))
    content = as_file(Image.new("RGB", (16, 16)), "EPS")
    (tmp_path / "photo.png").write_bytes(content)
    for source in (content, tmp_path / "photo.png"):
        with pytest.raises(ValueError, match="an EPS drawing"):
            load_image(source)


# more than 8 bit


@pytest.mark.parametrize(
    ("kind", "mode", "white", "expected"),
    [
        *[(kind, "I;16", 65535, [0, 51, 255]) for kind in ("TIFF", "PNG")],
        *[("TIFF", "I", white, [0, 51, 255]) for white in (255, 65535)],
        ("TIFF", "I", 1, [0, 0, 255]),  # a mask
        ("PPM", "I", 65535, [0, 51, 255]),
        ("PPM", "I", 255, [0, 0, 1]),  # a dark one: this format has 16 bit, whatever it holds
        *[(kind, "F", white, [0, 51, 255]) for kind in ("TIFF", "PPM") for white in (1, 255, 65535)],
    ],
)
def test_numbers_are_scaled_by_what_they_hold(kind, mode, white, expected):
    values = np.array([[0, 0.2, 1]] * 3) * white
    picture = Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    assert levels(load_image(as_file(picture, kind), 3))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("values", [[-1, 1], [0, 1e9], [np.nan, 1], [0, np.inf]])
def test_numbers_that_nobody_can_read_as_grey_are_refused(values):
    picture = Image.fromarray(np.array([values] * 2, np.float32))
    for source in (picture, as_file(picture, "TIFF")):
        with pytest.raises(
            ValueError, match=r"(the picture|the content \(\d+ bytes\)) holds .* save it as an ordinary PNG with 8 bit"
        ):
            load_image(source, 4)


def test_a_transparent_value_of_16_bits_is_laid_on_white():
    deep = np.array([[0, 257 * 100, 257 * 200, 65535]] * 4, np.uint16)
    content = as_file(Image.fromarray(deep), transparency=257 * 100)
    assert levels(load_image(content, 4))[0, :, 0].tolist() == [0, 255, 200, 255]


def test_a_transparent_colour_of_16_bits_is_laid_on_white():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">12H", *(257 * value for value in (0, 0, 0, 100, 50, 25, 200, 200, 200, 255, 255, 255)))
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">3H", 257 * 100, 257 * 50, 257 * 25))
        + chunk(b"IDAT", zlib.compress(row * 4))
        + chunk(b"IEND", b"")
    )
    assert levels(load_image(content, 4))[0].tolist() == [[0] * 3, [255] * 3, [200] * 3, [255] * 3]


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_every_mode_becomes_the_same_grey(mode):
    grey = Image.new("L", (4, 4), 255)
    through = {"La": ["LA"], "RGBa": ["RGBA"], "PA": ["LA"], "HSV": ["RGB"], "YCbCr": ["RGB"], "CMYK": ["RGB"]}
    for step in [*through.get(mode, []), mode]:
        grey = grey.convert(step)
    assert np.abs(levels(load_image(grey, 4)).astype(int) - 255).max() <= 1
    assert grey.mode == mode


def test_lab_is_seen_in_its_colours():
    grey = Image.frombytes("LAB", (4, 4), bytes([136, 0, 0] * 16))
    assert np.abs(levels(load_image(grey, 4)).astype(int) - 127).max() <= 2


# colour profiles


def profile(gamma):
    """A profile for grey values of this gamma, as the smallest file that the standard allows."""
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + int(gamma * 256).to_bytes(2, "big") + bytes(2)
    point = b"XYZ " + bytes(4) + b"".join(int(x * 65536).to_bytes(4, "big") for x in (0.9642, 1, 0.8249))
    name = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"grey\0" + bytes(79)
    parts = {b"desc": name, b"wtpt": point, b"kTRC": curve}
    start, table, body = 128 + 4 + 12 * len(parts), len(parts).to_bytes(4, "big"), b""
    for tag, part in parts.items():
        table += tag + (start + len(body)).to_bytes(4, "big") + len(part).to_bytes(4, "big")
        body += part + bytes(-len(part) % 4)
    head = b"lcms" + b"\x02\x10\0\0" + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    head += b"".join(int(x * 65536).to_bytes(4, "big") for x in (0.9642, 1, 0.8249))
    head += bytes(128 - 4 - len(head))
    return (128 + len(table) + len(body)).to_bytes(4, "big") + head + table + body


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_colour_profile_is_followed(kind):
    linear, value = profile(1.0), 0.2140  # of the light of white: 127.5 in sRGB
    picture = Image.new("L", (16, 16), round(255 * value))
    seen = levels(load_image(as_file(picture, kind, icc_profile=linear), 16))
    assert np.abs(seen.astype(int) - 128).max() <= 1
    with_alpha = Image.merge("LA", [picture, Image.new("L", (16, 16), 255)])
    if kind != "JPEG":
        assert np.array_equal(levels(load_image(as_file(with_alpha, kind, icc_profile=linear), 16)), seen)


def test_a_profile_of_16_bits_is_followed():
    deep = Image.fromarray(np.full((4, 4), round(65535 * 0.2140), np.uint16))
    assert np.abs(levels(load_image(as_file(deep, icc_profile=profile(1.0)), 4)).astype(int) - 128).max() <= 1


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("given", [SRGB, b"", b"no profile", profile(1.0), profile(1.0)[:200], SRGB[:300]])
def test_a_profile_that_says_nothing_new_or_does_not_fit_changes_nothing(given):
    content = as_file(Image.fromarray(colours()), icc_profile=given)
    assert np.array_equal(levels(load_image(content, 8)), colours())


# many pixels

MEMORY = """
import sys
import zlib
from fooling_utils import load_image
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
load_image("coffee", device="cpu")
before = peak()
for name in sys.argv[1:]:
    assert load_image(name, device="cpu").min() > 0.99, name
    print(name.rpartition("/")[2], peak() - before)
"""


ONE_STRIP = {"compression": "tiff_lzw", "tiffinfo": {278: 10**6}}
LARGEST = [
    ("I;16", "PNG", 8900, {"compress_level": 1}),
    ("RGBA", "PNG", 8900, {"compress_level": 1}),
    ("CMYK", "JPEG", 7400, {"progressive": True}),
    ("CMYK", "TIFF", 7400, ONE_STRIP),
    ("RGB", "WEBP", 5400, {"lossless": True, "method": 0}),
]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_picture_of_many_pixels_needs_less_than_500_megabytes(tmp_path):
    for mode, kind, side, settings in LARGEST:
        white = {"I;16": 65535, "CMYK": (0,) * 4}.get(mode, (255,) * len(mode))
        Image.new(mode, (side, side), white).save(tmp_path / f"{mode}.{kind}", kind, **settings)
    command = [sys.executable, "-c", MEMORY, *map(str, tmp_path.iterdir())]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    peaks = [line.split() for line in run.stdout.splitlines()]
    assert len(peaks) == len(LARGEST)
    assert [(name, size) for name, size in peaks if int(size) > 500_000] == []  # kilobytes


@pytest.mark.parametrize(
    ("head", "limit"),
    [
        (as_file(Image.new("1", (9000, 9000)))[:200], "80 million (PNG)"),
        (b"P6 9000 9000 255\n", "80 million (PPM)"),
        (b"P6 9000 1000 65535\n", "8 million (PPM with 16 bits or as text)"),
        (b"P3 9000 1000 255\n", "8 million (PPM with 16 bits or as text)"),
    ],
)
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_read(head, limit):
    with pytest.raises(ValueError, match=rf"it has 9000 x \d+ pixels, and the limit is {re.escape(limit)}: make it"):
        load_image(head)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "P"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_reduced_picture_is_the_same_picture(mode, orientation, monkeypatch):
    array = np.kron(colours(8, 10, seed=3), np.ones((40, 40, 1), np.uint8))
    picture = Image.fromarray(array)
    picture = Image.fromarray(array[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = as_file(picture, exif=exif)
    whole = levels(load_image(content, 64)).astype(int)
    monkeypatch.setattr(pictures, "LARGE", 1000)
    monkeypatch.setattr(pictures, "SHARP", 32)
    reduced = levels(load_image(content, 64))
    assert np.abs(reduced - whole).mean() < 4
    assert np.abs(reduced - whole[::-1]).mean() > 30


# damaged on purpose


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_damaged_files_are_read_or_refused_in_words(kind):
    random = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    settings = {"exif": exif, "icc_profile": SRGB} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    content = as_file(Image.fromarray(SMOOTH), kind, **settings)
    for _ in range(60):
        damaged = bytearray(content)
        for place in random.integers(0, len(content) // random.integers(1, 20), random.integers(1, 6)):
            damaged[place] = random.integers(256)
        try:
            image = load_image(damaged[: random.integers(1, len(content) + 1)] if random.random() < 0.3 else damaged, 8)
        except ValueError as error:
            assert "save it" in str(error) or "make it smaller" in str(error)
        else:
            assert image.shape == (1, 3, 8, 8)


def test_an_animation_or_a_lazy_file_that_is_passed_in_stays_open():
    with Image.open(io.BytesIO(as_file(Image.fromarray(colours())))) as picture:
        assert np.array_equal(levels(load_image(picture, 8)), colours())
        assert np.array_equal(levels(load_image(picture, 8)), colours())
