"""What lesson 4 measures: a class of nothing, the ladder of dimensions, planes and straight lines between images."""

import io
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .. import data
from ..arguments import affordable, between, by_name, instance, numbers, one_of, seeded, several, usable_device, whole
from ..figures import BLUE, GREY, ORANGE, draw_image, new_figure
from ..files import replacing
from ..images import grey_levels
from ..models import CHUNK, Classifier
from ..networks.small import POINTS, Points, empty_places, fit_points, frozen, plane_net
from ..optimize import last
from ..regions import Extent, Plane, RegionMap, plane_through
from ..starts import PHOTOGRAPHS, load_image, photographs, uniform_noise

if TYPE_CHECKING:
    from ipywidgets import VBox

LINE_KINDS = ("corner to corner", "photograph to photograph")
ANSWERS = {"random direction, grey levels": 100.0}  # of the questions that are asked before the measurement
APART = 4.0  # between the centres of the ladder's two clouds, in standard deviations of one value
NOISE = 0.2  # that standard deviation, in the pictures of the ladder: 51 grey levels
RUNGS = (2, 4, 8, 16, 32, 64, 128, 224)  # pixels along the side of a picture


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


def with_nothing(points: Points, count: int, *, edge: float = 1.25, gap: float = 0.16, seed: int = 0) -> Classifier:
    """The network of lesson 4 after 500 steps, trained on `points` and on `count` points of a fourth class, *nothing*.

    points: of three classes. edge: those of nothing are anywhere in the square from -edge to edge, and at least `gap`
    away from every other point. seed: for the network and for the points of nothing.
    """
    instance(Points, points=points)
    whole(0, 10_000, count=count)
    between(0.01, 100, edge=edge)
    between(0, edge / 2, gap=gap)
    places, labels = points
    found = empty_places(count, edge, places, gap, seeded(seed))
    nothing = torch.full((len(found),), len(POINTS.labels))
    everything = Points(torch.cat([places, found]), torch.cat([labels, nothing]))
    net = plane_net(classes=len(POINTS.labels) + (count > 0), seed=seed)
    last(islice(fit_points(net, everything), 500))
    return frozen(net, POINTS._replace(labels=(*POINTS.labels, "nothing")))


