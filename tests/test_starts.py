import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fooling_utils import (
    PICTURES,
    blank,
    distances,
    from_uint8,
    gaussian_noise,
    load_image,
    round_to_8bit,
    save_png,
    starts,
    through_jpeg,
    to_uint8,
    uniform_noise,
)
from nets import random_images


def as_file(picture: Image.Image, kind: str = "PNG", **settings) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=kind, **settings)
    return file.getvalue()


def levels(image: torch.Tensor) -> np.ndarray:
    """The grey levels (H, W, 3), 0 to 255, of one image."""
    return (image[0] * 255).round().permute(1, 2, 0).to(int).numpy()


def colours(height: int = 8, width: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


# pictures that come with the course


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_course_is_an_image_on_the_8_bit_grid(name):
    image = load_image(name)
    assert image.shape == (1, 3, 224, 224)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert image.min() >= 0
    assert image.max() <= 1
    assert torch.equal(image, round_to_8bit(image))
    assert image.std() > 0.05, "a picture, not one shade"


def test_a_picture_is_found_with_a_space_in_its_name_and_has_the_size_that_is_asked_for():
    assert torch.equal(load_image("grace hopper", 64), load_image("grace_hopper", 64))
    assert load_image("coffee", 64).shape == (1, 3, 64, 64)


# every kind of source gives the same image


def test_a_file_its_bytes_a_pil_image_and_an_array_give_the_same_image(tmp_path):
    array = colours()
    content = as_file(Image.fromarray(array))
    (tmp_path / "picture.png").write_bytes(content)
    sources = [tmp_path / "picture.png", str(tmp_path / "picture.png"), content, bytearray(content)]
    for source in [*sources, memoryview(content), Image.fromarray(array), array, array / np.float32(255)]:
        assert np.array_equal(levels(load_image(source, 8)), array), type(source)


def test_floats_are_rounded_to_the_nearest_grey_level():
    assert (levels(load_image(np.full((4, 4), 100.6 / 255), 4)) == 101).all()


def test_the_middle_square_is_cut_out():
    array = np.zeros((4, 10, 3), np.uint8)
    array[:, 3:7] = 200
    assert (levels(load_image(array, 4)) == 200).all()


def test_the_source_is_not_modified():
    array, picture = colours(9, 5), Image.fromarray(colours(5, 9, 4))
    before = array.copy(), picture.tobytes(), picture.mode
    load_image(array, 4)
    load_image(picture, 4)
    assert np.array_equal(array, before[0])
    assert (picture.tobytes(), picture.mode) == before[1:]


# every kind of file


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_a_photograph_is_turned_upright_as_its_exif_says(orientation, turn):
    array = colours()
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(levels(load_image(as_file(Image.fromarray(array), exif=exif), 8)), np.rot90(array, turn))


def test_transparency_is_laid_on_white():
    clear, half = Image.new("RGBA", (4, 4), (255, 0, 0, 0)), Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert (levels(load_image(clear, 4)) == 255).all()
    assert (levels(load_image(as_file(half), 4)) == 127).all()


def test_grey_with_transparency_is_laid_on_white():
    assert (levels(load_image(as_file(Image.new("LA", (4, 4), (0, 51))), 4)) == 204).all()


def test_a_transparent_colour_of_a_palette_is_laid_on_white():
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.paste(0, (0, 0, 4, 2))
    image = levels(load_image(as_file(picture, transparency=0), 4))
    assert (image[:2] == 255).all()
    assert (image[2:] == [10, 20, 30]).all()


def test_a_palette_without_transparency_gives_its_colours():
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    picture.putpalette([9, 8, 7, 250, 0, 1])
    assert np.array_equal(levels(load_image(as_file(picture), 2))[0], [[9, 8, 7], [250, 0, 1]])


def test_a_grey_picture_has_three_equal_channels():
    array = colours()[:, :, 0]
    for source in (array, as_file(Image.fromarray(array))):
        assert np.array_equal(levels(load_image(source, 8)), np.repeat(array[:, :, None], 3, 2))


def test_one_bit_is_black_and_white():
    picture = Image.new("1", (4, 4), 1)
    picture.paste(0, (0, 0, 4, 2))
    image = levels(load_image(as_file(picture), 4))
    assert (image[:2] == 0).all()
    assert (image[2:] == 255).all()


def test_sixteen_bits_are_scaled_to_eight_and_not_cut_off():
    deep = np.array([[0, 257, 257 * 200, 65535]] * 4, np.uint16)
    assert levels(load_image(as_file(Image.fromarray(deep)), 4))[0, :, 0].tolist() == [0, 1, 200, 255]


def test_a_cmyk_photograph_becomes_rgb():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    image = levels(load_image(as_file(red, "JPEG", quality=95), 16))
    assert np.abs(image - [255, 0, 0]).max() <= 6


def test_of_an_animation_the_first_frame_is_taken():
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    content = as_file(red, "GIF", save_all=True, append_images=[blue])
    assert (levels(load_image(content, 4)) == [255, 0, 0]).all()
    played = Image.open(io.BytesIO(content))
    played.seek(1)
    assert (levels(load_image(played, 4)) == [255, 0, 0]).all()


@pytest.mark.parametrize("size", [(6000, 4000), (1, 20000), (20000, 1), (1, 1)])
def test_a_picture_of_any_size_becomes_a_square(size):
    image = load_image(Image.new("RGB", size, (10, 20, 30)), 32)
    assert image.shape == (1, 3, 32, 32)
    assert (levels(image) == [10, 20, 30]).all()


def test_a_large_picture_is_averaged_and_not_just_sampled():
    checkerboard = np.indices((512, 512)).sum(0) % 2 * 255
    image = levels(load_image(checkerboard.astype(np.uint8), 8))
    assert np.abs(image - 127.5).max() <= 4


# what cannot be read


def cut(kind: str) -> bytes:
    content = as_file(Image.fromarray(colours(64, 64)), kind)
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\0\0\0\x18ftypheic" + bytes(100),
            "the content, 112 bytes, is a HEIC photograph of a phone: save it as PNG or JPEG",
        ),
        (
            b"Dear reader, this is no picture",
            "the content, 31 bytes, is no picture that can be read: save it as PNG or JPEG",
        ),
        (b"", "the content, 0 bytes, is no picture that can be read"),
        (cut("PNG"), "damaged or cut short .*save it again as PNG or JPEG"),
        (cut("JPEG"), "damaged or cut short .*save it again as PNG or JPEG"),
    ],
    ids=["heic", "text", "empty", "half a PNG", "half a JPEG"],
)
def test_what_is_no_picture_says_what_it_is_and_what_to_do(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_image(content)
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=message.replace(f"the content, {len(content)} bytes,", "the file '.*holiday.jpg'")
    ):
        load_image(path)


