"""Attacks that know of a defence and that do not, and what is judged beside its control."""

import pytest
import torch
from torch import Tensor, nn

from fooling_utils import Classifier, round_to_8bit
from fooling_utils.attacks.universal import patched, universally
from fooling_utils.data import read
from fooling_utils.defences.robustness import right
from fooling_utils.defences.transforms import behind
from fooling_utils.lessons import lesson5
from fooling_utils.lessons.lesson5 import as_large, attack_that_knows, attacks_that_know_nothing, compare_defences
from fooling_utils.networks import small
from fooling_utils.starts import PHOTOGRAPHS
from fooling_utils.views import quantised, straight_through
from nets import generator, lengths, linear, random_images

SHAPE = (3, 16, 16)
NUMBERS = 768
RANDOM = "random size"


def lines(classes: int = 3) -> tuple[Classifier, Tensor]:
    """A linear network, and images of its class 0 that are near the others."""
    weight = 0.3 * torch.randn(classes, NUMBERS, generator=generator())
    images = random_images(3, 16, low=0.45, high=0.55)
    bias = -0.5 * weight.sum(1)
    bias[0] += 3
    model = linear(weight, bias, SHAPE)
    assert model(images).argmax(1).tolist() == [0, 0, 0]
    return model, images


@pytest.fixture(scope="module")
def data() -> small.Digits:
    return small.digits()


def test_the_stored_trainings_are_what_training_gives(data):
    stored = read("trainings").set_index(["training", "seed"])
    assert len(stored) == 3 * len(lesson5.TRAININGS)
    for name, seed in (("ordinary, 20 epochs", 0), ("plain noise, 40 epochs", 2)):
        model = lesson5.trained_digits(data, name, seed=seed)
        is_right = right(model, data.test_images, data.test_labels).double().mean().item()
        assert is_right == pytest.approx(stored.loc[(name, seed), "0"], abs=0.01)
    with pytest.raises(ValueError, match="must be one of"):
        lesson5.trained_digits(data, "nothing")


def test_the_seed_changes_the_network_and_nothing_else_does(data):
    few = small.Digits(*(part[:20] for part in data))
    nets = [lesson5.trained_digits(few, "plain noise, 40 epochs", seed=seed).net for seed in (0, 0, 1)]
    first, again, other = (next(iter(net.parameters())) for net in nets)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_moons_are_blurred_and_learned():
    points = lesson5.blurred_moons(60)
    assert points.places.shape == (120, 2) and points.labels.bincount().tolist() == [60, 60]
    sharp = small.plane_points("moons", count=60).places
    assert (points.places - sharp).std().item() == pytest.approx(0.13, rel=0.15)
    for name in lesson5.MOON_TRAININGS:
        model = lesson5.trained_on_moons(points, name, epochs=100)
        assert right(model, *points).double().mean() > 0.9


def test_the_way_to_the_runner_up_is_the_difference_of_two_rows():
    model, images = lines()
    gradient, runner_up = lesson5.way_to_runner_up(model, images, torch.tensor([0, 0, 0]))
    best = model(images)[:, 1:].argmax(1) + 1
    assert torch.equal(runner_up, best)
    expected = (model.net.weight[best] - model.net.weight[[0, 0, 0]]).view_as(images)
    assert torch.allclose(gradient, expected, atol=1e-5)
    assert not images.requires_grad


def test_rubbish_grows_by_fifty_champions_a_round_and_is_learned(data):
    rounds = list(lesson5.rubbish_rounds(data, rounds=2, generations=3))
    assert [row["rubbish trained on"] for _, row in rounds] == [0, 50]
    for model, row in rounds:
        assert len(model.labels) == 11 and row["test digits right"] > 0.95
        assert 0 <= row["over 99 %"] <= 1 and 0 <= row["champions, median"] <= 1
    (first, _), (second, _) = rounds
    found = [lesson5.rubbish_attacked(one, data.test_images[:20], data.test_labels[:20]) for one in (first, second)]
    assert found[0]["noise is rubbish"] == 0 < found[1]["noise is rubbish"]
    for row in found:
        assert 0 < row["digit to any error"] <= row["digit to another digit"] + 1e-3
    with pytest.raises(ValueError, match="eleven classes"):
        lesson5.rubbish_attacked(small.frozen(small.digit_net()), data.test_images[:2], data.test_labels[:2])


