"""The methods of lesson 6, what is stored of them, and what the lesson draws."""

import math

import pytest
import torch

from fooling_utils import Classifier, data, fgsm, load_image
from fooling_utils.data import make
from fooling_utils.lessons import lesson6
from nets import linear


def test_the_stored_table_has_every_method_on_every_picture():
    rows = data.read("smallest").to_dict("records")
    pairs = [(row["picture"], row["method"]) for row in rows]
    assert pairs == [(picture, method) for picture in make.LESSON_2_PICTURES for method in lesson6.METHODS]


def test_a_row_says_what_a_method_did(model, monkeypatch):
    coffee = load_image("coffee")
    methods = {
        "nothing": lambda model, image, target: (image, 0),
        "one step": lambda model, image, target: (fgsm(model, image, 2 / 255, target), 1),
    }
    monkeypatch.setattr(lesson6, "METHODS", methods)
    nothing, step = lesson6.compare_methods(model, coffee, "ostrich")
    assert (nothing["L2"], nothing["gradients"], nothing["values changed"]) == (0, 0, 0)
    assert step["L2"] == pytest.approx(2 / 255 * math.sqrt(150528), rel=0.03)  # less what black and white cut off
    assert not nothing["fools"] and not nothing["after PNG"] and math.isnan(nothing["L2 in a PNG"])
    assert next(lesson6.compare_methods(model, coffee, "espresso"))["fools"]


def flat() -> tuple[Classifier, torch.Tensor]:
    """A network whose lead of class 1 is the sum of all values less that of the image and 3, and the image, grey."""
    image = torch.full((1, 3, 4, 4), 128 / 255)
    weight = torch.stack([torch.zeros(48), torch.ones(48)])
    return linear(weight, torch.tensor([0.0, -image.sum().item() - 3]), (3, 4, 4)), image


def test_a_change_that_rounding_loses_is_made_longer(monkeypatch):
    model, image = flat()
    needed = 3 / 48  # in each value: 15.94 grey levels
    found = {"just there": 1.001 * needed, "above": 1.1 * needed, "before": 0.99 * needed}
    methods = {name: lambda model, x, target, step=step: (x + step, 1) for name, step in found.items()}
    monkeypatch.setattr(lesson6, "METHODS", methods)
    rows = {row["method"]: row for row in lesson6.compare_methods(model, image, 1)}
    assert [rows[name]["after PNG"] for name in found] == [True, True, True]  # 15.78 is rounded up, to 16
    assert rows["just there"]["L2 in a PNG"] == pytest.approx(16 / 255 * math.sqrt(48))
    assert not rows["before"]["fools"] and math.isnan(rows["before"]["L2 in a PNG"])
    lost = image + torch.where(torch.arange(48).view(1, 3, 4, 4) < 40, 0.45 / 255, (765 - 18) / 255 / 8)
    monkeypatch.setattr(lesson6, "METHODS", {"lost": lambda model, x, target: (lost + 1e-4, 1)})
    (row,) = lesson6.compare_methods(model, image, 1)
    assert (row["fools"], row["after PNG"]) == (True, False)
    assert row["L2 in a PNG"] > row["L2"]


@pytest.mark.parametrize("method", ["first ostrich", "PGD, bisection", "by hand", "DDN, rounded", "fractions"])
def test_on_a_straight_boundary_each_method_comes_as_near_as_it_can(method):
    model, image = flat()
    shortest = 3 / math.sqrt(48)
    result, _ = lesson6.METHODS[method](model, image, 1)
    size = (result - image).norm().item()
    assert model(result).argmax().item() == 1
    assert (
        shortest
        <= size
        < {"first ostrich": shortest + 0.3, "DDN, rounded": 1.1 * shortest}.get(method, 1.04 * shortest)
    )


def test_the_first_ostrich_costs_as_many_gradients_as_it_takes_steps(model):
    bus = load_image("school_bus")
    fooled, gradients = lesson6.METHODS["first ostrich"](model, bus, "ostrich")
    assert 6 < gradients < 25
    assert lesson6.METHODS["first ostrich"](model, fooled, "ostrich")[1] == 0  # there already


def test_the_smallest_so_far_begins_at_the_first_that_fools_and_never_rises():
    sizes, fools = [1.0, 2.0, 1.5, 0.5, 1.8, 1.2], [False, True, True, False, True, True]
    assert lesson6.smallest_so_far(sizes, fools) == ([1, 2, 3, 4, 5], [2.0, 1.5, 1.5, 1.5, 1.2])
    assert lesson6.smallest_so_far([1.0], [False]) == ([], [])
    with pytest.raises(ValueError, match="must be equally long, got 2 and 1"):
        lesson6.smallest_so_far([1.0, 2.0], [True])


