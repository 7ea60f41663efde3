"""The smallest change that makes an image its target, and the smallest that survives being saved."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..images import per_image, validate_images
from ..models import CHUNK, Classifier, on_each_chunk
from ..objectives import Label, one_per_image

AIM, SAFE = 0.01, 0.001  # logits ahead of the other classes: what is aimed for, and the least that counts as fooled
FIRST = 0.7  # of the way to the linearised boundary: the length of the steps until an image fools
TURN = (0.7, 0.03)  # weight of a new gradient in the direction, at the start and at the end
BAND = (0.3, 0.01)  # by how much the size may change from one gradient to the next, at the start and at the end
SOFTNESS = (1.0, 0.1)  # of the maximum over the other classes, in logits, at the start and at the end
LAST_FORWARDS = 4  # forward passes at the end, which look for a smaller size along the last direction


@dataclass
class Found:
    """How far a search for the smallest change has come. It holds copies, so it is safe to keep.

    gradients: how many were computed so far, for each image. tried: (N, ...), the images of this moment.
    image: (N, ...), for each the nearest one that fools, or the unchanged image. size: (N,), how far it is (L2, pixel
    units), infinite where nothing fools yet. logits: (N, classes), of `image`.
    """

    gradients: int
    tried: Tensor
    image: Tensor
    size: Tensor
    logits: Tensor


def smallest_change(
    model: nn.Module,
    image: Tensor,
    target: Label | Sequence[Label] | Tensor | None,
    *,
    steps: int = 100,
    eight_bit: bool = True,
) -> Tensor:
    """The images (N, 3, H, W) nearest to `image` in L2, as far as `steps` gradients find them, that are their target.

    model: a `Classifier`, or any network in evaluation mode from pixels in [0, 1] to logits.
    target: a class or one for each image (for a plain network by index); `None` for any class but the present one.
    steps: gradients for each image; five forward passes come on top.
    eight_bit: the result has whole grey levels, as a saved file has, and is its target there; without it, every value
        in the legal range may be taken, and rounding the result would lose it. An image with values between grey
        levels is rounded first, and the change is counted from there.
    Images that were not fooled are NaN, and a warning names them. Every other result is ahead by 0.001 logits.
    Raises ValueError for an image that is its target already, and as `optimize_pixels` for what cannot work.

    Steps of one length lead to a first image that fools. From there, three ideas. The size follows the linearised
    margin in small steps, larger while it does not fool and smaller while it does, as in DDN (Rony et al. 2019,
    arXiv 1811.09600) and FMN (Pintor et al. 2021, arXiv 2102.12827). The direction is a running average of unit
    gradients of the margin. And on the grid, grey levels go where the direction gains the most per unit of squared
    norm, `round(scale * direction)` with the scale that gives the size: values with a small gradient stay as they are.
    The direction itself is never rounded, so what is too small now may add up.
    """
    start, classes, sign, bounds = _prepare(model, image, target, steps, eight_bit)
    results = []
    for part, goals in zip(start.split(CHUNK), classes.split(CHUNK), strict=True):
        for frame in _search(model, part, goals, sign, bounds, eight_bit, steps):  # noqa: B007
            pass
        results.append(torch.where(per_image(frame.size.isinf(), part), math.nan, frame.image))
    result = torch.cat(results)
    failed = [i for i, one in enumerate(result) if one.isnan().any()]
    if failed:
        warnings.warn(
            f"no change was found for {'image' if len(failed) == 1 else 'images'} {', '.join(map(str, failed))} of "
            f"{len(image)} in {steps} steps (NaN in the result): try more steps, or another target",
            stacklevel=2,
        )
    return result


def smallest_change_frames(
    model: nn.Module,
    image: Tensor,
    target: Label | Sequence[Label] | Tensor | None,
    *,
    steps: int = 100,
    eight_bit: bool = True,
) -> Iterator[Found]:
    """`smallest_change` at work: a frame per gradient, and it ends early where every gradient is zero.

    A frame's `image` is the smallest that fooled so far, or the unchanged image, `variable` the one that was just
    tried, `score` minus the size of the change (L2), minus infinity where nothing fooled yet, `index` the number of
    gradients so far. Arguments and errors as for `smallest_change`; all images are held in memory at once.
    """
    start, classes, sign, bounds = _prepare(model, image, target, steps, eight_bit)
    return _search(model, start, classes, sign, bounds, eight_bit, steps)


def _prepare(
    model: nn.Module, image: Tensor, target: Label | Sequence[Label] | Tensor | None, steps: int, eight_bit: bool
) -> tuple[Tensor, Tensor, int, tuple[float, float] | None]:
    """The start, the class of each image, 1 to reach it or -1 to leave it, and the legal range; or a clear error."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a network (nn.Module), got {type(model).__name__}")
    named = isinstance(model, Classifier)
    bounds = model.bounds if named else (0.0, 1.0)
    if named:
        model.validate(image)
    else:
        validate_images(image, bounds, max(getattr(image, "ndim", 4) - 1, 1))
    if not hasattr(steps, "__index__") or steps < 1:
        raise ValueError(f"steps must be a whole number and at least 1, got {steps}")
    if eight_bit and bounds != (0.0, 1.0):
        raise ValueError(f"grey levels are for images in [0, 1], and this network's range is {bounds}: eight_bit=False")
    start = (image * 255).round() / 255 if eight_bit else image.detach()
    with torch.no_grad():
        logits = on_each_chunk(model, start)
    if logits.ndim != 2 or len(logits) != len(image) or logits.shape[1] < 2:
        raise ValueError(f"model must give logits (N, classes) of two classes or more, got {tuple(logits.shape)}")
    now = logits.argmax(1)
    if target is None:
        return start, now, -1, bounds
    targets = target.tolist() if isinstance(target, Tensor) else target
    targets = list(targets) if one_per_image(targets) else [targets] * len(image)
    if len(targets) != len(image):
        raise ValueError(f"{len(targets)} targets for {len(image)} images")
    indices = [model.index(label) if named else _plain_index(label, logits.shape[1]) for label in targets]
    for i, (goal, present) in enumerate(zip(indices, now.tolist(), strict=True)):
        if goal == present:
            name = repr(model.labels[goal]) if named else f"class {goal}"
            raise ValueError(f"image {i} is a {name} already: choose another target")
    return start, torch.tensor(indices, device=now.device), 1, bounds


