"""The one loop of the course: start somewhere, then say what you want, where you may go and how to move."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from .arguments import between, function, instance, seeded, shown, tensors, warn, whole
from .constraints import Constraint, both, pixel_range
from .images import per_image
from .models import NO_GRADIENT, Classifier, on_each_chunk
from .objectives import Label, Objective, Seen
from .steps import Step, unit_step
from .views import View

One = TypeVar("One")


class ZeroGradient(UserWarning):
    """The gradient is zero for every image at the start, so that no step moves any of them."""


@dataclass
class Frame:
    """One moment of an optimisation. It holds copies, so it is safe to keep and to change.

    index: 0 for the start. variable: what is optimised. image: (M, 3, H, W), the variable decoded.
    score: (M,), the objective. logits: (M, classes), of `image`.
    """

    index: int
    variable: Tensor
    image: Tensor
    score: Tensor
    model: Classifier
    seen_logits: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """The logits of `image`. With a view, they are computed on first use."""
        if self.seen_logits is None:
            with torch.inference_mode(False), torch.no_grad():
                self.seen_logits = on_each_chunk(self.model, self.image)
        return self.seen_logits

    def probability(self, labels: Label | Sequence[Label]) -> float | Tensor:
        """The probability of a class, or of one class per image: a number for one image, (M,) for several."""
        indices = self.model.indices(labels, len(self.logits)).to(self.logits.device)
        chosen = self.logits.softmax(1).gather(1, indices[:, None])[:, 0]
        if chosen.isnan().any():
            raise FloatingPointError(f"the network's logits are NaN or infinite at frame {self.index}")
        return chosen.item() if len(chosen) == 1 else chosen


def optimize_pixels(
    model: Classifier,
    start: Tensor,
    objective: Objective,
    *,
    step: Step | None = None,
    constraint: Constraint | None = None,
    decode: Callable[[Tensor], Tensor] | None = None,
    view: View | None = None,
    steps: int = 200,
    seed: int = 0,
) -> Iterator[Frame]:
    """Climb `objective` by changing pixels, never weights: an iterator of `steps` + 1 frames, beginning with the start.

    start: the variable (N, ...); an image (N, 3, H, W) unless `decode` is given. Members do not affect each other.
    objective: a score to climb, such as `toward("ostrich")`.
    step: how to move; `unit_step(0.3)` unless given.
    constraint: where the variable may be, in its own coordinates. Without `decode`, the legal range of pixels is
        always applied last.
    decode: from the variable to images (M, ...), differentiable.
    view: from (images, generator) to (K*M, ...), K views in K blocks; the score is their mean.
    seed: for the generator that is passed to `view`.
    A frame costs one forward pass, and one backward pass once the next frame is asked for. The first frame warns with
    `ZeroGradient` where no image can move.
    Raises ValueError or TypeError at the call for arguments that cannot work, or at the first frame for a step, a view
    or an objective of your own that returns the wrong thing.
    """
    if not isinstance(model, Classifier):
        raise TypeError(
            f"model must be a Classifier, got {type(model).__name__}: use Classifier(net, labels, input_shape)"
        )
    if not isinstance(objective, Objective):
        raise TypeError(f"objective must be an objective such as toward('ostrich'), got {objective!r}")
    step = unit_step() if step is None else step
    if not isinstance(step, Step):
        raise TypeError(f"step must be a step rule such as unit_step(0.3), got {step!r}")
    function(optional=True, constraint=constraint, decode=decode, view=view)
    whole(steps=steps)
    with torch.inference_mode(False):
        if decode is None:
            model.validate(start, "start")
            images = start
        else:
            tensors(start=start)
            images = _called("decode", decode, start)
            model.validate(images, "decode(start)")
            if not images.requires_grad:
                raise ValueError(
                    "decode(start) has no gradient back to start: decode must not use .detach(), .data, .item(), numpy "
                    "or no_grad()"
                )
        if objective.members not in (None, len(images)):
            raise ValueError(
                f"the objective names targets for {objective.members} images, but there are {len(images)}: "
                "its labels (or its image) must be one for all, or one per image"
            )
        score_of = objective.bind(model)
        function(**{"what objective.bind(model) returns": score_of})
        if constraint:  # one that does not fit fails now, not at the first step
            _like(start, **{"the constraint": _called("the constraint", constraint, start)})
    if decode is None and model.bounds:
        legal = pixel_range(*model.bounds)
        constraint = legal if constraint is None else both(constraint, legal)
    generator = seeded(seed, start.device)

    def frames() -> Iterator[Frame]:
        with torch.inference_mode(False):
            variable = start.detach().clone()
            state = step.init(variable)
        for index in range(steps + 1):
            # gradients pass also inside a caller's no_grad() and inference_mode(); closed again before each yield
            with torch.inference_mode(False):
                leaf = variable.detach().requires_grad_()
                image = decode(leaf) if decode else leaf
                seen = _looked_at(view, image, generator) if view else image
                logits, features = model.answers(seen, objective.layers)
                scores = score_of(Seen(seen, logits, features))
                if not isinstance(scores, Tensor) or scores.shape != logits.shape[:1]:
                    raise TypeError(
                        f"the objective must return one score per image, ({len(seen)},), got {shown(scores)}"
                    )
                score = scores.view(-1, len(image)).mean(0)
            if not score.isfinite().all():
                raise FloatingPointError(
                    f"the score became {score.detach().tolist()} at frame {index}: "
                    "try a smaller step, or a weaker term in the objective"
                )
            shown_image = image.detach().clone()
            kept = variable.clone() if decode else shown_image
            yield Frame(
                index, kept, shown_image, score.detach().clone(), model, None if view else logits.detach().clone()
            )
            if index < steps:
                if not score.requires_grad:
                    raise ValueError(_where_it_stops(view is not None, seen, logits))
                with torch.inference_mode(False):
                    (gradient,) = torch.autograd.grad(score, leaf, torch.ones_like(score), allow_unused=True)
                    if gradient is None:
                        raise ValueError(_where_it_stops(view is not None, seen, logits))
                    if index == 0 and not gradient.any():
                        warn(NOTHING_MOVES, ZeroGradient)
                    moved = step(gradient, state)
                    if not isinstance(moved, tuple) or len(moved) != 2:
                        raise TypeError(f"the step must return (change, state), got {shown(moved)}")
                    change, state = moved
                    _like(variable, **{"the step": change})
                    variable = variable + change
                    if constraint:
                        variable = constraint(variable)
                        _like(change, **{"the constraint": variable})

    return frames()


NOTHING_MOVES = (
    "the gradient is zero for every image at the start, so the images stay as they are: perhaps the network is "
    "entirely sure (try logit(...), or another start), ignores the image, or a view or decode has no useful gradient "
    "(try straight_through(view))"
)


IN_PLACE = "the view changes its images in place: return a new tensor, such as images.clamp(0, 1)"


def _called(name: str, function: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """The result of a caller's function for a copy of `start`, or an error that names the function."""
    given = start.detach().clone().requires_grad_() * 1
    made = function(given)
    if given._version:
        raise ValueError(f"{name} changes its argument in place: return a new tensor, such as x.clamp(0, 1)")
    if not isinstance(made, Tensor):
        raise TypeError(f"{name} must return a tensor, got {shown(made)}")
    return made


