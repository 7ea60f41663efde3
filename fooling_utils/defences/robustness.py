"""How robust is a network? The accuracy that an attack leaves, the nearest known errors, and signs of a weak attack.

These are upper bounds, since a better attack may come along. `smoothing.py` has a lower bound, with a proof.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..arguments import LARGEST, between, evaluating, function, instance, numbers, seeded, shown, whole
from ..attacks.minimum_norm import NothingFound, smallest_change
from ..constraints import l2_ball
from ..images import norms, per_image
from ..models import Classifier, as_classifier
from ..objectives import one_per_image, toward
from ..optimize import ZeroGradient, optimize_pixels
from ..steps import unit_step, unit_vectors

Attack = Callable[[Classifier, Tensor, float], Tensor]  # (model, images, epsilon) to images


def right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Whether the network gives each image (N, ...) its label in `labels` (N,): (N,), true or false."""
    evaluating(model=model)
    model = as_classifier(model, images)
    return model.probabilities(images).argmax(1) == each_label(model, images, labels)


def each_label(model: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """The index of the right class of each image (N,), after a check: one label for each, of a class that exists."""
    if not one_per_image(labels):
        raise TypeError(f"labels must be one class for each image, a tensor (N,), got {shown(labels)}")
    return model.indices(labels, len(images))


def accuracy_under(model: Classifier, images: Tensor, labels: Tensor, attack: Attack, epsilon: float) -> float:
    """The share of the images that the network gets right before and after `attack(model, images, epsilon)`.

    Raises ValueError if the attack goes farther than `epsilon` (L2), or leaves the legal range.
    """
    instance(Classifier, model=model)
    model.validate(images, "images")
    function(attack=attack)
    between(0, LARGEST, epsilon=epsilon)
    images, labels = images.detach(), each_label(model, images, labels)
    stands = right(model, images, labels)
    if epsilon > 0 and stands.any():
        found = attack(model, images[stands], epsilon)
        model.validate(found, "the attack's result")
        if found.shape != images[stands].shape:
            raise ValueError(
                f"the attack was given images {tuple(images[stands].shape)} and must return images of the same shape, "
                f"got {shown(found)}"
            )
        farthest = norms(found - images[stands]).max().item()
        if farthest > epsilon * 1.0001 + 1e-6:
            raise ValueError(
                f"the attack moved an image by {farthest:.4g} (L2), but epsilon is {epsilon}: project it onto the ball"
            )
        stands[stands.clone()] = right(model, found, labels[stands])
    return stands.double().mean().item()


def nearest_errors(
    model: Classifier, images: Tensor, labels: Tensor, *, steps: int = 100, targets: int | None = None
) -> Tensor:
    """The L2 distance from each image (N, ...) to the nearest error that our attacks find: (N,), 0 if wrong already.

    `smallest_change` searches away from the class and towards each other class, and PGD then searches slightly smaller
    balls. The result is infinite if they find no error. It is an upper bound: a nearer error may exist.
    For any `epsilon`, `distances > epsilon` says which images have no known error within it.
    steps: gradients for each search. targets: the number of other classes to try, most probable first; all by default.
    """
    instance(Classifier, model=model)
    model.validate(images, "images")
    whole(steps=steps)
    whole(0, targets=0 if targets is None else targets)
    images, labels = images.detach(), each_label(model, images, labels)
    nearest = torch.zeros(len(images), device=images.device)
    chosen = right(model, images, labels).nonzero()[:, 0]
    if not len(chosen):
        return nearest
    some = images[chosen]
    with torch.no_grad():
        ranking = model(some).argsort(dim=1, descending=True, stable=True)[:, 1:]  # the first is the image's own class
    best, size = some.clone(), torch.full((len(some),), torch.inf, device=images.device)
    for target in [None, *ranking[:, :targets].T]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NothingFound)
            found = smallest_change(model, some, target, steps=steps, eight_bit=False)
        best, size = _nearer(some, best, size, found, ~found.flatten(1).isnan().any(1))
    if size.isfinite().any():
        reached = size.isfinite()
        size[reached] = _polished(model, some[reached], best[reached], size[reached])
    nearest[chosen] = size
    return nearest


def _nearer(images: Tensor, best: Tensor, size: Tensor, found: Tensor, fools: Tensor) -> tuple[Tensor, Tensor]:
    distance = norms(found - images)
    better = fools & (distance < size)
    return torch.where(per_image(better, images), found, best), torch.where(better, distance, size)


