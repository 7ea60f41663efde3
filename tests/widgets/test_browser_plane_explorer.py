"""The plane explorer in a real browser: hover, keys, choosing pictures, and a map that gets finer meanwhile."""

import json

import pytest

from driving import Widget

NETWORK = """
import torch
from fooling_utils import Classifier, regions, widgets
from fooling_utils.lessons.lesson4 import Survey
from fooling_utils.widgets.plane_explorer import PRESETS
from nets import Brightness

model = Classifier(Brightness(0.004).eval(), ["bright", "dark"], (3, 8, 8))
ramp = torch.linspace(0, 1, 8).repeat(1, 3, 8, 1)
images = {"black": torch.zeros(1, 3, 8, 8), "white": torch.ones(1, 3, 8, 8), "ramp": ramp}
plane = regions.plane_through(*images.values())
survey = Survey(plane, (0.0, 12.0, -6.0, 6.0), images)
presets = [*PRESETS, {"title": "cat, noise", "pictures": ["cat", "noise", "clock"], "x": 0.1, "y": 0.2}]
"""
STORED = """
widgets.PlaneExplorer(model, survey, regions.region_map(regions.on_plane(model, plane), survey.extent, 24),
                      presets=presets)
"""
LIVE = "widgets.PlaneExplorer.through(model, 'school_bus', 'noise', 'coffee')"
CELLS = [NETWORK + STORED, LIVE]


class Explorer(Widget):
    """The explorer at a place of the page."""

    def __init__(self, page, place):
        super().__init__(page, ".fool.plane-explorer", place)

    def hover(self, x, y):
        ground = self.root.locator(".ground")
        ground.scroll_into_view_if_needed()
        box = ground.bounding_box()
        self.page.mouse.move(box["x"] + x * box["width"], box["y"] + (1 - y) * box["height"])

    def best(self):
        return self.root.locator(".bars .name").first.inner_text()

    def colours(self):
        """How many different colours the map has."""
        return self.root.locator(".ground canvas").evaluate(
            "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
        )


@pytest.fixture
def stored(page):
    """The explorer of a map that was given, at its first picture."""
    explorer = Explorer(page, 0)
    explorer.until("s.chosen")
    explorer.choose("a", "black")
    if explorer.state()["chosen"] != ["black", "white", "ramp"]:
        explorer.choose("b", "white")
        explorer.choose("c", "ramp")
    explorer.until("s.chosen.join() === 'black,white,ramp' && s.done && s.size === 24")
    explorer.focus().press("1")
    explorer.until("s.seen && s.seen.x < 0.01")
    return explorer


@pytest.fixture
def live(page):
    """The explorer whose map is computed, from the beginning: on a plane that was not looked at before."""
    return Explorer(page, 1)


def test_the_map_fills_its_ground_to_half_a_place(stored):
    ground, canvas = (stored.root.locator(one).bounding_box() for one in (".ground", ".ground canvas"))
    for at, side in (("x", "width"), ("y", "height")):
        before = ground[at] - canvas[at]
        after = canvas[at] + canvas[side] - ground[at] - ground[side]
        place = canvas[side] / 24
        assert 0 <= before <= place
        assert 0 <= after <= place


def test_the_pointer_shows_the_image_and_its_top_classes(stored):
    stored.hover(0.9, 0.5)
    stored.until("s.seen.x > 0.85")
    assert stored.best() == "bright"
    bright, _, _ = stored.pixel(-1)
    stored.hover(0.1, 0.5)
    stored.until("s.seen.x < 0.15")
    assert stored.best() == "dark"
    assert stored.pixel(-1)[0] < bright - 100
    assert "across" in stored.root.locator("figure").last.inner_text()
    assert [*stored.root.locator(".mark").all_inner_texts()] == ["black", "ramp"]  # white is outside the map
    assert stored.root.locator(".legend .name").all_inner_texts() == ["dark", "bright"]


def test_the_keyboard_is_enough(stored):
    stored.press("4")
    start = stored.until("s.seen.x === 0.5")["seen"]
    stored.press("ArrowRight", "ArrowUp")
    moved = stored.until("s.seen.y > 0.51")["seen"]
    assert [moved["x"], moved["y"]] == pytest.approx([start["x"] + 0.02, start["y"] + 0.02])
    stored.press(*["Shift+ArrowRight"] * 6)
    assert stored.until("s.seen.x === 1")["seen"]["top"][0]["label"] == "bright"
    stored.press("3")
    ramp = stored.until("s.seen.x < 0.99")["seen"]
    mark = next(one for one in stored.state()["marks"] if one["name"] == "ramp")
    assert (ramp["x"], ramp["y"]) == (mark["x"], mark["y"])
    assert stored.root.get_by_role("button", name="2 white").is_disabled()
    stored.press("2")
    assert stored.state()["here"] == {"x": mark["x"], "y": mark["y"]}
    told = dict(json.loads(stored.root.get_attribute("data-keys")))
    assert {"1", "4", "space", "ArrowUp"} <= {*told}
    assert not {"f", "t", "c", "?", "PageUp", "PageDown"} & {*told}
    assert stored.page.locator(".jp-CodeCell").count() <= 4  # no key reached the notebook


def test_a_preset_chooses_pictures_and_a_place(stored):
    stored.press("5")
    state = stored.until("s.chosen[0] === 'cat' && s.seen.x === 0.1 && s.seen.y === 0.2")
    assert state["size"] == 33
    assert stored.root.locator(".mark").all_inner_texts() == ["cat", "noise", "clock"]


def test_the_map_gets_finer_stops_and_goes_on(live):
    live.choose("map", "49 × 49")
    live.choose("c", "flower")
    first = live.until("s.chosen[2] === 'flower' && s.running")
    coarse = live.colours()
    assert first["computed"] < 600
    live.hover(0.3, 0.8)  # it answers while it computes
    seen = live.until("s.seen.x > 0.25 && s.seen.x < 0.35")
    assert not seen["done"]
    live.root.get_by_role("button", name="stop").click()
    live.until("!s.running")
    live.page.wait_for_timeout(500)
    stopped = live.state()["computed"]
    live.page.wait_for_timeout(500)
    assert live.state()["computed"] == stopped
    assert f"{stopped} of 2401 places" in live.root.inner_text()
    live.focus().press(" ", "-")
    live.until("s.size === 33")
    live.press("-")
    live.page.set_default_timeout(30_000)
    live.until("s.size === 17 && s.done && !s.running")
    live.page.set_default_timeout(10_000)
    assert live.colours() > coarse
    assert "all 289 places computed" in live.root.inner_text()
    live.send("+", "+", "-")  # before Python has answered the first
    live.until("s.size === 33")
    live.idle()
    assert live.state()["size"] == 33


def test_pictures_that_make_no_plane_are_explained(stored):
    stored.choose("b", "black")
    assert "three different pictures" in stored.problem()
    assert stored.root.get_by_label("b", exact=True).input_value() == "white"
