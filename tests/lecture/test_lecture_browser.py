"""The lecture pages in a real browser: scenes, keys, themes, and every widget of every page at 1280 x 720."""

import pytest

from browsing import SECONDS, TOKEN, chromium, write_notebook, write_notebooks
from driving import PLAYER, Player, Widget
from fooling_utils import lecture

pytest.importorskip("voila", reason="Voila is not installed: pip install -r requirements.txt")

from lecturing import lecture_of

PAGES = {
    "01_widgets.ipynb": ["# The player\n\nPress 1.", PLAYER, "# The canvas", "widgets.PlaneCanvas()"],
    "02_broken.ipynb": ["# Broken", "1 / 0"],
}
SMALL_TEXT = """() => [...document.querySelectorAll('.now *, #bar *')].filter(e => e.checkVisibility()
    && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getBoundingClientRect().height > 2
    && !e.closest('svg[viewBox]') && parseFloat(getComputedStyle(e).fontSize) < 23.9)
    .map(e => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`)"""
CUT_OFF = """() => [...document.querySelectorAll('.now :is(button, canvas, img, input, select, svg, p, h1, output)')]
    .filter(e => e.checkVisibility() && !e.closest('.heard, ul[role=listbox]'))
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([, b]) => b.width && (b.bottom > innerHeight + 1 || b.right > innerWidth + 1))
    .map(([e, b]) => `${e.tagName} ${e.textContent.slice(0, 30)} ${Math.round(b.right)} ${Math.round(b.bottom)}`)"""

UNDER_THE_BAR = """() => {
  const boxes = [...document.querySelectorAll('#bar > *')].map(e => e.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && a.right > b.left && a.top < b.bottom && a.bottom > b.top;
  return [...document.querySelectorAll('.now :is(button, input, select, output, canvas)')]
    .filter(e => e.checkVisibility() && !e.closest('.heard')).map(e => [e, e.getBoundingClientRect()])
    .filter(([, a]) => a.width && boxes.some(b => meet(a, b)))
    .map(([e]) => e.outerHTML.slice(0, 90)); }"""


# projectors and screens: the one the pages are drawn for, old, with the browser's bars, full HD, a tablet upright
SCREENS = [(1280, 720), (1024, 768), (1280, 577), (1920, 1080), (820, 1180)]


