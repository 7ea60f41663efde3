"""What a page sends may be anything: each widget gives exactly one answer, in words, and goes on."""

import inspect
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from asking import Page
from fooling_utils import blank, cppn, widgets
from fooling_utils.widgets import kit
from nets import random_images, random_linear
from pixels import as_file

RED = as_file(Image.new("RGB", (8, 8), "red"))
HALF = "\ud800.png"  # half of a surrogate pair, as a file may be called


def _player():
    return widgets.FoolingPlayer(random_linear(), "grey", 2)


def _guess():
    return widgets.GuessFirst.number("How much?", 1, 100, 10)


# how each is made, and a question that it answers at any time
MAKES = {
    "player": (_player, "begin"),
    "choice": (lambda: widgets.GuessFirst("Which?", ["a", "b"], 0, pictures=[random_images()]), "begin"),
    "number": (_guess, "begin"),
    "blink": (lambda: widgets.BlinkComparator(*random_images(2).split(1), model=random_linear()), "start"),
    "sizes": (
        lambda: widgets.EpsilonExplorer(random_linear(), random_images(), 0.1 * random_images(), own=0, target=1),
        "begin",
    ),
    "priors": (lambda: widgets.PriorExplorer(random_images(3), list("abc"), {"one": random_linear()}), "begin"),
    "wall": (lambda: widgets.ChampionsWall(random_linear(), cppn(4), population=2), "begin"),
    "explorer": (lambda: widgets.PlaneExplorer.through(random_linear(), *random_images(3).split(1), size=17), "begin"),
    "canvas": (lambda: widgets.PlaneCanvas("empty", hidden=2, depth=1), "begin"),
}
NUMBERS = [0, -1, 2, 7, True, 10**18, 10**400, 0.5, -2.5, float("nan"), float("inf"), 1e308]
TEXTS = ["", "a", "coffee", "ostrich", "/etc/passwd", "http://127.0.0.1/a.png", "file:///etc/hosts", HALF, "x" * 10**4]
DEEP = json.loads("[" * 200 + "]" * 200)
THINGS = [None, [], {}, ["coffee", "cat", "noise"], [HALF], [[1]], {"a": {"b": None}}, DEEP, [0] * 10**4]
ODD = st.sampled_from([*NUMBERS, *TEXTS, *THINGS])


def questions(widget):
    """The arguments of each answer, by the question's name."""
    names = [name for name in dir(widget) if name.startswith("answer_")]
    return {name.removeprefix("answer_"): [*inspect.signature(getattr(widget, name)).parameters] for name in names}


@pytest.mark.parametrize("name", MAKES)
def test_whatever_a_page_sends_gets_one_answer_in_words_and_the_widget_goes_on(name):
    make, right = MAKES[name]
    widget = make()
    page, takes = Page(widget), questions(widget)

    @settings(max_examples=40)
    @given(st.data())
    def sends(data):
        question = data.draw(st.sampled_from(sorted(takes)))
        names = data.draw(st.lists(st.sampled_from([*takes[question], "content", "x", HALF]), unique=True))
        content = data.draw(st.sampled_from([None, b"", b"no picture", RED]))
        message = {"id": "page 7", "ask": question, "with": {one: data.draw(ODD) for one in names}}
        widget._handle_custom_msg(message, [] if content is None else [memoryview(content)])
        ((facts, buffers),) = page.answers
        page.answers.clear()
        json.dumps(facts, allow_nan=False, ensure_ascii=False).encode()
        assert facts["id"] == "page 7" and all(isinstance(one, bytes) for one in buffers)
        assert "Something went wrong" not in facts.get("error", "") and len(facts.get("error", "")) < 5000
        assert "error" not in page.ask(right)[0]

    sends()


@pytest.mark.parametrize("name", MAKES)
def test_every_answer_says_what_it_takes(name):
    for one in dir(widget := MAKES[name][0]()):
        if one.startswith("answer_"):
            for kind, _ in kit._takes(getattr(type(widget), one)).values():
                parts = kit.get_args(kind) or (kind,)
                assert set(parts) <= {str, int, float, bool, bytes, type(None)}


FAULTS = [
    (_player, "upload", {"name": "a", "content": "http://127.0.0.1/a.png"}, "'http://127.0.0.1/a.png' as content"),
    (_player, "upload", {"name": "a", "content": "/etc/hostname"}, "'/etc/hostname' as content"),
    (_player, "upload", {"name": "a"}, "no content with upload"),
    (_player, "upload", {"name": HALF, "content": 3}, r"'\ud800.png' as name"),
    (_player, "start", {"size": float("nan")}, "nan as size"),
    (_player, "start", {"size": "wide"}, "'wide' as size"),
    (_player, "start", {"size": 10**400}, "a number that is too large as size"),
    (_player, "start", {"picture": 3}, "3 as picture"),
    (_player, "start", {"colour": 3}, "'colour', which start does not take"),
    (_player, "frames", {"count": True}, "True as count"),
    (_player, "frames", {"count": 1, "wait": 1}, "1 as wait"),
    (_player, "frames", {}, "no count with frames"),
    (_player, "frame", [1], "[1] with frame"),
    (_player, "random", {"size": 3}, "'size', which random does not take"),
    (_guess, "commit", {"guess": "a unicorn"}, "'a unicorn' as guess"),
    (_guess, "commit", {"guess": None}, "None as guess"),
    (MAKES["canvas"][0], "add", {"x": 0, "y": True, "label": 0}, "True as y"),
    (MAKES["explorer"][0], "choose", {"pictures": "abc"}, "'abc' as pictures"),
    (MAKES["explorer"][0], "choose", {"pictures": ["a", 3]}, "['a', 3] as pictures"),
]


