"""Checks of lesson 1: the loop, with gaps and from memory, total variation, jitter and dreams."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from ..objectives import activation, logit, toward
from ..optimize import optimize_pixels
from ..steps import unit_step
from .core import (
    Answer,
    Climbed,
    Look,
    Wrong,
    compare,
    follow,
    is_close,
    legal,
    lets_gradients_through,
    one_by_one,
    random,
    small_network,
    tensor,
    unwrapped,
    uses_only,
    watched,
    writes_the_loop,
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


def climb_logit(answer: Answer, seed: int, device: torch.device) -> None:
    hint = "this climbs the log-probability: climb the *logit*, which the network gives"
    writes_the_loop(answer, seed, device, 0.5, Climbed(logit, Tensor.clone, Tensor.clone, "the logit", toward, hint))


def climb(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    start = random((1, 3, 8, 8), seed, device)

    asked: list[Tensor] = []

    def score(image: Tensor) -> Tensor:
        if image.requires_grad:
            asked.append(unwrapped(image))
        return model(image)[0, 1]

    right = _climbed(score, start, 0.5, 5)
    asked.clear()
    result = tensor(answer(score, start, 0.5, 5), start.shape)
    looks = [Look(image, lambda point: _gradient(lambda x: model(x)[0, 1], point), {}) for image in asked]
    if is_close(result, start, 1e-6):
        raise Wrong("the image did not move")
    legal(result)
    mistakes = {
        "each step is as long as the gradient: divide it by its norm first": _climbed(score, start, 0.5, 5, raw=True),
        "clamp after *every* step, not only at the end": _climbed(score, start, 0.5, 5, unclamped=True, late=True),
        "the gradients of earlier steps are added to the new one: `backward()` does that, unless you first set the "
        "image's `grad` to None": _climbed(score, start, 0.5, 5, added_up=True),
        "compute the gradient again in *every* step, at the current image": _climbed(score, start, 0.5, 5, once=True),
        "it returns after one step: is the `return` inside the loop?": _climbed(score, start, 0.5, 1),
    }
    if not is_close(result, right, 1e-3):
        for text, mistaken in mistakes.items():
            if is_close(result, mistaken, 1e-3):
                raise Wrong(text)
        if not is_close(asked[0] if asked else start, start, 1e-6):
            raise Wrong("the first gradient is not taken at `start`: begin there")
        follow(looks, result, 5, 0.5, climbed="the score")
    for length, steps in ((0.1, 2), (1.0, 3)):
        other = tensor(answer(score, start, length, steps), start.shape)
        message = f"right for five steps of 0.5, but not for {steps} of {length:g}: use `length` and `steps`"
        compare(other, _climbed(score, start, length, steps), {}, message, 1e-3)


def _gradient(score: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    leaf = image.detach().clone().requires_grad_()
    return torch.autograd.grad(score(leaf), leaf)[0]


def variation(answer: Answer, seed: int, device: torch.device) -> None:
    image = random((3, 3, 6, 9), seed, device)
    down, right = image.diff(dim=2), image.diff(dim=3)

    def total(*pairs: Tensor, size=torch.abs, reduce=torch.sum) -> Tensor:
        return sum(reduce(size(differences), (1, 2, 3)) for differences in pairs)

    expected, colours = total(down, right), total(image.diff(dim=1))
    around = [image - image.roll(1, dim) for dim in (2, 3)]
    mistakes = {
        "the last pixel is compared with the first one, on the other side of the image: they are not neighbours": total(
            *around
        ),
        "the colours of a pixel are compared with each other: they are not neighbours": expected + colours,
        "dimension 1 holds the colours, 2 the rows and 3 the columns": colours + total(down),
        "the sign is reversed: a variation is never negative": -expected,
        "the images of the batch are added up: return one number per image": expected.sum().expand(3),
        "each pair of neighbours is counted twice": 2 * expected,
        "this is the mean over the colours: add all three": expected / 3,
        "the differences go from 0 to 1, as the values do: do not multiply by 255": 255 * expected,
    }
    for colour, name in enumerate(("red", "green", "blue")):
        mistakes[f"only the {name} values are compared: add up all three colours"] = total(
            down[:, colour : colour + 1], right[:, colour : colour + 1]
        )
    directions = {
        "": (down, right),
        "only pixels one below the other are compared: pairs that lie side by side count as well": (down,),
        "only pixels side by side are compared: pairs that lie one below the other count as well": (right,),
    }
    sizes = {
        "": torch.abs,
        "rises and falls cancel: take the absolute value of each difference": lambda x: x,
        "the differences are squared: take their absolute values instead": torch.square,
    }
    reductions = {"": torch.sum, "this is a mean: take the *sum*": torch.mean}
    for (where, pairs), (how, size), (what, reduce) in itertools.product(
        directions.items(), sizes.items(), reductions.items()
    ):
        if text := "; and ".join(part for part in (where, how, what) if part):
            mistakes[text] = total(*pairs, size=size, reduce=reduce)
    result = tensor(answer(image), (3,))
    compare(result, expected, mistakes)
    one_by_one(answer, result, (image,))
    if not is_close(tensor(answer(torch.full_like(image, 0.3)), (3,)), torch.zeros(3, device=device)):
        raise Wrong("for a plain picture, in which all neighbours are equal, the result should be 0")
    leaf = image.clone().requires_grad_()
    gradient = torch.autograd.grad(leaf.diff(dim=2).abs().sum() + leaf.diff(dim=3).abs().sum(), leaf)[0]
    message = "the values are right, but the gradient with respect to the image is not: is a part of it detached?"
    compare(lets_gradients_through(answer, image), gradient, message=message)


def jitter(answer: Answer, seed: int, device: torch.device) -> None:
    count, height, width, most = 3400, 18, 20, 8
    place = torch.arange(height * width, device=device).float().view(1, 1, height, width).repeat(count, 3, 1, 1)
    generator = torch.Generator(device)
    result = tensor(uses_only(generator, answer, place), place.shape)
    first = result[:, 0, 0, 0].round().long()
    moves = torch.stack([-(first // width), -(first % width)], 1)  # how far each image was moved: down, to the right
    size = torch.tensor([height, width], device=device)
    moves = (moves + size // 2) % size - size // 2
    rows = (torch.arange(height, device=device) - moves[:, :1]) % height
    columns = (torch.arange(width, device=device) - moves[:, 1:]) % width
    expected = (rows[:, :, None] * width + columns[:, None, :]).float()[:, None].expand_as(place)
    if not torch.equal(result, expected):
        raise Wrong(_not_a_move(result, expected, place))
    for axis, name in enumerate(["up and down", "left and right"]):
        low, high = moves[:, axis].min().item(), moves[:, axis].max().item()
        if low == high:
            raise Wrong(f"{'no image was moved' if low == 0 else 'all images were moved by the same amount'} {name}")
        if (low, high) != (-most, most):
            raise Wrong(f"the moves {name} go from {low} to {high} pixels, but they should go from -{most} to {most}")
    if torch.equal(moves[:, 0], moves[:, 1]) or torch.equal(moves[:, 0], -moves[:, 1]):
        raise Wrong("each image moves as far down as to the right: draw two separate numbers for each image")
    if len(moves.unique(dim=0)) < 200 or torch.corrcoef(moves.T.float())[0, 1].abs() > 0.1:
        raise Wrong(
            f"only {len(moves.unique(dim=0))} of the 17 x 17 moves came up for {count} images, or the two numbers of "
            "an image depend on each other: draw two separate numbers for each image"
        )
    if (moves[1:] == moves[:-1]).all(1).float().mean() > 0.05:
        raise Wrong("several images share a move: draw separately for each image")
    for axis, name in enumerate(["up and down", "left and right"]):
        counts = torch.bincount(moves[:, axis] + most, minlength=2 * most + 1)
        usual = count / (2 * most + 1)
        if ((counts - usual).square() / usual).sum() > 65:  # 16 on average; chance goes beyond 65 once in ten million
            rare, often = int(counts.argmin()) - most, int(counts.argmax()) - most
            raise Wrong(
                f"the moves {name} are not equally probable: in {count} images, {often} came up {int(counts.max())} "
                f"times and {rare} only {int(counts.min())} times"
            )
    few = random((2, 3, height, width), seed, device)
    lets_gradients_through(answer, few, generator)


def _not_a_move(result: Tensor, expected: Tensor, place: Tensor) -> str:
    if not torch.equal(result.flatten(2).sort(2).values, place.flatten(2)):
        return (
            "pixels are lost, or made up, at the edges: what leaves a picture on one side should come in on the "
            "opposite side"
        )
    if torch.equal(result[:, 0], expected[:, 0]):
        return "the three colours of a picture moved by different amounts: they should move together"
    if torch.equal(result.sort(0).values, place):
        return "the pixels of a picture stay where they are: move them"
    return "the pixels of a picture are in another order, not just moved up or down and left or right"


def dream_of(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    image = random((1, 3, 8, 8), seed, device)
    image[..., :2] = image[..., :2].round()  # black and white, where a step may lead out

    def outputs(layer: str, picture: Tensor) -> Tensor:
        return model.features(picture, [layer])[1][layer]

    for layer, steps in {"first": 5, "second": 5, "last": 3}.items():
        shown = watched(model, gradients_only=True)
        result = tensor(answer(model, image, layer, steps), image.shape)
        asked = list(shown)
        *_, final = optimize_pixels(model, image, activation(layer), step=unit_step(0.5), steps=steps)
        if is_close(result, image, 1e-6):
            raise Wrong("it returns the image unchanged")
        legal(result)
        if is_close(result, final.image, 2e-4):
            continue
        if is_close(result, (final.image * 255).round() / 255, 2e-4):
            raise Wrong("the last image was rounded to whole grey levels: return it as it is")
        if asked and (len(asked[0]) != 1 or not is_close(asked[0], image, 1e-6)):
            raise Wrong(
                "the first picture that the network was shown is not the image itself: no views, no octaves and no "
                "other start here"
            )
        mistakes = {
            f"you climb the layer {other!r}, but {layer!r} was asked for": _mean_square(outputs, other)
            for other in ("first", "second", "last")
            if other != layer
        }
        mistakes |= {
            "you climb the mean of the outputs: climb the mean of their *squares*": lambda point, layer=layer: (
                _gradient(lambda x: outputs(layer, x).mean(), point)
            ),
            "you climb the mean of the sizes of the outputs: climb the mean of their *squares*": (
                lambda point, layer=layer: _gradient(lambda x: outputs(layer, x).abs().mean(), point)
            ),
        }
        looks = [Look(picture, _mean_square(outputs, layer), mistakes) for picture in asked]
        follow(looks, result, steps, 0.5, climbed=f"the mean square of the layer {layer!r}")


def _mean_square(outputs: Callable[[str, Tensor], Tensor], layer: str) -> Callable[[Tensor], Tensor]:
    return lambda point: _gradient(lambda x: outputs(layer, x).square().mean(), point)
