"""Answers to the exercises, right ones written in another way than the model solution, and wrong ones.

RIGHT[number]: functions. WRONG[number]: pairs of a function and a part of the message that it should get.
"""

import math

import torch
from torch.nn import functional as F

import fooling_utils as fu
from fooling_utils import optimize_pixels, toward, unit_step, views

RIGHT, WRONG = {}, {}


def right(number):
    """Plant a right answer to exercise `number`."""
    return lambda answer: RIGHT.setdefault(number, []).append(answer) or answer


def wrong(number, message):
    """Plant a wrong answer to exercise `number`, which should get `message`."""
    return lambda answer: WRONG.setdefault(number, []).append((answer, message)) or answer


def norms_of(images):
    return images.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


# --------------------------------------------------------------------------------------------------------- lesson 0

right("0.1")(lambda image: torch.where(image > 1, 1.0, torch.where(image < 0, 0.0, image)))
right("0.1")(lambda image: torch.relu(image) - torch.relu(image - 1))
wrong("0.1", "smallest value is -")(lambda image: image)
wrong("0.1", "should stay as it is")(torch.zeros_like)
wrong("0.1", "its argument `image`")(lambda image: image.clamp_(0, 1))
wrong("0.1", "smallest value is -")(lambda image: image.clamp(max=1))
wrong("0.1", "largest value")(lambda image: image.clamp(min=0))
wrong("0.1", "should stay as it is")(torch.sigmoid)
wrong("0.1", "should stay as it is")(lambda image: (image - image.min()) / (image.max() - image.min()))
wrong("0.1", "should stay as it is")(lambda image: (image / 255).clamp(0, 1))
wrong("0.1", "largest value")(lambda image: image.clamp(0, 255))
wrong("0.1", "nearest")(lambda image: torch.where((image < 0) | (image > 1), 0.5, image))
wrong("0.1", "shape")(lambda image: image[0].clamp(0, 1))
wrong("0.1", "returns nothing")(lambda image: None)
wrong("0.1", "of type float")(lambda image: 0.5)
wrong("0.1", "int64")(lambda image: image.clamp(0, 1).long())

right("0.2")(lambda logits, classes: F.cross_entropy(logits, classes, reduction="none"))
right("0.2")(lambda logits, classes: logits.logsumexp(1) - logits.gather(1, classes[:, None])[:, 0])
right("0.2")(
    lambda logits, classes: torch.stack([-row.log_softmax(0)[k] for row, k in zip(logits, classes, strict=True)])
)
wrong("0.2", "sign is reversed")(lambda logits, classes: logits.log_softmax(1)[range(len(logits)), classes])
wrong("0.2", "one result per image")(lambda logits, classes: F.cross_entropy(logits, classes))
wrong("0.2", "logits")(lambda logits, classes: -logits[range(len(logits)), classes])
wrong("0.2", "take its logarithm")(lambda logits, classes: -logits.softmax(1)[range(len(logits)), classes])
wrong("0.2", "add up to 1 over the images")(lambda logits, classes: -logits.log_softmax(0)[range(len(logits)), classes])
wrong("0.2", "same class")(lambda logits, classes: -logits.log_softmax(1)[:, classes[0]])
wrong("0.2", "same score")(lambda logits, classes: F.cross_entropy(logits, classes).expand(len(logits)))
wrong("0.2", "for large logits your result holds nan or infinity")(
    lambda logits, classes: -logits.softmax(1).log()[range(len(logits)), classes]
)
wrong("0.2", "large ones")(lambda logits, classes: -(logits.softmax(1) + 1e-9).log()[range(len(logits)), classes])
wrong("0.2", "same score")(lambda logits, classes: torch.zeros(len(logits)))
wrong("0.2", "no gradient comes back")(
    lambda logits, classes: F.cross_entropy(logits.detach(), classes, reduction="none")
)
wrong("0.2", "no gradient comes back")(
    lambda logits, classes: torch.tensor(
        [-row.log_softmax(0)[k].item() for row, k in zip(logits, classes, strict=True)]
    )
)


@wrong("0.2", "is a part detached?")
def half_detached(logits, classes):
    return logits.logsumexp(1).detach() - logits[range(len(logits)), classes]


@wrong("0.2", "no gradient comes back")
@torch.no_grad()
def without_gradients(logits, classes):
    return -logits.log_softmax(1)[range(len(logits)), classes]


wrong("0.2", "divided among the images")(
    lambda logits, classes: F.cross_entropy(logits, classes, reduction="none") / len(logits)
)
wrong("0.2", "shape (6,), but it has (6, 5)")(lambda logits, classes: -logits.log_softmax(1))
wrong("0.2", "stops with IndexError")(lambda logits, classes: -logits.log_softmax(1)[0, classes[9]])

# --------------------------------------------------------------------------------------------------------- lesson 1


@right("1.1")
def climb_with_backward(score, start, length, steps):
    x = start.detach().clone().requires_grad_(True)
    for _ in range(steps):
        x.grad = None
        score(x).backward()
        with torch.no_grad():
            x += length * F.normalize(x.grad.flatten(), dim=0).view_as(x)
            x.clamp_(0, 1)
    return x.detach()


@right("1.1")
def climb_with_func(score, start, length, steps):
    x = start
    for _ in range(steps):
        gradient = torch.func.grad(lambda image: score(image).squeeze())(x)
        x = torch.clamp(x + length * gradient / torch.sqrt((gradient**2).sum()), 0, 1)
    return x


@right("1.1")
def climb_and_watch(score, start, length, steps):
    x = start.clone()
    for _ in range(steps):
        leaf = x.detach().clone().requires_grad_(True)
        value = score(leaf)
        value.backward()
        x = (leaf.data + length * leaf.grad / leaf.grad.norm()).clamp(0, 1)
        assert score(x) == score(x.clone().requires_grad_())
    return x


@wrong("1.1", "still asks for a gradient")
def climb_and_return_a_leaf(score, start, length, steps):
    x = start.clone().requires_grad_()
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(score(x), x)
        x = (x.detach() + length * gradient / gradient.norm()).clamp(0, 1).requires_grad_()
    return x


def climbing(move, clamp=lambda x: x.clamp(0, 1), extra=0, finish=lambda x: x):
    def climb(score, start, length, steps):
        x = start.clone()
        for _ in range(steps + extra):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(x), x)
            x = clamp(x.detach() + move(length, gradient))
        return finish(x.detach())

    return climb


def unit(length, gradient):
    return length * gradient / gradient.norm()


right("1.1")(climbing(unit))
wrong("1.1", "did not move")(lambda score, start, length, steps: start.clone())
wrong("1.1", "the sign is reversed")(climbing(lambda length, g: -unit(length, g)))
wrong("1.1", "leaves [0, 1]")(climbing(unit, clamp=lambda x: x))
wrong("1.1", "after *every* step")(climbing(unit, clamp=lambda x: x, finish=lambda x: x.clamp(0, 1)))
wrong("1.1", "divide it by its norm")(climbing(lambda length, g: length * g))
wrong("1.1", "*signs* of the gradient")(climbing(lambda length, g: length * g.sign()))
wrong("1.1", "one step too few")(climbing(unit, extra=-1))
wrong("1.1", "one step too many")(climbing(unit, extra=1))
wrong("1.1", "its length is 2: it should be 0.5")(climbing(lambda length, g: unit(2.0, g)))
wrong("1.1", "use `length` and `steps`")(climbing(lambda length, g: unit(0.5, g)))
wrong("1.1", "use `length` and `steps`")(lambda score, start, length, steps: climbing(unit)(score, start, length, 5))
wrong("1.1", "begin there")(lambda score, start, length, steps: climbing(unit)(score, start * 0 + 0.5, length, steps))
wrong("1.1", "in line 1 of your function")(lambda score, start, length, steps: torch.autograd.grad(score(start), start))
wrong("1.1", "its argument `start`")(lambda score, start, length, steps: start.add_(0.01).clamp(0, 1))
wrong("1.1", "switches on gradients for its argument `start`")(
    lambda score, start, length, steps: climbing(unit)(score, start.requires_grad_(), length, steps)
)
wrong("1.1", "still attached to its graph")(
    lambda score, start, length, steps: (start + torch.ones(1, requires_grad=True)).clamp(0, 1)
)


@wrong("1.1", "the gradients of earlier steps are added")
def climb_without_forgetting(score, start, length, steps):
    x = start.clone().requires_grad_()
    for _ in range(steps):
        score(x).backward()
        with torch.no_grad():
            x += unit(length, x.grad)
            x.clamp_(0, 1)
    return x.detach()


@wrong("1.1", "again in *every* step")
def climb_in_one_direction(score, start, length, steps):
    x = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(x), x)
    x = x.detach()
    for _ in range(steps):
        x = (x + unit(length, gradient)).clamp(0, 1)
    return x


wrong("1.1", "shape")(climbing(unit, finish=lambda x: x[0]))
wrong("1.1", "its length is 0.00196")(climbing(lambda length, g: unit(length / 255, g)))
wrong("1.1", "inside the loop")(lambda score, start, length, steps: climbing(unit)(score, start, length, 1))


@right("1.0")
def climb_logit_with_the_library(model, image, target, length, steps):
    return fu.last(optimize_pixels(model, image, fu.logit(target), step=unit_step(length), steps=steps)).image


def climbing_logit(move=unit, score=lambda z: z, finish=lambda x: x, **changes):
    def climb_logit(model, image, target, length, steps):
        loop = climbing(move, **changes)
        return finish(loop(lambda x: score(model(x))[0, target], image, length, steps))

    return climb_logit


right("1.0")(climbing_logit())
wrong("1.0", "did not move")(lambda model, image, target, length, steps: image.clone())
wrong("1.0", "sign is reversed: the logit fell")(climbing_logit(move=lambda length, g: -unit(length, g)))
wrong("1.0", "leaves [0, 1]")(climbing_logit(clamp=lambda x: x))
wrong("1.0", "after *every* step")(climbing_logit(clamp=lambda x: x, finish=lambda x: x.clamp(0, 1)))
wrong("1.0", "divide the gradient by its norm")(climbing_logit(move=lambda length, g: length * g))
wrong("1.0", "only the step as a whole")(climbing_logit(move=lambda length, g: length * g.sign()))
wrong("1.0", "climb the *logit*")(climbing_logit(score=lambda z: z.log_softmax(1)))
wrong("1.0", "one step too few")(climbing_logit(extra=-1))
wrong("1.0", "one step too many")(climbing_logit(extra=1))
wrong("1.0", "not where these steps should lead")(climbing_logit(move=lambda length, g: unit(0.3, g)))
wrong("1.0", "right only for some lengths")(climbing_logit(move=lambda length, g: unit(0.5, g)))
wrong("1.0", "not where these steps should lead")(
    lambda model, image, target, length, steps: climbing_logit()(model, image, (target + 1) % 5, length, steps)
)
wrong("1.0", "switches on gradients for its argument `image`")(
    lambda model, image, target, length, steps: climbing_logit()(model, image.requires_grad_(), target, length, steps)
)
wrong("1.0", "`detach()` it")(climbing_logit(finish=lambda x: x + 0 * torch.ones(1, requires_grad=True)))


@wrong("1.0", "again in *every* step")
def climb_logit_in_one_direction(model, image, target, length, steps):
    first = climbing_logit(clamp=lambda x: x)(model, image, target, length, 1) - image
    for _ in range(steps):
        image = (image + first).clamp(0, 1)
    return image


@right("1.2")
def variation_with_slices(image):
    down = (image[:, :, 1:] - image[:, :, :-1]).abs()
    across = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs()
    return torch.stack([down[i].sum() + across[i].sum() for i in range(len(image))])


def rows_and_columns(image):
    return image.diff(dim=2), image.diff(dim=3)


def varying(size, total):
    def variation(image):
        down, across = rows_and_columns(image)
        return total(size(down)) + total(size(across))

    return variation


def per_member(x):
    return x.sum((1, 2, 3))


