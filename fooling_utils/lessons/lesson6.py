"""What lesson 6 compares: methods that look for a small change, with what each costs and whether a PNG still fools."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from torch import Tensor, nn

from ..arguments import by_name, evaluating, finite, flag, instance, numbers, several, shown, tensors, whole
from ..attacks.ddn import ddn
from ..attacks.gradient import fgsm, pgd
from ..attacks.lbfgs import lbfgs_frames
from ..attacks.minimum_norm import smallest_change
from ..figures import BLUE, GREY, ORANGE, amplify, grid_of_images, new_figure
from ..images import distances, round_to_8bit, validate_images
from ..models import Classifier
from ..objectives import Label, toward
from ..optimize import last, optimize_pixels

# to the question of the lesson, whose last cell compares it with what was measured
ANSWERS = {"percent of the first ostrich": 45}

STEPS = 200  # at most this many unit steps
LONGER = [1 + share / 50 for share in range(51)]  # how often a change is made longer until it survives a PNG

Method = Callable[[Classifier, Tensor, Label], tuple[Tensor, int]]


def _is(model: Classifier, image: Tensor, target: Label) -> bool:
    return model.probabilities(image).argmax().item() == model.index(target)


def _first(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    goal = model.index(target)
    for frame in optimize_pixels(model, image, toward(target), steps=STEPS):
        if frame.logits.argmax().item() == goal:
            break
    return frame.image, frame.index


def _fgsm(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    for levels in range(1, 17):
        result = fgsm(model, image, levels / 255, target)
        if _is(model, result, target):
            break
    return result, 1  # always the same gradient


def _pgd(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    low, high, best = 0.0, 2.0, image
    for _ in range(5):
        radius = (low + high) / 2
        result = pgd(model, image, radius, target, norm="l2", steps=10)
        if _is(model, result, target):
            high, best = radius, result
        else:
            low = radius
    return best, 50


def _by_hand(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
    """The search that the lesson writes, which settles."""
    goal, steps, size = model.index(target), 50, 1.0
    tried, best = image, None
    for i in range(steps):
        with torch.inference_mode(False):  # also inside a caller's no_grad()
            leaf = tried.clone().requires_grad_()
            logits = model(leaf)
            (gradient,) = torch.autograd.grad(logits.log_softmax(1)[0, goal], leaf)
        fools, share = logits.argmax(1).item() == goal, 1 - i / steps
        if fools and (best is None or (tried - image).norm() < (best - image).norm()):
            best = tried
        size *= 1 - 0.1 * share if fools else 1 + 0.1 * share
        way = tried - image + 0.5 * share * gradient / gradient.norm().clamp_min(1e-30)
        tried = (image + size * way / way.norm().clamp_min(1e-30)).clamp(0, 1)
    return image if best is None else best, steps


def _smallest(eight_bit: bool) -> Method:
    def method(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
        found = smallest_change(model, image, target, steps=50, eight_bit=eight_bit)
        return (image if found.isnan().any() else found), 50

    return method


def _lbfgs(evaluations: int) -> Method:
    def method(model: Classifier, image: Tensor, target: Label) -> tuple[Tensor, int]:
        found = last(lbfgs_frames(model, image, target, evaluations=evaluations))
        return found.image, found.gradients

    return method


METHODS: dict[str, Method] = {
    "FGSM": _fgsm,
    "first ostrich": _first,
    "PGD, bisection": _pgd,
    "L-BFGS": _lbfgs(7),
    "L-BFGS, longer": _lbfgs(30),
    "by hand": _by_hand,
    "DDN, rounded": lambda model, image, target: (ddn(model, image, target), 50),
    "fractions": _smallest(eight_bit=False),
    "whole levels": _smallest(eight_bit=True),
}


def compare_methods(model: Classifier, image: Tensor, target: Label) -> Iterator[dict]:
    """One row per method, as soon as it is done: gradients, seconds, sizes of the change, and whether it fools.

    image: one image (1, 3, H, W). `fools` refers to the exact result, `after PNG` to the result rounded to 8 bit.
    `L2 in a PNG` is the size after rounding. Where rounding loses the target, the change is first made longer, in
    steps of 2 %, until the rounded image is its target; it is NaN where twice the change is not enough.
    """
    instance(Classifier, model=model)
    model.validate(image)
    if len(image) != 1:
        raise ValueError(f"compare_methods takes one image, got {len(image)}: use image[i : i + 1]")
    for name, method in METHODS.items():
        begin = time.perf_counter()
        result, gradients = method(model, image, target)
        seconds = time.perf_counter() - begin
        size, fools = distances(image, result), _is(model, result, target)
        yield {
            "method": name,
            "gradients": gradients,
            "seconds": seconds,
            "L2": size.l2,
            "values changed": size.changed_share,
            "fools": fools,
            "after PNG": _is(model, round_to_8bit(result), target),
            "L2 in a PNG": _in_a_png(model, image, result, target) if fools else math.nan,
        }


def _in_a_png(model: Classifier, image: Tensor, result: Tensor, target: Label) -> float:
    for scale in LONGER:
        saved = round_to_8bit((image + scale * (result - image)).clamp(0, 1))
        if _is(model, saved, target):
            return (saved - image).norm().item()
    return math.nan


def two_pixels(weight: Tensor, bias: float, searches: Mapping[str, Tensor]) -> Figure:
    """Searches among pictures of two pixels: one panel each, with the straight boundary and the walls at 0 and 1.

    weight: (2,). The target is seen where weight · picture + bias is above 0, which is hatched.
    searches: the pictures (steps, 2) that each search tried, first its start, last its result.
    """
    tensors(weight=weight)
    finite(bias=bias)
    by_name(Tensor, searches=searches)
    if weight.shape != (2,):
        raise ValueError(f"weight must have the shape (2,), got {tuple(weight.shape)}")
    for name, tried in searches.items():
        if tried.ndim != 2 or tried.shape[1] != 2 or not len(tried):
            raise ValueError(f"searches[{name!r}] must have the shape (steps, 2), got {tuple(tried.shape)}")
    figure, (panels,) = new_figure(5 * len(searches), 4.9, ncols=len(searches))
    xs, ys = torch.meshgrid(torch.linspace(-0.1, 1.25, 200), torch.linspace(-0.1, 1.25, 200), indexing="xy")
    lead = weight[0].item() * xs + weight[1].item() * ys + bias
    for axes, (name, tried) in zip(panels, searches.items(), strict=True):
        start, found = tried[0].tolist(), tried[-1].tolist()
        axes.contourf(xs, ys, lead, levels=[0, math.inf], colors=["#F6DCC8"], hatches=["//"])
        axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, linewidth=2, edgecolor="#333333"))
        axes.add_patch(Circle(start, math.dist(start, found), fill=False, linestyle="--", edgecolor=GREY, linewidth=2))
        axes.plot(*tried.T.tolist(), color="#555555", linewidth=1, marker=".", markersize=5)
        axes.plot(*start, color=BLUE, marker="s", markersize=10)
        axes.plot(*found, color=ORANGE, marker="o", markersize=10)
        axes.set(xlim=(-0.1, 1.25), ylim=(-0.1, 1.25), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set(title=name, xlabel="first pixel", ylabel="second pixel")
    return figure


def beside_each_other(image: Tensor, changed: Mapping[str, Tensor], times: float = 20, *, sizes: bool = True) -> Figure:
    """The changes of one image (1, 3, H, W), all magnified `times` times, each under its name and perhaps its L2."""
    flag(sizes=sizes)
    validate_images(image)
    tensors(image=image)
    by_name(Tensor, changed=changed)
    for name, other in changed.items():
        validate_images(other, name=f"changed[{name!r}]")
        tensors(**{f"changed[{name!r}]": other})
        if other.shape != image.shape or len(image) != 1:
            raise ValueError(
                f"changed[{name!r}] and image must be one image each, (1, 3, H, W), got {tuple(other.shape)} and "
                f"{tuple(image.shape)}"
            )
    pictures = {"the bus\nas it is": image}
    for name, other in changed.items():
        size = f"L2 {(other - image).norm().item():.2f}, " if sizes else ""
        pictures[f"{name}\n{size}shown × {times:g}"] = amplify(other - image, times)
    return grid_of_images(list(pictures.values()), list(pictures), columns=len(pictures))


def smallest_so_far(sizes: Sequence[float], fools: Sequence[bool]) -> tuple[list[int], list[float]]:
    """For a curve: at each try from the first that fools, the smallest size that has fooled by then.

    sizes, fools: for each try, how large its change was and whether it fooled. Returns the tries and the sizes.
    """
    numbers(sizes=sizes)
    several(fools=fools)
    if len(sizes) != len(fools):
        raise ValueError(f"sizes and fools must be equally long, got {len(sizes)} and {len(fools)}")
    try:
        fools = list(map(bool, fools))
    except (ValueError, RuntimeError) as error:  # an array or a tensor of several
        raise ValueError(f"each of fools must be true or false, got {shown(fools)}") from error
    smallest = list(accumulate((s if f else math.inf for s, f in zip(sizes, fools, strict=True)), min))
    found = [i for i, size in enumerate(smallest) if size < math.inf]
    return found, [smallest[i] for i in found]


class Behind(nn.Module):
    """Two networks as one: for each class, how far it is ahead of the target, in the network where it is further ahead.

    It sees the target (with logit 0) exactly where both networks do. target: a class of both, by index.
    """

    def __init__(self, first: nn.Module, second: nn.Module, target: int):
        super().__init__()
        evaluating(first=first, second=second)
        whole(0, target=target)
        self.first, self.second, self.target = first, second, int(target)
        self.training = False

    def forward(self, images: Tensor) -> Tensor:
        """From images (N, 3, H, W) to how far each class is ahead, (N, classes)."""
        ahead = [logits - logits[:, [self.target]] for logits in (self.first(images), self.second(images))]
        return torch.maximum(*ahead)


def cosine(first: Tensor, second: Tensor) -> float:
    """Of the angle between two changes of the same shape: 1 for the same way, 0 at right angles, -1 for opposite."""
    tensors(first=first, second=second)
    if first.shape != second.shape:
        raise ValueError(f"the changes must have one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
    lengths = first.norm() * second.norm()
    if not lengths:
        raise ValueError("a change of length 0 has no direction")
    return ((first * second).sum() / lengths).item()


def one_for_two(first: Classifier, second: Classifier, image: Tensor, target: Label) -> dict:
    """How large the smallest changes are for each of two networks and for both, and how they lie to each other.

    image: (1, 3, H, W), of another class in both. `added` says how many of the two networks see the target in the
    picture with both single changes.
    """
    instance(Classifier, first=first, second=second)
    goal = first.index(target)
    networks = (first, second, Behind(first, second, goal))
    changes = [smallest_change(network, image, goal, steps=50) - image for network in networks]
    for where, change in zip(("first", "second", "both"), changes, strict=True):
        if change.isnan().any():
            raise ValueError(f"no change to target {target!r} was found for {where}: choose another target")
    sizes = [change.norm().item() for change in changes]
    added = (image + changes[0] + changes[1]).clamp(0, 1)
    return {
        "first": sizes[0],
        "second": sizes[1],
        "cosine": cosine(*changes[:2]),
        "Pythagoras": math.hypot(*sizes[:2]),
        "both": sizes[2],
        "share": sizes[2] / math.hypot(*sizes[:2]),
        "added": sum(_is(network, added, goal) for network in (first, second)),
    }
