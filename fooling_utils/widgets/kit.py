"""What the widgets share: the page asks, one question at a time, and Python answers; nothing runs when nobody asks."""

import base64
import hashlib
import io
import os
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

import anywidget
import ipywidgets
import traitlets
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from torch import Tensor

from ..images import to_pil, to_uint8, validate_images
from ..models import Classifier
from ..starts import PICTURES, load_image

HERE = Path(__file__).parent
VIEW = "application/vnd.jupyter.widget-view+json"
NO_TWINS = "FOOLING_NO_TWINS"  # set where every reader has a kernel, as in a lecture: drawing them takes seconds
EXPECTED = (ValueError, TypeError, FileNotFoundError, ConnectionError)  # their messages say all that a student needs

Reply = tuple[dict, list[bytes]]


class Kept:
    """What a widget keeps when its cell is run again: the networks that it asks, and whatever else it needs."""

    def __init__(self, **values: object):
        self.__dict__.update(values)


_kept: dict[Hashable, tuple[Hashable, Kept]] = {}  # by place, the latest only: a network takes a lot of memory
_made: dict[Hashable, tuple[str, int]] = {}  # by cell and kind of widget: the last run, and how many it has made before
tallies: dict[str, dict] = {}  # of the questions that are answered before the answer is seen


def forget() -> None:
    """Let go of what the widgets keep for a second run of their cells: settings, tallies, pictures, networks.

    A widget that is still on a page asks for its cell to be run again.
    """
    _kept.clear()
    tallies.clear()


def _running_cell() -> tuple[Hashable, str] | None:
    """The cell that runs now, by its id or else by its code, and this run of it; `None` outside of a notebook."""
    message = getattr(get_ipython(), "get_parent", dict)()
    if message.get("header", {}).get("msg_type") != "execute_request":
        return None
    return message["metadata"].get("cellId") or message["content"]["code"], message["header"]["msg_id"]


def _place(kind: str) -> Hashable:
    """Where a widget of this kind is being made: the same again when its cell is run again."""
    cell = _running_cell()
    if cell is None:
        return kind
    where, run = cell
    last_run, count = _made.get((where, kind), ("", 0))
    count = count + 1 if run == last_run else 0
    _made[where, kind] = run, count
    return where, kind, count


def script(name: str) -> str:
    """The JavaScript of a widget, after the kit that all of them share."""
    return "\n".join((HERE / file).read_text(encoding="utf-8") for file in ("kit.js", f"{name}.js"))


def png(image: Tensor) -> bytes:
    """One image (1, 3, H, W) as the bytes of a PNG file."""
    file = io.BytesIO()
    to_pil(image).save(file, format="PNG")
    return file.getvalue()


def rgb(image: Tensor) -> bytes:
    """One image (1, 3, H, W) as the page draws it: three bytes per pixel, row by row, rounded to 8 bit."""
    validate_images(image)
    if len(image) != 1:
        raise ValueError(f"rgb takes one image and got {len(image)}: use image[i : i + 1]")
    return to_uint8(image)[0].permute(1, 2, 0).contiguous().cpu().numpy().tobytes()