wrong("1.2", "shape")(lambda image: image)
wrong("1.2", "stops with RuntimeError")(  # `...` as an index is no stub
    lambda image: ((image[..., 1:, :] - image[..., :-1, :]) + (image[..., 1:] - image[..., :-1])).abs().sum((1, 2, 3))
)
wrong("1.2", "the values are wrong")(lambda image: torch.zeros(len(image)))
wrong("1.2", "only pixels one below the other are compared")(lambda image: per_member(image.diff(dim=2).abs()))
wrong("1.2", "only pixels side by side are compared")(lambda image: per_member(image.diff(dim=3).abs()))
wrong("1.2", "rises and falls cancel")(varying(lambda x: x, per_member))
wrong("1.2", "squared")(varying(torch.square, per_member))
wrong("1.2", "mean")(varying(torch.abs, lambda x: x.mean((1, 2, 3))))
wrong("1.2", "one result per image")(varying(torch.abs, torch.sum))
wrong("1.2", "return one number per image")(lambda image: varying(torch.abs, torch.sum)(image).expand(len(image)))
wrong("1.2", "other side of the image")(
    lambda image: per_member((image - image.roll(1, 2)).abs()) + per_member((image - image.roll(1, 3)).abs())
)
wrong("1.2", "sign is reversed")(lambda image: -variation_with_slices(image))
wrong("1.2", "colours of a pixel")(lambda image: variation_with_slices(image) + per_member(image.diff(dim=1).abs()))
wrong("1.2", "dimension 1 holds the colours")(
    lambda image: per_member(image.diff(dim=1).abs()) + per_member(image.diff(dim=2).abs())
)
wrong("1.2", "multiply by 255")(lambda image: 255 * variation_with_slices(image))
wrong("1.2", "lie side by side count as well; and the differences are squared")(
    lambda image: per_member(image.diff(dim=2).square())
)
wrong("1.2", "lie one below the other count as well; and this is a mean")(
    lambda image: image.diff(dim=3).abs().mean((1, 2, 3))
)
wrong("1.2", "no gradient comes back")(lambda image: variation_with_slices(image.detach()))
wrong("1.2", "no gradient comes back")(lambda image: torch.tensor([variation_with_slices(one[None]) for one in image]))
wrong("1.2", "only the red values")(lambda image: variation_with_slices(image[:, :1]))
wrong("1.2", "the mean over the colours")(lambda image: variation_with_slices(image) / 3)
wrong("1.2", "counted twice")(lambda image: 2 * variation_with_slices(image))
wrong("1.2", "a plain picture")(lambda image: variation_with_slices(image) + (variation_with_slices(image) == 0))
wrong("1.2", "shape (3,), but it has (3, 3)")(
    lambda image: image.diff(dim=2).abs().sum((2, 3)) + image.diff(dim=3).abs().sum((2, 3))
)
right("1.2")(
    lambda image: sum((image - image.roll(1, d)).abs().narrow(d, 1, image.shape[d] - 1).sum((1, 2, 3)) for d in (2, 3))
)
right("1.2")(lambda image: torch.stack([one.diff(dim=1).norm(1) + one.diff(dim=2).norm(1) for one in image]))


@right("1.3")
def jitter_by_index(image, generator):
    n, _, height, width = image.shape
    rows, columns = torch.arange(height), torch.arange(width)
    moves = torch.randint(17, (n, 2), generator=generator) - 8
    return torch.stack(
        [
            one[:, (rows - down) % height][:, :, (columns - to) % width]
            for one, (down, to) in zip(image, moves.tolist(), strict=True)
        ]
    )


def jittering(draw, roll=lambda one, moves: one.roll(tuple(moves), (-2, -1))):
    def jitter(image, generator):
        return torch.stack([roll(one, draw(generator)) for one in image])

    return jitter


def two(generator, low=-8, high=9):
    return torch.randint(low, high, (2,), generator=generator).tolist()


wrong("1.3", "same result: use `generator`")(lambda image, generator: image)
wrong("1.3", "take all randomness from `generator`")(jittering(lambda generator: two(None)))
wrong("1.3", "-8 to 7")(jittering(lambda generator: two(generator, high=8)))
wrong("1.3", "0 to 8")(jittering(lambda generator: two(generator, low=0)))
wrong("1.3", "no image was moved left and right")(jittering(lambda generator: [two(generator)[0], 0]))
wrong("1.3", "as far down as to the right")(jittering(lambda generator: 2 * two(generator)[:1]))
wrong("1.3", "moved by the same amount")(lambda image, generator: image.roll(tuple(two(generator)), (-2, -1)))
wrong("1.3", "they should move together")(
    jittering(two, lambda one, moves: torch.stack([c.roll(k, 0) for c, k in zip(one, [*moves, 0], strict=True)]))
)
wrong("1.3", "pixels are lost")(
    jittering(two, lambda one, moves: F.pad(one, [8] * 4)[:, 8 + moves[0] :, 8 + moves[1] :][:, :18, :20])
)
wrong("1.3", "pixels are lost")(
    jittering(
        two,
        lambda one, moves: F.pad(one[None], [8] * 4, mode="reflect")[0, :, 8 + moves[0] :, 8 + moves[1] :][:, :18, :20],
    )
)
wrong("1.3", "in another order")(jittering(two, lambda one, moves: one.roll(moves[0], 1).flip(2).roll(moves[1], 2)))
wrong("1.3", "stops with RuntimeError")(lambda image, generator: torch.stack([image, image[0]]))
wrong("1.3", "not equally probable")(
    jittering(lambda generator: (8 * torch.randn(2, generator=generator)).round().long().clamp(-8, 8).tolist())
)
wrong("1.3", "not equally probable")(
    jittering(lambda generator: [a + b for a, b in zip(two(generator, -4, 5), two(generator, -4, 5), strict=True)])
)
wrong("1.3", "up and down are not equally probable")(
    jittering(lambda generator: (16 * torch.rand(2, generator=generator) - 8).round().long().tolist())
)
wrong("1.3", "share a move")(
    lambda image, generator: torch.cat(
        [torch.stack(pair).roll(tuple(two(generator)), (-2, -1)) for pair in zip(image[::2], image[1::2], strict=True)]
    )
)
wrong("1.3", "two separate numbers")(
    jittering(lambda generator: (lambda a, b: (a, b if b * a > 0 else -b))(*two(generator)))
)
wrong("1.3", "no gradient comes back")(lambda image, generator: jittering(two)(image.detach(), generator))


@wrong("1.3", "stops with RuntimeError")
def jitter_with_numpy(image, generator):
    return torch.from_numpy(jittering(two)(image, generator).numpy())


@right("1.3")
def jitter_by_gather(image, generator):
    n, _, height, width = image.shape
    down, right = torch.randint(17, (2, n, 1), generator=generator) - 8
    rows, columns = (torch.arange(height) - down) % height, (torch.arange(width) - right) % width
    return image[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


wrong("1.3", "nan or infinity")(lambda image, generator: image * torch.rand(1, generator=generator) / 0)


@right("1.4")
def dream_by_hand(model, image, layer, steps):
    x = image.clone()
    for _ in range(steps):
        x = x.detach().requires_grad_()
        strength = model.features(x, [layer])[1][layer].pow(2).mean()
        (gradient,) = torch.autograd.grad(strength, x)
        x = (x.detach() + 0.5 * gradient / gradient.norm()).clamp(0, 1)
    return x.detach()


def dreaming(objective, length=0.5, extra=0):
    def dream(model, image, layer, steps):
        frames = optimize_pixels(model, image, objective(layer), step=unit_step(length), steps=steps + extra)
        return list(frames)[-1].image

    return dream


wrong("1.4", "the image unchanged")(lambda model, image, layer, steps: image.clone())
wrong("1.4", "the sign is reversed")(dreaming(lambda layer: -fu.activation(layer)))
wrong("1.4", "you climb the layer 'second', but 'first' was asked for")(dreaming(lambda layer: fu.activation("second")))
wrong("1.4", "of the layer 'first'")(dreaming(lambda layer: fu.logit(0)))
wrong("1.4", "its length is 0.1: it should be 0.5")(dreaming(fu.activation, 0.1))
wrong("1.4", "its length is 2: it should be 0.5")(dreaming(fu.activation, 2.0))
wrong("1.4", "one step too few")(dreaming(fu.activation, extra=-1))
wrong("1.4", "3 steps too many")(dreaming(fu.activation, extra=3))
wrong("1.4", "one step too many")(dreaming(fu.activation, extra=1))
wrong("1.4", "no views")(
    lambda model, image, layer, steps: (
        fu.last(
            optimize_pixels(
                model,
                image,
                fu.activation(layer),
                step=unit_step(0.5),
                view=lambda images, generator: images.roll(1, -1),
                steps=steps,
            )
        ).image
    )
)
wrong("1.4", "rounded")(lambda model, image, layer, steps: fu.round_to_8bit(dream_by_hand(model, image, layer, steps)))
wrong("1.4", "no other start")(
    lambda model, image, layer, steps: dream_by_hand(model, torch.full_like(image, 0.5), layer, steps)
)


def dreaming_of(strength, move=lambda g: 0.5 * g / g.norm(), clamp=True):
    def dream(model, image, layer, steps):
        x = image.clone()
        for _ in range(steps):
            x.requires_grad_()
            (g,) = torch.autograd.grad(strength(model.features(x, [layer])[1][layer]), x)
            x = x.detach() + move(g)
            x = x.clamp(0, 1) if clamp else x
        return x.clamp(0, 1)

    return dream


right("1.4")(dreaming_of(lambda outputs: (outputs**2).sum()))
wrong("1.4", "the mean of their *squares*")(dreaming_of(torch.mean))
wrong("1.4", "the mean of their *squares*")(dreaming_of(lambda outputs: outputs.abs().mean()))
wrong("1.4", "divide the gradient by its norm first")(dreaming_of(lambda outputs: outputs.square().mean(), lambda g: g))
wrong("1.4", "*signs* of the gradient")(dreaming_of(lambda outputs: outputs.square().mean(), lambda g: 0.03 * g.sign()))
wrong("1.4", "clamp after *every* step")(dreaming_of(lambda outputs: outputs.square().mean(), clamp=False))
wrong("1.4", "of type Frame")(
    lambda model, image, layer, steps: list(optimize_pixels(model, image, fu.activation(layer), steps=steps))[-1]
)
wrong("1.4", "no gradient was ever asked")(lambda model, image, layer, steps: torch.full_like(image, 0.5))
wrong("1.4", "no layer is called")(dreaming(lambda layer: fu.activation("blocks.2")))

# --------------------------------------------------------------------------------------------------------- lesson 2


@right("2.0")
def climb_with_the_library(model, image, target, length, steps):
    return fu.last(optimize_pixels(model, image, toward(target), step=unit_step(length), steps=steps)).image


def looping(
    move=unit,
    score=lambda z: z.log_softmax(1),
    clamp=lambda x: x.clamp(0, 1),
    extra=0,
    finish=lambda x: x.detach(),
):
    def climb(model, image, target, length, steps):
        x = image
        for _ in range(steps + extra):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(model(x))[0, target], x)
            x = clamp(x.detach() + move(length, gradient))
        return finish(x)

    return climb


right("2.0")(looping())
wrong("2.0", "did not move")(lambda model, image, target, length, steps: image.clone())
wrong("2.0", "sign is reversed: the probability of the target fell")(looping(lambda length, g: -unit(length, g)))
wrong("2.0", "leaves [0, 1]")(looping(clamp=lambda x: x))
wrong("2.0", "after *every* step")(looping(clamp=lambda x: x, finish=lambda x: x.detach().clamp(0, 1)))
wrong("2.0", "divide the gradient by its norm")(looping(lambda length, g: length * g))
wrong("2.0", "only the step as a whole")(looping(lambda length, g: length * g.sign()))
wrong("2.0", "climb the *log-probability*")(looping(score=lambda z: z))
wrong("2.0", "one step too few")(looping(extra=-1))
wrong("2.0", "one step too many")(looping(extra=1))
wrong("2.0", "not where these steps should lead")(looping(lambda length, g: unit(0.3, g)))
wrong("2.0", "switches on gradients for its argument `image`")(
    lambda model, image, target, length, steps: looping()(model, image.requires_grad_(), target, length, steps)
)
wrong("2.0", "`detach()` it")(looping(finish=lambda x: x + 0 * torch.ones(1, requires_grad=True)))
wrong("2.0", "not where these steps should lead")(
    lambda model, image, target, length, steps: looping()(model, image, (target + 1) % 5, length, steps)
)


@wrong("2.0", "again in *every* step")
def loop_in_one_direction(model, image, target, length, steps):
    first = looping(clamp=lambda x: x)(model, image, target, length, 1) - image
    for _ in range(steps):
        image = (image + first).clamp(0, 1)
    return image


@right("2.1")
def fgsm_by_backward(model, image, targets, epsilon):
    x = image.detach().clone().requires_grad_(True)
    F.cross_entropy(model(x), targets, reduction="sum").backward()
    return torch.clamp(x.detach() - epsilon * torch.sign(x.grad), 0, 1)


@right("2.1")
def fgsm_one_by_one(model, image, targets, epsilon):
    return torch.cat([fu.fgsm(model, image[i : i + 1], epsilon, int(targets[i])) for i in range(len(image))])


def stepping(change, clamp=True, log_p=lambda z: z.log_softmax(1), mix=lambda targets: targets):
    def step(model, image, targets, epsilon):
        leaf = image.clone().requires_grad_()
        score = log_p(model(leaf))[range(len(image)), mix(targets)].sum()
        (gradient,) = torch.autograd.grad(score, leaf)
        result = image + change(epsilon, gradient)
        return result.clamp(0, 1) if clamp else result

    return step