def test_two_pixels_draws_a_panel_for_each_search_with_its_start_and_its_end():
    searches = {"a": torch.tensor([[0.5, 0.3], [0.8, 0.7]]), "b": torch.tensor([[0.0, 0.0]])}
    figure = lesson6.two_pixels(torch.tensor([3.0, 4.0]), -5.0, searches)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    start, end = (line.get_xydata()[0].tolist() for line in figure.axes[0].lines[-2:])
    assert (start, end) == (pytest.approx([0.5, 0.3]), pytest.approx([0.8, 0.7]))
    (circle,) = [patch for patch in figure.axes[0].patches if hasattr(patch, "radius")]
    assert circle.radius == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"weight must have the shape \(2,\)"):
        lesson6.two_pixels(torch.ones(3), 0.0, searches)
    with pytest.raises(ValueError, match=r"searches\['a'\] must have the shape \(steps, 2\)"):
        lesson6.two_pixels(torch.ones(2), 0.0, {"a": torch.ones(2, 3)})


def test_changes_beside_each_other_are_named_with_their_sizes():
    image = torch.full((1, 3, 8, 8), 0.5)
    figure = lesson6.beside_each_other(image, {"the first": image + 0.1, "none": image.clone()})
    titles = [axes.get_title() for axes in figure.axes]
    size = 0.1 * math.sqrt(192)
    with pytest.raises(ValueError, match=r"changed\['two'\] and image must be one image each"):
        lesson6.beside_each_other(image, {"two": image.repeat(2, 1, 1, 1)})
    assert titles == ["the bus\nas it is", f"the first\nL2 {size:.2f}, shown × 20", "none\nL2 0.00, shown × 20"]


def planes(*weights: list[float]) -> Classifier:
    """A linear network: on grey images (1, 3, 4, 4) class 1 is behind by 1, and its first values have these weights."""
    rows = torch.zeros(2, 48)
    rows[1, : len(weights)] = torch.tensor(weights)
    return linear(rows, torch.tensor([0.0, -0.5 * sum(weights) - 1]), (3, 4, 4))


def test_one_change_for_two_networks_at_right_angles_is_as_long_as_pythagoras_says():
    grey = torch.full((1, 3, 4, 4), 128 / 255)
    first, second = planes(4.0, 0.0), planes(0.0, 3.0)
    seen = lesson6.Behind(first, second, 1)
    changes = {(0.0, 0.0): 0, (0.3, 0.0): 0, (0.0, 0.4): 0, (0.3, 0.4): 1}
    for (one, two), label in changes.items():
        image = grey.clone()
        image[0, 0, 0, :2] += torch.tensor([one, two])
        assert seen(image).argmax(1).item() == label
        assert seen(image)[0, 1] == 0
    found = lesson6.one_for_two(first, second, grey, 1)
    assert (found["first"], found["second"]) == (pytest.approx(1 / 4, abs=0.01), pytest.approx(1 / 3, abs=0.01))
    assert found["cosine"] == pytest.approx(0, abs=1e-6)
    assert found["both"] == pytest.approx(found["Pythagoras"], rel=0.02) == pytest.approx(5 / 12, abs=0.01)
    assert found["added"] == 2


def test_two_boundaries_that_face_the_same_way_need_one_change():
    grey = torch.full((1, 3, 4, 4), 128 / 255)
    found = lesson6.one_for_two(planes(4.0), planes(3.0), grey, 1)
    assert found["cosine"] == pytest.approx(1)
    assert found["both"] == pytest.approx(1 / 3, abs=0.01)
    assert found["share"] == pytest.approx(4 / 5, abs=0.03)


def test_the_cosine_of_an_angle():
    a, b = torch.tensor([3.0, 4.0]), torch.tensor([4.0, -3.0])
    assert [lesson6.cosine(a, x) for x in (a, 2 * a, b, -a, a + b)] == pytest.approx([1, 1, 0, -1, math.sqrt(0.5)])
    with pytest.raises(ValueError, match="has no direction"):
        lesson6.cosine(a, 0 * b)
    with pytest.raises(ValueError, match="must have one shape"):
        lesson6.cosine(a, torch.ones(3))


def test_the_stored_table_of_two_networks_has_every_picture():
    rows = data.read("both")
    assert tuple(rows["picture"]) == make.LESSON_2_PICTURES
    assert ((rows["both"] / (rows["first"] ** 2 + rows["second"] ** 2) ** 0.5 - rows["share"]).abs() < 1e-6).all()
