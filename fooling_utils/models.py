"""Networks to fool: frozen, with named classes, from pixels in [0, 1] to one logit per class."""

import difflib
import operator
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .arguments import (
    evaluating,
    flag,
    instance,
    interval,
    numbers,
    positive,
    several,
    shown,
    tensors,
    usable_device,
    warn,
    whole,
)
from .images import validate_images
from .networks.folding import copied, prepare_for_speed
from .networks.pretrained import build
from .networks.threads import share
from .objectives import Label, one_per_image

CHUNK = 16  # larger batches are slower per image on a CPU, and need more memory
NO_GRADIENT = (
    "the network has no gradient back to the image: its forward must not use no_grad(), .detach(), .data or numpy. "
    "Without gradients, use evolve(...)"
)
_HOOKS = threading.Lock()  # torch numbers hooks with a counter that two threads must not read at once


class LooksLikeProbabilities(UserWarning):
    """A network's outputs are never negative and add up to 1, although logits are expected."""


class Prediction(NamedTuple):
    """One line of a network's answer: the class, its probability and its index."""

    label: str
    probability: float
    index: int


class Classifier(nn.Module):
    """A frozen network that turns images in `bounds` into logits, and knows its classes by name.

    net: any `nn.Module` in eval mode, from (N, *input_shape) to logits (N, classes). It is copied, never changed.
    labels: one name per class; `None` names them "class 0", "class 1", ...
    input_shape: the shape of one image, (3, 224, 224) for ImageNet, (2,) for a point of the plane.
    bounds: the smallest and largest legal value of an image; `None` for no bounds.
    mean, std: numbers per channel, for a network that wants (image - mean) / std.
    share: use `net` itself instead of a frozen copy. It is not changed either; it must not be prepared.
    prepare: fold batch norms and use the fastest memory layout; the logits agree to 1e-4.
    Raises ValueError or TypeError for a network in training mode, if the numbers of outputs and labels differ, and for
    what is not such a network, with the code that makes it one. Probabilities in place of logits are warned of.
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
        share: bool = False,
    ):
        super().__init__()
        evaluating(net=net)
        several(input_shape=input_shape)
        for side in input_shape:
            whole(**{"each of input_shape": side})
        interval(bounds=bounds)
        flag(prepare=prepare, share=share)
        self.input_shape = tuple(map(int, input_shape))
        self.bounds = bounds
        with torch.inference_mode(False):  # so that gradients can pass also what is made inside it
            self._wrap(getattr(net, "_orig_mod", net), mean, std, prepare, share)  # compiled: the network itself
        if labels is not None:
            several(labels=labels)
            instance(str, **{"each of labels": next((one for one in labels if not isinstance(one, str)), "")})
        self.labels = tuple(labels) if labels is not None else tuple(f"class {i}" for i in range(self._classes))
        if self._classes != len(self.labels):
            raise ValueError(
                f"net returns an output of shape (1, {self._classes}) for one image, but there are "
                f"{len(self.labels)} labels: it must return (1, {len(self.labels)})"
            )

    def _wrap(self, net: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None, prepare, share) -> None:
        held = [*net.parameters(), *net.buffers()]
        if any(is_lazy(tensor) for tensor in held):
            raise ValueError(
                "net has lazy layers, whose weights are made at the first call: give it an image first, such as "
                f"net(torch.zeros{(1, *self.input_shape)})"
            )
        devices = {tensor.device for tensor in held} or {torch.get_default_device()}
        if len(devices) > 1 or next(iter(devices)).type == "meta":
            raise ValueError(
                f"net is on {' and '.join(sorted(map(str, devices)))}: it must be on one device that holds numbers, "
                "such as net.to('cpu')"
            )
        scale = torch.ones(()) if std is None else 1 / self._per_channel(std=std)
        shift = torch.zeros(()) if mean is None else -self._per_channel(mean=mean) * scale
        self.register_buffer("_scale", scale.to(*devices), persistent=False)
        self.register_buffer("_shift", shift.to(*devices), persistent=False)
        self._scales, self._copies = mean is not None or std is not None, False
        self._layout = torch.channels_last if prepare and len(self.input_shape) == 3 else torch.contiguous_format
        if share and not any(tensor.is_inference() for tensor in held):
            self.net = net
        else:
            self.net = copied(net)
            for parameter in self.net.parameters():
                parameter.requires_grad_(False)
        self.training = False
        low, high = self.bounds or (0, 1)
        two = torch.rand(2, *self.input_shape, generator=torch.Generator().manual_seed(0), device="cpu")
        two = (low + (high - low) * two).to(self.device)
        self._classes = self._probe(two)
        if self._layout == torch.channels_last:
            self.net = prepare_for_speed(self.net, self._scaled(two[:1].clone()))
            for module in self.net.modules():
                module.training = False

    def _per_channel(self, **values: Sequence[float]) -> Tensor:
        numbers(**values)
        ((name, value),) = values.items()
        if name == "std":
            for one in value:
                positive(**{"each of std": one})
        if len(self.input_shape) != 3 or len(value) not in (1, self.input_shape[0]):
            raise ValueError(
                f"{name} must have one number per channel of input_shape = {self.input_shape}, got {shown(value)}"
            )
        return torch.tensor([float(one) for one in value])[:, None, None]

    def _probe(self, two: Tensor) -> int:
        """The number of classes; or an error that says how to wrap what is not a network from images to logits."""
        kinds = {str(p.dtype)[6:] for p in self.net.parameters() if p.is_floating_point()} - {"float32"}
        single = f": images are float32, and its weights are {', '.join(sorted(kinds))}: use net.float()"
        try:
            with torch.no_grad():
                given = two.clone()
                found = self.net(self._scaled(given))
                # where it works in place, it must not work on the caller's image; .data leaves the version as it is
                self._copies = given._version > 0 or not torch.equal(given, two)
                alone = self.net(self._scaled(two[:1].clone()))
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # a network that does not fit raises anything
            why = single if kinds else f", such as input_shape={self.input_shape} says: {error}"
            raise ValueError(f"net cannot take images of shape {tuple(two.shape)}{why}") from error
        if not isinstance(found, Tensor):
            part = "[0]"
            if isinstance(found, dict) or hasattr(found, "keys"):
                keys = list(found)
                part = f"[{'logits' if 'logits' in keys else keys[0] if keys else 'logits'!r}]"
            elif hasattr(found, "logits"):
                part = ".logits"
            holds = isinstance(found, (tuple, list)) or part != "[0]"
            raise TypeError(
                f"net must return a tensor of logits (N, classes), got {type(found).__name__}: "
                + (_wrapped(f"self.net(images){part}") if holds else "return one from its forward(images)")
            )
        if found.dtype != torch.float32:
            raise TypeError(
                f"net must return logits in float32, got {str(found.dtype)[6:]}{single if kinds else ''}"
                + ("" if kinds else ": " + _wrapped("self.net(images).float()"))
            )
        one = (1, *found.shape[1:])
        if found.ndim > 2 and found[0, ..., :1].numel() == found.shape[1] == found[0].numel():
            raise ValueError(
                f"net returns an output of shape {one} for one image: use nn.Sequential(net, nn.Flatten())"
            )
        if found.shape[:1] != (2,):
            raise ValueError(
                f"net returns an output of shape {tuple(found.shape)} for 2 images, and it must return logits "
                "(2, classes): keep the first dimension, as images.flatten(1) does, or give it one image at a time: "
                + _wrapped("torch.stack([self.net(image).flatten() for image in images.split(1)])")
            )
        if found.shape in ((2,), (2, 1)):
            answer = "self.net(images)" if found.ndim == 2 else "self.net(images)[:, None]"
            raise ValueError(
                "net has one output for each image, but a classifier needs at least two classes. If the output is "
                "the logit of the second class: " + _wrapped(f"torch.cat([0 * {answer}, {answer}], 1)")
            )
        if found.ndim != 2 or not found.numel():
            way = (
                "for one answer instead of one per place, use nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten())"
                if found.ndim == 4
                else _wrapped("self.net(images).flatten(1)")
            )
            raise ValueError(
                f"net returns an output of shape {tuple(found.shape)} for 2 images, and it must return logits "
                f"(2, classes): {way}"
            )
        if not found.isfinite().any(1).all() or found.isnan().any():
            raise ValueError("net answers noise with NaN or infinite logits: its weights are damaged")
        # rounding differs with the size of a batch; a batch norm without statistics differs by much more
        most = 0.01 * (1 + found.nan_to_num(0, 0, 0).abs().max())
        if (found[:1] - alone).abs().max() > most:
            with torch.no_grad():
                again = self.net(self._scaled(two.clone()))
            if (found - again).abs().max() > most:
                raise ValueError(
                    "net answers differently each time it sees the same images, as a dropout does that is always on: "
                    "leave out what is random, such as with F.dropout(x, training=self.training), or draw it once"
                )
            raise ValueError(
                "net answers differently for an image alone and in a batch, as a batch norm without statistics does "
                "(track_running_stats=False): fold statistics into it, or give it one image at a time: "
                + _wrapped("torch.cat([self.net(image) for image in images.split(1)])")
            )
        if (found >= 0).all() and ((found.sum(1) - 1).abs() < 1e-4).all() and not torch.equal(*found):
            warn(
                "net returns numbers that add up to 1 and look like probabilities: logits are expected, and "
                "every probability shown would be wrong. Remove the softmax, or undo it: "
                + _wrapped("self.net(images).clamp_min(1e-30).log()"),
                LooksLikeProbabilities,
            )
        return found.shape[1]

    def _scaled(self, images: Tensor) -> Tensor:
        images = torch.addcmul(self._shift, images, self._scale) if self._scales else images
        images = images.clone() if self._copies and not self._scales else images
        return images.contiguous(memory_format=self._layout)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, classes) of images (N, *input_shape). ValueError for a size that the network cannot take."""
        share.adjust()
        try:
            return self.net(self._scaled(images))
        except torch.cuda.OutOfMemoryError as error:
            raise torch.cuda.OutOfMemoryError(
                f"the GPU has no memory left for {len(images)} images of shape {tuple(images.shape[1:])}: "
                "use fewer images at once, or load_model(device='cpu') and load_image(..., device='cpu')"
            ) from error
        except Exception as error:  # a network raises anything for an image that does not fit
            instance(Tensor, images=images)
            if tuple(images.shape[1:]) == self.input_shape:
                self._checked(images)
                raise
            raise ValueError(
                f"this network expects images of shape {self.input_shape} and cannot take "
                f"{tuple(images.shape[1:])}: use {self._way()}"
            ) from error

    def _checked(self, images: Tensor) -> None:
        validate_images(images, None, len(self.input_shape), "images")
        self._on_its_device(images, "images")

    def _on_its_device(self, images: Tensor, name: str) -> None:
        if images.device != self.device:
            raise ValueError(
                f"{name} is on {images.device} and the network on {self.device}: use {name}.to(model.device)"
            )

    def _way(self) -> str:
        """How to get images that fit."""
        if len(self.input_shape) != 3:
            return "that shape"
        channels, height, width = self.input_shape
        grey = ".mean(1, keepdim=True)" if channels == 1 else ""
        if height == width:
            return f"load_image(..., size={width}){grey}"
        return f"torch.nn.functional.interpolate(image, ({height}, {width}), mode='bilinear', antialias=True){grey}"

    @property
    def input_size(self) -> int:
        """The height and width, in pixels, of the images that the network was trained on."""
        return self.input_shape[-1]

    @property
    def device(self) -> torch.device:
        """The device of the network; images must be on it, too."""
        return self._scale.device

    def validate(self, images: Tensor, name: str = "image") -> None:
        """Raise unless `images` is a legal batch for this network: (N, *input_shape), or another height and width."""
        validate_images(images, self.bounds, len(self.input_shape), name)
        if images.shape[1] != self.input_shape[0]:
            grey = len(self.input_shape) == 3 and self.input_shape[0] == 1 and images.shape[1] == 3
            raise ValueError(
                f"{name} has shape {tuple(images.shape)}: this network expects (N, "
                f"{', '.join(map(str, self.input_shape))}){f': use {name}.mean(1, keepdim=True)' if grey else ''}"
            )
        self._on_its_device(images, name)
        if any(getattr(module, "training", False) for module in self.modules()):
            raise ValueError(
                "the network is in training mode, where its output changes from call to call: call model.eval() first"
            )

    def clip(self, images: Tensor) -> Tensor:
        """The images (N, *input_shape) with every value moved into `bounds`, if there are any."""
        tensors(images=images)
        return images.clamp(*self.bounds) if self.bounds else images

    def index(self, label: str | int) -> int:
        """The index of a class, given by its exact name, by its name in any case, or by the index itself."""
        if isinstance(label, str):
            return self._index_of_name(label)
        try:
            index = None if "bool" in str(getattr(label, "dtype", type(label))) else operator.index(label)
        except (TypeError, RuntimeError, NotImplementedError):
            index = None
        if index is None or getattr(label, "ndim", 0):
            raise TypeError(f"a class must be a name or an index, got {shown(label)}")
        if not 0 <= index < len(self.labels):
            raise ValueError(f"there is no class {shown(index)}: the indices go from 0 to {len(self.labels) - 1}")
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

    def indices(self, labels: Label | Sequence[Label], count: int | None = None) -> Tensor:
        """The indices of the classes that `labels` names: one class for all `count` images, or one per image.

        Without `count`, there is one index per name. Raises ValueError if the numbers of names and images differ.
        """
        if count is not None:
            whole(count=count)
        if getattr(labels, "ndim", 0) > 1 or getattr(getattr(labels, "device", None), "type", "") == "meta":
            raise ValueError(f"labels must be one class, or a list (N,) of them, got {shown(labels)}: use .flatten()")
        each = one_per_image(labels)
        if each and not len(labels):
            raise ValueError(f"labels is empty, got {shown(labels)}: name one class, or one per image")
        if each and count is not None and len(labels) != count:
            raise ValueError(f"{len(labels)} classes are named for {count} images: name one class, or one per image")
        if isinstance(labels, (Tensor, np.ndarray)) and each:
            if getattr(labels, "layout", torch.strided) != torch.strided:
                raise TypeError("labels is a sparse tensor: use labels.to_dense()")
            labels = labels.tolist()
        named = list(labels) if each else [labels] * (count or 1)
        with torch.inference_mode(False):  # a gradient may pass by them
            return torch.tensor([self.index(label) for label in named], device=self.device)

    def aim(self, images: Tensor, target: Label | Sequence[Label] | None) -> tuple[Tensor, int]:
        """The goal of an attack on images (N, ...): a class for each image (N,), and 1 to reach it or -1 to leave it.

        target: a class, or one per image; `None` to leave the class that each image has now.
        Raises ValueError for an image that is already of its target class.
        """
        now = self.probabilities(images).argmax(1)
        if target is None:
            return now, -1
        goals = self.indices(target, len(images))
        for i in (goals == now).nonzero()[:, 0].tolist():
            raise ValueError(f"image {i} is already {self.labels[now[i]]!r}: choose another target")
        return goals, 1

    def features(self, images: Tensor, layers: Collection[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits of images (N, *input_shape), and the outputs of the named layers, each (N, ...).

        layers: names from `layers()`. The hooks are removed when this returns or raises.
        """
        if isinstance(layers, str) or not isinstance(layers, Collection) or hasattr(layers, "shape"):
            raise TypeError(f"layers must be a list of names from model.layers(), got {shown(layers)}")
        instance(str, **{"each of layers": next((one for one in layers if not isinstance(one, str)), "")})
        self._checked(images)
        return self.answers(images, layers)

    def answers(self, images: Tensor, layers: Collection[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """`features` without its checks, for a loop."""
        if not layers:
            return on_each_chunk(self, images), {}
        with self._listening(layers) as outputs:
            logits = on_each_chunk(self, images)
        return logits, {name: torch.cat(parts) for name, parts in outputs.items()}

    @contextmanager
    def _listening(self, layers: Iterable[str]) -> Iterator[dict[str, list]]:
        """Collect the outputs of the named layers, call by call, while the block runs; of this thread's calls only."""
        outputs: dict[str, list] = {name: [] for name in layers}
        me = threading.get_ident()
        with ExitStack() as hooks:
            for name, calls in outputs.items():

                def hear(_module, _input, output, calls=calls) -> None:
                    if threading.get_ident() == me:
                        # a copy, since the next layer may work in place
                        calls.append(output.clone() if isinstance(output, Tensor) else output)

                try:
                    part = self.net.get_submodule(name)
                except (AttributeError, TypeError) as error:
                    raise ValueError(f"no layer is called {shown(name)}: model.layers() lists them all") from error
                with _HOOKS:
                    hook = part.register_forward_hook(hear)
                hooks.callback(hook.remove)
            yield outputs

    def layers(self) -> dict[str, tuple[int, ...]]:
        """The layers that can be named, in the order of the network, each with the shape of its output.

        The shapes are for one image of `input_shape`. Layers that are used more than once are left out.
        """
        silent = (nn.Identity, torch.jit.ScriptModule)  # nothing can listen inside TorchScript
        names = [name for name, module in self.net.named_modules() if name and not isinstance(module, silent)]
        if not names:
            return {}
        with self._listening(names) as outputs, torch.no_grad():
            self(torch.zeros(1, *self.input_shape, device=self.device))
        once = [(name, calls[0]) for name, calls in outputs.items() if len(calls) == 1]
        return {name: tuple(output.shape) for name, output in once if isinstance(output, Tensor)}

    def shapes_of(self, layers: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """The shapes of some layers' outputs for one image; ValueError for a layer that is not in `layers()`."""
        several(layers=layers)
        shapes = self.layers()
        for layer in layers:
            instance(str, **{"each of layers": layer})
            if not shapes:
                raise ValueError(f"no layer is called {layer!r}: this network has no layers that can be named")
            if layer not in shapes:
                near = difflib.get_close_matches(str(layer), shapes, n=3) or list(shapes)[:3]
                hint = f"did you mean {' or '.join(map(repr, near))}?"
                raise ValueError(f"no layer is called {layer!r}: {hint} model.layers() lists them all")
        return {layer: shapes[layer] for layer in layers}

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of every class, (N, classes), without gradients and in chunks that fit a laptop."""
        self.validate(images)
        with torch.no_grad():
            found = on_each_chunk(self, images).softmax(1)
        if found.isnan().any():
            bad = found.isnan().any(1).nonzero()[:, 0].tolist()
            raise FloatingPointError(
                f"the network's logits are NaN or infinite for image {', '.join(map(str, bad[:9]))}"
            )
        return found

    def top(self, image: Tensor, k: int = 5) -> list[Prediction]:
        """The k most probable classes of one image (1, *input_shape), most probable first."""
        self.validate(image)
        if len(image) != 1:
            raise ValueError(
                f"top takes one image, got {len(image)}: use image[i : i + 1], "
                "or model.probabilities(images) for all of them"
            )
        return self.best(self.probabilities(image)[0], k)

    def best(self, probabilities: Tensor, k: int = 5) -> list[Prediction]:
        """The k largest of the probabilities (classes,) of one image, largest first."""
        whole(k=k)
        tensors(probabilities=probabilities)
        if tuple(probabilities.shape) != (len(self.labels),):
            raise ValueError(
                f"probabilities must be those of one image, ({len(self.labels)},), got {shown(probabilities)}: "
                "use model.probabilities(image)[0]"
            )
        values, indices = probabilities.detach().topk(min(k, len(self.labels)))
        return [Prediction(self.labels[i], p, i) for p, i in zip(values.tolist(), indices.tolist(), strict=True)]


def load_model(
    name: str = "efficientnet_lite0", *, device: str | torch.device | None = None, prepare: bool = True
) -> Classifier:
    """An ImageNet classifier, frozen and ready, from pixels in [0, 1] to 1000 logits.

    name: "efficientnet_lite0" or "efficientnet_lite1", whose weights are installed with the course, or any torchvision
        classifier, such as "alexnet", whose weights are downloaded on first use.
    device: where it runs; by default a CUDA GPU if there is one, else the CPU.
    prepare: make it fast (see `Classifier`).
    Raises ValueError for an unknown name or an altered weights file, FileNotFoundError for a missing weights file,
    ConnectionError if a download is needed and fails.
    Source: M. Tan and Q. Le, EfficientNet, arXiv 1905.11946; the Lite weights are TensorFlow's, Apache-2.0.
    """
    device = usable_device(device)
    flag(prepare=prepare)
    net, settings = build(name)
    try:
        net = net.eval().to(device)
    except torch.cuda.OutOfMemoryError as error:
        raise torch.cuda.OutOfMemoryError(
            f"the GPU has no memory left for {name!r}: close other notebooks, or use load_model(device='cpu')"
        ) from error
    return Classifier(net, **settings, prepare=prepare)


def _wrapped(answer: str) -> str:
    """The code of a network whose answer is that of another, in other words."""
    return (
        "wrap it as Wrapped(net).eval(), with `class Wrapped(nn.Module):\n"
        "    def __init__(self, net):\n        super().__init__()\n        self.net = net\n"
        f"    def forward(self, images):\n        return {answer}`"
    )


def as_classifier(
    net: nn.Module, images: Tensor, bounds: tuple[float, float] | None = None, name: str = "images"
) -> Classifier:
    """`net` itself if it is a `Classifier`, else one that shares it, for images (N, ...); the images are checked, too.

    bounds: the legal range, for a plain network.
    """
    if not isinstance(net, Classifier):
        evaluating(net=net)
        validate_images(images, bounds, dimensions=max(getattr(images, "ndim", 4) - 1, 1), name=name)
        with images.device:  # a network without weights of its own computes wherever its images are
            net = Classifier(net, None, images.shape[1:], bounds, prepare=False, share=True)
    net.validate(images, name)
    return net


def on_each_chunk(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply `function` to at most 16 images at a time and join the results, which is faster and needs less memory.

    Small members, such as points in a plane, are processed in larger chunks of up to 1024 numbers.
    """
    count = max(CHUNK, 1024 // max(images[:1].numel(), 1))
    if len(images) <= count:
        return function(images)
    return torch.cat([function(chunk) for chunk in images.split(count)])
