"""The network as one ONNX file that answers with its logits and with the gradient of the image in one run."""

import contextlib
import copy
import importlib
import io
import logging
import os
import warnings

import numpy as np
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from ..arguments import file_path, instance
from ..files import replacing
from ..models import Classifier, load_model

INPUTS = ("image", "target", "of_logit")
OUTPUTS = ("logits", "gradient")


def export_network(path: str | os.PathLike, model: Classifier | None = None) -> None:
    """Write a network for one image, with its preprocessing and its gradient, as one ONNX file.

    model: the network; the course's own, `load_model()`, unless given.
    Its inputs are image (1, *input_shape) in the model's bounds, target (1, classes) and of_logit (1,). Its outputs are
    logits (1, classes) and gradient (1, *input_shape): that of `sum(target * log_softmax(logits))` if of_logit is 0,
    that of `sum(target * logits)` if it is 1. One target of 1 gives the gradient of a class, zeros give none.
    Raises ValueError unless the file's answers are those of the network, OSError if it cannot be written.
    """
    file_path(path=path)
    if model is not None:
        instance(Classifier, model=model)
    for name in ("onnx", "onnxscript", "onnxruntime"):
        importlib.import_module(name)  # a missing one ends it now
    model = load_model(device="cpu") if model is None else model
    content = _exported(model)
    check_network(content, model)
    with replacing(path) as file:
        file.write(content)


def check_network(content: bytes, model: Classifier) -> None:
    """Raise ValueError unless an ONNX file's logits and gradients are those of the network, for noise and targets.

    A ReLU whose input is within rounding of its kink may be on either side of it. This moves gradients by up to 1 %,
    torch's own in another memory layout, too; so all must be within 2 %, and the best ones within 0.001 %.
    """
    instance(bytes, content=content)
    instance(Classifier, model=model)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has kinds of its own
        raise ValueError(f"content is not an ONNX file that can be run: {error}") from error
    off = {name: [] for name in OUTPUTS}
    for given in _examples(model):
        expected = _logits_and_gradient(model, *given)
        found = session.run(OUTPUTS, {name: one.numpy() for name, one in zip(INPUTS, given, strict=True)})
        logits, gradient = (right.numpy() - answer for right, answer in zip(expected, found, strict=True))
        off["logits"].append(np.abs(logits).max())
        off["gradient"].append(np.linalg.norm(gradient) / expected[1].norm().item())
    for name, least, most in (("logits", 1e-4, 1e-4), ("gradient", 1e-5, 2e-2)):
        if not (min(off[name]) <= least and max(off[name]) <= most):
            raise ValueError(f"the exported network's {name} differ from the network's by {max(off[name]):.2g}")


def _examples(model: Classifier) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Eight images with a target each, half of them to climb the logit: [(image, target, of_logit), ...]"""
    low, high = model.bounds or (0, 1)
    images = low + (high - low) * torch.rand(8, 1, *model.input_shape, generator=torch.Generator().manual_seed(0))
    classes = len(model.labels)
    targets = torch.eye(classes)[torch.arange(8) * classes // 8, None]
    return list(zip(images, targets, torch.tensor([[0.0], [1.0]] * 4), strict=True))


def _logits_and_gradient(model: Classifier, image: Tensor, target: Tensor, of_logit: Tensor) -> tuple[Tensor, Tensor]:
    image = image.detach().requires_grad_()
    logits = model(image)
    climb = target - (1 - of_logit) * target.sum(1, keepdim=True) * logits.detach().softmax(1)
    (gradient,) = torch.autograd.grad(logits, image, climb)
    return logits.detach(), gradient


def _convolution(grad, image, weight, _bias, stride, padding, dilation, _transposed, _output_padding, groups, _mask):
    """The gradient of a convolution's input, as what ONNX has: a convolution where that is faster, or its transpose."""
    outs, ins, *kernel = weight.shape
    if {*stride, *dilation} != {1}:
        covered = [(grad.shape[2 + k] - 1) * stride[k] + (kernel[k] - 1) * dilation[k] + 1 for k in (0, 1)]
        left = [image.shape[2 + k] + 2 * padding[k] - covered[k] for k in (0, 1)]
        return torch.conv_transpose2d(grad, weight, None, stride, padding, left, groups, dilation), None, None
    weight = weight.view(groups, outs // groups, ins, *kernel).transpose(1, 2).reshape(groups * ins, -1, *kernel)
    if kernel != [1, 1]:
        weight = weight.flip(2, 3)
    edges = [kernel[k] - 1 - padding[k] for k in (0, 1)]
    more = [-min(0, edge) for edge in edges]  # where the padding is wider than the kernel
    grad = torch.conv2d(grad, weight, None, 1, [max(0, edge) for edge in edges], 1, groups)
    return grad[:, :, more[0] : grad.shape[2] - more[0], more[1] : grad.shape[3] - more[1]], None, None


def _clipped(grad, image, low, high):
    """The gradient of what ReLU6 clips, in two operations."""
    return torch.where(image == image.clamp(low, high), grad, 0.0)


def _exported(model: Classifier) -> bytes:
    given = _examples(model)[0]
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    model._layout = torch.contiguous_format  # pooling works in place in the other one, which ONNX does not know
    traced = make_fx(
        lambda *values: _logits_and_gradient(model, *values),
        decomposition_table={
            torch.ops.aten.convolution_backward.default: _convolution,
            torch.ops.aten.hardtanh_backward.default: _clipped,
        },
    )(*given)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            traced, given, input_names=list(INPUTS), output_names=list(OUTPUTS), dynamo=True, verbose=False
        )
    network = program.model_proto
    for one in [*network.graph.node, *network.graph.input, *network.graph.output, *network.graph.value_info]:
        del one.metadata_props[:]  # where each line of Python is on this computer
    return network.SerializeToString()


@contextlib.contextmanager
def _quiet():
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
