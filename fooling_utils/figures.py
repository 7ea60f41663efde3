"""Figures in one grammar: original | change | result | the network's top five. Every function returns a Figure.

What is drawn is what was classified: images are rounded to 8 bit first, as they would be saved.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from .arguments import between, by_name, finite, flag, instance, numbers, positive, several, shown, tensors, whole
from .images import round_to_8bit, to_uint8, validate_images
from .models import Classifier
from .networks.small import Points
from .objectives import Label
from .regions import RegionMap

# Okabe and Ito's colours, which all kinds of colour vision can tell apart; lines and bars also differ in form
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B0B0B0"
# the classes of a map; the first three are those of the plane
NOTHING = "#808080"
# as in the bars: blue is what the picture was, orange what it should become
CHARACTERS = {"school bus": BLUE, "ostrich": ORANGE}
REGIONS = (ORANGE, BLUE, GREEN, "#E69F00", PURPLE, "#56B4E9", "#8C6D31")
LINES = ((ORANGE, "-", "o"), (BLUE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "D"), ("#333333", "-", "x"))

STYLE = {
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
}


def new_figure(width: float, height: float, **grid) -> tuple[Figure, np.ndarray]:
    """A figure of this size in inches and its axes (rows, columns), in the course's style; grid: for `subplots`."""
    between(0.1, 10_000, width=width, height=height)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained", squeeze=False, **grid)
    plt.close(figure)  # a notebook shows the returned figure, and would show it again if it were still open
    return figure, axes


def _check_one(image: Tensor, name: str) -> None:
    """Raise unless this is one image, (1, 3, H, W) or (1, 1, H, W), that can be drawn."""
    validate_images(image, name=name)
    if len(image) != 1 or image.shape[1] not in (1, 3) or image.is_meta:
        raise ValueError(f"{name} must be one image (1, 3, H, W), got {tuple(image.shape)}: use {name}[i : i + 1]")


def _check_pair(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    """Raise unless these are two batches of images of the same shape, on the same device."""
    for name, images in zip(names, (first, second), strict=True):
        validate_images(images, name=name)
    if first.shape != second.shape or first.device != second.device:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same shape and device, got {tuple(first.shape)} on "
            f"{first.device} and {tuple(second.shape)} on {second.device}"
        )


def draw_image(axes: Axes, image: Tensor, title: str = "") -> None:
    """Draw one image (1, 3, H, W), or (1, 1, H, W) in grey, into axes, without ticks."""
    instance(Axes, axes=axes)
    _check_one(image, "image")
    # Enlarged a little, a picture without this shows the squares of its pixels; digits are meant to show them.
    smooth = "bicubic" if 64 <= min(image.shape[2:]) <= 256 else None
    axes.imshow(to_uint8(image)[0].expand(3, -1, -1).permute(1, 2, 0).cpu().numpy(), interpolation=smooth)
    axes.set_title(title)
    axes.set_axis_off()


def amplify(change: Tensor, times: float) -> Tensor:
    """The change of an image made visible: multiplied by `times`, centred on grey, clipped to black and white."""
    tensors(change=change)
    finite(times=times)
    return (0.5 + times * change).clamp(0, 1)


def natural_amplification(change: Tensor) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, ... that keeps 99 % of the amplified change between black and white."""
    tensors(change=change)
    size = change.detach().abs().flatten().float().cpu().numpy()
    limit = 0.5 / max(float(np.quantile(size, 0.99)), 0.5 / 1000)
    return max(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n <= max(limit, 1))


def draw_top(axes: Axes, model: Classifier, image: Tensor, marked: Mapping[int, tuple[str, str]], k: int = 5) -> None:
    """The k most probable classes of one image as bars; `marked` is {index: (colour, hatch)} for some of them."""
    instance(Axes, axes=axes)
    instance(Classifier, model=model)
    instance(Mapping, marked=marked)
    _check_one(image, "image")
    whole(k=k)
    for index, style in marked.items():
        if not (isinstance(style, (tuple, list)) and len(style) == 2 and is_color_like(style[0])):
            raise ValueError(f"marked[{index!r}] must be a colour and a hatch, such as ('red', '//'), got {style!r}")
    predictions = model.top(image, int(k))[::-1]
    for row, prediction in enumerate(predictions):
        colour, hatch = marked.get(prediction.index, (GREY, ""))
        axes.barh(row, prediction.probability, color=colour, hatch=hatch, edgecolor="white", height=0.72)
        percent = f"{prediction.probability:.1%}" if prediction.probability >= 0.001 else "<0.1%"
        axes.text(prediction.probability + 0.02, row, percent, va="center", fontsize=12)
    axes.set_yticks(range(len(predictions)), [_short(prediction.label) for prediction in predictions], fontsize=12)
    axes.set_xlim(0, 1.25)
    axes.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _short(label: str, length: int = 18) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"


def top_five(model: Classifier, image: Tensor, target: Label | None = None) -> Figure:
    """One image (1, 3, H, W) beside the network's top five; the bar of `target`, if given, is marked in orange."""
    instance(Classifier, model=model)
    _check_one(image, "image")
    image = round_to_8bit(image)
    figure, axes = new_figure(9.5, 3.6, ncols=2, width_ratios=[1, 1.5])
    draw_image(axes[0, 0], image)
    draw_top(axes[0, 1], model, image, _marks(model, image, target))
    return figure


