"""The plane explorer without a browser: what the page may ask, and what it is answered."""

import time

import numpy as np
import pytest
import torch

from asking import Page, twin
from fooling_utils import PICTURES, Classifier, data, figures, load_image, regions, uniform_noise, widgets
from fooling_utils.images import grey_levels
from fooling_utils.lessons import lesson4
from fooling_utils.widgets import kit, plane_explorer
from fooling_utils.widgets.plane_explorer import Filling
from nets import Brightness, random_images, random_linear
from pixels import levels


class Explored(Page):
    """The page of an explorer."""

    def finish(self):
        """Ask for a finer map until it is done: the maps, in the order in which they came."""
        maps = [self.ask("begin")]
        while not maps[-1][0]["done"]:
            maps.append(self.ask("refine"))
        return maps


def several_classes():
    """A linear network whose maps have more than one class."""
    return random_linear(3, seed=10)


def a_survey(model):
    """The plane through three small images; a fourth image with a name is outside the map."""
    images = dict(zip(("a", "b", "c"), random_images(3).split(1), strict=True))
    plane = regions.plane_through(*images.values())
    images["outside the map"] = plane.images(torch.tensor([[0.0, 5.0]])).clamp(0, 1)
    return lesson4.Survey(plane, (-2.0, 2.0, -0.5, 1.5), images)


def mapped(model, survey, size):
    return regions.region_map(regions.on_plane(model, survey.plane), survey.extent, size)


def a_filling(size, seconds=0.0):
    """A map of which nothing is computed yet, the exact one, and the places that are asked for, batch by batch."""
    model, asked = several_classes(), []
    survey = a_survey(model)

    def predict(points):
        asked.append(list(map(tuple, points.tolist())))
        time.sleep(seconds)
        return regions.on_plane(model, survey.plane)(points)

    return Filling(predict, survey.extent, size, 3), mapped(model, survey, size), asked


@pytest.fixture
def stored():
    """An explorer of a map that is given, and its page."""
    model = several_classes()
    survey = a_survey(model)
    widget = widgets.PlaneExplorer(model, survey, mapped(model, survey, 12))
    return widget, Explored(widget)


@pytest.fixture
def live():
    """An explorer that computes its map, and its page."""
    widget = widgets.PlaneExplorer.through(several_classes(), *random_images(3).split(1), size=17)
    return widget, Explored(widget)


def painted(found):
    colours = figures.region_colours([found.labels])
    return np.rint(255 * figures.paint_regions(found, colours)).astype(int)


def test_a_stored_map_is_shown_with_its_first_row_at_the_bottom(stored):
    widget, page = stored
    facts, (pixels,) = page.ask("begin")
    pixels = np.frombuffer(pixels, np.uint8).reshape(12, 12, 3).astype(int)
    assert np.abs(pixels[::-1] - painted(mapped(widget.model, widget.survey, 12))).max() <= 1
    assert not np.array_equal(pixels, pixels[::-1])
    assert (facts["done"], facts["computed"], facts["size"]) == (True, 144, 12)
    assert page.ask("refine")[1] == [page.ask("begin")[1][0]]
    unit = grey_levels(widget.survey.plane.origin)
    assert facts["extent"] == pytest.approx([-2 * unit, 2 * unit, -0.5 * unit, 1.5 * unit])


def test_a_place_is_answered_with_its_image_and_the_top_classes(stored):
    widget, page = stored
    facts, _ = page.ask("begin")
    marks = {mark["name"]: mark for mark in facts["marks"]}
    assert marks.pop("outside the map")["y"] > 1
    for name, mark in marks.items():
        image = widget.survey.images[name]
        answer, (pixels,) = page.ask("look", x=mark["x"], y=mark["y"])
        found = np.frombuffer(pixels, np.uint8).reshape(4, 4, 3).astype(int)
        assert np.abs(found - levels(image)).max() <= 1
        assert [one["label"] for one in answer["top"]] == [one.label for one in widget.model.top(image)]
        place = widget.survey.plane.coordinates(image)[0] * grey_levels(image)
        assert [answer["across"], answer["up"]] == pytest.approx(place.tolist(), abs=1e-3)
    assert [*marks] == ["a", "b", "c"]


