"""Checks of lesson 5: robust accuracy, the worst of several attacks, gradients past a defence, a certified radius."""

import math

import torch
from torch import Tensor, nn

from ..defences.smoothing import lower_bound
from ..models import Classifier
from .core import (
    Answer,
    Wrong,
    compare,
    is_close,
    legal,
    normal,
    number,
    random,
    small_network,
    tensor,
)


def robust_accuracy(answer: Answer, seed: int, device: torch.device) -> None:
    found = torch.linspace(0.1, 2, 30, device=device) + random((30,), seed, device, 0, 0.005)
    distances = torch.cat([found, torch.zeros(7, device=device), torch.full((3,), math.inf, device=device)])
    for epsilon in (0.5, 1.2):
        count, finite = (int((some > epsilon).sum()) for some in (distances, found))
        mistakes = {
            "this is a count: divide it by the number of images": count,
            "this is a percentage: return a share from 0 to 1": 100 * count / 40,
            "this is the share that does *not* stand": 1 - count / 40,
            "divide by the number of *all* images: those that are already wrong count as well": count / 33,
            "this is the accuracy without an attack: it does not depend on `epsilon`": 33 / 40,
            "infinity means that no error was found: such an image stands": finite / 40,
            "divide by the number of *all* images: those whose distance is infinity count as well": finite / 37,
        }
        compare(number(answer(distances, epsilon)), count / 40, mistakes)
    edge = torch.tensor([0.0, 0.5, 1.0, math.inf], device=device)
    if not is_close(number(answer(edge, 0.5)), 0.5):
        raise Wrong("an image whose error is at *exactly* epsilon does not stand: the attack gets that far")
    for distance, stands in ((0.5 - 1e-6, 0), (0.5 + 1e-6, 1)):
        if not is_close(number(answer(torch.tensor([distance], device=device), 0.5)), stands):
            raise Wrong(
                f"at 0.5, an image whose error is at {distance} {'stands' if stands else 'does not stand'}: compare "
                "with `epsilon` itself"
            )
    message = "wrong for a radius of 0: an image that is wrong already does not stand, all others do"
    compare(number(answer(distances, 0.0)), 33 / 40, message=message)


# Five attacks on 21 images: one image falls to all of them, others to some, and four to none.
FOOLED = ([2, 3, 8], [0, 1, 2, 5, 6, 7, 10], [1, 2, 4, 8, 12], [2, 3, 8, 13, 14], [0, 2, 9, 15, 16, 17])


class _Brightest(nn.Module):
    # The class is the colour that is brightest on average: a picture of any class can be drawn.
    def forward(self, images: Tensor) -> Tensor:
        return 20 * images.mean((2, 3))


def worst_of_attacks(answer: Answer, seed: int, device: torch.device) -> None:
    model = Classifier(_Brightest().eval(), input_shape=(3, 6, 6), prepare=False).to(device)
    stands = torch.ones(5, 21, dtype=torch.bool)
    for row, fooled in zip(stands, FOOLED, strict=True):
        row[fooled] = False
    stands = stands[:, torch.randperm(21, generator=torch.Generator().manual_seed(seed))].to(device)
    labels = random((21,), seed, device, 0, 2.999).long()
    attacked = [random((21, 3, 6, 6), seed + index, device, 0, 0.4) for index in range(5)]
    named = torch.where(stands, labels, (labels + 1) % 3)
    for pictures, names in zip(attacked, named, strict=True):
        pictures[range(21), names] += 0.6
    before = torch.stack(attacked)
    for count in (5, 2, 1):
        rows = stands[:count].float()
        right, accuracies = rows.amin(0).mean().item(), rows.mean(1)
        mistakes = {
            "this is the mean of the accuracies: an image stands only if it stands against *every* attack": (
                accuracies.mean().item()
            ),
            "this is the smallest of the accuracies: an image that only another attack fools does not stand either": (
                accuracies.min().item()
            ),
            "an image that stands against *one* of the attacks may still fall to another": (
                rows.amax(0).mean().item()
            ),
            "this is the accuracy under the first attack alone": accuracies[0].item(),
            "this is the accuracy under the last attack alone": accuracies[-1].item(),
            "this is the accuracy under the first three attacks alone: there may be more": (
                rows[:3].amin(0).mean().item()
            ),
            "this is the accuracy under the first and the last attack alone": rows[[0, -1]].amin(0).mean().item(),
            "the same answer after every attack can be the same *wrong* answer: compare each answer with `labels`": (
                (named[:count] == named[0]).all(0).float().mean().item()
            ),
            "most attacks fail on these images, but one that works is enough": (
                (rows.mean(0) > 0.5).float().mean().item()
            ),
            "this is the share of the images that do *not* stand": 1 - right,
            "this is the product of the accuracies: look at each image, since the attacks may fool the same ones": (
                accuracies.prod().item()
            ),
            "this is a count: divide it by the number of images": 21 * right,
            "this is a percentage: return a share from 0 to 1": 100 * right,
            "no image stands here, but some should: do you ask for each *image* whether all attacks fail?": 0.0,
        }  # fmt: skip
        compare(number(answer(model, attacked[:count], labels)), right, mistakes)
    if not torch.equal(torch.stack(attacked), before):
        raise Wrong("it changes the attacked images, which belong to the caller, in place: make a new tensor")