def _like(variable: Tensor, **made: Tensor) -> None:
    for name, value in made.items():
        if not isinstance(value, Tensor) or value.shape != variable.shape or value.dtype != variable.dtype:
            raise TypeError(
                f"{name} must return a tensor of shape {tuple(variable.shape)} and {variable.dtype}, got {shown(value)}"
            )
        if value.device != variable.device:
            raise ValueError(f"{name} must return a tensor on {variable.device}, got one on {value.device}")


def _where_it_stops(with_view: bool, seen: Tensor, logits: Tensor) -> str:
    """Which part has no gradient back to the variable."""
    if with_view and not seen.requires_grad:
        return (
            "the view has no gradient back to the image: use straight_through(view), or leave out .detach() and numpy"
        )
    if not logits.requires_grad:
        return NO_GRADIENT
    return "the objective has no gradient back to the image: it must not use .detach(), .item(), argmax or numpy"


def _looked_at(view: View, image: Tensor, generator: torch.Generator) -> Tensor:
    version = image._version
    try:
        seen = view(image, generator)
    except RuntimeError as error:
        if "in-place" not in str(error):
            raise
        raise ValueError(f"{IN_PLACE} ({error})") from error
    if image._version != version:
        raise ValueError(IN_PLACE)
    if not isinstance(seen, Tensor) or not seen.ndim or (seen.dtype, seen.device) != (image.dtype, image.device):
        raise TypeError(f"the view must return images of {image.dtype} on {image.device}, got {shown(seen)}")
    if len(seen) == 0 or len(seen) % len(image):
        raise ValueError(
            f"the view turns {len(image)} images into {len(seen)}: it must return the same number, or "
            "a multiple of it, in blocks that hold every image once"
        )
    return seen


def last(frames: Iterable[One]) -> One:
    """Run an optimisation to its end and return the last frame, keeping only that one. ValueError if there are none."""
    return deque(each_frame(frames), maxlen=1)[0]


def each_frame(frames: Iterable[One]) -> Iterator[One]:
    """The frames one by one. TypeError at the call for anything that gives none; ValueError if none are left."""
    if not isinstance(frames, Iterable) or isinstance(frames, Tensor):
        raise TypeError(f"frames must be what optimize_pixels(...) returns, got {shown(frames)}")

    def given() -> Iterator[One]:
        some = False
        for frame in frames:
            some = True
            yield frame
        if not some:
            raise ValueError("there are no frames left: make a new optimize_pixels(...)")

    return given()


class Stopped(UserWarning):
    """The reader stopped an optimisation before its end."""


class Reached(NamedTuple):
    """The images (M, ...) when they reached their classes, and the indices of those frames; `None` if never."""

    image: Tensor
    frames: list[int | None]


def run_until(frames: Iterable[Frame], labels: Label | Sequence[Label], probability: float = 0.99) -> Reached:
    """Run an optimisation until each image has reached its class with more than `probability`.

    Each image is taken from the first frame where it has, or from the last frame if it never does. When the reader
    stops it, by Ctrl+C or the stop button, it returns what it has by then, and warns.
    """
    between(0, 1, probability=probability)
    if probability >= 1:
        raise ValueError(f"probability must be in [0, 1), got {probability}")
    image, reached = None, []
    try:
        for frame in each_frame(frames):
            instance(Frame, **{"each of frames": frame})
            reached = reached or [None] * len(frame.image)
            open_members = torch.tensor([index is None for index in reached], device=frame.image.device)
            open_members = per_image(open_members, frame.image)
            image = frame.image if image is None else torch.where(open_members, frame.image, image)
            passes = torch.as_tensor(frame.probability(labels)).reshape(-1) > probability
            reached = [frame.index if i is None and p else i for i, p in zip(reached, passes.tolist(), strict=True)]
            if None not in reached:
                break
    except KeyboardInterrupt:
        if image is None:
            raise
        there = sum(index is not None for index in reached)
        when = f"stopped by hand at frame {frame.index}, when {there} of {len(reached)} images had reached their class"
        warn(f"{when}: the result is what there was by then", Stopped)
    return Reached(image, reached)
