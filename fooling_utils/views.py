"""Random views for `optimize_pixels`: what the network must still see when the image is moved, turned and scaled."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms


def random_views(
    count: int = 1, *, shift: float = 0.07, degrees: float = 10, zoom: float = 0.2, fill: float = 0.5
) -> Callable[[Tensor, torch.Generator], Tensor]:
    """A view for `optimize_pixels`: `count` draws per frame, each moves, turns and scales all images alike.

    shift: largest move, as a share of the image's height and width. degrees: largest turn. zoom: 0.2 scales between
        1 / 1.2 and 1.2. fill: the shade of what comes in at the edges.
    Source: Athalye and others 2017, arXiv 1707.07397 (expectation over transformation); by torchvision.
    """
    if not hasattr(count, "__index__") or count < 1:
        raise ValueError(f"count must be a whole number and at least 1, got {count}")
    for name, value in {"shift": shift, "degrees": degrees, "zoom": zoom}.items():
        if not value >= 0:
            raise ValueError(f"{name} must be 0 or more, got {value}")

    def one(images: Tensor, turn: float, right: float, down: float, larger: float) -> Tensor:
        height, width = images.shape[-2:]
        moved = transforms.affine(
            images - fill,
            angle=degrees * turn,
            translate=[shift * width * right, shift * height * down],
            scale=(1 + zoom) ** larger,
            shear=[0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        return moved + fill

    def view(images: Tensor, generator: torch.Generator) -> Tensor:
        draws = 2 * torch.rand(count, 4, generator=generator, device=generator.device) - 1
        return torch.cat([one(images, *draw) for draw in draws.tolist()])

    return view
