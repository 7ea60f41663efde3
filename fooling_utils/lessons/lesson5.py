"""What lesson 5 measures: ways of training, attacks that know a defence or do not, rubbish, and one change for all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..arguments import function, instance, one_of, positive, seeded, whole
from ..attacks.gradient import pgd
from ..attacks.minimum_norm import smallest_change
from ..attacks.universal import patched, universally
from ..defences.robustness import each_label, nearest_errors, right
from ..defences.transforms import DEFENCES, probabilities_behind
from ..evolution.evolve import direct, evolve
from ..images import norms, per_image, round_to_8bit, validate_images
from ..models import Classifier
from ..networks import small
from ..objectives import Label, toward
from ..optimize import last, optimize_pixels, run_until
from ..starts import PHOTOGRAPHS, photographs
from ..steps import unit_step
from ..views import View

# what a reader is asked before it is measured
ANSWERS = {
    "0 of 1000": "anywhere from 0 to 100 %",
    "plain noise": "about 35 %",
}
TRAININGS = {  # name: epochs, and what the network is shown instead of the digits
    "ordinary, 20 epochs": (20, None),
    "ordinary, 40 epochs": (small.ROBUST_EPOCHS, None),
    "plain noise, 40 epochs": (small.ROBUST_EPOCHS, small.noisy(0.25)),
    "attacked, 40 epochs": (small.ROBUST_EPOCHS, small.attacked(small.ROBUST_EPSILON)),
}
MOON_TRAININGS = {
    "the points": None,
    "plain noise": small.noisy(0.1),
    "attacked": small.attacked(0.1, steps=5, bounds=None),
}
UNIVERSAL_TARGETS, UNIVERSAL_EPSILON = ("brain coral", "toaster", "ostrich"), 10 / 255
PATCH_TARGET, PATCH_SIZES = "toaster", (32, 48, 64, 80)


def _check_images(model: Classifier, images: Tensor, name: str) -> None:
    """Raise unless this is a network, and these are images for it."""
    instance(Classifier, model=model)
    model.validate(images, name)


def trained_digits(data: small.Digits, training: str, *, seed: int = 0) -> Classifier:
    """A network of lesson 5, frozen: `training` is one of the `TRAININGS`; seed: for its weights and its batches."""
    instance(small.Digits, data=data)
    one_of(TRAININGS, training=training)
    seeded(seed)
    epochs, shown = TRAININGS[training]
    net = small.digit_net(seed=int(seed))
    last(small.fit(net, data.train_images, data.train_labels, epochs=epochs, shown=shown, seed=int(seed)))
    return small.frozen(net)


def blurred_moons(count: int, *, seed: int = 0) -> small.Points:
    """The two moons of lesson 4, `count` points each, blurred by 0.13, so that some lie on the wrong side."""
    places, classes = small.plane_points("moons", count=count, seed=seed)
    return small.Points(places + 0.13 * torch.randn(places.shape, generator=seeded(100 + int(seed))), classes)


def trained_on_moons(points: small.Points, training: str, *, epochs: int = 400, seed: int = 0) -> Classifier:
    """A network for the plane, frozen, trained on all points at once in one of the `MOON_TRAININGS`."""
    instance(small.Points, points=points)
    one_of(MOON_TRAININGS, training=training)
    whole(epochs=epochs)
    seeded(seed)
    net = small.plane_net(64, classes=2, seed=int(seed))
    shown = MOON_TRAININGS[training]
    steps = small.fit(
        net, *points, epochs=epochs, shown=shown, rate=0.01, batch_size=len(points.places), seed=int(seed)
    )
    last(steps)
    return small.frozen(net, small.POINTS)


def way_to_runner_up(model: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient (N, ...) of the runner-up's lead over each image's own class, and the runner-up (N,).

    The runner-up is the class with the highest logit except the one in `labels` (N,).
    """
    _check_images(model, images, "images")
    labels = each_label(model, images, labels)
    with torch.inference_mode(False):  # also inside a caller's no_grad()
        leaf = images.detach().clone().requires_grad_()
        logits = model(leaf)
        runner_up = logits.scatter(1, labels[:, None], -torch.inf).argmax(1)
        lead = logits.gather(1, runner_up[:, None]) - logits.gather(1, labels[:, None])
        (gradient,) = torch.autograd.grad(lead.sum(), leaf)
    return gradient, runner_up


