"""Small networks to train in seconds, plainly, on attacked images or on noisy ones; and one that was stored.

For scikit-learn's digits, 8 x 8 pixels, and for the points of `regions`: whatever `fit` is given.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import data
from ..constraints import l2_ball
from ..models import Classifier
from ..objectives import away_from
from ..optimize import optimize_pixels
from ..steps import unit_step

ROBUST_EPSILON, ROBUST_EPOCHS = 0.75, 40
DIGIT_LABELS = tuple("0123456789")

Shown = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


class Digits(NamedTuple):
    """Handwritten digits (N, 1, 8, 8) in [0, 1] and what they are (N,), to train on and to test with."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def digits() -> Digits:
    """scikit-learn's 1797 digits, a quarter of them to test with; always the same ones."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    images, labels = torch.tensor(data.images[:, None] / 16, dtype=torch.float32), torch.tensor(data.target)
    train_images, test_images, train_labels, test_labels = train_test_split(images, labels, random_state=0)
    return Digits(train_images, train_labels, test_images, test_labels)


def digit_net(classes: int = 10, seed: int = 0) -> nn.Sequential:
    """An untrained network from digits (N, 1, 8, 8) to logits (N, classes): two convolutions and a linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(512, classes),
        )  # fmt: skip


def frozen(net: nn.Module) -> Classifier:
    """A copy of a `digit_net` as it is now, to attack; a class beyond the ten digits is called rubbish."""
    labels = (*DIGIT_LABELS, "rubbish")[: net[-1].out_features]
    return Classifier(net.eval(), labels, (1, 8, 8), prepare=False)


def fit(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    shown: Shown | None = None,
    rate: float = 0.003,
    batch_size: int = 64,
    seed: int = 0,
) -> Iterator[float]:
    """Train `net` in place with Adam: after each epoch comes its mean loss.

    images: (N, ...), labels: (N,), classes by index. shown: from (net, images, labels, generator) to what the network
        is shown instead of a batch, such as `attacked(0.75)` or `noisy(0.25)`.
    seed: of the generator that shuffles, and that `shown` gets.
    Raises ValueError at the call for numbers that cannot work.
    """
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"there must be one label per image, got {len(images)} images and {len(labels)} labels")
    for name, number in {"epochs": epochs, "batch_size": batch_size}.items():
        if not hasattr(number, "__index__") or number < 1:
            raise ValueError(f"{name} must be a whole number and at least 1, got {number}")
    if not rate > 0:
        raise ValueError(f"rate must be greater than 0, got {rate}")
    return _fit(net, images, labels, epochs, shown, rate, batch_size, torch.Generator().manual_seed(seed))


