"""The plane in the tab against the plane in Python: the same weights, maps, walks, numbers and sentences."""

import copy
import json

import pytest
import torch

from fooling_utils.networks.small import Points, fit_points, plane_net, plane_points
from fooling_utils.regions import region_map
from fooling_utils.widgets import plane_canvas
from fooling_utils.widgets.plane_canvas import EDGE, FOOLING_STEPS, MOST_POINTS, RATE, START_EDGE, PlaneCanvas

LONG = 60  # seconds for a picture, so that no machine takes fewer steps
BLANK = "<!doctype html><link rel=icon href='data:,'>"
OPEN = """async () => {
  window.network = await import("/app/plane_network.js");
  const worker = new Worker("app/plane_worker.js", { type: "module" });
  window.ask = (ask, values) => new Promise((resolve) => {
    worker.onmessage = ({ data: { facts, buffers } }) => resolve({ ...facts, buffers: buffers.map((one) => [...one]) });
    worker.postMessage({ question: { id: 1, ask, with: values }, buffers: [] });
  });
}"""
ASK = """async (questions) => {
  const answers = [];
  for (const [name, values] of questions) answers.push(await ask(name, values));
  return answers;
}"""
WEIGHTS = """([shape, seed]) => network.newNetwork(shape, seed).layers
  .flatMap(({ weight, bias }) => [[...weight.value], [...bias.value]])"""
TRAINED = """([shape, points, rate, decay, stops, edge]) => {
  const net = network.newNetwork(shape, 0);
  const places = Float32Array.from([...points.map(([x]) => x), ...points.map(([, y]) => y)]);
  const labels = points.map((point) => point[2]);
  const maps = [];
  for (let step = 0; step <= stops.at(-1); step++) {
    if (stops.includes(step)) {
      const { classes, confidence } = network.regions(net, edge, 100);
      maps.push([[...classes], [...confidence]]);
    }
    network.train(net, places, labels, { rate, weight_decay: decay });
  }
  return maps;
}"""


@pytest.fixture
def plane(tab, site):
    """A page that has the worker, as `ask`, and the pure functions, as `network`; a picture may take a minute."""
    facts = json.loads((site / "app/plane.json").read_text())
    facts["constants"]["picture_seconds"] = LONG
    tab.route("**/plane.json", lambda route: route.fulfill(json=facts))
    tab.route("**/blank.html", lambda route: route.fulfill(body=BLANK, content_type="text/html"))
    tab.goto("blank.html")
    tab.evaluate(OPEN)
    return tab


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("shape", [(32, 2, 3), (1, 1, 2), (64, 3, 4), (7, 3, 2)], ids=str)
def test_the_first_weights_are_torchs(plane, shape, seed):
    hidden, depth, classes = shape
    given = {"hidden": hidden, "depth": depth, "classes": classes, "activation": "relu"}
    wanted = [part.flatten().tolist() for part in plane_net(**given, seed=seed).parameters()]
    assert plane.evaluate(WEIGHTS, [given, seed]) == wanted


# ------------------------------------------------------------------------------------------------------- training

# preset, settings, and the step up to which rounding does not decide where the boundary runs
CASES = [
    ("blobs", {}, 500),
    ("moons", {}, 500),
    ("rings", {}, 100),
    ("spiral", {}, 200),
    ("moons", {"classes": 2, "hidden": 8, "depth": 1}, 500),
    ("spiral", {"activation": "tanh"}, 500),
    ("spiral", {"classes": 2, "hidden": 16, "depth": 3, "activation": "tanh", "weight_decay": 0.001}, 500),
    ("spiral", {"hidden": 64, "depth": 3}, 100),
    ("rings", {"weight_decay": 0.01}, 50),
]


def _python_maps(settings, points, stops, order):
    """The maps of torch's network after these numbers of steps, with the points in some order."""
    shape = {name: value for name, value in settings.items() if name != "weight_decay"}
    net = plane_net(**shape, seed=0)
    rows = Points(points.places[order], points.labels[order])
    losses = fit_points(net, rows, weight_decay=settings["weight_decay"])
    done, maps = 0, []
    for stop in stops:
        for _ in range(stop - done):
            next(losses)
        done = stop
        with torch.no_grad():
            maps.append(region_map(lambda grid: net(grid).softmax(1), (-START_EDGE, START_EDGE) * 2, 100))
    return [(one.labels.flatten(), one.confidence.flatten()) for one in maps]


def _apart(one, other):
    """The largest difference between the probabilities of two maps, and the share of places of other classes."""
    return (one[1] - other[1]).abs().max().item(), (one[0] != other[0]).float().mean().item()


