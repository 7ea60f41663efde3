"""Guesses before the answer, without a browser: what the page may ask, and what it is answered."""

import numpy as np
import pytest

from asking import Page, sent, twin
from fooling_utils.widgets.guess import GuessFirst, Range, tally
from nets import random_images

SECRET = "because of the tail"


def three(**options):
    return GuessFirst.one_of("Which animal?", ["cat", "dog", "frog"], "dog", explanation=SECRET, **options)


def test_the_answer_comes_after_the_commitment():
    widget = three(pictures=[random_images()])
    page = Page(widget)
    facts, (pixels,) = page.ask("begin")
    assert facts == {"widths": [4]} and pixels == sent(random_images())
    state = str({key: value for key, value in widget.get_state().items() if key not in ("_esm", "_css")})
    assert SECRET not in state and "answer" not in state
    facts, _ = page.ask("commit", guess=1)
    assert facts == {"guess": 1, "right": True, "answer": {"value": 1, "explanation": SECRET}}
    assert "already committed" in page.ask("commit", guess=2)[0]["error"]
    assert widget.guess == 1
    assert page.ask("begin")[0]["answer"]["value"] == 1


def test_the_tally_counts_what_was_right_of_what_was_guessed():
    one = three()
    two = GuessFirst.which("Which is it?", [random_images(seed=1), random_images(seed=2)], 0)
    far = GuessFirst.number("How much?", 1, 100, 10, log=True, within=2)
    elsewhere = three(tally="another")
    assert tally() == (0, 0)
    Page(one).ask("commit", guess=1)
    assert tally() == (1, 1) and one.score == two.score == {"right": 1, "asked": 1}
    Page(two).ask("commit", guess=1)
    Page(far).ask("show")  # is not counted
    assert tally() == (1, 2) and far.guess is None
    Page(two).ask("again")
    assert tally() == (1, 1) and two.guess is None
    Page(two).ask("commit", guess=0)
    assert tally() == (2, 2) and one.score == {"right": 2, "asked": 2}
    assert tally("another") == (0, 0) and elsewhere.score == {"right": 0, "asked": 0}


def test_a_second_run_of_the_cell_keeps_the_commitment(cell):
    cell()
    three().commit(0)
    cell()
    again = three()
    assert again.guess == 0 and tally() == (0, 1)
    cell()
    corrected = GuessFirst("Which animal?", ["cat", "dog", "frog"], 0)
    assert corrected.guess == 0 and tally() == (1, 1)
    cell()
    assert GuessFirst("Which animal?", ["cat", "dog", "bird"], 0).guess is None
    cell()
    assert three(pictures=[random_images()]).guess is None


@pytest.mark.parametrize(
    ("guess", "right"), [(5.0, True), (4.9, False), (20, True), (20.1, False), (10, True), (1, False)]
)
def test_a_number_is_right_within_a_factor(guess, right):
    widget = GuessFirst("How much?", Range(1, 100, "grey levels", within=2), 10)
    facts, _ = Page(widget).ask("commit", guess=guess)
    assert facts["right"] is right and facts["answer"]["value"] == 10


@pytest.mark.parametrize("guess", [3, -1, 0.5])
def test_a_guess_that_is_no_choice_is_explained(guess):
    assert "not one of the choices" in Page(three()).ask("commit", guess=guess)[0]["error"]
    assert tally() == (0, 0)


@pytest.mark.parametrize("guess", [0.5, 101])
def test_a_number_out_of_the_range_is_explained(guess):
    widget = GuessFirst.number("How much?", 1, 100, 10)
    assert "must be a number from" in Page(widget).ask("commit", guess=guess)[0]["error"].lower()
    assert tally() == (0, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GuessFirst("?", ["a", "b"], "c"), "not one of the choices"),
        (lambda: GuessFirst("?", ["a", "b"], 2), "not one of the choices"),
        (lambda: GuessFirst("?", ["a"], 0), "2 to 9"),
        (lambda: GuessFirst("?", ["a", "a"], 0), "2 to 9"),
        (lambda: GuessFirst("?", list("abcdefghij"), 0), "2 to 9"),
        (lambda: GuessFirst.which("?", [random_images(2), random_images()], 0), "pictures.0. must be one image"),
        (lambda: GuessFirst.which("?", [random_images()], 0), "2 to 9"),
        (lambda: GuessFirst.number("?", 0, 10, 5, log=True), "low must"),
        (lambda: GuessFirst.number("?", 10, 1, 5), "low must"),
        (lambda: GuessFirst.number("?", 1, 10, 50), "from 1 to 10"),
        (lambda: GuessFirst.number("?", 1, 10, 5, within=0.5), "within"),
    ],
)
def test_a_question_that_cannot_be_asked_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_twin_does_not_tell_the_answer():
    pairs = [
        [three(pictures=[random_images()]) for _ in range(2)],
        [GuessFirst.which("?", [random_images(), random_images(seed=1)], k) for k in range(2)],
        [GuessFirst.number("?", 1, 10, k) for k in (2, 5)],
    ]
    pairs[0][1].commit(1)
    for one, other in pairs:
        assert np.array_equal(twin(one), twin(other))
    words = [text.get_text() for text in pairs[0][0].twin().texts] + [pairs[0][0].twin().get_supxlabel()]
    assert "Which animal?" in words and all(name in words[-1] for name in ("cat", "dog", "frog"))


def ticks_of(picture):
    """Where the scale of a twin has its ticks, as shares of its line: what is dark above and below the line, too."""
    dark = (picture < 110).all(-1)
    row = int(dark.sum(1).argmax())  # the line itself
    line = dark[row].nonzero()[0]
    above = dark[row - 5] & dark[row + 5]
    columns = [k for k in range(line.min() - 3, line.max() + 4) if above[k] and not above[k - 1]]
    return [(k - columns[0]) / (columns[-1] - columns[0]) for k in columns]


@pytest.mark.parametrize(
    ("low", "high", "log", "shares", "names"),
    [
        (1, 1000, True, [0, 1 / 3, 2 / 3, 1], ["1", "10", "100", "1000"]),
        (0.00001, 1, True, [0, 0.2, 0.4, 0.6, 0.8, 1], ["0.00001", "0.0001", "0.001", "0.01", "0.1", "1"]),
        (2, 200, True, [0, 0.35, 0.85, 1], ["2", "10", "100", "200"]),
        (9, 200, True, [0, 0.777, 1], ["9", "100", "200"]),
        (0, 100, False, [0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"]),
    ],
)
@pytest.mark.parametrize("pictures", [0, 2])
def test_the_twin_of_a_number_shows_its_scale(low, high, log, shares, names, pictures):
    images = [random_images(seed=k) * 0.2 + 0.8 for k in range(pictures)]
    widget = GuessFirst.number("How many steps?", low, high, high, log=log, unit="steps", pictures=images)
    figure = widget.twin()
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == names
    assert len(figure.axes) == pictures + 1
    assert ticks_of(twin(widget)) == pytest.approx(shares, abs=0.01)


def test_an_error_in_python_is_shown(monkeypatch):
    widget = three()
    monkeypatch.setattr(widget, "commit", lambda guess: 1 / 0)
    assert "ZeroDivisionError" in Page(widget).ask("commit", guess=1)[0]["error"]
    assert "has no answer" in Page(widget).error("truth")
