"""What lesson 4 surveys in the space of images: three planes and straight lines, live or stored."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import data
from ..arguments import affordable, by_name, instance, one_of, seeded, usable_device, whole
from ..images import grey_levels
from ..models import CHUNK, Classifier
from ..regions import Extent, Plane, RegionMap, plane_through
from ..starts import PHOTOGRAPHS, load_image, photographs, uniform_noise

LINE_KINDS = ("corner to corner", "photograph to photograph")


class Survey(NamedTuple):
    """A plane, the part of it that is mapped (L2 units), and the named images (1, 3, H, W) on it."""

    plane: Plane
    extent: Extent
    images: dict[str, Tensor]

    @property
    def marks(self) -> dict[str, Tensor]:
        """The places (2,) of the named images."""
        places = self.plane.coordinates(torch.cat(list(self.images.values())))
        return dict(zip(self.images, places, strict=True))


def planes(model: Classifier) -> dict[str, Survey]:
    """The three planes of lesson 4: through photographs, through a fooled bus and noise, and close around the bus."""
    instance(Classifier, model=model)
    bus, robin, coffee = (load_image(name, device=model.device) for name in ("school_bus", "robin", "coffee"))
    noise = uniform_noise(device=model.device)
    # stored, because the loop magnifies rounding, so that every machine would find a different one
    fooled = data.read("fooled_bus").to(model.device)
    random = torch.randn(bus.shape, generator=torch.Generator().manual_seed(0)).to(bus)
    random = bus + random * (fooled - bus).norm() / random.norm()
    return {
        "photographs": _survey((-12, 70, -12, 84), bus=bus, robin=robin, coffee=coffee),
        "bus, fooled bus, noise": _survey((-3, 8, -20, 110), bus=bus, fooled=fooled, noise=noise),
        "around the bus": _survey((-4, 10, -7, 7), **{"bus": bus, "fooled": fooled, "random change": random}),
    }


def _survey(extent_in_grey_levels: Extent, **images: Tensor) -> Survey:
    plane = plane_through(*images.values())
    left, right, bottom, top = (edge / grey_levels(plane.origin) for edge in extent_in_grey_levels)
    return Survey(plane, (left, right, bottom, top), {name: image.clamp(0, 1) for name, image in images.items()})


def line_ends(kind: str, count: int, seed: int = 0, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """The first and the last images of `count` straight lines: two batches (count, 3, 224, 224).

    "corner to corner": every value is 0 or 1 at random at one end, and the opposite at the other; the middle is grey.
    "photograph to photograph": crops of two different photographs.
    """
    one_of(LINE_KINDS, kind=kind)
    whole(count=count)
    affordable(2 * int(count) * 3 * 224 * 224, f"count = {count} lines")
    count, generator, device = int(count), seeded(seed), usable_device(device)
    if kind == "corner to corner":
        begin = (torch.rand(count, 3, 224, 224, generator=generator) > 0.5).float()
        return begin.to(device), 1 - begin.to(device)
    crops = photographs(device=device).unflatten(0, (len(PHOTOGRAPHS), -1))
    first = torch.randint(len(crops), (count,), generator=generator)
    second = (first + torch.randint(1, len(crops), (count,), generator=generator)) % len(crops)
    which = torch.randint(crops.shape[1], (2, count), generator=generator)
    return crops[first, which[0]], crops[second, which[1]]


def along_line(model: Classifier, begin: Tensor, end: Tensor, count: int = 25) -> tuple[Tensor, Tensor]:
    """The top classes and their probabilities, (count,) each, on a straight line between two images (1, ...)."""
    instance(Classifier, model=model)
    for name, image in {"begin": begin, "end": end}.items():
        model.validate(image, name)
        if len(image) != 1 or image.shape != begin.shape:
            raise ValueError(
                f"begin and end must be two single images of the same shape, got {tuple(begin.shape)} and "
                f"{tuple(image.shape)}"
            )
    whole(count=count)
    count = int(count)
    affordable(count * begin.numel(), f"count = {count} images on a line")
    shares = torch.linspace(0, 1, count, device=begin.device)
    parts = [begin + (end - begin) * share.view(-1, 1, 1, 1) for share in shares.split(CHUNK)]
    probabilities = torch.cat([model.probabilities(part.clamp(0, 1)) for part in parts])
    confidence, labels = probabilities.max(1)
    return labels.cpu(), confidence.cpu()


def save_maps(maps: dict[str, RegionMap]) -> None:
    """Store complete maps in one small file of plain arrays."""
    by_name(RegionMap, maps=maps)
    arrays: dict[str, np.ndarray] = {}
    for name, found in maps.items():
        arrays[f"{name}/labels"] = found.labels.numpy().astype(np.uint16)
        arrays[f"{name}/confidence"] = found.confidence.numpy().astype(np.float16)
        arrays[f"{name}/extent"] = np.array(found.extent)
    np.savez_compressed(data.FOLDER / "maps.npz", **arrays)


def stored_maps() -> dict[str, RegionMap]:
    """The maps of 96 x 96 images that `python -m fooling_utils.data.make maps` made."""
    arrays = data.read("maps")
    names = dict.fromkeys(key.rpartition("/")[0] for key in arrays)
    return {
        name: RegionMap(labels, confidence, torch.ones_like(labels, dtype=torch.bool), extent)
        for name in names
        for labels, confidence in [_answers(arrays, name)]
        for extent in [tuple(arrays[f"{name}/extent"].tolist())]
    }


def stored_lines() -> dict[str, tuple[Tensor, Tensor]]:
    """Top classes and probabilities, (lines, places) each, made by `python -m fooling_utils.data.make lines`."""
    arrays = data.read("lines")
    return {kind: _answers(arrays, kind) for kind in LINE_KINDS}


def _answers(arrays: Mapping[str, np.ndarray], name: str) -> tuple[Tensor, Tensor]:
    labels, confidence = arrays[f"{name}/labels"], arrays[f"{name}/confidence"]
    return torch.tensor(labels.astype(np.int64)), torch.tensor(confidence.astype(np.float32))