def open_page(browser, served, name, theme="light"):
    """A page whose widgets are there, and the list of requests that it made."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.asked, page.broken = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.broken.append(str(error)))
    page.set_default_timeout(60 * SECONDS)
    page.goto(f"{served.address}?token={TOKEN}")
    page.goto(f"{served.address}voila/render/{name}?theme={theme}")
    page.wait_for_selector("html[data-ready]")
    page.set_default_timeout(20 * SECONDS)
    return page


def scene(page):
    return int(page.evaluate("document.documentElement.dataset.scene"))


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = write_notebooks(tmp_path_factory.mktemp("lecture"), PAGES)
    with lecture_of(folder, "--port", "8900", "--grace", "0.5") as served:
        yield served


def test_a_lecturer_needs_no_mouse(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    player, keys = Player(page), page.keyboard
    assert page.get_by_role("heading").all_inner_texts()[0] == "The player"
    keys.press("1")  # nobody has clicked anywhere
    player.until("!s.playing && s.probability > 0.99 && s.settings.picture === 'coffee' && s.saved")
    keys.press("n")
    player.until("s.control")
    keys.press("r")
    player.until("s.index === 0")
    keys.press("PageDown")
    assert scene(page) == 2
    assert page.locator(".fool.player").is_hidden()
    keys.press("5")  # the canvas takes the keys now
    canvas = Widget(page, ".plane")
    canvas.until("s.preset === 'moons'")
    assert player.state()["index"] == 0
    keys.press("Space")
    canvas.until("s.steps > 20")
    keys.press("Space")
    keys.press("PageUp")
    assert scene(page) == 1
    keys.press("PageUp")
    assert scene(page) == 1
    assert page.broken == []


def test_mouse_typing_and_upload_work_as_in_a_notebook(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    player = Player(page)
    player.root.get_by_role("combobox", name="target").fill("whale")
    page.keyboard.press("Enter")
    player.until("s.settings.target === 'blue whale' && s.index === 0")
    player.root.get_by_role("button", name="play").click()
    player.until("!s.playing && s.probability > 0.99 && s.saved && s.saved.survives")
    player.upload("red.png")
    player.until("s.settings.picture === 'red.png' && s.settings.own === 'red robin'")
    assert player.pixel(0) == [255, 0, 0]
    player.upload("bad.png", b"no picture")
    assert "not a picture that can be read" in player.problem()
    page.get_by_role("button", name="next scene").click()
    page.locator(".fool.plane .marks").click(position={"x": 300, "y": 40})
    Widget(page, ".plane").until("s.points.length === 91")


def test_keys_that_are_typed_stay_where_they_are_typed(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.get_by_role("combobox", name="target").fill("")
    page.keyboard.type("tc?1")
    assert page.get_by_role("combobox", name="target").input_value() == "tc?1"
    assert page.evaluate("document.documentElement.dataset.theme") == before


def test_page_down_leaves_a_field_in_which_an_unknown_name_was_typed(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.get_by_role("combobox", name="target").fill("no such thing")
    page.keyboard.press("Enter")
    page.keyboard.press("PageDown")
    assert scene(page) == 2


def test_a_scene_that_is_left_stands_still(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.keyboard.press("PageDown")
    canvas = Widget(page, ".plane")
    page.keyboard.press("Space")
    canvas.until("s.playing && s.steps > 20")
    page.keyboard.press("PageUp")
    canvas.until("!s.playing")
    canvas.idle()
    left = canvas.state()["steps"]
    page.wait_for_timeout(1500)
    assert canvas.state()["steps"] == left


def test_nothing_moves_behind_the_list_of_keys(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.keyboard.press("?")
    for key in ("1", "Space", "PageDown", "t"):
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert scene(page) == 1
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    state = Player(page).state()
    assert (state["index"], state["playing"]) == (0, False)
    page.keyboard.press("?")
    assert page.get_by_role("dialog").count() == 0


def test_f_fills_the_screen_and_gives_it_back(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === document.documentElement")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")


def test_words_and_pictures_grow_with_the_screen(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    measured = (
        "e => [parseFloat(getComputedStyle(e).fontSize), e.querySelector('canvas').getBoundingClientRect().width]"
    )
    player = page.locator(".fool.player")
    small = player.evaluate(measured)
    page.set_viewport_size({"width": 1920, "height": 1080})
    assert player.evaluate(measured) == pytest.approx([1.5 * size for size in small], rel=0.01)


def test_a_page_says_within_two_seconds_that_the_server_has_stopped(browser, tmp_path):
    write_notebook(
        tmp_path / "01_one.ipynb", ["# One scene", "from fooling_utils.widgets import PlaneCanvas\nPlaneCanvas()"]
    )
    with lecture_of(tmp_path, "--port", "8930") as served:
        page = open_page(browser, served, "01_one.ipynb")
        page.wait_for_timeout(1500)
        assert page.get_by_role("alert").filter(has_text="lecture").count() == 0
        port = served.address.rstrip("/").rpartition(":")[2]
    page.get_by_text("The lecture has stopped. Start it again").wait_for(timeout=2 * SECONDS)
    with lecture_of(tmp_path, "--port", port):
        page.get_by_text("The lecture was started again. Open the address").wait_for(timeout=5 * SECONDS)


def test_dark_and_light_are_kept(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.goto(f"{served.address}voila/render/01_widgets.ipynb#2")
    page.wait_for_selector("html[data-ready]", timeout=60 * SECONDS)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert scene(page) == 2
    page.get_by_role("button", name="dark or light").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_the_keys_are_listed(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.keyboard.press("?")
    text = page.get_by_role("dialog").inner_text()
    for word in ("play or pause", "coffee, green", "next scene", "dark or light"):
        assert word in text
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_the_contents_page_opens_a_page_by_its_number(browser, served):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"{served.address}?token={TOKEN}")
    assert page.get_by_role("link").count() == 2
    page.keyboard.press("0")
    page.wait_for_url("**/voila/render/01_widgets.ipynb")
    page.wait_for_selector("html[data-ready]", timeout=60 * SECONDS)
    page.keyboard.press("c")
    page.wait_for_url(served.address)


def test_an_error_is_seen(browser, served):
    page = open_page(browser, served, "02_broken.ipynb")
    assert "error" in page.locator(".now").last.inner_text().lower()


def test_nothing_is_asked_of_another_host(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    assert [url for url in page.asked if not url.startswith((served.address, "data:", "blob:"))] == []


def test_a_page_that_is_closed_ends_its_kernel(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    kernel = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    assert served.ask(f"api/kernels/{kernel}")[0] == 200
    page.goto("about:blank")
    for _ in range(100):
        if served.ask(f"api/kernels/{kernel}")[0] == 404:
            break
        page.wait_for_timeout(100)
    assert served.ask(f"api/kernels/{kernel}")[0] == 404


# ----------------------------------------------------------------------------------------------- the pages themselves


@pytest.fixture(scope="module")
def lectures():
    with lecture_of(lecture.PAGES, "--port", "8910") as served:
        yield served


@pytest.mark.parametrize("file", [page.file for page in lecture.find_pages(lecture.PAGES)])
def test_every_scene_fits_the_projector_and_can_be_read_from_the_last_row(browser, lectures, file):
    page = open_page(browser, lectures, file)
    count = page.evaluate("new Set([...document.querySelectorAll('#rendered_cells h1')]).size")
    for theme in ("light", "dark"):
        for number in range(1, count + 1):
            assert scene(page) == number
            page.wait_for_timeout(300)
            assert page.evaluate(SMALL_TEXT) == []
            for width, height in SCREENS:
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(100)
                assert page.evaluate(CUT_OFF) == [], f"at {width} x {height}"
                assert page.evaluate(UNDER_THE_BAR) == [], f"scene {number} at {width} x {height}"
            page.set_viewport_size({"width": 1280, "height": 720})
            page.keyboard.press("PageDown")
        for _ in range(count):
            page.keyboard.press("PageUp")
        if theme == "light":
            page.keyboard.press("t")
    assert page.locator(".problem").all_inner_texts() == [""] * page.locator(".problem").count()
    assert page.broken == []


@pytest.mark.parametrize("file", [page.file for page in lecture.find_pages(lecture.PAGES)])
def test_axe_finds_nothing_in_any_scene(browser, lectures, axe, file):
    page = open_page(browser, lectures, file)
    for number in range(1, 1 + page.evaluate("document.querySelectorAll('#rendered_cells h1').length")):
        assert scene(page) == number
        page.wait_for_timeout(300)
        for _ in ("light", "dark"):
            assert axe(page) == [], f"scene {number}"
            page.keyboard.press("t")
        page.keyboard.press("PageDown")
    page.keyboard.press("?")
    assert axe(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_contents_page(browser, lectures, axe, theme):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"{lectures.address}?token={TOKEN}")
    page.goto(f"{lectures.address}?theme={theme}")
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert axe(page) == []
