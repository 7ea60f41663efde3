"""The methods of lesson 2, and what is stored of them."""

import pytest
import torch

from fooling_utils import data, fgsm, load_image
from fooling_utils.data import make
from fooling_utils.lessons import lesson2


def test_the_stored_table_has_every_method_on_every_picture():
    rows = data.read("methods").to_dict("records")
    pairs = [(row["picture"], row["method"]) for row in rows]
    assert pairs == [(picture, method) for picture in make.LESSON_2_PICTURES for method in lesson2.METHODS]


def test_a_row_says_what_a_method_did(model, monkeypatch):
    coffee = load_image("coffee")
    methods = {
        "nothing": lambda model, image, target: (image, 0),
        "one step": lambda model, image, target: (fgsm(model, image, 2 / 255, target), 1),
    }
    monkeypatch.setattr(lesson2, "METHODS", methods)
    nothing, step = lesson2.compare_methods(model, coffee, "ostrich")
    assert (nothing["L2"], nothing["gradients"], nothing["SSIM"]) == (0, 0, pytest.approx(1))
    assert step["L∞, grey levels"] == pytest.approx(2, abs=1e-3)
    assert not nothing["fools"] and not nothing["after PNG"]
    assert next(lesson2.compare_methods(model, coffee, "espresso"))["fools"]


def test_unit_steps_cost_as_many_gradients_as_they_take(model):
    bus = load_image("school_bus")
    count = lesson2.METHODS["unit steps to 99 %"]
    fooled, gradients = count(model, bus, "ostrich")
    assert 10 < gradients < 60
    assert count(model, fooled, "ostrich")[1] == 0  # there already


def test_random_changes_have_the_size_and_differ():
    changes = lesson2.random_changes(load_image("coffee"), 1.5, 3, seed=4)
    assert changes.shape == (3, 3, 224, 224)
    assert changes.flatten(1).norm(dim=1).tolist() == pytest.approx([1.5] * 3)
    assert torch.equal(changes[:1], lesson2.random_changes(load_image("coffee"), 1.5, seed=4))
    assert abs(torch.corrcoef(changes.flatten(1))[0, 1]) < 0.02


def test_gains_add_up_with_the_right_signs_and_cancel_with_random_ones():
    gradient = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    bars, sums = lesson2.gains(gradient, missing=10).axes
    assert len(bars.patches) == 2 * lesson2.SOME
    right, *random = [line.get_ydata()[-1] for line in sums.get_lines()[:-1]]
    assert right == pytest.approx(gradient.abs().sum().item() / 255)
    assert len(random) == 5 and max(map(abs, random)) < 0.1 * right
