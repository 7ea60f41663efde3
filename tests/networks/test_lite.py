"""Our EfficientNet-Lite is timm's, bit for bit."""

import pytest
import torch
from torch import nn

from fooling_utils.networks.pretrained import BUNDLED, build

timm = pytest.importorskip("timm", reason='timm is in the extra "dev"')


@pytest.fixture(scope="module", params=BUNDLED)
def both(request):
    """Our network and timm's, with the same weights."""
    ours, _ = build(request.param)
    theirs = timm.create_model(f"tf_{request.param}")
    theirs.load_state_dict(ours.state_dict())
    return ours.eval(), theirs.eval()


@pytest.mark.parametrize("sides", [(224, 224), (240, 240), (225, 127), (64, 33)])
def test_logits_and_gradients_are_equal(both, sides):
    images = torch.rand(2, 3, *sides, generator=torch.Generator().manual_seed(0))
    found = []
    for net in both:
        leaf = images.clone().requires_grad_()
        logits = net(leaf)
        with torch.no_grad():
            alone = net(images)
        found.append((logits.detach(), alone, *torch.autograd.grad(logits[:, 9].sum(), leaf)))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


def test_layers_have_the_same_names_and_order(both):
    named = [[name for name, module in net.named_modules() if not isinstance(module, nn.Identity)] for net in both]
    assert named[0] == named[1]
    assert len(named[0]) > 150


def test_weights_lie_in_memory_as_layers_expect(both):
    assert all(tensor.is_contiguous() for tensor in both[0].state_dict().values())
