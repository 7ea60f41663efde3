"""The priors of lesson 1 side by side: pictures of classes, and whether a second network recognises them."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import data
from ..arguments import instance, one_of, several, tensors, usable_device, whole
from ..fourier import fourier_decode, fourier_start
from ..images import round_to_8bit
from ..models import CHUNK, Classifier
from ..objectives import Label, distance_to, logit, total_variation
from ..optimize import last, optimize_pixels
from ..starts import blank
from ..steps import adam_step, unit_step
from ..views import random_views
from .shared import squares

ANSWERS = {"without a prior": 13}  # of 100 classes, those that the second network names (`data.make classes`)
MEASURED = tuple(range(0, 1000, 10))  # the classes of the stored measurement: every tenth, so that none was hand-picked
TWELVE = (
    "ostrich", "robin", "cheetah", "armadillo", "school bus", "goldfish",
    "monarch", "volcano", "pizza", "strawberry", "hummingbird", "peacock",
)  # fmt: skip


def priors(
    labels: Sequence[Label], size: int = 128, *, rate: float = 0.1, device: str | torch.device | None = None
) -> dict[str, dict]:
    """The choices of lesson 1 by name, each as arguments for `optimize_pixels`, with one image per label.

    rate: how fast waves change; a slow run with more steps gives softer contrasts.
    """
    from torchvision.transforms.functional import gaussian_blur  # here, since its import takes a second

    several(labels=labels)
    whole(2, size=size)
    device = usable_device(device)
    grey = blank(0.5, len(labels), size, device=device)
    pixels = {"start": grey, "objective": logit(labels), "step": unit_step(2.0)}
    waves: dict[str, Any] = {
        "start": fourier_start(len(labels), size, device=device),
        "decode": fourier_decode(size),
        "objective": logit(labels),
        "step": adam_step(rate),
    }
    return {
        "none": pixels,
        "L2 decay": pixels | {"objective": logit(labels) - 0.05 * distance_to(grey, squared=True)},
        "total variation": pixels | {"objective": logit(labels) - 0.05 * total_variation()},
        "blur": pixels | {"constraint": lambda image: gaussian_blur(image, 5, 0.5)},
        "views": pixels | {"view": random_views()},
        "Adam alone": pixels | {"step": adam_step(0.012)},
        "waves": waves,
        "waves and views": waves | {"view": random_views()},
    }


def draw_classes(
    model: Classifier, labels: Sequence[Label], prior: str, *, size: int = 128, steps: int = 96, rate: float = 0.1
) -> Iterator[Tensor]:
    """Pictures of classes under one of the `priors`, rounded to 8 bit: batches (up to 16, 3, size, size)."""
    instance(Classifier, model=model)
    several(labels=labels)
    labels = list(labels)
    for begin in range(0, len(labels), CHUNK):
        choices = priors(labels[begin : begin + CHUNK], size, rate=rate, device=model.device)
        one_of(choices, prior=prior)
        yield round_to_8bit(last(optimize_pixels(model, **choices[prior], steps=steps)).image)


def load_twelve(device: str | torch.device | None = None) -> Tensor:
    """The stored pictures of the classes in `TWELVE`, (12, 3, 224, 224), made by `data.make twelve`."""
    return squares(data.read("twelve"), 224).to(usable_device(device))


def recoloured(images: Tensor, like: Tensor) -> Tensor:
    """Images (N, 3, H, W) whose colours get the mean and spread of those of one image (1, 3, H, W), within [0, 1]."""
    tensors(images=images, like=like)
    for name, given, count in (("images", images, "N"), ("like", like, "1")):
        if given.ndim != 4 or given.shape[1] != 3 or (count == "1" and len(given) != 1):
            raise ValueError(f"{name} must have the shape ({count}, 3, H, W), got {tuple(given.shape)}")
    (mean, spread), (wanted, width) = (
        (one.mean((2, 3), keepdim=True), one.std((2, 3), keepdim=True).clamp_min(1e-6)) for one in (images, like)
    )
    return ((images - mean) / spread * width + wanted).clamp(0, 1)
