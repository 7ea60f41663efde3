"""Checks of lesson 1: the loop, total variation, jitter and dreams."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..objectives import activation
from ..optimize import optimize_pixels
from ..steps import unit_step
from .core import (
    Answer,
    Wrong,
    compare,
    exercise,
    is_close,
    legal,
    one_by_one,
    question,
    random,
    small_network,
    tensor,
    uses_only,
)


def _climbed(score: Callable[[Tensor], Tensor], start: Tensor, length: float, steps: int, **changes) -> Tensor:
    image, gradient, before = start.clone(), torch.zeros_like(start), 0.0
    for index in range(steps):
        image.requires_grad_()
        if not (changes.get("once") and index):
            gradient = torch.autograd.grad(score(image), image)[0] + before
        if changes.get("added_up"):
            before = gradient
        size = 1 if changes.get("raw") else gradient.norm()
        image = image.detach() + changes.get("sign", 1) * length * gradient / size
        if not changes.get("unclamped"):
            image = image.clamp(0, 1)
    return image.detach().clamp(0, 1) if changes.get("late") else image.detach()


@exercise("1.1", "The loop itself", "climb")
def climb(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    start = random((1, 3, 8, 8), seed, device)

    def score(image: Tensor) -> Tensor:
        return model(image)[0, 1]

    right = _climbed(score, start, 0.5, 5)
    result = tensor(answer(score, start, 0.5, 5), start.shape)
    before, after = score(start).item(), score(result.clamp(0, 1)).item()
    if after < before:
        raise Wrong(f"the sign is reversed: the score fell from {before:.3f} to {after:.3f}")
    if is_close(result, start, 1e-6):
        raise Wrong("the image did not move")
    legal(result)
    mistakes = {
        "each step is as long as the gradient: divide it by its norm first": _climbed(score, start, 0.5, 5, raw=True),
        "clamp after *every* step, not only at the end": _climbed(score, start, 0.5, 5, unclamped=True, late=True),
        "the gradients of earlier steps are added to the new one: `backward()` does that, unless you set the image's "
        "`grad` to None before": _climbed(score, start, 0.5, 5, added_up=True),
        "compute the gradient again in *every* step, at the current image": _climbed(score, start, 0.5, 5, once=True),
        "it makes one step too few": _climbed(score, start, 0.5, 4),
        "it makes one step too many": _climbed(score, start, 0.5, 6),
        "it makes only one step": _climbed(score, start, 0.5, 1),
    }
    compare(result, right, mistakes, "the score rises, but the image is not where these steps should lead", 1e-3)
    other = tensor(answer(score, start, 0.1, 2), start.shape)
    compare(other, _climbed(score, start, 0.1, 2), {}, "right only for some lengths and numbers of steps", 1e-3)


@exercise("1.2", "Total variation", "variation")
def variation(answer: Answer, seed: int, device: torch.device) -> None:
    image = random((3, 3, 6, 9), seed, device)
    down, right = image.diff(dim=2), image.diff(dim=3)
    total = down.abs().sum((1, 2, 3)) + right.abs().sum((1, 2, 3))
    around = [(image - image.roll(1, dim)).abs().sum((1, 2, 3)) for dim in (2, 3)]
    colours = image.diff(dim=1).abs().sum((1, 2, 3))
    mistakes = {
        "only neighbours in a column are compared: those in a row count as well": down.abs().sum((1, 2, 3)),
        "only neighbours in a row are compared: those in a column count as well": right.abs().sum((1, 2, 3)),
        "rises and falls cancel: take the absolute value of each difference": down.sum((1, 2, 3))
        + right.sum((1, 2, 3)),
        "the differences are squared: take their absolute values instead": down.square().sum((1, 2, 3))
        + right.square().sum((1, 2, 3)),
        "this is a mean: take the *sum*": down.abs().mean((1, 2, 3)) + right.abs().mean((1, 2, 3)),
        "the last pixel is compared with the first one, on the other side of the image: they are not neighbours": sum(
            around
        ),
        "the colours of a pixel are compared with each other: they are not neighbours": total + colours,
        "dimension 1 holds the colours, 2 the rows and 3 the columns": colours + down.abs().sum((1, 2, 3)),
        "the sign is reversed: a variation is never negative": -total,
        "the images of the batch are added up: return one number per image": total.sum().expand(3),
    }
    result = tensor(answer(image), (3,))
    compare(result, total, mistakes)
    one_by_one(answer, result, (image,))


@exercise("1.3", "Jitter", "jitter")
def jitter(answer: Answer, seed: int, device: torch.device) -> None:
    count, size, most = 400, 20, 8
    place = torch.arange(size * size, device=device).view(1, 1, size, size) + torch.zeros(count, 3, 1, 1, device=device)
    generator = torch.Generator(device)
    result = tensor(uses_only(generator, answer, place), place.shape)
    first = result[:, 0, 0, 0].round().long()
    far = torch.stack([-(first // size), -(first % size)], 1)  # how far each image was moved: down, and right
    moves = (far + size // 2) % size - size // 2
    expected = torch.stack(
        [one.roll(move, (1, 2)) for one, move in zip(place, [tuple(m) for m in moves.tolist()], strict=True)]
    )
    if not torch.equal(result, expected):
        raise Wrong(
            "the images are not just moved: the three colours should move together, no pixel should be lost, and what "
            "leaves at one edge should come in at the opposite edge"
        )
    for axis, name in enumerate(["up and down", "left and right"]):
        low, high = moves[:, axis].min().item(), moves[:, axis].max().item()
        if low == high:
            raise Wrong(f"{'no image was moved' if low == 0 else 'all images were moved by the same amount'} {name}")
        if (low, high) != (-most, most):
            raise Wrong(f"the moves {name} go from {low} to {high} pixels, but they should go from -{most} to {most}")
    if torch.equal(moves[:, 0], moves[:, 1]) or torch.equal(moves[:, 0], -moves[:, 1]):
        raise Wrong("each image moves as far down as to the right: draw two separate numbers for each image")
    counts = torch.stack([torch.bincount(axis + most, minlength=2 * most + 1) for axis in moves.T])
    share = counts / count * (2 * most + 1)  # 1 if all are equally probable, with a standard deviation of 0.2
    if share.max() > 2.2 or share.min() < 0.2:
        raise Wrong("some moves come up far more often than others: all should be equally likely")


@exercise("1.4", "The dream of another layer", "dream_of")
def dream_of(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    image = random((1, 3, 8, 8), seed, device, 0.3, 0.7)

    def strength(layer: str, picture: Tensor) -> float:
        return model.features(picture, [layer])[1][layer].square().mean().item()

    for layer, steps in {"first": 5, "second": 5, "last": 3}.items():
        result = legal(tensor(answer(model, image, layer, steps), image.shape))
        frames = optimize_pixels(model, image, activation(layer), step=unit_step(0.5), steps=steps)
        *earlier, last = frames
        before, after, goal = (strength(layer, picture) for picture in (image, result, last.image))
        if is_close(result, image, 1e-6):
            raise Wrong("it returns the image unchanged")
        if after < before:
            raise Wrong(f"the sign is reversed: the response of layer {layer!r} fell from {before:.3f} to {after:.3f}")
        if is_close(result, earlier[-1].image, 1e-4):
            raise Wrong("it makes one step too few: `steps` steps give `steps + 1` frames, and the last one counts")
        message = f"the response of layer {layer!r} only rose from {before:.3f} to {after:.3f}"
        if after < goal - 0.02 * (goal - before):
            raise Wrong(message + ": do you really climb this layer, with steps of 0.5?")
        if (result - image).norm() > 0.5 * steps * 1.01:
            raise Wrong(f"the image moved by {(result - image).norm():.2f}, too far for {steps} steps of 0.5")


question("1.5", "What a certain network has not learnt")