def test_a_decompression_bomb_is_not_opened(monkeypatch):
    content = as_file(Image.new("RGB", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"too large to be opened safely .*10000 pixels.*make it smaller first"):
        load_image(content)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("school_buss", "did you mean 'school_bus'"),
        ("Coffee", "did you mean 'coffee'"),
        ("zebra.png", "the pictures are school_bus, robin"),
        ("x" * 5000, "the pictures are school_bus"),
        ("a\0b", "the pictures are school_bus"),
    ],
)
def test_a_name_that_is_neither_a_picture_nor_a_file_lists_the_nearest(name, hint):
    with pytest.raises(FileNotFoundError, match=f"there is no picture and no file '.*{hint}"):
        load_image(name)


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no file '{tmp_path.name}'|no file '.*{tmp_path.name}'"):
        load_image(tmp_path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 8, 9), np.uint8), r"must have the shape \(H, W\), \(H, W, 3\) or \(H, W, 4\), got \(3, 8, 9\)"),
        (np.zeros((8, 8, 2), np.uint8), r"got \(8, 8, 2\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"got \(1, 8, 8, 3\)"),
        (np.zeros(8, np.uint8), r"got \(8,\)"),
        (np.zeros((0, 8, 3), np.uint8), r"got \(0, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int64), r"must be uint8, or float in \[0, 1\], got int64"),
        (np.zeros((8, 8), bool), r"must be uint8, or float in \[0, 1\], got bool"),
        (np.full((8, 8, 3), 200.0), r"in \[0, 1\], got 200.0 to 200.0: divide by 255, or convert it to uint8"),
        (np.full((8, 8), -0.5), r"in \[0, 1\], got -0.5 to -0.5"),
        (np.full((8, 8), np.nan), r"in \[0, 1\], got nan to nan"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array, message):
    with pytest.raises(ValueError, match=message):
        load_image(array)


@pytest.mark.parametrize("source", [7, None, torch.zeros(1, 3, 8, 8), ["school_bus"]])
def test_a_source_of_another_type_is_refused(source):
    with pytest.raises(TypeError, match=f"a picture is a name, a file, an address, .*got {type(source)}"):
        load_image(source)


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        load_image(colours(), 0)


# addresses

GOOD = as_file(Image.fromarray(colours()))


class Answers(BaseHTTPRequestHandler):
    """A web server with one good picture and several bad habits."""

    def do_GET(self):
        self.close_connection = True
        if self.path == "/garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            return
        moved = {"/moved": "/good.png", "/to-a-file": Path(__file__).as_uri(), "/round": "/round"}.get(self.path)
        status = 302 if moved else 404 if self.path == "/missing.png" else 200
        self.send_response(status)
        if moved:
            self.send_header("Location", moved)
        self.end_headers()
        if self.path == "/page":
            self.wfile.write(b"<!doctype html><html><body>a page about a picture</body></html>")
        elif self.path == "/silent.png":
            self.server.finished.wait(60)
        elif self.path == "/drip.png":
            while not self.server.finished.wait(0.01):
                self.wfile.write(b"x")
        elif status == 200:
            self.wfile.write(GOOD)

    def log_message(self, *arguments):
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up early is what some of these tests are about."""


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = QuietServer(("127.0.0.1", 0), Answers)
    server.finished = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.finished.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/good.png", "/moved"])
def test_a_picture_is_read_from_an_address(address, path):
    assert np.array_equal(levels(load_image(address + path, 8)), colours())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing.png", "404"),
        ("/to-a-file", "302.*file:"),
        ("/round", "redirect"),
        ("/garbage", "this is not HTTP"),
        ("/with space.png", "contain control characters"),
    ],
)
def test_an_address_that_fails_says_why_and_what_to_do(address, path, reason):
    with pytest.raises(ConnectionError, match=rf"(?s){path} cannot be read \(.*{reason}.*save the picture to a file"):
        load_image(address + path)


def test_a_web_page_is_no_picture(address):
    with pytest.raises(ValueError, match=r"what 'http.*/page' gives is no picture that can be read"):
        load_image(address + "/page")


def test_a_download_has_a_limit_of_size(address, monkeypatch):
    monkeypatch.setattr(starts, "MAX_DOWNLOAD_BYTES", len(GOOD))
    assert load_image(address + "/good.png", 8).shape == (1, 3, 8, 8)
    monkeypatch.setattr(starts, "MAX_DOWNLOAD_BYTES", len(GOOD) - 1)
    with pytest.raises(ValueError, match=r"good\.png is larger than .* MB: save a smaller copy"):
        load_image(address + "/good.png")


@pytest.mark.parametrize(("path", "reason"), [("/silent.png", "timed out"), ("/drip.png", r"more than 0\.2 seconds")])
def test_a_download_has_a_limit_of_time(address, monkeypatch, path, reason):
    monkeypatch.setattr(starts, "MAX_DOWNLOAD_SECONDS", 0.2)
    with pytest.raises(ConnectionError, match=rf"{path} cannot be read \(.*{reason}.*save the picture to a file"):
        load_image(address + path)


def test_an_address_where_nobody_answers_says_what_to_do(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(
        ConnectionError, match=r"http://127\.0\.0\.1:9/x\.png cannot be read .*save the picture to a file"
    ):
        load_image("http://127.0.0.1:9/x.png")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/a.png", "data://image/png;base64,AAAA"])
def test_other_kinds_of_address_are_refused(url):
    with pytest.raises(ValueError, match=f"an address must begin with http:// or https://, got '{url}'"):
        load_image(url)


# 8 bit, there and back

values = arrays(np.float32, (1, 3, 4, 4), elements=st.floats(0, 1, width=32))


@given(values)
def test_rounding_moves_a_value_by_half_a_grey_level_at_most_and_only_once(array):
    image = torch.from_numpy(array)
    rounded = round_to_8bit(image)
    assert (rounded - image).abs().max() <= 0.5001 / 255
    assert torch.equal(round_to_8bit(rounded), rounded)


def test_all_256_grey_levels_survive():
    every = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    assert torch.equal(to_uint8(from_uint8(every)), every)


@pytest.mark.parametrize("size", [1, 8, 33])
def test_a_saved_image_comes_back_exactly(tmp_path, size):
    image = uniform_noise(size=size)
    save_png(image, tmp_path / "image.png")
    assert torch.equal(load_image(tmp_path / "image.png", size), round_to_8bit(image))


def test_only_one_image_fits_into_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"takes one image and got 2: use image\[i : i \+ 1\]"):
        save_png(uniform_noise(2, 8), tmp_path / "image.png")


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (torch.full((1, 3, 4, 4), 1.5), ValueError, r"must be in \[0, 1\], got 1\.5 to 1\.5: use image\.clamp\(0, 1\)"),
        (
            torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
            TypeError,
            "got torch.uint8 with maximum 0: use images.from_uint8",
        ),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), TypeError, r"got torch.int64.*use image\.float\(\)"),
        (torch.zeros(3, 4, 4), ValueError, r"got \(3, 4, 4\): image\[None\] makes a batch of one"),
        (torch.zeros(4, 4), ValueError, r"got \(4, 4\): one dimension is for the batch"),
    ],
)
def test_only_images_can_be_converted_to_uint8(image, kind, message):
    with pytest.raises(kind, match=message):
        to_uint8(image)


def test_only_uint8_can_be_converted_from_uint8():
    with pytest.raises(TypeError, match=r"images must be uint8, got torch\.float32"):
        from_uint8(torch.zeros(1, 3, 4, 4))


def test_jpeg_changes_little_at_high_quality_and_more_at_low():
    image = load_image("coffee", 64)
    rms = [distances(image, through_jpeg(image, quality)).rms_grey_levels for quality in (95, 75, 25, 5)]
    assert rms == sorted(rms)
    assert 0 < rms[0] < 8
    assert rms[3] > 16


def test_jpeg_of_a_batch_is_that_of_its_members_on_the_8_bit_grid():
    batch = uniform_noise(3, 16)
    compressed = through_jpeg(batch, 50)
    assert torch.equal(compressed, torch.cat([through_jpeg(one, 50) for one in batch.split(1)]))
    assert torch.equal(compressed, round_to_8bit(compressed))


@pytest.mark.parametrize("quality", [0, 96, -5])
def test_jpeg_has_no_quality_outside_its_range(quality):
    with pytest.raises(ValueError, match=f"quality must be from 1 to 95, got {quality}"):
        through_jpeg(uniform_noise(size=8), quality)


# blanks and noise


def test_a_blank_has_one_shade():
    assert (blank(0.25, 2, 8) == 0.25).all()
    assert blank(0, 2, 8).shape == (2, 3, 8, 8)
    assert blank(1).dtype == torch.float32
    with pytest.raises(ValueError, match=r"value must be in \[0, 1\], got 128"):
        blank(128)


@pytest.mark.parametrize("noise", [uniform_noise, gaussian_noise])
def test_noise_follows_its_seed_alone(noise):
    state = torch.get_rng_state()
    first = noise(2, 16, seed=1)
    torch.rand(1)
    assert torch.equal(noise(2, 16, seed=1), first)
    assert not torch.equal(noise(2, 16, seed=2), first)
    assert not torch.equal(first[0], first[1])
    torch.set_rng_state(state)
    noise(2, 16)
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_has_the_spread_it_says():
    uniform, gaussian = uniform_noise(4, 64), gaussian_noise(4, 64, mean=0.4, std=0.05)
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert uniform.std().item() == pytest.approx(12**-0.5, abs=0.01)
    assert gaussian.mean().item() == pytest.approx(0.4, abs=0.002)
    assert gaussian.std().item() == pytest.approx(0.05, abs=0.002)


def test_gaussian_noise_stays_in_range_and_needs_a_spread():
    wide = gaussian_noise(size=16, std=3)
    assert wide.min() == 0
    assert wide.max() == 1
    with pytest.raises(ValueError, match=r"std must not be negative, got -0\.1"):
        gaussian_noise(std=-0.1)


# distances


def test_distances_by_hand():
    black, other = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    other[0, :, 1, 2] = 51 / 255  # three of 48 values change by a fifth
    found = distances(black, other)
    assert found.l2 == pytest.approx((3 * 0.2**2) ** 0.5)
    assert found.linf_grey_levels == pytest.approx(51)
    assert found.rms_grey_levels == pytest.approx(51 / 4)
    assert found.changed_share == pytest.approx(3 / 48)
    assert 0 < found.ssim < 1


def test_a_change_that_does_not_survive_8_bit_counts_as_none():
    image = blank(100 / 255, size=8)
    assert distances(image, image + 0.4 / 255).changed_share == 0
    assert distances(image, image + 0.6 / 255).changed_share == 1


def test_ssim_is_that_of_the_literature():
    # equal means and opposite patterns: luminance 1, contrast 1, structure -1, up to the constants
    stripes = (torch.arange(16) % 2).float().expand(1, 3, 16, 16)
    assert distances(0.25 + 0.5 * stripes, 0.75 - 0.5 * stripes).ssim == pytest.approx(-1, abs=0.05)


@given(values, values)
def test_distances_are_symmetric_and_zero_for_equal_images_alone(first, second):
    a, b = torch.from_numpy(first), torch.from_numpy(second)
    there, back = distances(a, b), distances(b, a)
    assert there == pytest.approx(back)
    assert min(there[:4]) >= 0
    assert (there.l2 == 0) == (there.linf_grey_levels == 0) == (there.rms_grey_levels == 0) == torch.equal(a, b)
    same = distances(a, a)
    assert same[:4] == (0, 0, 0, 0)
    assert same.ssim == pytest.approx(1)


@given(values, values, values)
def test_distances_obey_the_triangle_inequality(first, second, third):
    a, b, c = map(torch.from_numpy, (first, second, third))
    for direct, one, two in list(zip(distances(a, c), distances(a, b), distances(b, c), strict=True))[:3]:
        assert direct <= (one + two) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 3, 8, 8), (1, 3, 8, 9)), ((2, 3, 8, 8), (2, 3, 8, 8)), ((1, 3, 2, 8), (1, 3, 2, 8))],
)
def test_distances_need_one_image_and_one_of_the_same_shape(first, second):
    with pytest.raises(ValueError, match=r"one image with one, of 3 x 3 pixels or more, got shapes \("):
        distances(torch.zeros(first), torch.zeros(second))


def test_distances_refuse_what_is_no_image():
    with pytest.raises(ValueError, match=r"original must be in \[0, 1\]"):
        distances(2 * random_images(), random_images())
    with pytest.raises(TypeError, match="image must be float32"):
        distances(random_images(), random_images().double())
