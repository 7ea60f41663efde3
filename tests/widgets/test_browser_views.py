"""Two views of one widget, in the same page: what one does, the other shows."""

import pytest

from driving import Widget

START = """
from torch import rand
from fooling_utils import Classifier, cppn, widgets
from nets import ChannelMeans
m = Classifier(ChannelMeans(30.0).eval(), ["red robin", "green frog", "blue whale"], (3, 16, 16))
pictures = rand(3, 3, 16, 16).split(1)
def twice(widget):
    display(widget)
    display(widget)
"""
MAKES = {
    "player": "widgets.FoolingPlayer(m, 'grey', 'red robin', size=0.1)",
    "priors": "widgets.PriorExplorer(pictures, list('xyz'), {'one': m})",
    "sizes": "widgets.EpsilonExplorer(m, pictures[0], 0.1 * pictures[1], own='red robin', target='blue whale')",
    "guess": "widgets.GuessFirst('Which?', ['a', 'b'], 0)",
    "wall": "widgets.ChampionsWall(m, cppn(16), population=4)",
    "plane-explorer": "widgets.PlaneExplorer.through(m, *pictures, size=17)",
    "plane": "widgets.PlaneCanvas('moons')",
}
CELLS = [f"{START if kind == 'player' else ''}twice({make})" for kind, make in MAKES.items()]


@pytest.fixture
def views(page):
    """Both views of the widget of a kind, begun and idle."""

    def of(kind):
        both = [Widget(page, f".fool.{kind}", place) for place in range(2)]
        for one in both:
            one.wait("root.dataset.answers && !root.dataset.busy")
        return both

    return of


def test_players_show_the_same_frames_and_settings(views):
    one, other = views("player")
    one.focus().press("ArrowRight", "ArrowRight")
    other.until("s.index === 2 && s.saved && s.saved.index === 2")
    assert other.pixel(2) == one.pixel(2)
    one.choose("method", "Adam")
    other.until("s.index === 0 && s.settings.method === 'Adam'")
    assert other.root.get_by_label("method", exact=True).input_value() == "Adam"
    one.focus().press(" ")
    other.until("s.index > 1")
    other.focus().press(" ")  # the second plays now, and the first stands back
    one.until("!s.playing")
    other.press(" ")
    other.until("!s.playing")
    one.idle()
    other.idle()
    assert one.state()["index"] == other.state()["index"]


def test_stops_are_the_same(views):
    one, other = views("priors")
    one.focus().press("End")
    assert other.until("s.place === 2") == one.until("s.place === 2")
    one, other = views("sizes")
    one.focus().press("End")
    state = other.until("s.place === 24 && s.rows.length === 25")
    assert other.root.locator("input[type=range]").input_value() == "24"
    other.focus().press("Home")
    assert one.until("s.place === 0")["row"] == state["rows"][0][1]


def test_a_guess_is_seen_in_both(views):
    one, other = views("guess")
    one.focus().press("2")
    other.until("s.answer && s.guess === 1")
    other.focus().press("r")
    one.until("!s.answer")
    assert one.says() == other.says() == ""


def test_walls_have_the_same_champions(views):
    one, other = views("wall")
    one.focus().press("s")
    other.until("s.generations === 1")
    one.idle()
    other.idle()
    assert other.state()["confidence"] == one.state()["confidence"]
    one.focus().press(" ")
    other.until("s.generations > 2")
    other.focus().press(" ")
    one.until("!s.playing")
    other.press(" ")
    other.until("!s.playing")


def test_explorers_show_the_same_map_and_place(views):
    one, other = views("plane-explorer")
    one.focus().press("ArrowLeft", "ArrowUp")
    one.idle()
    state = one.state()
    assert other.until(f"s.here.x === {state['here']['x']} && s.seen.x === s.here.x")["seen"] == state["seen"]
    one.root.locator("select").first.select_option("coffee")
    other.until("s.chosen[0] === 'coffee' && s.done")
    assert other.state()["regions"] == one.until("s.done")["regions"]


def test_canvases_train_together(views):
    one, other = views("plane")
    one.focus().press("s")
    other.until("s.steps === 1")
    one.press(" ")
    other.until("s.steps > 20")
    other.focus().press(" ")
    one.until("!s.playing")
    other.press(" ")
    other.until("!s.playing")


AWAY = "(root, far) => { root.style.translate = far ? '0 100000px' : ''; }"
SPACE = "root => root.dispatchEvent(new KeyboardEvent('keydown', { key: ' ' }))"
CHOOSE = """root => {
  const list = root.querySelector("select");
  list.value = "clock";
  list.dispatchEvent(new Event("change"));
}"""


@pytest.mark.parametrize(
    ("kind", "begin"), [("player", SPACE), ("wall", SPACE), ("plane", SPACE), ("plane-explorer", CHOOSE)]
)
def test_what_goes_on_by_itself_waits_until_it_is_seen(views, kind, begin):
    both = views(kind)
    for view in both:
        view.root.evaluate(AWAY, True)
    one, _ = both
    one.page.wait_for_timeout(300)
    one.root.evaluate(begin)
    one.page.wait_for_timeout(700)
    answers = one.root.get_attribute("data-answers")
    one.page.wait_for_timeout(700)
    assert one.root.get_attribute("data-answers") == answers
    assert one.root.get_attribute("data-busy") is None
    for view in both:
        view.root.evaluate(AWAY, False)
    one.root.scroll_into_view_if_needed()
    one.wait(f"root.dataset.answers > {answers}")
    if begin == SPACE:
        one.root.evaluate(begin)
        one.until("!s.playing")
    else:
        one.until("s.done && s.chosen[0] === 'clock'")


SIGNS = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓"}
LISTED = (
    "root => [...root.querySelectorAll('.keys dl > div')].map(row => [...row.children].map(one => one.textContent))"
)
OUTSIDE = """root => [...root.querySelectorAll(".keys :is(dt, dd)")].filter(one => {
  const [mine, all] = [one, root].map(element => element.getBoundingClientRect());
  return !mine.width || mine.left < all.left || mine.right > all.right + 1 || mine.bottom > all.bottom + 1
    || one.scrollWidth > one.clientWidth + 1;
}).length"""


@pytest.mark.parametrize("kind", MAKES)
def test_the_keys_unfold_below_the_widget(views, kind):
    one, _ = views(kind)
    told = one.root.evaluate("root => JSON.parse(root.dataset.keys)")
    assert one.root.evaluate(LISTED) == [[SIGNS.get(key, key), what] for key, what in told]
    summary, rows = one.root.locator(".keys summary"), one.root.locator(".keys dt")
    assert rows.count() > 2 and not rows.first.is_visible()
    summary.click()
    assert one.root.evaluate(OUTSIDE) == 0
    one.page.evaluate("document.documentElement.dataset.lecture = 1")
    assert not summary.is_visible()
    one.page.evaluate("delete document.documentElement.dataset.lecture")
    summary.click()
    assert not rows.first.is_visible()
