"""What layers answer, and the objectives that look at it."""

import pytest
import torch
import torchvision
from torch import nn

from fooling_utils import Classifier, activation, content, optimize_pixels, sign_step, style, toward
from fooling_utils.objectives import Seen, gram_matrix
from nets import ConvNorm, random_images


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Classifier(ConvNorm().eval(), input_shape=(3, 12, 12))


def hooks_left(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def score(objective, model, images):
    logits, features = model.features(images, objective.layers)
    return objective.bind(model)(Seen(images, logits, features))


# ------------------------------------------------------------------------------------------------------- the layers


def test_layers_are_listed_with_the_shapes_of_their_outputs(net):
    shapes = net.layers()
    assert shapes["first.0"] == (1, 8, 12, 12)
    assert shapes["second"] == (1, 8, 5, 5)
    assert list(shapes)[-1] == "last" and shapes["last"] == (1, 5)
    assert hooks_left(net) == 0


def test_features_are_the_outputs_of_the_layers_and_the_logits_are_the_same(net):
    images = random_images(3, 12)
    logits, features = net.features(images, ["first", "second"])
    assert torch.equal(logits, net(images))
    first = net.net.first(images)
    assert torch.allclose(features["first"], first, atol=1e-6)
    assert torch.allclose(features["second"], net.net.second(first), atol=1e-6)
    assert hooks_left(net) == 0


def test_features_of_many_images_are_those_of_each(net):
    images = random_images(20, 12)  # two chunks
    _, together = net.features(images, ["second"])
    apart = torch.cat([net.features(image, ["second"])[1]["second"] for image in images.split(1)])
    assert torch.allclose(together["second"], apart, atol=1e-6)


class InPlace(nn.Module):
    """A convolution whose output the next layer overwrites."""

    def __init__(self):
        super().__init__()
        self.before, self.act = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

    def forward(self, images):
        return self.act(self.before(images)).mean((2, 3))


def test_a_layer_that_works_in_place_does_not_change_the_features_before_it():
    torch.manual_seed(0)
    net = Classifier(InPlace().eval(), input_shape=(3, 8, 8))
    _, features = net.features(random_images(1, 8), ["before"])
    assert features["before"].min() < 0
    *_, last = optimize_pixels(net, random_images(1, 8), activation("before", 0), step=sign_step(), steps=2)
    assert last.score.isfinite().all()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.again, self.last = nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def forward(self, images):
        return self.last(self.again(self.again(images)).mean((2, 3)))


def test_a_layer_that_answers_twice_cannot_be_named():
    net = Classifier(Twice().eval(), input_shape=(3, 8, 8))
    assert list(net.layers()) == ["last"]
    with pytest.raises(ValueError, match="no layer is called 'again'"):
        activation("again").bind(net)


def test_a_misspelt_layer_is_refused_at_the_call_with_the_nearest_names(net):
    with pytest.raises(ValueError, match=r"no layer is called 'secnd': did you mean 'second'.*model.layers\(\)"):
        optimize_pixels(net, random_images(1, 12), activation("secnd"))


def test_hooks_are_gone_after_a_frame_after_an_error_and_after_a_run_that_was_left(net):
    frames = optimize_pixels(net, random_images(1, 12), activation("second"))
    next(frames)
    assert hooks_left(net) == 0
    with pytest.raises(ValueError, match="expects images of shape"):
        net.features(torch.zeros(1, 3, 2, 2), ["first"])  # too small for the second convolution
    with pytest.raises(AttributeError):
        net.features(random_images(1, 12), ["first", "nothing"])
    assert hooks_left(net) == 0


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "mobilenet_v3_small", "densenet121"])
def test_torchvision_networks_list_layers_that_can_be_climbed(name):
    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(weights=None).eval()
    wrapped = Classifier(net, input_shape=(3, 64, 64))
    layer = [name for name, shape in wrapped.layers().items() if len(shape) == 4][-1]
    frames = list(optimize_pixels(wrapped, random_images(1, 64), activation(layer), step=sign_step(), steps=2))
    assert frames[-1].score > frames[0].score
    assert hooks_left(wrapped) == 0


