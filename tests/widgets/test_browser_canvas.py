"""The canvas of points in a real browser, with mouse and keyboard."""

import json

import pytest

from driving import Widget
from fooling_utils.networks.small import ACTIVATIONS, POINTS
from fooling_utils.widgets.plane_canvas import ALL_PRESETS, MOST_POINTS

FULL = f"""
places = 2 * torch.rand({MOST_POINTS}, 2) - 1
full = PlaneCanvas(hidden=4)
full.points = places, (places[:, 0] > 0).long()
full
"""
CELLS = [
    "import torch\nfrom fooling_utils.widgets import PlaneCanvas\ncanvas = PlaneCanvas()\ncanvas",
    "canvas",
    FULL,
    "canvas.add(0.9, 0.9, 'robin')\ncanvas.configure(hidden=7, weight_decay=0.002)\ncanvas.zoom(4)",
]
SHOWN = 3
COLOUR = "(c, [x, y]) => [...c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data].slice(0, 3)"
AGREED = "JSON.stringify(s.points) === JSON.stringify(s.known)"  # the page and Python on the points


class Canvas(Widget):
    """The canvas at a place of the page."""

    def __init__(self, page, place=0):
        super().__init__(page, ".fool.plane", place)
        self.marks = self.root.locator(".marks")
        self.marks.scroll_into_view_if_needed()

    def answers(self):
        return int(self.root.get_attribute("data-answers"))

    def slide(self, name, place):
        self.root.get_by_role("slider", name=name).fill(str(place))

    def share(self, x, y):
        """A place in shares of the plane that is seen, from the top left."""
        zoom = self.state()["zoom"]
        return (x / zoom + 1) / 2, (1 - y / zoom) / 2

    def pixels(self, x, y):
        self.marks.scroll_into_view_if_needed()
        box, (across, down) = self.marks.bounding_box(), self.share(x, y)
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def click(self, x, y):
        self.page.mouse.click(*self.pixels(x, y))

    def colour(self, x, y):
        """The red, green and blue of the regions at a place."""
        return self.root.locator(".ground canvas").first.evaluate(COLOUR, self.share(x, y))


@pytest.fixture
def canvas(page):
    """The first canvas as it is at the start."""
    canvas = Canvas(page)
    if canvas.state()["playing"]:
        canvas.button("Pause").click()
    canvas.slide("Zoom out", 1)
    canvas.slide("Hidden units", 31)
    canvas.slide("Weight decay", 0)
    canvas.choose("Classes", "3")
    canvas.choose("Points", "blobs")
    for name in ("Edit points", "cheetah", "Reset"):
        canvas.button(name).click()
    canvas.until("s.steps === 0 && s.preset === 'blobs' && s.points.length === 90 && s.zoom === 1.25")
    return canvas


# -------------------------------------------------------------------------------------------------------- by mouse


def test_click_adds_drag_moves_and_shift_click_removes(canvas):
    canvas.choose("Points", "empty")
    canvas.until("s.warning.includes('no points')")
    assert canvas.root.get_by_text("There are no points. Click in the plane").is_visible()
    canvas.click(0.5, -0.25)
    added = canvas.until(f"s.points.length === 1 && s.preset === '' && {AGREED}")["points"][0]
    assert added == pytest.approx([0.5, -0.25, 0], abs=0.02)
    canvas.button("robin").click()
    canvas.click(-0.5, 0.5)
    assert canvas.until("s.points.length === 2")["points"][1] == pytest.approx([-0.5, 0.5, 1], abs=0.02)
    canvas.page.mouse.move(*canvas.pixels(-0.5, 0.5))
    canvas.page.mouse.down()
    canvas.page.mouse.move(*canvas.pixels(0.9, 0.9), steps=25)
    canvas.page.mouse.up()
    moved = canvas.until(f"s.points[1][0] > 0.8 && {AGREED}")["points"][1]
    assert moved == pytest.approx([0.9, 0.9, 1], abs=0.02)
    canvas.keys.down("Shift")
    canvas.click(0.5, -0.25)
    canvas.keys.up("Shift")
    assert canvas.until(f"s.points.length === 1 && {AGREED}")["points"][0] == moved
    canvas.button("Step").click()
    assert "All points are of one class, robin. Add points of a second class" in canvas.problem()
    assert canvas.root.get_by_text("All points are of one class, robin.").count() == 1
    canvas.button("Play").click()
    assert canvas.until("!s.playing")["steps"] == 0
    assert canvas.root.get_by_text("All points are of one class, robin.").count() == 1


def test_it_trains_while_it_plays(canvas):
    start = canvas.state()
    assert canvas.colour(0, 0.5) == pytest.approx([255, 255, 255], abs=12)
    canvas.button("Play").click()
    trained = canvas.until("s.steps > 150")
    canvas.button("Pause").click()
    assert trained["loss"] < start["loss"] / 5
    red, _, blue = canvas.colour(-0.02, 0.88)
    assert red > 200 > blue + 50
    canvas.idle()
    at_rest = canvas.state()["steps"]
    assert f"Step {at_rest} · loss 0.0" in canvas.root.inner_text()
    canvas.button("Step").click()
    canvas.until(f"s.steps === {at_rest + 1}")