def _fit(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    shown: Shown | None,
    rate: float,
    batch_size: int,
    generator: torch.Generator,
) -> Iterator[float]:
    optimizer = torch.optim.Adam(net.parameters(), rate)
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(images), generator=generator).split(batch_size):
            batch, classes = images[chosen], labels[chosen]
            if shown:
                batch = shown(net, batch, classes, generator)
            with torch.enable_grad():
                loss = nn.functional.cross_entropy(net(batch), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += len(chosen) * loss.item()
        yield total / len(images)


def attacked(epsilon: float, *, steps: int = 7, bounds: tuple[float, float] | None = (0.0, 1.0)) -> Shown:
    """For `fit`: each batch as the loop leaves it after `steps` away from its classes, at most `epsilon` (L2) away.

    bounds: of legal values; `None` for points of the plane.
    Source: Madry et al. 2017, arXiv 1706.06083, section 2, in L2 and without random starts.
    """
    if not epsilon > 0 or not hasattr(steps, "__index__") or steps < 1:
        raise ValueError(f"epsilon must be above 0 and steps a whole number above 0, got {epsilon} and {steps}")

    def shown(net: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        model = Classifier(net.eval(), None, images.shape[1:], bounds, prepare=False)
        ball, step = l2_ball(images, epsilon), unit_step(2.5 * epsilon / steps)
        for frame in optimize_pixels(model, images, away_from(labels), step=step, constraint=ball, steps=steps):  # noqa: B007
            pass
        net.train()
        return frame.image

    return shown


def noisy(sigma: float) -> Shown:
    """For `fit`: each batch with fresh Gaussian noise of standard deviation `sigma` (pixel units), not clipped."""
    if not sigma > 0:
        raise ValueError(f"sigma must be greater than 0, got {sigma}")

    def shown(net: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return images + sigma * torch.randn(images.shape, generator=generator).to(images)

    return shown


def _probe() -> Tensor:
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def save_weights(net: nn.Module, path: str | os.PathLike) -> None:
    """Write the weights of a `digit_net` as plain arrays (.npz), with its answers to four noises."""
    with torch.no_grad():
        answers = net.eval()(_probe()).numpy()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    with open(path, "wb") as file:  # given a name, numpy would add .npz to it
        np.savez_compressed(file, answers=answers, **weights)


def load_weights(path: str | os.PathLike | None = None) -> nn.Sequential:
    """The `digit_net` whose weights `save_weights` wrote; it must still give the answers that were stored with them.

    Without a path, the one trained on digits attacked with 0.75 (L2): `python -m fooling_utils.data.make robust`.
    Raises FileNotFoundError for a missing file, ValueError for one that is damaged, altered or of another network.
    """
    try:
        with np.load(path or data.path("robust_digits"), allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
        answers = arrays.pop("answers")
        net = digit_net(answers.shape[1])
        net.load_state_dict(arrays)
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy, zipfile and torch raise a dozen kinds for damaged files
        raise ValueError(
            f"{path} holds no weights of a digit_net, or was cut short ({error}): make it again"
        ) from error
    with torch.no_grad():
        difference = (net.eval()(_probe()) - answers).abs().max().item()
    if not difference < 1e-3:
        raise ValueError(
            f"{path} was altered: its network's answers differ by {difference:.2g} from those stored with it"
        )
    return net


# ---- plane

PLANE_LABELS = ("cheetah", "robin", "armadillo")
PRESETS = ("blobs", "moons", "rings", "spiral")
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Points(NamedTuple):
    """Training points in the plane: where they are, (N, 2), and their classes, (N,), whole numbers from 0."""

    places: Tensor
    labels: Tensor


def plane_points(preset: str = "blobs", count: int = 30, classes: int = 3, seed: int = 0) -> Points:
    """Points in the square from -1 to 1, `count` per class: "blobs", "moons" (two classes), "rings" or "spiral"."""
    if preset not in PRESETS:
        raise ValueError(f"no preset is called {preset!r}: choose from {', '.join(PRESETS)}")
    if not 2 <= classes <= len(PLANE_LABELS) or count < 1:
        raise ValueError(f"classes must be 2 or {len(PLANE_LABELS)} and count at least 1, got {classes} and {count}")
    generator = torch.Generator().manual_seed(seed)
    classes = 2 if preset == "moons" else classes
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


def _circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def plane_net(
    hidden: int = 32, depth: int = 2, activation: str = "relu", *, classes: int = 3, seed: int = 0
) -> nn.Sequential:
    """A network from points (N, 2) to logits (N, classes), with `depth` layers of `hidden` units; untrained."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"no activation is called {activation!r}: choose from {', '.join(ACTIVATIONS)}")
    if hidden < 1 or depth < 1:
        raise ValueError(f"hidden and depth must be at least 1, got {hidden} and {depth}")
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for size in [2, *[hidden] * (depth - 1)]:
            layers += [nn.Linear(size, hidden), ACTIVATIONS[activation]()]
        return nn.Sequential(*layers, nn.Linear(hidden, classes))


def train(
    net: nn.Module,
    points: Points,
    *,
    rate: float = 0.01,
    weight_decay: float = 0.0,
    optimizer: torch.optim.Optimizer | None = None,
) -> Iterator[float]:
    """Train `net` in place on all points at once: with every step of Adam comes the loss before it, without an end.

    weight_decay: how strongly the squared weights are punished.
    optimizer: one that has trained this network before, to go on with it; rate and weight_decay are then its own.
    Raises ValueError for no points, or for points of one class only.
    """
    if points.labels.unique().numel() < 2:
        raise ValueError(
            f"there are {len(points.labels)} points of {points.labels.unique().numel()} classes: "
            "training needs points of two classes"
        )
    return _train(net, points, optimizer or torch.optim.Adam(net.parameters(), rate, weight_decay=weight_decay))


def _train(net: nn.Module, points: Points, optimizer: torch.optim.Optimizer) -> Iterator[float]:
    while True:
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(net(points.places), points.labels)
            gradients = torch.autograd.grad(loss, list(net.parameters()))
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        yield loss.item()


def trained(points: Points, *args, steps: int = 500, weight_decay: float = 0.0, **kwargs) -> Classifier:
    """A `plane_net(*args, **kwargs)` after `steps` steps of training, as a frozen `Classifier` of points."""
    net = plane_net(*args, **kwargs)
    for _, _loss in zip(range(steps), train(net, points, weight_decay=weight_decay), strict=False):
        pass
    return plane_classifier(net)


def plane_classifier(net: nn.Sequential) -> Classifier:
    """A copy of a `plane_net`, frozen, for `optimize_pixels`: an "image" is a point of the plane, (N, 2)."""
    return Classifier(net.eval(), PLANE_LABELS[: net[-1].out_features], (2,), None)
