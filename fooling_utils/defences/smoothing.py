"""Randomised smoothing: a network votes over noisy copies of an image, and the vote provably holds within a radius.

Source: Cohen, Rosenfeld, Kolter 2019, arXiv 1902.02918.
"""

import math
import warnings
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..arguments import (
    affordable,
    between,
    evaluating,
    instance,
    positive,
    seeded,
    several,
    shown,
    tensors,
    warn,
    whole,
)
from ..attacks.minimum_norm import NothingFound, smallest_change
from ..images import norms
from ..models import as_classifier
from ..networks.small import Digits, digit_net, fit, noisy
from ..optimize import last
from .robustness import each_label, right

STORED_SIGMAS = (0.25, 0.5)  # in `python -m fooling_utils.data.make smoothed`
ABSTAINS = -1
AT_ONCE = 500  # noisy copies at once; they fit in the cache, which more than halves the time of a vote


def votes(net: nn.Module, images: Tensor, sigma: float, draws: int, *, seed: int = 0) -> Tensor:
    """How often the network gives each class to images (N, ...) with Gaussian noise `sigma`: counts (N, classes).

    sigma: standard deviation, pixel units; the noisy copies are not clipped. Every image gets its own noise.
    """
    net = as_classifier(net, images)
    positive(sigma=sigma)
    whole(draws=draws)
    generator, sigma, draws = seeded(seed), float(sigma), int(draws)
    counts = []
    with torch.no_grad():
        for image in images:
            parts = [min(AT_ONCE, draws - begin) for begin in range(0, draws, AT_ONCE)]
            noise = (torch.randn(part, *image.shape, generator=generator) for part in parts)
            scores = [net(image + sigma * part.to(image)) for part in noise]
            if not all(score.amax(1).isfinite().all() for score in scores):
                raise FloatingPointError(
                    f"net answers NaN or infinity to image {len(counts)} with noise of sigma {sigma:g}"
                )
            counts.append(sum(score.argmax(1).bincount(minlength=score.shape[1]) for score in scores))
    return torch.stack(counts)


def lower_bound(successes: Tensor, draws: int, alpha: float = 0.001) -> Tensor:
    """A lower bound on the probability of success, given `successes` in `draws`; wrong with probability `alpha`.

    Source: Clopper and Pearson 1934, the exact one-sided bound, computed with SciPy's beta distribution.
    """
    from scipy.stats import beta

    between(0, 1, alpha=alpha)
    if alpha in (0, 1):
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
    whole(draws=draws)
    instance(Tensor, successes=successes)
    if successes.layout != torch.strided or successes.device.type == "meta" or successes.is_complex():
        raise ValueError(f"successes must be counts (N,), got {shown(successes)} ({successes.layout})")
    if successes.dtype == torch.bool or not successes.numel() or not (successes == successes.round()).all():
        raise ValueError(f"successes must be whole numbers from 0 to draws = {draws}, got {shown(successes)}")
    if successes.min() < 0 or successes.max() > draws:
        raise ValueError(f"successes must be between 0 and draws = {draws}, got {shown(successes.tolist())}")
    found = beta.ppf(alpha, successes.cpu().numpy(), draws - successes.cpu().numpy() + 1)
    return torch.as_tensor(found).nan_to_num(0.0)  # with no successes, the bound is 0


class TooFewDraws(UserWarning):
    """So few draws cannot certify anything at this level: every vote abstains."""


class Certificate(NamedTuple):
    """For each image (N,): the class that wins the vote, or -1 if it abstains, and the radius (L2, pixel units)."""

    labels: Tensor
    radius: Tensor


def certify(
    net: nn.Module, images: Tensor, sigma: float, *, draws: int = 10_000, alpha: float = 0.001, seed: int = 0
) -> Certificate:
    """The winning class, and a radius within which it stays the same; wrong with probability at most `alpha`.

    100 draws choose the class, and `draws` others bound its probability p from below. If p is above one half, the
    radius is sigma times the normal quantile of p; otherwise the vote abstains.
    Source: Cohen, Rosenfeld, Kolter 2019, arXiv 1902.02918, theorem 1 and algorithm CERTIFY.
    """
    net = as_classifier(net, images)
    positive(sigma=sigma)
    whole(draws=draws)
    between(0, 1, alpha=alpha)
    seeded(seed)
    if lower_bound(torch.tensor([draws]), draws, alpha) <= 0.5:
        enough = math.ceil(math.log(alpha) / math.log(0.5)) + 1
        warn(
            f"with draws = {draws} and alpha = {alpha:g}, the vote abstains even if all draws agree: "
            f"use {enough} draws or more",
            TooFewDraws,
        )
    leading = votes(net, images, sigma, 100, seed=seed).argmax(1)
    counts = votes(net, images, sigma, draws, seed=seed + 1).gather(1, leading[:, None])[:, 0]
    probability = lower_bound(counts, draws, alpha)
    radius = sigma * torch.special.ndtri(probability.clamp(0.5, 1 - 1e-12))
    certain = (probability > 0.5).to(leading.device)
    return Certificate(torch.where(certain, leading, ABSTAINS), radius.float().to(images.device))