def quantise(answer: Answer, seed: int, device: torch.device) -> None:
    shape = (2, 3, 6, 6)
    for levels in (8, 2, 5):
        whole = random(shape, seed + levels, device, 0, levels - 0.001).floor()
        image = ((whole + random(shape, seed, device, -0.45, 0.45)) / (levels - 1)).clamp(0, 1)  # no value between two
        mistakes = {
            "the image comes back unchanged: the values are not rounded": image,
            f"black and white are levels as well: there are {levels + 1} different values from black to white here, "
            f"but you need {levels}": (image * levels).round() / levels,
            "it rounds down: a value should go to the *nearest* level": (image * (levels - 1)).floor() / (levels - 1),
            "it rounds up: a value should go to the *nearest* level": (image * (levels - 1)).ceil() / (levels - 1),
            "white does not stay white": (image * levels).floor() / levels,
            "these are intervals of equal width: a value should go to the *nearest* level": (
                (image * levels).floor().clamp(max=levels - 1) / (levels - 1)
            ),
            f"these are the 256 grey levels of a file, but you need {levels} levels": (image * 255).round() / 255,
        }
        result = legal(tensor(answer(image, levels), shape))
        compare(
            result, whole / (levels - 1), mistakes, f"with {levels} levels, some values do not go to the nearest level"
        )
        leaf, sent = image.clone().requires_grad_(), normal(shape, seed, device)
        result = answer(leaf, levels)
        passed = torch.autograd.grad(result, leaf, sent, allow_unused=True)[0] if result.requires_grad else None
        if passed is None:
            raise Wrong("the values are right, but no gradient gets through: autograd finds no path to the image")
        share = passed / sent
        if not passed.any():
            raise Wrong(
                "the values are right, but the gradient is zero everywhere: an attack that follows it gets nowhere"
            )
        if not is_close(share, torch.ones_like(share), 1e-3):
            if is_close(share, share.mean().expand(shape), 1e-3):
                raise Wrong(
                    f"the gradient comes out {share.mean():.3g} times as large as it went in: it should not change"
                )
            same = ((share - 1).abs() < 1e-3).float().mean()
            raise Wrong(f"the gradient passes unchanged for only {same:.0%} of the values, but it should for all")
        compare(result.detach(), whole / (levels - 1), message="the values change when a gradient is needed")
    grey = random(shape, seed, device, 0.3, 0.7)
    shades = (grey * 4).round() / 4
    darkest, lightest = grey.aminmax()
    own = darkest + (lightest - darkest) * ((grey - darkest) / (lightest - darkest) * 4).round() / 4
    stretched = {"the levels go from black to white, and not from the darkest value of the image to its lightest": own}
    compare(legal(tensor(answer(grey, 5), shape)), shades, stretched, "in a grey image, some values go elsewhere")


