"""Lesson 3 by gradient: from noise, grey or black to any class, and how many steps each level of confidence takes."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ..arguments import instance, several, whole
from ..images import distances, round_to_8bit
from ..models import CHUNK, Classifier
from ..objectives import Label, toward
from ..optimize import Frame, each_frame, optimize_pixels
from ..starts import uniform_noise
from ..steps import unit_step
from .shared import recognised

PASSES = (0.5, 0.9, 0.99, 0.996, 0.999, 0.9999)


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
