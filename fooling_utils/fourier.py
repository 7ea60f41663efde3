"""Images as sums of waves: a start and a decoder for `optimize_pixels`, for pictures that look natural.

In a photograph neighbouring pixels are alike, and so are the three colours of a pixel. A step in pixels ignores
this. Here the variable holds the strength of each wave in each of three colour mixtures, and longer waves count more.

Source: Olah, Mordvintsev, Schubert 2017, "Feature Visualization", distill.pub/2017/feature-visualization,
section "Preconditioning and Parameterization".
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .arguments import affordable, between, finite, seeded, shown, usable_device, whole
from .images import validate_images

# How red, green and blue vary together in the course's photographs: the rows are the colours; the columns are
# brightness, blue against red, and green against both, scaled by their strength. `data.make colours` measures them.
COLOURS = ((0.61, -0.31, 0.03), (0.58, 0.07, -0.09), (0.54, 0.28, 0.06))


def _size(size: int | Sequence[int]) -> tuple[int, int]:
    sides = (size, size) if hasattr(size, "__index__") else size
    if not isinstance(sides, (tuple, list)) or len(sides) != 2:
        raise ValueError(f"size must be a whole number of pixels, or a height and a width, got {shown(size)}")
    whole(2, height=sides[0], width=sides[1])
    height, width = map(int, sides)
    affordable(3 * height * width, f"an image of size {height} x {width}")
    return height, width


def _share(height: int, width: int, decay: float) -> Tensor:
    """How much each wave counts, (H, W // 2 + 1); the mean square over the whole spectrum is 1."""
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    share = torch.hypot(rows, columns).clamp_min(1 / max(height, width)) ** -decay
    twice = torch.where((columns > 0) & (columns < 0.5), 2, 1)  # only half the spectrum of a real image is stored
    return share * (height * width / (twice * share.square()).sum()).sqrt()


def fourier_start(
    count: int = 1,
    size: int | Sequence[int] = 224,
    *,
    std: float = 0.05,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Tensor:
    """Coordinates of `count` random, nearly grey images: (count, 3, H, W // 2 + 1, 2); the last axis is complex.

    size: H and W in pixels, or one number for a square. std: the contrast, from 0 for grey to 1 for strong.
    """
    height, width = _size(size)
    whole(count=count)
    affordable(3 * count * height * width, f"count = {count} images of {height} x {width}")
    finite(std=std)
    coordinates = torch.randn(count, 3, height, width // 2 + 1, 2, generator=seeded(seed))
    return (float(std) / 2**0.5 * coordinates).to(usable_device(device))


def fourier_decode(size: int | Sequence[int] = 224, *, decay: float = 1.3) -> Callable[[Tensor], Tensor]:
    """The function from coordinates (N, 3, H, W // 2 + 1, 2) to images (N, 3, H, W) in (0, 1).

    decay: a wave's amplitude falls with its frequency to this power, which is about 1 in photographs.
    """
    height, width = _size(size)
    between(-10, 10, decay=decay)
    with torch.inference_mode(False):  # gradients pass by them
        share, colours = _share(height, width, decay), torch.tensor(COLOURS)

    def decode(variable: Tensor) -> Tensor:
        expected = (3, height, width // 2 + 1, 2)
        if tuple(getattr(variable, "shape", ())[1:]) != expected or variable.dtype != torch.float32:
            raise ValueError(
                f"the decoder expects coordinates (N, {', '.join(map(str, expected))}) in float32, got "
                f"{shown(variable)}: give fourier_start and fourier_decode the same size"
            )
        waves = torch.view_as_complex(variable) * share.to(variable.device)
        mixtures = torch.fft.irfft2(waves, s=(height, width), norm="ortho")
        return torch.einsum("rc,nchw->nrhw", colours.to(variable.device), mixtures).sigmoid()

    return decode


def fourier_encode(images: Tensor, *, decay: float = 1.3) -> Tensor:
    """The coordinates (N, 3, H, W // 2 + 1, 2) of images (N, 3, H, W), for starting from a picture.

    `fourier_decode` with the same size and decay returns the images, with black and white half a grey level off.
    """
    validate_images(images, name="images")
    if images.shape[1] != 3:
        raise ValueError(f"images must have three colours (N, 3, H, W), got {tuple(images.shape)}")
    between(-10, 10, decay=decay)
    share = _share(*_size(images.shape[2:]), decay).to(images.device)
    colours = torch.tensor(COLOURS, device=images.device)
    mixtures = torch.einsum("cr,nrhw->nchw", torch.linalg.inv(colours), images.logit(eps=0.5 / 255))
    return torch.view_as_real(torch.fft.rfft2(mixtures, norm="ortho") / share)
