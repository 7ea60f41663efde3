import numpy as np
import pytest
import torch

from fooling_utils import (
    adam_step,
    blank,
    cppn,
    data,
    direct,
    evolve,
    optimize_pixels,
    round_to_8bit,
    toward,
    unit_step,
)
from fooling_utils.evolution.evolve import Encoding
from fooling_utils.lessons import lesson3
from fooling_utils.lessons.shared import STRIPS
from fooling_utils.networks import small
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


def test_chance_keeps_the_best_of_every_image_that_evolution_would_start_with():
    model, encoding = random_linear(3), direct(SHAPE)
    found = list(lesson3.random_best(model, encoding, 10, batch=4, seed=5))
    assert [count for count, _ in found] == [4, 8, 10]
    generator = torch.Generator().manual_seed(5)
    images = round_to_8bit(torch.cat([encoding.start(count, generator) for count in (4, 4, 2)]))
    assert torch.allclose(found[-1][1], model.probabilities(images).amax(0))
    (archive,) = evolve(model, encoding, population=4, generations=1, seed=5)
    assert torch.allclose(found[0][1], archive.confidence)


def test_drift_breeds_without_selection():
    """Here a genome is its age. Three random ones are the pool, and from then on a child is one older than a member."""
    ages = []

    def older(genomes, generator, reach):
        assert reach is None
        return genomes + 1

    def render(genomes):
        ages.extend(genomes[:, 0].tolist())
        return torch.rand(len(genomes), *SHAPE)

    encoding = Encoding("ages", lambda count, generator: torch.zeros(count, 1), older, render)
    (*_, (count, _)) = lesson3.random_best(random_linear(3), encoding, 61, batch=2, drift=True)
    assert count == len(ages) == 61 and ages[:4] == [0, 0, 1, 1]
    assert all(age - 1 in ages[:place] for place, age in enumerate(ages) if age)
    assert 10 < max(ages) < 28  # with the whole past as a pool about 6, with the youngest as parents 30


def test_all_ways_of_painting_get_the_same_budget():
    rows = list(lesson3.compare_painters(random_linear(3), direct(SHAPE), seeds=(0, 1), evaluations=64, every=32))
    assert [(row["way"], row["seed"], row["evaluations"]) for row in rows] == [
        (way, seed, count) for way in ("evolution", "drift", "random") for seed in (0, 1) for count in (32, 64)
    ]
    assert all(row["median"] <= row["highest"] for row in rows)


def test_the_stored_painters_are_what_the_command_makes(model):
    """The first generations again; the whole takes minutes."""
    stored = data.read("painters").set_index(["way", "seed", "evaluations"])
    assert len(stored) == 72
    assert (stored.groupby(["way", "seed"])[["over 50 %", "highest", "median"]].diff().dropna() >= 0).all(axis=None)
    for _, best in lesson3.random_best(model, cppn(), 32, seed=0):
        assert best.max() <= stored.loc[("random", 0, 400), "highest"] + 0.001


def test_robins_and_digits_for_the_pictures():
    found = lesson3.robins(random_linear(3), 0, size=SHAPE[-1], steps=1)
    assert tuple(found) == STRIPS["lesson 3"]
    assert all(robin.shape == (1, 3, SHAPE[-1], SHAPE[-1]) for robin in found.values())
    digits = small.digits()
    typical = lesson3.typical_digits(digits)
    assert typical.shape == (10, 1, 8, 8)
    assert all(
        (digits.test_images[digits.test_labels == k] == one).all((1, 2, 3)).any() for k, one in enumerate(typical)
    )


def test_starts_and_changes_stand_side_by_side():
    starts = {"grey": blank(0.5, size=8), "black": blank(0.0, size=8)}
    images = {(name, target): start + 2 / 255 for name, start in starts.items() for target in ("a", "b")}
    figure = lesson3.starts_and_changes(starts, images, ["a", "b", "a", "b"])
    titles = [axes.get_title().strip() for axes in figure.axes]
    assert titles == ["a", "b", "change × 50", "change × 50"] * 2