def test_what_cannot_be_shown_is_clipped():
    model = several_classes()
    widget = widgets.PlaneExplorer(model, a_survey(model)._replace(extent=(-50.0, 50.0, -50.0, 50.0)))
    image = widget.image_at(1, 0)
    assert (image.min(), image.max()) == (0, 1)
    assert "top" in Explored(widget).ask("look", x=1, y=0)[0]


@pytest.mark.parametrize("size", plane_explorer.SIZES)
@pytest.mark.parametrize("seconds", [0, 1000])
def test_the_map_ends_as_the_exact_one(monkeypatch, size, seconds):
    monkeypatch.setattr(plane_explorer, "BATCH", 100)
    filling, exact, _ = a_filling(size)
    computed = []
    while not filling.done:
        filling.go_on(seconds)
        computed.append(filling.computed)
    assert torch.equal(filling.found.labels, exact.labels)
    assert torch.allclose(filling.found.confidence, exact.confidence, atol=1e-6)
    assert filling.found.exact.all()
    assert computed == sorted(set(computed))
    assert (len(computed) > 1) == (seconds == 0)


def test_the_first_map_takes_few_images_and_a_coarse_map_is_blocks(live):
    _, page = live
    facts, (pixels,) = page.ask("begin")
    assert (facts["computed"], facts["done"]) == (9, False)
    pixels = np.frombuffer(pixels, np.uint8).reshape(17, 17, 3)
    for rows in (slice(0, 4), slice(4, 12), slice(12, 17)):
        for columns in (slice(0, 5), slice(5, 13), slice(13, 17)):
            assert len(np.unique(pixels[rows, columns].reshape(-1, 3), axis=0)) == 1


def test_a_map_that_is_half_computed_shows_what_is_known():
    """What is computed is right; where nothing is computed yet, the map of the stage before stays."""
    filling, exact, asked = a_filling(17)
    while filling.computed < 150:
        filling.go_on(0)
    known = {place for batch in asked for place in batch}
    assert len(known) == filling.computed < 160
    grid = regions.grid_points(exact.extent, 17)
    for row in range(17):
        for column in range(17):
            there = row, column
            if tuple(grid[there].tolist()) not in known:
                there = row - row % 2, column - column % 2  # the nearest that was, of two the lower
            assert filling.found.labels[row, column] == exact.labels[there]
            assert filling.found.confidence[row, column] == pytest.approx(exact.confidence[there].item())


def test_a_question_works_for_a_short_time_only():
    filling, _, asked = a_filling(17, seconds=0.05)
    filling.go_on(0)
    asked.clear()
    begin = time.perf_counter()
    filling.go_on()
    assert time.perf_counter() - begin < 1
    assert max(map(len, asked)) <= plane_explorer.BATCH
    assert 1 <= len(asked) <= 3


def test_pictures_are_chosen_by_name():
    model = Classifier(Brightness().eval(), None, (3, 8, 8))
    widget = widgets.PlaneExplorer.through(model, "school_bus", "robin", "coffee", size=17)
    page = Explored(widget)
    facts, _ = page.ask("choose", pictures=["noise", "fooled bus", "clock"])
    assert facts["chosen"] == ("noise", "fooled bus", "clock") == widget.chosen
    assert {"noise", "fooled bus", *PICTURES} == {*facts["pictures"]}
    assert [mark["name"] for mark in facts["marks"]] == ["noise", "fooled bus", "clock"]
    expected = {
        "noise": uniform_noise(size=8),
        "fooled bus": load_image(data.path("fooled_bus"), 8),
        "clock": load_image("clock", 8),
    }
    for mark in facts["marks"]:
        assert 0 < mark["x"] < 1 > mark["y"] > 0
        _, (pixels,) = page.ask("look", x=mark["x"], y=mark["y"])
        found = np.frombuffer(pixels, np.uint8).reshape(8, 8, 3).astype(int)
        assert np.abs(found - levels(expected[mark["name"]])).max() <= 1


