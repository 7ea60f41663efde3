import io

import numpy as np
import pytest
import torch
from PIL import Image

from fooling_utils import figures, regions, round_to_8bit, surveys, widgets
from nets import random_images, random_linear


def shown(screen) -> np.ndarray:
    """The grey levels (H, W, 3) of the PNG that a widget holds."""
    return np.asarray(Image.open(io.BytesIO(screen.value)))


def levels(image: torch.Tensor) -> np.ndarray:
    return (255 * round_to_8bit(image))[0].permute(1, 2, 0).round().numpy().astype(np.uint8)


def test_a_live_image_shows_the_last_image():
    screen = widgets.LiveImage()
    for seed in (0, 1):
        screen.show(random_images(seed=seed))
        assert np.array_equal(shown(screen), levels(random_images(seed=seed)))


def test_the_slider_shows_the_chosen_image_and_its_title():
    images = random_images(3)
    choose, screen, caption = widgets.slider(images, ["one", "two", "three"], description="which").children
    assert (choose.min, choose.max, choose.description) == (0, 2, "which")
    for place, title in [(0, "one"), (2, "three"), (1, "two")]:
        choose.value = place
        assert np.array_equal(shown(screen), levels(images[place : place + 1]))
        assert title in caption.value


def test_the_slider_takes_a_list_and_titles_of_any_characters():
    _, _, caption = widgets.slider(list(random_images(2).split(1)), ["a < b & c", "d"]).children
    assert "a &lt; b &amp; c" in caption.value


@pytest.mark.parametrize("titles", [[], ["one"], ["one", "two", "three"]])
def test_the_slider_wants_a_title_per_image(titles):
    with pytest.raises(ValueError, match=f"2 images and {len(titles)} titles"):
        widgets.slider(random_images(2), titles)


# ------------------------------------------------------------------------------------------------- a map to explore


@pytest.fixture
def explorer():
    """An explorer of a small plane, and the list of what it answers."""
    model = random_linear(3)
    images = dict(zip(("a", "b", "c"), random_images(3).split(1), strict=True))
    plane = regions.plane_through(*images.values())
    images["outside the map"] = plane.images(torch.tensor([[0.0, 5.0]])).clamp(0, 1)
    survey = surveys.Survey(plane, (-2.0, 2.0, -0.5, 1.5), images)
    widget = widgets.PlaneExplorer(model, survey, regions.region_map(regions.on_plane(model, plane), survey.extent, 12))
    answers = []
    widget.send = lambda content, buffers=None: answers.append((content, buffers))
    return widget, answers


def test_the_explorer_shows_the_map_with_its_first_row_at_the_bottom(explorer):
    widget, _ = explorer
    found = regions.region_map(regions.on_plane(widget.model, widget.survey.plane), widget.survey.extent, 12)
    pixels = np.asarray(Image.open(io.BytesIO(widget.map)))
    colours = figures.region_colours([found.labels])
    expected = np.rint(255 * figures.paint_regions(found, colours)).astype(int)
    assert np.abs(pixels[::-1].astype(int) - expected).max() <= 1
    assert not np.array_equal(pixels, pixels[::-1])


def test_the_explorer_answers_with_the_image_and_the_top_classes_of_a_place(explorer):
    widget, answers = explorer
    for mark in widget.marks:
        image = widget.survey.images[mark["name"]]
        widget._answer(widget, {"x": mark["x"], "y": mark["y"]}, [])
        content, (data,) = answers.pop()
        found = np.asarray(Image.open(io.BytesIO(data))).astype(int)
        assert np.abs(found - levels(image)).max() <= 1
        assert [one["label"] for one in content["top"]] == [one.label for one in widget.model.top(image)]
    assert [mark["name"] for mark in widget.marks] == ["a", "b", "c"]


def test_the_explorer_clips_what_cannot_be_shown(explorer):
    widget, answers = explorer
    widget._corner, widget._size = torch.tensor([-50.0, -50.0]), torch.tensor([100.0, 100.0])
    image = widget.image_at(1, 0)
    assert (image.min(), image.max()) == (0, 1)
    widget._answer(widget, {"x": 1, "y": 0}, [])
    assert "top" in answers.pop()[0]


@pytest.mark.parametrize("content", [{"x": 2, "y": 0}, {"x": "a", "y": 0}, {"x": float("nan"), "y": 0}, {}, "x", None])
def test_the_explorer_says_what_is_wrong_and_goes_on(explorer, content):
    widget, answers = explorer
    widget._answer(widget, content, [])
    assert "error" in answers.pop()[0]
    widget._answer(widget, {"x": 0.5, "y": 0.5}, [])
    assert "top" in answers.pop()[0]


def test_an_error_of_the_network_is_shown(explorer, monkeypatch):
    widget, answers = explorer
    monkeypatch.setattr(widget.survey.plane.__class__, "images", lambda *_: 1 / 0)
    widget._answer(widget, {"x": 0.5, "y": 0.5}, [])
    assert answers == [({"error": "ZeroDivisionError: division by zero"}, None)]
