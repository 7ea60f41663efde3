"""How to move: a step rule turns a gradient into a change of the image.

A rule is pure: `init(variable)` gives a state, `rule(gradient, state)` gives (change, next state). It climbs, each
member of the batch moves on its own, and a zero gradient means no move.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .arguments import between, positive
from .images import per_image


class Step(NamedTuple):
    """A step rule. It can be reused, since everything it remembers is in the state that it returns."""

    init: Callable[[Tensor], Any]
    move: Callable[[Tensor, Any], tuple[Tensor, Any]]

    def __call__(self, gradient: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.move(gradient, state)


def unit_vectors(gradient: Tensor) -> Tensor:
    """Each member of the batch divided by its L2 norm; zero stays zero."""
    norms = torch.stack([member.norm() for member in gradient])
    low, high = norms.aminmax()
    if not 1e-15 < low <= high < 1e15:  # squares would leave the range of float32: make the largest value 1 first
        largest = gradient.flatten(1).abs().amax(1)
        gradient = gradient / per_image(torch.where(largest > 0, largest, 1), gradient)
        norms = torch.stack([member.norm() for member in gradient])
        norms = torch.where(norms > 0, norms, 1)
    return gradient / per_image(norms, gradient)


def unit_step(length: float = 0.3) -> Step:
    """Move by `length` (L2, pixel units) along the gradient, whatever the size of the gradient."""
    positive(length=length)
    length = float(length)
    return Step(lambda variable: None, lambda gradient, state: (length * unit_vectors(gradient), state))


def sign_step(size: float = 1 / 255) -> Step:
    """Move every value by `size` (pixel units) in the direction that helps.

    Source: Goodfellow, Shlens, Szegedy 2014, arXiv 1412.6572, section 4.
    """
    positive(size=size)
    size = float(size)
    return Step(lambda variable: None, lambda gradient, state: (size * gradient.sign(), state))


def adam_step(rate: float = 0.01, beta1: float = 0.9, beta2: float = 0.999) -> Step:
    """Adam as gradient ascent, with learning rate `rate` (pixel units).

    Source: Kingma and Ba 2014, arXiv 1412.6980, algorithm 1.
    """
    positive(rate=rate)
    between(0, 1, beta1=beta1, beta2=beta2)
    for name, beta in {"beta1": beta1, "beta2": beta2}.items():
        if not beta < 1:
            raise ValueError(f"{name} must be less than 1, got {beta}")
    rate, beta1, beta2 = float(rate), float(beta1), float(beta2)

    def init(variable: Tensor) -> tuple[int, Tensor, Tensor]:
        return 0, torch.zeros_like(variable), torch.zeros_like(variable)

    def move(gradient: Tensor, state: tuple[int, Tensor, Tensor]) -> tuple[Tensor, tuple[int, Tensor, Tensor]]:
        count, mean, square = state
        count += 1
        mean = torch.lerp(gradient, mean, beta1)
        square = torch.lerp(gradient.square(), square, beta2)
        size = (square / (1 - beta2**count)).sqrt()
        change = rate * (mean / (1 - beta1**count)) / (size + 1e-12)
        return change, (count, mean, square)

    return Step(init, move)
