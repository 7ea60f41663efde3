"""A question to answer before seeing the answer: students who have committed to a guess remember the surprise."""

import hashlib
import math
import textwrap
from collections.abc import Hashable, Sequence
from decimal import Decimal
from typing import NamedTuple
from weakref import WeakSet

import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..arguments import finite, flag, instance, several
from ..figures import draw_image, new_figure
from ..images import round_to_8bit, validate_images
from .kit import AskedWidget, Reply, made_at, rgb, script, tallies

MOST = 9  # choices, one per number key
LETTERS = "ABCDEFGHI"

_alive: WeakSet = WeakSet()  # the widgets whose pages show the tally


class Range(NamedTuple):
    """A slider from low to high, in equal steps or by factors (log); guesses within a factor of it are right."""

    low: float
    high: float
    unit: str = ""
    log: bool = False
    within: float = 2.0


class Tally(NamedTuple):
    """How many questions were guessed correctly, and how many were guessed at all."""

    right: int
    asked: int


def tally(name: str = "course") -> Tally:
    """The tally of all `GuessFirst` with this name since the kernel started."""
    instance(str, name=name)
    guesses = [right for _, right in _guesses(name).values()]
    return Tally(sum(guesses), len(guesses))


def _guesses(name: str) -> dict[Hashable, tuple[int | float, bool]]:
    """For each question of a cell, the guess and whether it was right."""
    return tallies.setdefault(name, {})


