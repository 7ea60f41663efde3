"""The fooling player without a browser: what the page may ask, and what it is answered."""

import pytest
import torch
from PIL import Image
from torch import nn

from asking import Page, sent, twin
from fooling_utils import (
    Classifier,
    blank,
    linf_ball,
    load_image,
    optimize_pixels,
    round_to_8bit,
    sign_step,
    to_uint8,
    toward,
    unit_step,
)
from fooling_utils.lessons.lesson2 import random_changes
from fooling_utils.widgets import FoolingPlayer
from fooling_utils.widgets.player import LARGEST_UPLOAD, METHODS, PRESETS
from nets import linear, random_images
from pixels import as_file

RED = as_file(Image.new("RGB", (8, 8), "red"))


def player_of(model, **options):
    image = random_images(1)
    return FoolingPlayer(model, "mine", 2, pictures={"mine": image}, **options), image


@pytest.fixture
def page(three_classes):
    """The page of a player of a small network."""
    return Page(player_of(three_classes)[0])


# ------------------------------------------------------------------------------------------------------ the same loop


def test_it_plays_the_loop(three_classes):
    player, image = player_of(three_classes)
    page = Page(player)
    facts, (shown, original) = page.ask("begin")
    assert (shown, original) == (sent(image), sent(image))
    assert facts["settings"] == {
        "picture": "mine",
        "target": three_classes.labels[2],
        "method": "unit step",
        "size": 0.3,
    }
    frames = optimize_pixels(three_classes, image, toward(2), step=unit_step(0.3))
    for frame, asked in zip(frames, ["begin", "frame", "frame", "frame"], strict=False):
        facts, buffers = page.ask(asked)
        assert facts["index"] == frame.index
        assert buffers[0] == sent(frame.image)
        assert facts["probability"] == pytest.approx(frame.probability(2), abs=1e-6)
        assert facts["l2"] == pytest.approx((frame.image - image).norm().item(), abs=1e-6)
        assert facts["rms"] == pytest.approx(255 * (frame.image - image).square().mean().sqrt().item(), abs=1e-4)
        assert facts["largest"] == pytest.approx(255 * (frame.image - image).abs().max().item(), abs=1e-4)
        best = [one["probability"] for one in facts["top"]]
        assert best == sorted(best, reverse=True)
        assert facts["top"][0]["label"] == three_classes.top(frame.image)[0].label


