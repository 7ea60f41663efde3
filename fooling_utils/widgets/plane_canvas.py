"""Points in the plane, a small network and its regions, live: the canvas of lesson 4.

The front end asks, and every question gets one answer with the whole state; nothing runs when nobody asks.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anywidget
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..figures import region_maps
from ..models import Classifier
from ..networks.small import (
    ACTIVATIONS,
    PLANE_LABELS,
    PRESETS,
    Points,
    plane_classifier,
    plane_net,
    plane_points,
    train,
)
from ..objectives import Label, toward
from ..optimize import optimize_pixels
from ..regions import RegionMap, boundary_distance, region_map
from ..steps import unit_step
from .kit import WithTwin

SIZE = 100  # cells along each side of the picture
EDGE = 20.0  # as far out as one can look, and put a point
MOST_POINTS = 1000
RATE = 0.01
STEPS_PER_FRAME = 10
FRAME_SECONDS = 0.012  # a slow machine or a large network takes fewer steps a frame, so that the picture keeps moving
FOOLING_STEPS, SURE = 300, 0.99
DIRECTIONS = 720
PICTURES = (*PRESETS, "empty")


@contextmanager
def one_thread() -> Iterator[None]:
    """For networks this small a second thread gains nothing, and waits for a core that the browser needs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
        return value

    return check


