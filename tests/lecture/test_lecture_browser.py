"""The lecture pages in a real browser: scenes, keys, themes, and every widget of every page at 1280 x 720."""

import pytest

from browsing import SECONDS, chromium, write_notebook, write_notebooks
from driving import PLAYER, SEND, Player, Widget

pytest.importorskip("voila", reason="Voila is not installed: pip install -r requirements.txt")

from lecturing import lecture_of, open_page

BLINK = "widgets.BlinkComparator(torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.6), model=model)"
PAGES = {
    "01_widgets.ipynb": [
        "# The player\n\nPress 1.",
        PLAYER,
        "# The canvas",
        "widgets.PlaneCanvas()",
        "# The comparator",
        BLINK,
    ],
    "02_broken.ipynb": ["# Broken", "1 / 0"],
}


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
    assert "bad.png" in player.problem() and "not a picture that can be read" in player.says()
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


def inside(page, locator):
    """Whether all of it is on the screen."""
    box, screen = locator.bounding_box(), page.viewport_size
    across = box["x"] >= 0 and box["x"] + box["width"] <= screen["width"] + 1
    return across and box["y"] >= 0 and box["y"] + box["height"] <= screen["height"] + 1


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1024, 768)])
def test_what_opens_is_on_the_screen(browser, served, size):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    page.keyboard.press("/")
    page.keyboard.type("r")
    field, found = page.get_by_role("combobox", name="target"), page.locator(".search li").first
    assert inside(page, found)
    assert abs(found.bounding_box()["x"] - field.bounding_box()["x"]) < 20 or not inside(page, field)
    page.keyboard.type("qq")
    assert inside(page, page.locator(".search .none"))
    page.keyboard.press("PageDown")
    canvas = Widget(page, ".plane")
    page.keyboard.press("0")
    canvas.until("s.labels.length === 4")
    named = page.locator(".plane .class button:visible")
    assert named.count() == 4 and all(inside(page, one) for one in named.all())
    page.keyboard.press("PageDown")
    page.keyboard.press("a")
    verdicts = page.locator(".blink .verdict b")
    assert verdicts.count() == 2 and all(inside(page, one) for one in verdicts.all())


def test_a_scene_that_is_left_while_it_loads_does_not_begin_by_itself(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    player = Player(page)
    player.root.evaluate(f"root => {{ ({SEND})(root, [['1'], false]); document.querySelector('#after').click(); }}")
    page.wait_for_timeout(1500)
    assert scene(page) == 2
    assert not player.state()["playing"] and player.state()["index"] == 0
    page.keyboard.press("PageDown")
    blink = Widget(page, ".blink")
    page.keyboard.press("Space")
    blink.until("s.playing")
    page.keyboard.press("PageUp")
    assert not blink.state()["playing"]


def test_a_key_of_the_page_that_is_held_down_counts_once(browser, served):
    page = open_page(browser, served, "01_widgets.ipynb")
    for _ in range(5):
        page.keyboard.down("t")
    page.keyboard.up("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    for _ in range(5):
        page.keyboard.down("PageDown")
    page.keyboard.up("PageDown")
    assert scene(page) == 2
    page.keyboard.press("t")


@pytest.mark.parametrize("focused", [True, False])
def test_a_key_that_is_held_down_plays_once(browser, served, focused):
    page = open_page(browser, served, "01_widgets.ipynb")
    page.keyboard.press("PageDown")
    if not focused:
        page.evaluate("document.activeElement.blur()")
    for _ in range(4):
        page.keyboard.down("Space")  # from the second on, it repeats
    page.keyboard.up("Space")
    canvas = Widget(page, ".plane")
    canvas.until("s.steps > 20")
    assert canvas.state()["playing"]
    page.keyboard.press("Space")
    canvas.until("!s.playing")


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
    page.goto("about:blank")
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
    page = open_page(browser, served)
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