def _plain_index(label: Label, classes: int) -> int:
    if isinstance(label, bool) or not hasattr(label, "__index__"):
        raise TypeError(f"a plain network knows classes by index only, got {label!r}: use Classifier(net, labels)")
    if not 0 <= label.__index__() < classes:
        raise ValueError(f"there is no class {label}: the indices go from 0 to {classes - 1}")
    return label.__index__()


def _margin(logits: Tensor, classes: Tensor, softness: float) -> tuple[Tensor, Tensor]:
    """How far each class is ahead of the best other one (N,), exactly, and with a soft maximum, which is smoother."""
    own = logits.gather(1, classes[:, None])[:, 0]
    others = logits.scatter(1, classes[:, None], -math.inf)
    return own.detach() - others.detach().amax(1), own - softness * (others / softness).logsumexp(1)


class _Member:
    """One image of the batch: where it is, which way it goes, and the smallest change that fooled so far."""

    def __init__(self, start: Tensor, bounds: tuple[float, float] | None, eight_bit: bool):
        self.eight_bit, self.unit = eight_bit, 255 if eight_bit else 1
        self.origin = (start * 255).round() if eight_bit else start
        low, high = bounds or (-math.inf, math.inf)
        self.low, self.high = low * self.unit - self.origin, high * self.unit - self.origin
        self.farthest = torch.maximum(-self.low, self.high).norm().item() / self.unit
        self.trial = self.best = start
        self.step, self.size, self.trial_size, self.best_size, self.too_small = 0.0, 0.0, 0.0, math.inf, 0.0
        self.direction, self.length, self.scale = torch.zeros_like(start), 1.0, 0.0

    def judge(self, margin: float) -> bool:
        """Whether what was tried fools and is the smallest so far, by more than the last digits of its size."""
        better = margin > SAFE and self.trial_size < self.best_size * (1 - 1e-5)
        if better:
            self.best, self.best_size = self.trial, self.trial_size
        return better

    def turn(self, gradient: Tensor, weight: float) -> float | None:
        """Average the gradient into the direction; its norm, `None` where there is no way to go."""
        norm = gradient.norm().item()
        if not 0 < norm < math.inf:
            return None
        weight = weight if self.size else 1.0
        self.direction.mul_(1 / self.length).add_(gradient, alpha=weight / norm)
        self.length = self.direction.norm().item() or 1.0
        return norm

    def go_to(self, size: float) -> None:
        """Try a change of this size (L2, pixel units) along the direction, spent where it gains the most."""
        self.size = min(size, self.farthest)
        goal = self.size * self.unit
        scale = (self.scale or goal) / self.length
        low, high, power = 0.0, math.inf, 2.0 if self.eight_bit else 1.0
        for _ in range(24):
            change = self._change(scale)
            found = change.norm().item()
            if abs(found - goal) <= 0.003 * goal:
                break
            low, high = (scale, high) if found < goal else (low, scale)
            guess = scale * (goal / max(found, goal / 4)) ** (1 / power)
            scale = guess if low < guess < high else (low + high) / 2
        else:  # sizes jump where a grey level is much: the next smaller one
            scale = low
            change = self._change(scale)
            found = change.norm().item()
        self.scale = scale * self.length
        self.trial_size = found / self.unit
        self.trial = change.add_(self.origin)
        if self.eight_bit:
            self.trial.div_(255)

    def _change(self, scale: float) -> Tensor:
        change = self.direction * scale
        if self.eight_bit:
            change.round_()
        return change.clamp_(self.low, self.high)