def test_maps_are_kept_while_others_are_looked_at(live):
    widget, page = live
    page.finish()
    before = widget.map
    names = list(widget.chosen)
    facts, _ = page.ask("choose", pictures=names[::-1])
    assert not facts["done"]
    assert page.ask("choose", size=33)[0]["size"] == 33
    facts, _ = page.ask("choose", pictures=names, size=17)
    assert facts["done"]
    assert torch.equal(widget.map.labels, before.labels)


def test_the_given_pictures_come_with_the_given_map(stored):
    _, page = stored
    facts, _ = page.ask("choose", size=17)
    assert (facts["size"], facts["sizes"], facts["done"]) == (17, [12, 17, 33, 49], False)
    facts, _ = page.ask("choose", pictures=["c", "b", "a"])
    assert (facts["size"], facts["sizes"]) == (17, [17, 33, 49])
    facts, _ = page.ask("choose", pictures=["a", "b", "c"])
    assert (facts["size"], facts["done"]) == (12, True)


def test_everything_is_there_when_the_cell_is_run_again(cell):
    cell()
    model, images = several_classes(), random_images(3).split(1)
    page = Explored(widgets.PlaneExplorer.through(model, *images))
    page.ask("begin")
    page.ask("choose", size=17)
    page.ask("refine")
    page.ask("look", x=0.25, y=0.75)
    before, pixels = page.ask("begin")
    cell()
    again = Explored(widgets.PlaneExplorer.through(model, *(image.clone() for image in images)))
    assert again.ask("begin") == (before, pixels)
    assert before["at"] == (0.25, 0.75)
    assert before["size"] == 17
    cell()
    other = Explored(widgets.PlaneExplorer.through(model, *random_images(3, seed=1).split(1)))
    assert other.ask("begin")[0]["at"] is None


def test_a_class_keeps_its_colour_while_the_map_changes():
    model = random_linear(30)
    explorer = widgets.PlaneExplorer(model, a_survey(model))
    own = [model.top(explorer.survey.images[name])[0].index for name in "abc"]

    def colours(*counts):
        labels = torch.cat([torch.full((count,), 30 + i) for i, count in enumerate(counts)])[None]
        return explorer._colours(regions.RegionMap(labels, labels, labels, (0, 1, 0, 1)))

    free = list(figures.with_free_colours({}, range(7)).values())
    first = colours(9, 8, 7, 6)
    assert [first[index] for index in dict.fromkeys(own)] == free[: len(set(own))]
    second = colours(9, 8, 7, 6, 5, 4, 3)
    assert {index: second[index] for index in first if index >= 30} == {i: c for i, c in first.items() if i >= 30}
    third = colours(1, 8, 9, 6, 5, 4, 3, 7)
    assert 30 not in third
    assert third == {index: second.get(index, second[30]) for index in third}
    assert 37 in third
    assert len({*third.values()}) == len(third) == 7


def test_the_legend_says_how_much_of_the_map_a_class_has(stored):
    widget, page = stored
    facts, _ = page.ask("begin")
    labels = widget.map.labels
    assert len(facts["regions"]) == len(labels.unique()) > 1
    for region in facts["regions"]:
        index = widget.model.index(region["label"])
        assert region["share"] == pytest.approx((labels == index).float().mean().item())
        strongest = regions.RegionMap(torch.tensor([[index]]), torch.ones(1, 1), torch.ones(1, 1), (0, 1, 0, 1))
        paint = figures.paint_regions(strongest, figures.region_colours([labels]))[0, 0]
        assert region["colour"] == "#" + "".join(f"{round(255 * part):02x}" for part in paint)
        if "x" in region:
            row, column = round(region["y"] * 11), round(region["x"] * 11)
            assert labels[row, column] == index
    assert any("x" in region for region in facts["regions"])


