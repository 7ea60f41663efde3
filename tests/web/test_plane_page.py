"""plane.html as its readers have it: on a phone and a desk, by touch, keys and a screen reader, online and offline."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from driving import Widget
from tabbing import DESKTOP, LYING, MISPLACED, PHONE, SMALL_TARGETS, SMALL_TEXT, wait

HIDE = "(marks, how) => { marks.style.visibility = how; }"
WHOLLY_SEEN = """e => { const { left, right, top, bottom } = e.getBoundingClientRect();
  return left >= 0 && top >= 0 && right <= innerWidth + 0.5 && bottom <= innerHeight + 0.5; }"""
CORNER = (
    "(c, [x, y]) => [...c.getContext('2d').getImageData(x * (c.width - 1), y * (c.height - 1), 1, 1).data].slice(0, 3)"
)


class Plane(Widget):
    """The canvas of a page."""

    def __init__(self, page, query=""):
        page.goto(f"plane.html{query}")
        page.locator(".fool.plane[data-drawn]").wait_for()
        super().__init__(page, ".fool.plane")
        page.evaluate("scrollTo(0, 0)")
        self.ground, self.marks = self.root.locator(".ground"), self.root.locator(".marks")

    def wait(self, condition):
        wait(self.page, f"root => {condition}", self.root.element_handle(), seconds=60)

    def pixels(self, x, y):
        box, zoom = self.marks.bounding_box(), self.state()["zoom"]
        return box["x"] + (x / zoom + 1) / 2 * box["width"], box["y"] + (1 - y / zoom) / 2 * box["height"]

    def tap(self, x, y):
        self.page.touchscreen.tap(*self.pixels(x, y))

    def train(self, steps=300):
        self.button("Play").click()
        self.until(f"s.steps >= {steps}")
        self.button("Pause").click()
        self.until("!s.playing && !root.dataset.busy")
        self.page.wait_for_timeout(200)

    def map(self):
        """What is seen of the regions, without the points, as an array (height, width, 3)."""
        self.marks.evaluate(HIDE, "hidden")
        seen = Image.open(io.BytesIO(self.ground.screenshot())).convert("RGB")
        self.marks.evaluate(HIDE, "visible")
        return np.asarray(seen, dtype=float)

    def mistaken(self, colours):
        """How many points lie on a colour that is not their class's."""
        seen, state = self.map(), self.state()
        tones = 255 - np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in colours])
        tones = tones / np.linalg.norm(tones, axis=1, keepdims=True)
        wrong = 0
        for x, y, label in state["points"]:
            column, row = ((v / state["zoom"] + 1) / 2 for v in (x, -y))
            pixel = 255 - seen[int(row * len(seen)), int(column * seen.shape[1])]
            wrong += (tones @ pixel).argmax() != label
        return wrong


@pytest.fixture(scope="module")
def on_phone(contexts):
    return contexts(**PHONE).new_page()


@pytest.fixture
def phone(on_phone):
    """The canvas at its start, on a phone."""
    return Plane(on_phone)


@pytest.fixture
def desk(contexts):
    """The canvas with rings, on a desk."""
    return Plane(contexts(**DESKTOP).new_page(), "?preset=rings")


@pytest.fixture(scope="module")
def colours(site):
    return json.loads((site / "app/plane.json").read_text())["traits"]["colours"]


# ------------------------------------------------------------------------------------------------------------ geometry