def crossing(d: int, count: int = 400, seed: int = 0) -> dict[str, float]:
    """The ladder's task in d dimensions: how far `count` points are from the boundary, RMS per coordinate.

    Two Gaussian clouds, each coordinate with standard deviation 1, whose centres are 4 apart, evenly in all
    coordinates. The best classifier is a dot product with the unit vector from one centre to the other.
    Returns the share that it gets right, and the medians of the way straight across and of the way along a random
    line (in the one of its two directions that leads to the boundary).
    """
    whole(1, 1_000_000, d=d)
    whole(1, 100_000, count=count)
    d, count, generator = int(d), int(count), seeded(seed)
    w = (2.0 * torch.randint(2, (d,), generator=generator) - 1) / d**0.5
    parts = []
    for part in torch.arange(count).split(max(1, 2_000_000 // d)):
        y = 2.0 * torch.randint(2, (len(part),), generator=generator) - 1
        x = APART / 2 * y[:, None] * w + torch.randn(len(part), d, generator=generator)
        score = x @ w
        direction = torch.nn.functional.normalize(torch.randn(len(part), d, generator=generator))
        far = score.abs() / (direction @ w).abs()
        parts.append(torch.stack([(score * y > 0).float(), score.abs() / d**0.5, far / d**0.5], 1))
    right, straight, at_random = torch.cat(parts).T
    return {"right": right.mean().item(), "straight": straight.median().item(), "random": at_random.median().item()}


def ladder_share(d: float) -> float:
    """The ladder's distance to the boundary as a share of the distance between two points of different classes."""
    between(1, 1e12, d=d)
    return APART / 2 / (APART**2 + 2 * d) ** 0.5


def rung(size: int) -> tuple[Tensor, Tensor, float]:
    """The ladder's task on a picture of size x size pixels: before, just across the boundary, and the change.

    The two classes are the school bus with a pattern of pluses and minuses added, and with the same pattern
    subtracted, in noise with a standard deviation of 51 grey levels. Returns images (1, 3, size, size) without the
    noise, and the change of each value in grey levels.
    """
    whole(1, 224, size=size)
    size = int(size)
    bus = torch.nn.functional.adaptive_avg_pool2d(load_image("school_bus", device="cpu"), size)
    bus = 0.15 + 0.7 * bus  # room for the pattern
    signs = 2.0 * torch.randint(2, bus.shape, generator=seeded(size)) - 1
    pattern = NOISE * APART / 2 * signs / bus.numel() ** 0.5
    return bus + pattern, bus - 0.01 * pattern, 1.01 * 255 * pattern.abs().max().item()


def ladder_pictures(sizes: Sequence[int] = RUNGS) -> Figure:
    """Each size's picture before and just across the boundary of the same task, with the change of a value."""
    several(sizes=sizes)
    whole(1, 224, **{f"sizes[{i}]": size for i, size in enumerate(sizes)})
    width = 12.5 if len(sizes) > 2 else 7.5
    figure, axes = new_figure(width, 2 * width / len(sizes) + 0.9, nrows=2, ncols=len(sizes))
    for column, size in zip(axes.T, sizes, strict=True):
        before, after, levels = rung(size)
        draw_image(column[0], before, f"{size} × {size}")
        draw_image(column[1], after, f"{levels:.2g} levels" if levels >= 1 else f"{levels:.1g} of a level")
    for axis, name in zip(axes[:, 0], ("before", "across"), strict=True):
        axis.text(-0.06, 0.5, name, rotation=90, ha="center", va="center", transform=axis.transAxes, fontsize=13)
    return figure


def ladder_slider() -> "VBox":
    """A slider over the sizes of the ladder, with the picture before and just across the boundary."""
    from ipywidgets import Image, SelectionSlider, VBox

    def draw(size: int) -> bytes:
        file = io.BytesIO()
        one_rung(size).savefig(file, format="png")
        return file.getvalue()

    slider = SelectionSlider(options=RUNGS, value=8, description="pixels", continuous_update=False)
    picture = Image(value=draw(slider.value), format="png", width=900)
    slider.observe(lambda change: picture.set_trait("value", draw(change["new"])), "value")
    return VBox([slider, picture])


def one_rung(size: int) -> Figure:
    """One size of the ladder: the picture before and just across the boundary, side by side."""
    before, across, levels = rung(size)
    figure, axes = new_figure(9, 4.9, ncols=2)
    draw_image(axes[0, 0], before, f"{size} × {size}, before")
    draw_image(axes[0, 1], across, f"across, every value moved by {levels:.2g} grey levels")
    return figure


def thread_picture(shares: Mapping[str, tuple[float, float]]) -> Figure:
    """Where the boundary is, over the number of dimensions: what was measured, and the ladder's formula as a line.

    shares: {name: (dimensions, distance to the boundary as a share of the distance to another class)}.
    """
    by_name((tuple, list), shares=shares)
    numbers(**{f"shares[{name!r}]": pair for name, pair in shares.items()})
    figure, ((axes,),) = new_figure(10, 4.6)
    steps = [10 ** (k / 20) for k in range(6, 106)]
    axes.plot(steps, [ladder_share(d) for d in steps], color=GREY, linewidth=3)
    axes.text(steps[62], ladder_share(steps[62]) * 1.25, "the ladder", color="#666666")
    for (name, (d, share)), colour in zip(shares.items(), (BLUE, "#009E73", "#009E73", ORANGE), strict=False):
        axes.plot(d, share, "o", color=colour, markersize=12)
        axes.annotate(
            f"{name}: {share:.1%}" if share < 0.1 else f"{name}: {share:.0%}", (d, share), (12, -4),
            textcoords="offset points", color=colour, fontweight="bold",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(1.6, 1.6e6), ylim=(0.001, 1.3))
    axes.set(xlabel="dimensions", ylabel="to the boundary,\nas a share of the way to another class")
    axes.set_yticks([0.001, 0.01, 0.1, 1], ["0.1 %", "1 %", "10 %", "100 %"])
    axes.set_xticks([2, 64, 1000, 10_000, 150_528], ["2", "64", "1000", "10 000", "150 528"])
    axes.minorticks_off()
    axes.grid(color="#E5E5E5")
    return figure


def save_maps(maps: dict[str, RegionMap]) -> None:
    """Store complete maps in one small file of plain arrays."""
    by_name(RegionMap, maps=maps)
    arrays: dict[str, np.ndarray] = {}
    for name, found in maps.items():
        arrays[f"{name}/labels"] = found.labels.numpy().astype(np.uint16)
        arrays[f"{name}/confidence"] = found.confidence.numpy().astype(np.float16)
        arrays[f"{name}/extent"] = np.array(found.extent)
    with replacing(data.FOLDER / "maps.npz") as file:
        np.savez_compressed(file, **arrays)


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
