"""What to climb. An objective is a score per image, and larger is better. Objectives can be added and scaled.

`toward("ostrich") - 0.02 * total_variation()` asks for an ostrich and a smooth image. The loop always climbs, so
subtract whatever should be small.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .arguments import MOST, finite, flag, instance, shown, tensors, whole
from .images import norms

if TYPE_CHECKING:
    from .models import Classifier

Label = str | int


class Seen(NamedTuple):
    """What an objective can look at, all from one forward pass.

    image: (M, ...), what the network saw. logits: (M, classes). features: {layer: (M, ...)}, for `Objective.layers`.
    """

    image: Tensor
    logits: Tensor
    features: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Objective:
    """A score to climb: `bind(model)` looks up class names and returns a function from `Seen` to (M,).

    members: the number of images, if it names one target per image; `None` for any number.
    layers: the names of the layers whose outputs it needs.
    """

    bind: Callable[["Classifier"], Callable[[Seen], Tensor]]
    members: int | None = None
    layers: frozenset[str] = frozenset()

    def __add__(self, other: "Objective") -> "Objective":
        if not isinstance(other, Objective):
            return NotImplemented
        counts = {n for n in (self.members, other.members) if n is not None}
        if len(counts) > 1:
            raise ValueError(f"the objectives name targets for different numbers of images: {sorted(counts)}")

        def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
            first, second = self.bind(model), other.bind(model)
            return lambda seen: first(seen) + second(seen)

        return Objective(bind, next(iter(counts), None), self.layers | other.layers)

    def __mul__(self, factor: float) -> "Objective":
        if isinstance(factor, (bool, str)) or not hasattr(factor, "__float__"):
            return NotImplemented
        finite(factor=factor)
        factor = float(factor)

        def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
            score = self.bind(model)
            return lambda seen: factor * score(seen)

        return Objective(bind, self.members, self.layers)

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return -1 * self

    def __sub__(self, other: "Objective") -> "Objective":
        return self + -1 * other if isinstance(other, Objective) else NotImplemented


def one_per_image(labels: Label | Sequence[Label]) -> bool:
    """Whether `labels` names one class per image (a list, a tuple, an array or a tensor) or one class for all."""
    return isinstance(labels, (list, tuple)) or getattr(labels, "ndim", 0) > 0


def _of_class(labels: Label | Sequence[Label], score: Callable[[Tensor], Tensor]) -> Objective:
    """The entry of `score(logits)` for a class, or for each image's own class."""
    if not (isinstance(labels, str) or hasattr(labels, "__index__") or one_per_image(labels)):
        raise TypeError(f"labels must be a class by name or index, or a list with one per image, got {shown(labels)}")
    if one_per_image(labels) and getattr(labels, "ndim", 1) != 1:
        raise ValueError(f"labels must be one class, or a list (N,) with one per image, got {shown(labels)}")

    def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
        indices = model.indices(labels)

        def score_of_class(seen: Seen) -> Tensor:
            # with views, there are K times as many images, in K blocks
            targets = indices.repeat(len(seen.logits) // len(indices))
            return score(seen.logits).gather(1, targets[:, None])[:, 0]

        return score_of_class

    return Objective(bind, len(labels) if one_per_image(labels) else None)


def toward(labels: Label | Sequence[Label]) -> Objective:
    """The log-probability of a class: a name or index, or a list with one per image."""
    return _of_class(labels, lambda logits: logits.log_softmax(1))


def away_from(labels: Label | Sequence[Label]) -> Objective:
    """Minus the log-probability of a class, for untargeted attacks: a name or index, or one per image."""
    return -toward(labels)


def logit(labels: Label | Sequence[Label]) -> Objective:
    """The score of a class before the softmax: a name or index, or one per image.

    Source: Simonyan, Vedaldi, Zisserman 2013, arXiv 1312.6034, section 2.
    """
    return _of_class(labels, lambda logits: logits)


def total_variation() -> Objective:
    """The sum of absolute differences between neighbouring values; subtract it to ask for a smooth image."""

    def score(seen: Seen) -> Tensor:
        rows, columns = seen.image.diff(dim=-2).abs(), seen.image.diff(dim=-1).abs()
        return rows.flatten(1).sum(1) + columns.flatten(1).sum(1)

    return Objective(lambda model: score)


def _repeated(goal: Tensor, like: Tensor, name: str) -> Tensor:
    """`goal` (1 or M, ...), repeated to match the images or views in `like` (K*M, ...)."""
    if goal.device != like.device:
        raise ValueError(f"{name} is on {goal.device} and the network on {like.device}: use image.to(model.device)")
    if goal.shape[1:] != like.shape[1:] or len(like) % len(goal):
        raise ValueError(
            f"{name} has the shape {tuple(goal.shape)}, but is compared with {tuple(like.shape)}: "
            "load both images with the same size"
        )
    return goal.repeat(len(like) // len(goal), *[1] * (goal.ndim - 1))


def _goal(image: Tensor) -> Tensor:
    """A copy of what to compare with, through which gradients can pass wherever it was made."""
    tensors(image=image)
    if image.ndim < 2:
        raise ValueError(f"image must be a batch (N, ...), got {shown(image)}: use image[None]")
    with torch.inference_mode(False):
        return image.detach().clone()


def distance_to(image: Tensor, *, squared: bool = False) -> Objective:
    """The L2 distance (pixel units) to `image` (M or 1, ...), or its square; subtract it to ask for a small change.

    Source of the square, for class visualisation: Simonyan, Vedaldi, Zisserman 2013, arXiv 1312.6034, section 2.
    """

    image = _goal(image)
    flag(squared=squared)

    def score(seen: Seen) -> Tensor:
        change = seen.image - _repeated(image, seen.image, "the image of distance_to")
        return change.flatten(1).square().sum(1) if squared else norms(change)

    return Objective(lambda model: score, len(image) if len(image) > 1 else None)


def activation(layer: str, channel: int | None = None) -> Objective:
    """How strongly a layer responds: the mean of one channel, or the mean square of the whole layer.

    layer: a name from `model.layers()`. channel: an index, or `None` for the whole layer, as in deep dream.
    Source: Mordvintsev, Olah, Tyka 2015, "Inceptionism: Going Deeper into Neural Networks", Google Research Blog.
    """

    instance(str, layer=layer)
    if channel is not None:
        whole(-MOST, channel=channel)

    def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
        shape = model.shapes_of([layer])[layer]
        channels = shape[1] if len(shape) > 1 else 0
        if channel is not None and not 0 <= channel < channels:
            raise ValueError(f"layer {layer!r} has no channel {channel}: the channels go from 0 to {channels - 1}")

        def score(seen: Seen) -> Tensor:
            output = seen.features[layer]
            output = output.square() if channel is None else output[:, channel]
            return output.flatten(1).mean(1)

        return score

    return Objective(bind, layers=frozenset([layer]))


def gram_matrix(features: Tensor) -> Tensor:
    """Which channels respond together, at any place: from (N, C, H, W) to (N, C, C), products averaged over places.

    Source: Gatys, Ecker, Bethge 2015, "A Neural Algorithm of Artistic Style", arXiv 1508.06576.
    """
    tensors(features=features)
    if features.ndim < 3:
        raise ValueError(f"features must have the shape (N, C, H, W), got {tuple(features.shape)}")
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def _likeness(image: Tensor, layers: Sequence[str], summary: Callable[[Tensor], Tensor], name: str) -> Objective:
    """Minus the squared distance between layer summaries, relative to that of `image`; the mean over the layers."""

    image = _goal(image)

    def bind(model: "Classifier") -> Callable[[Seen], Tensor]:
        for layer, shape in model.shapes_of(layers).items():
            if len(shape) != 4:
                raise ValueError(f"layer {layer!r} has shape {shape}: {name} needs channels, height and width")
        model.validate(image, f"the image of {name}")
        with torch.inference_mode(False), torch.no_grad():
            goals = {layer: summary(output) for layer, output in model.features(image, layers)[1].items()}

        def score(seen: Seen) -> Tensor:
            total = torch.zeros(len(seen.image), device=seen.image.device)
            for layer, goal in goals.items():
                found = summary(seen.features[layer])
                goal = _repeated(goal, found, f"the image of {name}, in layer {layer!r},")
                size = goal.flatten(1).square().sum(1).clamp_min(1e-12)
                total = total - (found - goal).flatten(1).square().sum(1) / size
            return total / len(goals)

        return score

    return Objective(bind, len(image) if len(image) > 1 else None, frozenset(layers))


def style(image: Tensor, layers: Sequence[str]) -> Objective:
    """How close the style is to that of `image` (1 or M, 3, H, W; of any size): 0 at best, -1 for no style at all.

    It compares Gram matrices of several layers, each relative to the size of its goal, so that layers count equally.
    Source: Gatys, Ecker, Bethge 2015, arXiv 1508.06576; dividing by the size of the goal is ours.
    """
    if isinstance(layers, str) or not isinstance(layers, Collection) or hasattr(layers, "shape") or not layers:
        raise ValueError(f"layers must be a list with at least one name, got {shown(layers)}")
    for layer in layers:
        instance(str, **{"each of layers": layer})
    return _likeness(image, layers, gram_matrix, "style")


def content(image: Tensor, layer: str) -> Objective:
    """How much of the content of `image` (1 or M, 3, H, W) one layer sees: 0 at best, -1 for nothing.

    Source: Gatys, Ecker, Bethge 2015, arXiv 1508.06576; dividing by the size of the goal is ours.
    """
    instance(str, layer=layer)
    return _likeness(image, [layer], lambda output: output, "content")