def _search(
    model: nn.Module,
    start: Tensor,
    classes: Tensor,
    sign: int,
    bounds: tuple[float, float] | None,
    eight_bit: bool,
    steps: int,
) -> Iterator[Found]:
    """Climb `sign` times the margin of `classes` to just above zero, with as small a change as possible."""
    members = [_Member(one, bounds, eight_bit) for one in start]
    best_logits = None
    for index in range(steps):
        early = (1 + math.cos(math.pi * index / steps)) / 2
        weight, band = (last + (first - last) * early for first, last in (TURN, BAND))
        softness = SOFTNESS[0] + (SOFTNESS[1] - SOFTNESS[0]) * index / steps
        trial = torch.stack([member.trial for member in members])
        margins, logits, gradients = _look(model, trial, classes, sign, softness)
        best_logits = logits if best_logits is None else best_logits
        moved = False
        for i, (member, margin, gradient) in enumerate(zip(members, margins, gradients, strict=True)):
            if member.judge(margin):
                best_logits[i] = logits[i]
            outside = member.best_size == math.inf
            norm = member.turn(gradient, member.step / member.size if outside and member.size else weight)
            if norm is None:
                continue
            moved = True
            if not member.size:
                member.step = FIRST * (AIM - margin) / norm
                member.go_to(member.step)
                continue
            if outside:  # the direction was turned by one step, and is as much longer as the change is to be
                member.go_to(member.size * member.length)
                continue
            slope = (gradient * member.direction).sum().item() / member.length
            step = (AIM - margin) / (max(slope, 1e-6 * norm) * member.size)
            member.go_to(min(member.size * (1 + min(max(step, -band), band)), member.best_size))
        last = index == steps - 1 or not moved
        if last:
            _trim(model, members, classes, sign, best_logits)
        image = torch.stack([member.best for member in members])
        size = image.new_tensor([member.best_size for member in members])
        yield Found(index + 1, trial, image, size, best_logits.clone())
        if last:
            return


def _look(
    model: nn.Module, trial: Tensor, classes: Tensor, sign: int, softness: float
) -> tuple[list[float], Tensor, Tensor]:
    """The margins, the logits and the gradients of the soft margin, for as many images at once as fit a laptop."""
    found = []
    for part, goals in zip(trial.split(CHUNK), classes.split(CHUNK), strict=True):
        with torch.enable_grad():  # also inside a caller's no_grad()
            leaf = part.clone().requires_grad_()
            logits = model(leaf)
            margin, soft = _margin(logits, goals, softness)
            (gradient,) = torch.autograd.grad(sign * soft.sum(), leaf)
        found.append((sign * margin, logits.detach(), gradient))
    margins, logits, gradients = map(torch.cat, zip(*found, strict=True))
    return margins.tolist(), logits, gradients


def _trim(model: nn.Module, members: list[_Member], classes: Tensor, sign: int, best_logits: Tensor) -> None:
    """By bisection along each member's last direction: grey levels, or size, that are not needed are taken back."""
    for member in members:
        member.too_small = 0.9 * member.best_size
    for _ in range(LAST_FORWARDS):
        for member in members:
            if member.size:
                fooled = member.best_size < math.inf
                member.go_to((member.too_small + member.best_size) / 2 if fooled else 1.3 * member.size)
        with torch.no_grad():
            logits = on_each_chunk(model, torch.stack([member.trial for member in members]))
        margins = (sign * _margin(logits, classes, 1.0)[0]).tolist()
        for i, (member, margin) in enumerate(zip(members, margins, strict=True)):
            if member.judge(margin):
                best_logits[i] = logits[i]
            else:
                member.too_small = member.size
