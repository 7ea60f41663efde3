"""The same network, faster: batch norms folded into convolutions, and the fastest memory layout."""

import copy
import warnings

import torch
from torch import Tensor, nn


def copied(net: nn.Module) -> nn.Module:
    """A copy of a network with weights of its own; ValueError for one that holds what cannot be copied."""
    try:
        with torch.no_grad():  # TorchScript copies its weights with their history
            return copy.deepcopy(net)
    except Exception as error:  # as many kinds as there are things that cannot be copied
        raise ValueError(
            f"net cannot be copied, since it holds something that cannot, such as a lock or a result of an earlier "
            f"call ({error}): remove it, or use Classifier(net, ..., prepare=False, share=True)"
        ) from error


def prepare_for_speed(net: nn.Module, example: Tensor) -> nn.Module:
    """A faster copy of a frozen network with the same layers and, to 1e-4, the same logits; or `net` if that fails.

    Batch norms are folded into the convolutions before them, and tensors are laid out channels last.
    """
    fast = copied(net).to(memory_format=torch.channels_last)
    try:
        for convolution, norm in _foldable_pairs(fast):
            _fold(fast, convolution, norm)
    except Exception as error:  # torch.fx raises many kinds of error for control flow that depends on the input
        warnings.warn(f"batch norms were not folded, so the network is slower: {error}", stacklevel=3)
        fast = copied(net).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected, found = net(example), fast(example)
    if not torch.allclose(expected, found, rtol=1e-4, atol=1e-4):
        warnings.warn("the prepared network gives different logits, so it is not used", stacklevel=3)
        return net
    return fast


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (nn.Conv2d, nn.BatchNorm2d)) or super().is_leaf_module(module, name)


def _foldable_pairs(net: nn.Module) -> list[tuple[str, str]]:
    modules = dict(net.named_modules())
    if not any(isinstance(module, nn.BatchNorm2d) for module in modules.values()):
        return []
    nodes = [node for node in _Tracer().trace(net).nodes if node.op == "call_module"]
    calls = [node.target for node in nodes]

    def folds(node: torch.fx.Node) -> bool:
        before = node.args[0] if node.args else None
        return (
            isinstance(modules[node.target], nn.BatchNorm2d)
            and modules[node.target].running_mean is not None
            and isinstance(before, torch.fx.Node)
            and before.op == "call_module"
            and isinstance(modules[before.target], nn.Conv2d)
            and len(before.users) == 1
            and calls.count(before.target) == calls.count(node.target) == 1
        )

    return [(node.args[0].target, node.target) for node in nodes if folds(node)]


def _fold(net: nn.Module, convolution_name: str, norm_name: str) -> None:
    convolution, norm = net.get_submodule(convolution_name), net.get_submodule(norm_name)
    weight, bias = torch.nn.utils.fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = weight.requires_grad_(False), bias.requires_grad_(False)
    parent, _, name = norm_name.rpartition(".")
    # timm's batch norms, and ours, carry the activation that follows them
    setattr(net.get_submodule(parent), name, getattr(norm, "act", nn.Identity()))
