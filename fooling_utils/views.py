"""How the network looks at an image: a view is a function from (images, generator) to images.

There are random views, for images that must survive being moved and turned, and filters that a defence puts in front of
a network. An attacker who knows the filter climbs through it, with `straight_through` if it has no useful gradient.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .arguments import between, finite, function, positive, shown, whole
from .images import through_jpeg

View = Callable[[Tensor, torch.Generator], Tensor]


def random_views(
    count: int = 1, *, shift: float = 0.07, degrees: float = 10, zoom: float = 0.2, fill: float = 0.5
) -> Callable[[Tensor, torch.Generator], Tensor]:
    """A view for `optimize_pixels`: `count` draws per frame, each of which moves, turns and scales all images alike.

    shift: the largest move, as a share of the image's height and width. degrees: the largest turn. zoom: 0.2 scales
        by 1 / 1.2 to 1.2. fill: the shade that comes in at the edges.
    Source: Athalye and others 2017, arXiv 1707.07397 (expectation over transformation); computed by torchvision.
    """
    whole(1, 10_000, count=count)
    between(0, 100, shift=shift, zoom=zoom)
    between(0, 36_000, degrees=degrees)
    finite(fill=fill)
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional as transforms  # here, since its import takes a second

    shift, degrees, zoom, fill = float(shift), float(degrees), float(zoom), float(fill)

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


def quantised(levels: int = 8) -> View:
    """Round every value to the nearest of `levels` evenly spaced levels, black and white included.

    Source: Xu, Evans, Qi 2017, arXiv 1704.01155 (feature squeezing).
    """
    whole(2, 2**16, levels=levels)
    levels = int(levels)
    return lambda images, generator: (images * (levels - 1)).round() / (levels - 1)


def blurred(sigma: float = 1.5) -> View:
    """A Gaussian blur with a standard deviation of `sigma` pixels."""
    positive(sigma=sigma)
    from torchvision.transforms.v2.functional import gaussian_blur  # here, since its import takes a second

    sigma = float(sigma)
    reach = round(2.5 * sigma)

    def view(images: Tensor, generator: torch.Generator) -> Tensor:
        if reach >= min(images.shape[2:]):
            raise ValueError(f"sigma = {sigma:g} blurs {tuple(images.shape[2:])} pixels away: use a smaller sigma")
        return gaussian_blur(images, [2 * reach + 1] * 2, [sigma, sigma])

    return view


def recompressed(quality: int = 75) -> View:
    """Save as JPEG with this quality (1 to 95) and load again. No gradient passes: attack it with `straight_through`.

    Source: Dziugaite, Ghahramani, Roy 2016, arXiv 1608.00853.
    """
    whole(1, 95, quality=quality)
    quality = int(quality)
    # adding zero times the image makes the gradient zero, as for rounding, instead of an error in torch
    return lambda images, generator: through_jpeg(images.detach(), quality) + 0 * images


def straight_through(defence: View) -> View:
    """The same filter (with one draw) forwards; backwards, the gradient passes as if the filter did nothing.

    Source: Athalye, Carlini, Wagner 2018, arXiv 1802.00420, section 4.1 (BPDA).
    """

    function(defence=defence)

    def view(images: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            seen = defence(images, generator)
        if getattr(seen, "shape", None) != images.shape:
            raise TypeError(f"the defence must return images of shape {tuple(images.shape)}, got {shown(seen)}")
        return images + (seen - images).detach()

    return view
