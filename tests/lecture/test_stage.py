"""The lecture as a stage: in every scene, pictures and maps fill the screen, and what is to be read is large."""

import json
from contextlib import contextmanager

import pytest

from browsing import SHOTS, chromium, keep_shot
from fooling_utils import lecture

pytest.importorskip("voila", reason="Voila is not installed: pip install -r requirements.txt")

from lecturing import lecture_of, open_page

SCREENS = [(1280, 720), (1920, 1080), (1024, 768)]
ALSO = [(1280, 577), (820, 1180)]  # with the browser's bars, and a tablet upright: nothing may be cut off
COVERED = 0.6  # of the screen, or of the largest square on it where the scene has one picture only
WALL_ON_AN_OLD_SCREEN = 0.48  # a wall is as wide as a modern screen is
FAULTS = {
    ".now .fool figure { width: 300px !important }": "covered",
    ".now .fool .tools { bottom: 60px }": "over",
    ".now .fool .numbers { transform: translateY(80px) }": "out",
    ".now .fool .bars { font-size: 28px }": "small",
    ".now .fool .bars .name { width: 3em }": "shortened",
}
PHONES = [(390, 844), (844, 390)]
WIDE = 0.6  # of the width of a phone held upright, for the largest picture of a scene
PHONE_FAULTS = {
    "#rendered_cells > div::before { content: ''; display: block; width: 420px }": "sideways",
    ".now .fool .bars { transform: translateX(60px) }": "out",
    ".now .fool .numbers { transform: translateY(-100px) }": "over",
    ".now .fool .tools button { min-height: 0 !important }": "narrow",
    ".now .fool .bars { font-size: 13px }": "small",
    ".now .fool figcaption { white-space: nowrap }": "cut",
    ".now .fool figure { width: 100px !important }": "wide",
    "#rendered_cells > div { padding-bottom: 0 !important }": "hidden",
}
RESERVED = {"f", "t", "T", "c", "?", "m", "PageUp", "PageDown"}  # keys of the lecture page
LOOKED_AT = """(more) => {
  const now = (selector) => [...document.querySelectorAll(".now .fool")].flatMap((root) =>
    [...root.querySelectorAll(selector)]).filter((one) => one.checkVisibility() && one.getBoundingClientRect().width);
  const boxed = (one) => {
    const { left, top, right, bottom } = one.getBoundingClientRect();
    return { left, top, right, bottom, what: `${one.tagName}.${one.className} ${one.textContent.slice(0, 30)}`, one };
  };
  const inGround = (one) => one.parentElement.closest(".ground"); // which cuts it off
  const pictures = now("figure canvas, .ground, .plot").filter((one) => !inGround(one)).map(boxed);
  const scroller = document.querySelector("#rendered_cells > div"); // in a hall, nothing scrolls
  const scrolls = getComputedStyle(scroller).overflowY === "auto";
  const screen = [innerWidth, scrolls ? scroller.scrollHeight : innerHeight];
  const area = pictures.reduce((sum, { left, top, right, bottom }) => sum + (right - left) * (bottom - top), 0);
  const largest = pictures.length > 1 ? screen[0] * screen[1] : Math.min(...screen) ** 2;
  const blocks = now(`figcaption, .bars, .numbers, .question, .texts, .verdict, .explanation, .counts, .foot, .under,
    .right .row, .here, .says > *, .along, .tools ${more || ""}`).filter((one) => one.textContent && !inGround(one))
    .map(boxed);
  blocks.push(...pictures);
  blocks.push(...[...document.querySelectorAll(".now:not(:has(.fool))")].filter((one) => one.textContent).map(boxed));
  const apart = (a, b) => a.left > b.right - 2 || b.left > a.right - 2 || a.top > b.bottom - 2 || b.top > a.bottom - 2;
  const inside = (a, b) => a.one.contains(b.one) || b.one.contains(a.one);
  const over = blocks.flatMap((a, k) => blocks.slice(k + 1).filter((b) => !inside(a, b) && !apart(a, b))
    .map((b) => `${a.what} and ${b.what}`));
  const out = blocks.filter((one) => one.left < -1 || one.top < -1 || one.right > screen[0] + 1
    || one.bottom > screen[1] + 1).map((one) => one.what);
  const small = now(`.bars .name, .bars .share, .numbers b, .counts span, .question, .texts button, .verdict,
    .explanation, .under, .says > *`).filter((one) => one.textContent && !one.closest(".tools")
    && parseFloat(getComputedStyle(one).fontSize) < 0.05 * screen[1] - 0.5 && !one.matches(".verdict:has(b)"))
    .map((one) => boxed(one).what);
  const empty = now("figure:not(.change) canvas, .ground > canvas:not(.marks)").filter((one) => { // no change is grey
    const values = one.getContext("2d").getImageData(0, 0, one.width, one.height).data.filter((_, k) => k % 4 < 3);
    return Math.max(...values.subarray(0, 60000)) - Math.min(...values.subarray(0, 60000)) < 4;
  }).map((one) => boxed(one).what);
  const shortened = now(".bars .name").filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => boxed(one).what);
  return { covered: pictures.length ? area / largest : 1, over, out, small, empty, shortened };
}"""

