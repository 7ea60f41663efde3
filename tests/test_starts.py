"""Where a run starts: pictures of every kind of source and file, blanks and noise."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from fooling_utils import PICTURES, blank, gaussian_noise, load_image, photographs, round_to_8bit, uniform_noise
from fooling_utils.starts import PHOTOGRAPHS
from pixels import as_file, colours, levels

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


@pytest.mark.parametrize("dtype", [bool, np.uint16, np.int64, np.float16, np.float64, ">f4", ">u2"])
@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 1), (2, 4, 3)])
def test_arrays_of_every_kind_of_number_are_read(dtype, shape):
    white = {"b": 1, "u": 65535, "i": 255, "f": 1}[np.dtype(dtype).kind]
    array = np.zeros(shape, dtype)
    array[:, 2:] = white
    image = levels(load_image(array[::-1, ::-1], 2))
    assert image[:, 0].min() > 250  # it was on the right
    assert image[:, 1].max() < 5
    array.setflags(write=False)
    assert (levels(load_image(array[:, 2:], 2)) == 255).all()


@pytest.mark.parametrize("written", ["{}", " {} \n", '"{}"', "'{}'\n", "~/{}", "“{}”", "`{}`"])
def test_a_path_is_found_as_it_is_copied_from_elsewhere(written, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my photo.png").write_bytes(as_file(Image.fromarray(colours())))
    assert np.array_equal(levels(load_image(written.format("my photo.png"), 8)), colours())


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


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken_and_of_one_that_is_passed_in_the_present_one(kind):
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    exact = {"lossless": True} if kind == "WEBP" else {}
    content = as_file(red, kind, save_all=True, append_images=[blue], **exact)
    assert (levels(load_image(content, 4)) == [255, 0, 0]).all()
    with Image.open(io.BytesIO(content)) as played:
        played.seek(1)
        assert (levels(load_image(played, 4)) == [0, 0, 255]).all()
        assert played.tell() == 1


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
            "the content \\(112 bytes\\) is a HEIC photograph from a phone, or a film: save it as PNG or JPEG",
        ),
        (
            b"Dear reader, this is no picture",
            "the content \\(31 bytes\\) is not a picture that can be read: save it as PNG or JPEG",
        ),
        (b"", "the content \\(0 bytes\\) is not a picture that can be read"),
        (
            cut("PNG"),
            f"the content \\({len(cut('PNG'))} bytes\\) is damaged or cut short .*save it again as PNG or JPEG",
        ),
        (cut("JPEG"), f"the content \\({len(cut('JPEG'))} bytes\\) is damaged or cut short .*save it again as PNG"),
    ],
    ids=["heic", "text", "empty", "half a PNG", "half a JPEG"],
)
def test_what_is_no_picture_says_what_it_is_and_what_to_do(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_image(content)
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=message.replace(f"the content \\({len(content)} bytes\\)", "the file '.*holiday.jpg'")
    ):
        load_image(path)


def test_a_decompression_bomb_is_not_opened(monkeypatch):
    content = as_file(Image.new("RGB", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"too large to open safely .*10000 pixels.*make it smaller first"):
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
    with pytest.raises(FileNotFoundError, match=f"there is no picture or file called '.*{hint}"):
        load_image(name)


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path.name}' is a folder: give the name of a picture file"):
        load_image(tmp_path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((3, 8, 9), np.uint8),
            r"the shape \(H, W\), .* got \(3, 8, 9\): use array\.transpose\(1, 2, 0\)",
        ),
        (np.zeros((8, 8, 2), np.uint8), r"got \(8, 8, 2\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"got \(1, 8, 8, 3\)"),
        (np.zeros(8, np.uint8), r"got \(8,\)"),
        (np.zeros((0, 8, 3), np.uint8), r"got \(0, 8, 3\)"),
        (np.full((8, 8, 3), 256), r"whole numbers must be grey levels from 0 to 255, got 256 to 256"),
        (np.full((8, 8), "x"), r"must hold numbers, got <U1"),
        (np.full((8, 8), None), r"must hold numbers, got object: use array\.astype"),
        (np.full((8, 8), 1j), r"must hold numbers, got complex128"),
        (np.full((8, 8, 3), 200.0), r"in \[0, 1\], got 200.0 to 200.0: divide by 255"),
        (np.full((8, 8), -0.5), r"in \[0, 1\], got -0.5 to -0.5"),
        (np.full((8, 8), np.nan), "values that are NaN or infinite"),
        (np.array([[0.5, np.inf]] * 2), "values that are NaN or infinite"),
        (np.ma.masked_greater(np.full((8, 8), 0.5), 0.4), r"no masked values: .* array\.filled\(1\)"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array, message):
    with pytest.raises(ValueError, match=message):
        load_image(array)


@pytest.mark.parametrize("source", [7, None, torch.zeros(1, 3, 8, 8), ["school_bus"]])
def test_a_source_of_another_type_is_refused(source):
    with pytest.raises(
        TypeError,
        match=f"a picture is a name, a file.* got .*(a tensor|{type(source).__name__})",
    ):
        load_image(source)


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ValueError, match="size must be a whole number and at least 1, got 0"):
        load_image(colours(), 0)


# photographs


def test_photographs_are_crops_of_the_photographs_alone():
    crops = photographs(2, size=64)
    assert crops.shape == (2 * len(PHOTOGRAPHS), 3, 64, 64)
    assert torch.equal((crops * 255).round() / 255, crops)
    assert torch.equal(crops, photographs(2, size=64))
    assert not torch.equal(crops, photographs(2, size=64, seed=1))
    assert "school_bus" not in PHOTOGRAPHS
    assert len(crops.flatten(1).unique(dim=0)) == len(crops)
    with pytest.raises(ValueError, match="crops must be a whole number and at least 1, got 0"):
        photographs(0)


def test_some_photographs_are_mirrored_and_some_are_not():
    size = 64
    large = load_image(PHOTOGRAPHS[0], round(size * 8 / 7))
    seen = set()
    for crop in photographs(10, size=size)[:10]:
        for mirrored in (False, True):
            wanted = crop.flip(2) if mirrored else crop
            windows = large[0].unfold(1, size, 1).unfold(2, size, 1)
            seen |= {mirrored} if (windows == wanted[:, None, None]).all(-1).all(-1).all(0).any() else set()
    assert seen == {False, True}


# blanks and noise


def test_a_blank_has_one_shade():
    assert (blank(0.25, 2, 8) == 0.25).all()
    assert blank(0, 2, 8).shape == (2, 3, 8, 8)
    assert blank(1).dtype == torch.float32
    with pytest.raises(ValueError, match="value must be a number from 0 to 1, got 128"):
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
    with pytest.raises(ValueError, match=r"std must be a number and at least 0, got -0\.1"):
        gaussian_noise(std=-0.1)