wrong("2.1", "`detach()` it")(
    lambda model, image, targets, epsilon: (
        fgsm_by_backward(model, image, targets, epsilon) + 0 * torch.ones(1, requires_grad=True)
    )
)
wrong("2.1", "did not move")(lambda model, image, targets, epsilon: image.clone())
wrong("2.1", "more than epsilon")(lambda model, image, targets, epsilon: torch.zeros_like(image))
wrong("2.1", "sign is reversed: the probability of the target fell from")(stepping(lambda e, g: -e * g.sign()))
wrong("2.1", "leaves [0, 1]: its smallest value is -0.03")(stepping(lambda e, g: e * g.sign(), clamp=False))
wrong("2.1", "along the gradient itself")(stepping(lambda e, g: e * g))
wrong("2.1", "L2 length epsilon")(stepping(lambda e, g: e * g / norms_of(g)))
wrong("2.1", "factor of 255")(stepping(lambda e, g: e / 255 * g.sign()))
wrong("2.1", "more than epsilon")(stepping(lambda e, g: 255 * e * g.sign()))
wrong("2.1", "every value went up")(stepping(lambda e, g: e * g.sign().abs()))
wrong("2.1", "raises the logit")(stepping(lambda e, g: e * g.sign(), log_p=lambda z: z))
wrong("2.1", "toward the first target")(stepping(lambda e, g: e * g.sign(), mix=lambda t: t[:1].expand(len(t))))


def stepping_on(score):
    def step(model, image, targets, epsilon):
        leaf = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(score(model(leaf), targets), leaf)
        return (image + epsilon * gradient.sign()).clamp(0, 1)

    return step


right("2.1")(stepping_on(lambda z, targets: z.log_softmax(1).gather(1, targets[:, None]).mean()))
right("2.1")(stepping_on(lambda z, targets: -F.cross_entropy(z, targets)))
wrong("2.1", "the targets of all images")(stepping_on(lambda z, targets: z.log_softmax(1)[:, targets].sum()))
wrong("2.1", "away from the most probable class")(stepping_on(lambda z, targets: F.cross_entropy(z, z.argmax(1))))
wrong("2.1", "over the classes (dimension 1)")(
    stepping_on(lambda z, targets: z.log_softmax(0)[range(len(z)), targets].sum())
)
wrong("2.1", "not epsilon times the sign")(
    lambda model, image, targets, epsilon: fgsm_by_backward(
        model, fgsm_by_backward(model, image, targets, epsilon / 2), targets, epsilon / 2
    )
)
wrong("2.1", "still asks for a gradient")(
    lambda model, image, targets, epsilon: fgsm_by_backward(model, image, targets, epsilon).requires_grad_()
)
wrong("2.1", "its argument `image`")(
    lambda model, image, targets, epsilon: image.copy_(
        stepping(lambda e, g: e * g.sign())(model, image, targets, epsilon)
    )
)
wrong("2.1", "every value moved by 0.015, but epsilon is 0.03")(stepping(lambda e, g: 0.5 * e * g.sign()))


@right("2.2")
def ball_one_by_one(image, centre, radius):
    moved = []
    for one, middle in zip(image, centre, strict=True):
        change = one - middle
        moved.append(middle + change * min(1.0, radius / (change.norm().item() + 1e-12)))
    return torch.stack(moved)


right("2.2")(lambda image, centre, radius: fu.l2_ball(centre, radius)(image))


def projecting(scale):
    return lambda image, centre, radius: centre + (image - centre) * scale(image - centre, radius)


wrong("2.2", "the image unchanged")(lambda image, centre, radius: image.clone())
wrong("2.2", "returns the centre")(lambda image, centre, radius: centre.clone())
wrong("2.2", "the values are wrong")(lambda image, centre, radius: torch.zeros_like(image))
wrong("2.2", "already inside the ball")(projecting(lambda change, radius: radius / norms_of(change)))
wrong("2.2", "shares one norm")(projecting(lambda change, radius: min(1.0, radius / change.norm().item())))
wrong("2.2", "round black")(lambda image, centre, radius: image * radius / norms_of(image))
wrong("2.2", "L∞ ball")(lambda image, centre, radius: centre + (image - centre).clamp(-radius, radius))
wrong("2.2", "*root*")(projecting(lambda change, radius: (radius / norms_of(change) ** 2).clamp(max=1)))
wrong("2.2", "mean of the squares")(
    projecting(lambda change, radius: (radius / change.square().mean((1, 2, 3), keepdim=True).sqrt()).clamp(max=1))
)
wrong("2.2", "add the centre")(lambda image, centre, radius: ball_one_by_one(image, centre, radius) - centre)
wrong("2.2", "this is the excess")(
    lambda image, centre, radius: image - ball_one_by_one(image, centre, radius) + centre
)
wrong("2.2", "nan or infinity")(
    projecting(lambda change, radius: norms_of(change).clamp(max=radius) / norms_of(change))
)
wrong("2.2", "the values are wrong")(projecting(lambda change, radius: (radius / 255 / norms_of(change)).clamp(max=1)))
wrong("2.2", "belongs to the caller")(lambda image, centre, radius: image.sub_(centre))
wrong("2.2", "stops with RuntimeError")(
    lambda image, centre, radius: image * (radius / (image - centre).flatten(1).norm(dim=1))
)


right("2.2")(
    lambda image, centre, radius: (
        centre + (image - centre) / (norms_of(image - centre) / radius).clamp(min=1)
        if radius
        else image - (image - centre)
    )
)
wrong("2.2", "to the first centre")(
    lambda image, centre, radius: ball_one_by_one(image, centre[:1].expand_as(centre), radius)
)
wrong("2.2", "radius 0")(
    lambda image, centre, radius: ball_one_by_one(image, centre, radius) if radius else image.clone()
)


@right("2.3")
def noise_by_normalize(change, generator):
    noise = torch.empty_like(change).normal_(generator=generator)
    return F.normalize(noise.flatten(1), dim=1).view_as(change) * norms_of(change)


def noisy(draw, size=lambda noise, change: norms_of(change) / norms_of(noise)):
    def noise_like(change, generator):
        noise = draw(change, generator)
        return noise * size(noise, change)

    return noise_like


def centred(change):
    return change - change.mean((1, 2, 3), keepdim=True)


def gauss(change, generator):
    return torch.randn(change.shape, generator=generator)


wrong("2.3", "use `generator`")(lambda change, generator: change)
wrong("2.3", "use `generator`")(lambda change, generator: torch.zeros_like(change))
wrong("2.3", "take all randomness")(noisy(lambda change, generator: torch.randn_like(change)))
wrong("2.3", "as a whole")(noisy(gauss, lambda noise, change: change.norm() / noise.norm()))
wrong("2.3", "should be equal")(noisy(gauss, lambda noise, change: 1))
wrong("2.3", "should be equal")(noisy(gauss, lambda noise, change: norms_of(change)))
wrong("2.3", "should be equal")(noisy(gauss, lambda noise, change: norms_of(change) / norms_of(noise) / 255))
wrong("2.3", "mean of the noise is not zero")(
    noisy(lambda change, generator: torch.rand(change.shape, generator=generator))
)
wrong("2.3", "not spread as in Gaussian noise")(
    noisy(lambda change, generator: torch.rand(change.shape, generator=generator) - 0.5)
)
wrong("2.3", "not spread as in Gaussian noise")(noisy(lambda change, generator: gauss(change, generator).sign()))
wrong("2.3", "are exactly zero")(
    noisy(lambda change, generator: gauss(change, generator) * (torch.rand(change.shape, generator=generator) > 0.68))
)
wrong("2.3", "are exactly zero")(
    noisy(
        lambda change, generator: (
            gauss(change, generator).sign() * (torch.rand(change.shape, generator=generator) < 0.32)
        )
    )
)
wrong("2.3", "it should be 32 % and 5 %")(noisy(lambda change, generator: gauss(change, generator) ** 3))
wrong("2.3", "it should be 32 % and 5 %")(noisy(lambda change, generator: gauss(change, generator).clamp(-1.5, 1.5)))
wrong("2.3", "neighbouring pixels")(
    noisy(lambda change, generator: F.interpolate(gauss(change[..., ::2, ::2], generator), scale_factor=2))
)
wrong("2.3", "neighbouring pixels")(
    noisy(lambda change, generator: F.avg_pool2d(gauss(change, generator), 3, 1, 1, count_include_pad=False))
)
wrong("2.3", "still contains some of the change")(
    noisy(
        lambda change, generator: (
            gauss(change, generator) + 20 * (change - change.mean((1, 2, 3), keepdim=True)) / norms_of(change)
        )
    )
)
wrong("2.3", "same noise, scaled")(noisy(lambda change, generator: gauss(change[:1], generator).expand_as(change)))
wrong("2.3", "three colours")(noisy(lambda change, generator: gauss(change[:, :1], generator).expand_as(change)))
wrong("2.3", "another order")(
    lambda change, generator: change.flatten(1)[:, torch.randperm(change[0].numel(), generator=generator)].view_as(
        change
    )
)
wrong("2.3", "another order")(lambda change, generator: change.abs() * gauss(change, generator).sign())


@right("2.4")
def corner_by_hand(model, image, target, size, steps):
    x = image.clone()
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model(x).log_softmax(1)[0, target], x)
        x = (x.detach() + 0.3 * gradient / gradient.norm()).clamp(0, 1)
        kept = x[..., :size, :size].clone()
        x = image.clone()
        x[..., :size, :size] = kept
    return x


@right("2.4")
def corner_by_gradient(model, image, target, size, steps):
    corner = image[..., :size, :size]
    for _ in range(steps):
        corner = corner.detach().requires_grad_()
        shown = image.clone()
        shown[..., :size, :size] = corner
        (gradient,) = torch.autograd.grad(model(shown).log_softmax(1)[0, target], corner)
        corner = (corner.detach() + 0.3 * gradient / gradient.norm()).clamp(0, 1)
    shown = image.clone()
    shown[..., :size, :size] = corner
    return shown


@right("2.4")
def corner_by_masked_gradient(model, image, target, size, steps):
    mask = torch.zeros_like(image)
    mask[:, :, :size, :size] = 1.0
    delta = torch.zeros_like(image)
    for _ in range(steps):
        x = (image + delta).detach().requires_grad_()
        model(x).log_softmax(1)[0, target].backward()
        inside = x.grad * mask
        delta = (image + delta + 0.3 * inside / inside.norm()).clamp(0, 1) - image
    return image + delta


def cornering(place, objective=toward, extra=0, image_of=lambda image: image, start=None, **others):
    def corner(model, image, target, size, steps):
        mask = torch.zeros_like(image)
        mask[place(size)] = 1
        choices = {"constraint": fu.inside_mask(image_of(image), mask), "steps": steps + extra, **others}
        begin = torch.where(mask.bool(), start(image), image) if start else image
        return list(optimize_pixels(model, begin, objective(target), **choices))[-1].image

    return corner


def top_left(size):
    return ..., slice(size), slice(size)


def everywhere(model, image, target, steps):
    return list(optimize_pixels(model, image, toward(target), steps=steps))[-1].image


@wrong("2.4", "search *inside* the corner")
def cut_out(model, image, target, size, steps):
    result = image.clone()
    result[..., :size, :size] = everywhere(model, image, target, steps)[..., :size, :size]
    return result


wrong("2.4", "did not change")(lambda model, image, target, size, steps: image.clone())
wrong("2.4", "pixels outside the corner changed")(
    lambda model, image, target, size, steps: everywhere(model, image, target, steps)
)
wrong("2.4", "pixels outside the corner changed: rows 4 to 7")(
    cornering(lambda size: (..., slice(-size, None), slice(-size, None)))
)
wrong("2.4", "columns 4 to 7")(cornering(lambda size: (..., slice(size), slice(-size, None))))
wrong("2.4", "only 3 of the 4")(cornering(lambda size: top_left(size - 1)))
wrong("2.4", "rows 0 to 4")(cornering(lambda size: top_left(size + 1)))
wrong("2.4", "outside the corner")(cornering(lambda size: (..., slice(size), slice(None))))
wrong("2.4", "the sign is reversed")(cornering(top_left, fu.away_from))
wrong("2.4", "the log-probability of the target")(cornering(top_left, lambda target: toward((target + 1) % 5)))
wrong("2.4", "outside the corner")(cornering(top_left, image_of=torch.zeros_like))
wrong("2.4", "3 steps too few")(cornering(top_left, extra=-3))
wrong("2.4", "60 steps too many")(cornering(top_left, extra=60))
wrong("2.4", "one step too many")(cornering(top_left, extra=1))
wrong("2.4", "its length is 1: it should be 0.3")(cornering(top_left, step=unit_step(1.0)))
wrong("2.4", "climb its log-probability")(cornering(top_left, fu.logit))
wrong("2.4", "*signs* of the gradient")(cornering(top_left, step=fu.sign_step(0.02)))
wrong("2.4", "begin there")(cornering(top_left, start=torch.zeros_like))
wrong("2.4", "no class is called")(cornering(top_left, lambda target: toward("ostrich")))


@wrong("2.5", "60 pictures at once")
def patch_over_all_places(model, image, target, size, steps, generator):
    rows, columns = image.shape[-2] - size + 1, image.shape[-1] - size + 1
    patch = torch.full((1, 3, size, size), 0.5)
    for _ in range(steps):
        patch.requires_grad_()
        shown = image.repeat(rows * columns, 1, 1, 1)
        for place in range(rows * columns):
            row, column = divmod(place, columns)
            shown[place : place + 1, :, row : row + size, column : column + size] = patch
        score = model(shown).log_softmax(1)[:, target].mean()
        (gradient,) = torch.autograd.grad(score, patch)
        patch = (patch.detach() + 0.3 * gradient / gradient.norm()).clamp(0, 1)
    return patch