@pytest.mark.parametrize(("preset", "chosen", "until"), CASES, ids=str)
def test_the_map_is_pythons(plane, preset, chosen, until):
    """A ReLU network amplifies a difference of 1e-8 as soon as a unit that was dead wakes up.

    That is no fault of the tab: Python parts from itself in the same way when its points come in another order. So up
    to `until` the maps are the same to 1e-3, and at the end they are the same in nearly all places.
    """
    settings = PlaneCanvas(preset, **chosen).settings
    points, stops = plane_points(preset, classes=settings["classes"]), sorted({0, 50, until, 500})
    rows = [[*place, label] for place, label in zip(points.places.tolist(), points.labels.tolist(), strict=True)]
    found = plane.evaluate(TRAINED, [settings, rows, RATE, settings["weight_decay"], stops, START_EDGE])
    found = [(torch.tensor(labels), torch.tensor(confidence)) for labels, confidence in found]
    order = torch.arange(len(rows))
    python = _python_maps(settings, points, stops, order)
    itself = _python_maps(settings, points, stops, order.flip(0))
    for stop, one, other, control in zip(stops, found, python, itself, strict=True):
        (largest, places), (usual, _) = _apart(one, other), _apart(control, other)
        print(f"{stop:4} steps: {largest:.1e} ({places:.2%} of the places); Python and its reverse: {usual:.1e}")
        assert largest < 1e-3 or stop > until
        assert places < 0.1


# ------------------------------------------------------------------------------------- questions, answers, sentences


class Python:
    """The canvas in Python, asked as a page asks it."""

    def __init__(self):
        self.canvas = PlaneCanvas()
        self.canvas.send = lambda facts, buffers: self.heard.append({**copy.deepcopy(facts), "buffers": buffers})
        self.heard = []

    def ask(self, questions):
        for name, values in questions:
            self.canvas._receive(None, {"id": 1, "ask": name, "with": values}, [])
        return self.heard


def _both(plane, questions):
    return zip(questions, plane.evaluate(ASK, questions), Python().ask(questions), strict=True)


def _check(question, here, there):
    """That two answers are the same: words and counts exactly, places and numbers to 1e-3, the picture to a level."""
    assert here.keys() == there.keys(), question
    pictures, numbers = ("buffers",), {"loss", "right", "path", "points"}
    for name in here.keys() - numbers - {*pictures}:
        assert here[name] == there[name], (question, name)
    for name in numbers & here.keys():
        if name == "path" and here[name]:
            assert here["path"]["label"] == there["path"]["label"], question
            ends = [[one["path"]["places"][k] for k in (0, -1)] for one in (here, there)]
            furthest = max(abs(value) for end in ends[1] for value in end)
            # far outside, a walk of tens of units amplifies the last bits of the weights
            by = 1e-3 if furthest <= 5 else furthest / 100
            assert ends[0] == [pytest.approx(end, abs=by) for end in ends[1]], question
        elif name == "points":
            assert here[name] == there[name], question
        else:
            assert here[name] == pytest.approx(there[name], abs=1e-4), (question, name)
    for k, (one, other) in enumerate(zip(here["buffers"], there["buffers"], strict=True)):
        one, other = torch.tensor(one), torch.tensor(list(other))
        apart = (one - other).abs()
        assert (apart > (k % 2)).float().mean() < 0.002, (question, k)


FAR = [[x, y] for x in (-1.2, -0.6, 0, 0.6, 1.2) for y in (-1.2, -0.6, 0, 0.6, 1.2)]
QUESTIONS = [
    ["begin", {}],
    ["fool", {"x": 0.3, "y": 0.1, "label": 1}],
    ["shortest", {"index": 4}],
    ["step", {}],
    ["step", {"count": 99}],
    ["fool", {"x": 0.3, "y": 0.1, "label": 1}],
    ["step", {"count": 60}],
    ["fool", {"x": 0, "y": 1.2, "label": 0}],
    *[["shortest", {"index": index}] for index in (0, 33, 89)],
    ["add", {"x": 0.125, "y": -0.03125, "label": 2}],
    ["add", {"x": 0.125, "y": -0.03125, "label": 0}],
    ["shortest", {"index": 91}],
    ["move", {"index": 91, "x": -0.00004, "y": 1}],
    ["remove", {"index": 90}],
    ["frame", {"pictures": 2}],
    ["set", {"weight_decay": 0.003}],
    ["step", {"count": 20}],
    ["zoom", {"edge": 5}],
    ["fool", {"x": 4.5, "y": -4.5, "label": 0}],
    ["nothing", {}],
    ["nothing", {}],
    ["step", {"count": 60}],
    ["fool", {"x": 0.5, "y": -0.3, "label": 3}],
    ["set", {"classes": 2}],
    ["set", {"classes": 3, "activation": "tanh", "hidden": 5, "depth": 3}],
    ["step", {"count": 100}],
    ["zoom", {"edge": 20}],
    ["reset", {}],
    ["preset", {"name": "moons"}],
    ["step", {"count": 100}],
    ["fool", {"x": 18, "y": 18, "label": 1}],
    ["fool", {"x": 18, "y": 18, "label": 2}],
    ["shortest", {"index": 7}],
    ["zoom", {"edge": 1}],
    ["fool", {"x": -0.5, "y": 0.2, "label": 1}],
    ["preset", {"name": "empty"}],
    ["nothing", {}],
    ["preset", {"name": "empty"}],
    ["add", {"x": 1, "y": 1, "label": 1}],
    ["add", {"x": -1, "y": 1, "label": 1}],
    ["frame", {}],
    ["add", {"x": -0.0001, "y": 0.375, "label": 0}],
    ["add", {"x": -0.0001, "y": 0.375, "label": 1}],
]