class Smoothed(nn.Module):
    """The mean over noisy copies as a network with a gradient, for attacks on the vote to climb.

    The noise is drawn once, so an image always gets the same logits, the logarithms of the mean probabilities.
    Source: Salman and others 2019, arXiv 1906.04584, section 2.2.
    """

    def __init__(self, net: nn.Module, sigma: float, shape: tuple[int, ...], draws: int = 64, seed: int = 0):
        super().__init__()
        evaluating(net=net)
        positive(sigma=sigma)
        whole(draws=draws)
        several(shape=shape)
        for side in shape:
            whole(**{"each of shape": side})
        affordable(math.prod([int(draws), *map(int, shape)]), f"{draws} draws of shape {tuple(shape)}")
        self.net = net
        with torch.inference_mode(False):
            noise = float(sigma) * torch.randn(draws, *shape, generator=seeded(seed))
        like = next((tensor for held in (net.parameters(), net.buffers()) for tensor in held), noise)
        self.register_buffer("noise", noise.to(like.device))
        self.training = False

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, ...) to logits (N, classes)."""
        tensors(images=images)
        if images.shape[1:] != self.noise.shape[1:] or images.device != self.noise.device:
            raise ValueError(
                f"images must have the shape (N, {', '.join(map(str, self.noise.shape[1:]))}) and be on "
                f"{self.noise.device}, got {shown(images)} on {images.device}"
            )
        copies = (images[:, None] + self.noise).flatten(0, 1)
        probabilities = self.net(copies).softmax(1).unflatten(0, (len(images), len(self.noise)))
        return probabilities.mean(1).clamp_min(1e-12).log()


def nearest_overturned(
    net: nn.Module, images: Tensor, labels: Tensor, sigma: float, *, steps: int = 50, draws: int = 1000, seed: int = 0
) -> Tensor:
    """How far (L2) our attack must change images (N, ...) before the vote is no longer for `labels`: (N,).

    The smallest change that fools the mean (`Smoothed`) gives a direction. Votes are then taken along this line, from
    0.7 to 2 times the change, in steps of 0.05. It is 0 if the vote is wrong already, infinite if it never changes.
    draws: noisy copies per vote.
    """
    net = as_classifier(net, images)
    whole(steps=steps)
    images, labels = images.detach(), each_label(net, images, labels)
    nearest = torch.zeros(len(images), device=images.device)
    chosen = (votes(net, images, sigma, draws, seed=seed).argmax(1) == labels).nonzero()[:, 0]
    if not len(chosen):
        return nearest
    some, classes = images[chosen], labels[chosen]
    surrogate = Smoothed(net, sigma, images.shape[1:], seed=seed).eval()
    stands = right(surrogate, some, classes)
    directions = torch.zeros_like(some)
    if stands.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NothingFound)
            found = smallest_change(surrogate, some[stands], None, steps=steps, eight_bit=False)
        directions[stands] = (found - some[stands]).nan_to_num(0)
    distances = torch.full((len(some),), torch.inf, device=images.device)
    for times in torch.linspace(2, 0.7, 27).tolist():
        tried = (some + times * directions).clamp(0, 1)
        overturned = votes(net, tried, sigma, draws, seed=seed + 1).argmax(1) != classes
        distances = torch.where(overturned, norms(tried - some), distances)
    nearest[chosen] = distances
    return nearest


def trained_in_noise(data: Digits, sigma: float, *, epochs: int = 40, seed: int = 0) -> nn.Sequential:
    """A `digit_net` that votes well at `sigma`, because it is trained on digits with that much noise (two seconds).

    seed: for its weights, its batches and the noise.
    """
    instance(Digits, data=data)
    whole(epochs=epochs)
    net = digit_net(seed=seed)
    last(fit(net, data.train_images, data.train_labels, epochs=epochs, shown=noisy(sigma), seed=seed))
    return net.eval()