def _marks(model: Classifier, original: Tensor, target: Label | None) -> dict[int, tuple[str, str]]:
    marked = {model.top(original, 1)[0].index: (BLUE, "")}
    return marked if target is None else marked | {model.index(target): (ORANGE, "//")}


def triptych(
    model: Classifier,
    original: Tensor,
    fooled: Tensor,
    target: Label | None = None,
    *,
    amplification: float | None = None,
) -> Figure:
    """Original, amplified change and result of one image (1, 3, H, W), with the top five of original and result.

    target: the class whose bar is marked in orange; the original's class is marked in blue.
    amplification: how much the change is magnified; by default, a round number that fits.
    """
    instance(Classifier, model=model)
    _check_one(original, "original")
    _check_pair(original, fooled, ("original", "fooled"))
    if amplification is not None:
        finite(amplification=amplification)
    original, fooled = round_to_8bit(original), round_to_8bit(fooled)
    change = fooled - original
    times = amplification or natural_amplification(change)
    marked = _marks(model, original, target)
    figure, axes = new_figure(12.5, 5.4, nrows=2, ncols=3, height_ratios=[1.55, 1])
    draw_image(axes[0, 0], original, "original")
    draw_image(axes[0, 1], amplify(change, times), f"change, times {times:g}")
    draw_image(axes[0, 2], fooled, "original + change")
    draw_top(axes[1, 0], model, original, marked)
    draw_top(axes[1, 2], model, fooled, marked)
    rms = 255 * change.square().mean().sqrt().item()
    largest = 255 * change.abs().max().item()
    axes[1, 1].text(0.5, 0.6, f"typical change of a value (RMS)\n{rms:.2f} of 255 grey levels\n\n"
                    f"largest: {largest:.0f} grey levels", ha="center", va="center", fontsize=14)  # fmt: skip
    axes[1, 1].set_axis_off()
    return figure


