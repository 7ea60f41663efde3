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


STRIPS = {  # the pictures of lessons 1 and 3 that go from a full prior to none
    "lesson 1": ("waves and views", "waves", "total variation", "L2 decay", "none"),
    "lesson 3": ("d = 1.3", "d = 0.7", "d = 0, no views", "pixels", "from noise"),
}


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
    return _squares("wall.png", 224).to(device or default_device())


def load_strip(lesson: str, device: str | torch.device | None = None) -> dict[str, Tensor]:
    """Robins from a full prior to none, one of `STRIPS`: images (1, 3, 128, 128) by name (`make_data strips`)."""
    if lesson not in STRIPS:
        raise ValueError(f"there is no strip of {lesson!r}: choose from {', '.join(STRIPS)}")
    images = _squares(f"robins {lesson}.png".replace(" ", "_"), 128).to(device or default_device())
    return dict(zip(STRIPS[lesson], images.split(1), strict=True))


def _squares(file: str, size: int) -> Tensor:
    pixels = torch.from_numpy(np.array(Image.open(DATA / file))).permute(2, 0, 1)[None]
    return torch.cat([image for row in from_uint8(pixels).split(size, 2) for image in row.split(size, 3)])
