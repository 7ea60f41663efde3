"""The methods of lesson 2 side by side: what each costs, how small its change is, and whether a PNG still fools."""

import time
from collections.abc import Callable, Iterator

from torch import Tensor

from ..arguments import instance
from ..attacks.ddn import ddn
from ..attacks.gradient import fgsm, pgd
from ..attacks.lbfgs import lbfgs_frames
from ..attacks.minimum_norm import smallest_change
from ..images import distances, round_to_8bit
from ..models import Classifier
from ..objectives import Label, toward
from ..optimize import last, optimize_pixels, run_until

STEPS = 200  # at most this many unit steps

Method = Callable[[Classifier, Tensor, Label], tuple[Tensor, int]]


def _unit_steps(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    result = run_until(optimize_pixels(model, image, toward(target), steps=STEPS), target)
    return result.image, STEPS if result.frames[0] is None else result.frames[0]


def _lbfgs(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    found = last(lbfgs_frames(model, image, target))
    return found.image, found.gradients


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
    """One row per method, as soon as it is done: gradients, seconds, sizes of the change, and whether it fools.

    image: one image (1, 3, H, W). `fools` refers to the exact result, `after PNG` to the result rounded to 8 bit.
    """
    instance(Classifier, model=model)
    model.validate(image)
    if len(image) != 1:
        raise ValueError(f"compare_methods takes one image, got {len(image)}: use image[i : i + 1]")
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
