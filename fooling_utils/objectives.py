"""What to climb. An objective is a score per image, larger is better; objectives add and scale.

`toward("ostrich") - 0.02 * total_variation()` wants an ostrich and a smooth image. There is one sign everywhere: the
loop climbs, so what should be small is subtracted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .models import Classifier

Label = str | int


class Seen(NamedTuple):
    """What an objective may look at: the images (M, ...) that the network saw, and its logits (M, classes)."""

    image: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Objective:
    """A score to climb: `bind(model)` looks up the names of classes and gives a function of `Seen` to (M,).

    members: how many images it is made for, where it names one target per image; `None` for any number.
    """

    bind: Callable[["Classifier"], Callable[[Seen], Tensor]]
    members: int | None = None

    def __add__(self, other: "Objective") -> "Objective":
        if not isinstance(other, Objective):
            return NotImplemented
        counts = {n for n in (self.members, other.members) if n is not None}
        if len(counts) > 1:
            raise ValueError(f"the objectives are made for different numbers of images: {sorted(counts)}")

        def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
            first, second = self.bind(model), other.bind(model)
            return lambda seen: first(seen) + second(seen)

        return Objective(bind, *counts)

    def __mul__(self, factor: float) -> "Objective":
        if not isinstance(factor, (int, float)):
            return NotImplemented

        def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
            score = self.bind(model)
            return lambda seen: factor * score(seen)

        return Objective(bind, self.members)

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return -1 * self

    def __sub__(self, other: "Objective") -> "Objective":
        return self + -1 * other if isinstance(other, Objective) else NotImplemented


def one_per_image(labels: Label | Sequence[Label]) -> bool:
    """Whether `labels` names a class for each image (a list, a tuple, an array or a tensor), or one class for all."""
    return isinstance(labels, (list, tuple)) or getattr(labels, "ndim", 0) > 0


def _of_class(labels: Label | Sequence[Label], score: Callable[[Tensor], Tensor]) -> Objective:
    """The entry of `score(logits)` that belongs to a class, or for each image the entry of its own class."""
    several = one_per_image(labels)

    def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
        indices = torch.tensor([model.index(x) for x in labels] if several else [model.index(labels)])
        indices = indices.to(model.device)

        def score_of_class(seen: Seen) -> Tensor:
            # with random views there are K times as many images, in K blocks
            targets = indices.repeat(len(seen.logits) // len(indices))
            return score(seen.logits).gather(1, targets[:, None])[:, 0]

        return score_of_class

    return Objective(bind, len(labels) if several else None)


def toward(labels: Label | Sequence[Label]) -> Objective:
    """The log-probability of a class: a name or index, or a list with one for each image."""
    return _of_class(labels, lambda logits: logits.log_softmax(1))


def away_from(labels: Label | Sequence[Label]) -> Objective:
    """Minus the log-probability of a class, the untargeted attack; a name or index, or one for each image."""
    return -toward(labels)


def logit(labels: Label | Sequence[Label]) -> Objective:
    """The score of a class before the softmax; a name or index, or one for each image.

    Source: Simonyan, Vedaldi, Zisserman 2013, arXiv 1312.6034, section 2.
    """
    return _of_class(labels, lambda logits: logits)


def total_variation() -> Objective:
    """The sum of |differences| between neighbouring values of an image; subtract it to ask for a smooth image."""

    def score(seen: Seen) -> Tensor:
        rows, columns = seen.image.diff(dim=-2).abs(), seen.image.diff(dim=-1).abs()
        return rows.flatten(1).sum(1) + columns.flatten(1).sum(1)

    return Objective(lambda model: score)


def distance_to(image: Tensor) -> Objective:
    """The L2 distance (pixel units) to `image` (M or 1, ...); subtract it to ask for a small change."""

    def score(seen: Seen) -> Tensor:
        if seen.image.shape[1:] != image.shape[1:]:
            raise ValueError(
                f"there is no distance from images of shape {tuple(seen.image.shape[1:])} to one of "
                f"{tuple(image.shape[1:])}: load both with the same size"
            )
        goal = image.repeat(len(seen.image) // len(image), *[1] * (image.ndim - 1))
        return torch.linalg.vector_norm((seen.image - goal).flatten(1), dim=1)

    return Objective(lambda model: score, len(image) if len(image) > 1 else None)
