"""Transforms in front of a network, as defences, each with the view for an attack that knows about it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..arguments import evaluating, function, instance, seeded, shown, whole
from ..models import Classifier
from ..views import View, blurred, quantised, random_views, recompressed, straight_through

# each defence, and the view for an attack that knows about it
DEFENCES: Mapping[str, tuple[View, View]] = {
    "8 levels": (quantised(), straight_through(quantised())),
    "blur": (blurred(), blurred()),
    "JPEG 75": (recompressed(), straight_through(recompressed())),
    "JPEG 30": (recompressed(30), straight_through(recompressed(30))),
    "random size": (random_views(1, degrees=0), random_views(4, degrees=0)),
}


def _seen_behind(defence: View, images: Tensor, generator: torch.Generator) -> Tensor:
    seen = defence(images, generator)
    if not isinstance(seen, Tensor):
        raise TypeError(f"defence must return images, got {shown(seen)}")
    return seen


class _Front(nn.Module):
    def __init__(self, defence: View, net: nn.Module, seed: int):
        super().__init__()
        self.defence, self.net, self.seed = defence, net, seed

    def forward(self, images: Tensor) -> Tensor:
        return self.net(_seen_behind(self.defence, images, seeded(self.seed, images.device)))


def behind(model: Classifier, defence: View, seed: int = 0) -> Classifier:
    """The network behind a defence, as a `Classifier`. A random defence repeats its draws at every call."""
    instance(Classifier, model=model)
    function(defence=defence)
    seeded(seed)
    if isinstance(defence, nn.Module):
        evaluating(defence=defence)
    front = _Front(defence, model, int(seed))
    front.training = False
    return Classifier(front, model.labels, model.input_shape, model.bounds, prepare=False)


def probabilities_behind(model: Classifier, defence: View, images: Tensor, *, draws: int = 1, seed: int = 0) -> Tensor:
    """The probabilities (draws, N, classes) that the network gives to images (N, ...) behind a defence."""
    instance(Classifier, model=model)
    function(defence=defence)
    model.validate(images, "images")
    whole(draws=draws)
    generator = seeded(seed, images.device)
    images = images.detach()
    drawn = (_seen_behind(defence, images, generator).clamp(0, 1) for _ in range(draws))
    return torch.stack([model.probabilities(seen) for seen in drawn])
