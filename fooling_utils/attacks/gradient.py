"""Attacks that are the loop with its four choices filled in, under their names in the literature.

Each takes images (N, 3, H, W) and one target, or one per image, and returns images (N, 3, H, W).
"""

from collections.abc import Sequence

from torch import Tensor

from ..arguments import instance, one_of, positive, whole
from ..constraints import l2_ball, linf_ball
from ..models import Classifier
from ..objectives import Label, Objective, away_from, toward
from ..optimize import last, optimize_pixels
from ..steps import sign_step, unit_step

Target = Label | Sequence[Label] | None


def _objective(model: Classifier, image: Tensor, target: Target) -> Objective:
    model.validate(image)
    classes, sign = model.aim(image, target)
    return toward(classes) if sign > 0 else away_from(classes)


def _check_radius(model: Classifier, epsilon: float, norm: str = "linf") -> None:
    instance(Classifier, model=model)
    positive(epsilon=epsilon)
    if norm == "linf" and model.bounds and epsilon > model.bounds[1] - model.bounds[0]:
        raise ValueError(
            f"epsilon must be in pixel units, where white is 1, got {epsilon}: for grey levels, use {epsilon}/255"
        )


def fgsm(model: Classifier, image: Tensor, epsilon: float, target: Target = None) -> Tensor:
    """One step of size `epsilon` along the sign of the gradient: for a linear network, the best change in L-infinity.

    epsilon: pixel units, 8/255 is eight grey levels. target: a class, one per image, or `None` for any other class.
    Raises ValueError for an epsilon that is not positive, and for an image that is already of its target class.
    Source: Goodfellow, Shlens, Szegedy 2014, arXiv 1412.6572, section 4.
    """
    _check_radius(model, epsilon)
    objective = _objective(model, image, target)
    return last(optimize_pixels(model, image, objective, step=sign_step(epsilon), steps=1)).image


def pgd(
    model: Classifier,
    image: Tensor,
    epsilon: float,
    target: Target = None,
    *,
    norm: str = "linf",
    steps: int = 20,
    step_size: float | None = None,
) -> Tensor:
    """The loop inside a ball: projected gradient descent, without a random start. It returns the last image.

    epsilon: the radius in pixel units. norm: "linf" (sign steps) or "l2" (unit steps). target: as for `fgsm`.
    step_size: pixel units; 2.5 * epsilon / steps unless given, which is enough to reach the border and walk along it.
    Source: Madry et al. 2017, arXiv 1706.06083, section 2.1.
    """
    choices = {"linf": (sign_step, linf_ball), "l2": (unit_step, l2_ball)}
    one_of(choices, norm=norm)
    whole(steps=steps)
    _check_radius(model, epsilon, norm)
    if step_size is not None:
        positive(step_size=step_size)
    rule, ball = choices[norm]
    size = 2.5 * epsilon / steps if step_size is None else step_size
    objective, within = _objective(model, image, target), ball(image, epsilon)
    return last(optimize_pixels(model, image, objective, step=rule(size), constraint=within, steps=steps)).image
