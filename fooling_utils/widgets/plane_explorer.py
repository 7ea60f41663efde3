"""A map of classes on a plane through three pictures, which gets finer as you watch, and the image at each place."""

import time
import weakref
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from .. import data
from ..arguments import between, dictionaries, instance, one_of
from ..data.gallery import PICTURES
from ..figures import CHARACTERS, name_places, paint_regions, region_colours, region_maps, with_free_colours
from ..images import grey_levels
from ..lessons.lesson4 import Survey
from ..models import Classifier
from ..regions import Extent, RegionMap, on_plane, plane_through, refine_map
from ..starts import load_image, uniform_noise
from .kit import AskedWidget, Kept, Reply, fingerprint, named_image, rgb, script

SIZES = (17, 33, 49)  # places along a side; on two cores, the whole map takes about 5, 20 or 40 seconds
SIZE, COARSE = 33, 16  # at most every 16th row and column first: 9 images, or 16 for the largest map
BATCH = 4  # images between two looks at the clock
SECONDS = 0.1  # of work per question, plus the last batch, so that a moving pointer does not wait longer
MARGIN = 0.2  # around the three pictures, as a share of the distance between the outermost ones
LARGE = 0.03  # the smallest share of the map for which a region gets its name on the map
STARTS = {
    "noise": lambda model: uniform_noise(size=model.input_size, device=model.device),
    "fooled bus": lambda model: load_image(data.path("fooled_bus"), model.input_size, device=model.device),
}
PRESETS = (
    {"title": "first picture", "corner": 0},
    {"title": "second picture", "corner": 1},
    {"title": "third picture", "corner": 2},
    {"title": "middle", "x": 0.5, "y": 0.5},
)


