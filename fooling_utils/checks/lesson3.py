"""Checks of lesson 3: first steps past a threshold, chance with the same budget, a mutation, and unselected images."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .core import Answer, Wrong, compare, is_close, legal, normal, random, tensor, uses_only


def first_past(answer: Answer, seed: int, device: torch.device) -> None:
    high, low = 0.999, 0.2
    columns = {
        "an image that passes at frame 2": ([low, 0.5, high, high, high, high, high], 2),
        "an image that passes at the very first frame": ([high] * 7, 0),
        "an image that never passes": ([low, low, 0.99, 0.995, 0.99, 0.99, 0.99], None),
        "an image that passes at frame 1 and falls back": ([low, high, low, low, low, low, low], 1),
        "an image that passes at frame 1, falls back and passes again": ([low, high, low, low, high, high, high], 1),
        "an image that passes at the last frame only": ([low, low, low, low, low, low, high], 6),
    }
    order = torch.randperm(len(columns), generator=torch.Generator().manual_seed(seed)).tolist()
    names = [list(columns)[i] for i in order]
    table = torch.tensor([columns[name][0] for name in names], device=device).T
    _compare_frames(answer(table, 0.996), names, [columns[name][1] for name in names])
    slow = torch.tensor([[low, 0.75, 0.7, 0.8, 0.8]], device=device).T
    name = "an image that only *reaches* the threshold at frame 1, and passes it at frame 3,"
    _compare_frames(answer(slow, 0.75), [name], [3])


def _compare_frames(result: Any, names: Sequence[str], right: Sequence[int | None]) -> None:
    result = result.tolist() if isinstance(result, torch.Tensor) else result
    if not isinstance(result, (list, tuple)):
        raise Wrong(f"your result should be a list with one entry per image, but it is of type {type(result).__name__}")
    if len(result) != len(right):
        raise Wrong(
            f"there are {len(right)} images, but your list has {len(result)} entries: does it have one per frame?"
        )
    for name, found, wanted in zip(names, result, right, strict=True):
        found = found.item() if isinstance(found, torch.Tensor) else found
        if found != wanted or isinstance(found, bool):
            raise Wrong(f"for {name} it gives {found!r}")


def chance(answer: Answer, seed: int, device: torch.device) -> None:
    torch.manual_seed(seed)
    classes = 4
    weights = 5 * normal((4, classes), seed, device)
    weights[:, 3] = weights[:, :3].mean(1)  # never on top
    drawn: list[Tensor] = []
    shown: list[Tensor] = []
    passed: list[Any] = []

    def draw(count: int, given: Any = None) -> Tensor:
        passed.append(given)
        source = given if isinstance(given, torch.Generator) else None
        drawn.append(torch.rand(int(count), 1, 2, 2, generator=source).to(device))
        return drawn[-1].clone()

    def judge(images: Tensor) -> Tensor:
        shown.append(images.clone())
        return ((images.flatten(1) - 0.5) @ weights).softmax(1)

    for budget, batch in ((20, 8), (24, 8), (5, 8)):
        generator = torch.Generator().manual_seed(seed)
        for seen in (drawn, shown, passed):
            seen.clear()
        result = answer(draw, judge, budget, batch, generator)
        _compare_budget(shown, drawn, passed, budget, batch, generator)
        p = ((torch.cat(drawn).flatten(1) - 0.5) @ weights).softmax(1)
        batches = [part.amax(0) for part in p.split(batch)]
        on_top = torch.where(p == p.amax(1, keepdim=True), p, torch.zeros_like(p))
        mistakes = {
            "an image counts only for its top class: it should count for *every* class": on_top.amax(0),
            "this is what the last batch reached: keep the best of *all* batches": batches[-1],
            "this is what the first batch reached: keep the best of *all* batches": batches[0],
            "this is a mean: keep the *highest* probability": p.mean(0),
            "this is a mean over the batches: keep the highest of all": torch.stack(batches).mean(0),
            "this is the sum over the batches: keep the highest of all": torch.stack(batches).sum(0),
            "this is the lowest probability of each class: keep the highest": p.amin(0),
            "all classes have the same number: keep the highest probability of each class": p.max().expand(classes),
        }
        compare(tensor(result, (classes,)), p.amax(0), mistakes)


def _compare_budget(
    shown: Sequence[Tensor],
    drawn: Sequence[Tensor],
    passed: Sequence[Any],
    budget: int,
    batch: int,
    generator: torch.Generator,
) -> None:
    if not drawn:
        raise Wrong("it never calls `draw`")
    if not shown:
        raise Wrong("it never calls `judge`")
    if any(given is not generator for given in passed):
        raise Wrong("it does not pass `generator` on to `draw`")
    sizes = [len(images) for images in shown]
    if sum(sizes) != budget:
        raise Wrong(f"with a budget of {budget} and a batch of {batch}, the network is shown {sum(sizes)} images")
    if max(sizes) > batch:
        raise Wrong(f"it shows {max(sizes)} images at once, but `batch` is {batch}")
    if sizes != sorted(sizes, reverse=True) or len(sizes) != -(-budget // batch):
        raise Wrong(
            f"with a budget of {budget} and a batch of {batch}, the batches have {sizes} images: fill all but the last"
        )
    every = torch.cat(list(drawn)).flatten(1)
    seen = torch.cat(list(shown)).flatten(1)
    if len(seen.unique(dim=0)) < len(seen):
        raise Wrong("the network is shown some images twice: draw new ones for each batch")
    if not (seen[:, None] == every).all(2).any(1).all():
        raise Wrong("the network is shown images that `draw` did not give: without evolution, nothing changes them")
    if len(every) > len(seen):
        raise Wrong(f"it draws {len(every)} images and shows the network {len(seen)} of them: draw only what you show")


def mutate(answer: Answer, seed: int, device: torch.device) -> None:
    genes = torch.full((20, 3, 16, 16), 0.5, device=device)
    rate, size = 0.2, 0.05
    generator = torch.Generator(device)
    children = legal(tensor(uses_only(generator, answer, genes, rate, size), genes.shape))
    change = children - genes
    changed = change != 0
    _decides_for_each_value(changed)
    share = changed.float().mean().item()
    if not 0.17 < share < 0.23:
        raise Wrong(f"{share:.1%} of the values changed, but with a rate of {rate} it should be about 20 %")
    counts = changed.flatten(1).sum(1)
    totals = {changed.sum().item()}
    totals |= {(answer(genes, rate, size, generator) != genes).sum().item() for _ in range(3)}
    if counts.unique().numel() == 1 or len(totals) == 1:
        what = f"each child has exactly {counts[0]} changes" if counts.unique().numel() == 1 else "the total is fixed"
        raise Wrong(f"{what}: decide separately for each value, so that the number of changes varies")
    found = change[changed]
    if found.unique().numel() < 0.9 * found.numel():
        raise Wrong("different values get the same change: draw a separate one for each value")
    if found.mean().abs() > 0.2 * size:
        raise Wrong("the mean of the changes is not zero: they should go up as much as down")
    if not 0.9 * size < found.std() < 1.1 * size:
        raise Wrong(f"the changes have the standard deviation {found.std():.3f}, but it should be {size}")
    beyond = (found.abs() > found.std()).float().mean().item()
    if not 0.27 < beyond < 0.37:
        raise Wrong(f"{beyond:.0%} of the changes are beyond one standard deviation: of Gaussian changes, 32 % are")
    legal(tensor(answer(random((4, 3, 10, 10), seed, device).round(), 0.9, 0.5, generator), (4, 3, 10, 10)))
    for all_or_none in (0.0, 1.0):
        share = (answer(genes, all_or_none, size, generator) != genes).float().mean().item()
        if abs(share - all_or_none) > 0.001:
            raise Wrong(f"with a rate of {all_or_none:.0f}, {share:.1%} of the values change")
    for end, near in ((0.0, 0.02), (1.0, 0.98)):
        _moves_to_the_end(answer, torch.full_like(genes, near), size, generator, end)


def _decides_for_each_value(changed: Tensor) -> None:
    if not 0 < changed.sum() < changed.numel():
        return  # the share says so
    shares = changed.flatten(1).float().mean(1)
    if ((shares == 0) | (shares == 1)).all():
        raise Wrong("each child changes everywhere or nowhere: decide separately for each value of a child")
    for name, dims in (("colour", (2, 3)), ("row", (1, 3)), ("column", (1, 2))):
        within = changed.float().mean(dims)
        if ((within == 0) | (within == 1)).all():
            raise Wrong(f"each {name} of a child changes everywhere or nowhere: decide separately for each value")
    if (changed == changed[:1]).all():
        raise Wrong("all children change in the same places: draw separately for each value of each child")
    if (changed == changed[:, :1]).all():
        raise Wrong("all colours of a pixel change in the same places: draw separately for each value")


def _moves_to_the_end(answer: Answer, genes: Tensor, size: float, generator: torch.Generator, end: float) -> None:
    children = legal(tensor(answer(genes, 1.0, size, generator), genes.shape))
    at_the_end = (children == end).float().mean().item()
    near = genes.flatten()[0].item()
    if 0.27 < at_the_end < 0.42:  # 34 % of the changes of a value at 0.02 lead below 0
        return
    if (children == genes).float().mean() > 0.1:
        raise Wrong(f"a change from {near:.2f} that would leave [0, 1] is dropped: the value should become {end:.0f}")
    if ((children - genes).abs() > 0.5).any():
        raise Wrong(
            f"some values go from {near:.2f} to the other end of [0, 1]: a value beyond {end:.0f} becomes {end:.0f}"
        )
    raise Wrong(
        f"from {near:.2f}, {at_the_end:.0%} of the changed values become {end:.0f}, but every value beyond it should: "
        "do not reflect it, and do not draw again"
    )


def as_sure(answer: Answer, seed: int, device: torch.device) -> None:
    logits = 2 * normal((40, 5), seed, device)
    unselected = logits.softmax(1)
    ordered = unselected.sort(0).values
    champions = torch.stack(
        [ordered[12, 0], ordered[30, 1], ordered[36, 2], 0.99 * ordered[0, 3], ordered[39, 4] + 0.01]
    )
    at_least = unselected >= champions
    own_top = torch.nn.functional.one_hot(unselected.argmax(1), 5).bool()
    right = at_least.float().mean(0)
    mistakes = {
        "an image that is exactly as sure counts, too: *at least* as sure": (unselected > champions).float().mean(0),
        "these are counts: divide by the number of images": at_least.sum(0).float(),
        "this is the share that is *less* sure": 1 - right,
        "this is the share that is less sure, or exactly as sure": (unselected <= champions).float().mean(0),
        "an image counts only for its top class: look at its probability for *every* class": (at_least & own_top)
        .float()
        .mean(0),
        "this compares the images' highest probability, whatever the class: look at the champion's own class": (
            unselected.amax(1, keepdim=True) >= champions
        )
        .float()
        .mean(0),
        "divide by the number of images, not by the number of classes": at_least.sum(0).float() / 5,
        "this is the mean probability of the images that are as sure, not their share": (unselected * at_least).mean(0),
    }
    result = answer(unselected, champions)
    if isinstance(result, Tensor) and result.shape == (40,):
        raise Wrong("your result has one number per image, but it should have one per class: average over the images")
    if isinstance(result, (float, int)) or (isinstance(result, Tensor) and result.ndim == 0):
        raise Wrong("your result is one number for all classes together: there should be one per class")
    compare(tensor(result, (5,)), right, mistakes)
    single = tensor(answer(unselected[:1], champions), (5,), "for a single image your result")
    if not is_close(single, at_least[:1].float().mean(0)):
        raise Wrong("right for 40 images, but wrong for a single one")
