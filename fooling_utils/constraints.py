"""Where the image may go: a constraint moves a point to the nearest allowed point, in the same coordinates.

Constraints are functions; `both(l2_ball(bus, 1), inside_mask(bus, mask))` applies one after the other. The loop
always applies the legal range of pixels last, so you need not add it to a ball.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .arguments import between
from .images import norms, per_image

Constraint = Callable[[Tensor], Tensor]


def _same_shape(variable: Tensor, other: Tensor, name: str) -> None:
    if other.shape[1:] != variable.shape[1:] or len(other) not in (1, len(variable)):
        raise ValueError(f"{name} has shape {tuple(other.shape)} and cannot constrain {tuple(variable.shape)}")


def both(*constraints: Constraint) -> Constraint:
    """Apply one constraint after the other. Put balls before ranges: clipping never moves away from the centre."""

    def project(variable: Tensor) -> Tensor:
        for constraint in constraints:
            variable = constraint(variable)
        return variable

    return project


def pixel_range(low: float = 0.0, high: float = 1.0) -> Constraint:
    """Keep every value between `low` and `high`."""
    if not low <= high:
        raise ValueError(f"low must be at most high, got {low} and {high}")
    return lambda variable: variable.clamp(low, high)


def l2_ball(centre: Tensor, radius: float | Tensor) -> Constraint:
    """Keep each image within `radius` (L2, pixel units; one number, or (N,)) of its `centre` (N or 1, 3, H, W)."""
    for one in radius.tolist() if isinstance(radius, Tensor) else [radius]:
        between(0, math.inf, radius=one)

    def project(variable: Tensor) -> Tensor:
        _same_shape(variable, centre, "the centre of the ball")
        change = variable - centre
        radii = per_image(radius, change) if isinstance(radius, Tensor) else radius
        lengths = per_image(norms(change), change)
        # aim just inside the sphere, so that rounding in float32 cannot put the result outside
        inside = centre + change * (radii * (1 - 1e-6) / lengths.clamp_min(1e-30))
        return torch.where(lengths <= radii, variable, inside)

    return project


def linf_ball(centre: Tensor, radius: float) -> Constraint:
    """Keep every value within `radius` (pixel units; k/255 is k grey levels) of its value in `centre`."""
    between(0, math.inf, radius=radius)

    def project(variable: Tensor) -> Tensor:
        _same_shape(variable, centre, "the centre of the ball")
        return torch.minimum(torch.maximum(variable, centre - radius), centre + radius)

    return project


def inside_mask(original: Tensor, mask: Tensor) -> Constraint:
    """Allow changes only where `mask` (broadcast to the image; bool, or 0 and 1) is true; keep `original` elsewhere."""
    allowed = mask.bool()

    def project(variable: Tensor) -> Tensor:
        _same_shape(variable, original, "the original of the mask")
        return torch.where(allowed, variable, original)

    return project
