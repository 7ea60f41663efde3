"""One change, or one patch, for all pictures: views for the loop, whose variable is the change itself."""

import torch
from torch import Tensor

from ..arguments import instance, whole
from ..images import validate_images
from ..views import View


def add_to_all(scenes: Tensor, count: int = 8) -> View:
    """A view for one change to all pictures. The variable (1, 3, H, W) is the change around grey; 0.5 means no change.

    scenes: images (S, 3, H, W); each frame shows `count` of them at random, changed.
    Source: Moosavi-Dezfooli and others 2017, arXiv 1610.08401 (universal perturbations).
    """

    _check(scenes, count)

    def view(change: Tensor, generator: torch.Generator) -> Tensor:
        return _added(scenes[_some(scenes, count, generator)], change)

    return view


def universally(images: Tensor, change: Tensor) -> Tensor:
    """Images (N, 3, H, W) with the same change (1, 3, H, W), given around grey, added to all."""
    validate_images(images, None, name="images")
    validate_images(change, None, name="change")
    return _added(images, change)


def _added(images: Tensor, change: Tensor) -> Tensor:
    if change.shape != images[:1].shape or change.device != images.device:
        raise ValueError(
            f"change must have the shape {tuple(images[:1].shape)} and be on {images.device}, "
            f"got {tuple(change.shape)} on {change.device}"
        )
    return (images + change - 0.5).clamp(0, 1)


def lay_on_all(scenes: Tensor, count: int = 8) -> View:
    """A view for a patch: the variable (1, 3, h, w) lies on `count` of the scenes (S, 3, H, W), anywhere.

    Source: Brown and others 2017, arXiv 1712.09665 (adversarial patch), without rotation and scaling.
    """

    _check(scenes, count)

    def view(patch: Tensor, generator: torch.Generator) -> Tensor:
        return _covered(scenes[_some(scenes, count, generator)], patch, generator)

    return view


def patched(images: Tensor, patch: Tensor, generator: torch.Generator) -> Tensor:
    """Copies of images (N, 3, H, W), each with the patch (1, 3, h, w) at a random place inside it."""
    validate_images(images, None, name="images")
    validate_images(patch, None, name="patch")
    instance(torch.Generator, generator=generator)
    return _covered(images, patch, generator)


def _covered(images: Tensor, patch: Tensor, generator: torch.Generator) -> Tensor:
    if len(patch) != 1 or patch.shape[1] != images.shape[1] or patch.device != images.device:
        raise ValueError(
            f"patch must be like the images (scenes), (1, {images.shape[1]}, h, w) on {images.device}, got "
            f"{tuple(patch.shape)} on {patch.device}"
        )
    height, width = patch.shape[2:]
    room = torch.tensor([images.shape[2] - height, images.shape[3] - width])
    if room.min() < 0:
        raise ValueError(f"a patch of {height} x {width} does not fit into images of {tuple(images.shape[2:])}")
    share = torch.rand(len(images), 2, generator=generator, device=generator.device).cpu()
    covered = images.clone()
    for i, (top, left) in enumerate((share * (room + 1)).long().tolist()):
        covered[i, :, top : top + height, left : left + width] = patch[0]
    return covered


def _check(scenes: Tensor, count: int) -> None:
    validate_images(scenes, None, name="scenes")
    whole(1, 10_000, count=count)


def _some(scenes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(len(scenes), (int(count),), generator=generator, device=generator.device)
