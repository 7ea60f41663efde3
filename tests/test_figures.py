"""Figures show what was classified, and say in which way."""

import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fooling_utils import figures, round_to_8bit
from fooling_utils.networks.small import Points
from fooling_utils.regions import RegionMap
from nets import NUMBERS, linear, random_images
from pixels import levels


@pytest.fixture(scope="module")
def sharp():
    """A network that is so steep that its answer to an image and to the rounded image differ."""
    weight = 20 * torch.randn(4, NUMBERS, generator=torch.Generator().manual_seed(0))
    image = random_images()
    return linear(
        weight, -(weight @ image.flatten()), labels=["bus", "ostrich", "robin", "a very long name of a class"]
    )


def fooled_image() -> torch.Tensor:
    return random_images() + 0.02 * (random_images(seed=1) - 0.5)


def drawn(axes) -> np.ndarray:
    """The grey levels (H, W, 3) that a panel shows, whether it was given floats or uint8."""
    shown = np.asarray(axes.images[0].get_array())
    return shown if shown.dtype == np.uint8 else np.rint(255 * shown)


def bars(axes) -> list:
    """The bars of one panel, the uppermost first."""
    return sorted(axes.patches, key=lambda bar: bar.get_y(), reverse=True)


EXAMPLES = {
    "top_five": lambda model, images: figures.top_five(model, images(), "ostrich"),
    "triptych": lambda model, images: figures.triptych(model, images(), images(seed=1), "ostrich"),
    "grid_of_images": lambda model, images: figures.grid_of_images(images(7), list("abcdefg"), columns=3),
    "before_and_after": lambda model, images: figures.before_and_after(model, images(3), images(3, seed=1)),
    "curves": lambda model, images: figures.curves(
        {"one": ([0, 1], [0.1, 0.9]), "two": (range(40), [0.5] * 40)}, "x", "y", marks={"here": 0.5}
    ),
    "gradient_picture": lambda model, images: figures.gradient_picture(images(), images(seed=1, low=-1, high=1)),
    "histogram": lambda model, images: figures.histogram([0.01, 0.02, 0.5], "probability", {"fooled": 0.9}),
    "picture": lambda model, images: figures.picture(images(), "a title"),
    "changed_levels": lambda model, images: figures.changed_levels(images(), images(seed=1)),
    "region_maps": lambda model, images: figures.region_maps({"one": two_regions()}, NAMES, images={"a": images()}),
}


def test_every_figure_of_the_library_has_an_example_here():
    public = {
        name for name, function in inspect.getmembers(figures, inspect.isfunction)
        if not name.startswith("_") and inspect.signature(function).return_annotation in (Figure, "Figure")
    }  # fmt: skip
    assert public == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_figure_is_returned_can_be_drawn_and_is_not_left_open(name, sharp):
    state = plt.get_fignums(), plt.rcParams.copy()
    figure = EXAMPLES[name](sharp, random_images)
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    assert (plt.get_fignums(), plt.rcParams) == state


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"curves", "histogram"}))
def test_a_figure_modifies_no_image(name, sharp):
    made = []

    def remember(*arguments, **settings):
        made.append((random_images(*arguments, **settings), random_images(*arguments, **settings)))
        return made[-1][0]

    EXAMPLES[name](sharp, remember)
    assert made
    assert all(torch.equal(now, then) for now, then in made)


# what is shown is what was classified


def test_the_triptych_shows_the_rounded_images_and_their_amplified_difference(sharp):
    original, fooled = random_images(), fooled_image()
    figure = figures.triptych(sharp, original, fooled, amplification=10)
    left, middle, right = figure.axes[:3]
    assert np.array_equal(drawn(left), levels(round_to_8bit(original)))
    assert np.array_equal(drawn(right), levels(round_to_8bit(fooled)))
    change = round_to_8bit(fooled) - round_to_8bit(original)
    assert np.array_equal(drawn(middle), levels((0.5 + 10 * change).clamp(0, 1)))
    assert drawn(middle).std() > 5
    assert middle.get_title() == "change, times 10"


def test_changed_levels_shows_where_and_how_many():
    original = torch.full((1, 3, 10, 10), 100 / 255)
    changed = original.clone()
    for (channel, row), steps in {(0, 1): 1, (1, 1): -1, (2, 2): 2, (0, 2): 1, (1, 7): -3, (2, 8): 50}.items():
        changed[0, channel, row] += steps / 255
    where, how_many = figures.changed_levels(original, changed + 0.3 / 255).axes
    shown = where.images[0].get_array()
    kinds = [to_hex(bar.get_facecolor()) for bar in how_many.patches]
    colours = [to_hex(shown[row, 4]) for row in (0, 1, 2, 7, 8)]
    assert colours == ["#ffffff", kinds[0], kinds[1], kinds[2], kinds[2]]
    assert [bar.get_width() for bar in how_many.patches] == pytest.approx([3 / 30, 1 / 30, 2 / 30])
    assert [text.get_text().strip() for text in how_many.texts] == ["10.0%", "3.3%", "6.7%"]


