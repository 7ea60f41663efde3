"""DDN, a rival of `smallest_change`: the size of the change grows and shrinks as it fails and succeeds."""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..arguments import between, instance, positive, warn, whole
from ..images import round_to_8bit
from ..models import NO_GRADIENT, Classifier
from ..objectives import Label
from ..optimize import NOTHING_MOVES, ZeroGradient


def ddn(
    model: Classifier, image: Tensor, target: Label, *, steps: int = 50, size: float = 1.0, gamma: float = 0.05
) -> Tensor:
    """The 8-bit image of the target that DDN finds nearest to `image`, or `image` itself if it finds none.

    Every image on the way is rounded. The size of the change falls by the share `gamma` after an image that fools and
    rises by it after one that does not; the gradient only turns it.
    image: (1, 3, H, W). size: L2, pixel units.
    Source: Rony et al. 2019, arXiv 1811.09600, algorithm 1, with a step that falls from 1 to 0 along a cosine.
    """
    instance(Classifier, model=model)
    model.validate(image)
    if len(image) != 1:
        raise ValueError(f"ddn takes one image, got {len(image)}: use image[i : i + 1]")
    whole(steps=steps)
    positive(size=size)
    between(0, 0.99, gamma=gamma)
    image, size, gamma = image.detach(), float(size), float(gamma)
    goal, tried, smallest = model.index(target), image, None
    for i in range(steps):
        with torch.inference_mode(False):  # also inside a caller's no_grad()
            leaf = tried.clone().requires_grad_()
            log_probabilities = model(leaf).log_softmax(1)[0]
            if not log_probabilities.requires_grad:
                raise ValueError(NO_GRADIENT)
            (gradient,) = torch.autograd.grad(log_probabilities[goal], leaf)
        if i == 0 and not gradient.any():
            warn(NOTHING_MOVES, ZeroGradient)
        fooled = log_probabilities.argmax().item() == goal
        if fooled and (smallest is None or (tried - image).norm() < (smallest - image).norm()):
            smallest = tried
        size *= 1 - gamma if fooled else 1 + gamma
        rate = (1 + math.cos(math.pi * i / steps)) / 2
        change = tried - image + rate * normalize(gradient.flatten(), dim=0).view_as(image)
        tried = round_to_8bit((image + size * normalize(change.flatten(), dim=0).view_as(image)).clamp(0, 1))
    return image if smallest is None else smallest
