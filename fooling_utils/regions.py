"""Which class a network gives to which place: in a plane of points, and on planes through the space of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .images import per_image
from .models import CHUNK, Classifier
from .objectives import Label
from .steps import unit_vectors

PLANE_LABELS = ("cheetah", "robin", "armadillo")
PRESETS = ("blobs", "moons", "rings", "spiral")
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}

Extent = tuple[float, float, float, float]

# ------------------------------------------------------------------------------------------ small networks, a plane


class Points(NamedTuple):
    """Training points in the plane: where they are, (N, 2), and their classes, (N,), whole numbers from 0."""

    places: Tensor
    labels: Tensor


def plane_points(preset: str = "blobs", count: int = 30, classes: int = 3, seed: int = 0) -> Points:
    """Points in the square from -1 to 1, `count` per class: "blobs", "moons" (two classes), "rings" or "spiral"."""
    if preset not in PRESETS:
        raise ValueError(f"no preset is called {preset!r}: choose from {', '.join(PRESETS)}")
    if not 2 <= classes <= len(PLANE_LABELS) or count < 1:
        raise ValueError(f"classes must be 2 or {len(PLANE_LABELS)} and count at least 1, got {classes} and {count}")
    generator = torch.Generator().manual_seed(seed)
    classes = 2 if preset == "moons" else classes
    labels = torch.arange(classes).repeat_interleave(count)
    along = torch.linspace(0, 1, count).repeat(classes)
    turn = 2 * torch.pi * labels / classes
    noise = torch.randn(len(labels), 2, generator=generator)
    if preset == "blobs":
        places = 0.6 * _circle(turn + torch.pi / 2) + 0.15 * noise
    elif preset == "moons":
        places = 0.6 * _circle(torch.pi * (along + labels)) + torch.stack([0.6 * labels - 0.3, 0.3 * labels - 0.15], 1)
        places = places + 0.05 * noise
    elif preset == "rings":
        radius = 0.15 + 0.7 * labels / (classes - 1)
        places = radius[:, None] * _circle(2 * torch.pi * along) + 0.04 * noise
    else:
        places = (0.08 + 0.82 * along)[:, None] * _circle(turn + 4.5 * along) + 0.02 * noise
    return Points(places, labels)


def _circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def plane_net(
    hidden: int = 32, depth: int = 2, activation: str = "relu", *, classes: int = 3, seed: int = 0
) -> nn.Sequential:
    """A network from points (N, 2) to logits (N, classes), with `depth` layers of `hidden` units; untrained."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"no activation is called {activation!r}: choose from {', '.join(ACTIVATIONS)}")
    if hidden < 1 or depth < 1:
        raise ValueError(f"hidden and depth must be at least 1, got {hidden} and {depth}")
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for size in [2, *[hidden] * (depth - 1)]:
            layers += [nn.Linear(size, hidden), ACTIVATIONS[activation]()]
        return nn.Sequential(*layers, nn.Linear(hidden, classes))


def train(
    net: nn.Module,
    points: Points,
    *,
    rate: float = 0.01,
    weight_decay: float = 0.0,
    optimizer: torch.optim.Optimizer | None = None,
) -> Iterator[float]:
    """Train `net` in place on all points at once: with every step of Adam comes the loss before it, without an end.

    weight_decay: how strongly the squared weights are punished.
    optimizer: one that has trained this network before, to go on with it; rate and weight_decay are then its own.
    Raises ValueError for no points, or for points of one class only.
    """
    if points.labels.unique().numel() < 2:
        raise ValueError(
            f"there are {len(points.labels)} points of {points.labels.unique().numel()} classes: "
            "training needs points of two classes"
        )
    return _train(net, points, optimizer or torch.optim.Adam(net.parameters(), rate, weight_decay=weight_decay))


def _train(net: nn.Module, points: Points, optimizer: torch.optim.Optimizer) -> Iterator[float]:
    while True:
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(net(points.places), points.labels)
            gradients = torch.autograd.grad(loss, list(net.parameters()))
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        yield loss.item()


def trained(points: Points, *args, steps: int = 500, weight_decay: float = 0.0, **kwargs) -> Classifier:
    """A `plane_net(*args, **kwargs)` after `steps` steps of training, as a frozen `Classifier` of points."""
    net = plane_net(*args, **kwargs)
    for _, _loss in zip(range(steps), train(net, points, weight_decay=weight_decay), strict=False):
        pass
    return plane_classifier(net)


def plane_classifier(net: nn.Sequential) -> Classifier:
    """A copy of a `plane_net`, frozen, for `optimize_pixels`: an "image" is a point of the plane, (N, 2)."""
    return Classifier(net.eval(), PLANE_LABELS[: net[-1].out_features], (2,), None)


# -------------------------------------------------------------------------------------------------- maps of regions


class RegionMap(NamedTuple):
    """The most probable class and its probability on a grid; row 0 is at the bottom, and the borders belong to it.

    labels, confidence, exact: (rows, columns); `exact` tells what was computed and not filled in.
    extent: left, right, bottom, top.
    """

    labels: Tensor
    confidence: Tensor
    exact: Tensor
    extent: Extent


def grid_points(extent: Extent, size: int) -> Tensor:
    """The places of a map, (size, size, 2), from the bottom left, with the borders."""
    left, right, bottom, top = extent
    if not (left < right and bottom < top and size >= 2):
        raise ValueError(f"a map needs left < right, bottom < top and a size of 2 or more, got {extent} and {size}")
    y, x = torch.meshgrid(torch.linspace(bottom, top, size), torch.linspace(left, right, size), indexing="ij")
    return torch.stack([x, y], 2)