class TwoWays(nn.Module):
    """Class 1 by the brightness of the upper half above 0.3, which counts much, or of the lower half, which counts."""

    def forward(self, images: Tensor) -> Tensor:
        upper, lower = (half.mean((1, 2, 3)) for half in images.split(8, 2))
        score = (50 * (upper - 0.3)).relu() + 4 * (lower - 0.5) - 0.5
        return torch.stack([0 * score, score], 1)


def two_ways() -> tuple[Classifier, Tensor]:
    """That network; and two images whose upper half cannot be made light by a change of L2 norm 2."""
    images = torch.cat([torch.full((2, 3, 8, 16), 0.31), torch.full((2, 3, 8, 16), 0.48)], 2)
    return Classifier(TwoWays().eval(), None, SHAPE, prepare=False), round_to_8bit(images)


def test_through_the_view_of_a_quantiser_a_target_is_reached_that_is_not_reached_without_it():
    model, images = two_ways()
    defence = quantised(2)
    defended, view = behind(model, defence), straight_through(defence)
    assert model(images).argmax(1).tolist() == defended(images).argmax(1).tolist() == [0, 0]
    blind, knowing, lost = (
        attack_that_knows(model, images, 1, each, steps=20, length=0.1) for each in (None, view, defence)
    )
    assert model(blind).argmax(1).tolist() == [1, 1]
    assert defended(blind).argmax(1).tolist() == [0, 0]
    assert defended(knowing).argmax(1).tolist() == [1, 1]
    assert torch.equal(lost, images), "the gradient of rounding is zero"
    for found in (blind, knowing):
        assert torch.equal(found, round_to_8bit(found))
        assert lengths(found - images).max() <= 2.05
    assert torch.equal(images, two_ways()[1])


def test_the_control_goes_as_many_equal_steps_of_the_length_that_is_asked():
    model, images = lines(2)
    for steps, length in ((5, 0.1), (20, 0.05)):
        change = attack_that_knows(model, images, 1, None, steps=steps, length=length) - round_to_8bit(images)
        assert lengths(change).tolist() == pytest.approx([steps * length] * 3, rel=0.02)
        towards = (model.net.weight[1] - model.net.weight[0]).view(SHAPE)
        assert nn.functional.cosine_similarity(change.flatten(1), towards.flatten()[None]).min() > 0.99
    change = attack_that_knows(model, images, 1, None) - round_to_8bit(images)
    assert (lengths(change) < 20 * 0.6 + 0.05).all() and change.abs().max() > 0.3


def test_attacks_that_know_nothing_fool_the_network_alone_and_can_be_saved():
    model, images = lines()
    images = round_to_8bit(images)
    found = attacks_that_know_nothing(model, images, "class 2")
    assert list(found) == ["smallest change", "unit steps to 99 %", "PGD, L∞ 2 grey levels"]
    for changed in found.values():
        assert torch.equal(changed, round_to_8bit(changed))
        assert (model.probabilities(changed)[:, 2] > model.probabilities(images)[:, 2]).all()
    smallest, steps, ball = ((changed - images).flatten(1) for changed in found.values())
    assert (smallest.norm(dim=1) < steps.norm(dim=1)).all()
    assert (model.probabilities(found["smallest change"]).argmax(1) == 2).all()
    assert (model.probabilities(found["unit steps to 99 %"])[:, 2] > 0.98).all()
    assert ball.abs().max().item() == pytest.approx(2 / 255, abs=1e-6)
    assert torch.equal(images, round_to_8bit(lines()[1]))


class Counter:
    """A defence that does nothing, or makes all images black, and counts how often it was asked."""

    def __init__(self, factor: float):
        self.factor, self.asked = factor, 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        self.asked += 1
        return self.factor * images


