"""Networks to fool: frozen, with named classes, from pixels in [0, 1] to one logit per class."""

import copy
import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .images import default_device, validate_images
from .networks.folding import prepare_for_speed
from .networks.pretrained import build
from .objectives import Label, one_per_image

CHUNK = 16  # larger batches are slower per image on a CPU, and need more memory


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
    Raises ValueError for a network in training mode, or if the numbers of outputs and labels differ.
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
        if net.training:
            raise ValueError(
                "net is in training mode, where its output changes from call to call: call net.eval() first"
            )
        self.input_shape = tuple(input_shape)
        self.bounds = bounds
        scale = torch.ones(()) if std is None else 1 / torch.tensor(std)[:, None, None]
        shift = torch.zeros(()) if mean is None else -torch.tensor(mean)[:, None, None] * scale
        self.register_buffer("_scale", scale, persistent=False)
        self.register_buffer("_shift", shift, persistent=False)
        self._scales = mean is not None or std is not None
        self._layout = torch.channels_last if prepare and len(self.input_shape) == 3 else torch.contiguous_format
        self.net = net if share else copy.deepcopy(net).requires_grad_(False)
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
                f"net returns an output of shape {tuple(outputs)} for one image, but there are "
                f"{len(self.labels)} labels: it must return (1, {len(self.labels)})"
            )

    def _scaled(self, images: Tensor) -> Tensor:
        images = torch.addcmul(self._shift, images, self._scale) if self._scales else images
        return images.contiguous(memory_format=self._layout)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, classes) of images (N, *input_shape). ValueError for a size that the network cannot take."""
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
            way = f"load_image(..., size={self.input_size})" if len(self.input_shape) == 3 else "that shape"
            raise ValueError(
                f"this network expects images of shape {self.input_shape} and cannot take "
                f"{tuple(images.shape[1:])}: use {way}"
            ) from error

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
                "the network is in training mode, where its output changes from call to call: call model.eval() first"
            )

    def clip(self, images: Tensor) -> Tensor:
        """The images (N, *input_shape) with every value moved into `bounds`, if there are any."""
        return images.clamp(*self.bounds) if self.bounds else images

    def index(self, label: str | int) -> int:
        """The index of a class, given by its exact name, by its name in any case, or by the index itself."""
        if isinstance(label, str):
            return self._index_of_name(label)
        if isinstance(label, bool) or not hasattr(label, "__index__"):
            raise TypeError(f"a class must be a name or an index, got {label!r}")
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

    def indices(self, labels: Label | Sequence[Label], count: int | None = None) -> Tensor:
        """The indices of the classes that `labels` names: one class for all `count` images, or one per image.

        Without `count`, there is one index per name. Raises ValueError if the numbers of names and images differ.
        """
        named = list(labels) if one_per_image(labels) else [labels] * (count or 1)
        if count is not None and len(named) != count:
            raise ValueError(f"{len(named)} classes are named for {count} images: name one class, or one per image")
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

    def features(self, images: Tensor, layers: Iterable[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits of images (N, *input_shape), and the outputs of the named layers, each (N, ...).

        layers: names from `layers()`. The hooks are removed when this returns or raises.
        """
        with self._listening(layers) as outputs:
            logits = on_each_chunk(self, images)
        return logits, {name: torch.cat(parts) for name, parts in outputs.items()}

    @contextmanager
    def _listening(self, layers: Iterable[str]) -> Iterator[dict[str, list]]:
        """Collect the outputs of the named layers, call by call, while the block runs."""
        outputs: dict[str, list] = {name: [] for name in layers}
        with ExitStack() as hooks:
            for name, calls in outputs.items():

                def hear(_module, _input, output, calls=calls) -> None:
                    # a copy, since the next layer may work in place
                    calls.append(output.clone() if isinstance(output, Tensor) else output)

                hooks.callback(self.net.get_submodule(name).register_forward_hook(hear).remove)
            yield outputs

    def layers(self) -> dict[str, tuple[int, ...]]:
        """The layers that can be named, in the order of the network, each with the shape of its output.

        The shapes are for one image of `input_shape`. Layers that are used more than once are left out.
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
        """The probability of every class, (N, classes), without gradients and in chunks that fit a laptop."""
        self.validate(images)
        with torch.no_grad():
            return on_each_chunk(self, images).softmax(1)

    def top(self, image: Tensor, k: int = 5) -> list[Prediction]:
        """The k most probable classes of one image (1, *input_shape), most probable first."""
        if len(image) != 1:
            raise ValueError(
                f"top takes one image, got {len(image)}: use image[i : i + 1], "
                "or model.probabilities(images) for all of them"
            )
        return self.best(self.probabilities(image)[0], k)

    def best(self, probabilities: Tensor, k: int = 5) -> list[Prediction]:
        """The k largest of the probabilities (classes,) of one image, largest first."""
        values, indices = probabilities.topk(min(k, len(self.labels)))
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
    net, settings = build(name)
    try:
        net = net.eval().to(device or default_device())
    except torch.cuda.OutOfMemoryError as error:
        raise torch.cuda.OutOfMemoryError(
            f"the GPU has no memory left for {name!r}: close other notebooks, or use load_model(device='cpu')"
        ) from error
    return Classifier(net, **settings, prepare=prepare)


def on_each_chunk(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply `function` to at most 16 images at a time and join the results, which is faster and needs less memory.

    Small members, such as points in a plane, are processed in larger chunks of up to 1024 numbers.
    """
    count = max(CHUNK, 1024 // max(images[:1].numel(), 1))
    if len(images) <= count:
        return function(images)
    return torch.cat([function(chunk) for chunk in images.split(count)])
