"""What lesson 2 compares its loop with: random changes, and what one grey level in every value gains."""

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..arguments import affordable, finite, instance, positive, seeded, tensors, whole
from ..attacks.universal import patched
from ..figures import GREY, ORANGE, grid_of_images, new_figure
from ..images import per_image, round_to_8bit, validate_images
from ..models import Classifier
from ..objectives import Label

SOME = 24  # values whose gains are drawn one by one


def random_changes(image: Tensor, size: float, count: int = 1, *, seed: int = 0) -> Tensor:
    """Gaussian noise in the shape of one image (1, 3, H, W), `count` times, each of L2 norm `size` (pixel units)."""
    validate_images(image, None)
    positive(size=size)
    whole(count=count)
    affordable(int(count) * image[0].numel(), f"count = {count} random changes")
    noise = torch.randn(int(count), *image.shape[1:], generator=seeded(seed)).to(image)
    return float(size) * noise / per_image(noise.flatten(1).norm(dim=1), noise)


def patch_picture(model: Classifier, image: Tensor, patch: Tensor, target: Label, *, seed: int = 0) -> Figure:
    """A grey patch and `patch` (1, 3, h, w) at the same four random places of one image, with the target's probability.

    The patch is rounded to whole grey levels first.
    """
    instance(Classifier, model=model)
    model.validate(image)
    validate_images(patch, name="patch")
    rows = {"a grey patch": torch.full_like(patch, 0.5), "your patch": round_to_8bit(patch)}
    shown = torch.cat([patched(image.repeat(4, 1, 1, 1), one, seeded(seed)) for one in rows.values()])
    label = model.labels[model.index(target)]
    targets = model.probabilities(shown)[:, model.index(target)]
    titles = [
        f"{model.top(picture)[0].label}\n{label} {p:.1%}" for picture, p in zip(shown.split(1), targets, strict=True)
    ]
    return grid_of_images(shown, titles, 4, row_names=tuple(rows))


def gains(gradient: Tensor, missing: float, *, seed: int = 0) -> Figure:
    """What one grey level in every value gains, to first order: with the right signs, and with random ones.

    gradient: of the log-probability, (1, 3, H, W). missing: the gain that is needed, drawn as a line.
    Left, a few values one by one; right, the sum over more and more values, in random order.
    """
    tensors(gradient=gradient)
    finite(missing=missing)
    generator = seeded(seed)
    each = gradient.detach().flatten().float().cpu() / 255
    each = each[torch.randperm(len(each), generator=generator)]
    signs = torch.randint(0, 2, (5, len(each)), generator=generator) * 2 - 1
    figure, ((left, right),) = new_figure(11, 4.6, ncols=2, width_ratios=(1, 1.15))
    for place, (values, colour, hatch) in enumerate(((each.abs(), ORANGE, "//"), (each * signs[0], GREY, ""))):
        places = [k + 0.42 * place for k in range(min(SOME, len(each)))]
        left.bar(places, 1000 * values[:SOME], 0.42, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
    left.axhline(0, color="#333333", linewidth=1)
    left.set(title=f"{len(places)} of the values, one by one", xticks=[], ylabel="promised gain, thousandths")
    counts = torch.linspace(0, len(each), 200).long()
    for values, colour, width in ((each.abs(), ORANGE, 3.5), *((each * sign, "#777777", 1.5) for sign in signs)):
        sums = torch.cat([torch.zeros(1, dtype=torch.float64), values.double().cumsum(0)])
        right.plot(counts, sums[counts], color=colour, linewidth=width)
    right.axhline(missing, color="#333333", linestyle=(0, (4, 3)), linewidth=1.5)
    top = max(missing, each.abs().sum().item())
    right.text(0, missing + 0.02 * top, "needed for 99 %", fontsize=13, va="bottom")
    right.text(0.62 * len(each), 0.5 * top, "right signs", color=ORANGE, fontsize=13, ha="left", va="top")
    right.text(len(each), 0.05 * top, "random signs, five times", color="#555555", fontsize=13, ha="right")
    right.set(title="the sum over more and more values", xlabel="how many values", ylim=(-0.06 * top, 1.15 * top))
    right.set_ylabel("promised gain in log p")
    right.xaxis.set_major_locator(MaxNLocator(3))
    right.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}".replace(",", "\u2009"))
    return figure
