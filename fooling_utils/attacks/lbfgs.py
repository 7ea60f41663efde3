"""The attack of the first paper: L-BFGS-B by SciPy, and a search for the weight of the change."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..arguments import instance, warn, whole
from ..models import NO_GRADIENT, Classifier
from ..objectives import Label
from ..optimize import NOTHING_MOVES, ZeroGradient
from .minimum_norm import Found


def lbfgs_frames(
    model: Classifier, image: Tensor, target: Label, *, rounds: int = 6, evaluations: int = 30
) -> Iterator[Found]:
    """Minimise c * |change|^2 - log p(target) within the legal range by L-BFGS-B, and search for the largest c.

    image: one image (1, 3, H, W). It yields a `Found` for each c, whose image is the smallest change so far that makes
    the image its target, or the unchanged image. rounds: how many values of c are tried. evaluations: the most
    gradients for each.
    The paper has |change| where the square stands here; the square is smooth where the change is zero.
    Raises ValueError for several images, and for an image that is of its target class already.
    Source: Szegedy et al. 2013, arXiv 1312.6199, section 4.1, by SciPy's L-BFGS-B.
    """
    from scipy.optimize import Bounds, minimize
    from threadpoolctl import threadpool_limits

    instance(Classifier, model=model)
    whole(rounds=rounds, evaluations=evaluations)
    model.validate(image)
    if len(image) != 1:
        raise ValueError(f"lbfgs_frames takes one image and got {len(image)}: use image[i : i + 1]")
    goal = model.index(target)
    model.aim(image, goal)  # raises where there is nothing to do
    with torch.inference_mode(False):
        image = image.detach().clone()
    origin = image.double().flatten().cpu().numpy()
    options = {"maxfun": evaluations, "maxiter": evaluations, "maxcor": 5}
    bounds = Bounds(*model.bounds) if model.bounds else None

    def found() -> Iterator[Found]:
        best, best_size, best_logits = image.clone(), math.inf, None
        lowest, fools, gradients, still = math.inf, False, 0, False

        def loss(values: np.ndarray, c: float) -> tuple[float, np.ndarray]:
            nonlocal best, best_size, best_logits, lowest, fools, gradients, still
            gradients += 1
            with torch.inference_mode(False):  # also inside a caller's no_grad()
                leaf = torch.from_numpy(values.astype(np.float32)).view_as(image).to(image.device).requires_grad_()
                logits = model(leaf)
                log_probability = logits.log_softmax(1)[0, goal]
                if not log_probability.requires_grad:
                    raise ValueError(NO_GRADIENT)
                (gradient,) = torch.autograd.grad(log_probability, leaf)
            if gradients == 1:
                still = not gradient.any()
            change = values - origin
            size = float(np.linalg.norm(change))
            hit = logits.argmax().item() == goal
            if best_logits is None or (hit and size < best_size):
                best, best_logits = leaf.detach(), logits.detach()
                best_size = size if hit else math.inf
            value = c * size**2 - log_probability.item()
            if value <= lowest:  # c is judged by its minimum: a line search may cross the target's region and come back
                lowest, fools = value, hit
            return value, 2 * c * change - gradient.double().flatten().cpu().numpy()

        low, high, c = None, None, 5.0
        for _ in range(rounds):
            lowest, fools = math.inf, False
            with threadpool_limits(1, user_api="blas"):  # SciPy's threads and torch's get in each other's way
                minimize(loss, origin, (c,), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
            if still:
                warn(NOTHING_MOVES, ZeroGradient)
                still = False
            low, high = (c, high) if fools else (low, c)
            c = c * 4 if high is None else c / 4 if low is None else math.sqrt(low * high)
            yield Found(gradients, best.clone(), best.clone(), image.new_tensor([best_size]), best_logits.clone())

    return found()
