"""The priors of lesson 1 side by side: pictures of classes, and whether a second network recognises them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from .fourier import fourier_decode, fourier_start
from .images import blank, default_device, from_uint8, round_to_8bit
from .models import CHUNK, Classifier
from .objectives import Label, distance_to, logit, total_variation
from .optimize import optimize_pixels
from .pictures import DATA
from .steps import adam_step, unit_step
from .views import random_views

MEASURED = tuple(range(0, 1000, 10))  # the classes of the stored measurement: every tenth, so that nobody chose them
WALL = (
    "ostrich", "robin", "cheetah", "armadillo", "school bus", "goldfish",
    "monarch", "volcano", "pizza", "strawberry", "hummingbird", "peacock",
)  # fmt: skip


def priors(
    labels: Sequence[Label], size: int = 128, *, rate: float = 0.1, device: str | torch.device | None = None
) -> dict[str, dict]:
    """The choices of lesson 1 by name, each as arguments of `optimize_pixels`, for one image per label.

    rate: how fast waves move; a slow run with more steps has a softer contrast.
    """
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
    for begin in range(0, len(labels), CHUNK):
        choices = priors(labels[begin : begin + CHUNK], size, rate=rate, device=model.device)[prior]
        for frame in optimize_pixels(model, **choices, steps=steps):  # noqa: B007
            pass
        yield round_to_8bit(frame.image)


def recognised(first: Classifier, second: Classifier, images: Tensor, labels: Sequence[Label]) -> list[dict]:
    """One row per image (N, 3, H, W): what the network that drew it gives its class, and what a second one does.

    `rank` is the place of the class in the second network's order: 1 is its top class.
    """
    indices = [first.index(label) for label in labels]
    drew, judged = first.probabilities(images), second.probabilities(images)
    return [
        {
            "label": first.labels[index],
            "first": round(own[index].item(), 4),
            "second": round(other[index].item(), 4),
            "rank": 1 + (other > other[index]).sum().item(),
        }
        for index, own, other in zip(indices, drew, judged, strict=True)
    ]


def load_wall(device: str | torch.device | None = None) -> Tensor:
    """The stored pictures of the classes in `WALL`, (12, 3, 224, 224), made by `make_data wall`."""
    pixels = torch.from_numpy(np.array(Image.open(DATA / "wall.png"))).permute(2, 0, 1)[None]
    rows = from_uint8(pixels).split(224, 2)
    return torch.cat([image for row in rows for image in row.split(224, 3)]).to(device or default_device())