# On a phone a scene scrolls down. What can be wrong: it scrolls sideways, words are cut off or small, a
# thumb misses a control, something stays under the page's buttons, or the pictures are narrow.
HELD = """() => {
  const scroller = document.querySelector("#rendered_cells > div");
  const box = (one) => one.getBoundingClientRect();
  const all = (selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility()
    && box(one).width > 1 && !one.closest(".heard, .said, .anchor-link"));
  const name = (one) => `${one.tagName}.${one.getAttribute("class") || ""} ${one.textContent.trim().slice(0, 30)}`;
  const controls = ":is(button, select, input:not([type=file]))";
  const words = all(".now *, #bar *").filter((one) => [...one.childNodes].some((node) => node.nodeType === 3
    && node.textContent.trim()) && !one.matches("option, script, style"));
  const pictures = all(".now .fool :is(figure canvas, .ground, .plot)");
  const last = Math.max(0, ...all(".now, .now *").map((one) => box(one).bottom));
  const style = getComputedStyle;
  const touched = all(`.now .fool ${controls}, #bar ${controls}`);
  return {
    sideways: Math.max(scroller.scrollWidth - scroller.clientWidth, document.documentElement.scrollWidth - innerWidth),
    cut: words.filter((one) => one.scrollWidth > one.clientWidth + 1 && style(one).display !== "inline").map(name),
    small: words.filter((one) => parseFloat(style(one).fontSize) < 14).map(name),
    narrow: touched.filter((one) => Math.min(box(one).height, box(one).width) < 40).map(name),
    hidden: Math.max(0, last - (scroller.scrollHeight - document.querySelector("#bar").clientHeight)),
    wide: pictures.length ? Math.max(...pictures.map((one) => box(one).width)) / innerWidth : 1,
  };
}"""
MORE = ", button, select, input"
HOLDS_WELL = {"sideways": 0, "cut": [], "small": [], "narrow": [], "hidden": 0}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lectures():
    with lecture_of(lecture.PAGES, "--port", "8970") as served:
        yield served


@pytest.fixture
def opened(browser, lectures):
    """Opens a page of the lecture, with all its widgets."""
    pages = []

    def open_one(name):
        page = open_page(browser, lectures, name)
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        page.close()


def shoot(page, file, number, size):
    """Pictures of a scene, light and dark, where somebody asks for pictures."""
    for theme in ("light", "dark") if SHOTS else ():
        keep_shot(page, f"{file[:2]} {number} {'x'.join(map(str, size))} {theme}")
        page.keyboard.press("t")


def scenes(page):
    """Each scene in turn, once it has drawn what it begins with."""
    for number in range(1, page.locator("#rendered_cells h1").count() + 1):
        page.wait_for_timeout(600)
        yield number
        page.keyboard.press("PageDown")


