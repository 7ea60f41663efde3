"""What two lessons need: the opinion of a second network, and stored rows of pictures."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import data
from ..arguments import instance, one_of, several, tensors, usable_device, whole
from ..models import Classifier
from ..objectives import Label

STRIPS = {  # pictures of lessons 1 and 3, from a full prior to none
    "lesson 1": ("waves and views", "waves", "total variation", "L2 decay", "none"),
    "lesson 3": ("d = 1.3", "d = 0.7", "d = 0, no views", "pixels", "from noise"),
}


def recognised(first: Classifier, second: Classifier, images: Tensor, labels: Sequence[Label]) -> list[dict]:
    """One row per image (N, 3, H, W): the probability of its class by the network that drew it, and by a second one.

    `rank` is the place of the class in the second network's ranking; 1 is its top class.
    """
    instance(Classifier, first=first, second=second)
    several(labels=labels)
    first.validate(images, "images")
    if len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels are given for {len(images)} images: name one for each")
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


def load_strip(lesson: str, device: str | torch.device | None = None) -> dict[str, Tensor]:
    """Robins from a full prior to none, one of `STRIPS`: images (1, 3, 128, 128) by name (`data.make strips`)."""
    one_of(STRIPS, lesson=lesson)
    images = squares(data.read(f"robins_{lesson}".replace(" ", "_")), 128).to(usable_device(device))
    return dict(zip(STRIPS[lesson], images.split(1), strict=True))


def squares(picture: Tensor, size: int) -> Tensor:
    """The images (N, 3, size, size) that one picture (1, 3, H, W) holds in rows."""
    tensors(picture=picture)
    whole(size=size)
    size = int(size)
    if picture.ndim != 4 or picture.shape[2] % size or picture.shape[3] % size:
        raise ValueError(f"picture must have a height and width that size = {size} divides, got {tuple(picture.shape)}")
    return torch.cat([image for row in picture.split(size, 2) for image in row.split(size, 3)])