class Filling:
    """A map that is complete at any time, in blocks where it is coarse. Each `go_on` computes a little more.

    predict: from points (N, 2) to probabilities (N, classes). classes: how many. size: places along a side.
    """

    def __init__(self, predict: Callable[[Tensor], Tensor], extent: Extent, size: int, classes: int):
        self._predict, self._extent, self.size, self._classes = predict, extent, size, classes
        self._known: dict[tuple[float, ...], tuple[float, int]] = {}
        self.found: RegionMap | None = None

    @property
    def computed(self) -> int:
        """The number of places that have been computed."""
        return len(self._known)

    @property
    def done(self) -> bool:
        """Whether every place has been computed."""
        return self.computed == self.size**2

    def go_on(self, seconds: float = SECONDS) -> None:
        """Compute for about this long, but at least the coarsest map or, later, one batch."""
        if self.done:
            return
        end = time.perf_counter() + seconds
        coarsest, wanted, left, before = self.found is None, 0, 0, self.computed

        def look_up(points: Tensor) -> Tensor:
            """What is known about these points and, for those that must wait, what the coarser map says."""
            nonlocal wanted, left, coarsest
            places = [tuple(place) for place in points.tolist()]
            missing = [place for place in places if place not in self._known]
            while missing and (coarsest or self.computed == before or time.perf_counter() < end):
                batch, missing = missing[:BATCH], missing[BATCH:]
                confidence, labels = (part.tolist() for part in self._predict(torch.tensor(batch)).max(1))
                self._known.update(zip(batch, zip(confidence, labels, strict=True), strict=True))
            wanted, left, coarsest = len(places), len(missing), False
            answers = torch.tensor([self._known.get(place) or self._coarser(place) for place in places])
            return torch.zeros(len(places), self._classes).scatter_(1, answers[:, 1:].long(), answers[:, :1])

        # from the start each time, since what is known costs nothing
        for found in refine_map(look_up, self._extent, self.size, coarse=min(COARSE, self.size // 2)):
            self.found = found if left < wanted else self.found
            if left:
                break

    def _coarser(self, place: tuple[float, ...]) -> tuple[float, int]:
        left, right, bottom, top = self._extent
        across, up = (place[0] - left) / (right - left), (place[1] - bottom) / (top - bottom)
        there = round(up * (self.size - 1)), round(across * (self.size - 1))
        return self.found.confidence[there].item(), self.found.labels[there].item()


class Whole:
    """A finished map, as a `Filling` with nothing left to do."""

    done = True

    def __init__(self, found: RegionMap):
        self.found, self.size, self.computed = found, len(found.labels), found.labels.numel()

    def go_on(self, seconds: float = 0) -> None:
        """Do nothing."""


def survey_through(images: Mapping[str, Tensor]) -> Survey:
    """The plane through three named images (1, 3, H, W), and the part around them."""
    plane = plane_through(*images.values())
    places = plane.coordinates(torch.cat(list(images.values())))
    (left, bottom), (right, top) = places.amin(0).tolist(), places.amax(0).tolist()
    wide, high = MARGIN * (right - left), MARGIN * (top - bottom)
    return Survey(plane, (left - wide, right + wide, bottom - high, top + high), dict(images))


class _State(Kept):
    """What an explorer keeps: its planes and maps, the pictures chosen, and the place."""

    def __init__(self, model: Classifier, survey: Survey, found: RegionMap | None, size: int):
        self.model = model
        self.given = dict(survey.images)
        self.loaded: dict[str, Tensor] = {}
        self.chosen = tuple(survey.images)[:3]
        self.surveys = {self.chosen: survey}
        self.size = size if found is None else len(found.labels)
        self.fillings: dict[tuple, Filling | Whole] = {} if found is None else {(self.chosen, self.size): Whole(found)}
        self.place: tuple[float, float] | None = None
        self.colours: dict[int, str] = {}


class PlaneExplorer(AskedWidget):
    """A map of classes that gets finer as you watch, and the image at the pointer or the cross.

    survey: a plane, the part of it that is mapped, and its named images. found: a map of it, if there is one.
    size: places along a side of the map that is computed, one of `SIZES`.
    presets: dictionaries with a title, and any of x and y (shares of the map, 0 to 1), corner (0, 1 or 2, for one of
        the three pictures) and pictures (three names), for the number keys.
    Raises ValueError for a map of another part of the plane, or an invalid preset.
    """

    _esm = script("plane_explorer")

    def __init__(
        self,
        model: Classifier,
        survey: Survey,
        found: RegionMap | None = None,
        *,
        size: int = SIZE,
        presets: Sequence[Mapping] = PRESETS,
    ):
        instance(Classifier, model=model)
        instance(Survey, survey=survey)
        dictionaries(presets=presets)
        one_of(SIZES, size=size)
        if found is not None:
            instance(RegionMap, found=found)
            _check_map(found, survey.extent)
        maps = () if found is None else (found.labels, found.confidence)
        key = (weakref.ref(model), size, str(presets), *survey.extent, *survey.images)
        key += (fingerprint(*survey.images.values(), *maps),)
        self._keep(key, lambda: _State(model, survey, found, size))
        for preset in presets:
            self._check_preset(preset)
        super().__init__(presets=[dict(preset) for preset in presets])

    @classmethod
    def through(
        cls,
        model: Classifier,
        a: str | Tensor = "school_bus",
        b: str | Tensor = "robin",
        c: str | Tensor = "coffee",
        **options,
    ) -> "PlaneExplorer":
        """An explorer of the plane through three pictures, each a name from `PICTURES`, "noise", "fooled bus", or an
        image (1, 3, size, size)."""
        instance(Classifier, model=model)
        images = {}
        for given, place in zip((a, b, c), ("first", "second", "third"), strict=True):
            if isinstance(given, str):
                images[given] = named_image(model, given, STARTS, (*PICTURES, *STARTS))
            else:
                model.validate(given, f"{place} image")
                images[f"{place} image"] = given
        if len(images) < 3:
            raise ValueError(f"a plane needs three different pictures, got {a!r}, {b!r} and {c!r}")
        return cls(model, survey_through(images), **options)

    # ------------------------------------------------------------------------------------------------ plane and map

    @property
    def survey(self) -> Survey:
        """The plane that is shown, the part of it that is mapped, and its named images."""
        return self._state.surveys[self._state.chosen]

    @property
    def map(self) -> RegionMap:
        """The map that is shown, as fine as it is now."""
        if self._filling.found is None:
            self._filling.go_on(0)
        return self._filling.found

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the three pictures that the plane goes through."""
        return self._state.chosen

    @property
    def picture_names(self) -> list[str]:
        """Every picture that can be chosen."""
        return list(dict.fromkeys([*self._state.given, *PICTURES, *STARTS]))

    def choose(self, *pictures: str, size: int | None = None) -> None:
        """Go to the plane through three pictures, and to a map with `size` places along a side.

        Raises ValueError for names that do not exist, for pictures on one line, and for a size that is not offered.
        """
        state = self._state
        for picture in pictures:
            instance(str, **{"each of pictures": picture})
        chosen = tuple(pictures) or state.chosen
        if chosen not in state.surveys:
            if len(set(chosen)) != 3:
                raise ValueError(f"a plane needs three different pictures, got {', '.join(map(repr, chosen))}")
            state.surveys[chosen] = survey_through({name: self._image(name) for name in chosen})
        offered = self._sizes(chosen)
        if size is None:
            stored = [size for size in offered if size not in SIZES]
            size = stored[0] if stored else state.size if state.size in SIZES else SIZE
        one_of(offered, size=size)
        if chosen != state.chosen:
            state.colours = {}  # so that the new pictures get the first colours
        state.chosen, state.size = chosen, size

    def _sizes(self, chosen: tuple[str, ...]) -> list[int]:
        return sorted({*SIZES, *(size for names, size in self._state.fillings if names == chosen)})

    def _image(self, name: str) -> Tensor:
        state = self._state
        if name not in state.given and name not in state.loaded:
            state.loaded[name] = named_image(self.model, name, STARTS, self.picture_names)
        return state.given[name] if name in state.given else state.loaded[name]

    @property
    def _filling(self) -> Filling | Whole:
        state = self._state
        key = (state.chosen, state.size)
        if key not in state.fillings:
            survey = self.survey
            predict = on_plane(self.model, survey.plane)
            state.fillings[key] = Filling(predict, survey.extent, state.size, len(self.model.labels))
        return state.fillings[key]

    def _point(self, x: float, y: float) -> Tensor:
        between(0, 1, x=x, y=y)
        left, right, bottom, top = self.survey.extent
        return torch.tensor([[left + x * (right - left), bottom + y * (top - bottom)]])

    def image_at(self, x: float, y: float) -> Tensor:
        """The image (1, 3, H, W) at a place, given in shares of the map, from 0 at the left and bottom to 1."""
        return self.model.clip(self.survey.plane.images(self._point(x, y)))

    @property
    def marks(self) -> list[dict]:
        """The named images of the plane: name, and x and y in shares of the map. Some may lie outside, below 0 or
        above 1."""
        left, right, bottom, top = self.survey.extent
        places = {name: place.tolist() for name, place in self.survey.marks.items()}
        return [
            {"name": name, "x": (x - left) / (right - left), "y": (y - bottom) / (top - bottom)}
            for name, (x, y) in places.items()
        ]

    # ------------------------------------------------------------------------------------------ what the page asks

    def first_questions(self) -> list[tuple[str, dict]]:
        """The map, and the image at the place of last time, the first picture, or the middle."""
        shown = [
            (mark["x"], mark["y"]) for mark in self.marks[:1] if max(abs(mark["x"] - 0.5), abs(mark["y"] - 0.5)) <= 0.5
        ]
        x, y = self._state.place or next(iter(shown), (0.5, 0.5))
        return [*super().first_questions(), ("look", {"x": x, "y": y})]

    def answer_begin(self) -> Reply:
        """The pictures that can be chosen, and the map as it is."""
        facts, content = self.answer_map()
        return {**facts, "pictures": self.picture_names, "at": self._state.place}, content

    def answer_refine(self) -> Reply:
        """The map after a little more work."""
        self._filling.go_on()
        return self.answer_map()

    def answer_choose(self, pictures: Sequence[str] = (), size: int | None = None) -> Reply:
        """The map of other pictures or of another size, as far as it has been computed."""
        self.choose(*pictures, size=size)
        self._state.place = None if pictures else self._state.place
        return self.answer_begin()

    def answer_look(self, x: float, y: float) -> Reply:
        """The image at a place and its top five."""
        image = self.image_at(x, y)
        self._state.place = (x, y)
        across, up = (self._point(x, y)[0] * grey_levels(image)).tolist()
        top = [{"label": p.label, "probability": p.probability} for p in self.model.top(image)]
        return {"top": top, "x": x, "y": y, "across": across, "up": up}, [rgb(image)]

    def answer_map(self) -> Reply:
        """The map, three bytes per place from the top left, and what is on it."""
        filling, survey, found, marks = self._filling, self.survey, self.map, self.marks
        colours = self._colours(found)
        pixels = np.round(255 * paint_regions(found, colours)[::-1]).astype(np.uint8)
        unit = grey_levels(survey.plane.origin)
        facts = {
            "chosen": self.chosen,
            "sizes": self._sizes(self.chosen),
            "size": filling.size,
            "computed": filling.computed,
            "done": filling.done,
            "extent": [unit * edge for edge in survey.extent],
            "marks": marks,
            "regions": _regions(found, colours, self.model.labels, marks),
        }
        return facts, [pixels.tobytes()]

    def _colours(self, found: RegionMap) -> dict[int, str]:
        """The colours of the largest classes: those of the pictures first; each keeps its colour as the map changes."""
        wanted, before = region_colours([found.labels], self.model.labels), self._state.colours
        if len(self.model.labels) <= 3:
            return wanted
        if not before:
            three = [image for _, image in zip(range(3), self.survey.images.values(), strict=False)]
            own = self.model.probabilities(self.model.clip(torch.cat(three))).argmax(1).tolist()
            names = dict(enumerate(self.model.labels))
            before = {k: CHARACTERS[names[k]] for k in (*own, *wanted) if names.get(k) in CHARACTERS}
            before = with_free_colours(before, list(dict.fromkeys(own)))
            wanted = dict.fromkeys([*before, *wanted])
        same = {index: colour for index, colour in before.items() if index in wanted}
        self._state.colours = with_free_colours(same, list(wanted))
        return self._state.colours

    def _check_preset(self, preset: Mapping) -> None:
        if not isinstance(preset.get("title"), str) or not {*preset} <= {"title", "x", "y", "corner", "pictures"}:
            raise ValueError(f"a preset needs a title and any of x, y, corner and pictures, got {dict(preset)}")
        if ("x" in preset) != ("y" in preset) or preset.get("corner", 0) not in (0, 1, 2):
            raise ValueError(f"a preset needs both x and y, or a corner 0, 1 or 2, got {dict(preset)}")
        if "x" in preset:
            between(0, 1, x=preset["x"], y=preset["y"])
        pictures = preset.get("pictures", self.chosen)
        unknown = [name for name in pictures if name not in self.picture_names]
        if unknown or ("pictures" in preset and len(set(pictures)) != 3):
            raise ValueError(f"pictures must be three of {', '.join(self.picture_names)}, got {pictures!r}")

    def twin(self) -> Figure:
        """The map as it is, coarse at first, with the three pictures beside it."""
        survey = self.survey
        left, right, bottom, top = survey.extent
        return region_maps(
            {"": self.map},
            self.model.labels,
            marks=survey.marks,
            images={name: image.clamp(0, 1) for name, image in survey.images.items()},
            unit=grey_levels(survey.plane.origin),
            axis_labels=("grey levels (RMS)", "grey levels (RMS)"),
            stretch=not 0.5 < (right - left) / (top - bottom) < 2,
        )


def _check_map(found: RegionMap, extent: Extent) -> None:
    if found.labels.shape[0] != found.labels.shape[1]:
        raise ValueError(f"the map must have as many rows as columns, got {tuple(found.labels.shape)}")
    if not np.allclose(found.extent, extent, rtol=1e-4):
        raise ValueError(f"the map shows {found.extent}, but the survey {extent}: make the map with survey.extent")


def _regions(
    found: RegionMap, colours: Mapping[int, str], names: Sequence[str], marks: Sequence[Mapping]
) -> list[dict]:
    """The classes that have a colour, the largest first: label, colour, share of the map.

    If there is room for a name, it also has a place: x and y in shares of the map.
    """
    count = found.labels.flatten().bincount(minlength=len(names))
    largest_first = sorted(colours, key=lambda index: -count[index].item())
    taken = [(mark["x"], mark["y"] + 0.05, 0.14) for mark in marks]  # a picture's name stands above its place
    places = name_places(found.labels, largest_first, taken, width=0.35, height=0.08, least=LARGE)
    regions = []
    for index in largest_first:
        strongest = [1 - 0.72 * (1 - part) for part in to_rgb(colours[index])]
        colour = "#" + "".join(f"{round(255 * part):02x}" for part in strongest)
        share = count[index].item() / found.labels.numel()
        region = {"label": names[index], "colour": colour, "share": share}
        if index in places and places[index].depth > 0.04:  # about the height of a name
            region |= {"x": places[index].x, "y": places[index].y}
        if share:
            regions.append(region)
    return regions