def test_settings_restart_the_network(canvas):
    canvas.button("Step").click()
    canvas.until("s.steps === 1")
    canvas.slide("Hidden units", 4)
    canvas.until("s.settings.hidden === 5 && s.steps === 0")
    canvas.choose("Classes", "2")
    canvas.until("s.settings.classes === 2 && s.points.length === 60")
    assert not canvas.button("armadillo").is_visible()


def test_zooming_out_shows_more(canvas):
    canvas.slide("Zoom out", 8)
    canvas.until("s.zoom === 20")
    canvas.click(15, -12)
    assert canvas.until("s.points.length === 91")["points"][-1] == pytest.approx([15, -12, 0], abs=0.2)


def test_fooling_walks_and_says_how_far(canvas):
    canvas.button("Play").click()
    canvas.until("s.steps > 200")
    canvas.button("Fool").click()
    canvas.button("robin").click()
    canvas.click(0.3, 0.1)
    walked = canvas.until("s.path")
    assert not walked["playing"]
    assert walked["result"].startswith("From here to robin, 99.")
    assert walked["path"]["places"][0] == pytest.approx([0.3, 0.1], abs=0.02)
    assert canvas.root.locator("[aria-live=polite]", has_text=walked["result"]).is_visible()
    x, y, _ = walked["points"][-1]
    canvas.click(x, y)
    crossed = canvas.until("s.result.startsWith('The shortest way')")
    assert "from this armadillo to " in crossed["result"]
    assert len(crossed["path"]["places"]) == 2


def test_nothing_fills_the_emptiness_and_a_preset_takes_it_away(canvas):
    canvas.button("Add nothing").click()
    added = canvas.until(f"s.labels.includes(3) && s.points.length === 190 && {AGREED}")
    assert "100 points of nothing" in added["result"]
    assert canvas.button("nothing").is_visible()
    canvas.button("Play").click()
    canvas.until("s.steps > 300")
    canvas.button("Pause").click()
    corners = [canvas.colour(x, y) for x in (-1.2, 1.2) for y in (-1.2, 1.2)]
    assert all(max(corner) - min(corner) < 12 for corner in corners), corners  # grey
    assert max(canvas.colour(0, 0.6)) - min(canvas.colour(0, 0.6)) > 60
    canvas.button("nothing").click()
    canvas.click(0, 1.1)
    assert canvas.until(f"s.points.length === 191 && {AGREED}")["points"][-1][2] == 3
    canvas.choose("Points", "blobs")
    canvas.until("s.points.length === 90 && !s.labels.includes(3)")
    assert not canvas.button("nothing").is_visible()


def test_the_place_under_the_pointer_is_read(canvas):
    for steps in ("Play", "Pause"):
        canvas.button(steps).click()
        canvas.until("s.steps > 100")
    canvas.page.mouse.move(*canvas.pixels(0, 0.7))
    canvas.wait("root.querySelector('.here').innerText.includes(': cheetah, ')")
    assert "(0.0" in canvas.root.locator(".here").inner_text()


def test_the_page_offers_what_python_has(canvas):
    def options(name):
        return canvas.root.get_by_label(name, exact=True).locator("option").all_inner_texts()

    group = canvas.root.get_by_role("group", name="class")
    assert group.get_by_role("button").all_inner_texts() == [*POINTS.labels, "Add nothing"]
    assert options("Points") == [*ALL_PRESETS, "own"]
    assert [one.lower() for one in options("Units")] == [*ACTIVATIONS]


# ---------------------------------------------------------------------------------------------------- by keyboard


def test_everything_works_with_the_keyboard_alone(canvas):
    cells = canvas.page.locator(".jp-Cell").count()
    canvas.button("Play").focus()
    canvas.press("Shift+Tab")
    assert canvas.root.evaluate("root => document.activeElement === root")
    canvas.press(*["ArrowRight"] * 50, *["ArrowUp"] * 50, "2", "ArrowLeft", "ArrowLeft", "ArrowDown", "Enter")
    added = canvas.until("s.points.length === 91")["points"][-1]
    assert added == pytest.approx([1.15, 1.2, 1], abs=0.001)
    canvas.wait("root.querySelector('.heard').textContent.startsWith('(1.15, 1.20): ')")
    canvas.press("Shift+ArrowUp")
    assert canvas.until("s.points[90][1] > 1.24")["points"][-1] == pytest.approx([1.15, 1.25, 1], abs=0.001)
    canvas.press("Delete")
    assert added not in canvas.until("s.points.length === 90")["points"]
    canvas.press("s", "s")
    canvas.until("s.steps === 2")
    canvas.press("Space")
    canvas.until("s.steps > 150")
    canvas.press("Space")
    canvas.until("!s.playing")
    canvas.press("-")
    canvas.until("s.zoom === 1.6")
    canvas.press("+", "1", "g")
    assert "cheetah" in canvas.until("s.path && s.zoom === 1.25")["result"]
    canvas.press("n")
    canvas.until("s.result.includes('shortest way')")
    canvas.press("r")
    canvas.until("s.steps === 0 && !s.path")
    assert canvas.page.locator(".jp-Cell").count() == cells
    assert canvas.page.locator(".jp-CodeCell").count() == cells  # "1" would make a heading of a cell