def refine_map(
    predict: Callable[[Tensor], Tensor], extent: Extent, size: int, *, coarse: int = 8, sure: float | None = None
) -> Iterator[RegionMap]:
    """Maps of the same place, coarse to fine; each is whole, the last has every point.

    predict: from points (N, 2) to probabilities (N, classes), such as `model.probabilities` or `on_plane(...)`.
    coarse: the first map computes every `coarse`-th row and column, the next one twice as many, down to all of them.
    sure: where four computed neighbours around a point agree and all have this probability, it is filled in from
        them and not computed; `None` computes everything.
    """
    if coarse < 1 or (sure is not None and not 0 <= sure <= 1):
        raise ValueError(f"coarse must be at least 1 and sure between 0 and 1, got {coarse} and {sure}")
    return _refine(predict, grid_points(extent, size), extent, coarse, sure)


def _refine(
    predict: Callable[[Tensor], Tensor], grid: Tensor, extent: Extent, stride: int, sure: float | None
) -> Iterator[RegionMap]:
    size = len(grid)
    stride = min(stride, size - 1)
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
            confidence[wanted], labels[wanted] = (part.cpu() for part in predict(grid[wanted]).max(1))
        exact = exact | wanted
        known[lines[:, None], lines] = True
        nearest = lines[(torch.arange(size)[:, None] - lines).abs().argmin(1)]
        place = nearest[:, None], nearest
        yield RegionMap(labels[place], confidence[place], exact.clone(), extent)
        stride = stride // 2 if stride % 2 == 0 else min(stride - 1, 1)  # coarser lines stay among the finer


def _fill(
    wanted: Tensor, labels: Tensor, confidence: Tensor, coarser: Tensor, sure: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill in the wanted points whose four neighbours on the coarser lines agree; the rest is still wanted."""
    every = torch.arange(len(labels))
    above = torch.searchsorted(coarser, every).clamp_min(1)
    low, high = coarser[above - 1], coarser[above]
    share = (every - low) / (high - low)
    corners = [(rows[:, None], columns) for rows in (low, high) for columns in (low, high)]
    corner_labels = torch.stack([labels[corner] for corner in corners])
    corner_confidence = torch.stack([confidence[corner] for corner in corners])
    agree = (corner_labels == corner_labels[0]).all(0) & (corner_confidence.amin(0) >= sure)
    weights = [a[:, None] * b for a in (1 - share, share) for b in (1 - share, share)]
    between = (torch.stack(weights) * corner_confidence).sum(0)
    filled = wanted & agree
    return wanted & ~agree, torch.where(filled, corner_labels[0], labels), torch.where(filled, between, confidence)


def region_map(predict: Callable[[Tensor], Tensor], extent: Extent, size: int = 100) -> RegionMap:
    """The whole map at once, every point computed."""
    (whole,) = refine_map(predict, extent, size, coarse=1)
    return whole


# ---------------------------------------------------------------------------------- planes through the space of images


@dataclass(frozen=True)
class Plane:
    """A plane in the space of images: `origin`, and two directions of L2 length 1 at right angles, (1, 3, H, W)."""

    origin: Tensor
    across: Tensor
    up: Tensor

    def images(self, points: Tensor) -> Tensor:
        """The images (N, 3, H, W) at points (N, 2); distances are kept, and values may leave [0, 1]."""
        axes = torch.cat([self.across, self.up]).flatten(1)
        images = torch.addmm(self.origin.flatten(1), points.to(self.origin), axes)
        return images.view(-1, *self.origin.shape[1:])

    def coordinates(self, images: Tensor) -> Tensor:
        """The points (N, 2) of the plane that are nearest to images (N, 3, H, W)."""
        change = (images - self.origin).flatten(1).double()
        return torch.stack([change @ axis.flatten().double() for axis in (self.across, self.up)], 1).float().cpu()


def plane_through(first: Tensor, second: Tensor, third: Tensor) -> Plane:
    """The plane through three images (1, 3, H, W): the first at (0, 0), the second to its right, the third above.

    Raises ValueError for images of different shapes, or that lie on one line.
    """
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
        raise ValueError("the three images lie on one line: choose a third one that is no mixture of the others")
    return Plane(first, across.to(first), (beside / beside.norm()).to(first))


def on_plane(model: Classifier, plane: Plane) -> Callable[[Tensor], Tensor]:
    """From points (N, 2) to the probabilities (N, classes) of the images there, clipped to what a picture can show."""

    def predict(points: Tensor) -> Tensor:
        chunks = points.split(CHUNK)  # the images of a whole map would take gigabytes
        return torch.cat([model.probabilities(_legal(model, plane.images(chunk))) for chunk in chunks])

    return predict


def _legal(model: Classifier, images: Tensor) -> Tensor:
    return images.clamp_(*model.bounds) if model.bounds else images


def boundary_distance(
    model: Classifier,
    image: Tensor,
    directions: Tensor,
    distances: Tensor,
    target: Label | None = None,
    *,
    halvings: int = 8,
) -> Tensor:
    """How far (L2) one must go from one image (1, ...) along each direction (K, ...) to leave its class: (K,).

    distances: where to look, increasing; between the last place inside and the first outside the interval is halved.
    target: look for the first place of this class instead. Images are clipped to what a picture can show.
    Where there is no such place the distance is infinite; a stretch shorter than the steps can be missed.
    """
    directions = unit_vectors(directions)
    own = model.index(target) if target is not None else model.top(image, 1)[0].index

    def reached(chosen: Tensor, far: Tensor) -> Tensor:
        places = _legal(model, image + per_image(far, image) * directions[chosen])
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
