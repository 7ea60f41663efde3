"""The loop, played: choose a picture, a target and a method, and watch the pixels change."""

import io
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ..arguments import between, dictionaries, instance, positive, whole
from ..constraints import Constraint, linf_ball
from ..data.gallery import PICTURES
from ..figures import top_five, triptych
from ..files.downloads import download
from ..files.pictures import from_file
from ..images import from_pil, round_to_8bit, validate_images
from ..lessons.lesson2 import random_changes
from ..models import Classifier, Prediction
from ..objectives import toward
from ..optimize import Frame, optimize_pixels
from ..starts import blank, uniform_noise
from ..steps import Step, adam_step, sign_step, unit_step
from .kit import (
    Ahead,
    AskedWidget,
    Kept,
    Reply,
    change_sizes,
    coloured_for,
    fingerprint,
    named_image,
    names_apart,
    rgb,
    script,
)
from .scenes import GREY, NOISE, SIZES

LEVEL = 1 / 255
LARGEST_UPLOAD = 8_000_000  # bytes; Jupyter's servers close the connection at messages of 10 MB
MOST_FRAMES = 4  # in one answer, so that a pause takes effect at once
ENDLESS = 10**9  # steps; nobody waits that long


class Method(NamedTuple):
    """A way to move: a step rule for a size, the size's unit and range, and where the image must stay."""

    rule: Callable[[float], Step]
    unit: str
    size: float
    smallest: float
    largest: float
    constraint: Callable[[Tensor], Constraint] | None = None


METHODS = {
    "unit step": Method(unit_step, "L2", SIZES["unit step"], 0.03, 3.0),
    "sign step": Method(lambda size: sign_step(size * LEVEL), "grey levels", SIZES["sign step"], 0.05, 4.0),
    "PGD within 8 grey levels": Method(
        lambda size: sign_step(size * LEVEL),
        "grey levels",
        SIZES["PGD within 8 grey levels"],
        0.05,
        4.0,
        lambda start: linf_ball(start, 8 * LEVEL),
    ),
    "Adam": Method(lambda size: adam_step(size * LEVEL), "grey levels", SIZES["Adam"], 0.05, 4.0),
}
STARTS: dict[str, Callable[[Classifier], Tensor]] = {
    NOISE: lambda model: round_to_8bit(uniform_noise(size=model.input_size, device=model.device)),
    GREY: lambda model: round_to_8bit(blank(0.5, size=model.input_size, device=model.device)),
}
PRESETS = (
    {"title": "bus → ostrich", "picture": "school_bus", "target": "ostrich"},
    {"title": "coffee → goldfish", "picture": "coffee", "target": "goldfish"},
    {"title": "cat → pizza", "picture": "cat", "target": "pizza"},
    {"title": "noise → robin", "picture": "noise", "target": "robin", "size": 1.0},
    {"title": "bus, PGD", "picture": "school_bus", "target": "ostrich", "method": "PGD within 8 grey levels"},
)


