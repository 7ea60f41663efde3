"""Fooling without gradients: evolution that keeps one champion for every class (MAP-Elites).

A child is a champion with random changes. It is compared with the champions of *all* classes and replaces each one that
it beats. An `Encoding` says what a genome is: with `direct`, every value of every pixel is a gene; in
`painters.py`, it is a small network that paints.

Source: Nguyen, Yosinski, Clune 2014, arXiv 1412.1897; the algorithm: Mouret and Clune 2015, arXiv 1504.04909.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..arguments import affordable, between, file_path, instance, seeded, several, shown, tensors, whole
from ..files import replacing
from ..images import round_to_8bit
from ..models import Classifier
from ..objectives import Label

VERSION = 1
RANDOM = 0.4  # random genomes at the start, for each class
NEAREST = 0.03  # how small reach becomes; it begins with 1


class Encoding(NamedTuple):
    """What a genome is, and how it becomes an image.

    name: kept in the archive, so that nobody continues it with a different encoding.
    start: (count, generator) to random genomes (count, ...). mutate: (genomes, generator, reach) to changed copies;
    reach (N,), above 0 and at most 1, says how large the changes of each should be. An encoding may ignore it.
    render: genomes (N, ...) to images (N, C, H, W) in [0, 1]. render_at: (genomes, size) to images of about that
    size, if small images are quicker to paint.
    """

    name: str
    start: Callable[[int, torch.Generator], Tensor]
    mutate: Callable[[Tensor, torch.Generator, Tensor | None], Tensor]
    render: Callable[[Tensor], Tensor]
    render_at: Callable[[Tensor, int], Tensor] | None = None

    def thumbnails(self, genomes: Tensor, size: int) -> Tensor:
        """Small pictures (N, 3, h, w) of genomes (N, ...), the longer side at most `size`, on the 8-bit grid."""
        whole(size=size)
        tensors(genomes=genomes)
        twice = 2 * int(size)  # paint larger and average, so that lines thinner than a pixel stay visible
        return thumbnails(self.render_at(genomes, twice) if self.render_at else self.render(genomes), size)


def thumbnails(images: Tensor, size: int) -> Tensor:
    """Images (N, 1 or 3, H, W) scaled down to (N, 3, h, w), the longer side at most `size`, on the 8-bit grid."""
    whole(size=size)
    size = int(size)
    tensors(images=images)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must have the shape (N, 1 or 3, H, W), got {tuple(images.shape)}")
    scale = min(1, size / max(images.shape[2:]))
    height, width = (max(1, round(scale * side)) for side in images.shape[2:])
    return round_to_8bit(interpolate(images, (height, width), mode="area").clamp(0, 1)).expand(-1, 3, -1, -1)


def direct(shape: Sequence[int] = (3, 224, 224), *, rate: float = 0.1, strength: float = 15.0) -> Encoding:
    """Every value of an image (C, H, W) is a gene; the start is uniform noise.

    rate: the largest share of the genes that a child changes; each child draws its own share between 0 and this.
    strength: of the polynomial mutation; larger values mean smaller changes.
    Source: Deb and Goyal 1996, polynomial mutation, with the rate and strength of Nguyen et al. 2014.
    """
    between(0, 1, rate=rate)
    if not rate > 0:
        raise ValueError(f"rate must be greater than 0 and at most 1, got {rate}")
    between(0, 1e6, strength=strength)
    rate, strength, shape = float(rate), float(strength), _shape(shape)

    def start(count: int, generator: torch.Generator) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    def mutate(genomes: Tensor, generator: torch.Generator, reach: Tensor | None = None) -> Tensor:
        shares = rate * torch.rand(len(genomes), *[1] * len(shape), generator=generator)
        chosen = torch.rand(genomes.shape, generator=generator) < shares
        u = 2 * torch.rand(genomes.shape, generator=generator)
        power = 1 / (strength + 1)
        change = torch.where(u < 1, u**power - 1, 1 - (2 - u) ** power)
        return torch.where(chosen, genomes + change, genomes).clamp(0, 1)

    return Encoding(f"direct {'x'.join(map(str, shape))}", start, mutate, lambda genomes: genomes)


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an image as plain numbers; ValueError if it is not one, or takes too much memory."""
    if not isinstance(shape, (tuple, list)) or not shape:
        raise ValueError(f"shape must be that of one image, such as (3, 224, 224), got {shown(shape)}")
    for side in shape:
        whole(**{"each number of shape": side})
    affordable(64 * math.prod(map(int, shape)), f"64 images of shape {tuple(shape)}")
    return tuple(map(int, shape))


