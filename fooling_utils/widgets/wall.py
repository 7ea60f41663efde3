"""A wall of champions, one small picture per class, that fills while evolution runs. Each can be examined."""

import hashlib
import weakref
from collections.abc import Mapping, Sequence

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ..arguments import dictionaries, instance, seeded, several, whole
from ..evolution.evolve import Archive, Encoding, evolve, thumbnails
from ..evolution.wall import Wall
from ..figures import picture
from ..images import round_to_8bit
from ..models import Classifier
from ..objectives import Label
from .kit import Ahead, AskedWidget, Kept, Reply, names_apart, rgb, script

SMALL = 24  # pixels, the longer side of a thumbnail; smaller images stay as they are
AT_ONCE = 80  # thumbnails per answer, if many are missing
ASKED = 64  # champions to show to the second network, the most confident first
BATCH = 16
ENDLESS = 10**9  # generations; nobody waits that long
KINDS = ("play", "best", "agree", "label")


class _State(Kept):
    """What a wall keeps: the networks, the champions, their small pictures, and what the second network said."""

    def __init__(self, model: Classifier, second: Classifier | None, archive: Archive | None, small: Wall):
        self.model, self.second, self.archive, self.small = model, second, archive, small
        self.agreement: dict[tuple[int, int], tuple[Tensor, float]] = {}  # by the genome's identity, and class
        self.run: Ahead | None = None
        self.evolves = False  # here, and not only in an archive that was given
        self.children: tuple[Tensor, Tensor] | None = None  # the genomes of the last generation, and their images


