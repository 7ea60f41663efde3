"""The exercises and what can be said of an answer: all that the grader needs, which has no torch of its own."""

from typing import NamedTuple

RIGHT, WRONG, NOT_ATTEMPTED, ANSWERED = "right", "wrong", "not attempted", "answered"


class Exercise(NamedTuple):
    """An exercise as its check knows it: its number, its title, and the name of the function that is the answer.

    The check is the function of that name in the lesson's module here. The answer to a question is in words, in a
    variable called answer_..., and a person reads it.
    """

    number: str
    title: str
    function: str

    @property
    def lesson(self) -> int:
        """The lesson that the exercise belongs to."""
        return int(self.number.partition(".")[0])

    @property
    def in_words(self) -> bool:
        """Whether the answer is a text."""
        return self.function.startswith("answer_")


EXERCISES: dict[str, Exercise] = {entry.number: entry for entry in ()}
