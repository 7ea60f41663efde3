"""Points in the plane, a small network and its regions, live: the canvas of lesson 4."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..arguments import between, one_of, whole
from ..figures import NOTHING as NOTHING_COLOUR
from ..figures import REGIONS, region_maps
from ..models import Classifier
from ..networks.small import (
    ACTIVATIONS,
    POINTS,
    PRESETS,
    Points,
    empty_places,
    fit_points,
    frozen,
    plane_net,
    plane_points,
)
from ..objectives import Label, toward
from ..optimize import optimize_pixels
from ..regions import RegionMap, boundary_distance, region_map
from ..steps import unit_step
from .kit import AskedWidget, Reply, script

START_PRESET, START_EDGE = "blobs", 1.25  # a little more than the data's box
SIZE = 100  # cells along each side of the picture
EDGE = 20.0  # as far out as one can look, and put a point
MOST_POINTS = 1000
RATE = 0.01
STEPS_PER_PICTURE = 10
PICTURE_SECONDS = 0.012  # a slow machine or a large network takes fewer steps, so that the picture keeps moving
FOOLING_STEPS, SURE = 300, 0.99
DIRECTIONS = 720
LOOKED = ((0.01, 2, 200), (2, 60, 300))  # from, to, how many places: near first, and farther where nothing is near
CLASSES = POINTS.labels
NOTHING = len(CLASSES)  # the label of the points that say: here is none of the classes
NAMES, COLOURS = (*CLASSES, "nothing"), (*REGIONS[: len(CLASSES)], NOTHING_COLOUR)
NOTHING_POINTS, NOTHING_GAP = 100, 0.25  # how many are added at once, and how near to a point of a class
ALL_PRESETS = (*PRESETS, "empty")
SETTINGS = {
    "classes": (int, partial(whole, 2, len(CLASSES))),
    "hidden": (int, partial(whole, 1, 64)),
    "depth": (int, partial(whole, 1, 3)),
    "activation": (str, partial(one_of, ACTIVATIONS)),
    "weight_decay": (float, partial(between, 0, 1)),
}


@contextmanager
def one_thread() -> Iterator[None]:
    """For networks this small a second thread gains nothing, and waits for a core that the browser needs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checked(**settings: object) -> dict:
    """The settings as plain numbers and words; raises ValueError for what cannot be set."""
    checked = {}
    for name, value in settings.items():
        one_of(SETTINGS, setting=name)
        plain, check = SETTINGS[name]
        check(**{name: value})
        checked[name] = plain(value)
    return checked


def _place(x: float, y: float) -> Tensor:
    between(-EDGE, EDGE, x=x, y=y)
    return torch.tensor([[float(x), float(y)]])


