"""Which class a network gives to each place, in a plane of points or on a plane through the space of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .arguments import affordable, between, finite, function, instance, shown, tensors, whole
from .images import per_image
from .models import CHUNK, Classifier
from .objectives import Label
from .optimize import last
from .steps import unit_vectors

Extent = tuple[float, float, float, float]

# -------------------------------------------------------------------------------------------------- maps of regions


class RegionMap(NamedTuple):
    """The most probable class and its probability on a grid, with row 0 at the bottom; the grid includes the borders.

    labels, confidence, exact: (rows, columns); `exact` is true where the value was computed, not filled in.
    extent: left, right, bottom, top.
    """

    labels: Tensor
    confidence: Tensor
    exact: Tensor
    extent: Extent


def grid_points(extent: Extent, size: int) -> Tensor:
    """The places of a map, (size, size, 2), starting at the bottom left and including the borders."""
    if not isinstance(extent, (tuple, list)) or len(extent) != 4:
        raise ValueError(f"extent must be four numbers: left, right, bottom, top, got {shown(extent)}")
    for edge in extent:
        finite(**{"each of extent": edge})
    whole(0, size=size)
    size = int(size)
    affordable(10 * size**2, f"a map of size {size} x {size}")
    left, right, bottom, top = extent
    if not (left < right and bottom < top and size >= 2):
        raise ValueError(f"a map needs left < right, bottom < top and a size of 2 or more, got {extent} and {size}")
    y, x = torch.meshgrid(torch.linspace(bottom, top, size), torch.linspace(left, right, size), indexing="ij")
    return torch.stack([x, y], 2)


def refine_map(
    predict: Callable[[Tensor], Tensor], extent: Extent, size: int, *, coarse: int = 8, sure: float | None = None
) -> Iterator[RegionMap]:
    """Maps of one area, from coarse to fine. Each map covers the whole area, and the last one has every point.

    predict: from points (N, 2) to probabilities (N, classes), such as `model.probabilities` or `on_plane(...)`.
    coarse: the first map computes every `coarse`-th row and column, the next one twice as many, until all are computed.
    sure: a point whose four computed neighbours agree, all with at least this probability, is filled in from them
        instead of computed; `None` computes everything.
    """
    function(predict=predict)
    whole(coarse=coarse)
    between(0, 1, sure=0 if sure is None else sure)
    grid = grid_points(extent, size)
    size, coarse = int(size), int(coarse)

    def answers(points: Tensor) -> tuple[Tensor, Tensor]:
        found = predict(points)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(points) or not found.numel():
            raise TypeError(f"predict must return probabilities ({len(points)}, classes), got {shown(found)}")
        return found.detach().max(1)

    def maps() -> Iterator[RegionMap]:
        stride = min(coarse, size - 1)
        labels, confidence = torch.zeros(size, size, dtype=torch.long), torch.zeros(size, size)
        known = exact = torch.zeros(size, size, dtype=torch.bool)
        lines = None
        while stride >= 1:
            coarser, lines = lines, torch.tensor([*range(0, size - 1, stride), size - 1])
            wanted = torch.zeros_like(known)
            wanted[lines[:, None], lines] = True
            wanted &= ~known
            if sure is not None and coarser is not None:
                wanted, labels, confidence = _fill(wanted, labels, confidence, coarser, sure)
            if wanted.any():
                confidence[wanted], labels[wanted] = (part.cpu() for part in answers(grid[wanted]))
            exact = exact | wanted
            known[lines[:, None], lines] = True
            nearest = lines[(torch.arange(size)[:, None] - lines).abs().argmin(1)]
            place = nearest[:, None], nearest
            yield RegionMap(labels[place], confidence[place], exact.clone(), extent)
            stride = stride // 2 if stride % 2 == 0 else min(stride - 1, 1)  # the finer lines include the coarser

    return maps()


def _fill(
    wanted: Tensor, labels: Tensor, confidence: Tensor, coarser: Tensor, sure: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill in the wanted points whose four neighbours on the coarser lines agree; the others stay wanted."""
    every = torch.arange(len(labels))
    above = torch.searchsorted(coarser, every).clamp_min(1)
    low, high = coarser[above - 1], coarser[above]
    share = (every - low) / (high - low)
    corners = [(rows[:, None], columns) for rows in (low, high) for columns in (low, high)]
    corner_labels = torch.stack([labels[corner] for corner in corners])
    corner_confidence = torch.stack([confidence[corner] for corner in corners])
    agree = (corner_labels == corner_labels[0]).all(0) & (corner_confidence.amin(0) >= sure)
    weights = [a[:, None] * b for a in (1 - share, share) for b in (1 - share, share)]
    blended = (torch.stack(weights) * corner_confidence).sum(0)
    filled = wanted & agree
    return wanted & ~agree, torch.where(filled, corner_labels[0], labels), torch.where(filled, blended, confidence)


def region_map(predict: Callable[[Tensor], Tensor], extent: Extent, size: int = 100) -> RegionMap:
    """The whole map at once, with every point computed."""
    return last(refine_map(predict, extent, size, coarse=1))


# ---------------------------------------------------------------------------------- planes through the space of images