class ChampionsWall(AskedWidget):
    """Evolve a champion for every class and see them all as small pictures, brighter ones for more confidence.

    model: a network that takes images (3, H, W) or (1, H, W). encoding: `direct(...)` or `cppn(...)`.
    second: another network with the same classes, which is also asked about the champions.
    archive: champions to show and to continue from. targets: the classes; all unless given.
    population, seed: as for `evolve`. per_question: generations between two updates of the page.
    presets: dictionaries with a title and one of play (True), best (1 for the most confident champion, 2 for the next),
        agree (1 for the champion that the second network agrees with most), and label (a class).
    Raises ValueError for a network that takes no images, a second one with different classes, an invalid preset,
    and whatever `evolve` raises.
    """

    _esm = script("wall")
    names = traitlets.List().tag(sync=True)
    columns = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        model: Classifier,
        encoding: Encoding,
        *,
        second: Classifier | None = None,
        archive: Archive | None = None,
        targets: Sequence[Label] | None = None,
        population: int = 16,
        seed: int = 0,
        per_question: int = 1,
        presets: Sequence[Mapping] | None = None,
    ):
        instance(Classifier, model=model)
        instance(Encoding, encoding=encoding)
        if second is not None:
            instance(Classifier, second=second)
        if archive is not None:
            instance(Archive, archive=archive)
        if targets is not None:
            several(targets=targets)
            targets = list(targets)
        if presets is not None:
            dictionaries(presets=presets)
        if len(model.input_shape) != 3 or model.input_shape[0] not in (1, 3):
            raise ValueError(f"a wall shows images (3, H, W) or (1, H, W), but this network takes {model.input_shape}")
        if second and (second.labels != model.labels or second.input_shape[0] != model.input_shape[0]):
            raise ValueError("the second network must have the same classes and the same number of channels")
        whole(per_question=per_question)
        whole(2, population=population)
        seeded(seed)
        self.encoding, self.per_question = encoding, per_question
        self._options = {"targets": targets, "population": population, "seed": seed}
        self.indices = archive.indices if archive else tuple(map(model.index, targets or range(len(model.labels))))
        columns = max(1, round((1.6 * len(self.indices)) ** 0.5))  # 40 for 1000 classes
        networks = weakref.ref(model), second and weakref.ref(second)
        key = (*networks, encoding.name, str(targets), population, seed, _fingerprint(archive))
        self._keep(key, lambda: _State(model, second, archive, Wall(encoding, columns, SMALL)))
        self._state.run = self._evolution()  # raises if something does not fit
        if presets is None:
            presets = [{"title": "most confident", "best": 1}]
            presets += [{"title": "second agrees most", "agree": 1}] if second else []
        super().__init__(
            names=self._names(),
            columns=columns,
            presets=[self._preset(dict(preset)) for preset in presets],
        )

    @property
    def second(self) -> Classifier | None:
        """The second network, which is asked about the champions."""
        return self._state.second

    @property
    def archive(self) -> Archive | None:
        """The champions that are shown; None before the first generation."""
        return self._state.archive

    def generation(self) -> Archive:
        """Evolve one more generation."""
        state = self._state
        run, state.run = state.run or self._evolution(), None  # a run that failed cannot continue
        state.archive = next(run)
        state.run, state.evolves = run, True
        state.small.keep(state.archive, *state.children)
        state.children = None
        return state.archive

    def image_of(self, label: Label) -> Tensor:
        """The champion of a class as it was classified, (1, C, H, W), rounded to 8 bit."""
        return self._image(self._place(label))

    def twin(self) -> Figure:
        """The wall as a figure; black before the first generation."""
        if not self.archive:
            rows = -(-len(self.indices) // self.columns)
            return picture(torch.zeros(1, 3, 10 * rows, 10 * self.columns), "no champions yet", width=6)
        counts = self._counts()
        title = f"{counts['evaluations']} evaluations: {counts['over'][0]} classes over 50 %"
        return picture(self._state.small.draw(self.archive), title, width=10)

    # ------------------------------------------------------------------------------------------ what the page asks

    def first_questions(self) -> list[tuple[str, dict]]:
        """The counters, and the first champions."""
        return [*super().first_questions(), ("champions", {"first": 0})]

    def answer_begin(self) -> dict:
        """The size of a thumbnail, and the counters; the page asks for the champions afterwards."""
        height, width = thumbnails(torch.zeros(1, *self.model.input_shape), SMALL).shape[2:]
        return {"height": height, "width": width, "at_once": AT_ONCE, "second": bool(self.second), **self._counts()}

    def answer_champions(self, first: int) -> Reply:
        """Some of the champions that exist already, from place `first` on."""
        whole(0, first=first)
        return self._sent(range(first, min(first + AT_ONCE, len(self.indices))) if self.archive else [])

    def answer_generation(self) -> Reply:
        """Evolve one generation, and send the new champions."""
        before = self.archive.generations if self.archive else 0
        for _ in range(self.per_question):
            archive = self.generation()
        facts, content = self._sent((archive.born > before).nonzero()[:, 0].tolist())
        return {"before": before, **facts}, content

    def look_ahead(self, facts: dict) -> None:
        """The next generation, where evolution has begun: after one, and after the first look at its champions."""
        run, told = self._state.run, facts.get("ask") in ("generation", "look") and "error" not in facts
        if run and told and self._state.evolves:
            run.make()

    def answer_look(self, place: int) -> Reply:
        """A champion at the size that the network sees, and what both networks say about it."""
        whole(0, place=place)
        image, index = self._image(place), self.indices[place]
        networks = {"this network": self.model} | ({"a second network": self.second} if self.second else {})
        opinions = [{"name": name, **_opinion(network, image, index)} for name, network in networks.items()]
        born = self.archive.born[place].item()
        facts = {"place": place, "label": self.model.labels[index], "born": born, "width": image.shape[3]}
        return {**facts, "opinions": opinions}, [rgb(image.expand(-1, 3, -1, -1))]

    def answer_agree(self, rank: int = 1) -> dict:
        """Ask the second network about more champions and, in the end, give the place of the one it agrees with."""
        whole(rank=rank)
        if not self.second:
            raise ValueError("there is no second network: use ChampionsWall(model, encoding, second=...)")
        places = self._sorted()[:ASKED]
        keys = {place: (id(self.archive.genomes[place]), self.indices[place]) for place in places}
        answers = self._state.agreement
        missing = [place for place in places if keys[place] not in answers]
        if missing[:BATCH]:
            images = torch.cat([self._image(place) for place in missing[:BATCH]])
            for place, p in zip(missing, self.second.probabilities(images), strict=False):
                answers[keys[place]] = (self.archive.genomes[place], p[self.indices[place]].item())
        asked = len(places) - len(missing[BATCH:])
        if asked < len(places):
            return {"asked": asked, "of": len(places)}
        self._state.agreement = {key: answers[key] for key in keys.values()}  # forget old champions
        order = sorted(places, key=lambda place: -answers[keys[place]][1])
        return {"asked": asked, "of": len(places), "place": order[min(rank, len(order)) - 1]}

    # ------------------------------------------------------------------------------------------------- how it is done

    def _evolution(self) -> Ahead:
        state, paint = self._state, self.encoding.render

        def render(genomes: Tensor) -> Tensor:
            images = paint(genomes)
            state.children = (genomes, images)  # painting them again would take a good part of a generation
            return images

        remembering = self.encoding._replace(render=render)
        return Ahead(evolve(state.model, remembering, archive=state.archive, generations=ENDLESS, **self._options))

    def _sent(self, places: Sequence[int]) -> Reply:
        """Champions for the page: a thumbnail that several classes share is sent once."""
        genomes = [self.archive.genomes[place] for place in places]
        order = {key: k for k, key in enumerate(dict.fromkeys(map(id, genomes)))}
        unique = {id(genome): genome for genome in genomes}
        content = b"".join(rgb(self._state.small.small(unique[key])[None]) for key in order)
        confidence = [round(self.archive.confidence[place].item(), 5) for place in places]
        champions = {"places": list(places), "confidence": confidence, "which": [order[id(one)] for one in genomes]}
        return {"champions": champions, **self._counts()}, [content]

    def _counts(self) -> dict:
        if not self.archive:
            return {"generations": 0, "evaluations": 0, "over": [0, 0, 0], "median": 0.0}
        confidence = self.archive.confidence
        return {
            "generations": self.archive.generations,
            "evaluations": self.archive.evaluations,
            "over": [(confidence > share).sum().item() for share in (0.5, 0.9, 0.99)],
            "median": confidence.median().item(),
        }

    def _image(self, place: int) -> Tensor:
        if not self.archive:
            raise ValueError("there are no champions yet: play, or ask for one generation")
        if place >= len(self.indices):
            raise ValueError(f"there is no champion {place}: the places go from 0 to {len(self.indices) - 1}")
        return round_to_8bit(self.encoding.render(self.archive.genomes[place][None].to(self.model.device)))

    def _place(self, label: Label) -> int:
        index = self.model.index(label)
        if index not in self.indices:
            raise ValueError(f"{label!r} is not one of the {len(self.indices)} classes on this wall")
        return self.indices.index(index)

    def _sorted(self) -> list[int]:
        """The places of all champions, the most confident first."""
        if not self.archive:
            raise ValueError("there are no champions yet: play, or ask for one generation")
        return self.archive.confidence.argsort(descending=True, stable=True).tolist()

    def _names(self) -> list[str]:
        return names_apart([self.model.labels[index] for index in self.indices], self.indices)

    def _preset(self, preset: dict) -> dict:
        kinds = [kind for kind in KINDS if kind in preset]
        if len(kinds) != 1 or "title" not in preset:
            raise ValueError(f"a preset needs a title and one of {', '.join(KINDS)}, got {preset}")
        if "agree" in preset and not self.second:
            raise ValueError(f"the preset {preset['title']!r} needs a second network")
        for kind in ("best", "agree"):
            whole(**{kind: preset.get(kind, 1)})
        return preset | ({"place": self._place(preset["label"])} if "label" in preset else {})


def _opinion(network: Classifier, image: Tensor, index: int) -> dict:
    """The top five of a network, and the rank of the class `index`, which may be lower."""
    probabilities = network.probabilities(image)[0]
    rank = 1 + (probabilities > probabilities[index]).sum().item()
    own = {"label": network.labels[index], "probability": probabilities[index].item(), "rank": rank}
    return {"top": [one._asdict() for one in network.top(image)], "own": own}


def _fingerprint(archive: Archive | None) -> tuple | None:
    """A key that is the same if an archive is loaded a second time."""
    if archive is None:
        return None
    content = archive.confidence.numpy().tobytes() + archive.random_state.numpy().tobytes()
    return (archive.generations, archive.indices, hashlib.sha256(content).hexdigest())
