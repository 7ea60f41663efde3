"""The blink comparator, the epsilon and the prior explorer in a real browser: keys, mouse, and what is drawn."""

import math
from itertools import pairwise

import pytest

from driving import Widget
from fooling_utils.widgets import forget
from pixels import levels

SETUP = """
import torch
from fooling_utils import Classifier
from fooling_utils.widgets.blink import BlinkComparator
from fooling_utils.widgets.stops import EpsilonExplorer, PriorExplorer
from nets import ChannelMeans

names = ["red robin", "flat-coated retriever", "blue whale"]
model, second = (Classifier(ChannelMeans(factor).eval(), names, (3, 16, 16)) for factor in (90.0, -20.0))

def colour(*levels):
    return (torch.tensor(levels) / 255)[None, :, None, None].expand(1, 3, 16, 16).contiguous()

original, fooled = colour(120.0, 128.0, 140.0), colour(150.0, 128.0, 139.0)
fooled[0, :, 3, 5] = torch.tensor([129.0, 133.0, 140.0]) / 255
wide = torch.rand(1, 3, 8, 24, generator=torch.Generator().manual_seed(0))
images, titles = [colour(200.0, 100.0, 50.0), wide, colour(0.0, 0.0, 9.0)], ["waves: red", "noise\\nwide", "dark"]
"""
WIDGETS = {
    "blink": "BlinkComparator(original, fooled, model=model, rate=1)",
    "sizes": "EpsilonExplorer(model, original, fooled - original, target='red robin')",
    "priors": "PriorExplorer(images, titles, {'first': model, 'second': second}, label=0)",
    "never": "EpsilonExplorer(model, original, original - fooled, target='red robin')",
}
PLACES = {"blink": ("blink", 0), "sizes": ("sizes", 0), "priors": ("priors", 0), "never": ("sizes", 1)}
FIRST, *REST = WIDGETS.values()
CELLS = [f"{SETUP}\n{FIRST}", *REST]
# left and right end, and height, of each line of the plot's frame: 0 %, 50 %, 100 %, and then the ticks
AXES = """svg => [...svg.querySelectorAll("line.axis")].map(
  (line) => [line.x1, line.x2, line.y1].map((end) => end.baseVal.value))"""


@pytest.fixture(scope="module")
def known():
    """The same widgets in this process, by name: what Python says."""
    forget()
    names = {}
    exec(SETUP, names)
    yield {name: eval(code, names) for name, code in WIDGETS.items()}
    forget()


def widget(page, name):
    kind, place = PLACES[name]
    return Widget(page, f".fool.{kind}", place).focus()


@pytest.fixture
def blink(page):
    """The comparator as it is at first."""
    one = widget(page, "blink")
    state = one.state()
    for on, key in (("hidden", "h"), ("revealed", "a"), ("playing", " ")):
        if state[on]:
            one.press(key)
    one.press("1", "ArrowLeft")
    return one


def at_first_stop(page, name, condition):
    one = widget(page, name)
    one.press("Home")
    one.until(condition)
    return one


@pytest.fixture
def sizes(page):
    """The epsilon explorer at its first stop, with all measured."""
    return at_first_stop(page, "sizes", "s.place === 0 && s.rows.length === 25")


@pytest.fixture
def priors(page):
    """The prior explorer at its first stop."""
    return at_first_stop(page, "priors", "s.place === 0")


# ----------------------------------------------------------------------------------------------------- two in turns


def test_it_stands_still_until_it_is_started(page):
    blink = widget(page, "blink")
    assert not blink.state()["playing"]
    drawn = blink.drawn()
    blink.page.wait_for_timeout(1500)
    assert blink.drawn() == drawn
    assert not blink.state()["playing"]