@dataclass(frozen=True)
class Archive:
    """The champions after some generations. It never changes, so it is safe to keep; `evolve` yields the next one.

    labels, indices: the classes. genomes: one champion per class; several classes may share one.
    confidence: (classes,), each champion's probability of its class, after rounding to 8 bit.
    born: (classes,), the generation that each champion comes from, counted from 1.
    reach: (classes,), how large the changes of its children are: more after a success, less after a failure.
    generations, evaluations: how many so far. encoding: its name.
    random_state: the state of the generator, needed to continue. fingerprint: the network's logits for a grey image.
    """

    labels: tuple[str, ...]
    indices: tuple[int, ...]
    genomes: tuple[Tensor, ...]
    confidence: Tensor
    born: Tensor
    reach: Tensor
    generations: int
    evaluations: int
    encoding: str
    random_state: Tensor
    fingerprint: Tensor

    def best(self, count: int) -> list[int]:
        """The indices of the `count` classes whose champions are most confident, the best first."""
        whole(count=count)
        order = self.confidence.argsort(descending=True, stable=True)[:count]
        return [self.indices[place] for place in order.tolist()]

    def champions(self, labels: Sequence[Label]) -> Tensor:
        """The genomes of the champions of some classes, given by name or index: (N, ...)."""
        several(labels=labels)
        return torch.stack([self.genomes[self._place(label)] for label in labels])

    def _place(self, label: Label) -> int:
        known = self.labels if isinstance(label, str) else self.indices
        try:
            return known.index(None if isinstance(label, bool) else label)
        except (ValueError, TypeError, RuntimeError):  # numpy and torch compare arrays number by number
            raise ValueError(
                f"the archive has no champion of {shown(label)}: archive.labels lists its {len(known)} classes"
            ) from None

    def joined(self, other: "Archive") -> "Archive":
        """The better champion of each class, from two runs for the same network; generations and evaluations add up.

        Raises ValueError if the other archive has another encoding or other classes, or belongs to another network.
        """
        instance(Archive, other=other)
        if self.encoding != other.encoding:
            raise ValueError(f"one archive has the encoding {self.encoding!r}, the other {other.encoding!r}")
        if self.indices != other.indices or self.labels != other.labels:
            raise ValueError(
                f"the archives have different classes ({len(self.labels)} and {len(other.labels)} of them): "
                "evolve both with the same targets, in the same order"
            )
        if not _same_network(self.fingerprint, other.fingerprint):
            raise ValueError("the archives belong to different networks: these give different logits for a grey image")
        better = other.confidence > self.confidence
        pairs = zip(better.tolist(), self.genomes, other.genomes, strict=True)
        return replace(
            self,
            genomes=tuple(theirs if wins else own for wins, own, theirs in pairs),
            confidence=torch.where(better, other.confidence, self.confidence),
            born=torch.where(better, other.born + self.generations, self.born),
            reach=torch.where(better, other.reach, self.reach),
            generations=self.generations + other.generations,
            evaluations=self.evaluations + other.evaluations,
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write a file of plain arrays (.npz). The old file stays until the new one is complete."""
        places: dict[int, int] = {}  # by identity: a genome that several classes share is stored once
        which = [places.setdefault(id(genome), len(places)) for genome in self.genomes]
        unique = torch.stack([self.genomes[which.index(i)] for i in range(len(places))])
        with replacing(path) as file:
            np.savez_compressed(
                file, version=VERSION, labels=np.array(self.labels), indices=self.indices,
                genomes=unique.numpy(), which=which, confidence=self.confidence.numpy(), born=self.born.numpy(),
                reach=self.reach.numpy(),
                generations=self.generations, evaluations=self.evaluations, encoding=self.encoding,
                random_state=self.random_state.numpy(), fingerprint=self.fingerprint.numpy(),
            )  # fmt: skip


def _same_network(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and (first - second).abs().max().item() <= 0.05


def load_archive(path: str | os.PathLike) -> Archive:
    """Load an archive that `Archive.save` wrote.

    Raises FileNotFoundError for a missing file, and ValueError for one that was cut short, edited, is not an archive,
    or has a different version. Nothing in the file is executed: it holds plain arrays.
    """
    file_path(path=path)
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
        version = int(stored.pop("version"))
        if version == VERSION:
            return _from_arrays(stored)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # numpy and zipfile raise many kinds of error for damaged files
        raise ValueError(
            f"{path} is not an archive, or was cut short or edited ({error}): use an earlier one"
        ) from error
    raise ValueError(f"{path} is an archive of version {version}, but this course reads version {VERSION}")


def _from_arrays(stored: dict[str, np.ndarray]) -> Archive:
    count = stored["labels"].size
    stored.setdefault("reach", np.full(count, 0.25, np.float32))  # older archives have none, and had run for long
    per_class = {"labels": "U", "indices": "i", "which": "i", "confidence": "f", "born": "i", "reach": "f"}
    single = {"generations": "i", "evaluations": "i", "encoding": "U"}
    for name, kind in (per_class | single).items():
        shape = (count,) if name in per_class else ()
        if stored[name].dtype.kind != kind or stored[name].shape != shape:
            raise ValueError(f"{name} is {stored[name].dtype} of shape {stored[name].shape}, for {count} classes")
    genomes = torch.from_numpy(stored["genomes"]).unbind()  # once, so that classes go on sharing a champion
    for name in ("genomes", "confidence", "reach", "fingerprint"):
        if not np.isfinite(stored[name]).all():
            raise ValueError(f"{name} holds values that are NaN or infinite")
    if not count:
        raise ValueError("it holds no classes")
    generations, evaluations = stored["generations"].item(), stored["evaluations"].item()
    indices, which, born, confidence = (stored[name] for name in ("indices", "which", "born", "confidence"))
    classes, different = range(len(stored["fingerprint"])), set(indices.tolist())
    wrong = {
        "indices": not different <= set(classes) or len(different) < count,
        "which": set(which.tolist()) != set(range(len(genomes))),
        "born": not 1 <= born.min() <= born.max() <= generations,
        "confidence": not 0 <= confidence.min() <= confidence.max() <= 1.001,
        "reach": not 0 < stored["reach"].min() <= stored["reach"].max() <= 1,
        "evaluations": evaluations < generations,
        "random_state": stored["random_state"].dtype != np.uint8,
    }
    for name in (name for name, bad in wrong.items() if bad):
        raise ValueError(f"{name} holds values that no evolution produces")
    torch.Generator().set_state(torch.from_numpy(stored["random_state"]))
    return Archive(
        labels=tuple(stored["labels"].tolist()),
        indices=tuple(stored["indices"].tolist()),
        genomes=tuple(genomes[i] for i in stored["which"]),
        **{
            name: torch.from_numpy(stored[name])
            for name in ("confidence", "born", "reach", "random_state", "fingerprint")
        },
        **{name: stored[name].item() for name in ("generations", "evaluations", "encoding")},
    )


def evolve(
    model: Classifier,
    encoding: Encoding,
    *,
    targets: Sequence[Label] | None = None,
    population: int = 16,
    generations: int = 50,
    archive: Archive | None = None,
    seed: int = 0,
) -> Iterator[Archive]:
    """Evolve images that the network is certain of, one champion per class: an `Archive` after each generation.

    encoding: `direct(...)` or `cppn(...)`. targets: the classes that get a champion; all unless given.
    population: children per generation. The first generations are random genomes, 0.4 for each class in all.
    archive: continue from here, exactly as if there had been no interruption; it has its own `targets` and `seed`.
    A generation costs `population` forward passes and no backward pass. Stop at any time: each archive is complete.
    Raises ValueError at the call for a population below 2, an unknown or repeated target, or an archive that belongs
    to another network or encoding.
    """
    instance(Classifier, model=model)
    instance(Encoding, encoding=encoding)
    whole(2, population=population)
    affordable(int(population) * math.prod(model.input_shape), f"population = {population} images")
    whole(generations=generations)
    if archive is not None:
        instance(Archive, archive=archive)
    if targets is not None:
        several(targets=targets)
    source = seeded(seed)
    with torch.no_grad():
        fingerprint = model(torch.full((1, *model.input_shape), 0.5, device=model.device))[0].cpu()
    if archive is None:
        indices = tuple(range(len(model.labels)) if targets is None else map(model.index, targets))
        if not indices or len(set(indices)) < len(indices):
            raise ValueError(f"targets must be one or more different classes, got {shown(targets)}")
        archive = Archive(
            labels=tuple(model.labels[i] for i in indices),
            indices=indices,
            genomes=(),
            confidence=torch.full((len(indices),), -1.0),
            born=torch.zeros(len(indices), dtype=torch.int64),
            reach=torch.ones(len(indices)),
            generations=0,
            evaluations=0,
            encoding=encoding.name,
            random_state=source.get_state(),
            fingerprint=fingerprint,
        )
    elif archive.encoding != encoding.name:
        raise ValueError(f"the archive was made with the encoding {archive.encoding!r}, but this is {encoding.name!r}")
    elif not _same_network(archive.fingerprint, fingerprint):
        raise ValueError("the archive belongs to another network: this one gives different logits for a grey image")
    model.validate(encoding.render(encoding.start(1, torch.Generator()).to(model.device)), "a rendered genome")
    begin = archive

    def archives() -> Iterator[Archive]:
        archive, generator = begin, torch.Generator()
        generator.set_state(begin.random_state)
        for _ in range(generations):
            parents = None
            if archive.evaluations < RANDOM * len(archive.indices):
                genomes = encoding.start(population, generator)
            else:
                # the nearer to 50 %, the more children: there, the same gain in logits is the largest in probability
                promise = archive.confidence * (1 - archive.confidence) + 0.003
                parents = torch.multinomial(promise, population, True, generator=generator)
                genomes = torch.stack([archive.genomes[parent] for parent in parents.tolist()])
                genomes = encoding.mutate(genomes, generator, archive.reach[parents])
            # no name for the images: the next generation is painted into the same memory
            judged = model.probabilities(round_to_8bit(encoding.render(genomes.to(model.device))))
            archive = replace(
                _credit(archive, genomes, judged[:, archive.indices].cpu(), parents),
                generations=archive.generations + 1,
                evaluations=archive.evaluations + population,
                random_state=generator.get_state(),
            )
            yield archive

    return archives()


def _credit(archive: Archive, genomes: Tensor, confidence: Tensor, parents: Tensor | None = None) -> Archive:
    """Compare each child with the champion of every class; `confidence` is (children, classes)."""
    highest, child = confidence.max(0)
    better = highest > archive.confidence
    copies = {i: genomes[i].clone() for i in set(child[better].tolist())}  # a view would keep all children in memory
    champions = list(archive.genomes) or [None] * len(archive.indices)
    for place in better.nonzero()[:, 0].tolist():
        champions[place] = copies[child[place].item()]
    return replace(
        archive,
        genomes=tuple(champions),
        confidence=torch.where(better, highest, archive.confidence),
        born=torch.where(better, archive.generations + 1, archive.born),
        reach=archive.reach if parents is None else _reached(archive.reach, parents, better, parents[child]),
    )


def _reached(reach: Tensor, parents: Tensor, better: Tensor, origin: Tensor) -> Tensor:
    """How large the next changes are: the rule of one success in five, for each class by itself.

    A champion that its own child beats asks for changes a quarter larger, and for slightly smaller ones after each
    child that doesn't. A class that a child of another class takes over goes on with the reach of that one.
    parents: the class of each child's parent. better: whether a class has a new champion. origin: its parent's class.
    Source: Rechenberg 1973, in the form of Kern et al. 2004, doi 10.1023/B:NACO.0000023416.59689.4e.
    """
    own = origin == torch.arange(len(reach))
    failures = torch.bincount(parents, minlength=len(reach)) * ~better
    after_success = torch.where(own, 1.28 * reach, reach[origin])
    return torch.where(better, after_success, reach * 0.94**failures).clamp(NEAREST, 1)
