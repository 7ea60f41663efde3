"""What two lessons need: a second opinion, and strips of robins."""

import pytest

from fooling_utils import load_image, load_model
from fooling_utils.lessons import shared


def test_the_rank_is_the_place_in_the_second_networks_order(model):
    coffee = load_image("coffee")
    second = model.top(coffee, 2)[1]
    ((row,), (wrong,)) = (shared.recognised(model, model, coffee, [label]) for label in (second.label, "ostrich"))
    assert (row["label"], row["rank"]) == (second.label, 2)
    assert row["first"] == row["second"] == pytest.approx(second.probability, abs=1e-4)
    assert wrong["rank"] > 2


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
    with pytest.raises(ValueError, match="lesson must be one of lesson 1, lesson 3, got 'lesson 2'"):
        shared.load_strip("lesson 2")
