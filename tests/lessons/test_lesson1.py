"""Class pictures, prior by prior, and what is stored of them."""

import torch

from fooling_utils import data, load_image, optimize_pixels, round_to_8bit
from fooling_utils.lessons import lesson1


def test_the_stored_measurement_has_every_prior_on_every_class(model):
    rows = data.read("classes").to_dict("records")
    wanted = [(prior, model.labels[i]) for prior in lesson1.priors([0]) for i in lesson1.MEASURED]
    assert [(row["prior"], row["label"]) for row in rows] == wanted
    assert all(1 <= row["rank"] <= 1000 and 0 <= row["first"] <= 1 for row in rows)


def test_each_stored_picture_of_the_wall_is_of_its_class(model):
    wall = lesson1.load_twelve(model.device)
    assert wall.shape == (12, 3, 224, 224)
    assert [model.labels[i] for i in model.probabilities(wall).argmax(1)] == list(lesson1.TWELVE)


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


def test_classes_are_drawn_in_batches_and_rounded(model):
    batches = list(lesson1.draw_classes(model, list(range(17)), "waves and views", size=32, steps=1))
    assert [len(batch) for batch in batches] == [16, 1]
    assert torch.equal(batches[0], round_to_8bit(batches[0]))


def test_the_answer_to_the_question_is_the_stored_one():
    stored = data.read("classes")
    assert ((stored["prior"] == "none") & (stored["rank"] == 1)).sum() == lesson1.ANSWERS["without a prior"]


def test_a_recoloured_picture_has_the_colours_of_the_other_and_keeps_its_shapes():
    palace, coffee = load_image("palace"), 0.5 + 0.1 * (load_image("coffee") - 0.5)
    result = lesson1.recoloured(palace, coffee)
    for of in (torch.mean, torch.std):
        assert torch.allclose(of(result, (2, 3)), of(coffee, (2, 3)), atol=1e-4)
    assert torch.corrcoef(torch.stack([palace[0, 0].flatten(), result[0, 0].flatten()]))[0, 1] > 0.999