def test_compare_defences_has_a_row_for_each_defence_and_attack(monkeypatch):
    model, images = lines()
    images = round_to_8bit(images)
    nothing, black, random = Counter(1), Counter(0), Counter(1)
    views = {"nothing": (nothing, Counter(1)), "black": (black, Counter(1)), RANDOM: (random, Counter(1))}
    monkeypatch.setattr(lesson5, "DEFENCES", views)
    rows = list(compare_defences(model, images, "class 1", draws=5))
    equal = [f"{steps} steps {how}" for steps in (20, 50) for how in ("without it, as large", "through the defence")]
    attacks = ["none", *attacks_that_know_nothing(model, images, 1), *equal]
    assert [(row["defence"], row["attack"]) for row in rows] == [(name, attack) for name in views for attack in attacks]
    assert [defence.asked for defence in (nothing, black, random)] == [8, 8, 40]
    found = {(row["defence"], row["attack"]): row for row in rows}
    assert set(rows[0]) == {"defence", "attack", "is the target", "is as before", "L2"}
    none = found["nothing", "none"]
    assert (none["is the target"], none["is as before"], none["L2"]) == (0, 1, 0)
    for attack in ("smallest change", "unit steps to 99 %", *attacks[4:]):
        assert found["nothing", attack]["is the target"] == 1
        assert found["nothing", attack]["is as before"] == 0
        assert found["nothing", attack]["L2"] > 0.1
    of_black = model.net.bias.argmax().item()
    for attack in attacks:
        row = found["black", attack]
        assert (row["is the target"], row["is as before"]) == (of_black == 1, of_black == 0)
        assert row["L2"] == found["nothing", attack]["L2"]
    distance = lengths(attack_that_knows(model, images, 1, None) - images).median().item()
    assert found["nothing", attacks[4]]["L2"] == found["nothing", attacks[5]]["L2"] == pytest.approx(distance, abs=1e-3)
    assert found["nothing", attacks[7]]["L2"] > distance
    assert torch.equal(images, round_to_8bit(lines()[1]))


def test_a_control_is_as_large_as_what_it_is_compared_with():
    images = torch.full((3, 3, 8, 8), 0.5)
    changed, like = images + 0.02 * torch.randn(3, 3, 8, 8, generator=generator()), images.clone()
    like[1] += 0.1
    like[2, :, 0] += 0.4
    found = as_large(images, changed, like)
    sizes, goals = (lengths(x - images) for x in (found, like))
    assert sizes[0] < 0.03  # rounding of the grey itself
    assert sizes[1:].tolist() == pytest.approx(goals[1:].tolist(), rel=0.03)
    along = torch.nn.functional.cosine_similarity((found - images).flatten(1), (changed - images).flatten(1))
    assert (along[1:] > 0.98).all()


def test_compare_defences_looks_through_the_view_and_counts_images_and_draws(monkeypatch):
    model, images = lines(2)
    calls = []

    def black_at_times(images: Tensor, generator: torch.Generator) -> Tensor:
        """Leaves the first image as it is at every call, and the others at every second."""
        calls.append(len(calls) % 2)
        return torch.cat([images[:1], images[1:] * calls[-1]])

    def inverted(images: Tensor, generator: torch.Generator) -> Tensor:
        return 1 - images

    assert model(torch.zeros(1, *SHAPE)).argmax(1).item() == 1
    monkeypatch.setattr(lesson5, "DEFENCES", {"none": (Counter(1), inverted), RANDOM: (black_at_times, inverted)})
    rows = {(row["defence"], row["attack"]): row for row in compare_defences(model, images, 1)}
    assert len(calls) == 8 * 8
    through = attack_that_knows(model, images, 1, inverted)
    expected = lengths(through - images).median().item()
    for steps in (20, 50):
        row = rows["none", f"{steps} steps through the defence"]
        assert (row["is the target"], row["is as before"]) == (0, 1), "the view leads to the opposite"
    assert rows["none", "20 steps through the defence"]["L2"] == pytest.approx(expected, abs=1e-3)
    assert rows["none", "20 steps without it, as large"]["is the target"] == 1
    row = rows[RANDOM, "none"]  # two images of three, half of the time
    assert (row["is the target"], row["is as before"]) == pytest.approx((1 / 3, 2 / 3), abs=1e-4)