@pytest.mark.parametrize(("screen", "query"), [(PHONE, ""), (LYING, ""), (DESKTOP, ""), (DESKTOP, "?embedded")])
def test_the_canvas_and_play_are_seen_at_once_and_nothing_is_small_or_misplaced(contexts, screen, query):
    plane = Plane(contexts(**screen).new_page(), query)
    for one in (plane.ground, plane.button("Play")):
        assert one.evaluate(WHOLLY_SEEN)
    box = plane.ground.bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1)
    assert box["width"] > (220 if screen is LYING else 330)
    plane.tap(0.5, 0.9) if screen.get("has_touch") else plane.page.mouse.click(*plane.pixels(0.5, 0.9))
    plane.until("s.points.length === 91")
    for look in (MISPLACED, SMALL_TEXT, *[SMALL_TARGETS] * screen.get("has_touch", False)):
        assert plane.page.evaluate(look) == []
    if screen is DESKTOP:
        assert plane.page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_a_phone_can_zoom_the_page_and_scrolls_it_beside_the_canvas(phone):
    assert "scalable" not in (content := phone.page.locator("meta[name=viewport]").get_attribute("content"))
    assert "maximum" not in content
    actions = [one.evaluate("e => getComputedStyle(e).touchAction") for one in (phone.root, phone.marks)]
    assert actions == ["auto", "none"]


# -------------------------------------------------------------------------------------------------------------- pixels


def test_the_map_fills_the_ground_and_each_point_lies_on_its_colour(desk, colours):
    desk.train()
    assert desk.mistaken(colours) == 0
    seen, regions = desk.map(), desk.root.locator(".ground canvas").first
    for across, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        pixel = seen[[2, -3][down], [2, -3][across]]
        assert pixel == pytest.approx(regions.evaluate(CORNER, [across, down]), abs=6)
        assert pixel.min() < 200
    regions.evaluate("c => { c.style.transform = 'translateX(12%)'; }")  # a planted fault
    assert desk.mistaken(colours) > 9
    regions.evaluate("c => { c.style.transform = 'scaleY(-1)'; }")
    desk.choose("Points", "blobs")
    desk.until("s.preset === 'blobs'")
    desk.train()
    assert desk.mistaken(colours) > 9


# --------------------------------------------------------------------------------------------------------------- touch


def test_touch_adds_drags_and_removes(phone):
    phone.root.get_by_label("Points", exact=True).select_option("empty")
    phone.until("s.points.length === 0 && s.preset === 'empty'")
    phone.page.evaluate("scrollTo(0, 0)")
    phone.button("robin").tap()
    phone.page.evaluate("scrollTo(0, 0)")
    phone.tap(-0.5, 0.5)
    assert phone.until("s.points.length === 1")["points"][0] == pytest.approx([-0.5, 0.5, 1], abs=0.02)
    assert phone.root.locator(".here output").inner_text().startswith("(−0.50, 0.50): ")
    touch = phone.page.context.new_cdp_session(phone.page)

    def finger(kind, *place):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in place]})

    finger("touchStart", phone.pixels(-0.45, 0.5))
    for k in range(1, 11):
        finger("touchMove", phone.pixels(-0.45 + 0.1 * k, 0.5 - 0.1 * k))
    finger("touchEnd")
    moved = phone.until("s.points.length === 1 && s.points[0][0] > 0.4 && !root.dataset.busy")["points"][0]
    assert moved == pytest.approx([0.55, -0.5, 1], abs=0.03)
    assert phone.page.evaluate("scrollY") == 0
    finger("touchStart", phone.pixels(-0.5, -0.5), phone.pixels(0, 1))  # a second finger adds nothing
    finger("touchEnd")
    assert len(phone.until("s.points.length > 1 && !root.dataset.busy")["points"]) == 2
    phone.button("Remove").tap()
    assert phone.root.get_by_text("Tap a point to remove it.").is_visible()
    phone.page.evaluate("scrollTo(0, 0)")
    phone.tap(0.9, 0.9)
    phone.tap(0.55, -0.5)
    assert phone.until("s.points.length === 1 && !root.dataset.busy")["points"][0][0] < 0