def test_both_images_are_seen_in_one_place(blink):
    assert (blink.pixel(0), blink.caption(0)) == ([120, 128, 140], "A")
    blink.press("ArrowRight")
    assert (blink.pixel(0), blink.caption(0)) == ([150, 128, 139], "B")
    assert blink.pixel(0, 5, 3) == [129, 133, 140]
    blink.root.get_by_role("button", name="A, show it").click()
    assert (blink.pixel(0), blink.caption(0)) == ([120, 128, 140], "A")
    assert blink.heard() == "A"


def test_it_blinks_at_the_rate_and_never_faster_than_three_a_second(blink):
    blink.root.evaluate("""root => {
      window.flips = [];
      new MutationObserver(() => window.flips.push([performance.now(), root.dataset.shown]))
        .observe(root, { attributeFilter: ["data-drawn"] });
    }""")
    blink.press("5")
    blink.until("s.playing && s.rate === 3")
    blink.page.wait_for_timeout(2500)
    blink.press(" ")
    blink.until("!s.playing")
    flips = blink.page.evaluate("window.flips.slice()")
    assert 4 <= len(flips) <= 8
    assert all(later[0] - before[0] > 320 for before, later in pairwise(flips))
    assert all(later[1] != before[1] for before, later in pairwise(flips))
    blink.page.wait_for_timeout(700)
    assert len(blink.page.evaluate("window.flips")) == len(flips)


def test_a_reader_who_wants_less_motion_gets_less(blink):
    blink.page.emulate_media(reduced_motion="reduce")
    try:
        blink.press("5")
        state = blink.until("s.rate === 3")
        assert (state["playing"], state["pace"]) == (False, 0.5)
        blink.press(" ")
        blink.until("s.playing")
        drawn = blink.drawn()
        blink.page.wait_for_timeout(1500)
        assert blink.drawn() == drawn
        blink.page.wait_for_timeout(1000)
        assert blink.drawn() == drawn + 1
        blink.press(" ")
    finally:
        blink.page.emulate_media(reduced_motion="no-preference")


def test_the_change_is_amplified(blink):
    assert blink.caption(1) == "B − A, × 1"
    for key, times in [("2", 20), ("3", 200), ("1", 1), ("ArrowUp", 1.5), ("ArrowUp", 2), ("ArrowDown", 1.5)]:
        blink.press(key)
        assert blink.state()["times"] == times
        assert blink.caption(1) == f"B − A, × {times}"
        for (x, y), change in {(3, 5): (30, 0, -1), (5, 3): (9, 5, 0)}.items():
            expected = [min(255, max(0, 127.5 + times * part)) for part in change]
            assert all(abs(a - b) <= 0.5 for a, b in zip(blink.pixel(1, x, y), expected, strict=True))
    assert blink.root.locator("button[aria-pressed=true]").all_inner_texts() == ["A"]


def test_the_sizes_of_the_change_are_told(blink, known):
    facts, _ = known["blink"].answer_start()
    text = blink.root.inner_text()
    assert f"{facts['rms']:.2f} grey levels" in text
    assert f"{facts['largest']:.0f} grey levels" in text
    assert f"{facts['l2']:.2f}" in text


def test_the_letter_is_hidden_for_a_vote_and_nothing_tells(blink):
    seen = set()
    for _ in range(20):
        blink.press("h")
        assert (blink.caption(0), blink.root.get_attribute("data-shown"), blink.heard()) == (
            "?",
            "?",
            "the letter is hidden",
        )
        assert blink.root.locator("[aria-pressed=true]").count() == 1  # the preset
        assert blink.root.locator("figure canvas").first.get_attribute("aria-label") == "?"
        shown = blink.state()["shown"]
        assert blink.pixel(0)[0] == {"A": 120, "B": 150}[shown]
        seen.add(shown)
        blink.press("h")
        assert blink.caption(0) == shown
    assert seen == {"A", "B"}


