"""What an objective scores: classes, pictures, and what layers answer."""

import numpy as np
import pytest
import torch

from fooling_utils import (
    activation,
    away_from,
    content,
    distance_to,
    logit,
    optimize_pixels,
    sign_step,
    style,
    total_variation,
    toward,
)
from fooling_utils.objectives import Objective, Seen, gram_matrix
from nets import NUMBERS, linear, random_images, random_linear


def scores(objective: Objective, model, images: torch.Tensor) -> torch.Tensor:
    return objective.bind(model)(Seen(images, *model.features(images, objective.layers)))


def ramps() -> torch.Tensor:
    """An image whose rows rise by 0.1 and whose columns rise by 0.2, in each of three channels."""
    steps = torch.arange(3.0)
    return (0.1 * steps[:, None] + 0.2 * steps).expand(1, 3, 3, 3)


# values by hand


@pytest.fixture(scope="module")
def by_hand():
    """Two classes whose logits are the sum of an image's values and 1, whatever the image."""
    return linear(
        torch.stack([torch.ones(NUMBERS), torch.zeros(NUMBERS)]), torch.tensor([0.0, 1.0]), labels=["sum", "one"]
    )


@pytest.mark.parametrize(
    "label", ["sum", 0, torch.tensor(0), np.int64(0), ["sum"], (0,), torch.tensor([0]), np.array([0])]
)
def test_logit_is_the_score_of_the_class(by_hand, label):
    image = torch.full((1, 3, 4, 4), 0.5)
    assert scores(logit(label), by_hand, image).tolist() == pytest.approx([24])


def test_toward_is_the_log_probability_and_away_from_is_its_negative(by_hand):
    image = torch.full((1, 3, 4, 4), 2 / NUMBERS)  # logits 2 and 1
    expected = -np.log1p(np.exp(-1))
    assert scores(toward("sum"), by_hand, image).tolist() == pytest.approx([expected])
    assert scores(away_from("sum"), by_hand, image).tolist() == pytest.approx([-expected])
    assert scores(toward("one"), by_hand, image).tolist() == pytest.approx([expected - 1])


def test_total_variation_of_a_known_image():
    by_hand = linear(torch.zeros(2, 27), shape=(3, 3, 3))
    # per channel six steps of 0.1 along the columns and six of 0.2 along the rows
    assert scores(total_variation(), by_hand, ramps()).tolist() == pytest.approx([3 * (6 * 0.1 + 6 * 0.2)])
    assert scores(total_variation(), by_hand, torch.full((2, 3, 3, 3), 0.7)).tolist() == [0, 0]


def test_distance_to_is_the_l2_distance(by_hand):
    image = torch.full((2, 3, 4, 4), 0.5)
    goal = image.clone()
    goal[0, 0, 0, :2] += torch.tensor([0.3, -0.4])
    assert scores(distance_to(goal), by_hand, image).tolist() == pytest.approx([0.5, 0])
    assert scores(distance_to(goal[:1]), by_hand, image).tolist() == pytest.approx([0.5, 0.5])
    assert scores(distance_to(goal, squared=True), by_hand, image).tolist() == pytest.approx([0.25, 0])


def test_the_gradient_of_the_distance_is_finite_where_the_distance_is_zero(by_hand):
    image = random_images(2).requires_grad_()
    score = scores(distance_to(image.detach()), by_hand, image)
    (gradient,) = torch.autograd.grad(score.sum(), image)
    assert torch.equal(gradient, torch.zeros_like(gradient))


# sums and scalings


def test_objectives_add_subtract_and_scale():
    model, images = random_linear(), random_images(2)
    one, two = scores(logit(0), model, images), scores(total_variation(), model, images)
    expected = {
        "sum": (logit(0) + total_variation(), one + two),
        "difference": (logit(0) - total_variation(), one - two),
        "scaled": (logit(0) * 3, 3 * one),
        "scaled from the left": (0.5 * logit(0), 0.5 * one),
        "negative": (-logit(0), -one),
        "all": (2 * logit(0) - 0.02 * total_variation(), 2 * one - 0.02 * two),
    }
    for name, (objective, value) in expected.items():
        assert torch.allclose(scores(objective, model, images), value), name


@pytest.mark.parametrize(
    "combine",
    [
        lambda: toward(0) + 1,
        lambda: toward(0) - "ostrich",
        lambda: toward(0) * toward(1),
        lambda: toward(0) * "2",
        lambda: 3 - toward(0),
    ],
)
def test_an_objective_adds_to_objectives_and_scales_by_numbers_only(combine):
    with pytest.raises(TypeError, match=r"unsupported operand|can.t multiply"):
        combine()


def test_a_combination_keeps_the_number_of_images_it_is_made_for():
    assert (toward([0, 1]) + total_variation()).members == 2
    assert (0.5 * -toward([0, 1])).members == 2
    assert (total_variation() - distance_to(random_images(3))).members == 3
    assert (toward(0) + distance_to(random_images(1))).members is None


def test_objectives_for_different_numbers_of_images_do_not_add():
    with pytest.raises(ValueError, match=r"targets for different numbers of images: \[2, 3\]"):
        toward([0, 1]) + distance_to(random_images(3))


# targets


