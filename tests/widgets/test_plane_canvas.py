"""The canvas of points, asked without a browser."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from asking import Page
from fooling_utils.networks.small import POINTS, Points
from fooling_utils.widgets import PlaneCanvas, plane_canvas
from fooling_utils.widgets.plane_canvas import EDGE, MOST_POINTS, NOTHING, NOTHING_GAP, SIZE


@pytest.fixture
def canvas():
    return PlaneCanvas(hidden=8)


@pytest.fixture
def page(canvas):
    return Page(canvas)


def two_points(place=(-0.5, 0.0), label=1):
    """A cheetah, by default on the left, and another point on the right."""
    return Points(torch.tensor([place, (0.5, 0.0)]), torch.tensor([0, label]))


# -------------------------------------------------------------------------------------------------------- nothing


@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_is_a_class_of_its_own_away_from_the_points_of_the_others(classes):
    canvas = PlaneCanvas(hidden=8, classes=classes)
    canvas.step(20)
    canvas.add_nothing(50)
    places, labels = canvas.points
    nothing = places[labels == NOTHING]
    assert len(nothing) == 50
    assert nothing.abs().max() <= 1.25
    assert torch.cdist(nothing, places[labels != NOTHING]).min() >= NOTHING_GAP
    assert canvas.model.labels == (*POINTS.labels[:classes], "nothing")
    assert canvas.steps_taken == 0  # one output more is another network


def test_with_nothing_the_emptiness_is_no_longer_decided_for_a_class_and_the_points_still_are():
    canvas = PlaneCanvas(hidden=32)
    places, labels = canvas.points
    edge = 1.25 * torch.stack([torch.linspace(0, 6.28, 60).cos(), torch.linspace(0, 6.28, 60).sin()], 1)
    canvas.step(300)
    before = canvas.model.probabilities(edge).max(1).values
    canvas.add_nothing()
    canvas.step(300)
    after = canvas.model.probabilities(edge)
    assert before.mean() > 0.9
    assert (after.argmax(1) == NOTHING).float().mean() > 0.8
    assert (canvas.model.probabilities(places).argmax(1) == labels).float().mean() > 0.9


def test_more_of_nothing_goes_on_with_the_training(canvas, page):
    page.ask("nothing")
    page.ask("step", count=5)
    page.ask("zoom", edge=5)
    answer, _ = page.ask("nothing")
    assert answer["steps"] == 5
    assert answer["labels"] == [0, 1, 2, NOTHING]
    assert answer["result"] == "100 points of nothing, up to ±5. Train, and then zoom out."


def test_a_preset_takes_nothing_away_and_other_classes_keep_it(canvas, page):
    page.ask("nothing")
    answer, _ = page.ask("set", classes=2)
    assert answer["labels"] == [0, 1, NOTHING]
    assert {kind for *_, kind in answer["points"]} == {0, 1, NOTHING}
    assert canvas.model.labels == ("cheetah", "robin", "nothing")
    answer, _ = page.ask("preset", name="blobs")
    assert answer["labels"] == [0, 1]
    assert canvas.model.labels == ("cheetah", "robin")


def test_the_picture_shows_nothing_by_its_own_number(canvas, page):
    page.ask("set", classes=2)
    page.ask("nothing")
    page.ask("step", count=200)
    _, (labels, _) = page.ask("begin")
    assert set(labels) == {0, 1, NOTHING}


def test_one_walks_from_nothing_into_a_class_and_back(canvas):
    canvas.add_nothing()
    canvas.step(300)
    way = canvas.fool(1.2, 1.2, "robin")
    assert canvas.model.top(way[-1:], 1)[0].label == "robin"
    index = canvas.points.labels.tolist().index(0)
    end, distance = canvas.shortest_way(index)
    assert 0 < distance < 1
    assert canvas.model.top(end[None], 1)[0].label != "cheetah"


def test_nothing_needs_an_empty_place(canvas):
    grid = torch.linspace(-1, 1, 30)
    canvas.points = Points(torch.cartesian_prod(grid, grid), torch.arange(900) % 2)
    canvas.zoom(1)
    with pytest.raises(ValueError, match="no empty place in view: zoom out"):
        canvas.add_nothing()


# -------------------------------------------------------------------------------------------------- what is told


def test_an_answer_holds_all_that_is_seen(page):
    answer, _ = page.ask("begin")
    assert answer["settings"] == {"classes": 3, "hidden": 8, "depth": 2, "activation": "relu", "weight_decay": 0}
    assert (answer["preset"], answer["zoom"], answer["steps"], answer["trainable"]) == ("blobs", 1.25, 0, True)
    assert (answer["warning"], answer["result"], answer["path"]) == ("", "", None)
    assert len(answer["points"]) == 90
    assert 0 <= answer["right"] <= 1 < answer["loss"] + 0.5


def test_the_picture_is_a_byte_for_the_class_and_one_for_its_probability(canvas, page):
    page.ask("step", count=30)
    _, picture = page.ask("zoom", edge=2)
    labels, strengths = (torch.frombuffer(bytearray(part), dtype=torch.uint8) for part in picture)
    assert len(labels) == len(strengths) == SIZE * SIZE
    corners = torch.tensor([[-2.0, -2.0], [2.0, -2.0], [-2.0, 2.0], [2.0, 2.0]])
    confidence, expected = canvas.model.probabilities(corners).max(1)
    at = torch.tensor([0, SIZE - 1, SIZE * (SIZE - 1), SIZE * SIZE - 1])
    assert labels[at].tolist() == expected.tolist()
    assert torch.allclose(strengths[at] / 255, confidence, atol=0.003)
    assert len(set(labels.tolist())) == 3


def test_frames_train_and_do_not_repeat_the_points(page):
    start, _ = page.ask("begin")
    assert page.ask("begin")[0]["steps"] == 0
    for _ in range(20):
        answer, _ = page.ask("frame")
    assert answer["steps"] > 20
    assert answer["loss"] < 0.7 * start["loss"]
    assert start.keys() - answer.keys() == {"points"}
    assert len(page.ask("add", x=0, y=0, label=0)[0]["points"]) == 91


def test_an_answer_may_hold_several_pictures(page):
    _, parts = page.ask("frame", pictures=3)
    assert [len(part) for part in parts] == 6 * [SIZE * SIZE]
    assert len({bytes(part) for part in parts[1::2]}) == 3
    assert "Pictures must be" in page.error("frame", pictures=1000)


def test_a_slow_frame_takes_fewer_steps(page, monkeypatch):
    monkeypatch.setattr(plane_canvas, "PICTURE_SECONDS", 0)
    assert page.ask("frame")[0]["steps"] == 1


def test_the_number_of_threads_is_given_back(canvas, page):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        page.ask("frame")
        canvas.fool(0, 0, "robin")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------- the points


def test_points_are_added_moved_and_removed(canvas, page):
    assert page.ask("preset", name="empty")[0]["points"] == []
    page.ask("add", x=0.25, y=-0.5, label=2)
    answer, _ = page.ask("add", x=1, y=1, label=0)
    assert (answer["points"], answer["preset"]) == ([[0.25, -0.5, 2], [1, 1, 0]], "")
    assert page.ask("move", index=0, x=-3, y=4.5)[0]["points"] == [[-3, 4.5, 2], [1, 1, 0]]
    assert page.ask("remove", index=0)[0]["points"] == [[1, 1, 0]]
    assert canvas.points.places.tolist() == [[1, 1]]


def test_points_can_be_set_from_a_cell_and_are_copies(canvas):
    mine = two_points()
    canvas.points = mine
    mine.places.fill_(9)
    canvas.points.places.fill_(9)
    assert canvas.points.places.tolist() == two_points().places.tolist()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (Points(torch.zeros(2, 3), torch.zeros(2)), r"places \(N, 2\)"),
        (Points(torch.zeros(2, 2), torch.zeros(3)), r"labels \(N,\)"),
        (Points(torch.full((1, 2), torch.nan), torch.zeros(1)), "between -20 and 20"),
        (Points(torch.zeros(1, 2), torch.tensor([3])), r"among \[0, 1, 2\]"),
        (Points(torch.zeros(1, 2), torch.tensor([0.5])), r"among \[0, 1, 2\]"),
        (Points(torch.zeros(MOST_POINTS + 1, 2), torch.zeros(MOST_POINTS + 1)), "1000 points is the most"),
    ],
)
def test_points_that_cannot_be_are_refused(canvas, points, message):
    with pytest.raises(ValueError, match=message):
        canvas.points = points
    assert len(canvas.points.labels) == 90


def test_changed_points_do_not_restart_the_training(canvas, page):
    page.ask("step", count=5)
    weights = canvas.model.net[0].weight.clone()
    assert page.ask("add", x=0, y=0, label=1)[0]["steps"] == 5
    assert page.ask("preset", name="rings")[0]["steps"] == 5
    assert torch.equal(canvas.model.net[0].weight, weights)


def test_a_thousand_points_are_trained_on_and_one_more_is_refused(canvas):
    places = 2 * torch.rand(MOST_POINTS, 2, generator=torch.Generator().manual_seed(0)) - 1
    canvas.points = Points(places, (places[:, 0] > 0).long())
    page = Page(canvas)
    assert page.ask("frame")[0]["steps"] > 0
    assert "1000 points is the most" in page.error("add", x=0, y=0, label=0)
    assert len(page.ask("begin")[0]["points"]) == MOST_POINTS


def test_no_points(page):
    answer, _ = page.ask("preset", name="empty")
    assert answer["warning"].startswith("There are no points. Click in the plane")
    assert (answer["trainable"], answer["loss"], answer["right"]) == (False, None, None)
    assert page.ask("frame")[0]["steps"] == 0
    for question in ("remove", "shortest"):
        assert "no points" in page.error(question, index=0)


def test_points_of_one_class_only(canvas):
    canvas.points = two_points(label=0)
    page = Page(canvas)
    warning = page.ask("begin")[0]["warning"]
    assert page.error("step") == warning
    assert warning.startswith("All points are of one class, cheetah. Add points of a second class")
    assert page.ask("frame")[0]["steps"] == 0
    assert page.ask("add", x=0, y=0, label=1)[0]["warning"] == ""
    with pytest.raises(ValueError, match="All points are of one class, cheetah"):
        canvas.remove(2)
        canvas.step()


def test_points_of_different_classes_on_one_place(page):
    page.ask("preset", name="empty")
    page.ask("add", x=0.3, y=0.4, label=0)
    answer, _ = page.ask("add", x=0.3, y=0.4, label=1)
    assert "one place, (0.30, 0.40). No network can separate them" in answer["warning"]
    assert page.ask("frame")[0]["steps"] > 0
    assert page.ask("move", index=1, x=0.5, y=0.4)[0]["warning"] == ""


def test_points_of_one_class_may_share_a_place(page):
    for _ in range(2):
        assert page.ask("add", x=0, y=0, label=0)[0]["warning"] == ""


# ------------------------------------------------------------------------------------------------------ the network


@pytest.mark.parametrize("change", [{"hidden": 3}, {"depth": 3}, {"activation": "tanh"}, {"classes": 2}])
def test_another_shape_restarts_the_training(page, change):
    page.ask("step", count=3)
    answer, _ = page.ask("set", **change)
    assert answer["steps"] == 0
    assert change.items() <= answer["settings"].items()
    assert page.ask("step")[0]["steps"] == 1


def test_the_network_has_the_shape_that_was_asked_for():
    net = PlaneCanvas(classes=2, hidden=5, depth=3, activation="tanh").model.net
    assert [layer.out_features for layer in net if hasattr(layer, "out_features")] == [5, 5, 5, 2]
    assert isinstance(net[1], nn.Tanh)


def test_weight_decay_goes_on_with_the_training(canvas, page):
    page.ask("step", count=200)
    size = canvas.model.net[0].weight.norm()
    assert page.ask("set", weight_decay=0.1)[0]["steps"] == 200
    page.ask("step", count=200)
    assert canvas.model.net[0].weight.norm() < 0.8 * size


def test_reset_gives_the_same_new_network(canvas, page):
    new = page.ask("begin")[0]["loss"]
    assert page.ask("step", count=10)[0]["loss"] != new
    assert page.ask("reset")[0]["loss"] == new
    assert PlaneCanvas(hidden=8, seed=1).model.net[0].weight.tolist() != canvas.model.net[0].weight.tolist()


def test_two_classes(page):
    answer, (labels, _) = page.ask("set", classes=2)
    assert len(answer["points"]) == 60
    assert set(labels) <= {0, 1}
    assert "one of 0, 1" in page.error("add", x=0, y=0, label=2)
    page.ask("add", x=0, y=0, label=1)
    assert len(page.ask("set", classes=3)[0]["points"]) == 61


def test_fewer_classes_keep_the_own_points_of_the_others(canvas):
    canvas.points = Points(torch.eye(3, 2), torch.arange(3))
    assert Page(canvas).ask("set", classes=2)[0]["points"] == [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("preset", ["blobs", "moons", "rings", "spiral"])
def test_every_preset_is_learned(preset):
    canvas = PlaneCanvas(preset)
    canvas.step(600)
    points = canvas.points
    right = canvas.model.probabilities(points.places).argmax(1) == points.labels
    assert right.float().mean() > 0.95


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("hidden", 0),
        ("hidden", 65),
        ("hidden", 8.5),
        ("hidden", True),
        ("depth", 4),
        ("classes", 1),
        ("activation", "sigmoid"),
        ("weight_decay", -1),
        ("weight_decay", float("nan")),
        ("seed", "one"),
        ("preset", "circles"),
    ],
)
def test_a_canvas_cannot_be_made_with(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be .*{value!r}"):
        PlaneCanvas(**{setting: value})


def test_numbers_of_numpy_are_numbers():
    canvas = PlaneCanvas(hidden=np.int64(8), weight_decay=np.float32(0.5))
    assert json.dumps(canvas.settings) == json.dumps(PlaneCanvas(hidden=8, weight_decay=0.5).settings)


# ------------------------------------------------------------------------------------------------------- fooling it


@pytest.mark.parametrize("label", POINTS.labels)
def test_fooling_walks_into_the_class(label):
    canvas, index = PlaneCanvas(), POINTS.labels.index(label)
    canvas.step(300)
    answer, _ = Page(canvas).ask("fool", x=0.05, y=0, label=index)
    places = torch.tensor(answer["path"]["places"])
    assert answer["path"]["label"] == index
    assert places[0].tolist() == pytest.approx([0.05, 0])
    assert canvas.model.probabilities(places[-1:])[0, index] > 0.985
    assert (places[1:] - places[:-1]).norm(dim=1).tolist() == pytest.approx([1.25 / 50] * (len(places) - 1), abs=2e-4)
    distance = (places[-1] - places[0]).norm().item()
    words, away = answer["result"].removesuffix(" away.").split(": ")
    assert words.startswith(f"From here to {label}, 99.")
    assert float(away) == pytest.approx(distance, abs=0.006)


def test_fooling_says_where_there_is_nothing_to_do(page):
    page.ask("step", count=300)
    answer, _ = page.ask("fool", x=0, y=0.9, label=0)
    assert "is cheetah already" in answer["result"]
    assert len(answer["path"]["places"]) == 1


def test_fooling_that_does_not_arrive_says_so(page, monkeypatch):
    monkeypatch.setattr(plane_canvas, "FOOLING_STEPS", 2)
    answer, _ = page.ask("fool", x=0, y=0, label=1)
    assert answer["result"].startswith("After 2 steps only")
    assert "The network is untrained." in answer["result"]
    assert len(answer["path"]["places"]) == 3


@pytest.mark.parametrize(
    ("question", "values"), [("step", {}), ("frame", {}), ("reset", {}), ("add", {"x": 0, "y": 0, "label": 0})]
)
def test_a_path_goes_when_the_network_or_the_points_change(page, question, values):
    page.ask("step", count=50)
    assert page.ask("fool", x=0, y=0, label=1)[0]["path"]
    assert page.ask("zoom", edge=3)[0]["path"]
    answer, _ = page.ask(question, **values)
    assert (answer["path"], answer["result"]) == (None, "")


@pytest.fixture
def divided(monkeypatch):
    """Makes a canvas of two classes divided by x = 0, with the points given; a slope of 0 has cheetahs everywhere."""

    def make(points, slope=8.0):
        net = nn.Linear(2, 2)
        with torch.no_grad():
            net.weight.copy_(slope * torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
            net.bias.copy_(torch.tensor([0.0 if slope else 1.0, 0.0]))
        monkeypatch.setattr(plane_canvas, "plane_net", lambda **_: net)
        canvas = PlaneCanvas(classes=2)
        canvas.points = points
        return canvas

    return make


@pytest.mark.parametrize("place", [(-0.5, 0.3), (-7.5, -2.0)])
def test_the_shortest_way_over_a_straight_boundary(divided, place):
    canvas = divided(two_points(place))
    canvas.zoom(20)
    end, distance = canvas.shortest_way(0)
    answer, _ = Page(canvas).ask("shortest", index=0)
    assert distance == pytest.approx(-place[0], abs=0.003)
    assert end.tolist() == pytest.approx([0, place[1]], abs=0.05)
    words = f"The shortest way from this cheetah to robin: {distance:.2f}. The network is untrained."
    assert answer["result"] == words
    places = [pytest.approx(list(place)), pytest.approx(end.tolist(), abs=1e-4)]
    assert answer["path"] == {"places": places, "label": 1}


def test_the_shortest_way_from_a_point_that_is_wrong_already(divided):
    page = Page(divided(two_points(label=0)))
    assert "takes this cheetah for robin already" in page.ask("shortest", index=1)[0]["result"]


def test_the_shortest_way_where_there_is_no_boundary(divided):
    canvas = divided(two_points(), slope=0.0)
    assert canvas.shortest_way(1)[1] == float("inf")
    assert Page(canvas).ask("shortest", index=0)[0]["result"].startswith("There is no boundary near here")


def test_the_end_outside_the_view_is_said(divided):
    page = Page(divided(two_points((-3.0, 2.0))))
    assert "Zoom out" in page.ask("shortest", index=0)[0]["result"]
    page.ask("zoom", edge=4)
    answer, _ = page.ask("shortest", index=0)
    assert "Zoom out" not in answer["result"]


def test_a_trained_network_is_not_called_untrained(page):
    page.ask("step")
    assert "untrained" not in page.ask("fool", x=0, y=0, label=1)[0]["result"]
    page.ask("reset")
    assert "untrained" in page.ask("fool", x=0, y=0, label=1)[0]["result"]


# ----------------------------------------------------------------------------------------------- what cannot be asked


@pytest.mark.parametrize(
    ("question", "values", "words"),
    [
        ("dance", {}, "The page asked 'dance', which has no answer"),
        ("add", {"x": EDGE + 1, "y": 0, "label": 0}, "X must be a number from -20 to 20, got 21"),
        ("add", {"x": 0, "y": 0, "label": 3}, "Label must be one of 0, 1, 2, got 3"),
        ("add", {"x": 0, "y": 0, "label": "bee"}, "Label must be one of cheetah, robin, armadillo, got 'bee'"),
        ("add", {"x": 0}, "The page sent no y with add: reload the page"),
        ("move", {"index": 90, "x": 0, "y": 0}, "Index must be a whole number from 0 to 89, got 90"),
        ("remove", {"index": -1}, "from 0 to 89, got -1"),
        ("shortest", {"index": 1.5}, "The page sent 1.5 as index: reload the page"),
        ("preset", {"name": "circles"}, "'circles'"),
        ("set", {"hidden": 1000}, "Hidden must be a whole number from 1 to 64, got 1000"),
        ("set", {"speed": 1}, "The page sent 'speed', which set does not take"),
        ("set", {"hidden": 4, "depth": 0}, "Depth must be"),
        ("zoom", {"edge": 0.5}, "Edge must be a number from 1 to 20"),
        ("fool", {"x": 0, "y": 0, "label": 7}, "Label must be"),
        ("step", {"count": 0}, "Count must be"),
    ],
)
def test_bad_questions_are_answered_with_words_and_change_nothing(page, question, values, words):
    before = page.ask("begin")
    assert words in page.error(question, **values)
    assert page.ask("begin") == before


@pytest.mark.parametrize("content", [None, [], "add", {}, {"ask": ["add"]}, {"ask": "add", "with": [1]}])
def test_anything_at_all_gets_an_answer(page, content):
    page.widget._handle_custom_msg(content, [])
    assert [bool(facts["error"]) for facts, _ in page.answers] == [True]


@pytest.mark.parametrize("error", [RuntimeError("the roof is on fire"), KeyboardInterrupt()])
def test_an_error_while_it_answers_is_told(page, monkeypatch, error):
    def fail(*_args, **_settings):
        raise error

    words = "Interrupted." if isinstance(error, KeyboardInterrupt) else "the roof is on fire"
    for name, question, values in [
        ("optimize_pixels", "fool", {"x": 0, "y": 0, "label": 0}),
        ("region_map", "begin", {}),
    ]:
        monkeypatch.setattr(plane_canvas, name, fail)
        assert words in page.error(question, **values)
    monkeypatch.undo()
    assert page.widget.step() is None
    assert [facts["steps"] for facts, _ in page.answers] == [1]  # what a cell changes is still shown


def test_a_network_that_exploded_says_so(monkeypatch):
    whole = plane_canvas.plane_net

    def exploded(**shape):
        net = whole(**shape)
        nn.init.constant_(net[0].weight, torch.nan)
        return net

    monkeypatch.setattr(plane_canvas, "plane_net", exploded)
    page = Page(PlaneCanvas())
    assert "press Reset" in page.error("frame")
    assert page.ask("begin")[0]["loss"] is None
    monkeypatch.undo()
    assert page.ask("reset")[0]["loss"] > 0
    assert page.ask("frame")[0]["steps"] > 0


def test_a_change_from_a_cell_is_shown_at_once(canvas, page):
    canvas.step(4)
    canvas.add(0, 0, "robin")
    canvas.configure(classes=2)
    assert [answer["steps"] for answer, _ in page.answers] == [4, 4, 0]
    assert [len(answer["points"]) for answer, _ in page.answers] == [90, 91, 61]
    canvas.configure(classes=3, depth=1)
    answer, picture = page.answers[-1]
    assert answer["settings"] == canvas.settings
    assert [len(part) for part in picture] == [SIZE * SIZE] * 2


def test_training_works_inside_no_grad(canvas):
    with torch.no_grad():
        canvas.step(2)
    assert canvas.steps_taken == 2


def test_nothing_fills_an_empty_plane():
    canvas = PlaneCanvas("empty")
    canvas.add_nothing(5)
    assert canvas.points.labels.tolist() == [3] * 5