def test_the_answer_is_revealed(blink, known):
    tops = known["blink"].answer_start()[0]["top"]
    assert "blue whale" not in blink.root.inner_text()
    blink.press("a")
    text = blink.root.inner_text()
    for letter, top in zip("AB", tops, strict=True):
        assert f"{letter}: " in text
        assert f"{top['label']} {100 * top['probability']:.1f} %" in text
    assert "A: the original blue whale" in blink.heard()
    blink.button("hide the answer").click()
    assert "blue whale" not in blink.root.inner_text()


# ---------------------------------------------------------------------------------------------- how large a change?


def test_the_images_of_a_stop_are_those_that_were_classified(sizes, known):
    for place in (0, 7, 12, 24):
        sizes.root.get_by_role("slider").fill(str(place))
        state = sizes.until(f"s.place === {place}")
        for picture, way in enumerate(("change", "noise")):
            row = known["sizes"].answer_stop(place)[0]["row"][way]
            for x, y in ((3, 5), (5, 3), (0, 15)):
                assert sizes.pixel(picture, x, y) == levels(known["sizes"].image_at(place, way))[y, x].tolist()
            assert state["row"][way]["probability"] == pytest.approx(row["probability"], abs=1e-6)
            shown = sizes.root.locator(".shown").nth(picture).inner_text()
            assert row["label"] in shown
            assert f"{100 * row['probability']:.1f} %" in shown
    sizes.root.get_by_role("slider").fill("12")
    sizes.until("s.place === 12")
    assert sizes.pixel(0, 5, 3) == [129, 133, 140]


def test_the_curves_are_the_table(sizes, known):
    table = known["sizes"].table()
    plot = sizes.root.locator(".plot > svg")
    (left, right, bottom), (_, _, _), (_, _, top) = plot.evaluate(AXES)[:3]
    largest = known["sizes"].sizes[-1]
    for name, label in (("own", "blue whale"), ("target", "red robin")):
        for way, size in (("change", "size, L2"), ("noise", "size of the noise, L2")):
            points = plot.locator(f".{name}.{way} .curve").get_attribute("points").split()
            assert len(points) == len(table)
            for point, (_, row) in zip(points, table.iterrows(), strict=True):
                x, y = map(float, point.split(","))
                assert x == pytest.approx(left + (right - left) * min(row[size], largest) / largest, abs=0.1)
                assert y == pytest.approx(bottom - (bottom - top) * row[f"{label}, {way}"], abs=0.1)
    legend = sizes.root.locator(".legend").inner_text().split("\n")
    assert legend == ["blue whale, change", "blue whale, noise", "red robin, change", "red robin, noise"]


def test_the_marker_stands_at_the_stop(sizes):
    for place in (0, 5, 24):
        sizes.root.get_by_role("slider").fill(str(place))
        state = sizes.until(f"s.place === {place}")
        plot = sizes.root.locator(".plot > svg")
        here, (left, right, _) = float(plot.locator(".here").get_attribute("x1")), plot.evaluate(AXES)[0]
        size = min(state["row"]["change"]["size"], state["sizes"][-1])
        assert here == pytest.approx(left + (right - left) * size / state["sizes"][-1], abs=0.1)
        output = sizes.root.locator("output").inner_text()
        assert f"L2 {state['row']['change']['size']:.2f}, " in output
        assert f"{state['row']['change']['size'] / state['level']:.2f} grey levels" in output


def test_the_sizes_with_the_keyboard_alone(sizes, known):
    sizes.press("ArrowRight", "ArrowRight", "ArrowRight")
    sizes.until("s.place === 3")
    sizes.press("ArrowLeft")
    sizes.until("s.place === 2")
    sizes.press("End")
    sizes.until("s.place === 24")
    sizes.press("ArrowRight")
    sizes.press("2")
    sizes.until(f"s.place === {known['sizes'].enough()}")
    assert sizes.button("2  just enough").get_attribute("aria-pressed") == "true"
    assert "red robin" in sizes.heard()
    sizes.press("3")
    sizes.until("s.place === 12")
    assert sizes.button("3  the change itself").get_attribute("aria-pressed") == "true"
    sizes.press("ArrowRight")
    sizes.until("s.place === 13")
    assert sizes.root.locator("[aria-pressed=true]").count() == 0
    sizes.press("1")
    sizes.until("s.place === 0")


