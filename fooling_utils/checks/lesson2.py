"""Checks of lesson 2: the loop, FGSM, the L2 ball, equal noise, a corner, a patch, and a change that survives JPEG."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..constraints import inside_mask
from ..images import per_image, through_jpeg
from ..models import Classifier
from ..objectives import logit, toward
from ..optimize import last, optimize_pixels
from .core import (
    Answer,
    Climbed,
    Look,
    Wrong,
    compare,
    follow,
    is_close,
    legal,
    normal,
    one_by_one,
    random,
    small_network,
    tensor,
    uses_only,
    watched,
    writes_the_loop,
)


def _of_targets(model: Classifier, image: Tensor, targets: Tensor) -> Tensor:
    return model.probabilities(image.clamp(0, 1)).gather(1, targets[:, None])[:, 0]


def climb(answer: Answer, seed: int, device: torch.device) -> None:
    hint = "this climbs the logit: climb the *log-probability*, which `log_softmax` gives"
    told = "the probability of the target"
    climbed = Climbed(toward, lambda z: z.log_softmax(1), lambda z: z.softmax(1), told, logit, hint)
    writes_the_loop(answer, seed, device, 0.4, climbed)


def fgsm_toward(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    image = random((3, 3, 8, 8), seed, device)
    image[:, :, :2] = image[:, :, :2].round()  # black and white, where a step may lead out
    targets, epsilon = model(image).detach().topk(3).indices[range(3), [2, 1, 1]], 0.03
    leaf = image.clone().requires_grad_()
    log_p = model(leaf).log_softmax(1).gather(1, targets[:, None]).sum()
    (gradient,) = torch.autograd.grad(log_p, leaf)
    right = (image + epsilon * gradient.sign()).clamp(0, 1)

    result = tensor(answer(model, image, targets, epsilon), image.shape)
    if is_close(result, image, 1e-6):
        raise Wrong("the image did not move")
    before, after = _of_targets(model, image, targets)[0].item(), _of_targets(model, result, targets)[0].item()
    reversed_sign = image - epsilon * gradient.sign()
    if is_close(result.clamp(0, 1), reversed_sign.clamp(0, 1)):
        raise Wrong(f"the sign is reversed: the probability of the target fell from {before:.3f} to {after:.3f}")

    def signs(score: Callable[[Tensor], Tensor]) -> Tensor:
        (other,) = torch.autograd.grad(score(model(leaf)), leaf)
        return (image + epsilon * other.sign()).clamp(0, 1)

    norms = gradient.flatten(1).norm(dim=1)
    mistakes = {
        "every value should move by epsilon, whatever the size of its gradient: this moves along the gradient itself": (
            image + epsilon * gradient
        ).clamp(0, 1),
        "this is a step of L2 length epsilon: every *value* should move by epsilon": (
            image + epsilon * gradient / per_image(norms, gradient)
        ).clamp(0, 1),
        "off by a factor of 255: epsilon is already on the scale from 0 to 1": (
            image + epsilon / 255 * gradient.sign()
        ).clamp(0, 1),
        "every value went up: take the *sign* of the gradient, which may be negative": (image + epsilon).clamp(0, 1),
        "every image moved toward the first target: each image has a target of its own": signs(
            lambda z: z.log_softmax(1)[:, targets[0]].sum()
        ),
        "every image moved toward the targets of all images: `[:, targets]` takes a table, and each image needs one "
        "entry, its own": signs(lambda z: z.log_softmax(1)[:, targets].sum()),
        "this raises the logit of the target: raise its log-probability": signs(lambda z: z[range(3), targets].sum()),
        "this moves away from the most probable class, not toward the targets": signs(
            lambda z: -z.log_softmax(1).amax(1).sum()
        ),
        "the probabilities must add up to 1 over the classes (dimension 1), not over the images": signs(
            lambda z: z.log_softmax(0)[range(3), targets].sum()
        ),
    }
    moved = (result - image).abs()
    inside = (right > 0) & (right < 1)
    if is_close(result.clamp(0, 1), right) and not is_close(result, right):
        legal(result)
    if moved[inside].std() < 1e-5 and not 0.99 < (size := moved[inside].mean().item()) / epsilon < 1.01:
        mistakes[f"every value moved by {size:.3g}, but epsilon is {epsilon}"] = result
    change = (result - image).abs().max().item()
    if change > epsilon * 1.001:
        raise Wrong(f"a value moved by {change:.3f}, which is more than epsilon ({epsilon})")
    legal(result)
    compare(result, right, mistakes, "the change is not epsilon times the sign of the gradient of log p(target)")
    one_by_one(lambda *one: answer(model, *one, epsilon), result, (image, targets))


def into_l2_ball(answer: Answer, seed: int, device: torch.device) -> None:
    centre = random((4, 3, 6, 6), seed, device, 0.3, 0.7)
    direction = normal((4, 3, 6, 6), seed + 1, device)
    direction = direction / per_image(direction.flatten(1).norm(dim=1), direction)
    image = centre + direction * torch.tensor([9.0, 0.5, 0.7, 15.0], device=device).view(4, 1, 1, 1)
    radius = 0.8
    change = image - centre
    norms = per_image(change.flatten(1).norm(dim=1), change)
    right = centre + change * (radius / norms).clamp(max=1)
    mistakes = {
        "it returns the image unchanged": image,
        "it returns the centre": centre,
        "images that are already inside the ball should stay as they are: do not push them out to its surface": centre
        + change * radius / norms,
        "every image was drawn to the first centre: each has a centre of its own": centre[:1]
        + (image - centre[:1]) * (radius / per_image((image - centre[:1]).flatten(1).norm(dim=1), change)).clamp(max=1),
        "the whole batch shares one norm: each image has its own ball": centre
        + change * min(1.0, radius / change.norm().item()),
        "the ball is around the centre, not around black": image
        * (radius / per_image(image.flatten(1).norm(dim=1), image)),
        "this clips every value: that is the L∞ ball": centre + change.clamp(-radius, radius),
        "the norm is the *root* of the sum of the squares": centre + change * (radius / norms.square()).clamp(max=1),
        "this is the mean of the squares, not their sum": centre
        + change * (radius / change.flatten(1).square().mean(1).sqrt().view(-1, 1, 1, 1)).clamp(max=1),
        "this is the excess: return the point on the surface": image - right + centre,
        "this is only the change: add the centre": right - centre,
    }
    result = tensor(answer(image, centre, radius), image.shape)
    compare(result, right, mistakes)
    one_by_one(lambda *one: answer(*one, radius), result, (image, centre))
    if not is_close(tensor(answer(centre, centre, radius), image.shape), centre):
        raise Wrong("the centre itself is in the ball and should stay where it is")
    if not is_close(tensor(answer(image, centre, 0.0), image.shape), centre):
        raise Wrong("a ball of radius 0 holds only its centre: with radius 0, every image should move there")


def noise_like(answer: Answer, seed: int, device: torch.device) -> None:
    sizes = torch.tensor([0.5, 2.0, 8.0], device=device)
    change = random((3, 3, 40, 40), seed, device) - 0.4
    change = change * per_image(sizes / change.flatten(1).norm(dim=1), change)
    noise = tensor(uses_only(torch.Generator(device), answer, change), change.shape)
    norms = noise.flatten(1).norm(dim=1)
    if not is_close(norms, sizes, 1e-3):
        if abs(noise.norm() / change.norm() - 1).item() < 1e-3:
            raise Wrong("the batch as a whole has the right size: each noise should have the size of *its own* change")
        raise Wrong(
            f"the first change has the L2 norm {sizes[0]:.3g}, but its noise has {norms[0]:.3g}: they should be equal"
        )
    values = noise.flatten(1)
    if (values.abs().sort(1).values - change.flatten(1).abs().sort(1).values).abs().max() < 1e-6:
        raise Wrong("these are the values of the change itself, in another order or with new signs: draw new ones")
    values = values / values.std(1, keepdim=True)
    if values.mean(1).abs().max() > 0.07:
        raise Wrong("the mean of the noise is not zero: it should push values up as much as down")
    _are_gaussian(values)
    if (torch.corrcoef(values) - torch.eye(3, device=device)).abs().max() > 0.1:
        raise Wrong("the images of the batch got the same noise, scaled: each should get its own")
    if torch.corrcoef(torch.stack([values.flatten(), (change / per_image(sizes, change)).flatten()]))[0, 1].abs() > 0.1:
        raise Wrong("the noise still contains some of the change: draw it without looking at the change")
    noise = values.view_as(noise)
    if (noise[:, 0] * noise[:, 1]).mean().abs() > 0.1 or (noise[:, 1] * noise[:, 2]).mean().abs() > 0.1:
        raise Wrong("the three colours of a pixel got the same noise, or related noise: draw separately for each value")
    if (noise[..., 1:] * noise[..., :-1]).mean() > 0.1 or (noise[..., 1:, :] * noise[..., :-1, :]).mean() > 0.1:
        raise Wrong("neighbouring pixels got the same noise, or related noise: draw separately for each value")


def _are_gaussian(values: Tensor) -> None:
    # The largest distance between the two distribution functions (Kolmogorov and Smirnov); chance goes beyond once
    # in a hundred thousand.
    ordered = values.flatten().sort().values
    share = torch.arange(1, len(ordered) + 1, device=values.device) / len(ordered)
    if (torch.special.ndtr(ordered) - share).abs().max() < 2.5 / len(ordered) ** 0.5:
        return
    zeros = (values == 0).float().mean().item()
    if zeros > 0.01:
        raise Wrong(f"{zeros:.0%} of the values are exactly zero: in Gaussian noise, hardly any are")
    beyond, far = ((values.abs() > limit).float().mean().item() for limit in (1, 2))
    raise Wrong(
        f"the values are not spread as in Gaussian noise: {beyond:.0%} of them are beyond one standard deviation and "
        f"{far:.0%} beyond two, but it should be 32 % and 5 %"
    )


def in_the_corner(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    image = random((1, 3, 8, 8), seed, device)
    target = int(model(image).argmin())
    shown, asked = watched(model), watched(model, gradients_only=True)
    for size, steps in ((4, 12), (3, 6)):
        mask = torch.zeros(1, 1, 8, 8, device=device)
        mask[..., :size, :size] = 1
        inside = inside_mask(image, mask)
        final = last(optimize_pixels(model, image, toward(target), constraint=inside, steps=steps))
        shown.clear()
        asked.clear()
        result = tensor(answer(model, image, target, size, steps), image.shape)
        looks, points = [_changed(picture, image) for picture in shown], list(asked)
        changed = _changed(result, image)
        if not changed.any():
            raise Wrong("the image did not change")
        rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
        if rows.max() >= size or columns.max() >= size:
            raise Wrong(
                f"pixels outside the corner changed: rows {rows.min()} to {rows.max()}, columns {columns.min()} to "
                f"{columns.max()}, but the corner is rows and columns 0 to {size - 1}"
            )
        if rows.max() < size - 1 and columns.max() < size - 1:
            raise Wrong(f"only {int(rows.max()) + 1} of the {size} rows and columns of the corner were used")
        legal(result)
        if any(one[size:].any() or one[:, size:].any() for one in looks):
            raise Wrong(
                "the network was shown an image that is changed outside the corner: search *inside* the corner, "
                "instead of cutting it out of a finished change"
            )
        if is_close(result, final.image, 2e-4):
            continue
        if points and not is_close(points[0], image, 1e-6):
            raise Wrong("the first gradient is not taken at the given image: begin there")
        follow(
            [look for point in points for look in _corner_looks(model, point, target, mask)],
            result,
            steps,
            0.3,
            lambda picture, inside=inside: inside(picture).clamp(0, 1),
        )


def _corner_looks(model: Classifier, point: Tensor, target: int, mask: Tensor) -> list[Look]:
    # A step may be 0.3 long before it is cut to the corner, as with optimize_pixels, or within the corner.
    whole, others = _log_p(model, target), _other_scores(model, target)
    within = {text: lambda point, other=other: other(point) * mask for text, other in others.items()}
    return [Look(point, lambda point: whole(point) * mask, within), Look(point, whole, others)]


def _gradient(score: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    leaf = image.detach().clone().requires_grad_()
    return torch.autograd.grad(score(leaf), leaf)[0]


def _log_p(model: Classifier, target: int) -> Callable[[Tensor], Tensor]:
    return lambda point: _gradient(lambda x: model(x).log_softmax(1)[0, target], point)


def _other_scores(model: Classifier, target: int) -> dict[str, Callable[[Tensor], Tensor]]:
    def away(point: Tensor) -> Tensor:
        top = model(point)[0].argmax()
        return _gradient(lambda x: -model(x).log_softmax(1)[0, top], point)

    return {
        "you climb the logit of the target: climb its log-probability": lambda point: _gradient(
            lambda x: model(x)[0, target], point
        ),
        "you move away from the most probable class: climb the log-probability of the target": away,
    }


def _changed(image: Tensor, start: Tensor) -> Tensor:
    return ((image - start).abs() > 1e-6).any(1)[0]


class _Anywhere(torch.nn.Module):
    # Evidence per place, summed over the places with different weights: what works in one place may not in another.
    def __init__(self, seed: int):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.filters = torch.nn.Parameter(torch.randn(16, 3, 3, 3, generator=generator) / 4)
        self.shared = torch.nn.Parameter(0.3 * torch.randn(4, 16, 1, 1, generator=generator))
        self.places = torch.nn.Parameter(torch.randn(4, 16, 8, 12, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        seen = torch.tanh(torch.nn.functional.conv2d(images - 0.5, self.filters))
        return torch.einsum("nchw,kchw->nk", seen, self.places + self.shared) / 4


def _pasted(image: Tensor, patch: Tensor) -> Tensor:
    size, pictures = patch.shape[-1], []
    rows, columns = image.shape[-2] - size + 1, image.shape[-1] - size + 1
    for row, column in itertools.product(range(rows), range(columns)):
        pictures.append(image.clone())
        pictures[-1][..., row : row + size, column : column + size] = patch
    return torch.cat(pictures)


def _place_of(picture: Tensor, image: Tensor, size: int) -> tuple[int, int]:
    changed = (picture - image)[0].abs().amax(0) > 1e-6
    if not changed.any():
        raise Wrong("the network was shown the image without the patch on it: in every step, paste the patch first")
    row, column = (int(changed.any(dim).nonzero()[0]) for dim in (1, 0))
    last_row, last_column = (int(changed.any(dim).nonzero()[-1]) for dim in (1, 0))
    if max(last_row - row, last_column - column) >= size:
        raise Wrong(
            f"the network was shown an image that differs from the given one in rows {row} to {last_row} and "
            f"columns {column} to {last_column}, but the patch is only {size} x {size}: do you paste it into a fresh "
            "copy of the image each time?"
        )
    # next to an edge of the patch that happens to equal the image, the place is only known up to the edge of the image
    return min(row, image.shape[-2] - size), min(column, image.shape[-1] - size)


def _not_grey(first: Tensor, image: Tensor, place: tuple[int, int], size: int) -> str:
    row, column = place
    patch, below = (picture[..., row : row + size, column : column + size] for picture in (first, image))
    if any(is_close(patch, mixed, 1e-5) for mixed in (below + 0.5, (below + 0.5).clamp(0, 1), (below + 0.5) / 2)):
        return "the patch is added to the image, which shows through: paste it *over* the image"
    return "in the first step the patch should be grey, 0.5 everywhere, and hide what lies below it"


def learn_patch(answer: Answer, seed: int, device: torch.device) -> None:
    height, width, size, steps = 10, 14, 5, 300
    model = Classifier(_Anywhere(seed).eval().to(device), input_shape=(3, height, width), prepare=False)
    image = random((1, 3, height, width), seed, device, 0.4, 0.6)
    plain = [torch.full((1, 3, size, size), shade, device=device) for shade in (0.0, 0.5, 1.0)]
    shares = torch.stack([model.probabilities(_pasted(image, patch)).mean(0) for patch in plain])
    target, grey = int(shares.amax(0).argmin()), plain[1]  # a class that no plain patch gives

    asked = watched(model, gradients_only=True)
    result = answer(model, image, target, size, steps, torch.Generator(device).manual_seed(seed))
    pictures = list(asked)
    patch = tensor(result, (1, 3, size, size), "the patch")
    if not pictures:
        raise Wrong("no gradient was ever asked of the network")
    if (most := max(len(picture) for picture in pictures)) > 1:
        raise Wrong(f"the network was shown {most} pictures at once: in each step, draw one place and look at that one")
    if is_close(patch, grey, 1e-6):
        raise Wrong("the patch is still grey")
    places = [_place_of(picture, image, size) for picture in pictures]
    row, column = places[0]
    if not is_close(pictures[0][..., row : row + size, column : column + size], grey, 1e-5):
        raise Wrong(_not_grey(pictures[0], image, places[0], size))
    follow(
        [_patch_look(model, *one, target, size) for one in zip(pictures, places, strict=True)],
        patch,
        steps,
        0.3,
        what="patch",
    )
    legal(patch)
    _are_anywhere(places, {"rows": height, "columns": width}, size)

    def first_places(seed_of_torch: int, seed_of_generator: int) -> list[tuple[int, int]]:
        torch.manual_seed(seed_of_torch)
        asked.clear()
        generator = torch.Generator(device).manual_seed(seed_of_generator)
        tensor(answer(model, image, target, 3, 9, generator), (1, 3, 3, 3), "with `size` = 3, the patch")
        if len(asked) not in (9, 10):
            raise Wrong(f"the right steps for `steps` = {steps}, but with `steps` = 9 you take {len(asked)}")
        return [_place_of(picture, image, 3) for picture in asked]

    once, again, other = first_places(1, 1), first_places(2, 1), first_places(3, 2)
    if once != again:
        raise Wrong("two calls with a generator in the same state differ: take all randomness from `generator`")
    if once == other:
        raise Wrong("two generators with different seeds give the same places: draw them with `generator`")


def _patch_look(model: Classifier, picture: Tensor, place: tuple[int, int], target: int, size: int) -> Look:
    row, column = place

    def paste(patch: Tensor) -> Tensor:
        shown = picture.clone()
        shown[..., row : row + size, column : column + size] = patch
        return shown

    def of(score: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda patch: _gradient(lambda x: score(model(paste(x))), patch)

    others = {
        "you climb the logit of the target: climb its log-probability": of(lambda z: z[0, target]),
        "you move away from the most probable class: climb the log-probability of the target": of(
            lambda z: -z.log_softmax(1).amax()
        ),
    }
    return Look(
        picture[..., row : row + size, column : column + size], of(lambda z: z.log_softmax(1)[0, target]), others
    )


def _are_anywhere(places: Sequence[tuple[int, int]], lengths: Mapping[str, int], size: int) -> None:
    for axis, (name, length) in enumerate(lengths.items()):
        found, count = [place[axis] for place in places], length - size + 1
        if set(found) != set(range(count)):
            raise Wrong(
                f"the upper left corner of the patch was only in {name} {sorted(set(found))}, but in an image of "
                f"{length} {name} a patch of {size} fits from 0 to {length - size}: every place should come up"
            )
        usual = len(found) / count
        numbers = [found.count(index) for index in range(count)]
        if sum((one - usual) ** 2 / usual for one in numbers) > 50:  # of 5 or 9 on average: chance, once in 10 million
            rare, often = numbers.index(min(numbers)), numbers.index(max(numbers))
            raise Wrong(
                f"the {name} are not equally probable: in {len(found)} steps the patch began {max(numbers)} times at "
                f"{often} and only {min(numbers)} times at {rare}"
            )
    same = sum(one == other for one, other in itertools.pairwise(places)) / len(places)
    if same > 0.2:
        raise Wrong(f"in {same:.0%} of the steps the patch stayed where it was: draw a new place in each step")
    count = (lengths["rows"] - size + 1) * (lengths["columns"] - size + 1)
    if len(set(places)) < 0.6 * count:
        raise Wrong(
            f"the patch lay in only {len(set(places))} of {count} places: draw row and column separately in each step"
        )


def jpeg_proof(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device, size=16, classes=10)
    noise = random((1, 3, 16, 16), seed, device)
    image = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)  # smooth, as photographs are
    target, steps = int(model(through_jpeg(image, 50))[0].topk(2).indices[1]), 12
    given: list[Tensor] = []  # to spoil
    spoiled: list[Tensor] = []

    def jpeg(picture: Tensor) -> Tensor:
        return through_jpeg(picture.detach().clamp(0, 1), 50)

    def spoil(*arguments: Tensor) -> Tensor:
        if len(arguments) != 1:
            raise TypeError(
                f"`spoil` takes one argument, the image, but got {len(arguments)}: `optimize_pixels` calls a view with "
                "an image and a generator"
            )
        given.append(arguments[0].detach().clone())
        spoiled.append(jpeg(arguments[0]))
        return spoiled[-1].clone()

    def spoiled_gradient(picture: Tensor) -> Tensor:
        return _log_p(model, target)(jpeg(picture))

    def direction(picture: Tensor) -> Tensor:
        gradient = spoiled_gradient(picture)
        return gradient / gradient.norm()

    shown = watched(model)
    result = tensor(answer(model, image, target, spoil, steps), image.shape)
    looks = sum(any((one - other).abs().max() < 1e-5 for other in spoiled) for one in shown)
    if is_close(result, image, 1e-6):
        raise Wrong("the image did not change")
    if not looks:
        raise Wrong("the network was never shown what `spoil` returns")
    if looks < steps:
        raise Wrong(f"the network was shown a spoiled image {looks} times in {steps} steps: show it one in every step")
    ends = [given[-1], given[-1] + 0.3 * direction(given[-1])]
    if any(is_close(result, jpeg(end), 1e-5) for end in ends):
        raise Wrong("the image that you return is spoiled already: return the one that `spoil` has not touched yet")
    if not is_close(given[0], image, 1e-6):
        raise Wrong("the first image that you spoil is not the given one: begin there")
    for earlier, end in zip(given, [*given[1:], result], strict=True):
        seen = jpeg(earlier)
        onward = seen + 0.3 * direction(earlier)
        if not is_close(seen, earlier, 1e-3) and is_close(end, onward.clamp(0, 1), 1e-4):
            raise Wrong("a step begins at the spoiled image: every step should begin at the *unspoiled* one")
    others = {
        "the gradient is taken at the unspoiled image: take it where the network looks, at the spoiled one": _log_p(
            model, target
        )
    }
    others |= {
        text: lambda point, other=other: other(jpeg(point)) for text, other in _other_scores(model, target).items()
    }
    follow([Look(picture, spoiled_gradient, others) for picture in given], result, steps, 0.3)
