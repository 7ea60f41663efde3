"""The methods of lesson 2 side by side: what each costs, how small its change is, and whether it survives a PNG."""

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .attacks import fgsm, lbfgs_frames, pgd, smallest_change
from .images import distances, round_to_8bit
from .models import Classifier
from .objectives import Label, toward
from .optimize import optimize_pixels, run_until

Method = Callable[[Classifier, Tensor, Label], tuple[Tensor, int]]


def _unit_steps(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    result = run_until(optimize_pixels(model, image, toward(target)), target, 0.99)
    return result.image, result.frames[0] or 200


def _lbfgs(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    *_, frame = lbfgs_frames(model, image, target)
    return frame.image, frame.index


def ddn(
    model: Classifier, image: Tensor, target: Label, *, steps: int = 50, size: float = 1.0, gamma: float = 0.05
) -> Tensor:
    """The smallest 8-bit image of the target that DDN meets, or `image` if it meets none: a peer of `smallest_change`.

    Every image on its way is rounded. The change has a size, which is `gamma` smaller after an image that fools and
    `gamma` larger after one that does not; the gradient only turns it. image: (1, 3, H, W). size: L2, pixel units.
    Source: Rony et al. 2019, arXiv 1811.09600, algorithm 1, with the step from 1 to 0 by a cosine.
    """
    goal, tried, smallest = model.index(target), image, None
    for i in range(steps):
        with torch.enable_grad():
            leaf = tried.clone().requires_grad_()
            log_probabilities = model(leaf).log_softmax(1)[0]
        (gradient,) = torch.autograd.grad(log_probabilities[goal], leaf)
        fooled = log_probabilities.argmax().item() == goal
        if fooled and (smallest is None or (tried - image).norm() < (smallest - image).norm()):
            smallest = tried
        size *= 1 - gamma if fooled else 1 + gamma
        rate = (1 + math.cos(math.pi * i / steps)) / 2
        change = tried - image + rate * normalize(gradient.flatten(), dim=0).view_as(image)
        tried = round_to_8bit((image + size * normalize(change.flatten(), dim=0).view_as(image)).clamp(0, 1))
    return image if smallest is None else smallest


METHODS: dict[str, Method] = {
    "FGSM, 8 grey levels": lambda model, image, target: (fgsm(model, image, 8 / 255, target), 1),
    "PGD, L∞ 2 grey levels": lambda model, image, target: (pgd(model, image, 2 / 255, target), 20),
    "PGD, L2 1.5": lambda model, image, target: (pgd(model, image, 1.5, target, norm="l2"), 20),
    "unit steps to 99 %": _unit_steps,
    "L-BFGS": _lbfgs,
    "DDN, rounded": lambda model, image, target: (ddn(model, image, target), 50),
    "smallest change": lambda model, image, target: (smallest_change(model, image, target, steps=50), 50),
}


def compare_methods(model: Classifier, image: Tensor, target: Label) -> Iterator[dict]:
    """One row per method, as it is done: gradients, seconds, sizes of the change, and whether it fools.

    image: one image (1, 3, H, W). `fools` is judged on the exact result, `after PNG` once it is rounded to 8 bit.
    """
    goal = model.index(target)
    for name, method in METHODS.items():
        begin = time.perf_counter()
        result, gradients = method(model, image, target)
        seconds = time.perf_counter() - begin
        size = distances(image, result)
        fools, after_png = (model.probabilities(x).argmax().item() == goal for x in (result, round_to_8bit(result)))
        yield {
            "method": name,
            "gradients": gradients,
            "seconds": seconds,
            "L2": size.l2,
            "L∞, grey levels": size.linf_grey_levels,
            "RMS, grey levels": size.rms_grey_levels,
            "SSIM": size.ssim,
            "values changed": size.changed_share,
            "fools": fools,
            "after PNG": after_png,
        }