def fingerprint(*tensors: Tensor) -> str:
    """A short text that differs where the numbers of these tensors differ."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(str(tuple(tensor.shape)).encode() + tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def named_image(
    model: Classifier, name: str, starts: Mapping[str, Callable[[Classifier], Tensor]], names: Sequence[str]
) -> Tensor:
    """A picture (1, 3, size, size) that a page asks for, one of `starts` or built-in; ValueError lists `names`."""
    if name in starts:
        return starts[name](model)
    if name not in PICTURES:  # what a page asks for must never be taken for a file or an address
        raise ValueError(f"no picture is called {name!r}: choose from {', '.join(names)}")
    return load_image(name, model.input_size, device=model.device)


def names_apart(labels: Sequence[str], indices: Sequence[int]) -> list[str]:
    """The labels, with their index behind those that several classes share."""
    count = Counter(labels)
    return [f"{label} ({i})" if count[label] > 1 else label for label, i in zip(labels, indices, strict=True)]


def change_sizes(change: Tensor) -> dict[str, float]:
    """How large a change of an image is: L2 in pixel units, RMS and the largest in grey levels.

    `distances` says more, and takes too long for every frame of a player.
    """
    return {
        "l2": change.norm().item(),
        "rms": 255 * change.square().mean().sqrt().item(),
        "largest": 255 * change.abs().max().item(),
    }


class WithTwin:
    """Mixed into a widget, before the widget's class: where no kernel runs, on a web page, a figure is seen instead."""

    def twin(self) -> Figure | None:
        """What a reader sees there."""
        return None

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict] | None:
        inherited = getattr(super(), "_repr_mimebundle_", None)  # ipywidgets 7 has none
        found = inherited(**options) if inherited else ({"text/plain": repr(self)[:110], VIEW: self._view()}, {})
        twin = self.twin() if found and not os.environ.get(NO_TWINS) else None
        if twin is None:
            return found
        file = io.BytesIO()
        # small: a lesson has many
        twin.savefig(file, format="png", facecolor="white", dpi=75, bbox_inches="tight", pad_inches=0.05)
        data, metadata = found
        return data | {"image/png": base64.b64encode(file.getvalue()).decode()}, metadata

    def _view(self) -> dict:
        return {"version_major": 2, "version_minor": 0, "model_id": self.model_id}

    if not hasattr(ipywidgets.DOMWidget, "_repr_mimebundle_"):

        def _ipython_display_(self, **options: object) -> None:
            data, metadata = self._repr_mimebundle_(**options)
            display(data, metadata=metadata, raw=True)


class AskedWidget(WithTwin, anywidget.AnyWidget):
    """A widget whose page asks and whose Python answers: question "name" is answered by the method `answer_name`.

    An answer is a dictionary, or one with a list of bytes. An error is an answer too: the page shows its message.
    presets: dictionaries with a "title"; the page offers them as buttons and on the number keys.
    """

    presets = traitlets.List().tag(sync=True)

    def __init__(self, **values: object):
        super().__init__(**values)
        self.on_msg(self._receive)

    def _keep(self, key: Hashable, make: Callable[[], "Kept"]) -> None:
        """Go on with what the last run of this cell has left if it was made with the same `key`, or with `make()`.

        On a page the widget does not keep it alive, because Jupyter never lets go of a widget.
        """
        place = _place(type(self).__name__)
        if place not in _kept or _kept[place][0] != key:
            _kept[place] = key, make()
        state = _kept[place][1]
        self._held = (lambda: state) if _running_cell() is None else weakref.ref(state)

    @property
    def _state(self) -> Kept:
        state = self._held()
        if state is None:
            raise ValueError("this widget was let go of, because its cell was run again: run the cell again")
        return state

    @property
    def model(self) -> Classifier:
        """The network that is asked."""
        return self._state.model

    def _receive(self, _widget: object, question: object, buffers: object = None) -> None:
        """Give one answer to every question, whatever is in it and whatever happens."""
        question = question if isinstance(question, dict) else {}
        head, content = {"id": question.get("id")}, []
        try:
            answer = self._answer(question, buffers or [])
            body, content = answer if isinstance(answer, tuple) else (answer, [])
        except (Exception, KeyboardInterrupt) as error:  # what is raised in a callback is seen by nobody
            body = {"error": words(error)}
        self.send({**head, **(body or {})}, content)

    def _answer(self, question: dict, buffers: list) -> Reply | dict | None:
        name = question.get("ask")
        method = getattr(self, f"answer_{name}", None) if isinstance(name, str) else None
        if method is None:
            raise ValueError(f"there is no answer to {name!r}")
        arguments = dict(question.get("with") or {})
        if buffers:
            arguments["content"] = bytes(buffers[0])
        return method(**arguments)


def words(error: BaseException) -> str:
    """An error as a sentence for the page."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, EXPECTED) and str(error):
        text = str(error)
        return text if text.startswith("http") else text[:1].upper() + text[1:]
    return f"Something went wrong in Python: {type(error).__name__}: {error}"
