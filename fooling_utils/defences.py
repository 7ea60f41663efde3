"""Transforms in front of a network, as a defence; and the same transforms as views, for an attack that knows of them.

A defence is a view of the loop: a function from (images, generator) to images of the same shape. The attack that knows
passes it to `optimize_pixels(..., view=...)`; where it has no useful gradient, through `straight_through`.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

from .attacks import pgd, smallest_change
from .images import per_image, round_to_8bit, through_jpeg
from .models import Classifier
from .objectives import Label, toward
from .optimize import optimize_pixels, run_until
from .pictures import DATA, photographs
from .steps import unit_step
from .views import random_views

Defence = Callable[[Tensor, torch.Generator], Tensor]

TABLE = DATA / "defences.json"
UNIVERSAL, PATCH, UNIVERSAL_TABLE = DATA / "universal.png", DATA / "patch.png", DATA / "universal.json"
UNIVERSAL_TARGETS, UNIVERSAL_EPSILON = ("brain coral", "toaster", "ostrich"), 10 / 255
PATCH_TARGET, PATCH_SIZES = "toaster", (32, 48, 64, 80)


def quantised(levels: int = 8) -> Defence:
    """Every value rounded to the nearest of so many evenly spaced levels, black and white included.

    Source: Xu, Evans, Qi 2017, arXiv 1704.01155 (feature squeezing).
    """
    if not hasattr(levels, "__index__") or levels < 2:
        raise ValueError(f"levels must be a whole number and at least 2, got {levels}")
    return lambda images, generator: (images * (levels - 1)).round() / (levels - 1)


def blurred(sigma: float = 1.5) -> Defence:
    """A Gaussian blur of standard deviation `sigma` pixels."""
    if not sigma > 0:
        raise ValueError(f"sigma must be greater than 0, got {sigma}")
    size = 2 * round(2.5 * sigma) + 1
    return lambda images, generator: transforms.gaussian_blur(images, [size, size], [sigma, sigma])


def recompressed(quality: int = 75) -> Defence:
    """Saved as JPEG of this quality (1 to 95) and loaded again; no gradient passes, so attack it `straight_through`.

    Source: Dziugaite, Ghahramani, Roy 2016, arXiv 1608.00853.
    """
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must be from 1 to 95, got {quality}")
    # plus zero times the image: a gradient of zero, as rounding has, and not an error of torch's
    return lambda images, generator: through_jpeg(images.detach(), quality) + 0 * images


def straight_through(defence: Defence) -> Defence:
    """The same defence (of one draw) forwards; backwards, the gradient passes as if it did nothing.

    Source: Athalye, Carlini, Wagner 2018, arXiv 1802.00420, section 4.1 (BPDA).
    """

    def view(images: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            seen = defence(images, generator)
        return images + (seen - images).detach()

    return view


# each defence, and the view that an attack takes which knows of it
DEFENCES: Mapping[str, tuple[Defence, Defence]] = {
    "8 levels": (quantised(), straight_through(quantised())),
    "blur": (blurred(), blurred()),
    "JPEG 75": (recompressed(), straight_through(recompressed())),
    "JPEG 30": (recompressed(30), straight_through(recompressed(30))),
    "random size": (random_views(1, degrees=0), random_views(4, degrees=0)),
}


class _Front(nn.Module):
    def __init__(self, defence: Defence, net: nn.Module, seed: int):
        super().__init__()
        self.defence, self.net, self.seed = defence, net, seed

    def forward(self, images: Tensor) -> Tensor:
        return self.net(self.defence(images, torch.Generator(images.device).manual_seed(self.seed)))


def behind(model: Classifier, defence: Defence, seed: int = 0) -> Classifier:
    """The network with a defence in front of it, as a `Classifier`; a random one draws the same at every call."""
    front = _Front(defence, model, seed).eval()
    return Classifier(front, model.labels, model.input_shape, model.bounds, prepare=False)


def answers(model: Classifier, defence: Defence, images: Tensor, *, draws: int = 1, seed: int = 0) -> Tensor:
    """What the network says to images (N, ...) behind a defence: probabilities (draws, N, classes)."""
    generator = torch.Generator(images.device).manual_seed(seed)
    return torch.stack([model.probabilities(defence(images, generator).clamp(0, 1)) for _ in range(draws)])


def attacks_that_know_nothing(model: Classifier, images: Tensor, target: Label) -> dict[str, Tensor]:
    """Lesson 2's attacks on the network alone, rounded to 8 bit: by name, images (N, 3, H, W)."""
    frames = optimize_pixels(model, images, toward(target), steps=40)
    return {
        "smallest change": smallest_change(model, images, target, steps=30),
        "unit steps to 99 %": round_to_8bit(run_until(frames, target).image),
        "PGD, L∞ 2 grey levels": round_to_8bit(pgd(model, images, 2 / 255, target)),
    }


