"""Small networks whose answers are known, for tests."""

import hashlib
import time

import torch
from torch import Tensor, nn

from fooling_utils import Classifier, last, lbfgs_frames
from fooling_utils.evolution.evolve import Archive

SHAPE = (3, 4, 4)
NUMBERS = 48  # in one image of this shape


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """logits = weight @ image + bias; it counts its forward passes, and its backward passes to the image."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None):
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(torch.zeros(len(weight)) if bias is None else bias.clone())
        self.forwards, self.backwards = [0], [0]  # lists, so that a copy of the network can share them

    def __deepcopy__(self, memo: dict) -> "Linear":
        copied = Linear(self.weight.detach(), self.bias.detach()).train(self.training)
        copied.forwards, copied.backwards = self.forwards, self.backwards
        return copied

    def _count_backward(self, gradient: Tensor) -> None:
        self.backwards[0] += 1

    def forward(self, images: Tensor) -> Tensor:
        self.forwards[0] += 1
        if images.requires_grad:
            images.register_hook(self._count_backward)
        return images.flatten(1) @ self.weight.T + self.bias


def lengths(change: Tensor) -> Tensor:
    """The L2 length of each change (N, ...)."""
    return change.flatten(1).norm(dim=1)


def linear(weight: Tensor, bias: Tensor | None = None, shape: tuple[int, ...] = SHAPE, **settings) -> Classifier:
    """A Classifier of the linear network with these weights (classes, numbers) and bias (classes,)."""
    return Classifier(Linear(weight, bias).eval(), input_shape=shape, **settings)


def random_linear(classes: int = 3, seed: int = 0) -> Classifier:
    """A linear classifier of `classes` classes with small Gaussian weights."""
    source = generator(seed)
    return linear(0.3 * torch.randn(classes, NUMBERS, generator=source), torch.randn(classes, generator=source))


def random_images(count: int = 1, size: int = 4, *, seed: int = 0, low: float = 0.3, high: float = 0.7) -> Tensor:
    """Images with values from `low` to `high`, by default far enough from black and white to be changed either way."""
    return low + (high - low) * torch.rand(count, 3, size, size, generator=generator(seed))


class ChannelMeans(nn.Module):
    """Three classes, one for each colour: its mean over an image of any size, times a factor."""

    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * images.mean((2, 3))


class Brightness(nn.Module):
    """Two classes, bright and dark, on images of any size; each image takes `seconds`, as a real network would."""

    def __init__(self, seconds: float = 0.0):
        super().__init__()
        self.seconds = seconds

    def forward(self, images: Tensor) -> Tensor:
        time.sleep(self.seconds * len(images))
        return 50 * torch.stack([images.mean((1, 2, 3)), 0.5 + 0 * images.mean((1, 2, 3))], 1)


class Recorder(nn.Module):
    """Asks a network, and keeps what it was asked, call by call."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net, self.calls = net, []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append(images.clone())
        return self.net(images)


class ConvNorm(nn.Module):
    """Convolutions, batch norms with statistics that matter, and a fully connected layer over what is left."""

    def __init__(self, classes: int = 5):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Linear(8, classes)
        randomise_norms(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.second(self.first(images)).mean((2, 3)))


def randomise_norms(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm statistics as after training: fresh ones are the identity, and folding would be no test."""
    source = generator(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.running_mean.normal_(0, 0.3, generator=source)
                module.running_var.uniform_(0.5, 2, generator=source)
                module.weight.uniform_(0.5, 1.5, generator=source)
                module.bias.normal_(0, 0.3, generator=source)
    return net


def fingerprint(model: nn.Module) -> str:
    """A hash of every parameter and buffer, names and values."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def same_archive(one: Archive, other: Archive) -> bool:
    """Whether two archives are equal, number by number."""
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for name in Archive.__dataclass_fields__
        if name != "genomes"
        for a, b in [(getattr(one, name), getattr(other, name))]
    ) and all(torch.equal(a, b) for a, b in zip(one.genomes, other.genomes, strict=True))


# --------------------------------------------------------------------------------------------- where the best is known


def two_classes(scale: float = 0.3, margin: float = -1.0):
    """A linear network with two classes, and two images that it takes for class 0 by this margin in logits."""
    weight = scale * torch.randn(2, NUMBERS, generator=torch.Generator().manual_seed(3))
    image = random_images()
    difference = weight[1] - weight[0]
    bias = torch.tensor([0.0, margin - (image.flatten() @ difference).item()])
    return linear(weight, bias), image, difference


def margins(model, images: torch.Tensor) -> torch.Tensor:
    """How far class 1 is ahead of class 0, in logits."""
    logits = model(images)
    return logits[:, 1] - logits[:, 0]


def by_lbfgs(model, images: torch.Tensor, target, **options) -> torch.Tensor:
    """The last result for one image after the other."""
    targets = target if isinstance(target, (list, torch.Tensor)) else [target] * len(images)
    found = [last(lbfgs_frames(model, *one, **options)) for one in zip(images.split(1), targets, strict=True)]
    return torch.cat([one.image for one in found])