def test_what_is_learnt_on_and_what_is_judged_on_have_no_photograph_in_common(monkeypatch):
    def numbered(crops=30, *, names, **_):
        return torch.tensor([PHOTOGRAPHS.index(name) for name in names]).repeat_interleave(crops)

    monkeypatch.setattr(lesson5, "photographs", numbered)
    learnt, judged = lesson5.scenes_to_learn_on(), lesson5.other_scenes()
    assert len(learnt) == 150 and learnt.unique().tolist() == [0, 1, 2, 3, 4]
    assert len(judged) == 20 and judged.unique().tolist() == [5, 6, 7, 8]


def pixels(image: Tensor) -> list[tuple[float, ...]]:
    """The colours of one image, in no order of places."""
    return sorted(map(tuple, image[0].flatten(1).T.tolist()))


def test_a_universal_change_is_judged_beside_the_same_pixels_in_another_order(monkeypatch):
    model, scenes = lines(2)
    scenes = scenes.repeat(2, 1, 1, 1)
    scenes[3:] = attack_that_knows(model, scenes[3:], 1, None, length=0.1)  # these are the target as they are
    monkeypatch.setattr(lesson5, "other_scenes", lambda device=None: scenes)
    towards, given = (model.net.weight[1] - model.net.weight[0]).view(1, *SHAPE), []
    monkeypatch.setattr(lesson5, "universally", lambda images, x: given.append(x) or universally(images, x))
    change = 0.5 + 0.2 * towards.sign()
    found = lesson5.judged_change(model, change, "class 1")
    assert found == {"is the target": 1, "is another class": 0.5, "control: target": 0.5, "control: another": 0}
    as_it_is, shuffled = given
    assert torch.equal(as_it_is, round_to_8bit(change)) and not torch.equal(shuffled, as_it_is)
    assert pixels(shuffled) == pixels(as_it_is)
    away = lesson5.judged_change(model, 1 - change, "class 1")
    assert away["is the target"] == 0 and away["is another class"] == 0.5
    assert torch.equal(change, 0.5 + 0.2 * towards.sign())


class Finds(nn.Module):
    """Class 1 where a pattern of light and dark is somewhere in the picture."""

    def __init__(self, pattern: Tensor):
        super().__init__()
        self.register_buffer("pattern", pattern)

    def forward(self, images: Tensor) -> Tensor:
        score = nn.functional.conv2d(images - 0.5, self.pattern).amax((1, 2, 3)) - 0.4 * self.pattern.numel()
        return torch.stack([0 * score, score], 1)


def test_a_patch_is_judged_at_three_places_beside_the_same_pixels_in_another_order(monkeypatch):
    pattern = torch.randn(1, 3, 5, 5, generator=generator()).sign()
    model = Classifier(Finds(pattern).eval(), None, SHAPE, prepare=False)
    scenes, calls = random_images(4, 16, low=0.45, high=0.55), []
    monkeypatch.setattr(lesson5, "other_scenes", lambda device=None: scenes)

    def noted(images: Tensor, patch: Tensor, generator: torch.Generator) -> Tensor:
        covered = patched(images, patch, generator)
        calls.append(((covered - images).abs() > 0.2, patch))
        return covered

    monkeypatch.setattr(lesson5, "patched", noted)
    patch = 0.5 + 0.49 * pattern
    found = lesson5.judged_patch(model, patch, 1)
    assert found == {"is the target": 1, "is another class": 1, "control: target": 0, "control: another": 0}
    (first, as_it_is), (second, shuffled) = calls
    assert len(first) == 12 and torch.equal(first, second)
    assert torch.equal(as_it_is, round_to_8bit(patch)) and not torch.equal(shuffled, as_it_is)
    assert pixels(shuffled) == pixels(as_it_is)