def test_every_answer_is_pythons(plane, monkeypatch):
    monkeypatch.setattr(plane_canvas, "PICTURE_SECONDS", LONG)
    seen = []
    for question, here, there in _both(plane, QUESTIONS):
        _check(question, here, there)
        seen.append(here)
    said = " ".join(one["result"] + one["warning"] for one in seen)
    for words in (
        "The network is untrained.",
        "Zoom out to see the end.",
        f"After {FOOLING_STEPS} steps only",
        "already, ",
        "100 points of nothing, up to ±5.",
        "The network takes this",
        "There are no points.",
        "All points are of one class, nothing.",
        "All points are of one class, robin.",
        "Points of different classes lie on one place, (0.12, -0.03).",
        "(0.00, 0.38)",
        "The shortest way from this",
    ):
        assert words in said, words


REFUSED = [
    ["add", {"x": EDGE + 1, "y": 0, "label": 0}],
    ["add", {"x": 0, "y": -20.25, "label": 0}],
    ["add", {"x": 0, "y": 0, "label": 3}],
    ["add", {"x": 0, "y": 0, "label": 4}],
    ["move", {"index": 90, "x": 0, "y": 0}],
    ["move", {"index": 0, "x": 0, "y": 21.5}],
    ["remove", {"index": -1}],
    ["preset", {"name": "circles"}],
    ["set", {"classes": 4}],
    ["set", {"hidden": 0}],
    ["set", {"depth": 4}],
    ["set", {"activation": "gelu"}],
    ["set", {"weight_decay": 2}],
    ["step", {"count": 0}],
    ["frame", {"pictures": 5}],
    ["fool", {"x": 0, "y": 0, "label": 3}],
    ["fool", {"x": 30, "y": 0, "label": 0}],
    ["shortest", {"index": 90}],
    ["zoom", {"edge": 0.5}],
    ["zoom", {"edge": 21}],
    ["preset", {"name": "empty"}],
    ["step", {}],
    ["remove", {"index": 0}],
    ["shortest", {"index": 0}],
    ["add", {"x": 0, "y": 0, "label": 1}],
    ["step", {}],
    *[["nothing", {}]] * 10,
    ["preset", {"name": "empty"}],
    ["zoom", {"edge": 1}],
    *[["add", {"x": x / 3, "y": y / 3, "label": 0}] for x in range(-3, 4) for y in range(-3, 4)],
    ["nothing", {}],
]


def test_every_refusal_is_pythons(plane):
    errors = []
    for question, here, there in _both(plane, REFUSED):
        assert here.get("error") == there.get("error"), question
        errors.append(here.get("error"))
    assert f"{MOST_POINTS} points is the most" in " ".join(filter(None, errors))
    assert errors[-1] == "There is no empty place in view: zoom out, or remove some points"
    assert sum(map(bool, errors)) >= 25


def test_a_wrong_weight_is_found(plane):
    """The comparison is not blind: a network that starts with another seed fails it."""
    settings = PlaneCanvas("moons").settings
    points = plane_points("moons")
    rows = [[*place, label] for place, label in zip(points.places.tolist(), points.labels.tolist(), strict=True)]
    wrong = TRAINED.replace("newNetwork(shape, 0)", "newNetwork(shape, 1)")
    ((labels, confidence),) = plane.evaluate(wrong, [settings, rows, RATE, 0, [50], START_EDGE])
    python = _python_maps(settings, points, [50], torch.arange(len(rows)))
    assert _apart((torch.tensor(labels), torch.tensor(confidence)), python[0])[0] > 1e-2
