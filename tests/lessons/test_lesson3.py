import numpy as np
import pytest
import torch

from fooling_utils import adam_step, blank, data, optimize_pixels, toward, unit_step
from fooling_utils.lessons import lesson3
from nets import SHAPE, random_images, random_linear

NAMES = ["top", "50 %", "90 %", "99 %", "99.6 %", "99.9 %", "99.99 %"]


def test_first_passes_are_the_first_frames_beyond_each_probability():
    model, targets = random_linear(3), ["class 1", "class 2"]
    frames = list(optimize_pixels(model, random_images(2), toward(targets), step=unit_step(0.05), steps=60))
    rows, images = lesson3.first_passes(frames, targets)
    for member, (row, target) in enumerate(zip(rows, targets, strict=True)):
        assert list(row) == NAMES
        reached = [frame.probability(targets)[member].item() for frame in frames]
        on_top = [frame.logits[member].argmax().item() == model.index(target) for frame in frames]
        expected = [on_top.index(True)]
        expected += [next((i for i, p in enumerate(reached) if p > v), None) for v in lesson3.PASSES]
        assert list(row.values()) == expected
    assert torch.equal(images, frames[-1].image)


def test_first_passes_stops_once_all_have_passed_everything():
    model = random_linear(2)
    with torch.no_grad():
        model.net.weight *= 50
    frames = optimize_pixels(model, random_images(1), toward(1), step=adam_step(0.05), steps=1000)
    rows, _ = lesson3.first_passes(frames, [1])
    assert None not in rows[0].values()
    assert next(frames).index == rows[0]["99.99 %"] + 1


def test_a_target_that_is_never_reached_has_no_step():
    model = random_linear(2)
    rows, _ = lesson3.first_passes(optimize_pixels(model, random_images(1), toward(1), steps=1), [1])
    assert rows[0]["99.99 %"] is None


def test_climbing_from_noise_says_how_far_and_what_two_networks_see():
    first, second = random_linear(3), random_linear(3, seed=1)
    rows = list(lesson3.climb_from_noise(first, second, [0, "class 2"], size=SHAPE[-1], steps=20))
    assert [row["label"] for row in rows] == ["class 0", "class 2"]
    assert set(rows[0]) == {"label", *NAMES, "rms", "first", "second", "rank"}
    for row in rows:
        assert 0 < row["rms"] < 255 * 20 / 48**0.5  # at most 20 steps of length 1
        assert 0 <= row["second"] <= 1 <= row["rank"] <= 3


@pytest.mark.parametrize(("name", "count"), [("noise", 1000), ("painted", 50)])
def test_the_stored_tables_are_whole_and_in_order(model, name, count):
    stored = data.read(name)
    assert stored["label"].tolist() == list(model.labels)[:: 1000 // count]
    steps = stored[NAMES].fillna(10**6).to_numpy()
    assert (np.diff(steps[:, 1:]) >= 0).all(), "a higher confidence is passed no earlier"
    assert stored[["first", "second"]].min().min() >= 0
    assert stored[["first", "second"]].max().max() <= 1


def test_the_stored_table_is_what_the_command_makes(model):
    """Three classes again, for a few steps: the frames of the start of the climb are the same on every machine."""
    stored = data.read("noise")
    for row in lesson3.climb_from_noise(model, model, [1, 400, 999], steps=8):
        was = stored[stored["label"] == row["label"]].iloc[0]
        if row["top"] is not None:
            assert abs(row["top"] - was["top"]) <= 1
        else:
            assert was["top"] >= 8


def test_grey_is_the_sensible_answer(model):
    """A claim of lesson 3: to plain grey the network gives about 1/1000 to every class."""
    assert model.probabilities(blank(0.5)).max() < 0.01