def rubbish_rounds(
    data: small.Digits, *, rounds: int = 6, generations: int = 100, seed: int = 0
) -> Iterator[tuple[Classifier, dict]]:
    """Train with a class for rubbish, evolve noise that fools the network, add it to the rubbish; round after round.

    Gives the network of each round and a row: the rubbish it was trained on, the share of test digits that it gets
    right, and the confidence of 50 champions, five for each digit. The first round has no rubbish: it is the control.
    Source: Nguyen, Yosinski and Clune 2015, arXiv 1412.1897, "training networks on fooling images", on small digits.
    """
    instance(small.Digits, data=data)
    whole(rounds=rounds, generations=generations)
    seeded(seed)
    names, rubbish = small.DIGITS.labels[:10], data.train_images[:0]
    for number in range(int(rounds)):
        net = small.digit_net(classes=11, seed=int(seed))
        images = torch.cat([data.train_images, rubbish])
        labels = torch.cat([data.train_labels, torch.full((len(rubbish),), 10)])
        last(small.fit(net, images, labels, epochs=15, seed=int(seed)))
        model, pixels = small.frozen(net), direct((1, 8, 8), rate=0.3)
        archives = [
            last(evolve(model, pixels, targets=names, population=64, generations=generations, seed=first + i))
            for first in [100 * int(seed) + 10 * number]
            for i in range(5)
        ]
        confidence = torch.cat([archive.confidence for archive in archives])
        yield (
            model,
            {
                "rubbish trained on": len(rubbish),
                "test digits right": right(model, data.test_images, data.test_labels).double().mean().item(),
                "champions, median": confidence.median().item(),
                "over 99 %": confidence.gt(0.99).double().mean().item(),
            },
        )
        rubbish = torch.cat([rubbish, *(torch.stack(archive.genomes) for archive in archives)])


