"""The format of images, (N, 3, H, W) float32 in [0, 1], conversion to and from 8 bits, and distances between images."""

import io
import os
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .arguments import shown, tensors, whole
from .files import replacing


def validate_images(
    images: Tensor, bounds: tuple[float, float] | None = (0.0, 1.0), dimensions: int = 3, name: str = "image"
) -> None:
    """Raise unless `images` is a batch of at least one legal image; the message says what to do about it."""
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(images).__name__}: use load_image({name})")
    if images.layout != torch.strided:
        raise TypeError(f"{name} is a sparse tensor: use {name}.to_dense()")
    limits = f" in [{bounds[0]:g}, {bounds[1]:g}]" if bounds else ""
    if images.dtype != torch.float32:
        countable = images.numel() and images.device.type != "meta" and not images.is_complex()
        top = f" with maximum {images.max()}" if countable else ""
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
        raise ValueError(f"{name} must be{limits}, got {low:.4g} to {high:.4g}: {_way_back(low, high, bounds, name)}")


def _way_back(low: float, high: float, bounds: tuple[float, float], name: str) -> str:
    """What values outside the legal range probably are, and how they come back into it."""
    over = max(bounds[0] - low, high - bounds[1]) / (bounds[1] - bounds[0])
    if over <= 0.05 or (bounds != (0, 1) and over <= 0.5):
        return f"use {name}.clamp({bounds[0]:g}, {bounds[1]:g})"
    if bounds != (0, 1):
        return f"scale it to the bounds, from {bounds[0]:g} for black to {bounds[1]:g} for white"
    if low >= 0 and 2 < high <= 255:
        return f"these are grey levels from 0 to 255, so use {name} / 255"
    if low >= 0 and 4096 <= high <= 65535:
        return f"these are grey levels from 0 to 65535, so use {name} / 65535"
    if low >= -1 and high <= 1:
        return f"these are values from -1 to 1, so use ({name} + 1) / 2"
    if -3 <= low < 0 and high <= 3:
        return (
            "these look normalised with a mean and a standard deviation, which the networks of the course do by "
            f"themselves: leave it out, or use {name} * std + mean"
        )
    if over > 0.5:
        return "scale it, so that 0 is black and 1 is white"
    return f"use {name}.clamp(0, 1) to cut off the rest, or scale it"


def to_uint8(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] as they would be saved: uint8, each value rounded to one of 256 grey levels."""
    validate_images(images)
    return (images * 255).round().to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Images of uint8, as read from a file, as float32 in [0, 1]."""
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        raise TypeError(f"images must be a tensor of uint8, got {shown(images)}")
    return images.float() / 255


def round_to_8bit(images: Tensor) -> Tensor:
    """The images after saving them as PNG and loading them again. Only then does an image count as fooled."""
    validate_images(images)
    return (images * 255).round_().div_(255)  # the same as from_uint8(to_uint8(images)), in a third of the time


def to_pil(image: Tensor) -> Image.Image:
    """One image (1, 3, H, W), or (1, 1, H, W) in grey, as a PIL picture."""
    levels = to_uint8(image)
    tensors(image=image)
    if len(levels) != 1 or levels.shape[1] not in (1, 3):
        way = "use image[i : i + 1]" if len(levels) > 1 else "a picture has three colours or is grey"
        raise ValueError(f"a picture is one image (1, 3, H, W) or (1, 1, H, W), got {tuple(image.shape)}: {way}")
    pixels = levels[0].permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def from_pil(picture: Image.Image) -> Tensor:
    """A PIL picture in RGB as an image (1, 3, H, W); one in grey (L) as (1, 1, H, W)."""
    if not isinstance(picture, Image.Image) or picture.mode not in ("RGB", "L"):
        raise TypeError(f"picture must be a PIL image in RGB or L, got {shown(picture)}: use load_image(picture)")
    return from_uint8(torch.from_numpy(np.array(picture)).view(*picture.size[::-1], -1).permute(2, 0, 1)[None])


def save_png(image: Tensor, path: str | os.PathLike | BinaryIO) -> None:
    """Write one image (1, 3, H, W), or (1, 1, H, W) in grey, to a PNG file; the old file stays until it is complete.

    path: of the file, or an open binary file. `load_image(path, size=H)` returns what `round_to_8bit` does.
    """
    picture = to_pil(image)
    if isinstance(path, io.TextIOBase):
        raise TypeError(f"path must be of a file, or an open binary file, got {shown(path)}: use open(..., 'wb')")
    if hasattr(path, "write"):
        return picture.save(path, format="PNG")
    with replacing(path) as file:
        picture.save(file, format="PNG")


def through_jpeg(images: Tensor, quality: int = 75) -> Tensor:
    """The images (N, 3 or 1, H, W) after saving them as JPEG with this quality (1 to 95) and loading them again."""
    whole(1, 95, quality=quality)
    validate_images(images, name="images")
    quality = int(quality)

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
    tensors(original=original, image=image)
    if original.shape != image.shape or len(image) != 1 or min(image.shape[2:]) < 3:
        raise ValueError(
            "distances compares two single images of at least 3 x 3 pixels, got shapes "
            f"{tuple(original.shape)} and {tuple(image.shape)}"
        )
    original, image = original.detach(), image.detach().to(original.device)
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
    validate_images(image, bounds=None)
    return 255 / image[0].numel() ** 0.5
