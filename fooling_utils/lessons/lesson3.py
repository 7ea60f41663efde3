"""Lesson 3: from noise to any class, by gradient or by chance, and how long each level of confidence takes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..arguments import by_name, flag, instance, seeded, several, whole
from ..evolution.evolve import RANDOM, Encoding, evolve
from ..figures import amplify, grid_of_images, natural_amplification
from ..fourier import fourier_decode, fourier_start
from ..images import distances, round_to_8bit, validate_images
from ..models import CHUNK, Classifier
from ..networks.small import Digits
from ..objectives import Label, logit, toward
from ..optimize import Frame, each_frame, last, optimize_pixels
from ..starts import blank, uniform_noise
from ..steps import adam_step, unit_step
from ..views import random_views
from .shared import recognised

PASSES = (0.5, 0.9, 0.99, 0.996, 0.999, 0.9999)
ANSWERS = {"pure noise": "5 to 30 %"}


def first_passes(frames: Iterable[Frame], labels: Sequence[Label]) -> tuple[list[dict[str, int | None]], Tensor]:
    """How far each image gets, and when: one row per image, and the images (N, 3, H, W) of the last frame.

    labels: the target of each image. It stops early once all have passed the last of `PASSES`, 99.99 %.
    A row has the index of the first frame at which the target is the top class ("top"), and at which its probability
    is more than 50, 90, 99, 99.6, 99.9 and 99.99 %; `None` for never.
    """
    frames = each_frame(frames)
    several(labels=labels)
    labels = list(labels)
    names = ["top", *(f"{value:.4g} %" for value in 100 * torch.tensor(PASSES))]
    rows: list[dict[str, int | None]] = [dict.fromkeys(names) for _ in labels]
    for frame in frames:
        instance(Frame, **{"each of frames": frame})
        if len(frame.image) != len(labels):
            raise ValueError(f"{len(labels)} labels are given for {len(frame.image)} images: name one for each")
        probabilities = torch.as_tensor(frame.probability(labels)).reshape(-1).tolist()
        largest = frame.logits.softmax(1).amax(1).tolist()
        for row, p, top in zip(rows, probabilities, largest, strict=True):
            for name, reached in zip(names, [p == top, *(p > value for value in PASSES)], strict=True):
                if reached and row[name] is None:
                    row[name] = frame.index
        if all(row[names[-1]] is not None for row in rows):
            break
    return rows, frame.image


def climb_from_noise(
    first: Classifier, second: Classifier, labels: Sequence[Label], *, size: int = 224, steps: int = 50
) -> Iterator[dict]:
    """Climb to all `labels` from the same noise, 16 at a time. Each label gives a row with the steps, the size of
    the change, and the probability that two networks give to the class after rounding to 8 bit.
    """
    instance(Classifier, first=first, second=second)
    whole(3, size=size)
    several(labels=labels)
    labels = list(labels)
    noise = uniform_noise(1, size, device=first.device)
    for begin in range(0, len(labels), CHUNK):
        targets = labels[begin : begin + CHUNK]
        start = noise.repeat(len(targets), 1, 1, 1)
        frames = optimize_pixels(first, start, toward(targets), step=unit_step(1.0), steps=steps)
        rows, images = first_passes(frames, targets)
        images = round_to_8bit(images)
        judged = recognised(first, second, images, targets)
        for row, verdict, image in zip(rows, judged, images.split(1), strict=True):
            rms = distances(noise, image).rms_grey_levels
            yield {"label": verdict["label"], **row, "rms": round(rms, 2), **verdict}


def random_best(
    model: Classifier, encoding: Encoding, evaluations: int, *, batch: int = CHUNK, seed: int = 0, drift: bool = False
) -> Iterator[tuple[int, Tensor]]:
    """Evolution's controls, without selection: after each batch, the evaluations so far and the highest probability
    (classes,) that a picture reached for each class.

    drift: once there are as many random genomes as evolution begins with, children of genomes that chance picks from a
    pool, one for each class; there each child takes a place that chance picks, too. Otherwise all are random.
    """
    instance(Classifier, model=model)
    instance(Encoding, encoding=encoding)
    whole(evaluations=evaluations, batch=batch)
    flag(drift=drift)
    generator, classes = seeded(seed), len(model.labels)

    def drawn(count: int, pool: list[Tensor]) -> Tensor:
        if not drift or len(pool) < RANDOM * classes:
            return encoding.start(count, generator)
        parents = torch.randint(len(pool), (count,), generator=generator).tolist()
        return encoding.mutate(torch.stack([pool[parent] for parent in parents]), generator, None)

    def bests() -> Iterator[tuple[int, Tensor]]:
        best, pool = torch.zeros(classes), []
        for begin in range(0, evaluations, batch):
            genomes = drawn(min(batch, evaluations - begin), pool)
            for genome in genomes if drift else ():
                if len(pool) < classes:
                    pool.append(genome.clone())
                else:
                    pool[torch.randint(classes, (), generator=generator)] = genome.clone()
            images = round_to_8bit(encoding.render(genomes.to(model.device)))
            best = model.probabilities(images).amax(0).cpu().maximum(best)
            yield begin + len(genomes), best

    return bests()


def compare_painters(
    model: Classifier,
    encoding: Encoding,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    evaluations: int = 3200,
    every: int = 400,
) -> Iterator[dict]:
    """Evolution beside `random_best`, random and with drift: every so many evaluations, a row of what was reached.

    A row has the number of classes whose best picture has more than 50 %, the highest and the median of all classes.
    """
    instance(Classifier, model=model)
    instance(Encoding, encoding=encoding)
    several(seeds=seeds)
    whole(CHUNK, evaluations=evaluations)
    whole(every=every)

    def rows() -> Iterator[dict]:
        for way in ("evolution", "drift", "random"):
            for seed in seeds:
                if way == "evolution":
                    archives = evolve(model, encoding, generations=evaluations // CHUNK, seed=seed)
                    found = ((archive.evaluations, archive.confidence) for archive in archives)
                else:
                    found = random_best(model, encoding, evaluations, seed=seed, drift=way == "drift")
                for count, best in found:
                    if count % every == 0:
                        yield {
                            "way": way,
                            "seed": seed,
                            "evaluations": count,
                            "over 50 %": (best > 0.5).sum().item(),
                            "highest": round(best.max().item(), 4),
                            "median": round(best.median().item(), 5),
                        }

    return rows()


def starts_and_changes(
    starts: Mapping[str, Tensor], images: Mapping[tuple[str, str], Tensor], titles: Sequence[str]
) -> Figure:
    """A row per start (1, 3, H, W): the images that were reached from it, then their changes, amplified alike.

    images: {(start, target): (1, 3, H, W)}, in the order of the starts. titles: one per image.
    """
    by_name(Tensor, starts=starts, images=images)
    several(titles=titles)
    titles = list(titles)
    if not all(isinstance(key, tuple) and len(key) == 2 and key[0] in starts for key in images):
        raise ValueError(f"images must be named by a start and a target, with a start of {list(starts)}")
    if len(titles) != len(images):
        raise ValueError(f"{len(images)} images and {len(titles)} titles: there must be one title per image")
    for (start, _), image in images.items():
        validate_images(starts[start], name="each of starts")
        validate_images(image, name="each of images")
        if starts[start].shape != image.shape or starts[start].device != image.device:
            raise ValueError("each of images must have the shape and device of its start")
    changes = {key: image - starts[key[0]] for key, image in images.items()}
    times = natural_amplification(torch.cat(list(changes.values())))
    shown_images, shown_titles = [], []
    for name in starts:
        places = [place for place, (start, _) in enumerate(images) if start == name]
        keys = [list(images)[place] for place in places]
        shown_images += [images[key] for key in keys] + [amplify(changes[key], times) for key in keys]
        shown_titles += [titles[place] for place in places] + [f"change × {times}\n" for _ in keys]
    columns = len(shown_images) // len(starts)
    return grid_of_images(shown_images, shown_titles, columns, row_names=[f"from {name}" for name in starts])


def robins(model: Classifier, label: Label = "robin", *, size: int = 128, steps: int = 64) -> dict[str, Tensor]:
    """Robins with less and less of a prior, (1, 3, size, size) on the 8-bit grid, by name: `STRIPS["lesson 3"]`."""
    instance(Classifier, model=model)
    whole(size=size, steps=steps)
    decays = {"d = 1.3": (1.3, 0.1, random_views()), "d = 0.7": (0.7, 0.05, random_views())}
    ways = {}
    for name, (decay, rate, view) in {**decays, "d = 0, no views": (0, 0.05, None)}.items():
        waves = {"start": fourier_start(size=size), "decode": fourier_decode(size, decay=decay)}
        ways[name] = waves | {"step": adam_step(rate), "view": view}
    for name, start in {"pixels": blank(0.5, size=size), "from noise": uniform_noise(size=size)}.items():
        ways[name] = {"start": start, "step": unit_step(2.0)}
    return {
        name: round_to_8bit(last(optimize_pixels(model, objective=logit(label), steps=steps, **way)).image)
        for name, way in ways.items()
    }


def typical_digits(digits: Digits) -> Tensor:
    """For each class, the test digit that is nearest to the mean of its training digits: (classes, 1, 8, 8)."""
    instance(Digits, digits=digits)
    found = []
    for label in digits.train_labels.unique():
        mean = digits.train_images[digits.train_labels == label].mean(0)
        own = digits.test_images[digits.test_labels == label]
        found.append(own[(own - mean).flatten(1).norm(dim=1).argmin()])
    return torch.stack(found)
