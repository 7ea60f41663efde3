"""The fooling player in a real browser: mouse, keyboard, typing, upload; what is drawn is what Python has."""

import io

import pytest
from PIL import Image

from browsing import chromium, open_notebook, served

CELL = """
import torch
from fooling_utils import Classifier, widgets

class Channels(torch.nn.Module):
    def forward(self, images):
        return 30 * images.mean((2, 3))

model = Classifier(Channels().eval(), ["red robin", "green frog", "blue whale"], (3, 16, 16))
presets = [{"title": "coffee, green", "picture": "coffee", "target": "green frog"},
           {"title": "grey, blue", "picture": "grey", "target": "blue whale", "size": 0.2}]
player = widgets.FoolingPlayer(model, "grey", "red robin", size=0.1, presets=presets)
player
"""
STATE = "() => document.querySelector('.fool.player').player()"
PIXEL = "(figure, [x, y]) => [...figure.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]"


class Player:
    """What a student sees and does."""

    def __init__(self, page):
        self.page, self.root = page, page.locator(".fool.player").first
        self.root.scroll_into_view_if_needed()

    def state(self):
        return self.page.evaluate(STATE)

    def until(self, condition):
        """Wait until a condition on the state `s`, in JavaScript, is true, and return the state."""
        self.page.wait_for_function(f"() => {{ const s = ({STATE})(); return {condition}; }}")
        return self.state()

    def pixel(self, picture, x=3, y=3):
        return self.root.locator("figure").nth(picture).evaluate(PIXEL, [x, y])[:3]

    def says(self):
        return self.root.locator(".problem").text_content()


@pytest.fixture(scope="module", params=["jupyterlab", "notebook"])
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with chromium() as browser, served(folder, [CELL], request.param) as address:
        page = open_notebook(browser, address, request.param, 1, ready=".fool.player[data-drawn]")
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


@pytest.fixture
def player(page):
    """The player at frame 0 of a known start."""
    player = Player(page)
    player.root.focus()
    page.keyboard.press("2")
    page.keyboard.press("r")
    answered = "!document.querySelector('.fool.player').dataset.busy"  # a frame on its way is drawn even after "r"
    at_the_start = "s.settings.picture === 'grey' && s.settings.target === 'blue whale' && s.index === 0 && !s.playing"
    player.until(f"{answered} && {at_the_start}")
    return player


def test_play_stops_at_the_target_and_shows_what_was_found(player):
    assert player.pixel(2) == [128, 128, 128]
    player.root.get_by_role("button", name="play").click()
    state = player.until("!s.playing && s.saved && s.saved.index === s.index")
    assert state["probability"] > 0.99
    red, green, blue = player.pixel(2)
    assert red == green < 128 < blue
    assert player.pixel(0) == [128, 128, 128]
    change = [min(255, max(0, round(127.5 + state["times"] * (value - 128)))) for value in (red, green, blue)]
    assert [abs(a - b) <= 1 for a, b in zip(player.pixel(1), change, strict=True)] == [True] * 3
    text = player.root.inner_text()
    assert f"{state['rms']:.2f} grey levels" in text
    assert "✓ blue whale" in text
    assert player.root.locator(".bars .target").inner_text() == "blue whale"


def test_everything_works_with_the_keyboard_alone(player):
    keys = player.page.keyboard
    keys.press("ArrowRight")
    player.until("s.index === 1 && s.saved && s.saved.index === 1")
    keys.press("ArrowRight")
    player.until("s.index === 2")
    times = player.state()["times"]
    keys.press("ArrowUp")
    assert player.state()["times"] > times
    assert f"change × {player.state()['times']}" in player.root.inner_text()
    keys.press("ArrowDown")
    assert player.state()["times"] == times
    keys.press("r")
    player.until("s.index === 0")
    keys.press("1")
    player.until("s.settings.picture === 'coffee' && !s.playing && s.probability > 0.99")
    keys.press("/")
    keys.type("rob")
    keys.press("Enter")
    player.until("s.settings.target === 'red robin' && s.index === 0")
    keys.press(" ")
    player.until("s.index > 1")
    assert player.root.locator("button[aria-pressed=true]").inner_text().startswith("1")


def test_a_target_is_found_by_any_part_of_its_name(player):
    player.root.get_by_role("combobox", name="target").fill("frog")
    found = player.root.get_by_role("listbox").get_by_role("option")
    assert found.all_inner_texts() == ["green frog"]
    found.click()
    player.until("s.settings.target === 'green frog'")
    box = player.root.get_by_role("combobox", name="target")
    box.fill("no such name")
    assert "nothing is called" in player.root.get_by_role("listbox").inner_text()
    box.press("Escape")
    assert box.input_value() == "green frog"


def test_settings_are_chosen_with_the_mouse(player):
    player.root.get_by_label("method").select_option("Adam")
    player.until("s.settings.method === 'Adam' && s.index === 0")
    player.root.get_by_label("picture", exact=True).select_option("noise")
    player.until("s.settings.picture === 'noise'")
    assert len({tuple(player.pixel(0, x, 0)) for x in range(16)}) > 8


def upload(player, name, content):
    player.root.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "image/png", "buffer": content}]
    )


def red_picture():
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (255, 0, 0)).save(file, format="PNG")
    return file.getvalue()


def test_a_picture_is_uploaded(player):
    upload(player, "red.png", red_picture())
    player.until("s.settings.picture === 'red.png' && s.settings.own === 'red robin'")
    assert player.pixel(0) == [255, 0, 0]
    assert player.says() == ""


@pytest.mark.parametrize(
    ("content", "message"), [(b"no picture", "no picture that can be read"), (b"0" * 8_000_001, "8 MB is the most")]
)
def test_a_bad_upload_is_explained(player, content, message):
    upload(player, "bad.png", content)
    player.page.wait_for_function("document.querySelector('.fool .problem').textContent")
    assert message in player.says()
    player.page.keyboard.press("ArrowRight")
    player.root.focus()
    player.page.keyboard.press("ArrowRight")
    player.until("s.index > 0")
    assert player.says() == ""


def test_a_private_address_is_refused(player):
    box = player.root.get_by_label("address of a picture")
    box.fill("http://127.0.0.1/a.png")
    box.press("Enter")
    player.page.wait_for_function("document.querySelector('.fool .problem').textContent")
    assert "private network" in player.says()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(player, theme):
    """The words must differ from what is behind them by the 4.5 : 1 of the accessibility guidelines."""
    ink, paper = {"light": ("#111", "#fff"), "dark": ("#f2f2f2", "#111")}[theme]
    style = f"--fool-ink: {ink}; --fool-paper: {paper}; --fool-soft: {'#eee' if theme == 'light' else '#2a2a2a'}"
    player.root.evaluate("(root, style) => { root.style.cssText = style; }", style)
    colours = player.root.get_by_role("button", name="rewind").evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    )
    player.root.evaluate("root => { root.style.cssText = ''; }")
    light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 4.5


def luminance(colour):
    """Relative luminance of "rgb(r, g, b)", from 0 for black to 1. Source: WCAG 2.1."""
    values = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
