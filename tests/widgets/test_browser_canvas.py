"""The canvas in a real browser: JupyterLab in headless Chromium, with mouse and keyboard."""

import json

import pytest

from browsing import LECTURE_THEMES, SECONDS, chromium, contrast, fits, lecture, served

CELLS = [
    "from fooling_utils.widgets.plane_canvas import PlaneCanvas\ncanvas = PlaneCanvas()\ncanvas",
    "canvas",
]
READ = "() => document.querySelector('.plane').plane()"

# ------------------------------------------------------------------------------------------- a server and a browser


def open_lab(browser, address, cells=2):
    """The page of a notebook in JupyterLab whose cells have run."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60 * SECONDS)
    page.goto(address)
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.wait_for_selector("[data-status=idle]")
    for number in range(cells):
        page.keyboard.press("Shift+Enter")
        page.wait_for_function(f"document.querySelectorAll('.plane[data-drawn]').length > {number}")
    page.set_default_timeout(10 * SECONDS)
    return page


class Plane:
    """What a student sees and does: the first canvas of a page."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".plane").first
        self.canvas = self.root.get_by_role("application")
        self.canvas.scroll_into_view_if_needed()

    def state(self):
        return self.page.evaluate(READ)

    def until(self, condition):
        """Wait until a condition on the state `s`, in JavaScript, is true, and return the state."""
        self.page.wait_for_function(f"() => {{ const s = ({READ})(); return {condition}; }}")
        return self.state()

    def button(self, name):
        self.root.get_by_role("button", name=name, exact=True).click()

    def set(self, name, value):
        control = self.root.locator(f"[data-name={name}]")
        (control.select_option if control.evaluate("e => e.tagName") == "SELECT" else control.fill)(value)

    def pixels(self, x, y):
        box, zoom = self.canvas.bounding_box(), self.state()["zoom"]
        return box["x"] + (x / zoom + 1) * box["width"] / 2, box["y"] + (1 - y / zoom) * box["height"] / 2

    def click(self, x, y):
        self.page.mouse.click(*self.pixels(x, y))

    def keys(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def colour(self, x, y):
        """The red, green and blue of the picture at a place."""
        return self.root.locator(".plane-regions").evaluate(
            "(c, [x, y]) => [...c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data].slice(0, 3)",
            [(x / self.state()["zoom"] + 1) / 2, (1 - y / self.state()["zoom"]) / 2],
        )


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    with chromium() as browser, served(tmp_path_factory.mktemp("lab"), CELLS) as address:
        page = open_lab(browser, address)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


@pytest.fixture
def plane(lab_page):
    """The canvas as it is at the start."""
    plane = Plane(lab_page)
    if plane.state()["playing"]:
        plane.button("Pause")
    for name, value in {"zoom": "1", "classes": "3", "hidden": "32", "preset": "blobs"}.items():
        plane.set(name, value)
    plane.button("Edit points")
    plane.button("cheetah")
    plane.button("Reset")
    plane.until("s.steps === 0 && s.preset === 'blobs' && s.points.length === 90 && s.zoom === 1.25")
    return plane


# -------------------------------------------------------------------------------------------------------- by mouse


def test_click_adds_drag_moves_and_shift_click_removes(plane):
    plane.set("preset", "empty")
    plane.until("s.warning.includes('no points')")
    assert plane.root.get_by_text("There are no points. Click in the plane").is_visible()
    plane.click(0.5, -0.25)
    assert plane.until("s.points.length === 1 && s.preset === ''")["points"][0] == pytest.approx(
        [0.5, -0.25, 0], abs=0.02
    )
    plane.button("robin")
    plane.click(-0.5, 0.5)
    assert plane.until("s.points.length === 2")["points"][1] == pytest.approx([-0.5, 0.5, 1], abs=0.02)
    plane.page.mouse.move(*plane.pixels(-0.5, 0.5))
    plane.page.mouse.down()
    plane.page.mouse.move(*plane.pixels(0.9, 0.9), steps=5)
    plane.page.mouse.up()
    moved = plane.until("s.points[1][0] > 0.8")
    assert moved["points"][1] == pytest.approx([0.9, 0.9, 1], abs=0.02)
    plane.page.keyboard.down("Shift")
    plane.click(0.5, -0.25)
    plane.page.keyboard.up("Shift")
    left = plane.until("s.points.length === 1")
    assert left["points"][0] == pytest.approx([0.9, 0.9, 1], abs=0.02)
    plane.button("Step")
    plane.until("s.problem.includes('All points are robins')")
    assert plane.root.get_by_text("All points are robins. Add points of a second class").count() == 1


def test_it_trains_while_it_plays(plane):
    start = plane.state()
    assert plane.colour(0, 0.5) == pytest.approx([255, 255, 255], abs=12)
    plane.button("Play")
    trained = plane.until("s.steps > 150")
    plane.button("Pause")
    assert trained["loss"] < start["loss"] / 5
    red, _, blue = plane.colour(-0.02, 0.88)
    assert red > 200 > blue + 50
    at_rest = plane.until("!s.playing")["steps"]
    plane.button("Step")
    assert at_rest < plane.until(f"s.steps > {at_rest}")["steps"] < at_rest + 30


def test_settings_restart_the_network(plane):
    plane.button("Step")
    plane.until("s.steps === 1")
    plane.set("hidden", "5")
    plane.until("s.settings.hidden === 5 && s.steps === 0")
    plane.set("classes", "2")
    plane.until("s.settings.classes === 2 && s.points.length === 60")
    assert plane.root.get_by_role("button", name="armadillo").count() == 0


def test_zooming_out_shows_more(plane):
    plane.set("zoom", "8")
    plane.until("s.zoom === 20")
    plane.click(15, -12)
    assert plane.until("s.points.length === 91")["points"][-1] == pytest.approx([15, -12, 0], abs=0.2)


def test_fooling_walks_and_says_how_far(plane):
    plane.button("Play")
    plane.until("s.steps > 200")
    plane.button("Fool")
    plane.button("robin")
    plane.click(0.3, 0.1)
    walked = plane.until("s.path")
    assert not walked["playing"]
    assert walked["result"].startswith("From here to robin, 99.")
    assert walked["path"]["places"][0] == pytest.approx([0.3, 0.1], abs=0.02)
    assert plane.root.locator("[aria-live=polite]", has_text=walked["result"]).is_visible()
    x, y, _ = walked["points"][-1]
    plane.click(x, y)
    crossed = plane.until("s.result.startsWith('The shortest way')")
    assert "from this armadillo to " in crossed["result"]
    assert len(crossed["path"]["places"]) == 2


# ---------------------------------------------------------------------------------------------------- by keyboard


def test_everything_works_with_the_keyboard_alone(plane):
    cells = plane.page.locator(".jp-Cell").count()
    plane.root.get_by_role("button", name="Play").focus()
    plane.keys("Shift+Tab")
    assert plane.canvas.evaluate("c => document.activeElement === c")
    plane.keys(*["ArrowRight"] * 50, *["ArrowUp"] * 50, "2", "ArrowLeft", "ArrowLeft", "ArrowDown", "Enter")
    added = plane.until("s.points.length === 91")["points"][-1]
    assert added == pytest.approx([1.15, 1.2, 1], abs=0.001)
    plane.keys("Shift+ArrowUp")
    assert plane.until("s.points[90][1] > 1.24")["points"][-1] == pytest.approx([1.15, 1.25, 1], abs=0.001)
    plane.keys("Delete")
    assert added not in plane.until("s.points.length === 90")["points"]
    plane.keys("s", "s")
    plane.until("s.steps === 2")
    plane.keys("Space")
    plane.until("s.steps > 150")
    plane.keys("Space")
    plane.until("!s.playing")
    plane.keys("-")
    plane.until("s.zoom === 1.6")
    plane.keys("+", "1", "f")
    assert "cheetah" in plane.until("s.path && s.zoom === 1.25")["result"]
    plane.keys("n")
    plane.until("s.result.includes('shortest way')")
    plane.keys("r")
    plane.until("s.steps === 0 && !s.path")
    assert plane.page.locator(".jp-Cell").count() == cells
    assert plane.page.locator(".jp-CodeCell").count() == cells  # "1" would make a heading of a cell


def test_more_keys_choose_points_and_settings(plane):
    plane.root.get_by_role("button", name="Play").focus()
    plane.keys("Shift+Tab")
    for key, name in zip("45678", ["blobs", "moons", "rings", "spiral", "empty"], strict=True):
        plane.keys(key)
        plane.until(f"s.preset === '{name}'")
    plane.keys("h", "d", "w", "w", "a", "k")
    plane.until(
        "s.settings.hidden === 64 && s.settings.depth === 3 && s.settings.weight_decay === 0.001"
        " && s.settings.activation === 'tanh' && s.settings.classes === 2"
    )
    plane.keys("Shift+H", "Shift+D", "Shift+W", "Shift+W", "a", "k")
    plane.until("s.settings.hidden === 32 && s.settings.depth === 2 && s.settings.weight_decay === 0")
    plane.until("s.settings.activation === 'relu' && s.settings.classes === 3")


# ------------------------------------------------------------------------------------------------ in a lecture

SEND = "(c, key) => c.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))"


def test_a_page_may_pass_keys_on(plane):
    """A lecture's page forwards what is pressed anywhere on it: such an event is not trusted, nor has the plane the
    focus."""
    plane.page.locator(".jp-CodeCell .cm-content").first.click()
    for key in ["7", "2", "ArrowRight", "Enter", " "]:
        plane.canvas.evaluate(SEND, key)
    state = plane.until("s.points.length === 91 && s.steps > 10")
    assert state["points"][-1][2] == 1
    plane.canvas.evaluate(SEND, " ")
    plane.until("!s.playing")
    keys = dict(json.loads(plane.root.get_attribute("data-keys")))
    assert keys["space"] == "play or pause"
    assert "rings" in keys["4 5 6 7 8"]
    assert plane.root.evaluate("r => r.matches('.fool-keys.fool-canvas')")


@pytest.mark.parametrize("theme", LECTURE_THEMES)
def test_it_fits_a_lecture(plane, theme):
    with lecture(plane.page, ".plane", theme) as stage:
        assert fits(stage)
        colours = plane.root.get_by_role("button", name="Step").evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        assert contrast(*colours) > 4.5


# --------------------------------------------------------------------------------------------- several views, Voila


def test_two_views_show_the_same(plane):
    plane.click(0.9, -0.9)
    plane.until("s.points.length === 91")
    plane.page.wait_for_function(
        "() => [...document.querySelectorAll('.plane')].every(p => p.plane().points.length === 91)"
    )
    assert plane.page.locator(".plane").count() == 2