def test_pgd_stays_in_its_ball(three_classes):
    player, image = player_of(three_classes, method="PGD within 8 grey levels", size=4.0)
    page = Page(player)
    for _ in range(5):
        _, (shown,) = page.ask("frame")
    expected = image
    for frame in optimize_pixels(
        three_classes, image, toward(2), step=sign_step(4 / 255), constraint=linf_ball(image, 8 / 255), steps=5
    ):
        expected = frame.image
    assert shown == sent(expected)
    assert 255 * (player.frame.image - image).abs().max() == pytest.approx(8, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_climbs(three_classes, method):
    player, _ = player_of(three_classes, method=method)
    page = Page(player)
    before = player.frame.probability(2)
    for _ in range(10):
        page.ask("frame")
    assert player.frame.probability(2) > before


def test_it_waits_at_the_target_and_goes_on_when_told(three_classes):
    player, _ = player_of(three_classes, until=0.5)
    page = Page(player)
    seen = []
    for _ in range(60):
        facts, buffers = page.ask("frames", count=4, wait=True)
        assert len(buffers) == len(facts["frames"])
        seen += [frame["index"] for frame in facts["frames"]]
    arrived = seen[-1]
    assert seen[:arrived] == list(range(1, arrived + 1))
    assert set(seen[arrived:]) == {arrived}
    assert facts["frames"][0]["probability"] > 0.5
    assert [frame["index"] for frame in page.ask("frames", count=2)[0]["frames"]] == [arrived + 1, arrived + 2]


def test_several_frames_are_those_that_come_one_by_one(three_classes):
    (first, _), (second, _) = player_of(three_classes), player_of(three_classes, size=0.3)
    one, many = Page(first), Page(second)
    singly = [one.ask("frame") for _ in range(4)]
    facts, buffers = many.ask("frames", count=4)
    assert facts["frames"] == [frame for frame, _ in singly]
    assert buffers == [pixels for _, (pixels,) in singly]


@pytest.mark.parametrize("count", [0, 5])
def test_the_page_cannot_ask_for_any_number_of_frames(page, count):
    assert "from 1 to 4" in page.ask("frames", count=count)[0]["error"]


def test_the_picture_saved_as_png_is_judged_for_itself():
    # 100.4 grey levels round down: bright enough for class 1 as floats, not after saving
    model = linear(torch.stack([torch.zeros(48), torch.full((48,), 20.0)]), torch.tensor([0, -20 * 48 * 100.3 / 255]))
    player = FoolingPlayer(model, "mine", 1, pictures={"mine": torch.full((1, 3, 4, 4), 100.4 / 255)})
    page = Page(player)
    assert player.frame.probability(1) > 0.5
    saved = page.ask("saved")[0]["saved"]
    assert (saved["survives"], saved["label"], saved["index"]) == (False, model.labels[0], 0)
    for _ in range(3):
        page.ask("frame")
    assert page.ask("saved")[0]["saved"] | {"probability": 1} == {
        "survives": True, "label": model.labels[1], "index": 3, "probability": 1,
    }  # fmt: skip


def test_random_noise_of_the_same_size_is_the_control(three_classes):
    player, image = player_of(three_classes)
    page = Page(player)
    for _ in range(5):
        before, _ = page.ask("frame")
    facts, (shown,) = page.ask("random")
    noisy = three_classes.clip(image + random_changes(image, (player.frame.image - image).norm()))
    assert shown == sent(noisy) != sent(image)
    assert facts["index"] == 5 and facts["l2"] == pytest.approx((noisy - image).norm().item(), abs=1e-6)
    assert 0.8 * before["l2"] < facts["l2"] <= before["l2"] + 1e-6  # clipping only takes away
    assert facts["top"] == [one._asdict() for one in three_classes.top(noisy, 3)]
    assert facts["probability"] == pytest.approx(three_classes.probabilities(noisy)[0, 2].item(), abs=1e-6)
    assert facts["probability"] < before["probability"]
    assert page.ask("frame")[0]["index"] == 6  # from the last frame, not from the noise


def test_without_a_change_there_is_no_noise_of_its_size(page):
    assert page.error("random").startswith("Nothing has changed yet: play first")


# -------------------------------------------------------------------------------------------------- one frame ahead


def passes(page):
    return page.widget.model.net.backwards[0]


@pytest.fixture
def playing(three_classes):
    """The page of a player that plays: frame 1 is shown, and frame 2 is computed."""
    page = Page(player_of(three_classes)[0])
    page.ask("frames", count=1)
    return page


def test_the_next_frame_is_computed_while_an_answer_travels_and_never_more(page):
    sent_after, send = [], page.widget.send
    page.widget.send = lambda *answer: (sent_after.append(passes(page)), send(*answer))
    before = passes(page)
    for count in (1, 4, 1):
        page.ask("frames", count=count)
    assert [one - before for one in sent_after] == [1, 5, 6]
    assert passes(page) - before == 7
    page.ask("saved")
    page.ask("random")
    page.ask("begin")
    assert passes(page) - before == 7


def test_after_a_step_the_next_frame_waits_for_the_check_of_the_saved_picture(page):
    before = passes(page)
    page.ask("frame")
    assert passes(page) - before == 1
    page.ask("saved")
    assert passes(page) - before == 2


def test_at_the_target_nothing_is_computed_ahead(three_classes):
    page = Page(player_of(three_classes, until=0.5)[0])
    before = passes(page)
    while page.widget.frame.probability(2) <= 0.5:
        page.ask("frames", count=1, wait=True)
    assert passes(page) - before == page.widget.frame.index > 1


def test_nothing_of_the_frame_ahead_is_seen_before_its_turn(playing, three_classes):
    player, (first, second) = playing.widget, _loop(playing.widget, 2)
    assert torch.equal(player.frame.image, first.image)
    assert playing.ask("begin")[1][0] == sent(first.image)
    assert playing.ask("saved")[0]["saved"]["index"] == playing.ask("random")[0]["index"] == 1
    assert playing.ask("frame")[1] == [sent(second.image)]


def _loop(player, count, target=2, rule=None):
    """The frames after the first, as the loop gives them without a player."""
    frames = optimize_pixels(player.model, player.original, toward(target), step=rule or unit_step(0.3), steps=count)
    return list(frames)[1:]


@pytest.mark.parametrize("lecture", [True, False])
def test_in_a_lecture_the_first_frame_waits_for_its_key(three_classes, monkeypatch, lecture):
    if lecture:
        monkeypatch.setenv("FOOLING_NO_TWINS", "1")
    page = Page(player_of(three_classes)[0])
    before = passes(page)
    page.widget._ipython_display_()
    assert passes(page) - before == lecture
    page.ask("start")  # as a preset does that says what is there already
    assert passes(page) - before == 1
    assert page.ask("frames", count=1)[1] == [sent(_loop(page.widget, 1)[0].image)]


@pytest.mark.parametrize(
    ("change", "settings"),
    [({"target": 1}, {"target": 1}), ({"method": "sign step", "size": 2.0}, {"rule": sign_step(2 / 255)}), ({}, {})],
    ids=["target", "method", "rewound"],
)
def test_a_frame_ahead_ends_with_its_settings(playing, change, settings):
    assert playing.ask("start", **change)[0]["index"] == 0
    (facts, (shown,)), (first,) = playing.ask("frames", count=1), _loop(playing.widget, 1, **settings)
    assert facts["frames"][0]["index"] == 1
    assert shown == sent(first.image)


@pytest.mark.parametrize("source", ["upload", "a cell"])
def test_a_frame_ahead_ends_with_its_picture(playing, source):
    if source == "upload":
        playing.ask("upload", RED, name="red.png")
    else:
        playing.widget.start("grey", 2)
    _, (shown,) = playing.ask("frame")
    assert shown == sent(_loop(playing.widget, 1)[0].image)


@pytest.mark.parametrize("error", [RuntimeError("the roof is on fire"), KeyboardInterrupt()])
def test_an_error_in_the_frame_ahead_is_told_with_that_frame(page, monkeypatch, error):
    steady = _loop(page.widget, 3)
    forward, asked = type(page.widget.model.net).forward, []

    def fails_once(net, images):
        asked.append(images)
        if len(asked) == 2:
            raise error
        return forward(net, images)

    monkeypatch.setattr(type(page.widget.model.net), "forward", fails_once)
    facts, (shown,) = page.ask("frames", count=1)
    assert (facts["frames"][0]["index"], shown, len(asked)) == (1, sent(steady[0].image), 2)
    assert page.ask("saved")[0]["saved"]["index"] == 1
    words = "Interrupted." if isinstance(error, KeyboardInterrupt) else "the roof is on fire"
    assert words in page.error("frames", count=1)
    for expected in steady[1:]:
        facts, (shown,) = page.ask("frames", count=1)
        assert (facts["frames"][0]["index"], shown) == (expected.index, sent(expected.image))


# ----------------------------------------------------------------------------------------------- settings and pictures


def test_settings_start_again_and_the_others_stay(page, three_classes):
    page.ask("frame")
    facts, (shown, original) = page.ask("start", target=three_classes.labels[0])
    assert facts["settings"] == {
        "picture": "mine",
        "target": three_classes.labels[0],
        "method": "unit step",
        "size": 0.3,
    }
    assert facts["index"] == 0
    assert shown == original
    facts, _ = page.ask("start", method="Adam")
    assert facts["settings"]["size"] == METHODS["Adam"].size
    assert facts["settings"]["target"] == three_classes.labels[0]
    assert page.ask("start", size=0.5)[0]["settings"]["size"] == 0.5


def test_grey_noise_and_the_built_in_pictures_can_be_chosen(page):
    assert page.ask("start", picture="grey")[1][1] == sent(blank(0.5, size=4))
    assert page.ask("start", picture="coffee")[1][1] == sent(load_image("coffee", 4))
    noise = page.ask("start", picture="noise")[1][1]
    assert noise == page.ask("start", picture="noise")[1][1]
    assert len(set(noise)) > 20
    assert {"mine", "grey", "noise", "coffee"} <= set(page.widget.picture_names)


def test_an_upload_becomes_a_picture(page):
    facts, buffers = page.ask("upload", RED, name="hand.png")
    assert facts["settings"]["picture"] == "hand.png"
    assert "hand.png" in facts["pictures"]
    assert buffers[1] == bytes([255, 0, 0]) * 16


def test_an_upload_never_replaces_a_built_in_picture(page):
    for name in ("coffee", "mine", "noise"):
        assert page.ask("upload", RED, name=name)[0]["settings"]["picture"] == f"my {name}"
    assert page.ask("start", picture="coffee")[1][1] == sent(load_image("coffee", 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture at all", "not a picture that can be read"),
        (b"", "not a picture that can be read"),
        (RED[:45], "damaged or cut short"),
        (b"0" * (LARGEST_UPLOAD + 1), "the limit is 8 MB"),
    ],
    ids=["text", "nothing", "cut short", "too large"],
)
def test_a_bad_upload_says_why_and_loses_nothing(page, content, message):
    page.ask("frame")
    answer, _ = page.ask("upload", content, name="bad.png")
    assert message in answer["error"]
    assert page.ask("frame")[0]["index"] == 2


def test_a_picture_that_would_fill_the_memory_is_refused(page, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    answer, _ = page.ask("upload", as_file(Image.new("RGB", (100, 100))), name="bomb.png")
    assert "too large to open safely" in answer["error"]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/a.png", "http://localhost/a.png", "file:///etc/hosts", "a.png"]
)
def test_an_address_of_this_machine_is_refused(page, address):
    answer, _ = page.ask("address", address=address)
    assert "error" in answer
    assert "private network" in answer["error"] or "must begin with http" in answer["error"]


@pytest.mark.parametrize("name", ["/etc/hostname", "../README.md", "http://127.0.0.1/", ""])
def test_the_page_cannot_ask_for_files(page, name):
    answer, _ = page.ask("start", picture=name)
    assert "no picture is called" in answer["error"].lower()


# ------------------------------------------------------------------------------------------------- errors and re-runs


@pytest.mark.parametrize(
    ("question", "values", "message"),
    [
        ("start", {"target": "no such class"}, "o class is called"),
        ("start", {"method": "magic"}, "choose from unit step"),
        ("start", {"size": -1}, "-1"),
        ("start", {"size": "wide"}, "wide"),
        ("frame", {"unknown": 1}, "unknown"),
        ("nothing", {}, "the page asked 'nothing', which has no answer: reload the page"),
        (None, {}, "has no answer"),
        ("__init__", {}, "has no answer"),
    ],
)
def test_an_error_is_an_answer_and_loses_nothing(page, question, values, message):
    page.ask("frame")
    assert message.lower() in page.ask(question, **values)[0]["error"].lower()
    assert page.ask("frame")[0]["index"] == 2


def test_an_error_in_a_callback_is_shown(three_classes, monkeypatch):
    player, _ = player_of(three_classes)
    monkeypatch.setattr(player, "step", lambda: 1 / 0)
    assert "ZeroDivisionError: division by zero" in Page(player).ask("frame")[0]["error"]


@pytest.mark.parametrize("question", [None, "frame", 3, [], {"ask": ["frame"]}, {"ask": "frame", "with": 3}])
def test_a_question_of_any_shape_is_answered(three_classes, question):
    player, _ = player_of(three_classes)
    answers = []
    player.send = lambda content, buffers=None: answers.append(content)
    player._receive(player, question, None)
    assert "error" in answers[0]


def test_the_state_survives_a_second_run_of_the_cell(three_classes, cell):
    cell()
    picture = random_images(1)
    first = Page(FoolingPlayer(three_classes, "mine", 2, pictures={"mine": picture}))
    first.ask("upload", RED, name="hand.png")
    first.ask("start", target=three_classes.labels[0])
    first.ask("frame")
    cell()
    second = Page(FoolingPlayer(three_classes, "mine", 2, pictures={"mine": picture}))
    facts, _ = second.ask("begin")
    assert facts["settings"]["target"] == three_classes.labels[0]
    assert facts["settings"]["picture"] == "hand.png"
    assert facts["index"] == 1
    cell()
    other = Page(FoolingPlayer(three_classes, "mine", 1, pictures={"mine": picture}))
    assert other.ask("begin")[0]["settings"]["target"] == three_classes.labels[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picture": "no such picture"}, "no picture is called 'no such picture'"),
        ({"target": 7}, "there is no class 7"),
        ({"method": "magic"}, "no method is called 'magic'"),
        ({"size": 0.0}, "0"),
        ({"pictures": {"large": torch.zeros(1, 3, 8, 8)}}, "(1, 3, 8, 8)"),
    ],
)
def test_the_arguments_are_checked_at_the_call(three_classes, options, message):
    with pytest.raises(ValueError) as error:
        FoolingPlayer(three_classes, **{"picture": "coffee", "target": 0, **options})
    assert message in str(error.value)


