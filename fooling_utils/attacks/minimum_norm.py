"""The smallest change that makes an image its target, and the smallest that survives being saved."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..arguments import evaluating, flag, whole
from ..images import norms, per_image
from ..models import CHUNK, NO_GRADIENT, Classifier, as_classifier, on_each_chunk
from ..objectives import Label
from ..optimize import last

AIM, SAFE = 0.01, 0.001  # logits ahead of the other classes: what is aimed for, and the least that counts as fooled
FIRST = 0.7  # of the way to the linearised boundary: the length of the steps until an image fools
TURN = (0.7, 0.03)  # weight of a new gradient in the direction, at the start and at the end
BAND = (0.3, 0.01)  # by how much the size may change from one gradient to the next, at the start and at the end
SOFTNESS = (1.0, 0.1)  # of the maximum over the other classes, in logits, at the start and at the end
NOISE = 1e-5  # of a size: a change counts as smaller only by more than its last digits
CLOSE = 0.003  # of a size: how exactly a change is scaled to it
TRIES = 24  # scales that are tried at most, to give a change its size
LAST_FORWARDS = 4  # forward passes at the end, which look for a smaller size along the last direction


class NothingFound(UserWarning):
    """Some images were not fooled; their results are NaN."""


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
    steps: gradients for each image, plus five forward passes.
    eight_bit: the result has whole grey levels, as a saved file has, and is its target there. Without it, every value
        in the legal range may be taken, and rounding the result would lose it. An image with values between grey
        levels is rounded first, and the change is counted from there.
    An image that was not fooled is NaN, and the warning `NothingFound` names it. Every other result is ahead by 0.001
    logits.
    Raises ValueError for an image that is its target already, and for what `optimize_pixels` refuses.

    The search has three phases. A *first step* goes most of the way to the linearised boundary. Steps of the same
    length *approach* the target until an image fools. From there on the change *shrinks*, with three ideas. Its size
    follows the linearised margin in small steps, larger while it does not fool and smaller while it does, as in DDN
    (Rony et al. 2019, arXiv 1811.09600) and FMN (Pintor et al. 2021, arXiv 2102.12827). Its direction is a running
    average of unit gradients of the margin. And on the grid, grey levels go where the direction gains the most per unit
    of squared norm, `round(scale * direction)` with the scale that gives the size: values with a small gradient stay as
    they are. The direction itself is never rounded, so what is too small now may add up.
    """
    found = [last(search.run(steps)) for search in _searches(model, image, target, steps, eight_bit, at_once=CHUNK)]
    failed = [i for i, size in enumerate(torch.cat([part.size for part in found]).tolist()) if size == math.inf]
    if failed:
        warnings.warn(
            f"no change was found for {'image' if len(failed) == 1 else 'images'} {', '.join(map(str, failed))} of "
            f"{len(image)} in {steps} steps (NaN in the result): try more steps, or another target",
            NothingFound,
            stacklevel=2,
        )
    return torch.cat([torch.where(per_image(part.size.isinf(), part.image), math.nan, part.image) for part in found])


def smallest_change_frames(
    model: nn.Module,
    image: Tensor,
    target: Label | Sequence[Label] | Tensor | None,
    *,
    steps: int = 100,
    eight_bit: bool = True,
) -> Iterator[Found]:
    """`smallest_change` at work: a `Found` for each gradient. It ends early where every gradient is zero.

    Arguments and errors as for `smallest_change`; all images are held in memory at once.
    """
    (search,) = _searches(model, image, target, steps, eight_bit)
    return search.run(steps)


def _searches(
    model: nn.Module,
    image: Tensor,
    target: Label | Sequence[Label] | Tensor | None,
    steps: int,
    eight_bit: bool,
    at_once: int | None = None,
) -> list["_Search"]:
    """A search for all images, or for each part with at most `at_once` of them; or a clear error."""
    evaluating(model=model)
    whole(steps=steps)
    flag(eight_bit=eight_bit)
    model = as_classifier(model, image, (0.0, 1.0), "image")
    if eight_bit and model.bounds != (0.0, 1.0):
        raise ValueError(
            f"grey levels are for images in [0, 1], and this network's range is {model.bounds}: use eight_bit=False"
        )
    with torch.inference_mode(False), torch.no_grad():
        start = (image * 255).round() / 255 if eight_bit else image.detach().clone()
        classes, sign = model.aim(start, target)
        size = at_once or len(start)
        parts = zip(start.split(size), classes.split(size), strict=True)
        return [_Search(model, part, goals, sign, eight_bit) for part, goals in parts]


