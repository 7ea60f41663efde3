"""Checks of lesson 3: first steps past a threshold, entropy, a mutation, and credit for every class."""

import math
from collections.abc import Sequence
from typing import Any

import torch

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
    tensor,
    uses_only,
)


@exercise("3.1", "The first step past 99.6 %", "first_past")
def first_past(answer: Answer, seed: int, device: torch.device) -> None:
    high, low = 0.999, 0.2
    columns = {
        "an image that passes at frame 2": ([low, 0.5, high, high, high, high], 2),
        "an image that passes at the very first frame": ([high] * 6, 0),
        "an image that never passes": ([low, low, 0.99, 0.995, 0.99, 0.99], None),
        "an image that passes at frame 1 and falls back": ([low, high, low, low, low, low], 1),
        "an image that passes at the last frame only": ([low, low, low, low, low, high], 5),
    }
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed)).tolist()
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


@exercise("3.2", "How unsure is it, in bits", "entropy_in_bits")
def entropy_in_bits(answer: Answer, seed: int, device: torch.device) -> None:
    logits = torch.cat([2 * normal((4, 8), seed, device), torch.zeros(1, 8, device=device)])
    p = logits.softmax(1)
    nats = -(p * p.log()).sum(1)
    result = tensor(answer(logits), (5,))
    mistakes = {
        "this is the entropy in nats, of the natural logarithm: use bits": nats,
        "the sign is reversed: an entropy is never negative": -nats / math.log(2),
        "the sign is reversed, and it is in nats": -nats,
        "each term should be the logarithm of p *times* p": -p.log2().sum(1),
        "it is a mean over the classes: take the *sum*": nats / math.log(2) / 8,
        "the probabilities must add up to 1 over the classes, not over the images": -(
            logits.softmax(0) * logits.softmax(0).log2()
        ).sum(1),
        "this is the largest probability": p.amax(1),
        "off by a factor of (ln 2)²: to go from nats to bits, *divide* by ln 2": nats * math.log(2),
    }
    compare(result, nats / math.log(2), mistakes)
    certain = torch.tensor([[0.0, -500.0, -1000.0], [300.0, 0.0, 300.0]], device=device)
    if not is_close(tensor(answer(certain), (2,), "for logits as far apart as 0 and -1000 your result"),
                    torch.tensor([0.0, 1.0], device=device)):  # fmt: skip
        raise Wrong("wrong where a probability is 0: such a class should add nothing")
    one_by_one(answer, result, (logits,))


@exercise("3.3", "A mutation", "mutate")
def mutate(answer: Answer, seed: int, device: torch.device) -> None:
    genes = torch.full((20, 3, 16, 16), 0.5, device=device)
    rate, size = 0.2, 0.05
    generator = torch.Generator(device)
    children = legal(tensor(uses_only(generator, answer, genes, rate, size), genes.shape))
    change = children - genes
    changed = change != 0
    for name, first, second in (
        ("children", changed[0], changed[1]),
        ("colours of a pixel", changed[:, 0], changed[:, 1]),
    ):
        if torch.equal(first, second) and 0 < changed.sum() < changed.numel():
            raise Wrong(f"all {name} change in the same places: draw separately for each value")
    share = changed.float().mean().item()
    if not 0.17 < share < 0.23:
        raise Wrong(f"{share:.1%} of the values changed, but with a rate of {rate} it should be about 20 %")
    found = change[changed]
    if found.mean().abs() > 0.2 * size:
        raise Wrong("the mean of the changes is not zero: they should go up as much as down")
    if not 0.9 * size < found.std() < 1.1 * size:
        raise Wrong(f"the changes have the standard deviation {found.std():.3f}, but it should be {size}")
    beyond = (found.abs() > found.std()).float().mean().item()
    if not 0.27 < beyond < 0.37:
        raise Wrong(f"{beyond:.0%} of the changes are beyond one standard deviation: of Gaussian changes, 32 % are")
    if found.unique().numel() < 0.9 * found.numel():
        raise Wrong("different values get the same change: draw separately for each value")
    legal(tensor(answer(random((4, 3, 10, 10), seed, device).round(), 0.9, 0.5, generator), (4, 3, 10, 10)))
    for all_or_none in (0.0, 1.0):
        share = (answer(genes, all_or_none, size, generator) != genes).float().mean().item()
        if abs(share - all_or_none) > 0.001:
            raise Wrong(f"with a rate of {all_or_none:.0f}, {share:.1%} of the values change")


@exercise("3.4", "Credit for every class", "update_champions")
def update_champions(answer: Answer, seed: int, device: torch.device) -> None:
    classes, count = 5, 12
    champions, children = (random((n, 1, 2, 2), seed + n, device) for n in (classes, count))
    logits = 3 * normal((count, classes), seed, device)
    logits[:, 4] = (
        logits[:, :4].amax(1) - 0.5 - random((count,), seed, device)
    )  # second best for every child, never on top
    p = logits.softmax(1)
    confidence = torch.tensor([0.0, 0.999, 0.3, p[:, 3].max().item(), 0.01], device=device)
    best, child = p.max(0)
    new_champions, new_confidence = champions.clone(), confidence.clone()
    for label in range(classes):
        if best[label] > confidence[label]:
            new_champions[label], new_confidence[label] = children[child[label]], best[label]
    tops = p.argmax(1)
    only_top = confidence.clone()
    for index, label in enumerate(tops.tolist()):
        only_top[label] = max(only_top[label].item(), p[index, label].item())

    result = answer(champions, confidence, children, p)
    if not isinstance(result, tuple) or len(result) != 2:
        raise Wrong(f"return two tensors, champions and confidence, not {type(result).__name__}")
    found, sure = result
    found = tensor(found, champions.shape, "the champions")
    sure = tensor(sure, confidence.shape, "the confidence")
    mistakes = {
        "nothing was replaced, although some children are better": confidence,
        "a champion was replaced by a child that is worse: compare before you replace": best,
        "a child counts only for its own top class: it should compete for *every* class": only_top,
        "a champion was replaced by a child that is worse: `<` or `>`?": torch.minimum(best, confidence),
    }
    compare(sure, new_confidence, mistakes, "the confidence should be the larger one of champion and best child")
    for label in range(classes):
        if is_close(found[label], new_champions[label], 1e-6):
            continue
        if best[label] == confidence[label]:
            raise Wrong("a child that is exactly as good as the champion replaced it: only a *better* one should")
        raise Wrong(f"the confidence is right, but the champion of class {label} is not the matching picture")


question("3.5", "What does a confidence say?")