class PlaneCanvas(AskedWidget):
    """A canvas to put points on, and a network that trains while it is watched: `display(PlaneCanvas("moons"))`.

    preset: "blobs", "moons", "rings", "spiral" or "empty". classes: 2 or 3. hidden: units per layer, 1 to 64.
    depth: layers of hidden units, 1 to 3. activation: "relu" or "tanh". weight_decay: 0 to 1.
    `add_nothing` gives the network one class more, of points where there is nothing.
    Every view of one canvas shows the same state; the methods change it from a cell.
    Raises ValueError for any other value.
    """

    _esm = script("plane_canvas")
    names = traitlets.List(NAMES).tag(sync=True)
    colours = traitlets.List(COLOURS).tag(sync=True)

    def __init__(
        self,
        preset: str = START_PRESET,
        *,
        classes: int = 3,
        hidden: int = 32,
        depth: int = 2,
        activation: str = "relu",
        weight_decay: float = 0.0,
        seed: int = 0,
    ):
        self._settings = _checked(
            classes=classes, hidden=hidden, depth=depth, activation=activation, weight_decay=weight_decay
        )
        whole(0, 2**31, seed=seed)
        self._seed = seed
        self._edge = START_EDGE
        self._answering = False
        self._nothing = False
        self._load(preset)
        self._renew()
        super().__init__(presets=[{"title": name} for name in ALL_PRESETS])

    # ------------------------------------------------------------------------------------------------- the points

    @property
    def points(self) -> Points:
        """The training points; assign other `Points` to replace them."""
        return Points(*(part.clone() for part in self._points))

    @points.setter
    def points(self, points: Points) -> None:
        places, labels = torch.as_tensor(points[0], dtype=torch.float32), torch.as_tensor(points[1])
        if places.ndim != 2 or places.shape[1] != 2 or labels.shape != places.shape[:1]:
            raise ValueError(
                f"points need places (N, 2) and labels (N,), got {(*places.shape,)} and {(*labels.shape,)}"
            )
        if not (places.abs() <= EDGE).all():
            raise ValueError(f"every place must be between -{EDGE:g} and {EDGE:g}: divide the places by a number")
        if not torch.isin(labels, torch.tensor(self._labels, dtype=labels.dtype)).all():
            raise ValueError(f"labels must be among {self._labels}, got {labels}")
        self._change_points(places.clone(), labels.long())
        self._show()

    def _change_points(self, places: Tensor, labels: Tensor, preset: str = "") -> None:
        if len(labels) > MOST_POINTS:
            raise ValueError(
                f"{MOST_POINTS} points is the most that can be trained on live: remove some, or choose a preset"
            )
        self._points, self._preset = Points(places, labels), preset
        self._warning = self._warn()
        self._forget_path()

    def _warn(self) -> str:
        """What is wrong with the points as a training set, and what to do."""
        present = self._points.labels.unique().tolist()
        if not present:
            return "There are no points. Click in the plane to add some, or choose a preset."
        if len(present) == 1:
            return (
                f"All points are of one class, {NAMES[present[0]]}. Add points of a second class, or choose a preset."
            )
        labelled = torch.cat([1000 * self._points.places, self._points.labels[:, None]], 1).round() + 0.0  # no -0
        places, classes = labelled.unique(dim=0)[:, :2].unique(dim=0, return_counts=True)
        shared = (places[classes > 1] / 1000).tolist()
        if shared:
            x, y = shared[0]
            return (
                f"Points of different classes lie on one place, ({x:.2f}, {y:.2f}). No network can separate them. "
                "Training goes on; move or remove one."
            )
        return ""

    @property
    def _labels(self) -> list[int]:
        """The labels in use, in the order of the network's outputs."""
        return [*range(self._settings["classes"]), *[NOTHING][: self._nothing]]

    @property
    def _targets(self) -> Points:
        """The points as the network is trained on them: its output for *nothing* is its last."""
        return Points(self._points.places, self._points.labels.clamp(max=self._settings["classes"]))

    def _label(self, label: Label) -> int:
        if isinstance(label, str):
            one_of([NAMES[one] for one in self._labels], label=label)
            return NAMES.index(label)
        whole(0, NOTHING, label=label)
        one_of(self._labels, label=label)
        return label

    def _index(self, index: int) -> int:
        if not len(self._points.labels):
            raise ValueError("there are no points: click in the plane to add some, or choose a preset")
        whole(0, len(self._points.labels) - 1, index=index)
        return index

    def add(self, x: float, y: float, label: Label) -> None:
        """Add a training point of a class, given by its name or number."""
        places = torch.cat([self._points.places, _place(x, y)])
        self._change_points(places, torch.cat([self._points.labels, torch.tensor([self._label(label)])]))
        self._show()

    def move(self, index: int, x: float, y: float) -> None:
        """Move a training point."""
        places = self._points.places.clone()
        places[self._index(index)] = _place(x, y)
        self._change_points(places, self._points.labels)
        self._show()

    def remove(self, index: int) -> None:
        """Remove a training point; those after it move up."""
        kept = torch.arange(len(self._points.labels)) != self._index(index)
        self._change_points(self._points.places[kept], self._points.labels[kept])
        self._show()

    def add_nothing(self, count: int = NOTHING_POINTS) -> None:
        """Scatter points of the class *nothing* over what is seen, `count` of them, away from the points of classes.

        The first ones start a new network, which has one output more. A preset takes them away again.
        """
        whole(1, MOST_POINTS, count=count)
        places, labels = self._points
        generator = torch.Generator().manual_seed(self._seed + len(labels))
        found = empty_places(count, self._edge, places[labels != NOTHING], NOTHING_GAP, generator)
        if not len(found):
            raise ValueError("there is no empty place in view: zoom out, or remove some points")
        self._change_points(torch.cat([places, found]), torch.cat([labels, torch.full((len(found),), NOTHING)]))
        if not self._nothing:
            self._nothing = True
            self._renew()
        self._result = f"{len(found)} points of nothing, up to ±{self._edge:g}. Train, and then zoom out."
        self._show()

    def load(self, name: str) -> None:
        """Replace the points by those of a preset; "empty" has none. Points of *nothing* and their class go."""
        self._load(name)
        if self._nothing:
            self._nothing = False
            self._renew()
        self._show()

    def _load(self, name: str) -> None:
        one_of(ALL_PRESETS, preset=name)
        classes = self._settings["classes"]
        points = plane_points("blobs" if name == "empty" else name, classes=classes, seed=self._seed)
        count = 0 if name == "empty" else len(points.labels)
        self._change_points(points.places[:count], points.labels[:count], name)

    # ------------------------------------------------------------------------------------------------ the network

    @property
    def model(self) -> Classifier:
        """A frozen copy of the network as it is now, for `optimize_pixels` and `boundary_distance`."""
        return frozen(self._net, POINTS._replace(labels=tuple(NAMES[one] for one in self._labels)))

    @property
    def settings(self) -> dict:
        """A copy of the settings: classes, hidden, depth, activation, weight_decay."""
        return dict(self._settings)

    @property
    def steps_taken(self) -> int:
        """The steps of training since the network was new."""
        return self._steps_taken

    def configure(self, **settings) -> None:
        """Change settings by name; another shape of the network restarts its training, weight decay does not."""
        checked = _checked(**settings)
        new = {name for name, value in checked.items() if self._settings[name] != value}
        self._settings |= checked
        if "classes" in new:
            if self._preset:
                self._load(self._preset)
            else:
                kept = torch.isin(self._points.labels, torch.tensor(self._labels))
                self._change_points(self._points.places[kept], self._points.labels[kept])
        if new - {"weight_decay"}:
            self._renew()
        self._optimizer.param_groups[0]["weight_decay"] = self._settings["weight_decay"]
        self._show()

    def reset(self) -> None:
        """Start again with the same new network."""
        self._renew()
        self._show()

    def _renew(self) -> None:
        shape = {name: value for name, value in self._settings.items() if name != "weight_decay"}
        shape["classes"] += self._nothing
        self._net = plane_net(**shape, seed=self._seed)
        self._optimizer = torch.optim.Adam(self._net.parameters(), RATE, weight_decay=self._settings["weight_decay"])
        self._steps_taken = 0
        self._forget_path()

    @one_thread()
    def step(self, count: int = 1) -> None:
        """Train the network on all points, `count` steps. Raises ValueError without points of two classes."""
        whole(1, 100_000, count=count)
        if not self._trainable:
            raise ValueError(self._warning)
        self._train(count)
        self._show()

    @property
    def _trainable(self) -> bool:
        return self._points.labels.unique().numel() > 1

    def _train(self, count: int, seconds: float = math.inf) -> None:
        self._forget_path()
        end = time.perf_counter() + seconds
        # the optimizer outlives a point that is moved, and its memory with it
        losses = fit_points(self._net, self._targets, optimizer=self._optimizer)
        try:
            for _ in zip(range(count), losses, strict=False):
                self._steps_taken += 1
                if time.perf_counter() > end:
                    break
        except FloatingPointError as error:
            raise FloatingPointError("the loss is no longer a finite number: press Reset") from error

    # -------------------------------------------------------------------------------------------------- fooling it

    @one_thread()
    def fool(self, x: float, y: float, label: Label) -> Tensor:
        """Walk from a place into the region of a class, with `optimize_pixels`: the places (N, 2) on the way."""
        model, label = self.model, self._label(label)
        name = NAMES[label]
        start = _place(x, y)
        rule = unit_step(self._edge / 50)  # a hundredth of the view's width
        way = []
        for frame in optimize_pixels(model, start, toward(name), step=rule, steps=FOOLING_STEPS):
            way.append(frame.image[0])
            probability = frame.probability(name)
            if probability > SURE:
                break
        places = torch.stack(way)
        distance, sure = (places[-1] - places[0]).norm().item(), f"{100 * probability:.1f} %"
        if probability <= SURE:
            words = f"After {FOOLING_STEPS} steps only {sure} {name}. Train longer, or start elsewhere."
        elif len(places) == 1:
            words = f"This place is {name} already, {sure}. Choose another class."
        else:
            words = f"From here to {name}, {sure}: {distance:.2f} away."
        self._show_path(places, label, words)
        return places

    @one_thread()
    def shortest_way(self, index: int) -> tuple[Tensor, float]:
        """The nearest place (2,) with another class than that of a training point, and how far it is (L2).

        It looks along straight lines in 720 directions; infinite where there is no other class within 60.
        """
        model, index = self.model, self._index(index)
        place, own = self._points.places[index : index + 1], NAMES[self._points.labels[index]]
        angles = torch.arange(DIRECTIONS) * (2 * torch.pi / DIRECTIONS)
        directions = torch.stack([angles.cos(), angles.sin()], 1)
        for looked in LOOKED:
            found = boundary_distance(model, place, directions, torch.linspace(*looked))
            if found.isfinite().any():
                break
        nearest = found.argmin()
        distance = found[nearest].item()
        if distance == math.inf:
            self._show_path(place, self._points.labels[index].item(), "There is no boundary near here: train first.")
            return place[0], distance
        end = place + distance * directions[nearest]
        before, after = (model.top(there, 1)[0] for there in (place, end))
        words = f"The shortest way from this {own} to {after.label}: {distance:.2f}."
        if before.label != own:
            words = f"The network takes this {own} for {before.label} already. {words}"
        self._show_path(torch.cat([place, end]), NAMES.index(after.label), words)
        return end[0], distance

    def _show_path(self, places: Tensor, label: int, words: str) -> None:
        if not self._steps_taken:
            words += " The network is untrained."
        if places[-1].abs().max() > self._edge:
            words += " Zoom out to see the end."
        self._path = {"places": _rounded(places), "label": label}
        self._result = words
        self._show()

    def _forget_path(self) -> None:
        self._path, self._result = None, ""

    # ------------------------------------------------------------------------------------------------ what is seen

    def zoom(self, edge: float) -> None:
        """Show the plane from -edge to edge, 1 to 20."""
        between(1, EDGE, edge=edge)
        self._edge = float(edge)
        self._show()

    @one_thread()
    def twin(self) -> Figure:
        """The points, and the regions as they are now."""
        names = NAMES[: max(self._labels) + 1]
        title = f"{self._steps_taken} steps of training"
        path = [torch.tensor(self._path["places"])] if self._path else []
        return region_maps({title: self._field()}, names, points=self._points, paths=path)

    def _field(self) -> RegionMap:
        edges = (-self._edge, self._edge, -self._edge, self._edge)
        with torch.no_grad():
            field = region_map(lambda grid: self._net(grid).softmax(1), edges, SIZE)
        return field._replace(labels=torch.tensor(self._labels)[field.labels])

    def _picture(self) -> list[bytes]:
        """A byte per cell for the class, and one for its probability, from the bottom left."""
        field = self._field()
        strength = (255 * field.confidence).nan_to_num().round()
        return [part.to(torch.uint8).numpy().tobytes() for part in (field.labels, strength)]

    def _facts(self) -> dict:
        """What the page shows besides the points and the picture; `None` for numbers that are not finite."""
        places, labels = self._targets
        with torch.no_grad():
            logits = self._net(places)
            loss = nn.functional.cross_entropy(logits, labels).item()
            right = (logits.argmax(1) == labels).float().mean().item()
        return {
            "settings": self._settings,
            "labels": self._labels,
            "preset": self._preset,
            "zoom": self._edge,
            "steps": self._steps_taken,
            "loss": loss if math.isfinite(loss) else None,
            "right": right if math.isfinite(right) else None,
            "trainable": self._trainable,
            "warning": self._warning,
            "result": self._result,
            "path": self._path,
        }

    @one_thread()
    def _seen(self) -> Reply:
        """All that is seen: the facts, the points as [x, y, class], and the picture."""
        places, labels = self._points
        points = [[*place, label] for place, label in zip(_rounded(places), labels.tolist(), strict=True)]
        return {**self._facts(), "points": points}, self._picture()

    def _show(self) -> None:
        """Show every view what a cell has changed."""
        if not self._answering:
            self.send(*self._seen())

    # ------------------------------------------------------------------------------------------ what the page asks

    def _answer(self, question: dict, buffers: list) -> Reply:
        """What is seen after the change that was asked for."""
        self._answering = True
        try:
            return super()._answer(question, buffers) or self._seen()
        finally:
            self._answering = False

    def answer_begin(self) -> None:
        """Show all as it is."""

    answer_add, answer_move, answer_remove, answer_preset = add, move, remove, load
    answer_reset, answer_step, answer_zoom = reset, step, zoom

    def answer_nothing(self) -> None:
        """Scatter points of the class *nothing* over what is seen."""
        self.add_nothing()

    def answer_set(
        self,
        classes: int | None = None,
        hidden: int | None = None,
        depth: int | None = None,
        activation: str | None = None,
        weight_decay: float | None = None,
    ) -> None:
        """Change the settings that are given."""
        given = {"classes": classes, "hidden": hidden, "depth": depth, "activation": activation}
        given["weight_decay"] = weight_decay
        self.configure(**{name: value for name, value in given.items() if value is not None})

    def answer_fool(self, x: float, y: float, label: int) -> None:
        """Walk from a place into the region of a class."""
        self.fool(x, y, label)

    def answer_shortest(self, index: int) -> None:
        """Find the shortest way out of the class of a point."""
        self.shortest_way(index)

    @one_thread()
    def answer_frame(self, pictures: int = 1) -> Reply:
        """Train for some pictures, 1 to 4, and show each; the points are as before, and not among the facts."""
        whole(1, 4, pictures=pictures)
        drawn = []
        for _ in range(pictures):
            if self._trainable:
                self._train(STEPS_PER_PICTURE, PICTURE_SECONDS)
            drawn += self._picture()
        return self._facts(), drawn


def _rounded(places: Tensor) -> list[list[float]]:
    return [[round(x, 4), round(y, 4)] for x, y in places.tolist()]