@right("2.5")
def patch_by_padding(model, image, target, size, steps, generator):
    height, width = image.shape[-2:]

    def paste(patch):
        row = int(torch.randint(height - size + 1, (1,), generator=generator))
        column = int(torch.randint(width - size + 1, (1,), generator=generator))
        edges = (column, width - size - column, row, height - size - row)
        hole = F.pad(torch.ones_like(patch), edges)
        return image * (1 - hole) + F.pad(patch, edges)

    grey = torch.full((1, 3, size, size), 0.5)
    choices = {"decode": paste, "constraint": fu.pixel_range(), "steps": steps}
    return list(optimize_pixels(model, grey, toward(target), **choices))[-1].variable


def patching(
    place,
    sign=1,
    clamp=True,
    length=0.3,
    fresh=True,
    extra=0,
    grey=0.5,
    move=lambda g: g / g.norm(),
    score=lambda z, target: z.log_softmax(1)[0, target],
    mix=lambda patch, below: patch,
    finish=lambda patch: patch,
):
    def learn(model, image, target, size, steps, generator):
        patch, shown = torch.full((1, 3, size, size), grey), image.clone()
        for _ in range(steps + extra):
            row, column = place(image.shape[-2] - size + 1, image.shape[-1] - size + 1, generator)
            patch.requires_grad_()
            shown = image.clone() if fresh else shown.detach().clone()
            corner = (..., slice(row, row + size), slice(column, column + size))
            shown[corner] = mix(patch, image[corner])
            (gradient,) = torch.autograd.grad(score(model(shown), target), patch)
            patch = patch.detach() + sign * length * move(gradient)
            patch = patch.clamp(0, 1) if clamp else patch
        return finish(patch.detach())

    return learn


def anywhere(rows, columns, generator):
    return [torch.randint(count, (1,), generator=generator).item() for count in (rows, columns)]


right("2.5")(patching(anywhere, score=lambda z, target: -F.cross_entropy(z, torch.tensor([target]))))


@right("2.5")
def patch_from_the_whole_gradient(model, image, target, size, steps, generator):
    patch = torch.zeros(1, 3, size, size) + 0.5
    for step in range(steps):
        row, column = anywhere(image.shape[-2] - size + 1, image.shape[-1] - size + 1, generator)
        shown = image.clone()
        shown[:, :, row : row + size, column : column + size] = patch
        shown = shown.requires_grad_()
        model(shown).log_softmax(1)[0, target].backward()
        gradient = shown.grad[:, :, row : row + size, column : column + size]
        patch = torch.clamp(patch + 0.3 * gradient / gradient.norm(), 0, 1)
        if step % 10 == 0:  # to see how far it is
            with torch.no_grad():
                model(shown).softmax(1)[0, target].item()
    return patch


@wrong("2.5", "its length is")
def patch_by_the_norm_of_the_image(model, image, target, size, steps, generator):
    patch = torch.full((1, 3, size, size), 0.5)
    for _ in range(steps):
        row, column = anywhere(image.shape[-2] - size + 1, image.shape[-1] - size + 1, generator)
        shown = image.clone()
        shown[..., row : row + size, column : column + size] = patch
        shown.requires_grad_()
        (gradient,) = torch.autograd.grad(model(shown).log_softmax(1)[0, target], shown)
        gradient = gradient / gradient.norm()
        patch = (patch + 0.3 * gradient[..., row : row + size, column : column + size]).clamp(0, 1)
    return patch


