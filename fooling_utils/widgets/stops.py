"""Images along a path, one stop at a time: a change that grows from nothing, a prior that is taken away."""

import itertools
import math
import re
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ..arguments import by_name, dictionaries, instance, numbers, one_of, seeded, several, tensors, whole
from ..figures import curves, grid_of_images
from ..images import round_to_8bit, validate_images
from ..models import Classifier
from ..objectives import Label
from .kit import AskedWidget, Kept, Reply, fingerprint, rgb, script

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 4  # sizes per answer; another question waits for at most this many
TOLERANCE = 1e-3  # of a size: the precision to which a change is scaled
SIZES = 25


class _Stops(AskedWidget):
    """A widget with a row of stops, one of which is shown and remembered for the next run of the cell."""

    _esm = script("stops")
    kind = traitlets.Unicode().tag(sync=True)

    def __init__(self, count: int, **values: object):
        self._count = count
        super().__init__(**values)

    @property
    def place(self) -> int:
        """The stop that is shown, from 0."""
        return self._state.place

    def first_questions(self) -> list[tuple[str, dict]]:
        """Where to begin, and the stop there."""
        return [*super().first_questions(), ("stop", {"place": self.place})]

    def answer_stop(self, place: int) -> Reply:
        """Go to a stop."""
        whole(0, self._count - 1, stop=place)
        answer = self._stop(place)
        self._state.place = place
        return answer

    def _stop(self, place: int) -> Reply:
        raise NotImplementedError