def attack_that_knows(
    model: Classifier, images: Tensor, target: Label, view: Defence | None, *, steps: int = 20, length: float = 0.6
) -> Tensor:
    """The loop through a defence's view, rounded to 8 bit; without a view, its control: as many equal steps."""
    frames = optimize_pixels(model, images, toward(target), view=view, step=unit_step(length), steps=steps)
    for frame in frames:  # noqa: B007
        pass
    return round_to_8bit(frame.image)


def as_large(images: Tensor, changed: Tensor, like: Tensor) -> Tensor:
    """`changed` images (N, 3, H, W), their changes scaled to the sizes (L2) of those of `like`, rounded to 8 bit."""
    change, goal = changed - images, like - images
    times = goal.flatten(1).norm(dim=1) / change.flatten(1).norm(dim=1).clamp_min(1e-12)
    return round_to_8bit((images + per_image(times, change) * change).clamp(0, 1))


def compare_defences(model: Classifier, images: Tensor, target: Label, *, draws: int = 8) -> Iterator[dict]:
    """One row per defence and attack: the share of images and draws that is the target, and that is as it was.

    images: (N, 3, H, W). Three attacks of lesson 2, which know nothing of the defence; then the loop through it, in 20
    and in 50 steps; and for the size of the change, the control: as many steps without the defence, scaled to be as
    large.
    """
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
            top = answers(model, defence, attacked, draws=draws if name == "random size" else 1).argmax(2)
            yield {
                "defence": name,
                "attack": attack,
                "is the target": round((top == goal).double().mean().item(), 4),
                "is as before": round((top == before).double().mean().item(), 4),
                "L2": round((attacked - images).flatten(1).norm(dim=1).median().item(), 3),
            }


def add_to_all(scenes: Tensor, count: int = 8) -> Defence:
    """A view for one change of all pictures: the variable (1, 3, H, W) is the change around grey, 0.5 for none.

    scenes: images (S, 3, H, W), of which each frame shows `count` at random, changed.
    Source: Moosavi-Dezfooli and others 2017, arXiv 1610.08401 (universal perturbations).
    """

    def view(change: Tensor, generator: torch.Generator) -> Tensor:
        return universally(scenes[_some(scenes, count, generator)], change)

    return view


def universally(images: Tensor, change: Tensor) -> Tensor:
    """Images (N, 3, H, W) with the same change (1, 3, H, W), given around grey, added to each."""
    return (images + change - 0.5).clamp(0, 1)


def lay_on_all(scenes: Tensor, count: int = 8) -> Defence:
    """A view for a patch: the variable (1, 3, h, w) lies on `count` of the scenes (S, 3, H, W), anywhere.

    Source: Brown and others 2017, arXiv 1712.09665 (adversarial patch), without turns and sizes.
    """

    def view(patch: Tensor, generator: torch.Generator) -> Tensor:
        return patched(scenes[_some(scenes, count, generator)], patch, generator)

    return view


def patched(images: Tensor, patch: Tensor, generator: torch.Generator) -> Tensor:
    """Copies of images (N, 3, H, W), each with the patch (1, 3, h, w) at a random place wholly inside."""
    height, width = patch.shape[2:]
    room = torch.tensor([images.shape[2] - height, images.shape[3] - width])
    if room.min() < 0:
        raise ValueError(f"a patch of {height} x {width} does not fit into images of {tuple(images.shape[2:])}")
    share = torch.rand(len(images), 2, generator=generator, device=generator.device).cpu()
    covered = images.clone()
    for i, (top, left) in enumerate((share * (room + 1)).long().tolist()):
        covered[i, :, top : top + height, left : left + width] = patch[0]
    return covered


def _some(scenes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(len(scenes), (count,), generator=generator, device=generator.device)


def scenes_to_learn_on(device: torch.device | str | None = None) -> Tensor:
    """150 crops of five photographs, for a universal change or a patch."""
    return photographs(device=device)[:150]


def other_scenes(device: torch.device | str | None = None) -> Tensor:
    """20 crops of the four other photographs, to judge it on."""
    return photographs(5, seed=1, device=device)[25:]


def judged_change(model: Classifier, change: Tensor, label: Label, *, seed: int = 0) -> dict[str, float]:
    """A universal change on pictures it has not seen, beside the same change with its pixels shuffled."""
    scenes, change = other_scenes(model.device), round_to_8bit(change)
    with_each = [universally(scenes, one) for one in (change, _shuffled(change, seed))]
    return _judged(model, scenes, *with_each, label)


def judged_patch(model: Classifier, patch: Tensor, label: Label, *, seed: int = 0) -> dict[str, float]:
    """A patch on pictures it has not seen, three places on each, beside the patch with its pixels shuffled."""
    scenes, patch = other_scenes(model.device).repeat(3, 1, 1, 1), round_to_8bit(patch)
    both = (patch, _shuffled(patch, seed))
    with_each = [patched(scenes, one, torch.Generator(scenes.device).manual_seed(seed)) for one in both]
    return _judged(model, scenes, *with_each, label)


def _shuffled(image: Tensor, seed: int) -> Tensor:
    order = torch.randperm(image[0, 0].numel(), generator=torch.Generator().manual_seed(seed)).to(image.device)
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