class GuessFirst(AskedWidget):
    """A question with choices to commit to before the answer is shown; a tally counts the right guesses.

    choices: two to nine texts, or a `Range` of numbers. answer: the place of the right text from 0, the text itself,
        or a number in the range. pictures: images (1, 3, H, W) or (1, 1, H, W), shown in a row.
    explanation: shown with the answer. tally: the name of the tally that this question counts towards.
    The page learns the answer only after the commitment, which survives when the cell runs again.
    Raises ValueError for an answer that is not one of the choices, and for an empty range.
    """

    _esm = script("guess")
    question = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List().tag(sync=True)
    range = traitlets.Dict().tag(sync=True)
    among_pictures = traitlets.Bool(False).tag(sync=True)
    score = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        question: str,
        choices: Sequence[str] | Range,
        answer: int | float | str,
        *,
        pictures: Sequence[Tensor] = (),
        explanation: str = "",
        tally: str = "course",
        _among_pictures: bool = False,
    ):
        instance(str, question=question, explanation=explanation, tally=tally)
        instance((list, tuple), pictures=pictures)
        if not isinstance(choices, Range):
            several(choices=choices)
        self.pictures = [_checked_picture(image, k) for k, image in enumerate(pictures)]
        self._range = choices if isinstance(choices, Range) else None
        texts = [] if self._range else [str(one) for one in choices]
        self._right = _checked_number(self._range, answer) if self._range else _checked_place(texts, answer)
        self.explanation, self._tally = explanation, tally
        given = hashlib.sha256(repr((question, texts, self._range)).encode())
        for image in self.pictures:
            given.update(rgb(image))
        self._key = made_at("GuessFirst"), given.hexdigest()
        guesses = _guesses(tally)
        if self._key in guesses:  # the answer may have been corrected in the meantime
            guess, _ = guesses[self._key]
            guesses[self._key] = (guess, self._is_right(guess))
        super().__init__(
            question=question,
            choices=texts,
            range=self._range._asdict() if self._range else {},
            among_pictures=_among_pictures,
        )
        _alive.add(self)
        _count_again(tally)

    @classmethod
    def which(
        cls, question: str, images: Sequence[Tensor], answer: int, *, explanation: str = "", tally: str = "course"
    ) -> "GuessFirst":
        """Which of these pictures? images: two to nine (1, 3, H, W), named A, B, ...; answer: its place from 0."""
        several(images=images)
        images = list(images)
        letters = list(LETTERS[: len(images)])
        return cls(
            question, letters, answer, pictures=images, explanation=explanation, tally=tally, _among_pictures=True
        )

    @classmethod
    def one_of(
        cls,
        question: str,
        choices: Sequence[str],
        answer: int | str,
        *,
        pictures: Sequence[Tensor] = (),
        explanation: str = "",
        tally: str = "course",
    ) -> "GuessFirst":
        """Which of these texts? answer: the text, or its place from 0."""
        return cls(question, choices, answer, pictures=pictures, explanation=explanation, tally=tally)

    @classmethod
    def number(
        cls,
        question: str,
        low: float,
        high: float,
        answer: float,
        *,
        unit: str = "",
        log: bool = False,
        within: float = 2.0,
        pictures: Sequence[Tensor] = (),
        explanation: str = "",
        tally: str = "course",
    ) -> "GuessFirst":
        """Which number from low to high? log: the slider moves by factors. within: the factor that counts as right."""
        finite(low=low, high=high, within=within)
        instance(str, unit=unit)
        flag(log=log)
        choices = Range(low, high, unit, log, within)
        return cls(question, choices, answer, pictures=pictures, explanation=explanation, tally=tally)

    @property
    def guess(self) -> int | float | None:
        """The guess that was committed: the place of a choice, or a number; `None` before that."""
        return _guesses(self._tally).get(self._key, (None, False))[0]

    def commit(self, guess: int | float) -> bool:
        """Commit to a choice, by its place, or to a number; return whether it is right. ValueError the second time."""
        if self.guess is not None:
            raise ValueError("you have already committed to an answer: use 'ask again' to forget it")
        guess = _checked_guess(self._range, guess) if self._range else _checked_place(self.choices, guess)
        _guesses(self._tally)[self._key] = (guess, self._is_right(guess))
        _count_again(self._tally)
        return self._is_right(guess)

    def ask_again(self) -> None:
        """Forget the commitment, in the tally too."""
        _guesses(self._tally).pop(self._key, None)
        _count_again(self._tally)

    def twin(self) -> Figure:
        """The question, its choices and pictures, without the answer; a range is a line with the marks of the page."""
        columns = max(1, len(self.pictures))
        rows = [] if self.among_pictures else self._told_choices()
        lines = textwrap.wrap(self.question, 80)
        words = 0.3 * (len(lines) + len(rows)) + 0.3
        side = min(3.0, 11.5 / columns) if self.pictures else 0
        parts = ([side + (0.4 if self.among_pictures else 0)] if self.pictures else []) + [0.6] * bool(self._range)
        parts = parts or [0.01]  # a question of words alone
        figure, axes = new_figure(11.5, sum(parts) + words, nrows=len(parts), ncols=columns, height_ratios=tuple(parts))
        for k, image in enumerate(self.pictures):
            axes[0, k].set_axis_off()
            draw_image(axes[0, k], image, LETTERS[k] if self.among_pictures else "")
        if self._range:
            below = axes[-1, 0].get_gridspec()[-1, :]
            for place in axes[-1]:
                place.remove()
            _draw_scale(figure.add_subplot(below), self._range)
        elif not self.pictures:
            axes[0, 0].set_axis_off()
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=15)
        if rows:
            figure.supxlabel("\n".join(rows), x=0.01, ha="left", fontsize=14)
        return figure

    # ------------------------------------------------------------------------------------------ what the page asks

    def answer_begin(self) -> Reply:
        """The pictures and, after a commitment, the answer."""
        pictures = [rgb(image) for image in self.pictures]
        return {"widths": [image.shape[3] for image in self.pictures], **self._shown()}, pictures

    def answer_commit(self, guess: int | float) -> dict:
        """The answer, for a guess."""
        self.commit(guess)
        return self._shown()

    def answer_show(self) -> dict:
        """The answer without a guess, which does not count."""
        return {"answer": self._answer_shown()}

    def answer_again(self) -> dict:
        """Forget the guess, as if the question had never been asked."""
        self.ask_again()
        return {}

    def _shown(self) -> dict:
        if self.guess is None:
            return {}
        return {"guess": self.guess, "right": self._is_right(self.guess), "answer": self._answer_shown()}

    def _answer_shown(self) -> dict:
        return {"value": self._right, "explanation": self.explanation}

    def _is_right(self, guess: int | float) -> bool:
        if not self._range:
            return guess == self._right
        within = self._range.within * (1 + 1e-9)  # a factor of exactly `within` counts
        return self._right / within <= guess <= self._right * within

    def _told_choices(self) -> list[str]:
        if self._range:
            low, high = (_plain(end) for end in (self._range.low, self._range.high))
            how = " (powers of ten)" if self._range.log else ""
            return [f"a number from {low} to {high} {self._range.unit}".rstrip() + how]
        return [f"{k + 1}   {text}" for k, text in enumerate(self.choices)]