class EpsilonExplorer(_Stops):
    """What a change does as it grows: the network's output for each size, compared with random noise of the same size.

    image: (1, 3, H, W), or (1, 1, H, W) in grey. change: of the same shape, a direction to be scaled. target: a class.
    own: a class, by default the network's top class for `image`. seed: for the Gaussian noise.
    sizes: increasing L2 sizes of the change; by default 25, from 0 to 3 times that of `change` itself, which is the
        thirteenth. They are denser near 0, and include 1 and 8 grey levels RMS if in range.
    presets: dictionaries with a title and one of size (L2), levels (grey levels RMS), and enough (the smallest size at
        which the target is the top class).
    Sizes are measured on what the network sees, after clipping to black and white and rounding to 8 bit, which erase
    much of a small change. So the change is scaled until what is left has the wanted size, or the next possible one
    where rounding leaves a gap, and the noise is scaled until it has the same size as the change.
    Raises ValueError for a shape that does not fit, an unknown class, a change of zero, and sizes out of reach.
    """

    titles = traitlets.List().tag(sync=True)

    def __init__(
        self,
        model: Classifier,
        image: Tensor,
        change: Tensor,
        *,
        own: Label | None = None,
        target: Label,
        sizes: Sequence[float] | None = None,
        seed: int = 0,
        presets: Sequence[Mapping] | None = None,
    ):
        instance(Classifier, model=model)
        source = seeded(seed)
        if presets is not None:
            dictionaries(presets=presets)
        model.validate(image)
        validate_images(change, bounds=None, name="change")
        tensors(change=change)
        if image.shape != change.shape or image.shape[:2] not in ((1, 3), (1, 1)):
            raise ValueError(
                "image and change must be single images of the same shape (1, 3 or 1, H, W), got "
                f"{tuple(image.shape)} and {tuple(change.shape)}"
            )
        if not change.any():
            raise ValueError("change is 0 everywhere, so it has no direction: use fooled - image")
        self.image = round_to_8bit(image)
        self.target = model.index(target)
        self.own = model.top(self.image, 1)[0].index if own is None else model.index(own)
        if self.own == self.target:
            raise ValueError(f"own and target are both {model.labels[self.own]!r}: choose another target")
        noise = torch.randn(image.shape, generator=source)
        ways = {"change": change, "noise": noise}
        self._ways = {name: (way / way.norm()).to(image.device) for name, way in ways.items()}
        self._level = math.sqrt(image.numel()) / 255  # L2 of one grey level RMS
        self.sizes = _default_sizes(change.norm().item(), self._level) if sizes is None else _checked(sizes)
        for name in self._ways:
            self._scale(name, self.sizes[-1])  # raises if the size is out of reach
        key = (weakref.ref(model), fingerprint(image, change), self.own, self.target, *self.sizes, seed)
        self._keep(key, lambda: Kept(model=model, place=0, rows={}))
        if presets is None:
            presets = self._default_presets(change.norm().item())
        super().__init__(
            len(self.sizes),
            kind="sizes",
            titles=[f"L2 {size:.3g}, {size / self._level:.2f} grey levels" for size in self.sizes],
            presets=[self._preset(dict(preset)) for preset in presets],
        )

    def image_at(self, place: int, way: str = "change") -> Tensor:
        """The image (1, 3, H, W) of a stop, as it was classified. way: "change" or "noise"."""
        whole(0, self._count - 1, place=place)
        one_of(self._ways, way=way)
        return self._at(way, self._row(place)[way]["scale"])

    def enough(self) -> int:
        """The first stop where the target is the top class; ValueError if it never is."""
        for place in range(len(self.sizes)):
            if self._row(place)["change"]["index"] == self.target:
                return place
        raise ValueError(
            f"{self.model.labels[self.target]!r} is not the top class at any size up to {self.sizes[-1]:.3g}: "
            "give larger sizes, or a change that leads to it"
        )

    def table(self) -> "pd.DataFrame":
        """The measurements at every size, as a table with a row per stop. Missing sizes are measured."""
        import pandas as pd

        self._measure(range(len(self.sizes)))
        own, target = self.model.labels[self.own], self.model.labels[self.target]
        rows = []
        for place in range(len(self.sizes)):
            row = {}
            for way in self._ways:
                one = self._row(place)[way]
                if way == "change":
                    row |= {"size, L2": one["size"], "RMS, grey levels": one["size"] / self._level}
                row |= {f"{own}, {way}": one["own"], f"{target}, {way}": one["target"], f"top, {way}": one["label"]}
            rows.append(row | {"size of the noise, L2": one["size"]})
        return pd.DataFrame(rows)

    def twin(self) -> Figure:
        """The curves, from every third size; the page asks for the others."""
        places = range(0, len(self.sizes), 1 if len(self.sizes) < 9 else 3)
        self._measure(places)
        lines = {}
        for way in self._ways:
            rows = [self._row(place)[way] for place in places]
            for name in ("target", "own"):
                label = self.model.labels[getattr(self, name)]
                lines[f"{label}, {way}"] = ([row["size"] for row in rows], [row[name] for row in rows])
        return curves(lines, "size of the change, L2", "probability", paired=True)

    # ------------------------------------------------------------------------------------------ what the page asks

    def answer_begin(self) -> dict:
        """The sizes, the two classes, and where to begin."""
        labels = {"own": self.model.labels[self.own], "target": self.model.labels[self.target]}
        return {"place": self.place, "sizes": self.sizes, "level": self._level, **labels}

    def answer_measure(self) -> dict:
        """Measure a few more sizes, if any are missing; all measurements so far."""
        rows = self._state.rows
        self._measure([place for place in range(self._count) if place not in rows][:AT_ONCE])
        return {"rows": [[place, rows[place]] for place in sorted(rows)]}

    def answer_enough(self) -> Reply:
        """Go to the first stop where the target is the top class."""
        return self.answer_stop(self.enough())

    def _stop(self, place: int) -> Reply:
        pictures = [rgb(self.image_at(place, way)) for way in self._ways]
        return {"place": place, "row": self._row(place), "width": self.image.shape[3]}, pictures

    # --------------------------------------------------------------------------------------------- how it is measured

    def _row(self, place: int) -> dict:
        self._measure([place])
        return self._state.rows[place]

    def _measure(self, places: Sequence[int]) -> None:
        """Classify the images of these stops, change and noise in one batch, unless they are known."""
        rows = self._state.rows
        missing = [(place, way) for place in places if place not in rows for way in self._ways]
        if not missing:
            return
        scales, images, size = [], [], 0.0
        for place, way in missing:
            size = self.sizes[place] if way == "change" else size  # the noise is compared with the change before it
            scales.append(self._scale(way, size))
            images.append(self._at(way, scales[-1]))
            size = self._size(images[-1])
        found = [
            {
                "scale": scale,
                "size": self._size(image),
                "own": answer[self.own].item(),
                "target": answer[self.target].item(),
                **self.model.best(answer, 1)[0]._asdict(),
            }
            for scale, image, answer in zip(scales, images, self.model.probabilities(torch.cat(images)), strict=True)
        ]
        for (place, _), change, noise in zip(missing[::2], found[::2], found[1::2], strict=True):
            rows[place] = {"change": change, "noise": noise}

    def _at(self, way: str, scale: float) -> Tensor:
        return round_to_8bit((self.image + scale * self._ways[way]).clamp(0, 1))

    def _size(self, image: Tensor) -> float:
        return (image - self.image).norm().item()

    def _scale(self, way: str, size: float) -> float:
        """The scale at which the change has this L2 size after clipping and rounding."""
        low, high = 0.0, size
        while (reached := self._size(self._at(way, high))) < (1 - TOLERANCE) * size:
            low, high = high, 2 * high
            if high > 1e6 * size:
                raise ValueError(
                    f"the size {size:.4g} is out of reach: beyond {reached:.4g}, the {way} would be darker than black "
                    "and brighter than white. Use smaller sizes"
                )
        while reached > (1 + TOLERANCE) * size and high - low > 1e-6 * high:
            middle = (low + high) / 2
            at_middle = self._size(self._at(way, middle))
            if at_middle < (1 - TOLERANCE) * size:
                low = middle
            else:
                high, reached = middle, at_middle
        return high

    def _near(self, size: float) -> int:
        return min(range(len(self.sizes)), key=lambda place: abs(self.sizes[place] - size))

    def _default_presets(self, natural: float) -> list[dict]:
        wanted = {
            "no change": 0.0,
            "the change itself": natural,
            "one grey level RMS": self._level,
            "eight grey levels": 8 * self._level,
        }
        near = {title: abs(self.sizes[self._near(size)] - size) <= 0.05 * size for title, size in wanted.items()}
        presets = [{"title": title, "size": size} for title, size in wanted.items() if near[title]]
        return [*presets[:1], {"title": "just enough", "enough": True}, *presets[1:]]

    def _preset(self, preset: dict) -> dict:
        """A preset with its stop, if that is known without measuring."""
        if preset.get("enough"):
            return preset
        size = preset["size"] if "size" in preset else preset.get("levels", math.nan) * self._level
        if not 0 <= size <= 1.001 * self.sizes[-1]:
            raise ValueError(
                f"the preset {preset.get('title')!r} must have enough=True, or a size from 0 to {self.sizes[-1]:.4g} "
                f"or levels from 0 to {self.sizes[-1] / self._level:.4g}, got {preset}"
            )
        return preset | {"place": self._near(size)}