@contextmanager
def finger(page):
    """A page that is touched, as on a phone, until it has its mouse back."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    yield
    session.detach()


def opacity(page, selector):
    return page.locator(selector).evaluate("one => getComputedStyle(one).opacity")


@pytest.mark.parametrize("file", [page.file for page in lecture.find_pages(lecture.PAGES)])
def test_pictures_fill_the_screen_and_words_can_be_read(opened, file):
    page = opened(file)
    page.keyboard.press("m")  # the controls must not lie over anything either
    for number in scenes(page):
        for root in page.locator(".now .fool").all():
            assert not RESERVED & {key for key, _ in json.loads(root.get_attribute("data-keys"))}
        for width, height in SCREENS:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(250)
            seen = page.evaluate(LOOKED_AT)
            where = f"{file}, scene {number}, {width} x {height}"
            old_wall = page.locator(".now .fool.wall").count() and width < 1.5 * height
            assert seen["covered"] >= (WALL_ON_AN_OLD_SCREEN if old_wall else COVERED), where
            assert (seen["over"], seen["out"], seen["empty"], seen["shortened"]) == ([], [], [], []), where
            assert seen["small"] == [] or width < 1.5 * height, where
            shoot(page, file, number, (width, height))
        for width, height in ALSO:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(250)
            assert page.evaluate(LOOKED_AT)["out"] == [], f"{file}, scene {number}, {width} x {height}"
        with finger(page):
            for width, height in PHONES:
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(250)
                seen, held = page.evaluate(LOOKED_AT, MORE), page.evaluate(HELD)
                where = f"{file}, scene {number}, {width} x {height}"
                assert held.pop("wide") >= (WIDE if width < height else 0), where
                assert (seen["over"], seen["out"], seen["empty"], held) == ([], [], [], HOLDS_WELL), where
                shoot(page, file, number, (width, height))
        page.set_viewport_size({"width": 1280, "height": 720})


def test_the_look_finds_planted_faults(opened):
    page = opened("00_start_here.ipynb")
    for fault, found in FAULTS.items():
        style = page.add_style_tag(content=fault)
        seen = page.evaluate(LOOKED_AT)
        assert seen["covered"] < COVERED if found == "covered" else seen[found], fault
        style.evaluate("one => one.remove()")
    page.evaluate(
        "() => { const one = document.querySelector('.now figure canvas'); one.width = one.width; }"  # which clears it
    )
    assert len(page.evaluate(LOOKED_AT)["empty"]) == 1
    page.set_viewport_size(dict(zip(("width", "height"), PHONES[0], strict=True)))
    page.wait_for_timeout(250)
    assert page.evaluate(HELD) | {"wide": 1} == HOLDS_WELL | {"wide": 1}
    for fault, found in PHONE_FAULTS.items():
        style = page.add_style_tag(content=fault)
        seen = page.evaluate(LOOKED_AT, MORE) | page.evaluate(HELD)
        assert seen["wide"] < WIDE if found == "wide" else seen[found], fault
        style.evaluate("one => one.remove()")


def test_the_controls_hide_until_the_mouse_or_a_key_asks(opened):
    page = opened("00_start_here.ipynb")
    tools = ".now .fool .tools"
    assert (opacity(page, tools), opacity(page, "#bar")) == ("0", "0")
    page.mouse.move(300, 300)
    page.wait_for_function(f"getComputedStyle(document.querySelector('{tools}')).opacity === '1'")
    page.wait_for_function(f"getComputedStyle(document.querySelector('{tools}')).opacity === '0'")
    page.keyboard.press("m")
    page.mouse.move(310, 300)
    page.wait_for_timeout(4000)  # longer than after the mouse alone
    assert (opacity(page, tools), opacity(page, "#bar")) == ("1", "1")
    page.keyboard.press("m")
    page.wait_for_function(f"getComputedStyle(document.querySelector('{tools}')).opacity === '0'")
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.closest('.tools, #bar')")
    place = page.evaluate("document.activeElement.closest('.tools') ? '.now .fool .tools' : '#bar'")
    page.wait_for_function(f"getComputedStyle(document.querySelector('{place}')).opacity === '1'")


def test_x_shows_a_picture_as_large_as_the_screen_and_a_curtain_between_two(opened):
    page = opened("00_start_here.ipynb")
    page.keyboard.press("x")
    before, after = (page.locator(f".now .fool figure.{name} canvas") for name in ("under", "over"))
    assert before.bounding_box() == after.bounding_box()
    assert after.bounding_box()["height"] > 0.9 * 720
    assert not page.locator(".now h1").is_visible()
    edge = "one => parseFloat(getComputedStyle(one).clipPath.split(' ').at(-1))"
    middle = after.evaluate(edge)
    page.keyboard.press(",")
    assert after.evaluate(edge) < middle
    box = after.bounding_box()
    page.mouse.move(box["x"] + 0.75 * box["width"], 300)
    assert after.evaluate("one => getComputedStyle(one).clipPath").endswith("75%))") or after.evaluate(edge) > middle
    page.keyboard.press("x")
    change = page.locator(".now .fool .change canvas")
    assert change.bounding_box()["height"] > 0.9 * 720
    page.keyboard.press("Escape")
    assert page.locator(".large-now").count() == 0
    assert not change.is_visible()
    assert page.locator(".now h1").is_visible()


def test_the_clock_is_off_at_first_and_goes_on_from_page_to_page(opened, lectures):
    page = opened("00_start_here.ipynb")
    clock = page.get_by_role("timer")
    assert clock.count() == 0
    page.keyboard.press("T")
    page.wait_for_function("document.querySelector('#clock')?.textContent === '0:02'")
    page.goto(f"{lectures.address}voila/render/04_decision_boundaries.ipynb")
    page.wait_for_selector("html[data-ready]")
    page.wait_for_function("document.querySelector('#clock').textContent > '0:02'")
    page.keyboard.press("T")
    assert clock.count() == 0


@pytest.mark.parametrize("file", [page.file for page in lecture.find_pages(lecture.PAGES)])
def test_axe_finds_nothing_in_any_scene(opened, axe, file):
    page = opened(file)
    page.keyboard.press("m")
    for number in scenes(page):
        for _ in ("light", "dark"):
            assert axe(page) == [], f"scene {number}"
            page.keyboard.press("t")
    page.keyboard.press("?")
    assert axe(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_contents_page(browser, lectures, axe, theme):
    page = open_page(browser, lectures)
    page.goto(f"{lectures.address}?theme={theme}")
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert axe(page) == []
