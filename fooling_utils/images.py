"""The format of images, (N, 3, H, W) float32 in [0, 1], conversion to and from 8 bits, and distances between images."""

import io
import os
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .arguments import whole


def default_device() -> torch.device:
    """A CUDA GPU if there is one, else the CPU: the default for models and images."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def validate_images(
    images: Tensor, bounds: tuple[float, float] | None = (0.0, 1.0), dimensions: int = 3, name: str = "image"
) -> None:
    """Raise unless `images` is a batch of at least one legal image; the message says what to do about it."""
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(images).__name__}: use load_image({name})")
    limits = f" in [{bounds[0]:g}, {bounds[1]:g}]" if bounds else ""
    if images.dtype != torch.float32:
        top = f" with maximum {images.max()}" if images.numel() and images.device.type != "meta" else ""
        way = f"fooling_utils.from_uint8({name})" if images.dtype == torch.uint8 else f"{name}.float()"
        raise TypeError(f"{name} must be float32{limits}, got {images.dtype}{top}: use {way}")
    if images.ndim != dimensions + 1:
        shape = "(N, 3, H, W)" if dimensions == 3 else f"(N, ...) with {dimensions + 1} dimensions"
        way = f"{name}[None] makes a batch of one" if images.ndim == dimensions else "the first dimension is the batch"
        raise ValueError(f"{name} must have the shape {shape}, got {tuple(images.shape)}: {way}")
    if not images.numel():
        raise ValueError(f"{name} is empty: its shape is {tuple(images.shape)}")
    if images.device.type == "meta":
        return
    low, high = (value.item() for value in images.aminmax())
    if not np.isfinite([low, high]).all():
        bad = images.isfinite().logical_not().sum().item()
        raise ValueError(f"{name} has {bad} values that are NaN or infinite")
    if bounds and (low < bounds[0] or high > bounds[1]):
        raise ValueError(
            f"{name} must be{limits}, got {low:.4g} to {high:.4g}: use {name}.clamp({bounds[0]:g}, {bounds[1]:g})"
        )


def to_uint8(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] as they would be saved: uint8, each value rounded to one of 256 grey levels."""
    validate_images(images)
    return (images * 255).round().to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Images of uint8, as read from a file, as float32 in [0, 1]."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, got {images.dtype}")
    return images.float() / 255


def round_to_8bit(images: Tensor) -> Tensor:
    """The images after saving them as PNG and loading them again. Only then does an image count as fooled."""
    validate_images(images)
    return (images * 255).round_().div_(255)  # the same as from_uint8(to_uint8(images)), in a third of the time


def to_pil(image: Tensor) -> Image.Image:
    """One image (1, 3, H, W) as a PIL picture."""
    if len(image) != 1:
        raise ValueError(f"to_pil takes one image, got {len(image)}: use image[i : i + 1]")
    return Image.fromarray(to_uint8(image)[0].permute(1, 2, 0).cpu().numpy())


def from_pil(picture: Image.Image) -> Tensor:
    """A PIL picture in RGB as an image (1, 3, H, W)."""
    return from_uint8(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])


def save_png(image: Tensor, path: str | os.PathLike | BinaryIO) -> None:
    """Write one image (1, 3, H, W) to a PNG file; `load_image(path, size=H)` returns what `round_to_8bit` does."""
    to_pil(image).save(path, format="PNG")


def through_jpeg(images: Tensor, quality: int = 75) -> Tensor:
    """The images after saving them as JPEG with this quality (1 to 95) and loading them again."""
    whole(1, 95, quality=quality)

    def one(image: Tensor) -> Tensor:
        file = io.BytesIO()
        to_pil(image).save(file, format="JPEG", quality=quality)
        return from_pil(Image.open(file))

    return torch.cat([one(image) for image in images.split(1)]).to(images.device)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """One value per member of a batch (N,), shaped so that it multiplies `like` (N, ...)."""
    return values.view(-1, *[1] * (like.ndim - 1))


def norms(images: Tensor) -> Tensor:
    """The L2 norm of each member of a batch (N, ...): (N,)."""
    return torch.linalg.vector_norm(images.flatten(1), dim=1)


class Distances(NamedTuple):
    """How far apart two images are. One grey level is 1/255 of the range from black to white."""

    l2: float
    linf_grey_levels: float
    rms_grey_levels: float
    changed_share: float
    ssim: float


def distances(original: Tensor, image: Tensor) -> Distances:
    """How far one image (1, 3, H, W) is from another, by the usual measures.

    l2: the Euclidean norm of the change, with values from 0 to 1.
    linf_grey_levels, rms_grey_levels: the largest change of a value, and the root mean square, in grey levels.
    changed_share: the share of the values that differ once both are rounded to 8 bit.
    ssim: structural similarity, 1 for equal images. Source: Wang et al. 2004; computed by scikit-image.
    Raises ValueError unless both are single images of the same shape, large enough for SSIM (3 x 3 pixels).
    """
    from skimage.metrics import structural_similarity

    validate_images(original, name="original")
    validate_images(image)
    if original.shape != image.shape or len(image) != 1 or min(image.shape[2:]) < 3:
        raise ValueError(
            "distances compares two single images of at least 3 x 3 pixels, got shapes "
            f"{tuple(original.shape)} and {tuple(image.shape)}"
        )
    change = (image - original).double()
    as_array = [one[0].permute(1, 2, 0).cpu().numpy() for one in (original, image)]
    window = min(7, (min(image.shape[2:]) - 1) // 2 * 2 + 1)
    return Distances(
        l2=change.norm().item(),
        linf_grey_levels=255 * change.abs().max().item(),
        rms_grey_levels=255 * change.square().mean().sqrt().item(),
        changed_share=(to_uint8(original) != to_uint8(image)).double().mean().item(),
        ssim=float(structural_similarity(*as_array, channel_axis=2, data_range=1.0, win_size=window)),
    )


def grey_levels(image: Tensor) -> float:
    """How many grey levels (RMS) correspond to an L2 distance of 1 for images of this shape."""
    return 255 / image[0].numel() ** 0.5