def _default_sizes(natural: float, level: float) -> list[float]:
    """From 0 to 3 times the natural size, half of them up to it; those nearest to 1 and 8 grey levels move there."""
    sizes = [3 * natural * (k / (SIZES - 1)) ** math.log2(3) for k in range(SIZES)]
    fixed = {0: 0.0, SIZES // 2: natural, SIZES - 1: 3 * natural}
    for size in (level, 8 * level):
        near = min(range(SIZES), key=lambda k: abs(sizes[k] - size))
        if near not in fixed:
            fixed[near] = size
    return [fixed.get(k, size) for k, size in enumerate(sizes)]


def _checked(sizes: Sequence[float]) -> list[float]:
    numbers(sizes=sizes)
    sizes = [float(size) for size in sizes]
    increasing = all(a < b for a, b in itertools.pairwise(sizes))
    if len(sizes) < 2 or not increasing or not sizes[0] >= 0 or not math.isfinite(sizes[-1]):
        raise ValueError(f"sizes must be two or more increasing L2 sizes of at least 0, got {sizes}")
    return sizes


class PriorExplorer(_Stops):
    """Images in a row, from a full prior to none, one at a time, with the top five of one network or of two.

    images: (N, 3, H, W), or a list of (1, 3, H, W), of any size that the networks take. titles: one per image.
    models: {name: network}, one or two. label: a class to mark, shown even if it is not among the five.
    description: the label of the slider. presets: dictionaries with a title and a place, from 0; by default the first
        nine stops, with their titles up to a colon or the end of the line.
    Raises ValueError if the numbers of images and titles differ, and for an unknown class or stop.
    """

    titles = traitlets.List().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        images: Tensor | Sequence[Tensor],
        titles: Sequence[str],
        models: Mapping[str, Classifier],
        *,
        label: Label | None = None,
        description: str = "prior → none",
        presets: Sequence[Mapping] | None = None,
    ):
        several(images=images, titles=titles)
        for title in titles:
            instance(str, **{"each of titles": title})
        instance(str, description=description)
        if presets is not None:
            dictionaries(presets=presets)
        if isinstance(images, Tensor):
            tensors(images=images)
        images = list(images.split(1) if isinstance(images, Tensor) else images)
        if len(images) != len(titles) or not images:
            raise ValueError(f"{len(images)} images and {len(titles)} titles: there must be one title per image")
        if not isinstance(models, Mapping) or len(models) not in (1, 2):
            raise ValueError(f"models must be one or two networks by name, such as {{'first': model}}, got {models!r}")
        by_name(Classifier, models=models)
        for model, (place, image) in itertools.product(models.values(), enumerate(images)):
            model.validate(image, f"images[{place}]")
            if len(image) != 1:
                raise ValueError(f"images[{place}] must have the shape (1, 3, H, W), got {tuple(image.shape)}")
        if presets is None:
            short = [re.split(r"\n|: ", title)[0] for title in titles[:9]]
            presets = [{"title": title, "place": place} for place, title in enumerate(short)]
        for preset in presets:
            if preset.get("place") not in range(len(images)):
                raise ValueError(f"a preset needs a place from 0 to {len(images) - 1}, got {dict(preset)}")
        self.images = [round_to_8bit(image) for image in images]
        self._labels = {name: None if label is None else model.index(label) for name, model in models.items()}
        key = (*map(weakref.ref, models.values()), fingerprint(*images), *titles, *models)
        self._keep(key, lambda: Kept(models=dict(models), place=0, answers={}))
        super().__init__(
            len(images),
            kind="priors",
            titles=list(titles),
            description=description,
            presets=[dict(preset) for preset in presets],
        )

    @property
    def models(self) -> dict[str, Classifier]:
        """The networks by name."""
        return self._state.models

    def answers(self, place: int) -> list[dict]:
        """For each network: its name, its top five for the image at a stop, and the rank of the marked class."""
        whole(0, self._count - 1, place=place)
        answers = self._state.answers
        if place not in answers:
            answers[place] = [self._judged(name, self.images[place]) for name in self.models]
        return answers[place]

    def _judged(self, name: str, image: Tensor) -> dict:
        model, index = self.models[name], self._labels[name]
        answer = model.probabilities(image)[0]
        judged = {"name": name, "top": [one._asdict() for one in model.best(answer)], "marked": None}
        if index is not None:
            rank = 1 + (answer > answer[index]).sum().item()
            judged["marked"] = {"label": model.labels[index], "probability": answer[index].item(), "rank": rank}
        return judged

    def answer_begin(self) -> dict:
        """Where to begin."""
        return {"place": self.place}

    def _stop(self, place: int) -> Reply:
        image = self.images[place]
        return {"place": place, "answers": self.answers(place), "width": image.shape[3]}, [rgb(image)]

    def twin(self) -> Figure:
        """All images with their titles."""
        return grid_of_images(self.images, self.titles, columns=min(6, max(3, len(self.images))))
