"""The one loop of the course: start somewhere, then say what you want, where you may go and how to move."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from .arguments import whole
from .constraints import Constraint, both, pixel_range
from .images import per_image
from .models import Classifier, on_each_chunk
from .objectives import Label, Objective, Seen
from .steps import Step, unit_step
from .views import View

One = TypeVar("One")


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
            with torch.no_grad():
                self.seen_logits = on_each_chunk(self.model, self.image)
        return self.seen_logits

    def probability(self, labels: Label | Sequence[Label]) -> float | Tensor:
        """The probability of a class, or of one class per image: a number for one image, (M,) for several."""
        indices = self.model.indices(labels, len(self.logits)).to(self.logits.device)
        chosen = self.logits.softmax(1).gather(1, indices[:, None])[:, 0]
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
    A frame costs one forward pass, and one backward pass once the next frame is asked for.
    Raises ValueError or TypeError at the call for arguments that cannot work.
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
    for name, function in {"constraint": constraint, "decode": decode, "view": view}.items():
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function or None, got {function!r}")
    whole(steps=steps)
    with torch.no_grad():
        images = start if decode is None else decode(start)
    model.validate(images, "start" if decode is None else "decode(start)")
    if objective.members not in (None, len(images)):
        raise ValueError(f"the objective names targets for {objective.members} images, but there are {len(images)}")
    score_of = objective.bind(model)
    if decode is None and model.bounds:
        legal = pixel_range(*model.bounds)
        constraint = legal if constraint is None else both(constraint, legal)
    if constraint:
        constraint(start)  # a constraint that does not fit fails now, not at the first step
    generator = torch.Generator(start.device).manual_seed(seed)

    def frames() -> Iterator[Frame]:
        variable = start.detach().clone()
        state = step.init(variable)
        for index in range(steps + 1):
            with torch.enable_grad():  # so that a caller's no_grad() does no harm; closed again before each yield
                leaf = variable.detach().requires_grad_()
                image = decode(leaf) if decode else leaf
                seen = _looked_at(view, image, generator) if view else image
                logits, features = model.features(seen, objective.layers)
                score = score_of(Seen(seen, logits, features)).view(-1, len(image)).mean(0)
            if not score.isfinite().all():
                raise FloatingPointError(
                    f"the score became {score.detach().tolist()} at frame {index}: "
                    "try a smaller step, or a weaker term in the objective"
                )
            shown = image.detach().clone()
            kept = variable.clone() if decode else shown
            yield Frame(index, kept, shown, score.detach().clone(), model, None if view else logits.detach().clone())
            if index < steps:
                (gradient,) = torch.autograd.grad(score, leaf, torch.ones_like(score))
                change, state = step(gradient, state)
                variable = variable + change
                if constraint:
                    variable = constraint(variable)

    return frames()


def _looked_at(view: View, image: Tensor, generator: torch.Generator) -> Tensor:
    seen = view(image, generator)
    if len(seen) == 0 or len(seen) % len(image):
        raise ValueError(
            f"the view turns {len(image)} images into {len(seen)}: it must return the same number, or "
            "a multiple of it, in blocks that hold every image once"
        )
    return seen


def last(frames: Iterable[One]) -> One:
    """Run an optimisation to its end and return the last frame, keeping only that one. ValueError if there are none."""
    kept = deque(frames, maxlen=1)
    if not kept:
        raise ValueError("there are no frames left: make a new optimize_pixels(...)")
    return kept[0]


class Reached(NamedTuple):
    """The images (M, ...) when they reached their classes, and the indices of those frames; `None` if never."""

    image: Tensor
    frames: list[int | None]


def run_until(frames: Iterable[Frame], labels: Label | Sequence[Label], probability: float = 0.99) -> Reached:
    """Run an optimisation until each image has reached its class with more than `probability`.

    Each image is taken from the first frame where it has, or from the last frame if it never does.
    """
    if not 0 <= probability < 1:
        raise ValueError(f"probability must be in [0, 1), got {probability}")
    image, reached = None, []
    for frame in frames:
        reached = reached or [None] * len(frame.image)
        open_members = torch.tensor([index is None for index in reached], device=frame.image.device)
        open_members = per_image(open_members, frame.image)
        image = frame.image if image is None else torch.where(open_members, frame.image, image)
        passes = torch.as_tensor(frame.probability(labels)).reshape(-1) > probability
        reached = [frame.index if i is None and p else i for i, p in zip(reached, passes.tolist(), strict=True)]
        if None not in reached:
            break
    if image is None:
        raise ValueError("there are no frames left: make a new optimize_pixels(...)")
    return Reached(image, reached)
