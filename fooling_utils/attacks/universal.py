"""One change, or one patch, for all pictures: views for the loop, whose variable is the change itself."""

import torch
from torch import Tensor

from ..views import View


def add_to_all(scenes: Tensor, count: int = 8) -> View:
    """A view for one change to all pictures. The variable (1, 3, H, W) is the change around grey; 0.5 means no change.

    scenes: images (S, 3, H, W); each frame shows `count` of them at random, changed.
    Source: Moosavi-Dezfooli and others 2017, arXiv 1610.08401 (universal perturbations).
    """

    def view(change: Tensor, generator: torch.Generator) -> Tensor:
        return universally(scenes[_some(scenes, count, generator)], change)

    return view


def universally(images: Tensor, change: Tensor) -> Tensor:
    """Images (N, 3, H, W) with the same change (1, 3, H, W), given around grey, added to all."""
    return (images + change - 0.5).clamp(0, 1)


def lay_on_all(scenes: Tensor, count: int = 8) -> View:
    """A view for a patch: the variable (1, 3, h, w) lies on `count` of the scenes (S, 3, H, W), anywhere.

    Source: Brown and others 2017, arXiv 1712.09665 (adversarial patch), without rotation and scaling.
    """

    def view(patch: Tensor, generator: torch.Generator) -> Tensor:
        return patched(scenes[_some(scenes, count, generator)], patch, generator)

    return view


def patched(images: Tensor, patch: Tensor, generator: torch.Generator) -> Tensor:
    """Copies of images (N, 3, H, W), each with the patch (1, 3, h, w) at a random place inside it."""
    height, width = patch.shape[2:]
    room = torch.tensor([images.shape[2] - height, images.shape[3] - width])
    if room.min() < 0:
        raise ValueError(f"a patch of {height} x {width} does not fit into images of {tuple(images.shape[2:])}")
    share = torch.rand(len(images), 2, generator=generator, device=generator.device).cpu()
    covered = images.clone()
    for i, (top, left) in enumerate((share * (room + 1)).long().tolist()):
        covered[i, :, top : top + height, left : left + width] = patch[0]
    return covered


def _some(scenes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(len(scenes), (count,), generator=generator, device=generator.device)
