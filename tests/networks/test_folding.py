"""A network prepared for speed: the same logits without batch norms, or the network as it was."""

import pytest
import torch
import torchvision
from torch import nn

from fooling_utils import Classifier, load_image, load_model, logit, optimize_pixels
from fooling_utils.networks.folding import prepare_for_speed
from nets import ConvNorm, fingerprint, random_images, randomise_norms


def batch_norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def random_torchvision(name: str) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.get_model(name, weights=None)
    return randomise_norms(net).eval()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1"])
def test_the_prepared_network_gives_the_same_logits_without_batch_norms(name):
    prepared, plain = load_model(name), load_model(name, prepare=False)
    image = load_image("palace", prepared.input_size)
    assert batch_norms(plain) == 49 if name.endswith("0") else batch_norms(plain) > 49
    assert batch_norms(prepared) == 0
    assert torch.allclose(prepared(image), plain(image), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18"])
def test_a_torchvision_network_is_prepared_without_a_change_of_its_logits(name):
    net = random_torchvision(name)
    images = random_images(2, 64)
    prepared = Classifier(net, input_shape=(3, 64, 64))
    assert batch_norms(net) > 0
    assert batch_norms(prepared) == 0
    expected = net(images)
    assert torch.allclose(prepared(images), expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


def test_the_gradient_of_the_prepared_network_is_the_same():
    net = ConvNorm().eval()
    gradients = []
    for prepare in (True, False):
        image = random_images(1, 16).requires_grad_()
        score = Classifier(net, input_shape=(3, 16, 16), prepare=prepare)(image)[0, 1]
        gradients.append(torch.autograd.grad(score, image)[0])
    assert gradients[1].abs().max() > 0
    assert torch.allclose(*gradients, atol=1e-6)


def test_layers_keep_their_names_when_prepared(model):
    plain = dict(load_model(prepare=False).net.named_modules())
    norms = {name for name, module in plain.items() if isinstance(module, nn.BatchNorm2d)}
    # a batch norm's own parts go, since its activation takes its place
    expected = [name for name in plain if name.rpartition(".")[0] not in norms]
    assert len(expected) > 100
    assert [name for name, _ in model.net.named_modules()] == expected


class DependsOnData(ConvNorm):
    def forward(self, images):
        return super().forward(images if images.mean() > 0 else -images)


def test_a_folded_network_may_be_asked_and_climbed():
    wrapped = Classifier(ConvNorm().eval(), input_shape=(3, 16, 16))
    frames = list(optimize_pixels(wrapped, random_images(1, 16), logit(1), steps=3))
    assert batch_norms(wrapped) == 0
    assert frames[-1].score > frames[0].score


def assert_used_as_it_is(net, warning):
    with pytest.warns(UserWarning, match=warning):
        wrapped = Classifier(net, input_shape=(3, 16, 16))
    image = random_images(1, 16)
    assert batch_norms(wrapped) == 2
    assert torch.allclose(wrapped(image), net(image), atol=1e-6)


def test_a_network_that_cannot_be_traced_is_used_as_it_is_with_a_warning():
    assert_used_as_it_is(DependsOnData().eval(), "batch norms were not folded, so the network is slower")


class WithoutNorms(nn.Module):
    def forward(self, images):
        return images.mean((2, 3)) if images.mean() > 0 else -images.mean((2, 3))


def test_a_network_without_batch_norms_is_wrapped_without_a_warning(recwarn):
    Classifier(WithoutNorms().eval(), input_shape=(3, 16, 16))
    assert not recwarn.list


def test_a_wrong_fold_is_noticed_and_not_used(monkeypatch):
    def fold_wrongly(net, convolution_name, norm_name):
        parent, _, name = norm_name.rpartition(".")
        setattr(net.get_submodule(parent), name, nn.Identity())

    monkeypatch.setattr("fooling_utils.networks.folding._fold", fold_wrongly)
    assert_used_as_it_is(ConvNorm().eval(), "the prepared network gives different logits, so it is not used")


class OneNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        randomise_norms(self)


class SharedConvolution(OneNorm):
    """One convolution, called twice with a batch norm after one of the calls: it must not be folded."""

    def forward(self, images):
        return self.convolution(self.norm(self.convolution(images))).mean((2, 3))


class NormBesideSomethingElse(OneNorm):
    """The convolution's output is used beside the batch norm as well: it must not be folded."""

    def forward(self, images):
        features = self.convolution(images)
        return (self.norm(features) + features).mean((2, 3))


@pytest.mark.parametrize("kind", [SharedConvolution, NormBesideSomethingElse])
def test_a_batch_norm_is_left_where_folding_would_change_something_else(kind, recwarn):
    net = kind().eval()
    image = random_images(1, 16)
    prepared = prepare_for_speed(net, image)
    assert batch_norms(prepared) == 1
    assert torch.allclose(prepared(image), net(image), atol=1e-5)
    assert not recwarn.list, "it was found by looking at the graph, not by the check afterwards"


def test_preparing_leaves_the_network_that_was_given_alone():
    net = ConvNorm().eval()
    before = fingerprint(net)
    Classifier(net, input_shape=(3, 16, 16))
    assert fingerprint(net) == before
    assert batch_norms(net) == 2
    assert all(parameter.requires_grad for parameter in net.parameters())
