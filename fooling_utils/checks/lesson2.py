"""Checks of lesson 2: the loop, FGSM, the L2 ball, equal noise, a corner, a patch, and a change that survives JPEG."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from ..constraints import inside_mask
from ..images import per_image, through_jpeg
from ..models import Classifier
from ..objectives import Objective, away_from, logit, toward
from ..optimize import last, optimize_pixels
from ..steps import Step, sign_step, unit_step
from .core import (
    Answer,
    Wrong,
    compare,
    exercise,
    is_close,
    legal,
    normal,
    one_by_one,
    question,
    random,
    small_network,
    tensor,
    uses_only,
    watched,
)


def _of_targets(model: Classifier, image: Tensor, targets: Tensor) -> Tensor:
    return model.probabilities(image.clamp(0, 1)).gather(1, targets[:, None])[:, 0]


@exercise("2.0", "Write the loop", "climb")
def climb(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    image = random((1, 3, 8, 8), seed, device)
    image[:, :, :2] = image[:, :, :2].round()  # black and white, where a step may lead out
    target, length, steps = int(model(image).argmin()), 0.4, 5

    def after(
        steps: int, length: float = length, objective: Objective | None = None, step: Step | None = None
    ) -> Tensor:
        goal, step = objective or toward(target), step or unit_step(length)
        return last(optimize_pixels(model, image, goal, step=step, steps=steps)).image

    def unit_gradient(picture: Tensor) -> Tensor:
        leaf = picture.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(leaf).log_softmax(1)[0, target], leaf)
        return gradient / gradient.norm()

    first, straight, free = unit_gradient(image), image, image
    for _ in range(steps):
        straight, free = (straight + length * first).clamp(0, 1), free + length * unit_gradient(free)
    mistakes = {
        "it takes one step too few": after(steps - 1),
        "it takes one step too many": after(steps + 1),
        "it takes only one step": after(1),
        "compute the gradient again in *every* step, at the current image": straight,
        "clamp after *every* step, not only at the end": free.clamp(0, 1),
        "this climbs the logit: climb the *log-probability*, which `log_softmax` gives": after(
            steps, objective=logit(target)
        ),
        "each step is as long as the gradient is: divide the gradient by its norm first": after(
            steps, step=Step(lambda start: None, lambda gradient, state: (length * gradient, state))
        ),
        "every value moves by `length`: only the step as a whole should have that length": after(
            steps, step=sign_step(length)
        ),
    }
    result = tensor(answer(model, image, target, length, steps), image.shape)
    if is_close(result, image, 1e-6):
        raise Wrong("the image did not move")
    before, reached = (model.probabilities(one.clamp(0, 1))[0, target].item() for one in (image, result))
    if is_close(result.clamp(0, 1), after(steps, objective=away_from(target)), 1e-3):
        raise Wrong(f"the sign is reversed: the probability of the target fell from {before:.3f} to {reached:.3f}")
    legal(result)
    compare(result, after(steps), mistakes, "the image is not where these steps should lead", 1e-3)
    other = tensor(answer(model, image, target, 0.1, 2), image.shape)
    compare(other, after(2, 0.1), {}, "right only for some lengths and numbers of steps", 1e-3)


@exercise("2.1", "FGSM, one step with signs", "fgsm_toward")
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
    }
    change = (result - image).abs().max().item()
    if change > epsilon * 1.001:
        raise Wrong(f"a value moved by {change:.3f}, which is more than epsilon ({epsilon})")
    legal(result)
    compare(result, right, mistakes, "the change is not epsilon times the sign of the gradient of log p(target)")
    one_by_one(lambda *one: answer(model, *one, epsilon), result, (image, targets))


@exercise("2.2", "Back into the ball", "into_l2_ball")
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


@exercise("2.3", "Noise of equal size", "noise_like")
def noise_like(answer: Answer, seed: int, device: torch.device) -> None:
    sizes = torch.tensor([0.5, 2.0, 8.0], device=device)
    change = random((3, 3, 24, 24), seed, device) - 0.4
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
    if (values.mean(1) / values.std(1)).abs().max() > 0.15:
        raise Wrong("the mean of the noise is not zero: it should push values up as much as down")
    beyond = (values.abs() > values.std(1, keepdim=True)).float().mean().item()
    if not 0.27 < beyond < 0.37:
        raise Wrong(f"{beyond:.0%} of the values are beyond one standard deviation: in Gaussian noise, 32 % are")
    if (torch.corrcoef(values) - torch.eye(3, device=device)).abs().max() > 0.3:
        raise Wrong("the images of the batch got the same noise, scaled: each should get its own")
    if (noise[:, 0] - noise[:, 1]).abs().max() < 1e-6:
        raise Wrong("the three colours of a pixel got the same noise: every value should get its own")


@exercise("2.4", "Hide it in a corner", "in_the_corner")
def in_the_corner(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device)
    image = random((1, 3, 8, 8), seed, device)
    target = int(model(image).argmin())
    shown = watched(model)
    for size, steps in ((4, 12), (3, 6)):
        mask = torch.zeros(1, 1, 8, 8, device=device)
        mask[..., :size, :size] = 1
        inside = inside_mask(image, mask)
        final = last(optimize_pixels(model, image, toward(target), constraint=inside, steps=steps))
        shown.clear()
        result = tensor(answer(model, image, target, size, steps), image.shape)
        looked = [_changed(picture, image) for picture in shown]
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
        if any(one[size:].any() or one[:, size:].any() for one in looked):
            raise Wrong(
                "the network was shown an image that is changed outside the corner: search *inside* the corner, "
                "instead of cutting it out of a finished change"
            )
        before, after, goal = (
            model.probabilities(picture)[0, target].item() for picture in (image, result, final.image)
        )
        if after < before:
            raise Wrong(f"the probability of the target fell from {before:.3f} to {after:.3f}: is it the right target?")
        if after < goal - 0.02 * (goal - before):
            raise Wrong(
                f"only the corner changed, but in {steps} steps of 0.3 the target only rose from {before:.3f} to "
                f"{after:.3f}, and {goal:.3f} is within reach: are the steps right, and the target?"
            )
        if after > goal + 0.05 and (result - image).norm() > 0.3 * steps * 1.01:
            raise Wrong(f"the image moved by {(result - image).norm():.2f}, too far for {steps} steps of 0.3")


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


def _found_at(image: Tensor, shown: Sequence[Tensor], size: int) -> set[tuple[int, int]]:
    places = set()
    for picture in torch.cat(list(shown)):
        changed = (picture - image[0]).abs().amax(0) > 1e-6
        if changed.any():
            row, column = (int(changed.any(dim).nonzero()[0]) for dim in (1, 0))
            last_row, last_column = (int(changed.any(dim).nonzero()[-1]) for dim in (1, 0))
            if max(last_row - row, last_column - column) >= size:
                raise Wrong(
                    f"the network was shown an image that differs from the given one in rows {row} to {last_row} and "
                    f"columns {column} to {last_column}: only a patch of {size} x {size} should: do you paste it into "
                    "a fresh copy each time?"
                )
            places.add((row, column))
    return places


@exercise("2.5", "A patch that works anywhere", "learn_patch")
def learn_patch(answer: Answer, seed: int, device: torch.device) -> None:
    height, width, size, steps = 10, 14, 5, 150
    model = Classifier(_Anywhere(seed).eval().to(device), input_shape=(3, height, width), prepare=False)
    image = random((1, 3, height, width), seed, device, 0.4, 0.6)
    plain = [torch.full((1, 3, size, size), shade, device=device) for shade in (0.0, 0.5, 1.0)]
    shares = torch.stack([model.probabilities(_pasted(image, patch)).mean(0) for patch in plain])
    target, grey = int(shares.amax(0).argmin()), plain[1]  # a class that no plain patch gives

    def mean_probability(patch: Tensor) -> float:
        return model.probabilities(_pasted(image, patch))[:, target].mean().item()

    start, goal = mean_probability(grey), mean_probability(_reference_patch(model, image, target, size, 60))
    shown = watched(model)
    result = answer(model, image, target, size, steps, torch.Generator(device).manual_seed(seed))
    patch = legal(tensor(result, (1, 3, size, size), "the patch"))
    if not shown:
        raise Wrong("the network was never called")
    looks, places = len(torch.cat(shown)), _found_at(image, shown, size)
    if is_close(patch, grey, 1e-6):
        raise Wrong("the patch is still grey")
    if (reached := mean_probability(patch)) < start - 0.01:
        raise Wrong(
            f"the sign is reversed: the target has {reached:.3f} with the patch, but {start:.3f} with a grey one"
        )
    if looks < steps:
        raise Wrong(f"{steps} steps were asked for, but the network was shown only {looks} images")
    first = shown[0][:1]
    if ((first - 0.5).abs() > 1e-5).logical_and((first - image).abs() > 1e-6).any():
        raise Wrong("in the first step the patch should be grey, 0.5 everywhere")
    for axis, (name, length) in enumerate({"rows": height, "columns": width}.items()):
        found = {place[axis] for place in places}
        if found != set(range(length - size + 1)):
            raise Wrong(
                f"the upper left corner of the patch was only in {name} {sorted(found)}, but in an image of {length} "
                f"{name} a patch of {size} fits from 0 to {length - size}: every place should come up"
            )
    count = (height - size + 1) * (width - size + 1)
    if len(places) < 0.6 * count:
        raise Wrong(
            f"the patch was tried in only {len(places)} of {count} places: draw row and column separately in each step"
        )
    again = []
    for other in (1, 2):
        torch.manual_seed(other)
        again.append(answer(model, image, target, size, 9, torch.Generator(device).manual_seed(seed)).detach())
    if not is_close(*again, 1e-3):
        raise Wrong("two calls with a generator in the same state differ: take all randomness from `generator`")
    if reached < start + 0.45 * (goal - start):
        raise Wrong(
            f"averaged over all places, the target has {reached:.2f} with the patch and {start:.2f} with a grey one, "
            f"but {goal:.2f} is within reach: does every step have the length 0.3, and climb?"
        )


def _reference_patch(model: Classifier, image: Tensor, target: int, size: int, steps: int) -> Tensor:
    patch = torch.full((1, 3, size, size), 0.5, device=image.device)
    for _ in range(steps):
        patch.requires_grad_()
        score = model(_pasted(image, patch)).log_softmax(1)[:, target].mean()
        (gradient,) = torch.autograd.grad(score, patch)
        patch = (patch.detach() + 0.3 * gradient / gradient.norm()).clamp(0, 1)
    return patch.detach()


@exercise("2.6", "A change that survives JPEG", "jpeg_proof")
def jpeg_proof(answer: Answer, seed: int, device: torch.device) -> None:
    model = small_network(seed, device, size=16, classes=10)
    noise = random((1, 3, 16, 16), seed, device)
    image = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)  # smooth, as photographs are
    target, steps = int(model(through_jpeg(image, 50))[0].topk(2).indices[1]), 12
    spoiled: list[Tensor] = []

    def spoil(picture: Tensor) -> Tensor:
        spoiled.append(through_jpeg(picture.detach().clamp(0, 1), 50))
        return spoiled[-1].clone()

    def after(picture: Tensor) -> float:
        return model.probabilities(spoil(picture))[0, target].item()

    def straight_through(seen: Tensor, _: torch.Generator) -> Tensor:
        return seen + (spoil(seen) - seen).detach()

    proof = last(optimize_pixels(model, image, toward(target), view=straight_through, steps=steps))
    before, goal = after(image), after(proof.image)
    spoiled.clear()
    shown = watched(model)
    result = legal(tensor(answer(model, image, target, spoil, steps), image.shape))
    looks = sum(any((one - other).abs().max() < 1e-5 for other in spoiled) for one in shown)
    reached, moved = after(result), (result - image).norm().item()
    if moved < 1e-6:
        raise Wrong("the image did not change")
    if not looks:
        raise Wrong("the network was never shown what `spoil` returns")
    if reached < before:
        raise Wrong(f"the sign is reversed: after JPEG the target fell from {before:.3f} to {reached:.3f}")
    if looks < steps:
        raise Wrong(f"the network was shown a spoiled image {looks} times in {steps} steps: show it one in every step")
    if moved > 0.3 * steps * 1.01:
        raise Wrong(f"the image moved by {moved:.2f}, too far for {steps} steps of 0.3")
    if reached < before + 0.8 * (goal - before):
        raise Wrong(
            f"after JPEG the target rose from {before:.2f} to {reached:.2f}, but {goal:.2f} is within reach in {steps} "
            "steps of 0.3: does every step begin at the *unspoiled* image?"
        )


question("2.7", "Is it a danger?")