def _number(low: float, high: float) -> Callable[[str, object], float]:
    def check(name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
        return float(value)

    return check


def _choice(*choices: str) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        return value

    return check


SETTINGS = {
    "classes": _whole(2, len(PLANE_LABELS)),
    "hidden": _whole(1, 64),
    "depth": _whole(1, 3),
    "activation": _choice(*ACTIVATIONS),
    "weight_decay": _number(0, 1),
}
COORDINATE = _number(-EDGE, EDGE)


class PlaneCanvas(WithTwin, anywidget.AnyWidget):
    """A canvas to put points on, and a network that trains while it is watched: `display(PlaneCanvas("moons"))`.

    preset: "blobs", "moons", "rings", "spiral" or "empty". classes: 2 or 3. hidden: units per layer, 1 to 64.
    depth: layers of hidden units, 1 to 3. activation: "relu" or "tanh". weight_decay: 0 to 1.
    Every view of one canvas shows the same state; the methods change it from a cell.
    Raises ValueError for any other value.
    """

    _esm = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

    def __init__(
        self,
        preset: str = "blobs",
        *,
        classes: int = 3,
        hidden: int = 32,
        depth: int = 2,
        activation: str = "relu",
        weight_decay: float = 0.0,
        seed: int = 0,
    ):
        given = {
            "classes": classes,
            "hidden": hidden,
            "depth": depth,
            "activation": activation,
            "weight_decay": weight_decay,
        }
        self._settings = {name: check(name, given[name]) for name, check in SETTINGS.items()}
        self._seed = _whole(0, 2**31)("seed", seed)
        self._edge = 1.25  # a little more than the data's box
        self._version, self._problem, self._answering = 0, "", False
        super().__init__()
        self._requests = {
            "frame": self._frame,
            "step": self.step,
            "add": self.add,
            "move": self.move,
            "remove": self.remove,
            "preset": self.load,
            "set": self.configure,
            "zoom": self.zoom,
            "reset": self.reset,
            "fool": self.fool,
            "shortest": self.shortest_way,
        }
        self._load(_choice(*PICTURES)("preset", preset))
        self._renew()
        self.on_msg(self._receive)

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
        if not ((labels >= 0) & (labels < self._settings["classes"]) & (labels == labels.long())).all():
            raise ValueError(f"labels must be whole numbers from 0 to {self._settings['classes'] - 1}, got {labels}")
        self._change_points(places.clone(), labels.long())
        self._show()

    def _change_points(self, places: Tensor, labels: Tensor, preset: str = "") -> None:
        if len(labels) > MOST_POINTS:
            raise ValueError(
                f"{MOST_POINTS} points is the most that can be trained on live: remove some, or choose a preset"
            )
        self._points, self._preset = Points(places, labels), preset
        self._version += 1
        self._warning = self._warn()
        self._forget_path()

    def _warn(self) -> str:
        """What is wrong with the points as a training set, and what to do."""
        present = self._points.labels.unique().tolist()
        if not present:
            return "There are no points. Click in the plane to add some, or choose a preset."
        if len(present) == 1:
            return f"All points are {PLANE_LABELS[present[0]]}s. Add points of a second class, or choose a preset."
        here: dict[tuple[float, float], set[int]] = {}
        for (x, y), label in zip(self._points.places.tolist(), self._points.labels.tolist(), strict=True):
            here.setdefault((round(x, 3), round(y, 3)), set()).add(label)
        double = [place for place, labels in here.items() if len(labels) > 1]
        if double:
            where = f"({double[0][0]:.2f}, {double[0][1]:.2f})"
            return (
                f"Points of different classes lie on one place, {where}. No network can separate them. "
                "Training goes on; move or remove one."
            )
        return ""

    def _label(self, label: Label) -> int:
        names = PLANE_LABELS[: self._settings["classes"]]
        if isinstance(label, str):
            return names.index(_choice(*names)("label", label))
        return _whole(0, len(names) - 1)("label", label)

    def _index(self, index: int) -> int:
        if not len(self._points.labels):
            raise ValueError("there are no points: click in the plane to add some, or choose a preset")
        return _whole(0, len(self._points.labels) - 1)("the number of the point", index)

    def add(self, x: float, y: float, label: Label) -> None:
        """Add a training point of a class, given by its name or number."""
        place = torch.tensor([[COORDINATE("x", x), COORDINATE("y", y)]])
        label = torch.tensor([self._label(label)])
        self._change_points(torch.cat([self._points.places, place]), torch.cat([self._points.labels, label]))
        self._show()

    def move(self, index: int, x: float, y: float) -> None:
        """Move a training point."""
        places = self._points.places.clone()
        places[self._index(index)] = torch.tensor([COORDINATE("x", x), COORDINATE("y", y)])
        self._change_points(places, self._points.labels)
        self._show()

    def remove(self, index: int) -> None:
        """Remove a training point; those after it move up."""
        kept = torch.arange(len(self._points.labels)) != self._index(index)
        self._change_points(self._points.places[kept], self._points.labels[kept])
        self._show()

    def load(self, name: str) -> None:
        """Replace the points by those of a preset; "empty" has none."""
        self._load(_choice(*PICTURES)("preset", name))
        self._show()

    def _load(self, name: str) -> None:
        classes = self._settings["classes"]
        points = plane_points("blobs" if name == "empty" else name, classes=classes, seed=self._seed)
        count = 0 if name == "empty" else len(points.labels)
        self._change_points(points.places[:count], points.labels[:count], name)

    # ------------------------------------------------------------------------------------------------ the network

    @property
    def model(self) -> Classifier:
        """A frozen copy of the network as it is now, for `optimize_pixels` and `boundary_distance`."""
        return plane_classifier(self._net)

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
        for name in settings:
            _choice(*SETTINGS)("setting", name)
        checked = {name: SETTINGS[name](name, value) for name, value in settings.items()}
        new = {name for name, value in checked.items() if self._settings[name] != value}
        self._settings |= checked
        if "classes" in new:
            if self._preset:
                self._load(self._preset)
            else:
                kept = self._points.labels < self._settings["classes"]
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
        self._net = plane_net(**shape, seed=self._seed)
        self._optimizer = torch.optim.Adam(self._net.parameters(), RATE, weight_decay=self._settings["weight_decay"])
        self._steps_taken = 0
        self._forget_path()

    def step(self, count: int = 1) -> None:
        """Train the network on all points, `count` steps. Raises ValueError without points of two classes."""
        _whole(1, 100_000)("count", count)
        if not self._trainable:
            raise ValueError(self._warning)
        self._train(count)
        self._show()

    @property
    def _trainable(self) -> bool:
        return self._points.labels.unique().numel() > 1

    @one_thread()
    def _train(self, count: int, seconds: float = math.inf) -> None:
        self._forget_path()
        end = time.perf_counter() + seconds
        # the optimizer outlives a point that is moved, and its memory with it
        for _, loss in zip(range(count), train(self._net, self._points, optimizer=self._optimizer), strict=False):
            self._steps_taken += 1
            if not math.isfinite(loss):
                raise FloatingPointError("the loss is no finite number any more: press Reset")
            if time.perf_counter() > end:
                break

    def _frame(self, play: bool = False, pictures: int = 1) -> None:
        """Train for some pictures, if it plays; the last one goes with the state, those before it are kept for it."""
        for left in range(_whole(1, 4)("pictures", pictures), 0, -1):
            if play and self._trainable:
                self._train(STEPS_PER_FRAME, FRAME_SECONDS)
                if left > 1:
                    self._pictures += self._picture()

    # -------------------------------------------------------------------------------------------------- fooling it

    @one_thread()
    def fool(self, x: float, y: float, label: Label) -> Tensor:
        """Walk from a place into the region of a class, with `optimize_pixels`: the places (N, 2) on the way."""
        model, label = self.model, self._label(label)
        name = model.labels[label]
        start = torch.tensor([[COORDINATE("x", x), COORDINATE("y", y)]])
        rule = unit_step(self._edge / 50)  # a hundredth of the view's width
        way = []
        for frame in optimize_pixels(model, start, toward(label), step=rule, steps=FOOLING_STEPS):
            way.append(frame.image[0])
            probability = frame.probability(label)
            if probability > SURE:
                break
        places = torch.stack(way)
        distance = (places[-1] - places[0]).norm().item()
        if probability <= SURE:
            words = (
                f"After {FOOLING_STEPS} steps only {_percent(probability)} {name}. Train longer, or start elsewhere."
            )
        elif len(places) == 1:
            words = f"This place is {name} already, {_percent(probability)}. Choose another class."
        else:
            words = f"From here to {name}, {_percent(probability)}: {distance:.2f} away."
        self._show_path(places, label, words)
        return places

    @one_thread()
    def shortest_way(self, index: int) -> tuple[Tensor, float]:
        """The nearest place (2,) with another class than that of a training point, and how far it is (L2).

        It looks along straight lines in 720 directions; infinite where there is no other class within 60.
        """
        model, index = self.model, self._index(index)
        place, own = self._points.places[index : index + 1], PLANE_LABELS[self._points.labels[index]]
        angles = torch.arange(DIRECTIONS) * (2 * torch.pi / DIRECTIONS)
        directions = torch.stack([angles.cos(), angles.sin()], 1)
        for distances in (torch.linspace(0.01, 2, 200), torch.linspace(2, 60, 300)):
            found = boundary_distance(model, place, directions, distances)
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
        self._show_path(torch.cat([place, end]), after.index, words)
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

    # ------------------------------------------------------------------------------------------ talk with the page

    def zoom(self, edge: float) -> None:
        """Show the plane from -edge to edge, 1 to 20."""
        self._edge = _number(1, EDGE)("edge", edge)
        self._show()

    def _show(self) -> None:
        if not self._answering:
            self._problem = ""
            self.send(*self._state())

    def _receive(self, _widget, content: object, _buffers=None) -> None:
        """Give one answer to every question, whatever is in it and whatever happens."""
        content = content if isinstance(content, dict) else {}
        ask = content.get("ask")
        answer = {key: content.get(key) for key in ("id", "view")}
        self._answering, self._pictures = True, []
        try:
            if ask != "frame":
                self._problem = ""
            request = self._requests[_choice(*self._requests)("ask", ask)]
            request(**content.get("with", {}))
        except (Exception, KeyboardInterrupt) as error:  # what is raised in a callback is seen by nobody
            self._problem = _words(error)
        finally:
            self._answering = False
        try:
            state, picture = self._state(content.get("known"))
        except (Exception, KeyboardInterrupt) as error:
            state, picture = {"problem": _words(error)}, []
        self.send({**answer, **state}, self._pictures + picture)

    def _field(self) -> RegionMap:
        edges = (-self._edge, self._edge, -self._edge, self._edge)
        with torch.no_grad():
            return region_map(lambda grid: self._net(grid).softmax(1), edges, SIZE)

    @one_thread()
    def twin(self) -> Figure:
        """The points, and the regions as they are now."""
        names = PLANE_LABELS[: self._settings["classes"]]
        title = f"{self._steps_taken} steps of training"
        path = [torch.tensor(self._path["places"])] if self._path else []
        return region_maps({title: self._field()}, names, points=self._points, paths=path)

    @one_thread()
    def _picture(self) -> list[bytes]:
        """A byte per cell for the class, and one for its probability, from the bottom left."""
        field = self._field()
        strength = (255 * field.confidence).nan_to_num().round()
        return [part.to(torch.uint8).numpy().tobytes() for part in (field.labels, strength)]

    @one_thread()
    def _state(self, known: object = None) -> tuple[dict, list[bytes]]:
        """What the page shows: the values, and the picture.

        known: the version of the points that the page has; these are not sent again.
        """
        places, labels = self._points
        with torch.no_grad():
            logits = self._net(places)
            loss = nn.functional.cross_entropy(logits, labels).item()
            right = (logits.argmax(1) == labels).float().mean().item()
        state = {
            "settings": self._settings,
            "preset": self._preset,
            "zoom": self._edge,
            "version": self._version,
            "steps": self._steps_taken,
            "loss": loss if math.isfinite(loss) else None,
            "right": right if math.isfinite(right) else None,
            "trainable": self._trainable,
            "warning": self._warning,
            "problem": self._problem,
            "result": self._result,
            "path": self._path,
        }
        if known != self._version:
            state["points"] = [[*place, label] for place, label in zip(_rounded(places), labels.tolist(), strict=True)]
        return state, self._picture()


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _rounded(places: Tensor) -> list[list[float]]:
    return [[round(x, 4), round(y, 4)] for x, y in places.tolist()]


def _words(error: BaseException) -> str:
    if isinstance(error, ValueError):
        text = str(error)
        return text[:1].upper() + text[1:]
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    return f"Something went wrong in Python: {type(error).__name__}: {error}"