# --------------------------------------------------------------------------------------------------- the objectives


def test_the_gram_matrix_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # two channels at two places
    assert gram_matrix(features).tolist() == [[[2.5, 0.5], [0.5, 5.0]]]


def test_the_gram_matrix_forgets_where_things_are():
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    moved = features.flatten(2)[:, :, torch.randperm(20)].view_as(features)
    assert torch.allclose(gram_matrix(features), gram_matrix(moved), atol=1e-5)


def test_activation_is_the_mean_of_a_channel_or_the_mean_square_of_the_layer(net):
    images = random_images(2, 12)
    _, features = net.features(images, ["second"])
    assert torch.allclose(score(activation("second", 3), net, images), features["second"][:, 3].mean((1, 2)))
    assert torch.allclose(score(activation("second"), net, images), features["second"].square().mean((1, 2, 3)))


def test_style_and_content_are_zero_at_the_goal_and_below_elsewhere(net):
    image, other = random_images(1, 12), random_images(1, 12, seed=1)
    for objective in (style(image, ["first", "second"]), content(image, "second")):
        assert score(objective, net, image).item() == pytest.approx(0, abs=1e-9)
        assert score(objective, net, other).item() < -1e-6


def test_style_is_minus_the_relative_squared_distance_of_gram_matrices(net):
    goal, image = random_images(1, 16, seed=1), random_images(1, 12)  # the style image may have another size
    terms = []
    for layer in ("first", "second"):
        found, wanted = (gram_matrix(net.features(x, [layer])[1][layer]) for x in (image, goal))
        terms.append((found - wanted).square().sum() / wanted.square().sum())
    assert score(style(goal, ["first", "second"]), net, image).item() == pytest.approx(-sum(terms).item() / 2)


def test_goals_of_a_batch_go_to_their_own_images_also_under_views(net):
    goals = random_images(2, 12)
    twice = torch.cat([goals, goals])
    assert score(content(goals, "second"), net, twice).tolist() == pytest.approx([0] * 4, abs=1e-9)
    assert content(goals, "second").members == 2


def test_layers_add_up(net):
    both = activation("first") + 0.5 * style(random_images(1, 12), ["second"]) - toward(0)
    assert both.layers == {"first", "second"}


@pytest.mark.parametrize(
    "objective",
    [
        activation("second"),
        activation("first", 2),
        -activation("second"),
        style(random_images(1, 12, seed=5), ["first", "second"]),
        content(random_images(1, 12, seed=6), "second"),
        toward(1) + style(random_images(1, 12, seed=5), ["first"]) + content(random_images(2, 12, seed=6), "second"),
    ],
    ids=lambda objective: None,
)
def test_ten_steps_raise_every_objective_for_every_image(net, objective):
    frames = list(optimize_pixels(net, random_images(2, 12), objective, step=sign_step(0.002), steps=10))
    assert (frames[-1].score > frames[0].score).all()


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda: activation("second", 8), "layer 'second' has no channel 8: the channels go from 0 to 7"),
        (lambda: activation("second", -1), "has no channel -1"),
        (lambda: style(random_images(1, 12), ["last"]), r"layer 'last' gives \(1, 5\): style needs"),
        (lambda: style(random_images(1, 12), "first"), "layers must be a list with at least one name, got 'first'"),
        (lambda: style(random_images(1, 12), []), "layers must be a list"),
        (lambda: content(2 * random_images(1, 12), "first"), r"the image of content must be in \[0, 1\]"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(net, objective, message):
    with pytest.raises(ValueError, match=message):
        optimize_pixels(net, random_images(1, 12), objective())


def test_content_of_another_size_says_what_to_do(net):
    frames = optimize_pixels(net, random_images(1, 12), content(random_images(1, 16), "first"))
    with pytest.raises(ValueError, match="load both images with the same size"):
        next(frames)