@pytest.mark.parametrize(
    "values", [{"x": 2, "y": 0}, {"x": "a", "y": 0}, {"x": float("nan"), "y": 0}, {"x": True, "y": 0}, {}, {"z": 1}]
)
def test_a_place_that_cannot_be_is_explained_and_it_goes_on(stored, values):
    _, page = stored
    assert "error" in page.ask("look", **values)[0]
    assert "top" in page.ask("look", x=0.5, y=0.5)[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pictures": ["a", "b", "b"]}, "Three different pictures"),
        ({"pictures": ["a", "b"]}, "Three different pictures"),
        ({"pictures": ["a", "b", "/etc/passwd"]}, "No picture is called '/etc/passwd'"),
        ({"pictures": ["a", "b", "http://127.0.0.1/x.png"]}, "No picture is called"),
        ({"size": 18}, "Size must be one of 12, 17, 33, 49, got 18"),
        ({"pictures": ["a", "coffee", "b"]}, "The first and the second image are the same"),
    ],
)
def test_a_choice_that_cannot_be_is_explained_and_changes_nothing(stored, monkeypatch, values, words):
    widget, page = stored
    before = page.ask("begin")
    monkeypatch.setattr(kit, "load_image", lambda *_, **__: widget.survey.images["a"])
    error = page.ask("choose", **values)[0]["error"]
    assert words.lower() in error.lower()
    assert page.ask("begin") == before


def test_an_error_of_the_network_is_shown(live, monkeypatch):
    _, page = live
    page.ask("begin")
    with monkeypatch.context() as broken:
        broken.setattr(regions.Plane, "images", lambda *_: 1 / 0)
        for ask, values in (("look", {"x": 0.5, "y": 0.5}), ("refine", {})):
            assert page.ask(ask, **values)[0]["error"].endswith("ZeroDivisionError: division by zero")
    assert page.finish()[-1][0]["done"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 20}, "size must be one of 17, 33, 49, got 20"),
        ({"presets": [{"x": 0, "y": 0}]}, "a preset needs a title"),
        ({"presets": [{"title": "one", "x": 0}]}, "x and y"),
        ({"presets": [{"title": "one", "x": 0, "y": 2}]}, "must be a number from 0 to 1"),
        ({"presets": [{"title": "one", "corner": 3}]}, "corner 0, 1 or 2"),
        ({"presets": [{"title": "one", "pictures": ["cat", "robin", "dog"]}]}, "pictures must be three of"),
        ({"presets": [{"title": "one", "picture": "cat"}]}, "a preset needs a title"),
    ],
)
def test_an_explorer_cannot_be_made_with(options, words):
    model = several_classes()
    with pytest.raises(ValueError, match=words):
        widgets.PlaneExplorer(model, a_survey(model), **options)


def test_a_map_of_another_place_is_refused():
    model = several_classes()
    survey = a_survey(model)
    other = mapped(model, survey._replace(extent=(-2.0, 2.0, -1.0, 1.5)), 12)
    with pytest.raises(ValueError, match=r"make the map with survey\.extent"):
        widgets.PlaneExplorer(model, survey, other)


def test_one_picture_twice_makes_no_plane():
    with pytest.raises(ValueError, match="three different pictures"):
        widgets.PlaneExplorer.through(several_classes(), "cat", "robin", "cat")


def test_a_reader_without_a_kernel_sees_the_map(stored, live):
    for widget, _ in (stored, live):
        assert twin(widget).shape[1] > 600
        texts = [text.get_text() for axes in widget.twin().axes for text in axes.texts]
        assert {*widget.chosen} <= {*texts}
    assert live[1].ask("begin")[0]["computed"] == 9  # the figure costs no more than the coarsest map