def _marks(numbers: Range) -> list[float]:
    """The numbers that the page names below its slider: powers of ten, or the quarters of the range."""
    low, high = numbers.low, numbers.high
    if numbers.log:
        return [power for power in (float(f"1e{k}") for k in range(-20, 20)) if low <= power <= high]
    return [float(f"{low + (high - low) * k / 4:.3g}") for k in range(5)]


def _plain(number: float) -> str:
    """A number as the page writes it: 100000 and 0.00001, and not 1e+05 and 1e-05."""
    return format(Decimal(repr(number)).normalize(), "f") if 1e-6 <= number < 1e21 or number == 0 else repr(number)


def _draw_scale(axes: Axes, numbers: Range) -> None:
    """A line from low to high, with a tick and its number at both ends and wherever the page has a mark."""

    def share(value: float) -> float:
        if numbers.log:
            return math.log(value / numbers.low) / math.log(numbers.high / numbers.low)
        return (value - numbers.low) / (numbers.high - numbers.low)

    inner = [mark for mark in _marks(numbers) if 0.06 < share(mark) < 0.94]  # the ends need room for their numbers
    named = [numbers.low, *inner, numbers.high]
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.5, 0.5), yticks=[])
    axes.plot([0, 1], [0, 0], color="#333333", linewidth=2)
    axes.plot([share(value) for value in named], [0] * len(named), "|", color="#333333", markersize=14, mew=2)
    axes.set_xticks([share(value) for value in named], [_plain(value) for value in named], fontsize=13)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _count_again(name: str) -> None:
    """Update every page that shows this tally."""
    for widget in list(_alive):
        if widget._tally == name:
            widget.score = tally(name)._asdict()


def _checked_picture(image: Tensor, place: int) -> Tensor:
    """An image that can be shown, (1, 3, H, W), rounded to 8 bit."""
    validate_images(image, name=f"pictures[{place}]")
    if len(image) != 1 or image.shape[1] not in (1, 3):
        raise ValueError(f"pictures[{place}] must be one image (1, 3, H, W) or (1, 1, H, W), got {tuple(image.shape)}")
    return round_to_8bit(image).expand(-1, 3, -1, -1)


def _checked_place(choices: Sequence[str], answer: object) -> int:
    if not 2 <= len(choices) <= MOST or len(set(choices)) < len(choices):
        raise ValueError(f"there must be 2 to {MOST} different choices, got {list(choices)}")
    if isinstance(answer, str) and answer in choices:
        return choices.index(answer)
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        raise ValueError(f"{answer!r} is not one of the choices: use a place from 0 to {len(choices) - 1}, or its text")
    return answer


def _checked_number(numbers: Range, answer: object) -> float:
    if not 0 <= numbers.low < numbers.high or (numbers.log and numbers.low == 0):
        raise ValueError(
            f"low must be at least 0 (above 0 with log) and less than high, got {numbers.low} and {numbers.high}"
        )
    if numbers.within < 1:
        raise ValueError(f"within must be a factor of at least 1, got {numbers.within}")
    return _checked_guess(numbers, answer)


def _checked_guess(numbers: Range, guess: object) -> float:
    is_number = isinstance(guess, (int, float)) and not isinstance(guess, bool)
    if not is_number or not numbers.low <= guess <= numbers.high:
        raise ValueError(f"the guess must be a number from {numbers.low:g} to {numbers.high:g}, got {guess!r}")
    return float(guess)