@pytest.mark.parametrize(("make", "question", "values", "words"), FAULTS, ids=[words for *_, words in FAULTS])
def test_what_a_page_may_not_send_is_the_fault_of_the_page(make, question, values, words):
    page = Page(make())
    page.widget._receive(page.widget, {"id": 1, "ask": question, "with": values}, [])
    ((facts, _),) = page.answers
    assert facts["error"] == f"The page sent {words}: reload the page, and run the cell again"


def test_a_file_goes_only_to_a_question_that_takes_one():
    page = Page(_player())
    assert "'content', which frame does not take" in page.ask("frame", RED)[0]["error"]
    page.widget._receive(page.widget, {"id": 1, "ask": "upload", "with": {"name": "a"}}, [RED, RED])
    assert "'content1', which upload does not take" in page.answers[0][0]["error"]


def test_half_a_character_in_an_answer_becomes_a_question_mark(monkeypatch):
    page = Page(_player())
    monkeypatch.setattr(type(page.widget), "answer_frame", lambda self: {"label": HALF, HALF: [1.5]})
    assert page.ask("frame")[0] == {"label": "?.png", "?.png": [1.5]}

    def fail(self):
        raise ValueError(f"no picture is called {HALF}")

    monkeypatch.setattr(type(page.widget), "answer_frame", fail)
    assert page.error("frame") == "No picture is called ?.png"


def test_a_number_that_is_no_number_is_told(monkeypatch):
    page = Page(_player())
    monkeypatch.setattr(type(page.widget), "answer_frame", lambda self: {"l2": math.nan})
    assert "does the network give NaN?" in page.error("frame")
    page.widget.frame.seen_logits.fill_(torch.nan)
    assert "NaN or infinite" in page.error("begin")


class Unspeakable(BaseException):
    """Neither an error nor an interruption."""


@pytest.mark.parametrize("error", [SystemExit(), Unspeakable(), MemoryError()])
def test_nothing_that_is_raised_leaves_a_question_without_an_answer(monkeypatch, error):
    page = Page(_player())

    def fail(self):
        raise error

    monkeypatch.setattr(widgets.FoolingPlayer, "step", fail)
    assert type(error).__name__ in page.error("frame")


@pytest.mark.parametrize("name", MAKES)
def test_a_page_sets_nothing(name):
    widget = MAKES[name][0]()
    before = {key: value for key, value in widget.get_state().items() if key != "layout"}
    for odd in ("nonsense", [], None, 0.5):
        widget.set_state(dict.fromkeys([*before, "no such trait"], odd))
    assert {key: value for key, value in widget.get_state().items() if key != "layout"} == before


# ------------------------------------------------------------------------------------- a network that fails once


BREAKS = [RuntimeError("the roof is on fire"), KeyboardInterrupt()]


@pytest.mark.parametrize("error", BREAKS, ids=["error", "interrupted"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_player_goes_on_from_its_last_frame(monkeypatch, error, after):
    steady, page = Page(_player()), Page(_player())
    for one in (steady, page):
        for _ in range(after):
            one.ask("frame")

    def fail(*_):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(type(page.widget.model.net), "forward", fail)
        for _ in range(2):
            assert any(words in page.error("frame") for words in ("the roof is on fire", "Interrupted"))
    for _ in range(3):
        (facts, (shown,)), (expected, (wanted,)) = page.ask("frame"), steady.ask("frame")
        assert facts["index"] == expected["index"] and shown == wanted


def test_a_player_keeps_the_ball_around_its_original_when_it_goes_on(monkeypatch):
    page = Page(widgets.FoolingPlayer(random_linear(), "grey", 2, method="PGD within 8 grey levels", size=4.0))
    for _ in range(3):
        page.ask("frame")
    with monkeypatch.context() as broken:
        broken.setattr(type(page.widget.model.net), "forward", lambda *_: 1 / 0)
        page.error("frame")
    assert page.ask("frames", count=4)[0]["frames"][-1]["index"] == 7
    change = page.widget.frame.image - blank(0.5, size=4)
    assert 255 * change.abs().max() < 9


# a question that asks the network, for each widget that has one
ASKS = {
    "player": ("start", {"target": 1}), "blink": ("start", {}), "sizes": ("stop", {"place": 9}),
    "priors": ("stop", {"place": 1}), "wall": ("generation", {}), "explorer": ("refine", {}), "canvas": ("step", {}),
}  # fmt: skip


@pytest.mark.parametrize("error", BREAKS, ids=["error", "interrupted"])
@pytest.mark.parametrize("name", ASKS)
def test_what_failed_once_is_told_and_works_when_it_is_asked_again(monkeypatch, name, error):
    page = Page(MAKES[name][0]())
    question, values = ASKS[name]
    if name == "canvas":
        page.ask("preset", name="blobs")

    def fail(*_):
        raise error

    net = _network(page.widget)
    with monkeypatch.context() as broken:
        broken.setattr(type(net), "forward", fail)
        assert page.error(question, **values)
    assert "error" not in page.ask(question, **values)[0]


def _network(widget):
    if isinstance(widget, widgets.PlaneCanvas):
        return widget._net
    return (next(iter(widget.models.values())) if isinstance(widget, widgets.PriorExplorer) else widget.model).net