def test_changed_levels_lie_over_the_edges_of_the_original():
    original = torch.zeros(1, 3, 10, 10)
    original[..., 5:] = 1.0
    changed = original.clone()
    changed[0, 0, 2, 4] = 1 / 255
    shown = figures.changed_levels(original, changed).axes[0].images[0].get_array()
    assert [to_hex(shown[7, column]) for column in (2, 4, 5, 7)] == ["#ffffff", "#b0b0b0", "#b0b0b0", "#ffffff"]
    assert to_hex(shown[2, 4]) not in ("#ffffff", "#b0b0b0")


@pytest.mark.parametrize(("count", "size"), [(2, 4), (1, 5)])
def test_changed_levels_compares_one_image_with_one(count, size):
    with pytest.raises(ValueError, match=rf"the same shape .*, got \(1, 3, 4, 4\) on cpu and \({count}, 3, {size}"):
        figures.changed_levels(random_images(), random_images(count, size))


def test_the_bars_are_the_answer_to_the_rounded_image(sharp):
    fooled = fooled_image()
    figure = figures.triptych(sharp, random_images(), fooled, "ostrich")
    for panel, image in ((figure.axes[3], random_images()), (figure.axes[5], fooled)):
        widths = [bar.get_width() for bar in bars(panel)]
        rounded, raw = sharp.top(round_to_8bit(image)), sharp.top(image)
        assert widths == pytest.approx([p.probability for p in rounded])
        assert widths != pytest.approx([p.probability for p in raw], abs=1e-3), "here rounding makes a difference"
        names = [label.get_text().rstrip("…") for label in panel.get_yticklabels()][::-1]
        assert all(p.label.startswith(name) for p, name in zip(rounded, names, strict=True))


def test_the_target_is_marked_by_a_hatch_and_a_colour_and_the_original_class_by_a_colour(sharp):
    figure = figures.triptych(sharp, random_images(), fooled_image(), "ostrich")
    before = sharp.top(round_to_8bit(random_images()), 1)[0].label
    assert before != "ostrich"
    for panel, image in ((figure.axes[3], random_images()), (figure.axes[5], fooled_image())):
        for bar, prediction in zip(bars(panel), sharp.top(round_to_8bit(image)), strict=True):
            colour = {"ostrich": figures.ORANGE, before: figures.BLUE}.get(prediction.label, figures.GREY)
            assert to_hex(bar.get_facecolor()).upper() == colour
            assert (bar.get_hatch() or "") == ("//" if prediction.label == "ostrich" else "")


def test_every_bar_has_its_percentage_beside_it(sharp):
    panel = figures.triptych(sharp, random_images(), fooled_image()).axes[3]
    written = [text.get_text() for text in panel.texts][::-1]
    for text, prediction in zip(written, sharp.top(round_to_8bit(random_images())), strict=True):
        assert text == (f"{prediction.probability:.1%}" if prediction.probability >= 0.001 else "<0.1%")


def test_the_top_five_stand_beside_the_rounded_image(sharp):
    picture, panel = figures.top_five(sharp, fooled_image()).axes
    assert np.array_equal(drawn(picture), levels(round_to_8bit(fooled_image())))
    expected = [p.probability for p in sharp.top(round_to_8bit(fooled_image()))]
    assert [bar.get_width() for bar in bars(panel)] == pytest.approx(expected)


def test_the_size_of_the_change_is_written_in_levels(sharp):
    original = torch.full((1, 3, 4, 4), 100 / 255)
    figure = figures.triptych(sharp, original, torch.full((1, 3, 4, 4), 103 / 255))
    text = " ".join(text.get_text() for text in figure.axes[4].texts)
    assert "3.00 of 255 grey levels" in text
    assert "largest: 3 grey levels" in text


@pytest.mark.parametrize(
    ("size", "times"), [(0.5, 1), (0.2, 2), (0.09, 5), (0.045, 10), (0.02, 20), (1 / 255, 100), (0, 1000)]
)
def test_the_natural_amplification_is_round_and_keeps_the_change_visible(size, times):
    change = size * (2 * (torch.arange(48.0) % 2) - 1).view(1, 3, 4, 4)
    assert figures.natural_amplification(change) == times
    amplified = figures.amplify(change, times)
    assert torch.allclose(amplified, 0.5 + times * change, atol=1e-5), "nothing is cut off"