def test_more_keys_choose_points_and_settings(canvas):
    canvas.focus()
    for key, name in zip("45678", ALL_PRESETS, strict=True):
        canvas.press(key)
        canvas.until(f"s.preset === '{name}'")
    canvas.press("h", "d", "w", "w", "a", "k", "-", "-")
    canvas.until(
        "s.settings.hidden === 64 && s.settings.depth === 3 && s.settings.weight_decay === 0.001"
        " && s.settings.activation === 'tanh' && s.settings.classes === 2 && s.zoom === 2"
    )
    assert canvas.root.get_by_label("Units", exact=True).input_value() == "tanh"
    canvas.press("Shift+H", "Shift+D", "Shift+W", "Shift+W", "a", "k")
    canvas.until("s.settings.hidden === 32 && s.settings.depth === 2 && s.settings.weight_decay === 0")
    canvas.until("s.settings.activation === 'relu' && s.settings.classes === 3")


def test_what_is_pressed_faster_than_python_answers_happens_in_its_order(canvas):
    canvas.focus().press("8")
    canvas.until("s.preset === 'empty'")
    canvas.click(0, 0)
    canvas.until("s.known.length === 1")
    canvas.idle()
    before = canvas.answers()
    right, left = ["ArrowRight"] * 10, ["ArrowLeft"] * 10
    canvas.send("2", *right, "Enter", *["Shift+ArrowUp"] * 5, *left, "Shift+ArrowUp", "Delete")
    canvas.send("Shift+ArrowUp", "Enter", "Shift+ArrowDown")
    canvas.idle()
    state = canvas.until(AGREED)
    assert state["points"] == [pytest.approx([0.5, y, 1], abs=0.02) for y in (0.3, 0.25)]
    assert canvas.answers() == before + 7  # of the five moves in a row, Python was told the last
    assert canvas.says() == ""


def test_the_keys_are_listed(canvas):
    summary = canvas.root.locator("summary")
    summary.focus()
    canvas.press("Enter")
    assert canvas.root.get_by_text("play or pause").is_visible()
    canvas.press("Enter")
    assert canvas.root.get_by_text("play or pause").is_hidden()
    assert len(canvas.state()["points"]) == 90


# ------------------------------------------------------------------------------------------------ in a lecture


def test_a_page_may_pass_keys_on(canvas):
    """A lecture's page forwards what is pressed anywhere on it: such an event is not trusted, nor has the canvas the
    focus."""
    canvas.page.locator(".jp-CodeCell .cm-content").first.click()
    canvas.send("7", "2", "ArrowRight", "Enter", " ")
    state = canvas.until("s.points.length === 91 && s.steps > 10")
    assert state["points"][-1][2] == 1
    canvas.send(" ")
    canvas.until("!s.playing")
    keys = dict(json.loads(canvas.root.get_attribute("data-keys")))
    assert keys["space"] == "play or pause"
    assert "rings" in keys["4 5 6 7 8"]


# ------------------------------------------------------------------------------------- views, cells and refusals


def test_two_views_show_the_same(canvas):
    other = Widget(canvas.page, ".fool.plane", 1)
    drawn = other.drawn()
    canvas.click(0.9, -0.9)
    canvas.until("s.points.length === 91")
    other.until("s.points.length === 91")
    canvas.focus().press(" ")
    other.until("s.steps > 50 && !s.playing")
    canvas.press(" ")
    assert other.drawn() > drawn + 2


def test_what_a_cell_changes_is_seen_in_every_view(canvas):
    views = [canvas, Widget(canvas.page, ".fool.plane", 1)]
    cell = canvas.page.locator(".jp-CodeCell .cm-content").nth(3)
    cell.scroll_into_view_if_needed()
    cell.click()
    canvas.press("Shift+Enter")
    for view in views:
        view.until("s.points.length === 91 && s.settings.hidden === 7 && s.zoom === 4")
        for told in ("0.002", "±4"):  # no place of their sliders
            assert view.root.get_by_text(told, exact=True).count() == 1


def test_what_is_refused_is_taken_back_and_said(page):
    full = Canvas(page, 2)
    full.button("Play").click()
    full.until("s.steps > 20")
    full.click(0.01, 1.2)
    assert f"{MOST_POINTS} points is the most" in full.problem()
    assert len(full.until("!s.playing")["points"]) == MOST_POINTS
    full.idle()
    page.wait_for_timeout(300)
    assert f"{MOST_POINTS} points is the most" in full.says()  # a frame that was under way leaves it there
    full.click(-0.01, 1.2)
    full.idle()
    assert len(full.state()["points"]) == MOST_POINTS
    full.button("Step").click()
    full.wait("!root.querySelector('.problem').textContent")
