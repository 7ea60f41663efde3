"""Transforms in front of a network, attacks that know of them or not, and one change or patch for all pictures."""

import pytest
import torch
from torch import Tensor, nn

from fooling_utils import Classifier, adam_step, defences, linf_ball, optimize_pixels, pgd, round_to_8bit, toward
from fooling_utils.attacks.universal import add_to_all, lay_on_all, patched, universally
from fooling_utils.defences.transforms import DEFENCES, answers, behind
from fooling_utils.images import through_jpeg
from fooling_utils.lessons import lesson5
from fooling_utils.lessons.lesson5 import as_large, attack_that_knows, attacks_that_know_nothing, compare_defences
from fooling_utils.views import blurred, quantised, random_views, recompressed, straight_through
from nets import ConvNorm, Linear, linear, random_images

SHAPE = (3, 16, 16)
NUMBERS = 768
RANDOM = "random size"
DETERMINISTIC = [name for name in DEFENCES if name != RANDOM]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_images(count: int = 3, **settings) -> Tensor:
    return random_images(count, 16, **settings)


@pytest.fixture(scope="module")
def curved() -> Classifier:
    """A network with convolutions, whose answers depend on details."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = ConvNorm()
    net.last.weight.data.mul_(10)
    return Classifier(net.eval(), list("abcde"), SHAPE, prepare=False)


def lines(classes: int = 3) -> tuple[Classifier, Tensor]:
    """A linear network, and images of its class 0 that are near the others."""
    weight = 0.3 * torch.randn(classes, NUMBERS, generator=generator())
    images = some_images(low=0.45, high=0.55)
    bias = -0.5 * weight.sum(1)
    bias[0] += 3
    model = linear(weight, bias, SHAPE)
    assert model(images).argmax(1).tolist() == [0, 0, 0]
    return model, images


# the defences


@pytest.mark.parametrize("name", DEFENCES)
def test_a_defence_gives_images_of_the_same_shape_and_range_and_modifies_nothing(name):
    images = some_images(low=0, high=1)
    state = torch.get_rng_state()
    seen = DEFENCES[name][0](images, generator())
    assert seen.shape == images.shape and seen.dtype == images.dtype
    assert seen.min() >= -1e-6 and seen.max() <= 1 + 1e-6
    assert not torch.allclose(seen, images, atol=0.01)
    assert torch.equal(images, some_images(low=0, high=1))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_view_of_a_defence_does_what_it_does_and_has_a_gradient(name):
    defence, view = DEFENCES[name]
    images = some_images(low=0, high=1)
    assert torch.allclose(view(images, generator()), defence(images, generator(5)), atol=1e-6)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(view(leaf, generator()).sum(), leaf)
    assert gradient.mean().item() == pytest.approx(1, abs=0.05)


def test_the_random_defence_draws_once_and_its_view_several_times():
    defence, view = DEFENCES[RANDOM]
    images = some_images(low=0, high=1)
    assert not torch.equal(defence(images, generator(1)), defence(images, generator(2)))
    assert torch.equal(defence(images, generator(1)), defence(images, generator(1)))
    several = view(images, generator(1)).split(3)
    assert len(several) == 4
    assert not torch.allclose(several[0], several[1], atol=0.01)
    assert torch.allclose(several[0], defence(images, generator(1)), atol=1e-5)
    rows = torch.linspace(0, 1, 16).view(1, 1, 16, 1).expand(1, 3, 16, 16)
    inside = defence(rows, generator(1))[..., 6:10]
    assert inside.std(3).max() < 1e-5, "it moves and scales, and does not turn"


@pytest.mark.parametrize("levels", [2, 3, 8, 256])
def test_quantised_has_so_many_levels_and_takes_the_nearest(levels):
    images = torch.linspace(0, 1, 3 * 100 * 100).view(1, 3, 100, 100)
    seen = quantised(levels)(images, generator())
    assert seen.unique().tolist() == pytest.approx([i / (levels - 1) for i in range(levels)])
    assert (seen - images).abs().max().item() <= 0.5 / (levels - 1) + 1e-6
    assert torch.equal(quantised(levels)(seen, generator()), seen)
    if levels == 256:
        assert torch.allclose(seen, round_to_8bit(images))


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.5, 3.0])
def test_blurred_spreads_a_point_by_sigma(sigma):
    point = torch.zeros(1, 3, 41, 41)
    point[:, :, 20, 20] = 1
    seen = blurred(sigma)(point, generator())[0, 0]
    assert seen.sum().item() == pytest.approx(1, abs=1e-4)
    away = torch.arange(41.0) - 20
    for share in (seen.sum(0), seen.sum(1)):
        assert (share @ away).item() == pytest.approx(0, abs=1e-4)
        assert (share @ away**2).sqrt().item() == pytest.approx(sigma, rel=0.1)
    flat = torch.full((1, *SHAPE), 0.3)
    assert torch.allclose(blurred(sigma)(flat, generator()), flat, atol=1e-5) or sigma > 2.5


@pytest.mark.parametrize("quality", [30, 75])
def test_recompressed_is_a_jpeg_of_this_quality_and_its_gradient_is_zero(quality):
    images = round_to_8bit(some_images(low=0, high=1))
    leaf = images.clone().requires_grad_()
    seen = recompressed(quality)(leaf, generator())
    assert torch.equal(seen, through_jpeg(images, quality))
    (gradient,) = torch.autograd.grad(seen.sum(), leaf)
    assert gradient.eq(0).all()
    assert torch.equal(DEFENCES[f"JPEG {quality}"][0](images, generator()), seen)
    assert torch.equal(recompressed()(images, generator()), through_jpeg(images, 75))


@pytest.mark.parametrize("defence", [quantised(3), recompressed(20), blurred(), random_views(1, shift=0.3)])
def test_straight_through_is_the_defence_forwards_and_the_identity_backwards(defence):
    leaf = some_images(low=0, high=1).requires_grad_()
    seen = straight_through(defence)(leaf, generator(3))
    assert torch.allclose(seen, defence(leaf.detach(), generator(3)), atol=1e-6)
    assert not torch.allclose(seen, leaf, atol=0.01)
    weights = torch.randn(leaf.shape, generator=generator(4))
    (gradient,) = torch.autograd.grad((seen * weights).sum(), leaf)
    assert torch.equal(gradient, weights)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantised(1), "levels must be a whole number and at least 2, got 1"),
        (lambda: quantised(2.5), "levels must be a whole number and at least 2, got 2.5"),
        (lambda: blurred(0), "sigma must be greater than 0, got 0"),
        (lambda: blurred(float("nan")), "sigma must be greater than 0, got nan"),
        (lambda: recompressed(0)(some_images(), generator()), "quality must be from 1 to 95, got 0"),
        (lambda: patched(some_images(), torch.zeros(1, 3, 17, 2), generator()), r"17 x 2 does not fit .* \(16, 16\)"),
        (lambda: patched(some_images(), torch.zeros(1, 3, 2, 17), generator()), r"2 x 17 does not fit .* \(16, 16\)"),
    ],
)
def test_what_cannot_work_raises_with_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# the network behind a defence


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_behind_a_defence_the_network_sees_what_the_defence_gives(curved, name):
    images = some_images(low=0, high=1)
    defended = behind(curved, DEFENCES[name][0])
    expected = curved(DEFENCES[name][0](images, generator()))
    assert torch.allclose(defended(images), expected, atol=1e-5)
    assert not torch.allclose(defended(images), curved(images), atol=1e-3)
    assert isinstance(defended, Classifier) and not defended.training
    assert defended.labels == tuple("abcde") and defended.input_shape == SHAPE and defended.bounds == (0, 1)
    defended.validate(images)
    assert torch.equal(images, some_images(low=0, high=1))


def test_a_random_defence_in_front_draws_the_same_at_every_call_and_by_its_seed(curved):
    images, defence = some_images(low=0, high=1), DEFENCES[RANDOM][0]
    defended = behind(curved, defence)
    assert torch.equal(defended(images), defended(images))
    assert torch.allclose(defended(images), curved(defence(images, generator(0))), atol=1e-5)
    assert torch.allclose(behind(curved, defence, seed=7)(images), curved(defence(images, generator(7))), atol=1e-5)
    assert not torch.allclose(behind(curved, defence, seed=7)(images), defended(images), atol=1e-3)


def test_the_defence_stands_before_the_mean_and_the_scale_of_the_network():
    net, images = Linear(torch.randn(2, NUMBERS, generator=generator())).eval(), some_images()
    scaled = Classifier(net, None, SHAPE, mean=[0.5] * 3, std=[0.1] * 3, prepare=False)
    expected = net((quantised(2)(images, generator()) - 0.5) / 0.1)
    assert torch.allclose(behind(scaled, quantised(2))(images), expected, atol=1e-3)


def test_what_has_a_gradient_can_be_attacked_through_its_front_and_what_has_none_stays(curved):
    images = some_images()
    for defence, moves in ((blurred(0.8), True), (straight_through(quantised(8)), True), (quantised(8), False)):
        found = pgd(behind(curved, defence), images, 0.05, steps=3)
        assert torch.equal(found, images) != moves


def test_answers_are_probabilities_for_each_draw(curved):
    images = some_images(2, low=0, high=1)
    for name in DEFENCES:
        found = answers(curved, DEFENCES[name][0], images, draws=3)
        assert found.shape == (3, 2, 5)
        assert torch.allclose(found.sum(2), torch.ones(3, 2), atol=1e-5)
        assert torch.equal(found[0], found[1]) == (name != RANDOM)
    assert answers(curved, blurred(), images).shape == (1, 2, 5)
    assert torch.equal(images, some_images(2, low=0, high=1))
    expected = behind(curved, blurred()).probabilities(images)
    assert torch.allclose(answers(curved, blurred(), images)[0], expected, atol=1e-5)


def test_the_draws_of_an_answer_come_from_its_seed(curved):
    images, defence = some_images(2, low=0, high=1), DEFENCES[RANDOM][0]
    found = answers(curved, defence, images, draws=3)
    assert torch.equal(answers(curved, defence, images, draws=3), found)
    assert not torch.allclose(answers(curved, defence, images, draws=3, seed=1), found, atol=1e-3)
    assert torch.allclose(found[0], behind(curved, defence).probabilities(images), atol=1e-5)
    assert not torch.allclose(found[1], found[2], atol=1e-4)


# attacks that know and that do not


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
        assert (found - images).flatten(1).norm(dim=1).max() <= 2.05
    assert torch.equal(images, two_ways()[1])


def test_the_control_goes_as_many_equal_steps_of_the_length_that_is_asked():
    model, images = lines(2)
    for steps, length in ((5, 0.1), (20, 0.05)):
        change = attack_that_knows(model, images, 1, None, steps=steps, length=length) - round_to_8bit(images)
        assert change.flatten(1).norm(dim=1).tolist() == pytest.approx([steps * length] * 3, rel=0.02)
        towards = (model.net.weight[1] - model.net.weight[0]).view(SHAPE)
        assert nn.functional.cosine_similarity(change.flatten(1), towards.flatten()[None]).min() > 0.99
    change = attack_that_knows(model, images, 1, None) - round_to_8bit(images)
    assert (change.flatten(1).norm(dim=1) < 20 * 0.6 + 0.05).all() and change.abs().max() > 0.3


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
    monkeypatch.setattr(defences, "DEFENCES", views)
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
    distance = (attack_that_knows(model, images, 1, None) - images).flatten(1).norm(dim=1).median().item()
    assert found["nothing", attacks[4]]["L2"] == found["nothing", attacks[5]]["L2"] == pytest.approx(distance, abs=1e-3)
    assert found["nothing", attacks[7]]["L2"] > distance
    assert torch.equal(images, round_to_8bit(lines()[1]))


def test_a_control_is_as_large_as_what_it_is_compared_with():
    images = torch.full((3, 3, 8, 8), 0.5)
    changed, like = images + 0.02 * torch.randn(3, 3, 8, 8, generator=generator()), images.clone()
    like[1] += 0.1
    like[2, :, 0] += 0.4
    found = as_large(images, changed, like)
    sizes, goals = ((x - images).flatten(1).norm(dim=1) for x in (found, like))
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
    monkeypatch.setattr(defences, "DEFENCES", {"none": (Counter(1), inverted), RANDOM: (black_at_times, inverted)})
    rows = {(row["defence"], row["attack"]): row for row in compare_defences(model, images, 1)}
    assert len(calls) == 8 * 8
    through = attack_that_knows(model, images, 1, inverted)
    expected = (through - images).flatten(1).norm(dim=1).median().item()
    for steps in (20, 50):
        row = rows["none", f"{steps} steps through the defence"]
        assert (row["is the target"], row["is as before"]) == (0, 1), "the view leads to the opposite"
    assert rows["none", "20 steps through the defence"]["L2"] == pytest.approx(expected, abs=1e-3)
    assert rows["none", "20 steps without it, as large"]["is the target"] == 1
    row = rows[RANDOM, "none"]  # two images of three, half of the time
    assert (row["is the target"], row["is as before"]) == pytest.approx((1 / 3, 2 / 3), abs=1e-4)


# one change, and one patch, for all pictures


def reddish() -> Classifier:
    """A network whose three classes are the three colours."""
    colours = torch.eye(3).repeat_interleave(256, 1) / 256
    return linear(20 * colours, shape=SHAPE)


def test_universally_adds_the_change_around_grey_and_clamps():
    images, change = some_images(4, low=0, high=1), torch.full((1, *SHAPE), 0.5)
    assert torch.allclose(universally(images, change), images, atol=1e-6)
    change[:, 0], change[:, 1] = 0.8, 0.1
    found = universally(images, change)
    expected = images + torch.tensor([0.3, -0.4, 0.0]).view(3, 1, 1)
    assert (expected > 1).any() and (expected < 0).any()
    assert torch.allclose(found, expected.clamp(0, 1), atol=1e-6)
    assert torch.equal(images, some_images(4, low=0, high=1))


def test_a_universal_change_turns_all_pictures_to_the_class_in_the_loop():
    model, scenes = reddish(), some_images(20, low=0.2, high=0.8)
    grey = torch.full((1, *SHAPE), 0.5)
    frames = list(
        optimize_pixels(
            model,
            grey,
            toward(2),
            view=add_to_all(scenes),
            step=adam_step(0.02),
            constraint=linf_ball(grey, 0.1),
            steps=20,
        )
    )
    assert frames[-1].score.item() > frames[0].score.item() + 0.5
    change = frames[-1].image - 0.5
    assert change[0, 2].min().item() == pytest.approx(0.1, abs=1e-5)
    assert change[0, :2].max().item() == pytest.approx(-0.1, abs=1e-5)
    assert (model(universally(scenes, frames[-1].image)).argmax(1) == 2).all()
    assert torch.equal(scenes, some_images(20, low=0.2, high=0.8))


def test_a_patch_turns_all_pictures_to_the_class_in_the_loop():
    model, scenes = reddish(), some_images(20, low=0.4, high=0.6)
    start = torch.full((1, 3, 6, 6), 0.5)
    frames = list(optimize_pixels(model, start, toward(1), view=lay_on_all(scenes), step=adam_step(0.1), steps=15))
    assert frames[-1].score.item() > frames[0].score.item() + 0.5
    assert frames[-1].image[0, 1].min() > 0.99 and frames[-1].image[0, ::2].max() < 0.01
    assert (model(patched(scenes, frames[-1].image, generator())).argmax(1) == 1).all()
    assert torch.equal(scenes, some_images(20, low=0.4, high=0.6))


@pytest.mark.parametrize("view", [lay_on_all, add_to_all])
def test_a_view_shows_so_many_scenes_at_random_and_all_of_them_in_time(view):
    scenes = torch.linspace(0.1, 0.9, 5).view(5, 1, 1, 1).expand(5, *SHAPE)
    variable = torch.full((1, 3, 2, 2), 0.5) if view is lay_on_all else torch.full((1, *SHAPE), 0.5)
    source = generator()
    shown = [view(scenes, count=3)(variable, source).flatten(1).median(1).values for _ in range(40)]
    assert [len(each) for each in shown] == [3] * 40
    assert len(torch.cat(shown).unique()) == 5
    assert len({tuple(each.tolist()) for each in shown}) > 20
    assert view(scenes)(variable, generator()).shape == (8, *SHAPE)
    assert torch.equal(view(scenes)(variable, generator(1)), view(scenes)(variable, generator(1)))
    state = torch.get_rng_state()
    view(scenes)(variable, source)
    assert torch.equal(torch.get_rng_state(), state)


def places(covered: Tensor, height: int, width: int) -> list[tuple[int, int]]:
    """Where the patches of twos lie; every other value must be one."""
    found = []
    for image in covered:
        mask = image == 2
        assert mask.sum() == 3 * height * width
        top, left = mask[0].nonzero()[0].tolist()
        assert mask[:, top : top + height, left : left + width].all()
        assert (image[~mask] == 1).all()
        found.append((top, left))
    return found


def test_a_patch_is_wholly_inside_anywhere_and_the_rest_is_as_it_was():
    images, patch = torch.ones(600, 3, 6, 7), torch.full((1, 3, 4, 6), 2.0)
    found = places(patched(images, patch, generator()), 4, 6)
    counts = [found.count((top, left)) for top in range(3) for left in range(2)]
    assert sum(counts) == 600
    assert min(counts) > 60, "also in the corners, and everywhere about as often"
    assert torch.equal(images, torch.ones(600, 3, 6, 7)) and torch.equal(patch, torch.full((1, 3, 4, 6), 2.0))
    assert set(places(patched(images[:50], torch.full((1, 3, 6, 7), 2.0), generator()), 6, 7)) == {(0, 0)}


def test_a_patch_lies_upright_with_all_its_values_by_the_seed():
    images, patch = some_images(5), torch.arange(24.0).view(1, 3, 2, 4)
    covered = patched(images, patch, generator(1))
    for image in covered:
        top, left = (image[0] == 1).nonzero()[0].tolist()
        assert torch.equal(image[:, top : top + 2, left - 1 : left + 3], patch[0])
    assert torch.equal(patched(images, patch, generator(1)), covered)
    assert not torch.equal(patched(images, patch, generator(2)), covered)


def test_a_patch_has_the_gradient_of_every_picture_that_it_lies_on():
    patch = torch.rand(1, 3, 4, 5, generator=generator()).requires_grad_()
    (gradient,) = torch.autograd.grad(patched(some_images(7), patch, generator()).sum(), patch)
    assert torch.equal(gradient, torch.full((1, 3, 4, 5), 7.0))


def test_what_is_learnt_on_and_what_is_judged_on_have_no_photograph_in_common(monkeypatch):
    monkeypatch.setattr(
        defences, "photographs", lambda crops=30, seed=0, device=None: torch.arange(9).repeat_interleave(crops)
    )
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
    monkeypatch.setattr(defences, "other_scenes", lambda device=None: scenes)
    towards, given = (model.net.weight[1] - model.net.weight[0]).view(1, *SHAPE), []
    monkeypatch.setattr(defences, "universally", lambda images, x: given.append(x) or universally(images, x))
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
    scenes, calls = some_images(4, low=0.45, high=0.55), []
    monkeypatch.setattr(defences, "other_scenes", lambda device=None: scenes)

    def noted(images: Tensor, patch: Tensor, generator: torch.Generator) -> Tensor:
        covered = patched(images, patch, generator)
        calls.append(((covered - images).abs() > 0.2, patch))
        return covered

    monkeypatch.setattr(defences, "patched", noted)
    patch = 0.5 + 0.49 * pattern
    found = lesson5.judged_patch(model, patch, 1)
    assert found == {"is the target": 1, "is another class": 1, "control: target": 0, "control: another": 0}
    (first, as_it_is), (second, shuffled) = calls
    assert len(first) == 12 and torch.equal(first, second)
    assert torch.equal(as_it_is, round_to_8bit(patch)) and not torch.equal(shuffled, as_it_is)
    assert pixels(shuffled) == pixels(as_it_is)
