"""Attacks by their names in the literature: each is the loop with its four choices filled in, or SciPy where it is not.

Each takes images (N, 3, H, W) and one target, or a list with one for each image, and returns images (N, 3, H, W).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from .constraints import l2_ball, linf_ball
from .minimum_norm import smallest_change as smallest_change
from .minimum_norm import smallest_change_frames as smallest_change_frames
from .models import Classifier
from .objectives import Label, Objective, Seen, away_from, one_per_image, toward
from .optimize import Frame, optimize_pixels
from .steps import sign_step, unit_step

Target = Label | Sequence[Label] | None


def _objective(model: Classifier, image: Tensor, target: Target) -> Objective:
    """Toward the target; without one, away from what each image is now."""
    now = model.probabilities(image).argmax(1).tolist()
    if target is None:
        return away_from(now)
    for i, (label, index) in enumerate(zip(_one_each(target, image), now, strict=True)):
        if model.index(label) == index:
            raise ValueError(f"image {i} is a {model.labels[index]!r} already: choose another target")
    return toward(target)


def _one_each(target: Label | Sequence[Label], image: Tensor) -> Sequence[Label]:
    """The target of every image."""
    targets = target if one_per_image(target) else [target] * len(image)
    if len(targets) != len(image):
        raise ValueError(f"{len(targets)} targets for {len(image)} images")
    return targets


def _last(frames: Iterator[Frame]) -> Tensor:
    for frame in frames:  # noqa: B007
        pass
    return frame.image


def _radius(model: Classifier, epsilon: float, norm: str = "linf") -> float:
    if not epsilon > 0:
        raise ValueError(f"epsilon must be greater than 0, got {epsilon}")
    if norm == "linf" and model.bounds and epsilon > model.bounds[1] - model.bounds[0]:
        raise ValueError(f"epsilon is in pixel units, where white is 1, got {epsilon}: for grey levels, {epsilon}/255")
    return epsilon


def fgsm(model: Classifier, image: Tensor, epsilon: float, target: Target = None) -> Tensor:
    """One step of size `epsilon` along the sign of the gradient: the best change in L-infinity of a linear network.

    epsilon: pixel units, 8/255 is eight grey levels. target: a class, one for each image, or `None` for any other.
    Raises ValueError for an epsilon that is not positive, and for an image that is of its target class already.
    Source: Goodfellow, Shlens, Szegedy 2014, arXiv 1412.6572, section 4.
    """
    objective = _objective(model, image, target)
    return _last(optimize_pixels(model, image, objective, step=sign_step(_radius(model, epsilon)), steps=1))


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
    """The loop inside a ball: projected gradient descent, without a random start; the last image is returned.

    epsilon: the radius in pixel units. norm: "linf" (sign steps) or "l2" (unit steps). target: as for `fgsm`.
    step_size: pixel units; 2.5 * epsilon / steps unless given, enough to reach the border and to walk along it.
    Source: Madry et al. 2017, arXiv 1706.06083, section 2.1.
    """
    choices = {"linf": (sign_step, linf_ball), "l2": (unit_step, l2_ball)}
    if norm not in choices:
        raise ValueError(f"norm must be 'linf' or 'l2', got {norm!r}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    rule, ball = choices[norm]
    _radius(model, epsilon, norm)
    size = 2.5 * epsilon / steps if step_size is None else step_size
    objective, within = _objective(model, image, target), ball(image, epsilon)
    return _last(optimize_pixels(model, image, objective, step=rule(size), constraint=within, steps=steps))


def lbfgs(
    model: Classifier, image: Tensor, target: Label | Sequence[Label], *, rounds: int = 6, evaluations: int = 30
) -> Tensor:
    """The smallest change that Szegedy's method finds: the last frame of `lbfgs_frames` for each image."""
    results = [
        _last(lbfgs_frames(model, one, label, rounds=rounds, evaluations=evaluations))
        for one, label in zip(image.split(1), _one_each(target, image), strict=True)
    ]
    return torch.cat(results)


def lbfgs_frames(
    model: Classifier, image: Tensor, target: Label, *, rounds: int = 6, evaluations: int = 30
) -> Iterator[Frame]:
    """Minimise c * |change|^2 - log p(target) within the legal range by L-BFGS-B, and search for the largest c.

    A frame per value of c, with the smallest change so far that makes the image its target, or the unchanged image;
    its `score` is -|change|, its `index` the number of gradients so far, as in the loop. `rounds`: how many c are
    tried, `evaluations`: gradients for each at most.
    The paper has |change| where the square stands here; the square is smooth where the change is zero.
    Source: Szegedy et al. 2013, arXiv 1312.6199, section 4.1, by SciPy's L-BFGS-B.
    """
    model.check(image)
    if len(image) != 1:
        raise ValueError(f"lbfgs_frames takes one image and got {len(image)}: use lbfgs")
    objective = _objective(model, image, target)
    if rounds < 1 or evaluations < 1:
        raise ValueError(f"rounds and evaluations must be at least 1, got {rounds} and {evaluations}")
    return _search_c(model, image, objective, model.index(target), rounds, evaluations)


def _search_c(
    model: Classifier, image: Tensor, objective: Objective, target: int, rounds: int, evaluations: int
) -> Iterator[Frame]:
    from scipy.optimize import Bounds, minimize
    from threadpoolctl import threadpool_limits

    flat = image.double().flatten().cpu().numpy()
    best, best_norm, best_logits = image.clone(), math.inf, None
    bounds = Bounds(*model.bounds) if model.bounds else None
    score_of = objective.bind(model)

    def loss(values: np.ndarray, c: float) -> tuple[float, np.ndarray]:
        nonlocal best, best_norm, best_logits, lowest, fooled, gradients
        gradients += 1
        with torch.enable_grad():
            leaf = torch.from_numpy(values.astype(np.float32)).view_as(image).to(image.device).requires_grad_()
            logits = model(leaf)
            log_probability = score_of(Seen(leaf, logits))[0]
            (gradient,) = torch.autograd.grad(log_probability, leaf)
        change = values - flat
        norm = float(np.linalg.norm(change))
        hit = logits.argmax().item() == target
        if hit and norm < best_norm:
            best, best_norm, best_logits = leaf.detach(), norm, logits.detach()
        value = c * norm**2 - log_probability.item()
        if value <= lowest:  # c is judged by its minimum: a line search may cross the target's region and come back
            lowest, fooled = value, hit
        return value, 2 * c * change - gradient.double().flatten().cpu().numpy()

    low, high, c, gradients = None, None, 5.0, 0
    for _ in range(rounds):
        lowest, fooled = math.inf, False
        with threadpool_limits(1, user_api="blas"):  # SciPy's threads and torch's get in each other's way
            minimize(loss, flat, (c,), jac=True, method="L-BFGS-B", bounds=bounds,
                     options={"maxfun": evaluations, "maxiter": evaluations, "maxcor": 5})  # fmt: skip
        low, high = (c, high) if fooled else (low, c)
        c = c * 4 if high is None else c / 4 if low is None else math.sqrt(low * high)
        logits = None if best_logits is None else best_logits.clone()
        yield Frame(gradients, best.clone(), best.clone(), image.new_tensor([-best_norm]), model, logits)