def gradient_over_views(answer: Answer, seed: int, device: torch.device) -> None:
    model, draws = small_network(seed, device), 6
    image, targets = random((3, 3, 8, 8), seed, device), torch.tensor([0, 3, 1], device=device)
    generator = torch.Generator(device).manual_seed(seed)
    handed, given, factors = [], [], []

    def view(images: Tensor, generator: torch.Generator) -> Tensor:
        handed.append(generator)
        given.append(images.detach().clone())
        factors.append(2 * torch.rand(images.shape, generator=generator, device=device))
        return images * factors[-1]

    result = tensor(answer(model, image, targets, view, draws, generator), image.shape)
    if not given:
        raise Wrong("`view` was never called: the network should be shown random views of the image")
    if any(one is not generator for one in handed):
        raise Wrong("`view` got a different generator: take all randomness from `generator`")
    same = (torch.cat(given)[:, None] - image).abs().flatten(2).amax(2) < 1e-6
    if not same.any(1).all():
        raise Wrong("`view` was given something other than the image: each draw should start from the image itself")
    if (wrong := same.sum(0)[same.sum(0) != draws]).numel():
        raise Wrong(f"an image got {wrong[0]} draws of `view`, but {draws} draws are asked for")
    drawn = torch.stack([torch.cat(factors)[mine] for mine in same.T], 1)
    if is_close(drawn[0], drawn[1]):
        raise Wrong("all draws are the same: do not seed the generator again between draws")

    leaf = image.clone().requires_grad_()
    views = leaf * drawn
    logits = model(views.flatten(0, 1)).unflatten(0, (draws, 3))
    log_p, mean_view = logits.log_softmax(2)[:, range(3), targets], model(views.mean(0)).log_softmax(1)

    def slope(scores: Tensor, of: Tensor = leaf) -> Tensor:
        return torch.autograd.grad(scores.sum(), of, retain_graph=True)[0]

    right = slope(log_p.mean(0))
    norms = right.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    mistakes = {
        "the sign is reversed: this makes the target less probable": -right,
        "this is the sum over the draws: take the mean": draws * right,
        "this is divided by the number of images: each image has its own gradient": right / 3,
        "this is divided by the number of images, not by the number of draws": draws * right / 3,
        "this is divided by the number of draws twice": right / draws,
        "this is the gradient of the first draw alone: take the mean over all": slope(log_p[0]),
        "this is the gradient of the last draw alone: take the mean over all": slope(log_p[-1]),
        "this is the gradient of the last draw alone, divided by the number of draws: keep the scores of all draws": (
            slope(log_p[-1]) / draws
        ),
        "this is the gradient of the probability: take that of its logarithm": slope(log_p.exp().mean(0)),
        "this is the gradient of the logarithm of the mean probability: take the logarithm first, and then the mean": (
            slope(log_p.exp().mean(0).log())
        ),
        "this is the gradient of the logit: take that of the log-probability": slope(logits.mean(0)[range(3), targets]),
        "the probabilities should add up to 1 over the classes, not over the images": slope(
            logits.log_softmax(1)[:, range(3), targets].mean(0)),
        "all images have the target of the first one: each has its own": slope(
            logits.log_softmax(2).mean(0)[:, targets[0]]),
        "every image has the targets of all: each has its own": slope(logits.log_softmax(2)[:, :, targets].mean(0)),
        "the network should be shown every view, not the mean of the views": slope(mean_view[range(3), targets]),
        "this is the gradient for what `view` shows: follow it back, through `view`, to the image": slope(
            log_p.mean(0), views).sum(0),
        "this is only its direction: return the gradient itself": right / norms,
        "these are only its signs: return the gradient itself": right.sign(),
        "the views are left out: this is the gradient for the image itself": slope(
            model(leaf).log_softmax(1)[range(3), targets]),
    }  # fmt: skip
    compare(result, right, mistakes, tolerance=1e-3)


def certified_radius(answer: Answer, seed: int, device: torch.device) -> None:
    for draws, sigma in ((1000, 0.25), (200, 2.0)):
        shares = torch.cat(
            [torch.tensor([0.0, 0.3, 0.5, 0.52, 0.56, 0.62, 0.7, 0.95, 1.0]), random((4,), seed, torch.device("cpu"))]
        )
        successes = (draws * shares).round().long().to(device)
        asked: list[tuple[Tensor, int]] = []

        def bound(counts: Tensor, of: int, asked: list = asked) -> Tensor:
            asked.append((counts.cpu(), of))
            if not (counts == counts.round()).all():  # not counts, which is said below
                return torch.zeros_like(counts)
            return lower_bound(counts.flatten(), of).view_as(counts).to(counts.device)

        p = lower_bound(successes, draws).to(device)
        certain, right = p > 0.5, sigma * torch.special.ndtri(p.clamp(0.5))
        result = answer(successes, draws, sigma, bound)
        if not asked:
            raise Wrong("`lower_bound` was never called: the share of the draws may be large by luck")
        counts = torch.cat([counts.flatten() for counts, _ in asked]).unique()
        if any(of != draws for _, of in asked) or not is_close(counts, successes.cpu().unique()):
            raise Wrong("`lower_bound` should be called with `successes` and `draws` as they are")
        fits = isinstance(result, Tensor) and result.shape == p.shape
        shown = result.masked_fill(~certain, 0) if fits else result
        if fits and shown.isinf().any():
            raise Wrong("an infinite radius, from so few draws? Use the probability that `lower_bound` gives")
        mistakes = {
            "the radius does not grow with sigma": right / sigma,
            "the radius should grow *with* sigma: twice the noise, twice the radius": right / sigma**2,
            "the radius grows with the square of sigma: twice the noise should give twice the radius": right * sigma,
            "this is Φ(p) and not its inverse": sigma * torch.special.ndtr(p) * certain,
            "this is sigma times the probability: Φ⁻¹ is missing": sigma * p * certain,
            "a factor of √2 is missing: `erfinv` is for a bell curve of a different width": right / 2**0.5,
            "this is only half as large as the theorem says": right / 2,
            "a radius is never negative": -right,
            "all radii are 0: a clear vote has a radius": torch.zeros_like(p),
        }
        given_up = certain & (tensor(shown, p.shape) == 0) & (shown != 0).any()
        if given_up.any():
            raise Wrong(
                f"with {successes[given_up][0]} of {draws} it gives 0, but `lower_bound` gives more than one half: the "
                "vote stands, with a small radius"
            )
        compare(shown, right, mistakes, f"wrong for sigma = {sigma:g}")
        odd = ~certain & ~(result.abs() < 1e-6)
        if odd.any():
            raise Wrong(
                f"with {successes[odd][0]} of {draws} it gives {result[odd][0]:.3g}: where `lower_bound` gives one "
                "half or less, the vote abstains, and the radius is 0"
            )
