"""Where the image may go: a constraint moves a point to the nearest allowed point, in the same coordinates.

Constraints are functions; `both(l2_ball(bus, 1), inside_mask(bus, mask))` applies one after the other. The loop
always applies the legal range of pixels last, so you need not add it to a ball.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .arguments import between, finite, function, instance, shown, tensors
from .images import norms, per_image

Constraint = Callable[[Tensor], Tensor]


def _same_shape(variable: Tensor, other: Tensor, name: str) -> None:
    instance(Tensor, variable=variable)
    if other.shape[1:] != variable.shape[1:] or len(other) not in (1, len(variable)):
        raise ValueError(f"{name} has shape {tuple(other.shape)} and cannot constrain {tuple(variable.shape)}")
    if (other.dtype, other.device) != (variable.dtype, variable.device):
        raise ValueError(
            f"{name} is {other.dtype} on {other.device}, and cannot constrain {variable.dtype} on {variable.device}: "
            "use .to(image)"
        )


def _fixed(images: Tensor, name: str) -> Tensor:
    tensors(**{name: images})
    if images.ndim < 2:
        raise ValueError(f"{name} must be a batch (N, ...), got shape {tuple(images.shape)}: use {name}[None]")
    return images.detach()


def both(*constraints: Constraint) -> Constraint:
    """Apply one constraint after the other. Put balls before ranges: clipping never moves away from the centre."""

    for constraint in constraints:
        function(constraint=constraint)

    def project(variable: Tensor) -> Tensor:
        for constraint in constraints:
            moved = constraint(variable)
            if getattr(moved, "shape", None) != variable.shape:
                raise TypeError(
                    f"a constraint must return a tensor of shape {tuple(variable.shape)}, got {shown(moved)}"
                )
            variable = moved
        return variable

    return project


def pixel_range(low: float = 0.0, high: float = 1.0) -> Constraint:
    """Keep every value between `low` and `high`."""
    between(-math.inf, math.inf, low=low, high=high)
    finite(**{name: edge for name, edge in {"low": low, "high": high}.items() if not math.isinf(edge)})
    if not low <= high:
        raise ValueError(f"low must be at most high, got {low} and {high}")
    low, high = float(low), float(high)
    return lambda variable: variable.clamp(low, high)


def l2_ball(centre: Tensor, radius: float | Tensor) -> Constraint:
    """Keep each image within `radius` (L2, pixel units; one number, or (N,)) of its `centre` (N or 1, 3, H, W)."""
    centre, each = _fixed(centre, "centre"), isinstance(radius, Tensor) and radius.ndim == 1
    for one in radius.tolist() if each else [radius]:
        between(0, math.inf, radius=one)
    radius = radius.detach().to(centre) if each else float(radius)

    def project(variable: Tensor) -> Tensor:
        _same_shape(variable, centre, "the centre of the ball")
        if each and len(radius) not in (1, len(variable)):
            raise ValueError(f"radius has {len(radius)} values for {len(variable)} images: give one, or one per image")
        change = variable - centre
        radii = per_image(radius, change) if each else radius
        lengths = per_image(norms(change), change)
        # aim just inside the sphere, so that rounding in float32 cannot put the result outside
        inside = centre + change * (radii * (1 - 1e-6) / lengths.clamp_min(1e-30))
        return torch.where(lengths <= radii, variable, inside)

    return project


def linf_ball(centre: Tensor, radius: float) -> Constraint:
    """Keep every value within `radius` (pixel units; k/255 is k grey levels) of its value in `centre`."""
    between(0, math.inf, radius=radius)
    centre, radius = _fixed(centre, "centre"), float(radius)

    def project(variable: Tensor) -> Tensor:
        _same_shape(variable, centre, "the centre of the ball")
        return torch.minimum(torch.maximum(variable, centre - radius), centre + radius)

    return project


def inside_mask(original: Tensor, mask: Tensor) -> Constraint:
    """Allow changes only where `mask` (broadcast to the image; bool, or 0 and 1) is true; keep `original` elsewhere."""
    original = _fixed(original, "original")
    instance(Tensor, mask=mask)
    sides = zip(reversed(mask.shape), reversed(original.shape[1:]), strict=False)
    if mask.ndim > original.ndim or any(side not in (1, full) for side, full in sides):
        raise ValueError(f"mask has shape {tuple(mask.shape)} and does not fit images of {tuple(original.shape)}")
    if mask.layout != torch.strided or mask.device != original.device or mask.isnan().any():
        raise ValueError(f"mask must hold 0 and 1, or false and true, and be on {original.device}, got {shown(mask)}")
    with torch.inference_mode(False):  # a gradient may pass by it
        allowed = mask.bool().clone()

    def project(variable: Tensor) -> Tensor:
        if allowed.ndim == variable.ndim and len(allowed) not in (1, len(variable)):
            raise ValueError(f"mask holds {len(allowed)} masks for {len(variable)} images: give one, or one per image")
        _same_shape(variable, original, "the original of the mask")
        return torch.where(allowed, variable, original)

    return project