@dataclass(frozen=True)
class Plane:
    """A plane in the space of images: `origin`, and two directions of L2 length 1 at right angles, (1, 3, H, W)."""

    origin: Tensor
    across: Tensor
    up: Tensor

    def images(self, points: Tensor) -> Tensor:
        """The images (N, 3, H, W) at points (N, 2); distances are kept, and values may leave [0, 1]."""
        if not isinstance(points, Tensor) or points.ndim != 2 or points.shape[1] != 2 or points.is_complex():
            raise ValueError(f"points must have the shape (N, 2), got {shown(points)}")
        axes = torch.cat([self.across, self.up]).flatten(1)
        images = torch.addmm(self.origin.flatten(1), points.to(self.origin), axes)
        return images.view(-1, *self.origin.shape[1:])

    def coordinates(self, images: Tensor) -> Tensor:
        """The points (N, 2) of the plane that are nearest to images (N, 3, H, W)."""
        tensors(images=images)
        if images.shape[1:] != self.origin.shape[1:]:
            raise ValueError(
                f"images must be like the origin of the plane, {tuple(self.origin.shape)}, got {tuple(images.shape)}"
            )
        change = (images - self.origin).flatten(1).double()
        return torch.stack([change @ axis.flatten().double() for axis in (self.across, self.up)], 1).float().cpu()


def plane_through(first: Tensor, second: Tensor, third: Tensor) -> Plane:
    """The plane through three images (1, 3, H, W): the first at (0, 0), the second to its right, the third above.

    Raises ValueError if the images have different shapes or lie on one line.
    """
    tensors(first=first, second=second, third=third)
    if len({image.device for image in (first, second, third)}) > 1:
        raise ValueError("first, second and third must be on one device: use image.to(model.device)")
    first, second, third = first.detach(), second.detach(), third.detach()
    shapes = [tuple(image.shape) for image in (first, second, third)]
    if len(set(shapes)) > 1 or shapes[0][:1] != (1,):
        raise ValueError(f"a plane goes through three single images of one shape (1, 3, H, W), got {shapes}")
    across, up = (second - first).double(), (third - first).double()
    length = across.norm()
    if not length > 1e-6:
        raise ValueError("the first and the second image are the same: a plane needs three different images")
    across = across / length
    beside = up - (up * across).sum() * across
    if not beside.norm() > 1e-5 * max(length, up.norm()):
        raise ValueError("the three images lie on one line: choose a third one that is not a mixture of the other two")
    return Plane(first, across.to(first), (beside / beside.norm()).to(first))


def on_plane(model: Classifier, plane: Plane) -> Callable[[Tensor], Tensor]:
    """From points (N, 2) to the probabilities (N, classes) of the images there, clipped to what a picture can show."""

    instance(Classifier, model=model)
    instance(Plane, plane=plane)

    def predict(points: Tensor) -> Tensor:
        chunks = points.split(CHUNK)  # the images of a whole map would take gigabytes
        return torch.cat([model.probabilities(model.clip(plane.images(chunk))) for chunk in chunks])

    return predict


def boundary_distance(
    model: Classifier,
    image: Tensor,
    directions: Tensor,
    distances: Tensor,
    target: Label | None = None,
    *,
    halvings: int = 8,
) -> Tensor:
    """The distance (L2) from one image (1, ...) along each direction (K, ...) to another class: (K,).

    distances: where to look, increasing. The interval from the last place inside to the first outside is then halved.
    target: look for the first place of this class instead. Images are clipped to what a picture can show.
    The distance is infinite where there is no such place. A stretch shorter than the gaps in `distances` can be missed.
    """
    instance(Classifier, model=model)
    model.validate(image)
    tensors(directions=directions, distances=distances)
    if len(image) != 1 or directions.shape[1:] != image.shape[1:] or directions.device != image.device:
        raise ValueError(
            f"boundary_distance takes one image (1, ...) and directions (K, ...) like it, got {tuple(image.shape)} and "
            f"directions {tuple(directions.shape)} on {directions.device}"
        )
    if distances.ndim != 1 or distances[0] < 0 or not (distances.diff() > 0).all():
        raise ValueError(f"distances must be a list of increasing numbers, none below 0, got {shown(distances)}")
    whole(0, halvings=halvings)
    image, directions = image.detach(), unit_vectors(directions.detach().to(image))
    own = model.index(target) if target is not None else model.top(image, 1)[0].index

    def reached(chosen: Tensor, far: Tensor) -> Tensor:
        places = model.clip(image + per_image(far, image) * directions[chosen])
        return (model.probabilities(places).argmax(1) == own) == (target is not None)

    inside, outside = torch.zeros(len(directions)).to(image), torch.full((len(directions),), torch.inf).to(image)
    for distance in distances.to(image):
        (chosen,) = outside.isinf().nonzero(as_tuple=True)
        if not len(chosen):
            break
        there = reached(chosen, distance.expand(len(chosen)))
        outside[chosen[there]], inside[chosen[~there]] = distance, distance
    (chosen,) = outside.isfinite().nonzero(as_tuple=True)
    for _ in range(halvings if len(chosen) else 0):
        middle = (inside[chosen] + outside[chosen]) / 2
        there = reached(chosen, middle)
        outside[chosen[there]], inside[chosen[~there]] = middle[there], middle[~there]
    return outside