def test_without_a_number_the_triptych_states_the_amplification_that_it_chose(sharp):
    original, fooled = random_images(), fooled_image()
    middle = figures.triptych(sharp, original, fooled).axes[1]
    times = float(re.fullmatch(r"change, times (\d+)", middle.get_title()).group(1))
    change = round_to_8bit(fooled) - round_to_8bit(original)
    assert np.array_equal(drawn(middle), levels((0.5 + times * change).clamp(0, 1)))


def test_a_grid_has_every_image_under_its_title_and_no_axes_that_are_empty():
    images = round_to_8bit(random_images(4))
    figure = figures.grid_of_images(images, ["a", "b", "c", "d"], columns=3)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["a", "b", "c", "d"]
    assert all(np.array_equal(drawn(axes), levels(image)) for axes, image in zip(shown, images.split(1), strict=True))
    assert not any(axes.axison for axes in figure.axes if not axes.images)


def test_a_grid_needs_a_title_for_every_image():
    with pytest.raises(ValueError, match="4 images and 2 titles: there must be one title per image"):
        figures.grid_of_images(random_images(4), ["a", "b"])


def test_before_and_after_shows_three_rows_named_by_what_the_network_says(sharp):
    originals, fooled = random_images(2), random_images(2, seed=1)
    axes = figures.before_and_after(sharp, originals, fooled, amplification=3).axes
    before, after = round_to_8bit(originals), round_to_8bit(fooled)
    rows = [before, (0.5 + 3 * (after - before)).clamp(0, 1), after]
    for place, image in zip(axes, torch.cat(rows).split(1), strict=True):
        assert np.array_equal(drawn(place), levels(image))
    for place, image in zip([*axes[:2], *axes[4:]], torch.cat([before, after]).split(1), strict=True):
        best = sharp.top(image, 1)[0]
        name, percent = place.get_title().split("\n")
        assert best.label.startswith(name.rstrip("…"))
        assert percent == f"{best.probability:.0%}"
    assert "change, times 3" in [text.get_text() for text in axes[2].texts]


def test_curves_differ_in_more_than_colour():
    lines = figures.curves({name: ([0, 1], [0, 1]) for name in "abcd"}, "size", "share").axes[0].get_lines()
    assert [line.get_label() for line in lines] == list("abcd")
    assert len({line.get_color() for line in lines}) == 4
    assert len({line.get_linestyle() for line in lines}) == 4
    assert len({line.get_marker() for line in lines}) == 4


def test_paired_curves_have_the_colours_of_their_partners():
    names = ["target", "own", "target, control", "own, control"]
    lines = figures.curves({name: ([0, 1], [0, 1]) for name in names}, "size", "share", paired=True).axes[0].get_lines()
    colours, dashes = [line.get_color() for line in lines], [line.get_linestyle() for line in lines]
    assert colours[:2] == colours[2:] and colours[0] != colours[1]
    assert dashes[2:] == [":", ":"] and ":" not in dashes[:2]


def test_the_gradient_is_drawn_around_grey_beside_the_rounded_image():
    gradient = torch.zeros(1, 3, 4, 4)
    gradient[0, 1, 2, 3] = 1e-6
    picture, signed, strength = figures.gradient_picture(random_images(), gradient).axes
    assert np.array_equal(drawn(picture), levels(round_to_8bit(random_images())))
    moved = drawn(signed) != drawn(signed)[0, 0, 0]
    assert moved.sum() == 1
    assert drawn(signed)[2, 3, 1] > 128
    assert np.unravel_index(strength.images[0].get_array().argmax(), (4, 4)) == (2, 3)


@pytest.mark.parametrize("which", ["original", "fooled"])
def test_an_image_that_is_none_is_not_drawn(sharp, which):
    images = {"original": random_images(), "fooled": random_images()}
    images[which] = images[which] * 2
    with pytest.raises(ValueError, match=rf"{which} must be in \[0, 1\]"):
        figures.triptych(sharp, **images)


# ----------------------------------------------------------------------------------------------------------- regions