def test_a_click_into_the_plot_goes_there(sizes):
    state = sizes.state()
    left, right, _ = sizes.root.locator(".plot > svg").evaluate(AXES)[0]
    place = 15
    at = left + (right - left) * state["sizes"][place] / state["sizes"][-1]
    sizes.root.locator(".plot > svg").click(position={"x": at, "y": 60})
    sizes.until(f"s.place === {place}")


def test_where_no_size_is_enough_the_reason_stays_to_be_read(page):
    never = widget(page, "never")
    never.press("2")
    never.problem()
    never.page.wait_for_timeout(500)
    assert "'red robin' is not the top class at any size" in never.says()
    never.press("Home", "ArrowRight")
    never.until("s.place === 1")
    assert never.says() == ""


# ------------------------------------------------------------------------------------- from a full prior to none


def test_every_stop_shows_its_image_and_both_opinions(priors, known):
    for place, key in ((0, "1"), (1, "2"), (2, "3")):
        priors.press(key)
        priors.until(f"s.place === {place}")
        image = known["priors"].images[place]
        size = priors.root.locator("figure canvas").evaluate("canvas => [canvas.width, canvas.height]")
        assert size == [image.shape[3], image.shape[2]]
        for x, y in ((3, 5), (15, 7)):
            assert priors.pixel(0, x, y) == levels(image)[y, x].tolist()
        assert priors.caption(0) == known["priors"].titles[place]
        for judge, expected in zip(priors.root.locator(".bars").all(), known["priors"].answers(place), strict=True):
            assert judge.locator(".heading").inner_text() == expected["name"]
            assert judge.locator(".name").all_inner_texts() == [one["label"] for one in expected["top"]]
            assert judge.locator(".target").inner_text() == "red robin"
            shares = [float(text.strip("<% ")) for text in judge.locator(".share").all_inner_texts()]
            assert shares == pytest.approx([100 * one["probability"] for one in expected["top"]], abs=0.11)
        assert priors.button(f"{key}  {['waves', 'noise', 'dark'][place]}").get_attribute("aria-pressed") == "true"


def test_the_stops_with_slider_and_arrows(priors):
    priors.root.get_by_role("slider").focus()
    priors.press("ArrowRight")
    priors.until("s.place === 1")
    assert priors.root.get_by_role("slider").get_attribute("aria-valuetext") == "noise\nwide"
    priors.press("Escape", "ArrowRight")
    priors.until("s.place === 2")
    assert priors.root.locator("output").inner_text() == "3 of 3"
    assert priors.heard().startswith("dark, first: ")
    priors.press("ArrowRight", "Home")
    priors.until("s.place === 0")


# --------------------------------------------------------------------------------------------------- for all of them


@pytest.mark.parametrize("name", WIDGETS)
def test_every_key_is_told(page, name):
    keys = dict(widget(page, name).root.evaluate("root => JSON.parse(root.dataset.keys)"))
    assert {"ArrowLeft", "ArrowRight", "1", "2"} <= set(keys)
    assert all(keys.values())


def test_a_second_run_of_the_cell_keeps_the_stop(page, sizes):
    sizes.press(*["ArrowRight"] * 5)
    before = sizes.until("s.place === 5")["row"]["change"]["size"]
    sizes.root.evaluate("root => { root.dataset.old = 1; }")
    page.locator(".jp-CodeCell .cm-content").nth(1).click()
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(".fool.sizes[data-place='5']:not([data-old])")
    assert math.isclose(widget(page, "sizes").state()["row"]["change"]["size"], before)