def _polished(model: Classifier, images: Tensor, best: Tensor, size: Tensor) -> Tensor:
    """The sizes of the smallest errors, after PGD from each one in balls slightly smaller than the best so far."""
    with torch.no_grad():
        now, towards = model(images).argmax(1), toward(model(best).argmax(1))
    for shrink in (0.01, 0.003, 0.001, 0.0003, 0.0001):
        ball, step = l2_ball(images, size * (1 - shrink)), unit_step(shrink**0.5 * size.mean().item())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZeroGradient)
            for frame in optimize_pixels(model, ball(best), towards, step=step, constraint=ball, steps=20):
                best, size = _nearer(images, best, size, frame.image, frame.logits.argmax(1) != now)
    return size


def random_change(model: Classifier, images: Tensor, epsilon: float, seed: int = 0) -> Tensor:
    """The control for every attack: one random change of size `epsilon` (L2) per image, clipped to the legal range."""
    instance(Classifier, model=model)
    model.validate(images, "images")
    between(0, LARGEST, epsilon=epsilon)
    images, noise = images.detach(), torch.randn(images.shape, generator=seeded(seed)).to(images)
    return model.clip(images + epsilon * unit_vectors(noise))


def warning_signs(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    attack: Attack,
    epsilons: Sequence[float],
    known: Tensor | None = None,
) -> list[str]:
    """The reasons to distrust an evaluation by `attack`, as sentences. An empty list does not prove that it is strong.

    epsilons: increasing radii (L2). The last one should be so large that any image can become any other, or plain
    grey: an attack that works then leaves next to nothing right.
    known: distances (N,) to known errors, such as `nearest_errors` returns.
    Source: Carlini and others 2019, arXiv 1902.06705, section 4; Athalye and others 2018, arXiv 1802.00420.
    """
    instance(Classifier, model=model)
    model.validate(images, "images")
    function(attack=attack)
    images, labels = images.detach(), each_label(model, images, labels)
    if known is not None:
        instance(Tensor, known=known)
        if known.shape != (len(images),):
            raise ValueError(f"known must have one distance per image, got {shown(known)} for {len(images)} images")
        if known.layout != torch.strided or not known.is_floating_point() or not (known >= 0).all():
            raise ValueError(f"known must be distances of at least 0, as floats without NaN, got {shown(known)}")
    numbers(epsilons=epsilons)
    epsilons = [float(epsilon) for epsilon in epsilons]
    if len(epsilons) < 2 or epsilons != sorted(set(epsilons)) or not epsilons[0] > 0:
        raise ValueError(f"epsilons must be two or more increasing numbers above 0, got {epsilons}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZeroGradient)  # the first of the signs
        left = [accuracy_under(model, images, labels, attack, epsilon) for epsilon in epsilons]
    by_noise = [accuracy_under(model, images, labels, random_change, epsilon) for epsilon in epsilons]
    by_others = left if known is None else [(known > epsilon).double().mean().item() for epsilon in epsilons]
    signs = []
    dead = _share_without_gradient(model, images, labels)
    if dead > 0.05:
        signs.append(f"the gradient is zero for {dead:.0%} of the images: an attack that follows it cannot move")
    i = max(range(1, len(left)), key=lambda i: left[i] - left[i - 1])
    if left[i] > left[i - 1] + 0.01:
        signs.append(
            f"a larger epsilon leaves more: {epsilons[i - 1]:g} leaves {left[i - 1]:.0%}, "
            f"{epsilons[i]:g} leaves {left[i]:.0%}"
        )
    for sentence, others, least in (
        ("random changes are stronger", by_noise, 0.01),
        ("nearer errors are known", by_others, 0.05),
    ):
        i = max(range(len(left)), key=lambda i: left[i] - others[i])
        if left[i] > others[i] + least:
            signs.append(f"{sentence}: at {epsilons[i]:g} the attack leaves {left[i]:.0%}, they leave {others[i]:.0%}")
    if left[-1] > 0.02:
        signs.append(f"with {epsilons[-1]:g}, where everything is allowed, it still leaves {left[-1]:.0%}")
    return signs


def _share_without_gradient(model: Classifier, images: Tensor, labels: Tensor) -> float:
    with torch.inference_mode(False):
        leaf = images.detach().clone().requires_grad_()
        score = model(leaf).log_softmax(1).gather(1, labels[:, None]).sum()
    if not score.requires_grad:
        return 1.0
    (gradient,) = torch.autograd.grad(score, leaf, allow_unused=True)
    if gradient is None:
        return 1.0
    return (gradient.flatten(1).abs().amax(1) == 0).double().mean().item()