def along(direction: Tensor, scale: Tensor, low: Tensor, high: Tensor, *, whole_numbers: bool) -> Tensor:
    """Changes (N, ...) along directions (N, ...) at scales (N,), each value from `low` to `high` (N, ...)."""
    change = direction * per_image(scale, direction)
    if whole_numbers:
        change.round_()
    return change.clamp_(low, high)


def own_and_others(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The logits (N,) of one class for each image, and all logits (N, classes) with minus infinity in its place."""
    return logits.gather(1, classes[:, None])[:, 0], logits.scatter(1, classes[:, None], -math.inf)


class _Search:
    """The changes of a batch: where each is, which way it goes, and the smallest that fooled so far."""

    def __init__(self, model: Classifier, start: Tensor, classes: Tensor, sign: int, eight_bit: bool):
        self.model, self.classes, self.sign, self.eight_bit = model, classes, sign, eight_bit
        self.unit = 255 if eight_bit else 1
        self.origin = (start * 255).round() if eight_bit else start
        low, high = model.bounds or (-math.inf, math.inf)
        self.room = low * self.unit - self.origin, high * self.unit - self.origin
        self.farthest = norms(torch.maximum(-self.room[0], self.room[1])) / self.unit
        none = self.farthest.new_zeros(len(start))
        self.change, self.trial, self.trial_size = torch.zeros_like(start), start, none
        self.best, self.best_size, self.best_logits = start, none + math.inf, None
        self.direction, self.length = torch.zeros_like(start), none + 1
        self.step, self.size, self.scale = none, none, none

    def run(self, steps: int) -> Iterator[Found]:
        """Climb the margin to just above zero, with as small a change as possible."""
        for index in range(steps):
            with torch.inference_mode(False), torch.no_grad():  # also inside a caller's inference_mode()
                ends, found = self._advance(index, steps)
            yield found
            if ends:
                return

    def _advance(self, index: int, steps: int) -> tuple[bool, Found]:
        """One gradient, and where it leads: whether the search ends here, and what it has found."""
        early = (1 + math.cos(math.pi * index / steps)) / 2
        turn, band = (at_end + (at_start - at_end) * early for at_start, at_end in (TURN, BAND))
        tried = self.trial.clone()
        margin, gradient = self._look(SOFTNESS[0] + (SOFTNESS[1] - SOFTNESS[0]) * index / steps)
        norm = norms(gradient)
        moves, first, outside = (norm > 0) & norm.isfinite(), self.size == 0, self.best_size.isinf()

        self.step = torch.where(moves & first, self._first_step(margin, norm), self.step)
        # on the approach, a new step counts by its length next to the change so far
        weight = torch.where(outside, self.step / self.size, turn)
        self._turn(gradient, norm, moves, torch.where(first, 1, weight))
        size = torch.where(first, self.step, self._approach())
        if not outside.all():
            size = torch.where(outside, size, self._shrink(margin, gradient, norm, band))
        self._go_to(size, moves)

        ends = index == steps - 1 or not moves.any()
        if ends:
            self._trim()
        found = Found(index + 1, tried, self.best.clone(), self.best_size.clone(), self.best_logits.clone())
        return bool(ends), found

    def _look(self, softness: float) -> tuple[Tensor, Tensor]:
        """Ask the network about the trials: the margins (N,), and the gradients of the soft margins."""
        found = []
        for part, goals in zip(self.trial.split(CHUNK), self.classes.split(CHUNK), strict=True):
            with torch.enable_grad():
                leaf = part.clone().requires_grad_()
                logits = self.model(leaf)
                own, others = own_and_others(logits, goals)
                soft = own - softness * (others / softness).logsumexp(1)
                score = self.sign * soft.sum()
                if not score.requires_grad:
                    raise ValueError(NO_GRADIENT)
                (gradient,) = torch.autograd.grad(score, leaf)
            found.append((logits.detach(), gradient))
        logits, gradients = (torch.cat(parts) for parts in zip(*found, strict=True))
        return self._judge(logits), gradients.contiguous()

    def _judge(self, logits: Tensor) -> Tensor:
        """Keep the trials that fool and are the smallest so far; how far each is ahead, in logits (N,)."""
        own, others = own_and_others(logits, self.classes)
        margin = self.sign * (own - others.amax(1))
        better = (margin > SAFE) & (self.trial_size < self.best_size * (1 - NOISE))
        if self.best_logits is None:
            self.best_logits = logits.clone()
        if better.any():
            self.best = torch.where(per_image(better, self.best), self.trial, self.best)
            self.best_size = torch.where(better, self.trial_size, self.best_size)
            self.best_logits = torch.where(better[:, None], logits, self.best_logits)
        return margin

    def _turn(self, gradient: Tensor, norm: Tensor, moves: Tensor, weight: Tensor) -> None:
        """Average the gradients, each of length 1, into the directions; a direction without one stays."""
        share = torch.where(moves, weight / norm, 0)
        if not moves.all():
            gradient = torch.where(per_image(moves, gradient), gradient, 0)
        self.direction.mul_(per_image(torch.where(moves, 1 / self.length, 1), gradient))
        self.direction.addcmul_(gradient, per_image(share, gradient))
        length = norms(self.direction)
        self.length = torch.where(moves, torch.where(length > 0, length, 1), self.length)

    # The three phases: how large the next change is to be (N,). Each image is in a phase of its own.

    def _first_step(self, margin: Tensor, norm: Tensor) -> Tensor:
        """Most of the way to the linearised boundary; all steps of the approach have this length."""
        return FIRST * (AIM - margin) / norm

    def _approach(self) -> Tensor:
        """The length of the sum of all steps, of which the latest has just turned the direction."""
        return self.size * self.length

    def _shrink(self, margin: Tensor, gradient: Tensor, norm: Tensor, band: float) -> Tensor:
        """Where the linearised margin is what is aimed for, within the band around the present size."""
        slope = torch.linalg.vecdot(gradient.flatten(1), self.direction.flatten(1)) / self.length
        change = (AIM - margin) / (torch.maximum(slope, 1e-6 * norm) * self.size)
        return torch.minimum(self.size * (1 + change.clamp(-band, band)), self.best_size)

    def _go_to(self, size: Tensor, moves: Tensor) -> None:
        """Try changes of these sizes (N,) along the directions, spent where they gain the most, where it `moves`."""
        self.size = torch.where(moves, torch.minimum(size, self.farthest), self.size)
        goal = self.size * self.unit
        scale = torch.where(self.scale > 0, self.scale, goal) / self.length
        low, high = torch.zeros_like(scale), torch.full_like(scale, math.inf)
        found = self.trial_size * self.unit
        (chosen,) = moves.nonzero(as_tuple=True)
        power = 2.0 if self.eight_bit else 1.0  # while most of it is rounded away, a size grows faster than its scale
        for attempt in range(TRIES + 1):
            if attempt == TRIES:  # sizes jump where a grey level is much: the next smaller one
                scale[chosen] = low[chosen]
            everyone = len(chosen) == len(scale)
            parts = (self.direction, scale, *self.room)
            change = along(*(parts if everyone else (part[chosen] for part in parts)), whole_numbers=self.eight_bit)
            if everyone:
                self.change = change
            else:
                self.change[chosen] = change
            found[chosen] = norms(change)
            off = (found - goal).abs() > CLOSE * goal
            low, high = torch.where(found < goal, scale, low), torch.where(found < goal, high, scale)
            chosen = chosen[off[chosen]]
            if not len(chosen) or attempt == TRIES:
                break
            guess = scale * (goal / torch.maximum(found, goal / 4)) ** (1 / power)
            guess = torch.where((low < guess) & (guess < high), guess, (low + high) / 2)
            scale[chosen] = guess[chosen]
        self.scale = torch.where(moves, scale * self.length, self.scale)
        self.trial_size = found / self.unit
        self.trial = self.change + self.origin
        if self.eight_bit:
            self.trial.div_(self.unit)

    def _trim(self) -> None:
        """By bisection along the last directions: grey levels, or size, that are not needed are taken back."""
        moves = self.size > 0
        too_small = torch.where(self.best_size.isfinite(), 0.9 * self.best_size, self.size)
        for _ in range(LAST_FORWARDS):
            fooled = self.best_size.isfinite()
            self._go_to(torch.where(fooled, (too_small + self.best_size) / 2, 1.3 * self.size), moves)
            with torch.no_grad():
                before = self.best_size
                self._judge(on_each_chunk(self.model, self.trial))
            too_small = torch.where(self.best_size < before, too_small, self.size)
