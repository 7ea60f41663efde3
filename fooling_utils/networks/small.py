"""Small networks that train in seconds, for points in the plane and for handwritten digits of 8 x 8 pixels.

`fit` trains all of them, on images that are clean, attacked or noisy. To attack the result, make a `frozen` copy.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as counted
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import data
from ..arguments import (
    affordable,
    between,
    file_path,
    function,
    instance,
    interval,
    one_of,
    positive,
    seeded,
    several,
    tensors,
    whole,
)
from ..constraints import l2_ball
from ..files import replacing
from ..models import Classifier
from ..objectives import away_from
from ..optimize import last, optimize_pixels
from ..steps import unit_step
from .folding import copied

PRESETS = ("blobs", "moons", "rings", "spiral")
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
ROBUST_EPSILON, ROBUST_EPOCHS = 0.75, 40  # how the stored network was trained

Shown = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


class Kind(NamedTuple):
    """What a small network looks at: the possible class names, the shape of one image, and its legal range."""

    labels: tuple[str, ...]
    input_shape: tuple[int, ...]
    bounds: tuple[float, float] | None


POINTS = Kind(("cheetah", "robin", "armadillo"), (2,), None)
DIGITS = Kind((*"0123456789", "rubbish"), (1, 8, 8), (0.0, 1.0))


class Points(NamedTuple):
    """Training points in the plane: where they are, (N, 2), and their classes, (N,), whole numbers from 0."""

    places: Tensor
    labels: Tensor


def plane_points(preset: str = "blobs", count: int = 30, classes: int = 3, seed: int = 0) -> Points:
    """Points in the square from -1 to 1, `count` per class: "blobs", "moons" (two classes), "rings" or "spiral"."""
    one_of(PRESETS, preset=preset)
    whole(2, len(POINTS.labels), classes=classes)
    whole(count=count)
    affordable(100 * int(count), f"count = {count} points per class")
    count, generator = int(count), seeded(seed)
    classes = 2 if preset == "moons" else int(classes)
    labels = torch.arange(classes).repeat_interleave(count)
    along = torch.linspace(0, 1, count).repeat(classes)
    turn = 2 * torch.pi * labels / classes
    noise = torch.randn(len(labels), 2, generator=generator)
    if preset == "blobs":
        places = 0.6 * _circle(turn + torch.pi / 2) + 0.15 * noise
    elif preset == "moons":
        places = 0.6 * _circle(torch.pi * (along + labels)) + torch.stack([0.6 * labels - 0.3, 0.3 * labels - 0.15], 1)
        places = places + 0.05 * noise
    elif preset == "rings":
        radius = 0.15 + 0.7 * labels / (classes - 1)
        places = radius[:, None] * _circle(2 * torch.pi * along) + 0.04 * noise
    else:
        places = (0.08 + 0.82 * along)[:, None] * _circle(turn + 4.5 * along) + 0.02 * noise
    return Points(places, labels)


def empty_places(count: int, edge: float, taken: Tensor, gap: float, generator: torch.Generator) -> Tensor:
    """At most `count` random places (N, 2) in the square from -edge to edge, each at least `gap` from those taken."""
    whole(0, 10_000, count=count)
    between(0, 1000, edge=edge, gap=gap)
    instance(Tensor, taken=taken)
    if taken.numel():
        tensors(taken=taken)
    if taken.ndim != 2 or taken.shape[1] != 2:
        raise ValueError(f"taken must be places (N, 2), got {tuple(taken.shape)}")
    instance(torch.Generator, generator=generator)
    found = edge * (2 * torch.rand(200 * int(count), 2, generator=generator) - 1)
    return found[(torch.cdist(found, taken) >= gap).all(1)][: int(count)]


def _circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def plane_net(
    hidden: int = 32, depth: int = 2, activation: str = "relu", *, classes: int = 3, seed: int = 0
) -> nn.Sequential:
    """A network from points (N, 2) to logits (N, classes), with `depth` layers of `hidden` units; untrained."""
    one_of(ACTIVATIONS, activation=activation)
    whole(hidden=hidden, depth=depth, classes=classes)
    hidden, depth, classes = int(hidden), int(depth), int(classes)
    affordable(hidden * (hidden * depth + classes), f"{depth} layers of hidden = {hidden} units and {classes} classes")
    seeded(seed)
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for size in [2, *[hidden] * (depth - 1)]:
            layers += [nn.Linear(size, hidden), ACTIVATIONS[activation]()]
        return nn.Sequential(*layers, nn.Linear(hidden, classes))


class Digits(NamedTuple):
    """Handwritten digits (N, 1, 8, 8) in [0, 1] and their labels (N,), for training and for testing."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def digits() -> Digits:
    """scikit-learn's 1797 digits, a quarter of them for testing, always the same ones."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    loaded = load_digits()
    images, labels = torch.tensor(loaded.images[:, None] / 16, dtype=torch.float32), torch.tensor(loaded.target)
    train_images, test_images, train_labels, test_labels = train_test_split(images, labels, random_state=0)
    return Digits(train_images, train_labels, test_images, test_labels)


def digit_net(classes: int = 10, seed: int = 0) -> nn.Sequential:
    """An untrained network from digits (N, 1, 8, 8) to logits (N, classes): two convolutions and a linear layer."""
    whole(classes=classes)
    affordable(512 * int(classes), f"a network of {classes} classes")
    seeded(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(512, int(classes)),
        )  # fmt: skip


def fit(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int | None = None,
    batch_size: int | None = 64,
    shown: Shown | None = None,
    rate: float = 0.003,
    weight_decay: float = 0.0,
    optimizer: torch.optim.Optimizer | None = None,
    seed: int = 0,
) -> Iterator[float]:
    """Train the weights of `net` with Adam: an iterator that gives the mean loss of each epoch.

    images: (N, ...), labels: (N,), classes by index. epochs: how many; endless unless given.
    batch_size: images per batch, in random order; `None` for all images at once, in the given order.
    shown: a function from (net, images, labels, generator) to what the network is shown instead, such as
        `attacked(0.75)` or `noisy(0.25)`.
    rate, weight_decay: for Adam, unless you pass the `optimizer` that has trained this network so far.
    seed: for the generator that shuffles and that is passed to `shown`.
    Only the weights change. Between epochs, the network is in the mode (training or evaluation) that it had before.
    Raises ValueError at the call for invalid numbers and for fewer than two classes.
    """
    instance(nn.Module, net=net)
    instance(Tensor, images=images, labels=labels)
    if images.ndim and labels.ndim == 1 and len(images):
        tensors(images=images)
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(
            f"labels must be indices of classes, a tensor (N,) of int64, got {tuple(labels.shape)} of {labels.dtype}"
        )
    if not images.ndim:
        raise ValueError(f"images must have the shape (N, ...), got a single number, {images}")
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"there must be one label per image, got {len(images)} images and {len(labels)} labels")
    if (present := labels.unique().numel()) < 2:
        raise ValueError(f"there are {len(labels)} images of {present} class: training needs images of two classes")
    whole(epochs=1 if epochs is None else epochs, batch_size=len(images) if batch_size is None else batch_size)
    positive(rate=rate)
    between(0, 1e6, weight_decay=weight_decay)
    function(optional=True, shown=shown)
    if optimizer is not None:
        instance(torch.optim.Optimizer, optimizer=optimizer)
    classes = _answer(net, images[:1]).shape[1]
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels must be from 0 to {classes - 1}, since net has {classes} classes, "
            f"got {labels.min()} to {labels.max()}"
        )
    with torch.inference_mode(False):  # copies of what was made inside it can be learned from
        images, labels = (part.clone() if part.is_inference() else part for part in (images, labels))
    batch_size = batch_size and int(batch_size)
    generator = seeded(seed)
    adam = optimizer or torch.optim.Adam(net.parameters(), rate, weight_decay=weight_decay)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        if batch_size is None:
            yield images, labels
            return
        for chosen in torch.randperm(len(images), generator=generator).split(batch_size):
            yield images[chosen], labels[chosen]

    def losses() -> Iterator[float]:
        for _ in counted() if epochs is None else range(epochs):
            total = 0.0
            with torch.inference_mode(False), _in_training_mode(net):  # also inside a caller's no_grad()
                for batch, classes in batches():
                    if shown:
                        batch = shown(net, batch, classes, generator)
                        instance(Tensor, **{"what shown returns": batch})
                    loss = nn.functional.cross_entropy(net(batch), classes)
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                    total += len(batch) * loss.item()
            if not math.isfinite(total):
                raise FloatingPointError(f"the loss became {total / len(images)} at rate {rate:g}: try a smaller rate")
            yield total / len(images)

    return losses()


@contextmanager
def _in_training_mode(net: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in net.modules()]
    net.train()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def frozen(net: nn.Module, kind: Kind = DIGITS) -> Classifier:
    """A copy of a small network as it is now, in evaluation mode, for an attack. kind: `DIGITS` or `POINTS`."""
    instance(nn.Module, net=net)
    instance(Kind, kind=kind)
    fixed = _fixed(net)
    classes = _answer(fixed, torch.zeros(1, *kind.input_shape)).shape[1]
    return Classifier(fixed, kind.labels[:classes], kind.input_shape, kind.bounds, prepare=False, share=True)


def _answer(net: nn.Module, images: Tensor) -> Tensor:
    """The logits (N, classes) of a copy of `net`; ValueError if it cannot take such images, or returns no logits."""
    fixed = _fixed(net)
    try:
        with torch.no_grad():
            found = fixed(images)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"net cannot take images of shape {tuple(images.shape)}: {error}") from error
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
        raise ValueError(f"net must return logits (N, classes), got {getattr(found, 'shape', type(found).__name__)}")
    return found


def _fixed(net: nn.Module) -> nn.Module:
    return copied(net).eval().requires_grad_(False)


def trained(points: Points, *args, steps: int = 500, weight_decay: float = 0.0, **kwargs) -> Classifier:
    """A frozen `plane_net(*args, **kwargs)` after `steps` steps of training on all points at once."""
    several(points=points)
    whole(steps=steps)
    net = plane_net(*args, **kwargs)
    last(islice(fit_points(net, points, weight_decay=weight_decay), int(steps)))
    return frozen(net, POINTS)


def fit_points(net: nn.Module, points: Points, **options) -> Iterator[float]:
    """`fit` as lesson 4 uses it in the plane: all points at once, at rate 0.01, endlessly."""
    several(points=points)
    if len(points) != 2 or not all(isinstance(part, Tensor) for part in points):
        raise ValueError(f"points must be places (N, 2) and labels (N,), such as plane_points(), got {points!r}")
    return fit(net, *points, **{"batch_size": None, "rate": 0.01} | options)


def attacked(epsilon: float, *, steps: int = 7, bounds: tuple[float, float] | None = (0.0, 1.0)) -> Shown:
    """For `fit`: each batch after `steps` steps of the loop away from its classes, within `epsilon` (L2).

    bounds: the range of legal values; `None` for points of the plane.
    Source: Madry et al. 2017, arXiv 1706.06083, section 2, in L2 and without random starts.
    """
    positive(epsilon=epsilon)
    whole(steps=steps)
    interval(bounds=bounds)

    def shown(net: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        model = Classifier(_fixed(net), None, images.shape[1:], bounds, prepare=False, share=True)
        ball, step = l2_ball(images, epsilon), unit_step(2.5 * epsilon / steps)
        frames = optimize_pixels(model, images, away_from(labels), step=step, constraint=ball, steps=steps)
        return last(frames).image

    return shown


def noisy(sigma: float) -> Shown:
    """For `fit`: each batch with fresh Gaussian noise of standard deviation `sigma` (pixel units), not clipped."""
    positive(sigma=sigma)

    def shown(net: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return images + sigma * torch.randn(images.shape, generator=generator).to(images)

    return shown


def _probe() -> Tensor:
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def save_weights(net: nn.Module, path: str | os.PathLike) -> None:
    """Write the weights of a `digit_net` as plain arrays (.npz), with its logits for four images of noise."""
    instance(nn.Module, net=net)
    fixed = _fixed(net)
    try:
        with torch.no_grad():
            answers = fixed(_probe()).numpy()
    except RuntimeError as error:
        raise ValueError(f"net must be a digit_net, but it cannot take images of digits: {error}") from error
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    with replacing(path) as file:
        np.savez_compressed(file, answers=answers, **weights)


def load_weights(path: str | os.PathLike | None = None) -> nn.Sequential:
    """The `digit_net` whose weights `save_weights` wrote, checked against the logits that were stored with them.

    Without a path, it is the one trained on digits attacked with 0.75 (L2): `python -m fooling_utils.data.make robust`.
    Raises FileNotFoundError for a missing file, ValueError for one that is damaged, altered or from another network.
    """
    path = data.path("robust_digits") if path is None else path
    file_path(path=path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
        answers = arrays.pop("answers")
        net = digit_net(answers.shape[1])
        net.load_state_dict(arrays)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # numpy, zipfile and torch raise many kinds of error for damaged files
        raise ValueError(
            f"{path} does not hold the weights of a digit_net, or was cut short ({error}): make it again"
        ) from error
    with torch.no_grad():
        difference = (net.eval()(_probe()) - answers).abs().max().item()
    if not difference < 1e-3:
        raise ValueError(
            f"{path} was altered: its network's logits differ by {difference:.2g} from those stored with it"
        )
    return net
