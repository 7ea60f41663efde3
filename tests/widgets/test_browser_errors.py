"""A network that fails for a while, in a browser: the page says so as long as nobody goes on, and then goes on."""

from driving import Player, Widget

START = """
import os
os.environ["FOOLING_NO_TWINS"] = "1"  # the network would fail before there is a widget
from torch import rand
from fooling_utils import Classifier, cppn, widgets
from nets import ChannelMeans

burning = False

class Flammable(ChannelMeans):
    def forward(self, images):
        if burning:
            raise RuntimeError("the roof is on fire")
        return super().forward(images)

m = Classifier(Flammable(30.0).eval(), ["red robin", "green frog", "blue whale"], (3, 16, 16))
"""
CELLS = [
    START + "widgets.FoolingPlayer(m, 'grey', 'red robin', size=0.1)",
    "widgets.ChampionsWall(m, cppn(16), population=4)",
    "burning = True\nwidgets.BlinkComparator(*rand(2, 3, 16, 16).split(1), model=m)",
    "burning = True",
    "burning = False",
]
SHOWN = 2
BLINK, FIRE, WATER = 2, 3, 4  # the cells


def run(page, cell):
    """Run a cell, and wait until it has run."""
    one = page.locator(".jp-CodeCell").nth(cell)
    before = one.locator(".jp-InputPrompt").inner_text()
    one.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "([one, before]) => ![before, '[*]:'].includes(one.innerText)",
        arg=[one.locator(".jp-InputPrompt").element_handle(), before],
    )


def test_a_widget_that_could_not_begin_begins_when_it_is_clicked(page):
    run(page, BLINK)
    page.locator(".fool.blink").wait_for()
    blink = Widget(page, ".fool.blink")
    assert blink.problem().endswith("the roof is on fire. Click here to try again.")
    run(page, WATER)
    blink.root.locator(".problem").click()
    blink.wait("root.dataset.drawn")
    assert blink.says() == ""


def test_a_player_and_a_wall_say_what_happened_and_go_on(page):
    run(page, WATER)
    for widget, index in [(Player(page), "s.index"), (Widget(page, ".fool.wall"), "s.generations")]:
        widget.focus().press(" ")
        widget.until(f"{index} > 1")
        widget.press(" ")
        widget.until("!s.playing && !root.dataset.busy")
        before = widget.state()
        run(page, FIRE)
        for key in (" ", "ArrowRight" if "index" in before else "s"):
            widget.focus().press(key)
            assert "the roof is on fire" in widget.problem()
            widget.until("!s.playing && !root.dataset.busy")
            assert "the roof is on fire" in widget.says()
        run(page, WATER)
        widget.focus().press(" ")
        widget.until(f"{index} > {before.get('index', before.get('generations'))}")
        widget.until("root.querySelector('.problem').textContent === ''")
