"""Transforms in front of a network, each with the view that an attack takes."""

import pytest
import torch

from fooling_utils import Classifier, pgd
from fooling_utils.defences.transforms import DEFENCES, behind, probabilities_behind
from fooling_utils.views import blurred, quantised, straight_through
from nets import ConvNorm, Linear, generator, random_images

SHAPE = (3, 16, 16)

NUMBERS = 768


RANDOM = "random size"

DETERMINISTIC = [name for name in DEFENCES if name != RANDOM]


@pytest.fixture(scope="module")
def curved() -> Classifier:
    """A network with convolutions, whose answers depend on details."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = ConvNorm()
    net.last.weight.data.mul_(10)
    return Classifier(net.eval(), list("abcde"), SHAPE, prepare=False)


# the defences


@pytest.mark.parametrize("name", DEFENCES)
def test_a_defence_gives_images_of_the_same_shape_and_range_and_modifies_nothing(name):
    images = random_images(3, 16, low=0, high=1)
    state = torch.get_rng_state()
    seen = DEFENCES[name][0](images, generator())
    assert seen.shape == images.shape and seen.dtype == images.dtype
    assert seen.min() >= -1e-6 and seen.max() <= 1 + 1e-6
    assert not torch.allclose(seen, images, atol=0.01)
    assert torch.equal(images, random_images(3, 16, low=0, high=1))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_view_of_a_defence_does_what_it_does_and_has_a_gradient(name):
    defence, view = DEFENCES[name]
    images = random_images(3, 16, low=0, high=1)
    assert torch.allclose(view(images, generator()), defence(images, generator(5)), atol=1e-6)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(view(leaf, generator()).sum(), leaf)
    assert gradient.mean().item() == pytest.approx(1, abs=0.05)


def test_the_random_defence_draws_once_and_its_view_several_times():
    defence, view = DEFENCES[RANDOM]
    images = random_images(3, 16, low=0, high=1)
    assert not torch.equal(defence(images, generator(1)), defence(images, generator(2)))
    assert torch.equal(defence(images, generator(1)), defence(images, generator(1)))
    several = view(images, generator(1)).split(3)
    assert len(several) == 4
    assert not torch.allclose(several[0], several[1], atol=0.01)
    assert torch.allclose(several[0], defence(images, generator(1)), atol=1e-5)
    rows = torch.linspace(0, 1, 16).view(1, 1, 16, 1).expand(1, 3, 16, 16)
    inside = defence(rows, generator(1))[..., 6:10]
    assert inside.std(3).max() < 1e-5, "it moves and scales, and does not turn"


# the network behind a defence


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_behind_a_defence_the_network_sees_what_the_defence_gives(curved, name):
    images = random_images(3, 16, low=0, high=1)
    defended = behind(curved, DEFENCES[name][0])
    expected = curved(DEFENCES[name][0](images, generator()))
    assert torch.allclose(defended(images), expected, atol=1e-5)
    assert not torch.allclose(defended(images), curved(images), atol=1e-3)
    assert isinstance(defended, Classifier) and not defended.training
    assert defended.labels == tuple("abcde") and defended.input_shape == SHAPE and defended.bounds == (0, 1)
    defended.validate(images)
    assert torch.equal(images, random_images(3, 16, low=0, high=1))


def test_a_random_defence_in_front_draws_the_same_at_every_call_and_by_its_seed(curved):
    images, defence = random_images(3, 16, low=0, high=1), DEFENCES[RANDOM][0]
    defended = behind(curved, defence)
    assert torch.equal(defended(images), defended(images))
    assert torch.allclose(defended(images), curved(defence(images, generator(0))), atol=1e-5)
    assert torch.allclose(behind(curved, defence, seed=7)(images), curved(defence(images, generator(7))), atol=1e-5)
    assert not torch.allclose(behind(curved, defence, seed=7)(images), defended(images), atol=1e-3)


def test_the_defence_stands_before_the_mean_and_the_scale_of_the_network():
    net, images = Linear(torch.randn(2, NUMBERS, generator=generator())).eval(), random_images(3, 16)
    scaled = Classifier(net, None, SHAPE, mean=[0.5] * 3, std=[0.1] * 3, prepare=False)
    expected = net((quantised(2)(images, generator()) - 0.5) / 0.1)
    assert torch.allclose(behind(scaled, quantised(2))(images), expected, atol=1e-3)


def test_what_has_a_gradient_can_be_attacked_through_its_front_and_what_has_none_stays(curved):
    images = random_images(3, 16)
    for defence, moves in ((blurred(0.8), True), (straight_through(quantised(8)), True), (quantised(8), False)):
        found = pgd(behind(curved, defence), images, 0.05, steps=3)
        assert torch.equal(found, images) != moves


def test_answers_are_probabilities_for_each_draw(curved):
    images = random_images(2, 16, low=0, high=1)
    for name in DEFENCES:
        found = probabilities_behind(curved, DEFENCES[name][0], images, draws=3)
        assert found.shape == (3, 2, 5)
        assert torch.allclose(found.sum(2), torch.ones(3, 2), atol=1e-5)
        assert torch.equal(found[0], found[1]) == (name != RANDOM)
    assert probabilities_behind(curved, blurred(), images).shape == (1, 2, 5)
    assert torch.equal(images, random_images(2, 16, low=0, high=1))
    expected = behind(curved, blurred()).probabilities(images)
    assert torch.allclose(probabilities_behind(curved, blurred(), images)[0], expected, atol=1e-5)


def test_the_draws_of_an_answer_come_from_its_seed(curved):
    images, defence = random_images(2, 16, low=0, high=1), DEFENCES[RANDOM][0]
    found = probabilities_behind(curved, defence, images, draws=3)
    assert torch.equal(probabilities_behind(curved, defence, images, draws=3), found)
    assert not torch.allclose(probabilities_behind(curved, defence, images, draws=3, seed=1), found, atol=1e-3)
    assert torch.allclose(found[0], behind(curved, defence).probabilities(images), atol=1e-5)
    assert not torch.allclose(found[1], found[2], atol=1e-4)