def rubbish_attacked(model: Classifier, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Attacks that know of the class for rubbish: climbing from 100 noises, and the smallest changes of digits.

    images: digits (N, 1, 8, 8), labels: (N,). The distances are medians (L2).
    Raises ValueError for a network without the eleventh class.
    """
    _check_images(model, images, "images")
    if len(model.labels) != 11:
        raise ValueError(f"model must have eleven classes, the last for rubbish, got {len(model.labels)}")
    noise = torch.rand(100, *images.shape[1:], generator=seeded(0))
    targets = [i % 10 for i in range(100)]
    climbed = last(optimize_pixels(model, noise, toward(targets), step=unit_step(0.1), steps=100))
    is_right = right(model, images, labels)
    some, own = images[is_right], labels[is_right, None]
    runner_up = model(some)[:, :10].scatter(1, own, -torch.inf).argmax(1)
    to_a_digit = smallest_change(model, some, runner_up, steps=50, eight_bit=False)
    return {
        "noise is rubbish": (model.probabilities(noise).argmax(1) == 10).double().mean().item(),
        "climbed from noise, median": climbed.probability(targets).median().item(),
        "digit to any error": nearest_errors(model, images, labels, targets=0).median().item(),
        "digit to another digit": norms(to_a_digit - some).median().item(),
    }


def attacks_that_know_nothing(model: Classifier, images: Tensor, target: Label) -> dict[str, Tensor]:
    """Three attacks of lessons 2 and 6 on the network alone, rounded to 8 bit: by name, images (N, 3, H, W)."""
    _check_images(model, images, "images")
    frames = optimize_pixels(model, images, toward(target), steps=40)
    return {
        "smallest change": smallest_change(model, images, target, steps=30),
        "unit steps to 99 %": round_to_8bit(run_until(frames, target).image),
        "PGD, L∞ 2 grey levels": round_to_8bit(pgd(model, images, 2 / 255, target)),
    }


def attack_that_knows(
    model: Classifier, images: Tensor, target: Label, view: View | None, *, steps: int = 20, length: float = 0.6
) -> Tensor:
    """The loop through a defence's view, rounded to 8 bit. Without a view, it is the control with the same steps."""
    _check_images(model, images, "images")
    function(optional=True, view=view)
    positive(length=length)
    frames = optimize_pixels(model, images, toward(target), view=view, step=unit_step(length), steps=steps)
    return round_to_8bit(last(frames).image)


def as_large(images: Tensor, changed: Tensor, like: Tensor) -> Tensor:
    """`changed` images (N, 3, H, W) with their changes scaled to the sizes (L2) of those of `like`, in 8 bit."""
    for name, given in {"images": images, "changed": changed, "like": like}.items():
        validate_images(given, name=name)
        if given.shape != images.shape or given.device != images.device:
            raise ValueError(
                f"{name} must be as images, {tuple(images.shape)} on {images.device}, got {tuple(given.shape)} on "
                f"{given.device}"
            )
    change, goal = changed - images, like - images
    times = norms(goal) / norms(change).clamp_min(1e-12)
    return round_to_8bit((images + per_image(times, change) * change).clamp(0, 1))


def compare_defences(model: Classifier, images: Tensor, target: Label, *, draws: int = 8) -> Iterator[dict]:
    """One row per defence and attack: the shares of images and draws that become the target and that keep their class.

    images: (N, 3, H, W). Three attacks know nothing about the defence; the loop goes through it, with 20
    and with 50 steps. The control for the size of the change takes as many steps without the defence, and its change
    is scaled to the same size.
    """
    _check_images(model, images, "images")
    whole(draws=draws)
    goal = model.index(target)
    before = model.probabilities(images).argmax(1)
    blind = {"none": images, **attacks_that_know_nothing(model, images, target)}
    controls = {steps: attack_that_knows(model, images, target, None, steps=steps) for steps in (20, 50)}
    for name, (defence, view) in DEFENCES.items():
        found = dict(blind)
        for steps, control in controls.items():
            knows = attack_that_knows(model, images, target, view, steps=steps)
            found[f"{steps} steps without it, as large"] = as_large(images, control, knows)
            found[f"{steps} steps through the defence"] = knows
        for attack, attacked in found.items():
            top = probabilities_behind(model, defence, attacked, draws=draws if name == "random size" else 1).argmax(2)
            yield {
                "defence": name,
                "attack": attack,
                "is the target": round((top == goal).double().mean().item(), 4),
                "is as before": round((top == before).double().mean().item(), 4),
                "L2": round(norms(attacked - images).median().item(), 3),
            }


def scenes_to_learn_on(device: torch.device | str | None = None) -> Tensor:
    """150 crops of five photographs, for a universal change or a patch."""
    return photographs(names=PHOTOGRAPHS[:5], device=device)


def other_scenes(device: torch.device | str | None = None) -> Tensor:
    """20 crops of the other four photographs, for judging it."""
    return photographs(5, names=PHOTOGRAPHS[5:], seed=1, device=device)


def judged_change(model: Classifier, change: Tensor, label: Label, *, seed: int = 0) -> dict[str, float]:
    """Judge a universal change on pictures it has not seen, next to the same change with its pixels shuffled."""
    _check_images(model, change, "change")
    model.index(label), seeded(seed)
    scenes, change = other_scenes(model.device), round_to_8bit(change)
    if change.shape != scenes[:1].shape:
        raise ValueError(f"change must have the shape {tuple(scenes[:1].shape)}, got {tuple(change.shape)}")
    with_each = [universally(scenes, one) for one in (change, _shuffled(change, seed))]
    return _judged(model, scenes, *with_each, label)


def judged_patch(model: Classifier, patch: Tensor, label: Label, *, seed: int = 0) -> dict[str, float]:
    """Judge a patch on pictures it has not seen, in three places on each, next to the same patch, shuffled."""
    _check_images(model, patch, "patch")
    if len(patch) != 1:
        raise ValueError(f"judged_patch takes one patch (1, 3, h, w), got {tuple(patch.shape)}: use patch[i : i + 1]")
    model.index(label), seeded(seed)
    scenes, patch = other_scenes(model.device).repeat(3, 1, 1, 1), round_to_8bit(patch)
    both = (patch, _shuffled(patch, seed))
    with_each = [patched(scenes, one, seeded(seed, scenes.device)) for one in both]
    return _judged(model, scenes, *with_each, label)


def _shuffled(image: Tensor, seed: int) -> Tensor:
    order = torch.randperm(image[0, 0].numel(), generator=seeded(seed)).to(image.device)
    return image.flatten(2)[:, :, order].view_as(image)


def _judged(model: Classifier, scenes: Tensor, changed: Tensor, control: Tensor, label: Label) -> dict[str, float]:
    before, after, by_control = (model.probabilities(round_to_8bit(x)).argmax(1) for x in (scenes, changed, control))
    goal = model.index(label)
    return {
        "is the target": round((after == goal).double().mean().item(), 4),
        "is another class": round((after != before).double().mean().item(), 4),
        "control: target": round((by_control == goal).double().mean().item(), 4),
        "control: another": round((by_control != before).double().mean().item(), 4),
    }
