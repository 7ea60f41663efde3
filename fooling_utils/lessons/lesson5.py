"""What lesson 5 measures: attacks that know about a defence or do not, a universal change, and a patch."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..arguments import function, instance, positive, seeded, whole
from ..attacks.gradient import pgd
from ..attacks.minimum_norm import smallest_change
from ..attacks.universal import patched, universally
from ..defences.transforms import DEFENCES, probabilities_behind
from ..images import norms, per_image, round_to_8bit, validate_images
from ..models import Classifier
from ..objectives import Label, toward
from ..optimize import last, optimize_pixels, run_until
from ..starts import PHOTOGRAPHS, photographs
from ..steps import unit_step
from ..views import View

UNIVERSAL_TARGETS, UNIVERSAL_EPSILON = ("brain coral", "toaster", "ostrich"), 10 / 255
PATCH_TARGET, PATCH_SIZES = "toaster", (32, 48, 64, 80)


def _check_images(model: Classifier, images: Tensor, name: str) -> None:
    """Raise unless this is a network, and these are images for it."""
    instance(Classifier, model=model)
    model.validate(images, name)


def attacks_that_know_nothing(model: Classifier, images: Tensor, target: Label) -> dict[str, Tensor]:
    """Lesson 2's attacks on the network alone, rounded to 8 bit: by name, images (N, 3, H, W)."""
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

    images: (N, 3, H, W). Three attacks from lesson 2 know nothing about the defence; the loop goes through it, with 20
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