def test_training_and_fooling_by_touch(phone):
    before = phone.state()
    phone.train()
    trained = phone.state()
    assert trained["loss"] < before["loss"] / 20 and trained["right"] == 1
    assert f"Step {trained['steps']} · loss 0.0" in phone.root.inner_text()
    phone.button("Fool").tap()
    phone.button("robin").tap()
    phone.page.evaluate("scrollTo(0, 0)")
    phone.tap(0.3, 0.1)
    assert (result := phone.until("s.path")["result"]).startswith("From here to robin, 99.")
    assert phone.root.get_by_text(result).evaluate(WHOLLY_SEEN)
    phone.page.wait_for_timeout(300)
    assert phone.state()["steps"] == trained["steps"]


# ---------------------------------------------------------------------------------------- keys, themes, screen readers


def test_it_works_with_the_keyboard_alone(desk):
    desk.page.locator("body").press("Tab")
    assert desk.page.evaluate("document.activeElement.textContent") == "Skip to the page"
    desk.press("Enter", "Tab")
    assert desk.root.evaluate("e => e === document.activeElement && getComputedStyle(e).outlineStyle") == "solid"
    desk.press("2", "ArrowRight", "ArrowUp", "Enter")
    added = desk.until("s.points.length === 91")["points"][-1]
    assert added == pytest.approx([0.05, 0.05, 1])
    desk.press("Delete", "Space")
    desk.until("s.points.length < 91 && s.steps > 20")
    desk.press("Space", "g")
    assert "robin" in desk.until("s.path")["result"]
    desk.wait("root.querySelector('.result[aria-live=polite]').textContent")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_moves_unasked(contexts, axe, theme):
    page = contexts(**DESKTOP, bypass_csp=True, color_scheme=theme, reduced_motion="reduce").new_page()
    for query in ("", "?embedded"):
        plane = Plane(page, query)
        plane.focus().press("8", "g")  # a warning and a result
        plane.until("s.path")
        plane.press("Delete")
        for screen in (DESKTOP, PHONE, LYING):
            page.set_viewport_size(screen["viewport"])
            assert axe(page) == []
    assert plane.state()["steps"] == 0 and not plane.state()["playing"]
    assert page.evaluate("document.documentElement.dataset.theme") == theme


# ------------------------------------------------------------------------------------------- loading, and the address


def test_the_address_chooses_points_and_zoom(contexts):
    page = contexts(**DESKTOP).new_page()
    state = Plane(page, "?embedded&preset=spiral&zoom=5").until("s.preset === 'spiral' && s.zoom === 5")
    assert len(state["points"]) == 90
    assert page.locator("header").count() == 0
    assert page.locator("h1").bounding_box()["width"] <= 1 and not page.locator(".words").is_visible()
    state = Plane(page, "?preset=<b>circles</b>&zoom=99").state()
    assert (state["preset"], state["zoom"]) == ("blobs", 1.25)


def test_the_links_lead_to_the_other_pages(desk):
    links = desk.page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert {"fool.html", "plane.html", "index.html", "lessons/04_decision_boundaries.html"} <= set(links)
    assert not [one for one in links if "://" in one or one.startswith("/")]


def test_the_page_has_a_strict_policy_and_no_script_of_its_own(desk, site):
    policy = desk.page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy.startswith("default-src 'none'; script-src 'self'; ") and "http" not in policy
    scripts = desk.page.locator("script").evaluate_all(
        "all => all.map(one => [one.getAttribute('src'), one.textContent])"
    )
    assert scripts and all(address.startswith("app/") and not text for address, text in scripts)
    assert desk.page.locator("[onclick], [onload], [onerror]").count() == 0


def test_offline_it_says_what_to_do(browser, address):
    context = browser.new_context(base_url=address)
    page = context.new_page()
    page.route("**/plane.json", lambda route: route.abort())
    page.goto("plane.html")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == "This page could not be loaded completely. Are you offline? Reload it to try again."
    page.unroute("**/plane.json")
    page.route("**/plane_worker.js", lambda route: route.abort())
    page.reload()
    page.get_by_text("A part of this page did not arrive. Are you offline?").wait_for()
    context.close()
