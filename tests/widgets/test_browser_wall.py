"""The wall of champions and the guesses in a real browser: mouse, keyboard, typing, both themes, a projector's size."""

import base64

import pytest

from driving import Widget

SECRET = "the tail gives it away"
WALL = """
import torch
import fooling_utils as fu
from fooling_utils.widgets.wall import ChampionsWall
from fooling_utils.widgets.guess import GuessFirst

class Colours(torch.nn.Module):  # 60 classes, each a colour that it likes
    def __init__(self):
        super().__init__()
        self.likes = torch.nn.Parameter(torch.rand(60, 3, generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        if broken:
            raise ValueError("the network is on fire")
        return -40 * ((images.mean((2, 3))[:, None] - self.likes) ** 2).sum(2)

broken = False
names = [f"colour {k}" for k in range(58)] + ["red robin", "blue whale"]
model, second = (fu.Classifier(Colours().eval(), names, (3, 32, 32)) for _ in range(2))
presets = [{"title": "most confident", "best": 1}, {"title": "second agrees", "agree": 1},
           {"title": "robin", "label": "red robin"}, {"title": "go", "play": True}]
wall = ChampionsWall(model, fu.cppn(32), second=second, presets=presets)
wall
"""
GUESSES = f"""
import base64
secret = base64.b64decode({base64.b64encode(SECRET.encode()).decode()!r}).decode()
pictures = [fu.blank(shade, size=80) for shade in (0.2, 0.5, 0.8)]
GuessFirst.which("Which one is it?", pictures, len(secret) % 3, explanation=secret)
"""
TEXTS = """GuessFirst.one_of("Which animal?", ["cat", "dog", "frog"], 2, pictures=pictures[:1])"""
NUMBER = """GuessFirst.number("How much?", 0.1, 100, 10, unit="grey levels", log=True, explanation="ten")"""

COLUMNS, ROWS = 10, 6  # of a wall of 60 classes
THUMBNAIL = """(canvas, [place, columns, size]) => [...canvas.getContext('2d').getImageData(
    (place % columns) * size, Math.floor(place / columns) * size, size, size).data]"""
CELLS, SHOWN = [WALL, GUESSES, TEXTS, NUMBER, "broken = False"], 4


@pytest.fixture
def wall(page):
    wall = Widget(page, ".fool.wall").focus()
    if not wall.state()["generations"]:
        wall.press("s")
    wall.until("s.generations > 0 && !s.playing && s.looked")
    wall.idle()
    return wall


def cell(wall, place):
    """The pixels (26 x 26 RGB) of a thumbnail with its edge, as the page has drawn them."""
    values = wall.root.locator(".ground canvas").evaluate(THUMBNAIL, [place, COLUMNS, 26])
    return [values[k : k + 3] for k in range(0, len(values), 4)]


def test_it_plays_until_it_is_paused(wall):
    before = wall.state()["generations"]
    wall.root.get_by_role("button", name="play").click()
    wall.until(f"s.generations > {before + 2}")
    wall.root.get_by_role("button", name="pause").click()
    state = wall.until("!s.playing")
    wall.idle()
    stopped = wall.state()["generations"]
    wall.page.wait_for_timeout(700)
    assert wall.state()["generations"] == stopped >= state["generations"]
    text = wall.root.locator(".counts").inner_text()
    assert f"generation {stopped}" in text and f"{16 * stopped} evaluations" in text
    assert f"over 50 %: {sum(share > 0.5 for share in wall.state()['confidence'])}" in text


def test_a_later_choice_ends_the_search_for_a_champion_that_both_know(wall):
    best = max(range(60), key=lambda k: wall.state()["confidence"][k])  # which is what both know, too
    wall.press("1")
    wall.until(f"s.place === {best}")
    wall.idle()
    key, chosen = ("ArrowRight", best + 1) if best < 59 else ("ArrowLeft", best - 1)
    wall.send("2", key)
    wall.idle()
    wall.page.wait_for_timeout(500)
    assert wall.state()["place"] == chosen
    assert "was asked about" not in wall.root.inner_text()


def test_each_press_is_a_generation(wall):
    before = wall.state()["generations"]
    wall.send("s", "s", "s", "s")
    wall.until(f"s.generations === {before + 4}")
    wall.idle()
    assert wall.state()["generations"] == before + 4


