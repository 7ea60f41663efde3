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


class _Front(nn.Module):
    def __init__(self, defence: View, net: nn.Module, seed: int):
        super().__init__()
        self.defence, self.net, self.seed = defence, net, seed

    def forward(self, images: Tensor) -> Tensor:
        seen = self.defence(images, torch.Generator(images.device).manual_seed(self.seed))
        if not isinstance(seen, Tensor):
            raise TypeError(f"defence must return images, got {shown(seen)}")
        return self.net(seen)


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

    def defended() -> Tensor:
        seen = defence(images.detach(), generator)
        if not isinstance(seen, Tensor):
            raise TypeError(f"defence must return images, got {shown(seen)}")
        return seen.clamp(0, 1)

    return torch.stack([model.probabilities(defended()) for _ in range(draws)])