def two_regions(size: int = 20) -> RegionMap:
    """Class 0 on the left with little confidence, class 4 on the right with much; row 0 is at the bottom."""
    labels = torch.zeros(size, size, dtype=torch.long)
    labels[:, size // 2 :] = 4
    confidence = torch.where(labels == 4, 1.0, 0.2)
    return RegionMap(labels, confidence, labels > -1, (-1.0, 1.0, -2.0, 2.0))


NAMES = ["bus", "ostrich", "robin", "cheetah", "a very long name of a class"]


def test_a_map_is_painted_by_class_and_stronger_where_it_is_sure():
    found = two_regions()
    pixels = figures.paint_regions(found, {0: "#000000", 4: "#000000"})
    assert pixels.shape == (20, 20, 3)
    assert pixels[0, 0, 0] > 0.7 > 0.4 > pixels[0, -1, 0] > 0
    grey = figures.paint_regions(found, {})
    assert np.ptp(grey[0, 0]) == 0


def test_only_the_largest_classes_have_a_colour_of_their_own():
    labels = torch.arange(20).repeat_interleave(torch.arange(20) + 1)
    colours = figures.region_colours([labels[:100], labels[100:]])
    assert list(colours) == [19, 18, 17, 16, 15, 14, 13] and len(set(colours.values())) == 7
    assert list(figures.region_colours([torch.tensor([1, 1, 0])])) == [0, 1]  # of the plane: always the same colours


def test_bus_and_ostrich_have_the_colours_of_their_bars_in_every_map():
    names = [f"class {k}" for k in range(18)] + ["ostrich", "school bus"]
    for labels in (torch.arange(20).repeat_interleave(torch.arange(20) + 1), torch.tensor([18, 18, 19, 5, 5, 5])):
        colours = figures.region_colours([labels], names)
        assert (colours[18], colours[19]) == (figures.ORANGE, figures.BLUE)
        assert len({*colours.values()}) == len(colours)
    assert figures.region_colours([torch.tensor([0, 1, 2, 3])])[3] == figures.NOTHING


def test_a_map_has_its_names_marks_points_and_paths():
    found = two_regions()
    points = Points(torch.tensor([[-0.5, 0.0], [0.5, 1.0]]), torch.tensor([0, 1]))
    path = torch.tensor([[0.0, 0.0], [0.1, 0.2], [0.3, 0.3]])
    figure = figures.region_maps({"here": found}, NAMES, points=points, paths=[path], unit=10,
                                 marks={"this bus": torch.tensor([-0.5, 0.0])}, images={"seen": random_images()},
                                 axis_labels=("across", "up"))  # fmt: skip
    axes, beside = figure.axes[:2]
    texts = [text.get_text() for text in axes.texts]
    assert {"bus", "this bus"} < set(texts) and any(text.startswith("a very long") for text in texts)
    assert axes.get_xlim() == (-10, 10) and axes.get_ylim() == (-20, 20)
    assert axes.get_title() == "here" and axes.get_xlabel() == "across" and axes.get_ylabel() == "up"
    drawn_at = {tuple(np.round(line.get_xydata()[0], 3)) for line in axes.lines}
    assert {(-5, 0), (5, 10), (0, 0), (3, 3)} <= drawn_at
    assert [child.get_title() for child in beside.child_axes] == ["seen"]
    assert axes.images[0].origin == "lower"


def test_the_name_of_a_region_is_inside_it_and_not_on_a_mark():
    found = two_regions()
    figure = figures.region_maps({"here": found}, NAMES, marks={"x": torch.tensor([-0.5, 0.0])})
    (name,) = [text for text in figure.axes[0].texts if text.get_text() == "bus"]
    x, y = name.get_position()
    assert -1 < x < 0 and abs(y) > 0.4


def test_more_than_three_maps_are_drawn_without_names_and_numbers():
    figure = figures.region_maps({str(i): two_regions() for i in range(4)}, NAMES)
    assert all(len(axes.texts) == 0 and len(axes.get_xticks()) == 0 for axes in figure.axes)


def test_a_logarithmic_axis_names_the_places_that_were_measured():
    figure = figures.curves(
        {"a": ([2, 10, 1000], [1.0, 0.1, 0.01])}, "d", "size", percent=False, log_x=True, log_y=True
    )
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "10", "1000"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_a_grey_image_is_drawn_in_grey_from_black_to_white():
    grey = [torch.full((1, 1, 8, 8), 0.4), torch.linspace(0.3, 0.5, 64).view(1, 1, 8, 8)]
    figure = figures.grid_of_images(grey, ["a", "b"], columns=2)
    for axis in figure.axes:
        drawn = axis.images[0].get_array()
        assert drawn.shape == (8, 8, 3)
        assert (drawn == drawn[..., :1]).all()
    assert figure.axes[0].images[0].get_array()[0, 0].tolist() == [102] * 3