def test_the_brightness_is_the_confidence(wall):
    shares = wall.state()["confidence"]
    assert min(shares) >= 0
    wall.press("3")
    wall.until("s.looked.label === 'red robin' && s.looked.place === s.place")
    for place in (0, 30, 58, 59):
        inner = [max(pixel) for k, pixel in enumerate(cell(wall, place)) if 0 < k % 26 < 25 and 26 < k < 650]
        assert max(inner) <= 255 * shares[place] + 1 or shares[place] >= 0.99
    looked = wall.state()["looked"]["opinions"][0]["own"]
    assert looked["probability"] == pytest.approx(shares[58], abs=1e-4)


def test_a_click_shows_the_champion_large(wall):
    box = wall.root.locator(".ground").bounding_box()
    x, y = (23 % COLUMNS + 0.5) * box["width"] / COLUMNS, (23 // COLUMNS + 0.5) * box["height"] / ROWS
    wall.root.locator(".ground").click(position={"x": x, "y": y})
    state = wall.until("s.looked.place === 23")
    assert state["place"] == 23
    assert "colour 23" in wall.root.locator("figcaption").inner_text()
    headings = wall.root.locator(".bars .heading").all_inner_texts()
    assert headings == ["this network", "a second network"]
    assert "colour 23" in wall.root.locator(".bars .target").first.inner_text()
    assert wall.root.locator("figure canvas").evaluate("canvas => canvas.width") == 32


def test_everything_works_with_the_keyboard_alone(wall):
    wall.press("3")
    wall.until("s.looked.place === 58 && s.place === 58")
    wall.press("ArrowUp", "ArrowLeft")
    assert wall.state()["place"] == 47
    assert wall.root.locator(".here").inner_text().endswith("% colour 47")
    assert wall.heard().endswith("% colour 47")
    assert wall.state()["looked"]["place"] == 58
    wall.press("Enter")
    wall.until("s.looked.place === 47")
    wall.press("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown")
    assert wall.state()["place"] == 58  # there is nothing below
    shares = wall.state()["confidence"]
    order = sorted(range(60), key=lambda k: -shares[k])
    wall.press("1")
    wall.until(f"s.looked.place === {order[0]}")
    wall.press("n")
    wall.until(f"s.looked.place === {order[1]}")
    before = wall.state()["generations"]
    wall.press("s")
    wall.until(f"s.generations === {before + 1}")
    wall.press("4")
    wall.until(f"s.playing && s.generations > {before + 2}")
    wall.press(" ")
    wall.until("!s.playing")
    wall.idle()
    wall.press("2")
    wall.idle()
    shares = wall.state()["confidence"]
    wall.until(f"s.looked.place === {max(range(60), key=lambda k: shares[k])}")  # both networks are the same


def test_a_class_is_found_by_its_name(wall):
    wall.press("/", *"whale", "Enter")
    wall.until("s.looked.place === 59 && s.place === 59")
    before = wall.state()["generations"]
    wall.press("s")  # the keys are the wall's again
    wall.until(f"s.generations === {before + 1}")


def test_an_error_of_the_network_is_shown_and_play_stops(wall, page):
    code = page.locator(".jp-CodeCell .cm-content").nth(4)
    code.fill("broken = True")
    code.press("Control+Enter")
    wall.focus().press(" ")
    assert "network is on fire" in wall.problem()
    wall.until("!s.playing")
    code.fill("broken = False")
    code.press("Control+Enter")
    wall.root.focus()
    before = wall.state()["generations"]
    wall.press("s")
    wall.until(f"s.generations === {before + 1}")
    wall.idle()
    assert wall.says() == ""


# -------------------------------------------------------------------------------------------------------- the guesses


def opened(page, place):
    """A guess of which nobody knows the answer yet."""
    widget = Widget(page, ".fool.guess", place).focus()
    widget.press("r")
    widget.until("!s.answer")
    return widget


def test_the_answer_is_nowhere_in_the_page_before_the_commitment(page):
    widget = opened(page, 0)
    assert SECRET not in page.content()
    everything = widget.root.evaluate("root => JSON.stringify(root.guess()) + root.outerHTML")
    assert SECRET not in everything
    widget.root.get_by_role("button", name="2 B").click()
    state = widget.until("s.answer")
    assert widget.root.locator(".explanation").inner_text() == SECRET
    assert state["guess"] == 1 and state["answer"]["value"] == len(SECRET) % 3
    verdict = widget.root.locator(".verdict").inner_text()
    assert verdict.startswith("✓ Right: B" if state["right"] else "✗ Not quite: you said B")
    assert widget.heard().startswith(verdict)
    assert widget.root.get_by_role("button", name="1 A").is_disabled()
    widget.press("3")
    page.wait_for_timeout(300)
    assert widget.state()["guess"] == 1 and widget.says() == ""
    widget.press("r")
    widget.until("!s.answer")
    assert SECRET not in page.content()


def test_pictures_are_drawn_pixel_by_pixel(page):
    widget = opened(page, 0)
    shades = widget.root.locator("figure canvas").evaluate_all(
        "all => all.map(c => [c.width, ...c.getContext('2d').getImageData(40, 40, 1, 1).data])"
    )
    assert [shade[:4] for shade in shades] == [[80, 51, 51, 51], [80, 128, 128, 128], [80, 204, 204, 204]]


def test_a_number_names_the_powers_of_ten_where_the_slider_has_them(page):
    slider = Widget(page, ".fool.guess", 2).root.locator(".scale")
    marks = slider.locator("span").all()
    assert [mark.inner_text() for mark in marks] == ["0.1", "1", "10", "100"]
    box = slider.locator("input").bounding_box()
    for share, mark in zip((0, 1 / 3, 2 / 3, 1), marks, strict=True):
        mark = mark.bounding_box()
        thumb = box["x"] + 8 + share * (box["width"] - 16)  # where the middle of the thumb is
        assert mark["x"] + mark["width"] / 2 == pytest.approx(thumb, abs=2)
        assert mark["y"] >= box["y"] + box["height"] - 2


def test_a_hurried_reader_commits_once(page):
    widget = opened(page, 1)
    widget.send("2", "2", "3", "a", "r")  # before Python has answered the first
    assert widget.until("s.answer")["guess"] == 1
    widget.idle()
    assert widget.state()["guess"] == 1 and widget.says() == ""
    widget.send("r", "r")
    widget.until("!s.answer")


def test_the_tally_is_the_same_in_every_guess(page):
    for place in range(3):
        opened(page, place)
    first, texts, number = (Widget(page, ".fool.guess", place) for place in range(3))
    texts.focus().press("3")
    texts.until("s.right === true")
    first.until("s.score.asked === 1 && s.score.right === 1")
    assert "1 of 1 right so far" in first.root.inner_text()
    first.focus().press("a")  # is not counted
    first.until("s.answer && s.guess === undefined")
    assert first.root.locator(".verdict").inner_text().startswith("The answer: ")
    number.focus().press("Home", "ArrowLeft", "Enter")
    number.until("s.right === false")
    texts.until("s.score.asked === 2 && s.score.right === 1")
    number.press("r")
    texts.until("s.score.asked === 1")


def test_a_number_is_chosen_and_shown_beside_the_answer(page):
    widget = opened(page, 2)
    widget.root.get_by_label("your guess").evaluate("e => { e.value = 60; e.dispatchEvent(new Event('input')); }")
    assert "6.3 grey levels" in widget.root.inner_text()
    widget.press("ArrowRight", "ArrowRight", "ArrowRight")
    assert "9.5 grey levels" in widget.root.inner_text()
    widget.root.get_by_role("button", name="commit").click()
    state = widget.until("s.answer")
    assert state["guess"] == 9.5 and state["right"] is True
    words = widget.root.locator("svg text").all_text_contents()
    assert {"answer: 10", "your guess: 9.5", "0.1 grey levels", "100 grey levels"} <= set(words)
    places = {kind: widget.root.locator(f"svg .{kind}").bounding_box() for kind in ("near", "true", "yours")}
    middle = {kind: box["x"] + box["width"] / 2 for kind, box in places.items()}
    assert middle["near"] == pytest.approx(middle["true"], abs=2)
    assert 2 < middle["true"] - middle["yours"] < 10


def test_the_focus_stays_on_the_widget(page):
    widget = opened(page, 1)
    widget.root.get_by_role("button", name="dog").focus()
    widget.press("Enter")
    widget.until("s.guess === 1")
    assert widget.root.evaluate("root => document.activeElement === root")
    widget.press("r")
    widget.until("!s.answer")
    assert widget.heard() == ""
    widget.press("3")
    widget.until("s.guess === 2 && s.right")