wrong("2.5", "paste it *over* the image")(patching(anywhere, mix=lambda patch, below: below + patch))
wrong("2.5", "paste it *over* the image")(patching(anywhere, mix=lambda patch, below: (below + patch).clamp(0, 1)))
wrong("2.5", "paste it *over* the image")(patching(anywhere, mix=lambda patch, below: (below + patch) / 2))
wrong("2.5", "without the patch on it")(patching(anywhere, mix=lambda patch, below: below + patch - 0.5))
wrong("2.5", "*signs* of the gradient")(patching(anywhere, move=torch.sign))
wrong("2.5", "*signs* of the gradient")(patching(anywhere, move=torch.sign, length=0.01))
wrong("2.5", "divide the gradient by its norm first")(patching(anywhere, move=lambda g: g))
wrong("2.5", "divide the gradient by its norm first")(patching(anywhere, move=lambda g: g, length=1))
wrong("2.5", "its length is 1: it should be 0.3")(patching(anywhere, length=1.0))
wrong("2.5", "climb its log-probability")(patching(anywhere, score=lambda z, target: z[0, target]))
wrong("2.5", "away from the most probable class")(patching(anywhere, score=lambda z, target: -z.log_softmax(1).amax()))
wrong("2.5", "clamp after *every* step")(patching(anywhere, clamp=False, finish=lambda patch: patch.clamp(0, 1)))
wrong("2.5", "still asks for a gradient")(patching(anywhere, finish=lambda patch: patch.requires_grad_()))
wrong("2.5", "one step too many")(patching(anywhere, extra=1))
wrong("2.5", "with `steps` = 9 you take 300")(
    lambda model, image, target, size, steps, generator: patching(anywhere)(model, image, target, size, 300, generator)
)
wrong("2.5", "not equally probable")(
    patching(
        lambda rows, columns, generator: [
            sum(anywhere(count // 2, count - count // 2 + 1, generator)) for count in (rows, columns)
        ]
    )
)
wrong("2.5", "not equally probable")(
    patching(
        lambda rows, columns, generator: [
            int(torch.rand(1, generator=generator) ** 2 * count) for count in (rows, columns)
        ]
    )
)


@wrong("2.5", "draw a new place in each step")
def patch_that_stays_a_while(model, image, target, size, steps, generator):
    drawn = []

    def every_second_time(rows, columns, generator):
        drawn.append(drawn[-1] if len(drawn) % 2 else anywhere(rows, columns, generator))
        return drawn[-1]

    return patching(every_second_time)(model, image, target, size, steps, generator)


@right("2.5")
def patch_with_func(model, image, target, size, steps, generator):
    patch = torch.full((1, 3, size, size), 0.5)
    for _ in range(steps):
        row, column = anywhere(image.shape[-2] - size + 1, image.shape[-1] - size + 1, generator)
        rest = image.shape[-1] - size - column, image.shape[-2] - size - row

        def score(patch, row=row, column=column, rest=rest):
            edges = column, rest[0], row, rest[1]
            shown = torch.where(F.pad(torch.ones_like(image[..., :size, :size]), edges) > 0, F.pad(patch, edges), image)
            return model(shown).log_softmax(1)[0, target]

        gradient = torch.func.grad(score)(patch)
        patch = (patch + 0.3 * gradient / gradient.norm()).clamp(0, 1)
    return patch


@right("2.5")
def patch_by_an_optimizer(model, image, target, size, steps, generator):
    patch = torch.nn.Parameter(torch.full((1, 3, size, size), 0.5))
    climber = torch.optim.SGD([patch], lr=0.3, maximize=True)
    for _ in range(steps):
        row, column = anywhere(image.shape[-2] - size + 1, image.shape[-1] - size + 1, generator)
        shown = image.clone()
        shown[..., row : row + size, column : column + size] = patch
        climber.zero_grad()
        model(shown).log_softmax(1)[0, target].backward()
        patch.grad /= patch.grad.norm()
        climber.step()
        patch.data.clamp_(0, 1)
    return patch.detach()


@wrong("2.5", "same places")
def patch_that_sweeps(model, image, target, size, steps, generator):
    turn = iter(range(1000))

    def next_place(rows, columns, generator):
        row, column = divmod(7 * next(turn), columns)
        return row % rows, column

    return patching(next_place)(model, image, target, size, steps, generator)


wrong("2.5", "no gradient was ever asked")(
    lambda model, image, target, size, steps, generator: torch.full((1, 3, size, size), 0.5)
)
wrong("2.5", "the sign is reversed")(patching(anywhere, sign=-1))
wrong("2.5", "clamp after *every* step")(patching(anywhere, clamp=False))
wrong("2.5", "only in rows [0]")(patching(lambda rows, columns, generator: (0, 0)))
wrong("2.5", "fits from 0 to 5")(patching(lambda rows, columns, generator: anywhere(rows - 1, columns, generator)))
wrong("2.5", "fits from 0 to 9")(patching(lambda rows, columns, generator: anywhere(rows, rows, generator)))
wrong("2.5", "only in columns [2]")(
    patching(lambda rows, columns, generator: (anywhere(rows, columns, generator)[0], 2))
)


def on_the_diagonal(rows, columns, generator):
    _, column = anywhere(rows, columns, generator)
    return column * rows // columns, column


wrong("2.5", "draw row and column separately")(patching(on_the_diagonal))
wrong("2.5", "take all randomness from `generator`")(
    patching(lambda rows, columns, generator: anywhere(rows, columns, None))
)
wrong("2.5", "its length is 0.001: it should be 0.3")(patching(anywhere, length=0.001))
wrong("2.5", "should be grey")(patching(anywhere, grey=0.0))
wrong("2.5", "fresh copy")(patching(anywhere, fresh=False))
wrong("2.5", "50 steps too few")(patching(anywhere, extra=-50))
wrong("2.5", "the patch should have the shape")(
    lambda model, image, target, size, steps, generator: everywhere(model, image, target, steps)
)


@wrong("2.5", "its argument `image`")
def patch_in_place(model, image, target, size, steps, generator):
    patch = patching(anywhere)(model, image, target, size, steps, generator)
    image[..., :size, :size] = patch
    return patch


@right("2.6")
def jpeg_proof_by_hand(model, image, target, spoil, steps):
    x = image
    for _ in range(steps):
        seen = spoil(x).requires_grad_()
        (gradient,) = torch.autograd.grad(model(seen).log_softmax(1)[0, target], seen)
        x = (x + 0.3 * gradient / gradient.norm()).clamp(0, 1)
    return x


@right("2.6")
def jpeg_proof_with_backward(model, image, target, spoil, steps):
    adversarial = image.clone()
    for _ in range(steps):
        leaf = adversarial.detach().requires_grad_(True)
        with torch.no_grad():
            loss = spoil(leaf) - leaf
        F.cross_entropy(model(leaf + loss), torch.tensor([target])).backward()
        adversarial = torch.clamp(leaf.detach() - 0.3 * leaf.grad / torch.linalg.vector_norm(leaf.grad), 0.0, 1.0)
    print(f"{model.probabilities(spoil(adversarial))[0, target]:.0%}", end="\r")
    return adversarial


def proving(look, sign=1, length=0.3, extra=0, follow=lambda x, seen: x, clamp=True):
    def proof(model, image, target, spoil, steps):
        x = image.clone()
        for _ in range(steps + extra):
            leaf = x.clone().requires_grad_()
            seen = look(leaf, spoil)
            (gradient,) = torch.autograd.grad(model(seen).log_softmax(1)[0, target], leaf)
            x = follow(x, seen.detach()) + sign * length * gradient / gradient.norm()
            x = x.clamp(0, 1) if clamp else x
        return x

    return proof


def straight_through(leaf, spoil):
    return leaf + (spoil(leaf.detach()) - leaf).detach()


wrong("2.6", "did not change")(lambda model, image, target, spoil, steps: image.clone())
wrong("2.6", "never shown what `spoil` returns")(
    lambda model, image, target, spoil, steps: everywhere(model, image, target, steps)
)
wrong("2.6", "never shown what `spoil` returns")(
    lambda model, image, target, spoil, steps: spoil(everywhere(model, image, target, steps))
)
wrong("2.6", "the sign is reversed")(proving(straight_through, sign=-1))
wrong("2.6", "stops with RuntimeError")(proving(lambda leaf, spoil: spoil(leaf)))
wrong("2.6", "the *unspoiled* one")(proving(straight_through, follow=lambda x, seen: seen))
wrong("2.6", "its length is 0.01: it should be 0.3")(proving(straight_through, length=0.01))
wrong("2.6", "its length is 3: it should be 0.3")(proving(straight_through, length=3.0))
wrong("2.6", "spoiled already")(
    lambda model, image, target, spoil, steps: spoil(jpeg_proof_by_hand(model, image, target, spoil, steps))
)
wrong("2.6", "one step too many")(proving(straight_through, extra=1))
wrong("2.6", "the given one: begin there")(
    lambda model, image, target, spoil, steps: jpeg_proof_by_hand(model, image * 0.9, target, spoil, steps)
)
wrong("2.6", "`spoil` takes one argument")(
    lambda model, image, target, spoil, steps: (
        fu.last(optimize_pixels(model, image, toward(target), view=spoil, steps=steps)).image
    )
)
wrong("2.6", "the view has no gradient back to the image")(
    lambda model, image, target, spoil, steps: (
        fu.last(
            optimize_pixels(model, image, toward(target), view=lambda seen, generator: spoil(seen), steps=steps)
        ).image
    )
)
right("2.6")(
    lambda model, image, target, spoil, steps: (
        fu.last(
            optimize_pixels(
                model,
                image,
                toward(target),
                view=views.straight_through(lambda seen, generator: spoil(seen)),
                steps=steps,
            )
        ).image
    )
)


@wrong("2.6", "taken at the unspoiled image")
def jpeg_proof_that_only_looks(model, image, target, spoil, steps):
    x = image.clone()
    for _ in range(steps):
        model.probabilities(spoil(x))
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(leaf).log_softmax(1)[0, target], leaf)
        x = (x + 0.3 * gradient / gradient.norm()).clamp(0, 1)
    return x


def proving_by(score, move=lambda g: 0.3 * g / g.norm()):
    def proof(model, image, target, spoil, steps):
        x = image.clone()
        for _ in range(steps):
            seen = spoil(x).requires_grad_()
            (gradient,) = torch.autograd.grad(score(model(seen), target), seen)
            x = (x + move(gradient)).clamp(0, 1)
        return x

    return proof


wrong("2.6", "climb its log-probability")(proving_by(lambda z, target: z[0, target]))
wrong("2.6", "*signs* of the gradient")(
    proving_by(lambda z, target: z.log_softmax(1)[0, target], lambda g: 0.01 * g.sign())
)
wrong("2.6", "divide the gradient by its norm first")(
    proving_by(lambda z, target: z.log_softmax(1)[0, target], lambda g: g)
)
wrong("2.6", "spoiled image 4 times")(proving(straight_through, extra=-8))
wrong("2.6", "clamp after *every* step")(proving(straight_through, length=5.0, clamp=False))


@wrong("2.6", "spoiled image 1 times")
def spoiled_once(model, image, target, spoil, steps):
    return everywhere(model, spoil(image), target, steps)


# --------------------------------------------------------------------------------------------------------- lesson 3


@right("3.1")
def first_past_by_loops(probabilities, threshold):
    frames, count = probabilities.shape
    result = [None] * count
    for n in range(count):
        for frame in range(frames):
            if probabilities[frame, n] > threshold:
                result[n] = frame
                break
    return result


@right("3.1")
def first_past_by_argmax(probabilities, threshold):
    past = probabilities > threshold
    return [int(column.int().argmax()) if column.any() else None for column in past.T]


def passing(past, find):
    return lambda probabilities, threshold: [find(row) for row in past(probabilities, threshold).T.tolist()]


def more(p, threshold):
    return p > threshold


def first(row):
    return row.index(True) if True in row else None


wrong("3.1", "your list has 7 entries")(lambda probabilities, threshold: probabilities)
wrong("3.1", "never passes it gives 0")(lambda p, threshold: (p > threshold).int().argmax(0))
wrong("3.1", "never passes it gives 0")(passing(more, lambda row: row.index(True) if True in row else 0))
wrong("3.1", "never passes it gives -1")(passing(more, lambda row: row.index(True) if True in row else -1))
wrong("3.1", "never passes it gives 7")(passing(more, lambda row: row.index(True) if True in row else len(row)))
wrong("3.1", "only *reaches* the threshold")(passing(lambda p, threshold: p >= threshold, first))
wrong("3.1", "gives")(passing(more, lambda row: len(row) - 1 - row[::-1].index(True) if True in row else None))
wrong("3.1", "gives")(passing(more, lambda row: row.index(True) + 1 if True in row else None))
wrong("3.1", "gives")(passing(more, lambda row: sum(not past for past in row) if any(row) else None))
wrong("3.1", "gives None")(passing(lambda p, threshold: p > 100 * threshold, first))
wrong("3.1", "one per frame")(lambda p, threshold: [first(row) for row in (p > threshold).tolist()])
wrong("3.1", "it gives ")(lambda p, threshold: (p > threshold)[0].tolist())
wrong("3.1", "stops with ValueError")(passing(more, lambda row: row.index(True)))
wrong("3.1", "never passes it gives 2")(lambda p, threshold: first_past_by_loops(p, 0.7))
wrong("3.1", "should be a list")(lambda p, threshold: sum(n or 0 for n in first_past_by_loops(p, threshold)))
wrong("3.1", "falls back and passes again it gives 4")(  # the last crossing
    passing(more, lambda row: len(row) - row[::-1].index(False) if False in row and row[-1] else first(row))
)


@right("3.2")
def chance_by_while(draw, judge, budget, batch, generator):
    best, left = 0, budget
    while left > 0:
        p = judge(draw(min(batch, left), generator))
        best, left = p.max(0).values.clamp_min(best), left - batch
    return best


def by_batches(sizes, keep=lambda ps: torch.cat(ps).amax(0), source=lambda generator: generator):
    """Draw batches of `sizes(budget, batch)` images, and make one result of all their probabilities."""

    def chance(draw, judge, budget, batch, generator):
        return keep([judge(draw(size, source(generator))) for size in sizes(budget, batch)])

    return chance


def full(budget, batch):
    return [min(batch, budget - begin) for begin in range(0, budget, batch)]


right("3.2")(by_batches(full))
wrong("3.2", "the network is shown 24 images")(by_batches(lambda budget, batch: [batch] * -(-budget // batch)))
wrong("3.2", "the network is shown 16 images")(by_batches(lambda budget, batch: [batch] * (budget // batch) or [1]))
wrong("3.2", "the network is shown 160 images")(by_batches(lambda budget, batch: [batch] * budget))
wrong("3.2", "20 images at once, but `batch` is 8")(by_batches(lambda budget, batch: [budget]))
wrong("3.2", "fill all but the last")(by_batches(lambda budget, batch: [1] * budget))
wrong("3.2", "fill all but the last")(by_batches(lambda budget, batch: full(budget, batch)[::-1]))
wrong("3.2", "pass `generator` on")(by_batches(full, source=lambda generator: None))
wrong("3.2", "pass `generator` on")(by_batches(full, source=lambda generator: torch.Generator().manual_seed(0)))
wrong("3.2", "last batch")(by_batches(full, lambda ps: ps[-1].amax(0)))
wrong("3.2", "first batch")(by_batches(full, lambda ps: ps[0].amax(0)))
wrong("3.2", "this is a mean: keep")(by_batches(full, lambda ps: torch.cat(ps).mean(0)))
wrong("3.2", "mean over the batches")(by_batches(full, lambda ps: torch.stack([p.amax(0) for p in ps]).mean(0)))
wrong("3.2", "sum over the batches")(by_batches(full, lambda ps: sum(p.amax(0) for p in ps)))
wrong("3.2", "the lowest probability")(by_batches(full, lambda ps: torch.cat(ps).amin(0)))
wrong("3.2", "for *every* class")(
    by_batches(full, lambda ps: torch.where(torch.cat(ps) == torch.cat(ps).amax(1, True), torch.cat(ps), 0).amax(0))
)
wrong("3.2", "all classes have the same number")(by_batches(full, lambda ps: torch.cat(ps).max().expand(4)))
wrong("3.2", "should have the shape (4,)")(by_batches(full, lambda ps: torch.cat(ps).amax(1)))
wrong("3.2", "of type float")(by_batches(full, lambda ps: torch.cat(ps).max().item()))
wrong("3.2", "never calls `judge`")(lambda draw, judge, budget, batch, generator: draw(budget, generator).mean())
wrong("3.2", "never calls `draw`")(lambda draw, judge, budget, batch, generator: judge(torch.rand(budget, 1, 2, 2)))


@wrong("3.2", "some images twice")
def one_batch_again_and_again(draw, judge, budget, batch, generator):
    images = draw(batch, generator)
    return torch.cat([judge(images[:size]) for size in full(budget, batch)]).amax(0)


@wrong("3.2", "draw only what you show")
def drawn_and_thrown_away(draw, judge, budget, batch, generator):
    return torch.cat([judge(draw(batch, generator)[:size]) for size in full(budget, batch)]).amax(0)


@wrong("3.2", "that `draw` did not give")
def evolution_after_all(draw, judge, budget, batch, generator):
    best, images = [], draw(min(batch, budget), generator)
    for size in full(budget, batch):
        best.append(judge(images[:size]))
        images = (images[:1] + 0.1 * torch.randn(batch, 1, 2, 2, generator=generator)).clamp(0, 1)
    return torch.cat(best).amax(0)


@right("3.3")
def mutate_by_mask(genes, rate, size, generator):
    chosen = torch.bernoulli(torch.full_like(genes, rate), generator=generator)
    child = genes + chosen * torch.empty_like(genes).normal_(0, size, generator=generator)
    return torch.minimum(torch.maximum(child, torch.tensor(0.0)), torch.tensor(1.0))


def mutating(chosen, noise, clamp=lambda x: x.clamp(0, 1)):
    def mutate(genes, rate, size, generator):
        where = chosen(genes, rate, generator)
        return clamp(torch.where(where, noise(genes, size, generator), genes))

    return mutate


def some(genes, rate, generator):
    return torch.rand(genes.shape, generator=generator) < rate


def exactly(genes, rate, generator):
    """Choose the same number of values in each member."""
    order = torch.rand(genes.flatten(1).shape, generator=generator).argsort(1).argsort(1)
    return (order < round(rate * order.shape[1])).reshape(genes.shape)


def added(genes, size, generator):
    return genes + size * torch.randn(genes.shape, generator=generator)


wrong("3.3", "use `generator`")(lambda genes, rate, size, generator: genes)
wrong("3.3", "use `generator`")(lambda genes, rate, size, generator: torch.zeros_like(genes))
wrong("3.3", "take all randomness")(
    mutating(some, lambda genes, size, generator: genes + size * torch.randn_like(genes))
)
wrong("3.3", "about 20 %")(mutating(lambda genes, rate, generator: ~some(genes, rate, generator), added))
wrong("3.3", "about 20 %")(mutating(lambda genes, rate, generator: some(genes, 1, generator), added))
wrong("3.3", "leaves [0, 1]")(mutating(some, added, clamp=lambda x: x))
wrong("3.3", "standard deviation")(
    mutating(some, lambda genes, size, generator: torch.rand(genes.shape, generator=generator))
)
wrong("3.3", "standard deviation 0.00")(
    mutating(some, lambda genes, size, generator: added(genes, size / 255, generator))
)
wrong("3.3", "mean of the changes is not zero")(
    mutating(some, lambda genes, size, generator: genes + size * torch.rand(genes.shape, generator=generator))
)
wrong("3.3", "beyond one standard deviation")(
    mutating(
        some,
        lambda genes, size, generator: genes + 12**0.5 * size * (torch.rand(genes.shape, generator=generator) - 0.5),
    )
)
wrong("3.3", "each child changes everywhere or nowhere")(
    mutating(lambda genes, rate, generator: some(genes[:, :1, :1, :1], rate, generator).expand_as(genes), added)
)
wrong("3.3", "each colour of a child changes everywhere or nowhere")(
    mutating(lambda genes, rate, generator: some(genes[:, :, :1, :1], rate, generator).expand_as(genes), added)
)
wrong("3.3", "each row of a child changes everywhere or nowhere")(
    mutating(lambda genes, rate, generator: some(genes[:, :1, :, :1], rate, generator).expand_as(genes), added)
)
wrong("3.3", "do not reflect it")(
    mutating(some, added, clamp=lambda x: torch.where(x < 0, -x, torch.where(x > 1, 2 - x, x)).clamp(0, 1))
)
wrong("3.3", "to the other end of [0, 1]")(mutating(some, added, clamp=lambda x: x - x.floor()))
wrong("3.3", "that would leave [0, 1] is dropped")(
    lambda genes, rate, size, generator: (lambda child: torch.where((child < 0) | (child > 1), genes, child))(
        mutating(some, added, clamp=lambda x: x)(genes, rate, size, generator)
    )
)
wrong("3.3", "draw a separate one for each value")(
    mutating(some, lambda genes, size, generator: genes + size * torch.randn(1, generator=generator))
)
wrong("3.3", "each child has exactly 154 changes")(mutating(exactly, added))
wrong("3.3", "the total is fixed")(mutating(lambda g, rate, generator: exactly(g[None], rate, generator)[0], added))
wrong("3.3", "draw a separate one for each value")(
    mutating(some, lambda genes, size, generator: genes + size * torch.randn(genes.shape[1:], generator=generator))
)


@wrong("3.3", "do not draw again")
def drawn_until_legal(genes, rate, size, generator):
    where, child = some(genes, rate, generator), added(genes, size, generator)
    while (beyond := (child < 0) | (child > 1)).any():
        child = torch.where(beyond, added(genes, size, generator), child)
    return torch.where(where, child, genes)


wrong("3.3", "all children change in the same places")(
    mutating(lambda genes, rate, generator: some(genes[:1], rate, generator).expand_as(genes), added)
)
wrong("3.3", "colours of a pixel change in the same places")(
    mutating(lambda genes, rate, generator: some(genes[:, :1], rate, generator).expand_as(genes), added)
)
wrong("3.3", "its argument `genes`")(
    lambda genes, rate, size, generator: genes.copy_(mutating(some, added)(genes, rate, size, generator))
)
wrong("3.3", "of type tuple")(lambda genes, rate, size, generator: (genes, genes))


@right("3.4")
def as_sure_by_loops(unselected, champions):
    shares = [sum(p >= champion for p in own) / len(own) for own, champion in zip(unselected.T, champions, strict=True)]
    return torch.tensor([float(share) for share in shares])


right("3.4")(lambda unselected, champions: 1 - (unselected < champions[None]).double().mean(0).float())
wrong("3.4", "*at least* as sure")(lambda unselected, champions: (unselected > champions).float().mean(0))
wrong("3.4", "these are counts")(lambda unselected, champions: (unselected >= champions).sum(0).float())
wrong("3.4", "*less* sure")(lambda unselected, champions: (unselected < champions).float().mean(0))
wrong("3.4", "less sure, or exactly as sure")(lambda unselected, champions: (unselected <= champions).float().mean(0))
wrong("3.4", "one number per image")(lambda unselected, champions: (unselected >= champions).float().mean(1))
wrong("3.4", "one number for all classes")(lambda unselected, champions: (unselected >= champions).float().mean())
wrong("3.4", "whatever the class")(
    lambda unselected, champions: (unselected.amax(1, True) >= champions).float().mean(0)
)
wrong("3.4", "only for its top class")(
    lambda unselected, champions: ((unselected >= champions) & (unselected == unselected.amax(1, True))).float().mean(0)
)
wrong("3.4", "not by the number of classes")(
    lambda unselected, champions: (unselected >= champions).sum(0) / len(champions)
)
wrong("3.4", "not their share")(lambda unselected, champions: (unselected * (unselected >= champions)).mean(0))
wrong("3.4", "wrong for a single one")(
    lambda unselected, champions: (unselected >= champions).float().mean(0) * len(unselected) / 40
)
wrong("3.4", "should hold floats")(lambda unselected, champions: (unselected >= champions).any(0))


# --------------------------------------------------------------------------------------------------------- lesson 4


right("4.1")(
    lambda answers: (
        sum(
            float((answers[i] == answers[j]).double().mean())
            for i in range(len(answers))
            for j in range(len(answers))
            if i != j
        )
        / (len(answers) * (len(answers) - 1))
    )
)


@right("4.1")
def agreement_by_counting_classes(answers):
    networks, points = answers.shape
    counts = F.one_hot(answers).sum(0)
    return (counts * (counts - 1)).sum() / (points * networks * (networks - 1))


def over_pairs(pick, of=lambda same: same.float().mean(), join=lambda shares: torch.stack(shares).mean().item()):
    return lambda answers: join([of(answers[i] == answers[j]) for i, j in pick(len(answers))])


def once(count):
    return [(i, j) for i in range(count) for j in range(i)]


right("4.1")(over_pairs(once))
wrong("4.1", "*dis*agree")(over_pairs(once, lambda same: (~same).float().mean()))
wrong("4.1", "percentage")(over_pairs(once, lambda same: 100 * same.float().mean()))
wrong("4.1", "with itself")(over_pairs(lambda count: [(i, j) for i in range(count) for j in range(count)]))
wrong("4.1", "first one only")(over_pairs(lambda count: [(0, j) for j in range(1, count)]))
wrong("4.1", "next one only")(over_pairs(lambda count: [(j - 1, j) for j in range(1, count)]))
wrong("4.1", "a sum over the pairs")(over_pairs(once, join=lambda shares: sum(shares).item()))
wrong("4.1", "a number of points")(over_pairs(once, lambda same: same.float().sum()))
wrong("4.1", "*all* networks agree")(lambda answers: (answers == answers[0]).all(0).float().mean())
wrong("4.1", "*any* network disagrees")(lambda answers: (answers != answers[0]).any(0).float().mean())
wrong("4.1", "should be one number")(over_pairs(once, join=torch.stack))
wrong("4.1", "the values are wrong")(lambda answers: 0.4)


@right("4.2")
def first_size_in_one_batch(model, image, direction, sizes, target):
    lengths = torch.tensor(sizes).view(-1, 1, 1, 1)
    tops = model((image + lengths * F.normalize(direction.flatten(), dim=0).view_as(image)).clamp(0, 1)).argmax(1)
    hits = (tops == target).nonzero()
    return sizes[hits[0]] if len(hits) else math.inf


def straight(
    unit=lambda direction: direction / direction.norm(),
    legal=lambda image: image.clamp(0, 1),
    hit=lambda top, target: top == target,
    choose=lambda sizes, hits: sizes[hits[0]] if hits else math.inf,
):
    def walk(model, image, direction, sizes, target):
        tops = [model(legal(image + size * unit(direction))).argmax().item() for size in sizes]
        return choose(sizes, [k for k, top in enumerate(tops) if hit(top, target)])

    return walk


right("4.2")(straight())
wrong("4.2", "divide it by its norm")(straight(unit=lambda direction: direction))
wrong("4.2", "leave [0, 1]")(straight(legal=lambda image: image))
wrong("4.2", "the last size")(straight(choose=lambda sizes, hits: sizes[hits[-1]] if hits else math.inf))
wrong("4.2", "*another* class")(straight(hit=lambda top, target: top != 0))
wrong("4.2", "return the size")(straight(choose=lambda sizes, hits: hits[0] if hits else math.inf))
wrong("4.2", "return infinity")(straight(choose=lambda sizes, hits: sizes[hits[0]] if hits else sizes[-1]))
wrong("4.2", "it returns nothing")(straight(choose=lambda sizes, hits: sizes[hits[0]] if hits else None))
wrong("4.2", "stops with IndexError")(straight(choose=lambda sizes, hits: sizes[hits[0]]))
wrong("4.2", "it should be")(straight(unit=lambda direction: direction / direction.square().sum()))
wrong("4.2", "it should be")(straight(unit=lambda direction: direction.sign() / direction.numel() ** 0.5))
wrong("4.2", "returns infinity")(lambda model, image, direction, sizes, target: math.inf)


@right("4.3")
def bisection_by_count(fools, high, tolerance):
    low = 0.0
    for _ in range(math.ceil(math.log2(high / tolerance))):
        middle = low + 0.5 * (high - low)
        low, high = (low, middle) if fools(middle) else (middle, high)
    return high


@right("4.3")
def bisection_by_recursion(fools, high, tolerance, low=0.0):
    if high - low <= tolerance:
        return high
    middle = (low + high) / 2
    if fools(middle):
        return bisection_by_recursion(fools, middle, tolerance, low)
    return bisection_by_recursion(fools, high, tolerance, middle)


def bisecting(
    end=lambda low, high: high, narrow=1.0, swap=False, share=0.5, go_on=lambda gap, tolerance: gap > tolerance
):
    def bisect(fools, high, tolerance):
        low = 0.0
        while go_on(high - low, narrow * tolerance):
            middle = low + share * (high - low)
            if fools(middle) != swap:
                high = middle
            else:
                low = middle
        return end(low, high)

    return bisect


wrong("4.3", "too large")(lambda fools, high, tolerance: high)
wrong("4.3", "does not fool")(lambda fools, high, tolerance: 0.0)
wrong("4.3", "does not fool")(bisecting(end=lambda low, high: low))
wrong("4.3", "does not fool")(bisecting(end=lambda low, high: (low + high) / 2))
wrong("4.3", "too large")(bisecting(swap=True))
wrong("4.3", "too large")(bisecting(narrow=10))
wrong("4.3", "are enough if every call halves")(bisecting(share=0.1))
wrong("4.3", "are enough if every call halves")(bisecting(narrow=1e-4))
wrong("4.3", "does the loop ever end")(bisecting(go_on=lambda gap, tolerance: gap >= 0))
wrong("4.3", "one number")(bisecting(end=lambda low, high: (low, high)))
wrong("4.3", "one number")(lambda fools, high, tolerance: fools(high))


@wrong("4.3", "are enough if every call halves")
def smallest_by_walking(fools, high, tolerance):
    epsilon = 0.0
    while not fools(epsilon):
        epsilon += tolerance
    return min(epsilon, high)


right("4.4")(lambda w, gap: torch.where(w > 0, 1.0, -1.0) * gap / torch.linalg.vector_norm(w, 1))
right("4.4")(lambda w, gap: torch.sign(w) * (gap / torch.dot(w, torch.sign(w))))
wrong("4.4", "rises by")(lambda w, gap: w)
wrong("4.4", "rises by 0")(lambda w, gap: torch.zeros_like(w))
wrong("4.4", "sign is reversed")(lambda w, gap: -gap / w.abs().sum() * w.sign())
wrong("4.4", "same* amount")(lambda w, gap: gap * w / w.square().sum())
wrong("4.4", "length of w")(lambda w, gap: gap / len(w) ** 0.5 * w.sign())
wrong("4.4", "where w is negative")(lambda w, gap: (gap / w.abs().sum()).expand(len(w)))
wrong("4.4", "where w is negative, it must fall, and less")(lambda w, gap: (gap / w.sum()).expand(len(w)))
wrong("4.4", "not the root")(lambda w, gap: gap / w.norm() * w.sign())
wrong("4.4", "rises by")(lambda w, gap: gap * w.sign())
wrong("4.4", "rises by")(lambda w, gap: gap / w.abs().mean() * w.sign())
wrong("4.4", "of type float")(lambda w, gap: gap / w.abs().sum().item())
wrong("4.4", "shape")(lambda w, gap: gap / w.abs().sum())
wrong("4.4", "rises by")(lambda w, gap: gap / 255 / w.abs().sum() * w.sign())

# --------------------------------------------------------------------------------------------------------- lesson 5

right("5.1")(lambda distances, epsilon: 1 - (distances <= epsilon).double().mean())
right("5.1")(lambda distances, epsilon: sum(d > epsilon for d in distances.tolist()) / len(distances))


def standing(count, better=torch.gt):
    return lambda distances, epsilon: count(better(distances, epsilon), distances)


def share_of(stands, distances=None):
    return stands.float().mean().item()


wrong("5.1", "should be one number")(standing(lambda stands, distances: stands))
wrong("5.1", "should be one number")(lambda distances, epsilon: distances)
wrong("5.1", "this is a count")(standing(lambda stands, distances: stands.sum()))
wrong("5.1", "a percentage")(standing(lambda stands, distances: 100 * share_of(stands)))
wrong("5.1", "does *not* stand")(standing(share_of, torch.le))
wrong("5.1", "at *exactly* epsilon does not stand")(standing(share_of, torch.ge))
wrong("5.1", "already wrong count as well")(standing(lambda stands, distances: share_of(stands[distances > 0])))
wrong("5.1", "does not depend on `epsilon`")(lambda distances, epsilon: share_of(distances > 0))
wrong("5.1", "such an image stands")(standing(lambda stands, distances: share_of(stands & distances.isfinite())))
wrong("5.1", "whose distance is infinity count as well")(
    standing(lambda stands, distances: share_of(stands[distances.isfinite()]))
)
wrong("5.1", "the values are wrong")(standing(lambda stands, distances: 0.0))
wrong("5.1", "the values are wrong")(lambda distances, epsilon: distances.nan_to_num(posinf=0).mean())
wrong("5.1", "does not depend on `epsilon`")(lambda distances, epsilon: share_of(distances > epsilon / 255))
wrong("5.1", "the values are wrong")(lambda distances, epsilon: share_of(distances > 0.5))
wrong("5.1", "compare with `epsilon` itself")(lambda distances, epsilon: share_of(distances > epsilon + 1e-4))
wrong("5.1", "compare with `epsilon` itself")(lambda distances, epsilon: share_of(distances > epsilon * 1.0001))
wrong("5.1", "for a radius of 0")(lambda distances, epsilon: share_of(distances > (epsilon or 0.3)))
wrong("5.1", "its argument `distances`")(lambda distances, epsilon: share_of(distances.sub_(epsilon) > 0))


@right("5.2")
def worst_by_loops(model, attacked, labels):
    return sum(
        all(int(model(images[i : i + 1]).argmax()) == label for images in attacked)
        for i, label in enumerate(labels.tolist())
    ) / len(labels)


@right("5.2")
def worst_by_steps(model, attacked, labels):
    stands = labels == labels
    for images in attacked:
        stands = stands & (model.probabilities(images).max(1).indices == labels)
    return stands.double().mean()


@right("5.2")
def worst_in_one_batch(model, attacked, labels):
    named = model(torch.cat(attacked)).argmax(1).view(len(attacked), -1)
    return 1 - (named != labels).any(0).float().mean().item()


def over_attacks(combine, right=lambda logits, labels: logits.argmax(1) == labels):
    def share(model, attacked, labels):
        return combine(torch.stack([right(model(images), labels) for images in attacked]).float())

    return share


wrong("5.2", "should be one number")(over_attacks(lambda table: table))
wrong("5.2", "should be one number")(over_attacks(lambda table: table.mean(1)))
wrong("5.2", "mean of the accuracies")(over_attacks(lambda table: table.mean()))
wrong("5.2", "smallest of the accuracies")(over_attacks(lambda table: table.mean(1).min()))
wrong("5.2", "stands against *one* of the attacks")(over_attacks(lambda table: table.amax(0).mean()))
wrong("5.2", "under the first attack alone")(over_attacks(lambda table: table[0].mean()))
wrong("5.2", "under the last attack alone")(over_attacks(lambda table: table[-1].mean()))
wrong("5.2", "do *not* stand")(over_attacks(lambda table: 1 - table.amin(0).mean()))
wrong("5.2", "product of the accuracies")(over_attacks(lambda table: table.mean(1).prod()))
wrong("5.2", "this is a count")(over_attacks(lambda table: table.amin(0).sum()))
wrong("5.2", "a percentage")(over_attacks(lambda table: 100 * table.amin(0).mean()))
wrong("5.2", "for each *image*")(over_attacks(lambda table: table.amin(1).mean()))
wrong("5.2", "no image stands")(over_attacks(lambda table: table.amin()))
wrong("5.2", "first three attacks alone")(over_attacks(lambda table: table[:3].amin(0).mean()))
wrong("5.2", "the values are wrong")(over_attacks(lambda table: table[:2].amin(0).mean()))
wrong("5.2", "first and the last attack alone")(over_attacks(lambda table: table[[0, -1]].amin(0).mean()))
wrong("5.2", "one that works is enough")(over_attacks(lambda table: (table.mean(0) > 0.5).float().mean()))
wrong("5.2", "stops with RuntimeError")(over_attacks(torch.mean, lambda logits, labels: logits.argmax(0) == labels))
wrong("5.2", "no image stands")(
    over_attacks(lambda table: table.amin(0).mean(), lambda logits, labels: logits.argmin(1) == labels)
)
wrong("5.2", "stops with TypeError")(lambda model, attacked, labels: model(attacked).argmax(1).eq(labels).mean())


@wrong("5.2", "compare each answer with `labels`")
def worst_without_labels(model, attacked, labels):
    answers = torch.stack([model(images).argmax(1) for images in attacked])
    return (answers == answers[0]).all(0).float().mean().item()


@wrong("5.2", "attacked images, which belong to the caller")
def worst_in_place(model, attacked, labels):
    return worst_by_loops(model, [images.mul_(0.5) for images in attacked], labels)


class RoundStraight(torch.autograd.Function):
    """Rounding that lets the gradient pass."""

    @staticmethod
    def forward(ctx, image, levels):
        return image.mul(levels - 1).round().div(levels - 1)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


right("5.3")(RoundStraight.apply)


@right("5.3")
def nearest_of_all_levels(image, levels):
    shades = torch.linspace(0, 1, levels)
    nearest = shades[(image.detach()[..., None] - shades).abs().argmin(-1)]
    return nearest + (image - image.detach())


def nearest(image, levels):
    return (image * (levels - 1)).round() / (levels - 1)


def straight(values, strength=1.0):
    """The values of one function of image and levels, with a gradient that is so many times the identity."""

    def view(image, levels):
        return values(image, levels).detach() + strength * (image - image.detach())

    return view


def between_its_own(image, levels):
    low, high = image.aminmax()
    return low + (high - low) * nearest((image - low) / (high - low), levels)


wrong("5.3", "the values are not rounded")(lambda image, levels: image)
wrong("5.3", "there are 9 different values")(straight(lambda image, levels: (image * levels).round() / levels))
wrong("5.3", "it rounds down")(straight(lambda image, levels: (image * (levels - 1)).floor() / (levels - 1)))
wrong("5.3", "it rounds up")(straight(lambda image, levels: (image * (levels - 1)).ceil() / (levels - 1)))
wrong("5.3", "white does not stay white")(straight(lambda image, levels: (image * levels).floor() / levels))
wrong("5.3", "intervals of equal width")(
    straight(lambda image, levels: (image * levels).floor().clamp(max=levels - 1) / (levels - 1))
)
wrong("5.3", "256 grey levels")(straight(lambda image, levels: fu.round_to_8bit(image)))
wrong("5.3", "leaves [0, 1]: its largest value is 7")(straight(lambda image, levels: (image * (levels - 1)).round()))
wrong("5.3", "with 2 levels, some values do not go to the nearest")(straight(lambda image, levels: nearest(image, 8)))
wrong("5.3", "not go to the nearest level")(straight(lambda image, levels: image.round()))
wrong("5.3", "not go to the nearest level")(lambda image, levels: nearest(image, levels + 2))
wrong("5.3", "gradient is zero everywhere")(nearest)
wrong("5.3", "from the darkest value of the image")(straight(lambda image, levels: between_its_own(image, levels)))
wrong("5.3", "gradient is zero everywhere")(lambda image, levels: image + nearest(image, levels) - image)
wrong("5.3", "no gradient gets through")(lambda image, levels: nearest(image, levels).detach())
wrong("5.3", "comes out -1 times")(straight(nearest, -1))
wrong("5.3", "comes out 7 times")(
    lambda image, levels: (image * (levels - 1)) + (nearest(image, levels) - image * (levels - 1)).detach()
)
wrong("5.3", "comes out 2 times")(straight(nearest, 2))
wrong("5.3", "for only")(
    lambda image, levels: torch.where(image < 0.5, straight(nearest)(image, levels), nearest(image, levels))
)
wrong("5.3", "its argument `image`")(lambda image, levels: straight(nearest)(image, levels).add(image.mul_(0)))
wrong("5.3", "switches on gradients for its argument `image`")(
    lambda image, levels: straight(nearest)(image.requires_grad_(), levels).detach()
)
wrong("5.3", "`detach()` it")(lambda image, levels: nearest(image, levels) * torch.ones(1, requires_grad=True))
wrong("5.3", "the values change when a gradient")(
    lambda image, levels: image + 0 if image.requires_grad else nearest(image, levels)
)
wrong("5.3", "shape")(lambda image, levels: straight(nearest)(image, levels)[0])


@right("5.4")
def views_in_one_batch(model, image, targets, view, draws, generator):
    leaf = image.clone().requires_grad_()
    shown = view(leaf.repeat(draws, 1, 1, 1), generator)
    loss = F.cross_entropy(model(shown), targets.repeat(draws), reduction="none").view(draws, -1)
    loss.mean(0).sum().backward()
    return -leaf.grad


@right("5.4")
def views_image_by_image(model, image, targets, view, draws, generator):
    gradients = torch.zeros_like(image)
    for i, target in enumerate(targets.tolist()):
        for _ in range(draws):
            leaf = image[i : i + 1].clone().requires_grad_()
            log_p = model(view(leaf, generator)).log_softmax(1)[0, target]
            gradients[i] += torch.autograd.grad(log_p, leaf)[0][0] / draws
    return gradients


def of_targets(table, targets):
    return table.gather(1, targets[:, None])[:, 0]


def log_p_of(logits, targets):
    return of_targets(logits.log_softmax(1), targets)


def climbing_views(
    score=log_p_of,
    combine=lambda table: table.mean(0).sum(),
    extra=0,
    before=lambda image: image,
    ask=lambda view, leaf, generator: view(leaf, generator),
    finish=lambda gradient: gradient,
):
    """Wrong in one way: score gives (N,) from logits and targets, combine one number from the table (draws, N)."""

    def gradient(model, image, targets, view, draws, generator):
        leaf = image.clone().requires_grad_()
        shown = [ask(view, before(leaf), generator) for _ in range(draws + extra)]
        table = torch.stack([score(model(one), targets) for one in shown])
        return finish(torch.autograd.grad(combine(table), leaf)[0])

    return gradient


wrong("5.4", "sign is reversed")(climbing_views(finish=torch.neg))
wrong("5.4", "this is the sum over the draws")(climbing_views(combine=lambda table: table.sum()))
wrong("5.4", "divided by the number of images: each")(climbing_views(combine=lambda table: table.mean()))
wrong("5.4", "divided by the number of images, not by")(climbing_views(combine=lambda table: table.mean(1).sum()))
wrong("5.4", "divided by the number of draws twice")(
    climbing_views(combine=lambda table: table.mean(0).sum() / len(table))
)
wrong("5.4", "first draw alone")(climbing_views(combine=lambda table: table[0].sum()))
wrong("5.4", "last draw alone")(climbing_views(combine=lambda table: table[-1].sum()))
wrong("5.4", "last draw alone, divided")(climbing_views(combine=lambda table: table[-1].sum() / len(table)))
wrong("5.4", "the targets of all")(climbing_views(lambda logits, t: logits.log_softmax(1)[:, t].sum(1)))
wrong("5.4", "gradient of the probability")(climbing_views(lambda logits, t: of_targets(logits.softmax(1), t)))
wrong("5.4", "logarithm of the mean probability")(climbing_views(combine=lambda table: table.exp().mean(0).log().sum()))
wrong("5.4", "gradient of the logit")(climbing_views(of_targets))
wrong("5.4", "target of the first")(climbing_views(lambda logits, t: log_p_of(logits, t[:1].expand_as(t))))
wrong("5.4", "only its direction")(climbing_views(finish=lambda gradient: gradient / norms_of(gradient)))
wrong("5.4", "only its signs")(climbing_views(finish=torch.sign))
wrong("5.4", "over the classes, not over the images")(
    climbing_views(lambda logits, t: of_targets(logits.log_softmax(0), t))
)
wrong("5.4", "the values are wrong")(climbing_views(finish=lambda gradient: gradient / 255))
wrong("5.4", "the values are wrong")(climbing_views(finish=torch.zeros_like))
wrong("5.4", "got 1 draws of `view`, but 6")(climbing_views(extra=-5))
wrong("5.4", "got 7 draws of `view`, but 6")(climbing_views(extra=1))
wrong("5.4", "`view` was never called")(climbing_views(ask=lambda view, leaf, generator: leaf))
wrong("5.4", "a different generator")(climbing_views(ask=lambda view, leaf, generator: view(leaf, None)))
wrong("5.4", "a different generator")(
    climbing_views(ask=lambda view, leaf, generator: view(leaf, torch.Generator().manual_seed(0)))
)
wrong("5.4", "all draws are the same")(
    climbing_views(ask=lambda view, leaf, generator: view(leaf, generator.manual_seed(0)))
)
wrong("5.4", "stops with TypeError")(climbing_views(ask=lambda view, leaf, generator: view(leaf)))
wrong("5.4", "stops with RuntimeError")(
    climbing_views(ask=lambda view, leaf, generator: view(leaf, generator).detach())
)
wrong("5.4", "something other than the image")(climbing_views(before=lambda leaf: leaf / 255))
wrong("5.4", "shape")(climbing_views(finish=lambda gradient: gradient[0]))
wrong("5.4", "`detach()` it")(climbing_views(finish=lambda gradient: gradient * torch.ones(1, requires_grad=True)))


@wrong("5.4", "something other than the image")
def views_of_views(model, image, targets, view, draws, generator):
    leaf, scores = image.clone().requires_grad_(), []
    shown = leaf
    for _ in range(draws):
        shown = view(shown, generator)
        scores.append(log_p_of(model(shown), targets).sum())
    return torch.autograd.grad(sum(scores) / draws, leaf)[0]


@wrong("5.4", "not the mean of the views")
def views_blended(model, image, targets, view, draws, generator):
    leaf = image.clone().requires_grad_()
    shown = torch.stack([view(leaf, generator) for _ in range(draws)]).mean(0)
    return torch.autograd.grad(log_p_of(model(shown), targets).sum(), leaf)[0]


@wrong("5.4", "follow it back, through `view`")
def views_as_starts(model, image, targets, view, draws, generator):
    total = 0
    for _ in range(draws):
        shown = view(image, generator).requires_grad_()
        total = total + torch.autograd.grad(log_p_of(model(shown), targets).sum(), shown)[0]
    return total / draws


@wrong("5.4", "the views are left out")
def views_drawn_and_forgotten(model, image, targets, view, draws, generator):
    leaf = image.clone().requires_grad_()
    for _ in range(draws):
        view(leaf, generator)
    return torch.autograd.grad(log_p_of(model(leaf), targets).sum(), leaf)[0]


@wrong("5.4", "switches on gradients for its argument `image`")
def views_of_the_caller(model, image, targets, view, draws, generator):
    scores = [log_p_of(model(view(image.requires_grad_(), generator)), targets).sum() for _ in range(draws)]
    return torch.autograd.grad(sum(scores) / draws, image)[0]


@right("5.5")
def radius_by_icdf(successes, draws, sigma, lower_bound):
    p = lower_bound(successes, draws)
    return torch.where(p > 0.5, torch.distributions.Normal(0.0, 1.0).icdf(p) * sigma, 0.0)


@right("5.5")
def radius_by_erfinv(successes, draws, sigma, lower_bound):
    certain = lower_bound(successes, draws) > 0.5
    radii = torch.zeros(len(successes))
    lead = 2 * lower_bound(successes, draws)[certain] - 1
    radii[certain] = (sigma * 2**0.5 * torch.erfinv(lead)).float()
    return radii


@right("5.5")
def radius_one_by_one(successes, draws, sigma, lower_bound):
    normal, radii = torch.distributions.Normal(0.0, float(sigma)), []
    for one in successes:
        p = lower_bound(one[None], draws)[0]
        radii.append(normal.icdf(p) if p > 0.5 else torch.zeros_like(p))
    return torch.stack(radii)


def radii(radius, abstain=lambda radius, p: torch.where(p > 0.5, radius, 0.0), ask=lambda bound, s, n: bound(s, n)):
    """Wrong in one way: radius (N,) from p, sigma, successes and draws; abstain puts zeros where p is small."""

    def certified(successes, draws, sigma, lower_bound):
        p = ask(lower_bound, successes, draws)
        return abstain(radius(p, sigma, successes, draws), p)

    return certified


def quantile(p, sigma, *_):
    return sigma * torch.special.ndtri(p)


wrong("5.5", "does not grow with sigma")(radii(lambda p, sigma, *_: torch.special.ndtri(p)))
wrong("5.5", "grow *with* sigma")(radii(lambda p, sigma, *_: torch.special.ndtri(p) / sigma))
wrong("5.5", "square of sigma")(radii(lambda p, sigma, *_: sigma**2 * torch.special.ndtri(p)))
wrong("5.5", "Φ(p) and not its inverse")(radii(lambda p, sigma, *_: sigma * torch.special.ndtr(p)))
wrong("5.5", "Φ⁻¹ is missing")(radii(lambda p, sigma, *_: sigma * p))
wrong("5.5", "factor of √2")(radii(lambda p, sigma, *_: sigma * torch.erfinv(2 * p - 1)))
wrong("5.5", "half as large")(radii(lambda p, sigma, *_: quantile(p, sigma) / 2))
wrong("5.5", "never negative")(radii(lambda p, sigma, *_: -quantile(p, sigma)))
wrong("5.5", "with 0 of 1000 it gives -inf")(radii(quantile, lambda radius, p: radius))
wrong("5.5", "with 0 of 1000 it gives -1")(radii(quantile, lambda radius, p: torch.where(p > 0.5, radius, -1.0)))
wrong("5.5", "with 0 of 1000 it gives nan")(radii(quantile, lambda radius, p: torch.where(p > 0.5, radius, math.nan)))
wrong("5.5", "with 0 of 1000 it gives inf")(radii(quantile, lambda radius, p: radius.abs()))
wrong("5.5", "it gives -0.")(radii(quantile, lambda radius, p: torch.where(p > 0, radius, 0.0)))
wrong("5.5", "a clear vote has a radius")(radii(lambda p, *_: torch.zeros_like(p)))
wrong("5.5", "with 560 of 1000 it gives 0")(radii(quantile, lambda radius, p: torch.where(p > 0.95, radius, 0.0)))
wrong("5.5", "with 560 of 1000 it gives 0")(radii(quantile, lambda radius, p: torch.where(p > 0.52, radius, 0.0)))
wrong("5.5", "wrong for sigma")(radii(lambda p, sigma, *_: quantile(p, sigma) / 255))
wrong("5.5", "wrong for sigma")(radii(lambda p, sigma, *_: sigma * (p / (1 - p)).log()))
wrong("5.5", "an infinite radius")(radii(lambda p, sigma, s, draws: quantile(s / draws, sigma)))
wrong("5.5", "wrong for sigma")(radii(lambda p, sigma, s, draws: quantile((s / draws).clamp(max=0.9999), sigma)))
wrong("5.5", "never called")(radii(quantile, ask=lambda bound, s, draws: s / draws))
wrong("5.5", "as they are")(radii(quantile, ask=lambda bound, s, draws: bound(s / draws, draws)))
wrong("5.5", "as they are")(radii(quantile, ask=lambda bound, s, draws: bound(s, int(s.sum()))))
wrong("5.5", "stops with AttributeError")(radii(quantile, ask=lambda bound, s, draws: bound(draws, s)))
wrong("5.5", "one result per image")(radii(quantile, lambda radius, p: radius[p > 0.5].mean()))
wrong("5.5", "shape")(radii(quantile, lambda radius, p: radius[p > 0.5]))
wrong("5.5", "int64")(radii(quantile, lambda radius, p: torch.where(p > 0.5, radius, 0.0).long()))
wrong("5.5", "its argument `successes`")(radii(quantile, ask=lambda bound, s, draws: bound(s, draws) + s.zero_()))

# --------------------------------------------------------------------------------------------------------- lesson 6


@right("6.1")
def shrink_by_halves(model, image, change, target, rounds):
    scale, step = 1.0, 0.5
    best = scale
    for _ in range(rounds):
        scale = best - step
        if model.probabilities(image + scale * change).max(1).indices.item() == target:
            best = scale
        step /= 2
    return image + best * change


@right("6.1")
def shrink_by_whole_numbers(model, image, change, target, rounds):
    parts = 2**rounds
    low, high = 0, parts
    while high - low > 1:
        middle = (low + high) // 2
        with torch.no_grad():
            fools = model(image + change * middle / parts)[0].argmax() == target
        low, high = (low, middle) if fools else (middle, high)
    return torch.lerp(image, image + change, high / parts)


def bisecting(end=lambda low, high: high, fools=None, split=lambda low, high: (low + high) / 2, rounds=lambda n: n):
    def shrink(model, image, change, target, count):
        low, high = 0.0, 1.0
        for _ in range(rounds(count)):
            middle = split(low, high)
            logits = model(image + middle * change).detach()[0]
            found = fools(logits, target) if fools else logits.argmax() == target
            low, high = (low, middle) if found else (middle, high)
        return image + end(low, high) * change

    return shrink


wrong("6.1", "return the other end")(bisecting(lambda low, high: low))
wrong("6.1", "where your search ends")(bisecting(lambda low, high: (low + high) / 2 - 1e-3))
wrong("6.1", "a third class")(bisecting(fools=lambda logits, target: logits.argmax() != 0))
wrong("6.1", "was not shrunk")(bisecting(fools=lambda logits, target: logits.argmax() != target))
wrong("6.1", "every round halves")(bisecting(fools=lambda logits, target: logits.softmax(0)[target] > 0.9))
wrong("6.1", "every round halves")(bisecting(rounds=lambda n: n + 1))
wrong("6.1", "every round halves")(bisecting(rounds=lambda n: n - 1))
wrong("6.1", "every round halves")(bisecting(rounds=lambda n: 12))
wrong("6.1", "every round halves")(bisecting(split=lambda low, high: low + 0.9 * (high - low)))
wrong("6.1", "was not shrunk")(lambda model, image, change, target, rounds: image + change)
wrong("6.1", "only the change")(
    lambda model, image, change, target, rounds: bisecting()(model, image, change, target, rounds) - image
)
wrong("6.1", "the straight line")(
    lambda model, image, change, target, rounds: bisecting()(model, image, change, target, rounds).clamp(0.4, 0.6)
)
wrong("6.1", "its argument `image`")(
    lambda model, image, change, target, rounds: bisecting()(model, image.add_(0.1 * change), change, target, rounds)
)
wrong("6.1", "of type float")(lambda model, image, change, target, rounds: 0.5)


@wrong("6.1", "but it was shown")
def shrink_in_small_steps(model, image, change, target, rounds):
    steps = 2**rounds
    fools = [int(model(image + k / steps * change).argmax()) == target for k in range(steps + 1)]
    return image + fools.index(True) / steps * change


@right("6.2")
def across_by_projection(image, weight, bias):
    unit = weight / weight.norm()
    distance = (image * unit).flatten(1).sum(1) + bias / weight.norm()
    return image - distance[:, None, None, None] * unit


right("6.2")(
    lambda image, weight, bias: torch.stack(
        [one - ((one * weight).sum() + bias) / (weight * weight).sum() * weight for one in image]
    )
)


def across(move, lead=lambda image, weight, bias: (image * weight).flatten(1).sum(1) + bias):
    return lambda image, weight, bias: move(image, lead(image, weight, bias).view(-1, 1, 1, 1), weight)


wrong("6.2", "sign is reversed")(across(lambda image, lead, w: image + lead * w / w.norm() ** 2))
wrong("6.2", "by the length of the weight")(across(lambda image, lead, w: image - lead * w / w.norm()))
wrong("6.2", "as often as the lead")(across(lambda image, lead, w: image - lead * w))
wrong("6.2", "the lead has a sign")(across(lambda image, lead, w: image - lead.abs() * w / w.norm() ** 2))
wrong("6.2", "the lead has a sign")(across(lambda image, lead, w: image + lead.abs() * w / w.norm() ** 2))
wrong("6.2", "as well")(across(lambda image, lead, w: image - lead.clamp(max=0) * w / w.norm() ** 2))
wrong("6.2", "not on the shortest way")(across(lambda image, lead, w: image - lead * w.sign() / w.abs().sum()))
wrong("6.2", "nothing is cut off")(across(lambda image, lead, w: (image - lead * w / w.norm() ** 2).clamp(0, 1)))
wrong("6.2", "only the change")(across(lambda image, lead, w: -lead * w / w.norm() ** 2))
wrong("6.2", "stop on the boundary")(across(lambda image, lead, w: image - 2 * lead * w / w.norm() ** 2))
wrong("6.2", "each image has its own")(across(lambda image, lead, w: image - lead.mean() * w / w.norm() ** 2))
wrong("6.2", "where it should be 0")(across(lambda image, lead, w: image - lead.sum() * w / w.norm() ** 2))
wrong("6.2", "where it should be 0")(across(lambda image, lead, w: image - lead / w.norm()))
wrong("6.2", "add the bias")(
    across(lambda image, lead, w: image - lead * w / w.norm() ** 2, lambda image, w, b: (image * w).flatten(1).sum(1))
)
wrong("6.2", "with a plus")(
    across(
        lambda image, lead, w: image - lead * w / w.norm() ** 2, lambda image, w, b: (image * w).flatten(1).sum(1) - b
    )
)
wrong("6.2", "from black")(lambda image, weight, bias: (-bias * weight / weight.norm() ** 2).expand_as(image))
wrong("6.2", "did not move")(lambda image, weight, bias: image)
wrong("6.2", "its argument `image`")(across(lambda image, lead, w: image.sub_(lead * w / w.norm() ** 2)))


@right("6.3")
def walls_by_corners(image, weight, bias):
    """The lead is straight between the scales at which a value reaches its wall: go from one to the next."""
    lead = (image * weight).sum() + bias
    if lead >= 0:
        return image.clone()
    room = torch.where(weight > 0, 1 - image, image) / weight.abs()
    free, reached = torch.ones_like(image, dtype=torch.bool), 0.0
    for corner in room.flatten().sort().values:
        free = room > reached
        slope = weight[free[0]].square().sum()
        needed = reached - lead / slope
        if needed <= corner:
            return (image + needed * weight).clamp(0, 1)
        lead, reached = lead + (corner - reached) * slope, corner
    return (image + reached * weight).clamp(0, 1)


@right("6.3")
def walls_by_a_finer_and_finer_walk(image, weight, bias):
    scale, step = 0.0, 1.0
    while step > 1e-7:
        if ((image + (scale + step) * weight).clamp(0, 1) * weight).sum() + bias < 0:
            scale += step
        else:
            step /= 2
    if (image * weight).sum() + bias >= 0:
        return image.clone()
    return (image + scale * weight).clamp(0, 1)


def walled(move, check=True):
    def nearest(image, weight, bias):
        lead = (image * weight).sum() + bias
        return image.clone() if check and lead >= 0 else move(image, weight, bias, lead)

    return nearest


def repeated(image, weight, bias, lead, direction=lambda w: w):
    """Walk to the boundary and cut off, again and again: it arrives, and not on the shortest way."""
    way = direction(weight)
    for _ in range(3000):
        image = (image - ((image * weight).sum() + bias) / (weight * way).sum() * way).clamp(0, 1)
    return image


def searched(direction, low=0.0, high=50.0, rounds=40):
    def move(image, weight, bias, lead):
        a, b = low, high
        for _ in range(rounds):
            middle = (a + b) / 2
            arrived = ((image + middle * direction(image, weight)).clamp(0, 1) * weight).sum() + bias >= 0
            a, b = (a, middle) if arrived else (middle, b)
        return (image + b * direction(image, weight)).clamp(0, 1)

    return move


wrong("6.3", "cut off at the walls, does not arrive")(
    walled(lambda image, w, b, lead: (image - lead * w / w.norm() ** 2).clamp(0, 1))
)
wrong("6.3", "leaves [0, 1]")(walled(lambda image, w, b, lead: image - lead * w / w.norm() ** 2))
wrong("6.3", "by a detour")(walled(searched(lambda image, w: w.sign())))
wrong("6.3", "by a detour")(
    walled(searched(lambda image, w: torch.where(w > 0, 1 - image, -image), high=1.0))  # straight to the corner
)
wrong("6.3", "by a detour")(walled(lambda image, w, b, lead: repeated(image, w, b, lead, torch.sign)))
wrong("6.3", "it goes too far")(walled(lambda image, w, b, lead: (image + 50 * w).clamp(0, 1)))
wrong("6.3", "it goes too far")(walled(searched(lambda image, w: w, rounds=6)))
wrong("6.3", "is not reached")(walled(searched(lambda image, w: -w)))
wrong("6.3", "did not move")(lambda image, weight, bias: image)
wrong("6.3", "should stay as it is")(walled(lambda *given: walls_by_scale(*given[:3]), check=False))
wrong("6.3", "its argument `image`")(
    lambda image, weight, bias: image.add_(walls_by_corners(image, weight, bias) - image)
)


def walls_by_scale(image, weight, bias):
    """Without looking whether there is anything to do: with a lead above 0 it walks back to the boundary."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        arrived = ((image + middle * weight).clamp(0, 1) * weight).sum() + bias >= 0
        low, high = (low, middle) if arrived else (middle, high)
    return (image + high * weight).clamp(0, 1)