def test_classes_of_one_name_can_be_told_apart():
    twice = linear(torch.randn(3, 48), labels=["crane", "crane", "pin"])
    page = Page(FoolingPlayer(twice, "coffee", 1))
    facts, _ = page.ask("begin")
    assert facts["settings"]["target"] == "crane (1)"
    assert page.ask("start", target="crane (0)")[0]["settings"]["target"] == "crane (0)"


def test_the_presets_exist(model):
    player = FoolingPlayer(model)
    page = Page(player)
    for preset in PRESETS:
        settings = {name: value for name, value in preset.items() if name != "title"}
        facts, _ = page.ask("start", **settings)
        assert facts["settings"].items() >= settings.items()


def test_a_reader_without_a_kernel_sees_a_picture(three_classes):
    player, _ = player_of(three_classes)
    picture = twin(player)
    assert min(picture.shape[:2]) > 200
    assert picture[0, 0].tolist() == [255, 255, 255]


def test_another_picture_under_the_same_name_is_another_start(cell):
    model = linear(torch.eye(3, 3 * 16 * 16), shape=(3, 16, 16))
    dark, bright = blank(0.2, size=16), blank(0.8, size=16)
    cell()
    FoolingPlayer(model, "mine", 1, pictures={"mine": dark}).step()
    cell()
    again = FoolingPlayer(model, "mine", 1, pictures={"mine": dark})
    assert again.frame.index == 1
    cell()
    other = FoolingPlayer(model, "mine", 1, pictures={"mine": bright})
    assert other.frame.index == 0 and torch.equal(other.original, bright)


def test_a_network_for_grey_images_plays_in_grey():
    net = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval(), ["a", "b", "c"], (1, 8, 8))
    mine = torch.rand(1, 1, 8, 8)
    player = FoolingPlayer(net, "mine", "b", pictures={"mine": mine})
    levels = to_uint8(mine)[0, 0].numpy()
    _, (shown, original) = player.answer_begin()
    assert shown == original == levels.repeat(3).tobytes()
    for picture in ("cat", "noise", "grey"):
        player.start(picture, "c")
        assert player.original.shape == (1, 1, 8, 8)
    assert torch.equal(player.original, round_to_8bit(torch.full((1, 1, 8, 8), 0.5)))