def test_a_list_names_one_class_per_image():
    model, images = random_linear(), random_images(3)
    wanted = [2, 0, 1]
    for kind in (list, tuple, torch.tensor, np.array):
        found = scores(logit(kind(wanted)), model, images)
        assert torch.equal(found, model(images)[range(3), wanted])


def test_a_list_repeats_over_blocks_of_random_views():
    model, images = random_linear(), random_images(4)
    assert torch.equal(scores(logit([2, 0]), model, images), model(images)[range(4), [2, 0, 2, 0]])


@pytest.mark.parametrize(
    "objective", [toward([0, 1]), logit([0]), away_from([0, 1, 2, 0]), toward([]), distance_to(random_images(2))]
)
def test_a_wrong_number_of_targets_is_refused_at_the_call(objective):
    count = objective.members
    with pytest.raises(ValueError, match=f"the objective names targets for {count} images, but there are 3"):
        optimize_pixels(random_linear(), random_images(3), objective)


# climbing


@pytest.mark.parametrize(
    "objective",
    [
        toward(1),
        toward([0, 1]),
        away_from(1),
        away_from([2, 0]),
        logit(2),
        logit([1, 2]),
        -logit(1),
        total_variation(),
        -total_variation(),
        distance_to(random_images(1, 12, seed=9)),
        -distance_to(random_images(2, 12, seed=9)),
        toward(1) - 0.01 * total_variation() - 0.1 * distance_to(random_images(1, 12, seed=9)),
        activation("second"),
        activation("first", 2),
        -activation("second"),
        style(random_images(1, 12, seed=5), ["first", "second"]),
        content(random_images(1, 12, seed=6), "second"),
        toward(1) + style(random_images(1, 12, seed=5), ["first"]) + content(random_images(2, 12, seed=6), "second"),
    ],
    ids=lambda objective: None,
)
def test_ten_steps_raise_every_objective_for_every_image(conv_net, objective):
    frames = list(optimize_pixels(conv_net, random_images(2, 12), objective, step=sign_step(0.002), steps=10))
    assert (frames[-1].score > frames[0].score).all()


# --------------------------------------------------------------------------------------------------- the objectives


def test_the_gram_matrix_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # two channels at two places
    assert gram_matrix(features).tolist() == [[[2.5, 0.5], [0.5, 5.0]]]


def test_the_gram_matrix_forgets_where_things_are():
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    moved = features.flatten(2)[:, :, torch.randperm(20)].view_as(features)
    assert torch.allclose(gram_matrix(features), gram_matrix(moved), atol=1e-5)


def test_activation_is_the_mean_of_a_channel_or_the_mean_square_of_the_layer(conv_net):
    images = random_images(2, 12)
    _, features = conv_net.features(images, ["second"])
    assert torch.allclose(scores(activation("second", 3), conv_net, images), features["second"][:, 3].mean((1, 2)))
    assert torch.allclose(scores(activation("second"), conv_net, images), features["second"].square().mean((1, 2, 3)))


def test_style_and_content_are_zero_at_the_goal_and_below_elsewhere(conv_net):
    image, other = random_images(1, 12), random_images(1, 12, seed=1)
    for objective in (style(image, ["first", "second"]), content(image, "second")):
        assert scores(objective, conv_net, image).item() == pytest.approx(0, abs=1e-9)
        assert scores(objective, conv_net, other).item() < -1e-6


def test_style_is_minus_the_relative_squared_distance_of_gram_matrices(conv_net):
    goal, image = random_images(1, 16, seed=1), random_images(1, 12)  # the style image may have another size
    terms = []
    for layer in ("first", "second"):
        found, wanted = (gram_matrix(conv_net.features(x, [layer])[1][layer]) for x in (image, goal))
        terms.append((found - wanted).square().sum() / wanted.square().sum())
    assert scores(style(goal, ["first", "second"]), conv_net, image).item() == pytest.approx(-sum(terms).item() / 2)


def test_goals_of_a_batch_go_to_their_own_images_also_under_views(conv_net):
    goals = random_images(2, 12)
    twice = torch.cat([goals, goals])
    assert scores(content(goals, "second"), conv_net, twice).tolist() == pytest.approx([0] * 4, abs=1e-9)
    assert content(goals, "second").members == 2


def test_layers_add_up(conv_net):
    both = activation("first") + 0.5 * style(random_images(1, 12), ["second"]) - toward(0)
    assert both.layers == {"first", "second"}


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda: activation("second", 8), "layer 'second' has no channel 8: the channels go from 0 to 7"),
        (lambda: activation("second", -1), "has no channel -1"),
        (lambda: style(random_images(1, 12), ["last"]), r"layer 'last' has shape \(1, 5\): style needs"),
        (lambda: style(random_images(1, 12), "first"), "layers must be a list with at least one name, got 'first'"),
        (lambda: style(random_images(1, 12), []), "layers must be a list"),
        (lambda: content(2 * random_images(1, 12), "first"), r"the image of content must be in \[0, 1\]"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(conv_net, objective, message):
    with pytest.raises(ValueError, match=message):
        optimize_pixels(conv_net, random_images(1, 12), objective())


def test_content_of_another_size_says_what_to_do(conv_net):
    frames = optimize_pixels(conv_net, random_images(1, 12), content(random_images(1, 16), "first"))
    with pytest.raises(ValueError, match="load both images with the same size"):
        next(frames)
