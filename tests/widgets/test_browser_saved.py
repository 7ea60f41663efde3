"""A student's notebook, from one day to the next: edited, saved from inside a widget, opened again, run again."""

import json
import time

import pytest

from browsing import APPS, SECONDS, chromium, open_notebook, served

START = """
from torch import rand
from fooling_utils import Classifier, cppn, widgets
from nets import ChannelMeans
m = Classifier(ChannelMeans(30.0).eval(), ["a", "b", "c"], (3, 16, 16))
pictures = rand(3, 3, 16, 16).split(1)
widgets.FoolingPlayer(m, 'grey', 'a')
"""
CELLS = [
    START,
    "widgets.BlinkComparator(*pictures[:2], model=m)",
    "widgets.PriorExplorer(pictures[:2], ['x', 'y'], {'one': m})",
    "widgets.EpsilonExplorer(m, pictures[0], 0.1 * pictures[1], target='b', own='a')",
    "widgets.GuessFirst('Which?', ['a', 'b'], 0)",
    "widgets.ChampionsWall(m, cppn(16))",
    "widgets.PlaneExplorer.through(m, *pictures, size=17)",
    "widgets.PlaneCanvas('moons')",
    "screen = widgets.LiveImage()\ndisplay(screen)\nscreen.show(pictures[0])",
]
# how many pictures are seen below a cell, how many widgets, and what Jupyter says in the place of a widget
SEEN = """(cell) => {
  const seen = (selector) => [...cell.querySelectorAll(selector)].filter((one) => one.getClientRects().length);
  const lost = seen(".jp-OutputArea-output.jupyter-widgets").filter((one) => !one.querySelector("*"));
  const [pictures, widgets] = [seen(".jp-RenderedImage img"), seen(".fool, .fool-live")];
  return [pictures.length, widgets.length, lost.map((one) => one.innerText).join()];
}"""
LIVE = ":is(.fool[data-answers], .fool-live)"


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def seen(page, pictures, widgets):
    """Whether every cell comes to show so many pictures and widgets, and no message of Jupyter's."""
    for cell, count in zip(page.locator(".jp-CodeCell").all(), pictures, strict=False):  # an empty cell ends it
        cell.evaluate("(one) => one.scrollIntoView()")  # at once: Jupyter may put the cell in again while we wait
        assert wait_for(lambda c=cell, n=count: c.evaluate(SEEN) == [n, widgets, ""]), cell.evaluate(SEEN)
    return True


def sources(file):
    return ["".join(cell["source"]) for cell in json.loads(file.read_text())["cells"]]


@pytest.mark.parametrize("app", APPS)
def test_a_student_saves_from_a_widget_and_finds_its_picture_the_next_day(app, tmp_path):
    file, alone = tmp_path / "work/plane.ipynb", [0] * len(CELLS)
    twins = [1] * (len(CELLS) - 1) + [0]  # a live image has no picture before its loop runs
    with chromium() as browser:
        with served(tmp_path, CELLS, app) as address:
            page = open_notebook(browser, address, len(CELLS), LIVE)
            assert seen(page, alone, 1)
            keys, first = page.keyboard, page.locator(".jp-CodeCell").first

            # Ctrl+S saves, with the focus on the widget and in a field of it; the letter alone stays with the widget
            for words, inside in [("# on it", ".fool.player"), ("# in it", ".fool.player input.address")]:
                first.locator(".cm-content").click()
                keys.press("Control+End")
                keys.type(words)
                page.locator(inside).focus()
                keys.press("s")
                assert words not in sources(file)[0]
                keys.press("Control+s")
                assert wait_for(lambda w=words: w in sources(file)[0])
            assert page.locator("input.address").input_value() == "s"
            keys.press("Control+a")
            keys.press("Delete")
            assert page.locator("input.address").input_value() == ""

            # "b" is the notebook's key for another cell: not in the widget, and not after one Esc, but after two
            before = page.locator(".jp-Cell").count()
            for press, inside in [
                ("b", ".fool.player input.address"),
                ("Escape", ".fool.player"),
                ("b", ".fool.player"),
            ]:
                keys.press(press)
                assert page.evaluate("(at) => document.activeElement.matches(at)", inside)
            keys.press("Escape")
            keys.press("b")
            assert wait_for(lambda: page.locator(".jp-Cell").count() == before + 1)
            page.close(run_before_unload=False)
        with served(tmp_path, None, app) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(60 * SECONDS)
            page.goto(address)
            page.locator(".jp-CodeCell .cm-content").first.wait_for()
            assert seen(page, twins, 0)
            page.wait_for_function("() => document.body.textContent.includes('model not found')")
            assert seen(page, twins, 0)
            assert "model not found" not in page.locator("body").inner_text()
            page.locator(".jp-CodeCell .cm-content").first.click()
            for _ in CELLS:
                page.keyboard.press("Shift+Enter")
            assert seen(page, alone, 1)
            page.locator(".fool.player").focus()
            page.keyboard.press("ArrowRight")
            page.locator(".fool.player[data-frame='1']").wait_for()
