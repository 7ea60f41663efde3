"""The fooling player in a real browser: mouse, keyboard, typing, upload; what is drawn is what Python has."""

import numpy as np
import pytest
from PIL import Image

from driving import PLAYER, Player, give
from pixels import as_file

CELLS = [PLAYER]


@pytest.fixture
def player(page):
    """The player at frame 0 of a known start."""
    player = Player(page).focus()
    player.press("2", "r")
    at_the_start = "s.settings.picture === 'grey' && s.settings.target === 'blue whale' && s.index === 0 && !s.playing"
    player.until(f"!root.dataset.busy && {at_the_start}")  # a frame on its way is drawn even after "r"
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
    player.press("ArrowRight")
    player.until("s.index === 1 && s.saved && s.saved.index === 1")
    player.press("ArrowRight")
    player.until("s.index === 2")
    times = player.state()["times"]
    player.press("ArrowUp")
    assert player.state()["times"] > times
    assert f"change × {player.state()['times']}" in player.root.inner_text()
    player.press("ArrowDown")
    assert player.state()["times"] == times
    player.press("r")
    player.until("s.index === 0")
    player.press("1")
    player.until("s.settings.picture === 'coffee' && !s.playing && s.probability > 0.99")
    pressed = player.root.locator("button[aria-pressed=true]")
    assert pressed.inner_text().startswith("1")
    player.press("/", "r", "o", "b", "Enter")
    player.until("s.settings.target === 'red robin' && s.index === 0")
    player.press(" ")
    player.until("s.index > 1")
    assert pressed.count() == 0


def test_a_target_is_found_by_any_part_of_its_name(player):
    player.root.get_by_role("combobox", name="target").fill("frog")
    found = player.root.get_by_role("listbox").get_by_role("option")
    assert found.all_inner_texts() == ["green frog"]
    found.click()
    player.until("s.settings.target === 'green frog'")
    box = player.root.get_by_role("combobox", name="target")
    box.fill("no such name")
    assert player.root.locator(".search .none").inner_text() == 'nothing is called "no such name"'
    box.press("Escape")
    assert box.input_value() == "green frog"


def test_settings_are_chosen_with_the_mouse(player):
    step = player.root.locator("label", has_text="step size").locator("output")
    assert step.inner_text() == "0.20 L2"  # the preset's
    player.choose("method", "PGD within 8 grey levels")
    player.until("s.settings.method.startsWith('PGD')")
    assert step.inner_text() == "1.0 grey levels"
    player.choose("method", "Adam")
    player.until("s.settings.method === 'Adam' && s.index === 0")
    assert step.inner_text() == "0.25 grey levels"
    player.choose("picture", "noise")
    player.until("s.settings.picture === 'noise'")
    assert len({tuple(player.pixel(0, x, 0)) for x in range(16)}) > 8


def test_a_picture_is_uploaded(player):
    player.upload("red.png")
    player.until("s.settings.picture === 'red.png' && s.settings.own === 'red robin'")
    assert player.pixel(0) == [255, 0, 0]
    assert player.says() == ""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(player, kind):
    assert give(player.root, kind, f"{kind}.png", as_file(Image.new("RGB", (40, 40), (0, 0, 255))))
    player.until(f"s.settings.picture === '{kind}.png' && s.settings.own === 'blue whale'")
    assert player.pixel(0) == [0, 0, 255]


def test_noise_of_the_same_size_comes_and_goes(player):
    player.press("n")
    assert "Nothing has changed yet" in player.problem()
    player.press("ArrowRight", "ArrowRight")
    player.until("s.index === 2 && s.saved && s.saved.index === 2")
    shown = player.pixel(2)
    player.press("n")
    state = player.until("s.control")
    assert player.caption(2) == "random noise of the same size"
    assert player.caption(1) == f"random noise × {state['times']}"
    assert abs(state["control"]["l2"] - state["l2"]) < 0.01
    assert player.pixel(2) != shown
    player.press("n")
    player.until("!s.control")
    assert player.pixel(2) == shown and player.caption(2) == "result, toward blue whale"
    assert player.caption(1) == f"change × {state['times']}"
    assert player.says() == ""


def test_each_press_counts_however_late_the_answers_come(player):
    player.send(*["ArrowRight"] * 5)
    player.until("s.index === 5 && s.saved && s.saved.index === 5")
    player.press("r")
    player.until("s.index === 0")
    player.send("ArrowRight", "ArrowRight", "n")
    assert player.until("s.control")["index"] == 2
    assert player.says() == ""
    player.send("n", "n", "n", "n")  # back, noise, back before the noise is there, noise
    player.idle()
    player.until("s.control")
    player.send("n", "n", "n")
    player.idle()
    assert not player.state()["control"] and player.caption(2) == "result, toward blue whale"


def test_after_the_mouse_the_keys_are_the_players_again(player):
    player.button("one step").click()
    player.until("s.index === 1 && s.saved")
    player.press(" ")
    player.until("s.index > 2")
    player.button("rewind").focus()
    player.press(" ")  # by the keyboard, a button is pressed and keeps the focus
    player.until("s.index === 0")
    assert player.root.evaluate("() => document.activeElement.textContent") == "rewind"


def test_a_key_that_is_held_down_goes_no_further_than_python_can_answer(player):
    player.send(*["ArrowRight"] * 30, held=True)
    player.until("s.index > 0")
    player.idle()
    assert 1 <= player.state()["index"] <= 2


def test_the_result_is_saved_to_the_last_bit_and_opens_again(player, tmp_path):
    player.press("ArrowRight", "ArrowRight")
    player.until("s.index === 2")
    with player.page.expect_download() as download:
        player.press("s")
    path = tmp_path / download.value.suggested_filename
    assert path.name == f"grey as {player.state()['top'][0]['label']}.png"
    download.value.save_as(path)
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (16, 16, 3)
    for x, y in ((0, 0), (15, 0), (3, 9)):
        assert pixels[y, x].tolist() == player.pixel(2, x, y)
    player.upload(path.name, path.read_bytes())
    player.until(f"s.settings.picture === {path.name!r}")
    assert player.pixel(0, 3, 9) == pixels[9, 3].tolist()


@pytest.mark.parametrize(
    ("content", "message"), [(b"no picture", "not a picture that can be read"), (b"0" * 8_000_001, "the limit is 8 MB")]
)
def test_a_bad_upload_is_explained(player, content, message):
    player.upload("bad.png", content)
    assert message in player.problem()
    player.press("ArrowRight")
    player.focus().press("ArrowRight")
    player.until("s.index > 0")
    assert player.says() == ""


def test_a_private_address_is_refused(player):
    box = player.root.get_by_label("address of a picture")
    box.fill("http://127.0.0.1/a.png")
    box.press("Enter")
    assert "private network" in player.problem()