class FoolingPlayer(AskedWidget):
    """Play the loop: image, change, result and the top five move together.

    picture: the name of a built-in picture (see `PICTURES`), "noise", "grey", or a name in `pictures`.
    target: a class, by name or index. method: one of `METHODS`. size: the size of a step, in the method's unit.
    pictures: more images (1, 3, size, size) by name, where size is the model's `input_size`.
    until: it pauses when the target's probability exceeds this.
    presets: dictionaries with a title and any of picture, target, method and size.
    Raises ValueError for an unknown name, or an image that does not fit the model.
    """

    _esm = script("player")
    names = traitlets.List().tag(sync=True)
    methods = traitlets.Dict().tag(sync=True)
    until = traitlets.Float().tag(sync=True)
    blanks = traitlets.List(list(STARTS)).tag(sync=True)
    largest_upload = traitlets.Int(LARGEST_UPLOAD).tag(sync=True)

    def __init__(
        self,
        model: Classifier,
        picture: str = "school_bus",
        target: str | int = "ostrich",
        *,
        method: str = "unit step",
        size: float | None = None,
        pictures: Mapping[str, Tensor] | None = None,
        until: float = 0.99,
        presets: Sequence[Mapping] = PRESETS,
    ):
        instance(Classifier, model=model)
        instance(str, picture=picture, method=method)
        target = target if isinstance(target, str) else model.index(target)
        between(0, 1, until=until)
        dictionaries(presets=presets)
        if size is not None:
            positive(size=size)
        if pictures is not None:
            instance(Mapping, pictures=pictures)
        self._pictures = dict(pictures or {})
        for name, image in self._pictures.items():
            validate_images(image, name=f"pictures[{name!r}]")
            if tuple(image.shape) != (1, *model.input_shape):
                raise ValueError(
                    f"pictures[{name!r}] must have the shape {(1, *model.input_shape)}, got {tuple(image.shape)}"
                )
        shown = fingerprint(*self._pictures.values())
        given = (picture, target, method, size, tuple(self._pictures), shown, until, str(presets))
        self._keep((weakref.ref(model), *given), lambda: Kept(model=model, own_pictures={}, settings={}))
        super().__init__(
            names=names_apart(model.labels, range(len(model.labels))),
            methods={name: one._asdict() | {"rule": None, "constraint": None} for name, one in METHODS.items()},
            until=float(until),
            presets=[dict(preset) for preset in presets],
        )
        if not self._state.settings:
            self.start(picture, target, method, size)

    @property
    def frame(self) -> Frame:
        """The frame that is shown."""
        return self._state.frame

    @property
    def original(self) -> Tensor:
        """The picture at the start (1, 3, size, size)."""
        return self._state.original

    @property
    def picture_names(self) -> list[str]:
        """Every picture that can be chosen."""
        return [*self._state.own_pictures, *self._pictures, *STARTS, *PICTURES]

    def start(self, picture: str, target: str | int, method: str = "unit step", size: float | None = None) -> None:
        """Begin again with these settings, at frame 0."""
        instance(str, picture=picture, method=method)
        if not isinstance(target, str):
            target = self.model.index(target)
        if size is not None:
            positive(size=size)
        if method not in METHODS:
            raise ValueError(f"no method is called {method!r}: choose from {', '.join(METHODS)}")
        index, image = self._index(target), self._image(picture)
        size = METHODS[method].size if size is None else float(size)
        settings, state = {"picture": picture, "target": index, "method": method, "size": size}, self._state
        same = settings == state.settings and torch.equal(image, state.original)
        if same and state.frames and not state.frame.index:
            return  # perhaps with the next frame, made ahead
        frames = self._loop(settings, image, image)
        frame = next(frames)
        own = self._top(frame, 1)[0].label
        state.settings, state.original, state.frames, state.frame, state.own = settings, image, frames, frame, own

    def step(self) -> None:
        """Go forward by one frame. After an error, or an interruption, it goes on from the last frame."""
        state = self._state
        frames, state.frames = state.frames, None  # a loop that failed cannot continue
        if frames is None:
            frames = self._loop(state.settings, state.original, state.frame.image, state.frame.index)
            next(frames)  # the last frame again
        state.frame = next(frames)
        state.frames = frames

    def _loop(self, settings: Mapping, original: Tensor, image: Tensor, index: int = 0) -> Ahead:
        """The loop from an image on, which is the frame with this index."""
        rule, size = METHODS[settings["method"]], settings["size"]
        frames = optimize_pixels(
            self.model, image, toward(settings["target"]),
            step=rule.rule(size), constraint=rule.constraint and rule.constraint(original), steps=ENDLESS,
        )  # fmt: skip
        return Ahead((replace(frame, index=index + frame.index) for frame in frames) if index else frames)

    def rewind(self) -> None:
        """Go back to frame 0."""
        settings = self._state.settings
        self.start(settings["picture"], settings["target"], settings["method"], settings["size"])

    def add(self, name: str, source: bytes) -> str:
        """Add a picture from the bytes of a file, and return the name under which it can be chosen."""
        instance(str, name=name)
        instance((bytes, bytearray, memoryview), source=source)
        if len(source) > LARGEST_UPLOAD:
            size, most = len(source) / 1e6, LARGEST_UPLOAD // 10**6
            raise ValueError(f"{name} has {size:.1f} MB, but the limit is {most} MB: save a smaller copy")
        name = name[:40] if name[:40] not in (*self._pictures, *STARTS, *PICTURES) else f"my {name[:40]}"
        picture = from_file(io.BytesIO(source), f"the file {name!r}", self.model.input_size)
        self._state.own_pictures[name] = coloured_for(self.model, from_pil(picture).contiguous().to(self.model.device))
        return name

    def _image(self, name: str) -> Tensor:
        for images in (self._state.own_pictures, self._pictures):
            if name in images:
                return images[name]
        return named_image(self.model, name, STARTS, self.picture_names)

    def _index(self, target: str | int) -> int:
        return self.names.index(target) if target in self.names else self.model.index(target)

    def _top(self, frame: Frame, count: int = 5) -> list[Prediction]:
        best = self.model.best(frame.logits[0].softmax(0), count)
        return [one._replace(label=self.names[one.index]) for one in best]

    # ------------------------------------------------------------------------------------------ what the page asks

    def answer_begin(self) -> Reply:
        """The settings, and the frame with the original."""
        settings = self._state.settings | {"target": self.names[self._state.settings["target"]]}
        facts, pixels = self._shown()
        chosen = {"settings": settings, "pictures": self.picture_names, "own": self._state.own}
        return {**facts, **chosen}, [*pixels, rgb(self.original)]

    def answer_start(
        self,
        picture: str | None = None,
        target: str | int | None = None,
        method: str | None = None,
        size: float | None = None,
    ) -> Reply:
        """Begin with other settings. Those not given stay the same, but a method brings its own step size."""
        given = {"picture": picture, "target": target, "method": method, "size": size}
        before = self._state.settings | ({"size": None} if method else {})
        self.start(**before | {name: value for name, value in given.items() if value is not None})
        return self.answer_begin()

    def answer_frame(self) -> Reply:
        """The next frame."""
        self.step()
        return self._shown()

    def answer_frames(self, count: int, wait: bool = False) -> Reply:
        """The next frames, 1 to 4: several in one answer cost only one round trip to the page.

        wait: stop at the target; after that, the answer is the same frame again.
        """
        whole(1, MOST_FRAMES, count=count)
        shown = []
        while len(shown) < count and not (wait and self._probability() > self.until):
            self.step()
            shown.append(self._shown())
        facts, pixels = zip(*shown or [self._shown()], strict=True)
        return {"frames": list(facts)}, [one for (one,) in pixels]

    def look_ahead(self, facts: dict) -> None:
        """The next frame: of a new start, while it plays, and after a step."""
        told = facts.get("ask") in ("shown", "start", "frames", "saved") and "error" not in facts
        frames = self._state.frames
        if frames and told and self._probability() <= self.until:
            frames.make()

    def answer_saved(self) -> dict:
        """What the network says about the result after saving it as a PNG file, which rounds it to 8 bit."""
        top = self.model.top(round_to_8bit(self.frame.image), 1)[0]
        survives = top.index == self._state.settings["target"]
        found = {"label": self.names[top.index], "probability": top.probability}
        return {"saved": {"index": self.frame.index, "survives": survives, **found}}

    def answer_random(self) -> Reply:
        """The control: the original with random noise that has the L2 size of the change, seen as a frame."""
        size = (self.frame.image - self.original).norm().item()
        if not size:
            raise ValueError("nothing has changed yet: play first, then compare with random noise of the same size")
        noisy = self.model.clip(self.original + random_changes(self.original, size))
        return self._shown(replace(self.frame, image=noisy, seen_logits=None))

    def answer_upload(self, name: str, content: bytes) -> Reply:
        """Start with the student's own picture."""
        return self.answer_start(picture=self.add(name, content))

    def answer_address(self, address: str) -> Reply:
        """Start with the picture at a public http(s) address."""
        content = download(address.strip(), public_only=True)
        return self.answer_start(picture=self.add(address.rpartition("/")[2] or "picture", content))

    def _probability(self, frame: Frame | None = None) -> float:
        return (frame or self.frame).probability(self._state.settings["target"])

    def _shown(self, frame: Frame | None = None) -> Reply:
        frame = frame or self.frame
        facts = {
            "index": frame.index,
            "top": [one._asdict() for one in self._top(frame)],
            "probability": self._probability(frame),
            **change_sizes(frame.image - self.original),
        }
        return facts, [rgb(frame.image)]

    def twin(self) -> Figure:
        """The picture with its top five or, after the first frame, before and after."""
        if not self.frame.index:
            return top_five(self.model, self.original)
        return triptych(self.model, self.original, self.frame.image, self._state.settings["target"])
