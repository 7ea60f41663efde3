"""What a lesson calls: the verdict on an answer, and the table of all verdicts."""

import os
from importlib import import_module
from typing import Any, NamedTuple

import pandas as pd
import torch

from .core import Answer, NotAttempted, Wrong, first_line
from .exercises import ANSWERED, EXERCISES, NOT_ATTEMPTED, RIGHT, WRONG

FEWEST_WORDS = 15  # in an answer in words; anything shorter is a note


class Verdict(NamedTuple):
    """What a check found. The status is "right", "wrong", "not attempted" or, for an answer in words, "answered"."""

    exercise: str
    status: str
    message: str = ""

    def __repr__(self) -> str:
        text = {NOT_ATTEMPTED: "not attempted yet", WRONG: "not right yet"}.get(self.status, self.status)
        return f"Exercise {self.exercise}: {text}" + (f": {self.message}" if self.message else "")


_verdicts: dict[str, Verdict] = {}  # since the kernel started


def judge(number: str, answer: Any, seed: int = 0, device: str | torch.device = "cpu") -> Verdict:
    """The verdict on the answer to exercise `number`: a function, or a text for a question. No answer makes it raise.

    Raises ValueError for a number that no exercise has, which is a mistake in the notebook.
    """
    if not isinstance(number, str) or number not in EXERCISES:
        raise ValueError(f"there is no exercise {number!r}: choose from {', '.join(EXERCISES)}")
    entry = EXERCISES[number]
    if entry.in_words:
        return _judge_words(number, answer)
    if answer is Ellipsis:
        return Verdict(number, NOT_ATTEMPTED)
    if not callable(answer):
        return Verdict(
            number, WRONG, f"pass your function to the check without brackets after its name: check({number!r}, ...)"
        )
    # found anew each time, where the grader sees what a student puts in its place
    examine = getattr(import_module(f".lesson{entry.lesson}", __package__), entry.function)
    state = torch.get_rng_state()  # so that a check does not change the notebook's random numbers
    try:
        with torch.enable_grad():
            examine(Answer(answer), seed, torch.device(device))
    except NotAttempted:
        return Verdict(number, NOT_ATTEMPTED)
    except Wrong as wrong:
        return Verdict(number, WRONG, str(wrong))
    except Exception as error:  # the check itself failed on what the answer returned
        return Verdict(number, WRONG, f"its result cannot be used: {type(error).__name__}: {first_line(error)}")
    finally:
        torch.set_rng_state(state)
    return Verdict(number, RIGHT)


def _judge_words(number: str, answer: Any) -> Verdict:
    if not isinstance(answer, str):
        return Verdict(
            number, WRONG, f"write your answer between the quotation marks: this is of type {type(answer).__name__}"
        )
    words = len(answer.replace("...", " ").split())
    if not words:
        return Verdict(number, NOT_ATTEMPTED)
    if words < FEWEST_WORDS:
        return Verdict(number, WRONG, f"only {words} words: write whole sentences and give your reasons")
    return Verdict(number, ANSWERED, "compare it with the three points that are folded away below")


def check(number: str, answer: Any) -> Verdict | None:
    """Judge the answer to exercise `number` and remember the verdict for `summary`.

    If nbgrader runs the notebook, the verdict is printed, and AssertionError raised unless the answer is right:
    nbgrader would read the result of the cell as a number of points.
    """
    verdict = _verdicts[number] = judge(number, answer)
    if not os.environ.get("NBGRADER_EXECUTION"):
        return verdict
    if verdict.status not in (RIGHT, ANSWERED):
        raise AssertionError(repr(verdict))
    print(verdict)
    return None


def summary(lesson: int) -> pd.DataFrame:
    """A table of the exercises of a lesson, with the last verdict on each in this kernel."""
    lessons = sorted({entry.lesson for entry in EXERCISES.values()})
    if not isinstance(lesson, int) or lesson not in lessons:
        raise ValueError(f"lesson {lesson!r} has no exercises: choose from {lessons}")
    rows = [entry for entry in EXERCISES.values() if entry.lesson == lesson]
    status = [_verdicts.get(entry.number, Verdict(entry.number, NOT_ATTEMPTED)).status for entry in rows]
    marks = {RIGHT: "✓", ANSWERED: "✓", WRONG: "✗", NOT_ATTEMPTED: "–"}
    table = {"title": [entry.title for entry in rows], "": [marks[s] for s in status], "status": status}
    return pd.DataFrame(table, index=pd.Index([entry.number for entry in rows], name="exercise"))