def grid_of_images(
    images: Tensor | Sequence[Tensor], titles: Sequence[str], columns: int = 6, *, row_names: Sequence[str] = ()
) -> Figure:
    """Images (N, 3, H, W), or a list of (1, 3, H, W), in rows of `columns`, each under its title."""
    several(images=images, titles=titles)
    if isinstance(images, Tensor):
        tensors(images=images)
    images = list(images.split(1) if isinstance(images, Tensor) else images)
    if len(images) != len(titles):
        raise ValueError(f"{len(images)} images and {len(titles)} titles: there must be one title per image")
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        _check_one(image, f"images[{i}]")
        instance(str, **{f"titles[{i}]": title})
    whole(1, 100, columns=columns)
    instance((list, tuple), row_names=row_names)
    rows = -(-len(images) // columns)
    lines = 1 + max(title.count("\n") for title in titles)
    figure, axes = new_figure(12.5, rows * (12.2 / columns + 0.1 + 0.25 * lines), nrows=rows, ncols=columns)
    for place in axes.flat[len(images) :]:
        place.set_axis_off()
    size = 13 if columns <= 6 else 11
    for place, image, title in zip(axes.flat, images, titles, strict=False):
        draw_image(place, image)
        place.set_title(title, fontsize=size)
    for place, name in zip(axes[:, 0], row_names, strict=False):
        place.text(-0.06, 0.5, name, rotation=90, ha="center", va="center", transform=place.transAxes, fontsize=13)
    return figure


def picture(image: Tensor, title: str = "", *, width: float = 12.5) -> Figure:
    """One image (1, 3, H, W) of any shape, as large as the page, without losing a pixel."""
    _check_one(image, "image")
    instance(str, title=title)
    positive(width=width)
    figure, ((axes,),) = new_figure(width, width * image.shape[2] / image.shape[3] + (0.45 if title else 0.1))
    draw_image(axes, image, title)
    return figure


def _check_marks(marks: Mapping[str, float]) -> None:
    """Raise unless these are numbers by name."""
    instance(Mapping, marks=marks)
    finite(**{f"marks[{name!r}]": mark for name, mark in marks.items()})


def region_maps(
    maps: Mapping[str, RegionMap],
    names: Sequence[str],
    *,
    points: Points | None = None,
    paths: Sequence[Tensor] = (),
    marks: Mapping[str, Tensor] | None = None,
    images: Mapping[str, Tensor] | None = None,
    unit: float = 1.0,
    axis_labels: tuple[str, str] = ("", ""),
    stretch: bool = False,
) -> Figure:
    """Class maps side by side, with names; the more certain the network, the stronger the colour.

    names: the names of all classes, such as `model.labels`. points: training points, drawn in the shape of their class.
    paths: walks (steps, 2), from a circle to a star. marks: named places (2,). images: named images, beside the maps.
    unit: what a length of 1 becomes on the axes. stretch: let the two axes have different scales.
    Classes with little area are grey and have no name. More than three maps are drawn without names and axes.
    """
    by_name(RegionMap, maps=maps)
    several(names=names)
    instance(str, **{f"names[{i}]": name for i, name in enumerate(names)})
    for found in maps.values():
        if not 0 <= found.labels.min() <= found.labels.max() < len(names):
            raise ValueError(
                f"names must name every class of the maps, which go up to {found.labels.max()}, got {names}"
            )
    if points is not None:
        instance(Points, points=points)
    for name, places in {"paths": paths, "marks": {} if marks is None else marks}.items():
        instance((list, tuple) if name == "paths" else Mapping, **{name: places})
        tensors(**{f"each of {name}": place for place in (places if name == "paths" else places.values())})
    if images is not None:
        instance(Mapping, images=images)
    positive(unit=unit)
    flag(stretch=stretch)
    if not isinstance(axis_labels, (tuple, list)) or len(axis_labels) != 2:
        raise ValueError(f"axis_labels must be two texts, got {axis_labels!r}")
    images = images or {}
    small = len(maps) > 3  # no room for names and numbers
    height = (12.0 / len(maps) + 0.1 if small else 12.0 / len(maps) - 0.4) if len(maps) > 1 else 5.8
    widths = [*[3.0] * len(maps), *([1.0] if images else [])]
    figure, axes = new_figure(12.5 if len(maps) > 1 else 8.6, height, ncols=len(widths), width_ratios=widths)
    colours = region_colours([found.labels for found in maps.values()], names)
    for axis, (title, found) in zip(axes[0], maps.items(), strict=False):
        extent = [unit * edge for edge in found.extent]
        aspect = "auto" if stretch else "equal"
        axis.imshow(
            paint_regions(found, colours), origin="lower", extent=extent, aspect=aspect, interpolation="nearest"
        )
        if not small:
            _name_regions(axis, found, names, colours, extent, [unit * place for place in (marks or {}).values()])
        axis.set(title=title, xlabel=axis_labels[0], xlim=extent[:2], ylim=extent[2:])
        if small:
            axis.set(xticks=[], yticks=[])
        if points:
            _draw_points(axis, points, unit, 4 if small else 7)
        for path in paths:
            x, y = (unit * path).T.tolist()
            for colour, width in (("white", 5), ("black", 2)):
                axis.plot(x, y, color=colour, linewidth=width)
            axis.plot(x[0], y[0], "o", color="white", markeredgecolor="black", markersize=10)
            axis.plot(x[-1], y[-1], "*", color="white", markeredgecolor="black", markersize=18)
        for i, (name, place) in enumerate((marks or {}).items()):
            x, y = (unit * place).tolist()
            axis.plot(x, y, "o", color="black", markeredgecolor="white", markersize=9)
            above = (0, -21) if i % 2 else (0, 9)  # so that neighbours do not cover each other
            axis.annotate(name, (x, y), above, textcoords="offset points", ha="center", fontsize=12, **HALO)
    axes[0, 0].set_ylabel(axis_labels[1])
    if images:
        axes[0, -1].set_axis_off()
        for row, (name, image) in enumerate(images.items()):
            share = 1 / len(images)
            draw_image(axes[0, -1].inset_axes((0, 1 - (row + 0.92) * share, 1, 0.8 * share)), image, name)
    return figure


HALO = {"bbox": {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}}


def with_free_colours(colours: Mapping[int, str], indices: Sequence[int]) -> dict[int, str]:
    """The colours {index: colour}, and for the other indices those that are left, with those of `CHARACTERS` last."""
    instance(Mapping, colours=colours)
    several(indices=indices)
    for one in indices:
        whole(0, **{"each of indices": one})
    free = [colour for colour in REGIONS if colour not in colours.values()]
    free.sort(key=lambda colour: colour in CHARACTERS.values())
    return dict(colours) | dict(zip((k for k in indices if k not in colours), free, strict=False))


def region_colours(labels: Sequence[Tensor], names: Sequence[str] = ()) -> dict[int, str]:
    """Colours for the classes that have the largest areas in these maps, {index: colour}.

    names: of all classes; a class in `CHARACTERS` has the same colour in every map.
    """
    several(labels=labels)
    for one in labels:
        if not isinstance(one, Tensor) or one.dtype != torch.int64 or not one.numel() or one.min() < 0:
            raise ValueError(f"labels must be those of maps, tensors of indices (rows, columns), got {shown(one)}")
    count = torch.cat([one.flatten() for one in labels]).bincount()
    if len(count) <= 4:  # the plane, and perhaps a class of nothing
        return dict(enumerate((*REGIONS[:3], NOTHING)[: len(count)]))
    largest = [k for k in count.argsort(descending=True, stable=True)[: len(REGIONS)].tolist() if count[k]]
    colours = {k: CHARACTERS[names[k]] for k in largest if k < len(names) and names[k] in CHARACTERS}
    return with_free_colours(colours, largest)


def paint_regions(found: RegionMap, colours: Mapping[int, str]) -> np.ndarray:
    """A map as colours (rows, columns, 3) in [0, 1], from nearly white for unsure to the full colour of the class."""
    instance(RegionMap, found=found)
    instance(Mapping, colours=colours)
    for index, colour in colours.items():
        if not is_color_like(colour):
            raise ValueError(f"colours[{index!r}] must be a colour such as 'red' or '#0072B2', got {colour!r}")
    pixels = np.full((*found.labels.shape, 3), to_rgb("#777777"))
    for index, colour in colours.items():
        pixels[(found.labels == index).numpy()] = to_rgb(colour)
    strength = 0.12 + 0.6 * found.confidence.numpy()[..., None]
    return 1 - strength * (1 - pixels)


class Place(NamedTuple):
    """Where a name goes, and how far that is from the border of its region, in shares of the map."""

    x: float
    y: float
    depth: float


def name_places(
    labels: Tensor,
    indices: Iterable[int],
    taken: Sequence[tuple[float, float, float]],
    *,
    width: float,
    height: float,
    least: float,
) -> dict[int, Place]:
    """Where to write class names on a map (rows, columns): each name goes where its region is widest.

    taken: places (x, y, height) that no name may cover. width, height: half the width and the full height of a name.
    least: the smallest area that gets a name. All are shares of the map, counted from the bottom left.
    """
    from scipy import ndimage

    rows, columns = labels.shape
    labels = labels.repeat_interleave(max(1, columns // rows), 0)  # a strip is drawn stretched
    y, x = np.mgrid[0 : 1 : len(labels) * 1j, 0 : 1 : columns * 1j]
    taken, places = list(taken), {}
    for index in indices:
        inside = (labels == index).numpy()
        if inside.mean() < least:
            continue
        depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        for there_x, there_y, there_height in taken:
            depth = np.where((np.abs(x - there_x) < width) & (np.abs(y - there_y) < there_height), 0.1 * depth, depth)
        near_the_middle = depth * (1.2 - np.abs(x - 0.5))
        place = np.unravel_index(near_the_middle.argmax(), depth.shape)
        places[index] = Place(float(x[place]), float(y[place]), float(depth[place]) / columns)
        taken.append((*places[index][:2], height))
    return places


def _name_regions(
    axes: Axes,
    found: RegionMap,
    names: Sequence[str],
    colours: Mapping[int, str],
    extent: Sequence[float],
    marks: Sequence[Tensor],
) -> None:
    corner, far = np.array(extent[::2]), np.array(extent[1::2])
    taken = [(*((mark.numpy() - corner) / (far - corner)), 0.12) for mark in marks]
    for index, place in name_places(found.labels, colours, taken, width=0.2, height=0.07, least=0.02).items():
        name = _short(names[index])
        room = np.array([0.02 + 0.01 * len(name), 0.03])
        share = np.clip((place.x, place.y), room, 1 - room)
        axes.text(*(corner + (far - corner) * share), name, ha="center", va="center", fontsize=12, **HALO)


def _draw_points(axes: Axes, points: Points, unit: float, size: float) -> None:
    far = axes.get_xlim()[1] > 3 * unit * points.places.abs().max()
    for index, marker in zip(points.labels.unique().tolist(), "os^", strict=False):
        x, y = (unit * points.places[points.labels == index]).T.tolist()
        style = (
            {"markersize": 2} if far else {"markersize": size, "markeredgecolor": "white", "markeredgewidth": size / 7}
        )
        axes.plot(x, y, marker, color=REGIONS[index], **style)
    if far:
        axes.plot([-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1], color="black", linewidth=1.5)


def before_and_after(model: Classifier, originals: Tensor, fooled: Tensor, *, amplification: float = 20) -> Figure:
    """Three rows for N images: original, amplified change and result, with the network's classes."""
    instance(Classifier, model=model)
    _check_pair(originals, fooled, ("originals", "fooled"))
    finite(amplification=amplification)
    originals, fooled = round_to_8bit(originals), round_to_8bit(fooled)
    titles = [*_verdicts(model, originals), *[""] * len(originals), *_verdicts(model, fooled)]
    images = [*originals.split(1), *amplify(fooled - originals, amplification).split(1), *fooled.split(1)]
    names = ("original", f"change, times {amplification:g}", "original + change")
    return grid_of_images(images, titles, columns=len(originals), row_names=names)


def _verdicts(model: Classifier, images: Tensor) -> list[str]:
    values, indices = model.probabilities(images).max(1)
    return [f"{_short(model.labels[i], 16)}\n{p:.0%}" for p, i in zip(values.tolist(), indices.tolist(), strict=True)]


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    *,
    percent: bool = True,
    log_x: bool = False,
    log_y: bool = False,
    paired: bool = False,
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Named lines {name: (xs, ys)} in one plot, different in colour, dash and marker; `marks` are vertical lines.

    paired: the second half of the lines are controls of the first half, in the same colours and dotted.
    """
    by_name((tuple, list), lines=lines)
    for name, line in lines.items():
        if len(line) != 2:
            raise ValueError(f"lines[{name!r}] must be (xs, ys), got {shown(line)}")
        numbers(**{f"the xs of lines[{name!r}]": line[0], f"the ys of lines[{name!r}]": line[1]})
        if len(line[0]) != len(line[1]):
            raise ValueError(f"lines[{name!r}] has {len(line[0])} xs and {len(line[1])} ys: give as many of each")
    flag(percent=percent, log_x=log_x, log_y=log_y, paired=paired)
    _check_marks({} if marks is None else marks)
    figure, ((axes,),) = new_figure(10, 4.4)
    first = LINES[: len(lines) // 2]
    styles = [*first, *((colour, ":", "x") for colour, _, _ in first)] if paired else LINES * 3
    for (name, (xs, ys)), (colour, dash, marker) in zip(lines.items(), styles, strict=False):
        many = len(xs) > 25
        axes.plot(xs, ys, color=colour, linestyle=dash, marker=None if many else marker, linewidth=2.5, label=name)
    for name, x in (marks or {}).items():
        axes.axvline(x, color="#555555", linewidth=1.5, linestyle=(0, (2, 2)))
        axes.text(x, 1.01, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=12)
    axes.set(xlabel=x_label, ylabel=y_label)
    if log_x:
        axes.set_xscale("log")
        places = sorted({x for xs, _ in lines.values() for x in xs})
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.minorticks_off()
    if log_y:
        axes.set_yscale("log")
    if percent:
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    if not log_x and all(isinstance(x, int) for xs, _ in lines.values() for x in xs):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#E5E5E5")
    axes.legend(fontsize=12)
    return figure


def gradient_picture(image: Tensor, gradient: Tensor) -> Figure:
    """An image beside its gradient: signed (grey is zero) and as saliency, the largest |gradient| of the channels."""
    _check_one(image, "image")
    tensors(gradient=gradient)
    image, gradient = image.detach(), gradient.detach().float()
    if gradient.shape != image.shape:
        raise ValueError(f"gradient has shape {tuple(gradient.shape)}, but the image has {tuple(image.shape)}")
    figure, axes = new_figure(12.5, 4.3, ncols=3)
    scale = torch.quantile(gradient.abs().flatten()[:: max(1, gradient.numel() // 100_000)], 0.99).clamp_min(1e-30)
    draw_image(axes[0, 0], image, "image")
    draw_image(axes[0, 1], amplify(gradient / scale, 0.5), "gradient (grey: zero)")
    saliency = gradient.abs().amax(1, keepdim=True) / (1.5 * scale)
    axes[0, 2].imshow(saliency[0, 0].cpu().numpy(), cmap="cividis", vmin=0, vmax=1)
    axes[0, 2].set_title("how strongly each pixel counts")
    axes[0, 2].set_axis_off()
    return figure


def histogram(values: Sequence[float], x_label: str, marks: Mapping[str, float]) -> Figure:
    """How values are distributed: grey bars over a logarithmic axis, with named vertical lines at `marks`.

    The last mark is orange. The values and the other marks are its controls.
    """
    numbers(values=values)
    _check_marks(marks)
    for name, each in {"values": values, "marks": marks.values()}.items():
        for one in each:
            positive(**{f"each of {name}": one})
    figure, ((axes,),) = new_figure(10, 3.8)
    values = np.asarray(list(values))
    everything = [*values, *marks.values()]
    edges = np.geomspace(min(everything) / 1.5, max(everything) * 1.5, 60)
    axes.hist(values, bins=edges, color=GREY, edgecolor="white")
    for i, ((name, x), (_, dash, _)) in enumerate(zip(marks.items(), LINES, strict=False)):
        colour, dash = (ORANGE, "-") if i == len(marks) - 1 else ("#333333", dash)
        axes.axvline(x, color=colour, linestyle=dash, linewidth=2.5, label=name)
    axes.legend(labelcolor="linecolor", handlelength=3, fontsize=13)  # marks may lie too close for names beside them
    axes.set(xscale="log", xlabel=x_label, ylabel="how many")
    return figure


def changed_levels(original: Tensor, image: Tensor) -> Figure:
    """Where one image (1, 3, H, W) differs from another after saving both, and by how many grey levels.

    On the left, the largest change of each pixel's three values, over the edges of the original in light grey. On the
    right, how many of all values changed by 1, 2, 3 or more.
    """
    _check_pair(original, image, ("original", "image"))
    _check_one(original, "original")
    levels = (to_uint8(image).int() - to_uint8(original).int()).abs()[0].clamp(max=3).cpu()
    colours = {"1": "#7FC1EE", "2": BLUE, "3 or more": ORANGE}
    figure, ((left, right),) = new_figure(10.5, 4.6, ncols=2, width_ratios=(1, 1))
    palette = np.array([to_rgb(colour) for colour in ("white", *colours.values())])
    slopes = np.hypot(*np.gradient(original.detach()[0].mean(0).float().cpu().numpy()))
    edges = (slopes >= max(0.05, np.quantile(slopes, 0.85)))[..., None]
    most = levels.amax(0).numpy()
    left.imshow(np.where(edges & (most == 0)[..., None], to_rgb(GREY), palette[most]), interpolation="nearest")
    left.set(xticks=[], yticks=[], title="where")
    left.spines[:].set_visible(True)
    shares = [(levels == step).double().mean().item() for step in (1, 2, 3)]
    right.barh(list(colours), shares, color=list(colours.values()), edgecolor="#333333")
    for row, share in enumerate(shares):
        right.annotate(f" {share:.1%}", (share, row), va="center", fontsize=14)
    right.set(title="by how many grey levels", xlabel="share of all values", xlim=(0, 1.25 * max(*shares, 0.001)))
    right.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    right.invert_yaxis()
    return figure
