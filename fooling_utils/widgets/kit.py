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

from ..images import save_png, to_uint8, validate_images
from ..models import Classifier
from ..starts import PICTURES, load_image

HERE = Path(__file__).parent
VIEW = "application/vnd.jupyter.widget-view+json"
NO_TWINS = "FOOLING_NO_TWINS"  # set where every reader has a kernel, as in a lecture, since drawing twins takes seconds
EXPECTED = (ValueError, TypeError, FileNotFoundError, ConnectionError)  # their messages are for students

Reply = tuple[dict, list[bytes]]


class Kept:
    """What a widget keeps when its cell is run again: the networks that it asks, and whatever else it needs."""

    def __init__(self, **values: object):
        self.__dict__.update(values)


_kept: dict[Hashable, tuple[Hashable, Kept]] = {}  # the latest at each place: networks take much memory
_made: dict[Hashable, tuple[str, int]] = {}  # by cell and kind of widget: the last run, and its widgets so far
tallies: dict[str, dict] = {}  # of the questions that students answer before they see the answer


def forget() -> None:
    """Forget what the widgets keep for another run of their cells: settings, tallies, pictures, networks.

    A widget that is still on a page then asks the reader to run its cell again.
    """
    _kept.clear()
    tallies.clear()


def _running_cell() -> tuple[Hashable, str] | None:
    """The cell that is running, by its id or else by its code, and this run of it; `None` outside a notebook."""
    message = getattr(get_ipython(), "get_parent", dict)()
    if message.get("header", {}).get("msg_type") != "execute_request":
        return None
    return message["metadata"].get("cellId") or message["content"]["code"], message["header"]["msg_id"]


def _place(kind: str) -> Hashable:
    """Where a widget of this kind is being made; the place is the same when its cell is run again."""
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
    save_png(image, file)
    return file.getvalue()


def rgb(image: Tensor) -> bytes:
    """One image (1, 3, H, W) as the page draws it: three bytes per pixel, row by row, rounded to 8 bit."""
    validate_images(image)
    if len(image) != 1:
        raise ValueError(f"rgb takes one image and got {len(image)}: use image[i : i + 1]")
    return to_uint8(image)[0].permute(1, 2, 0).contiguous().cpu().numpy().tobytes()


def fingerprint(*tensors: Tensor) -> str:
    """A short text that differs if any number in these tensors differs."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(str(tuple(tensor.shape)).encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def named_image(
    model: Classifier, name: str, starts: Mapping[str, Callable[[Classifier], Tensor]], names: Sequence[str]
) -> Tensor:
    """A picture (1, 3, size, size) that a page asks for, from `starts` or built in. ValueError lists `names`."""
    if name in starts:
        return starts[name](model)
    if name not in PICTURES:  # a name from a page must never be read as a file or an address
        raise ValueError(f"no picture is called {name!r}: choose from {', '.join(names)}")
    return load_image(name, model.input_size, device=model.device)


def names_apart(labels: Sequence[str], indices: Sequence[int]) -> list[str]:
    """The labels, followed by their index where several classes share one."""
    count = Counter(labels)
    return [f"{label} ({i})" if count[label] > 1 else label for label, i in zip(labels, indices, strict=True)]


def change_sizes(change: Tensor) -> dict[str, float]:
    """The size of a change: L2 in pixel units, RMS and largest value in grey levels.

    `distances` says more, but takes too long for every frame of a player.
    """
    return {
        "l2": change.norm().item(),
        "rms": 255 * change.square().mean().sqrt().item(),
        "largest": 255 * change.abs().max().item(),
    }


class WithTwin:
    """A mixin, placed before the widget's class: without a kernel, as on a web page, readers see a figure."""

    def twin(self) -> Figure | None:
        """The figure that they see."""
        return None

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict] | None:
        inherited = getattr(super(), "_repr_mimebundle_", None)  # ipywidgets 7 has none
        found = inherited(**options) if inherited else ({"text/plain": repr(self)[:110], VIEW: self._view()}, {})
        twin = self.twin() if found and not os.environ.get(NO_TWINS) else None
        if twin is None:
            return found
        file = io.BytesIO()
        # small, because a lesson has many
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
    """A widget whose page asks and whose Python answers: the method `answer_name` answers the question "name".

    An answer is a dictionary, or a dictionary and a list of bytes. Errors are answers, too: the page shows the message.
    presets: dictionaries with a "title"; the page offers them as buttons and on the number keys.
    """

    presets = traitlets.List().tag(sync=True)

    def __init__(self, **values: object):
        super().__init__(**values)
        self.on_msg(self._receive)

    def _keep(self, key: Hashable, make: Callable[[], "Kept"]) -> None:
        """Continue with what the last run of this cell left behind, if its `key` was the same, or else with `make()`.

        In a notebook, the widget itself does not keep this alive, because Jupyter never forgets a widget.
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
            raise ValueError("this widget was replaced or forgotten: run its cell again")
        return state

    @property
    def model(self) -> Classifier:
        """The network that is asked."""
        return self._state.model

    def _receive(self, _widget: object, question: object, buffers: object = None) -> None:
        """Give exactly one answer to every question, whatever it contains and whatever happens."""
        question = question if isinstance(question, dict) else {}
        head, content = {"id": question.get("id")}, []
        try:
            answer = self._answer(question, buffers or [])
            body, content = answer if isinstance(answer, tuple) else (answer, [])
        except (Exception, KeyboardInterrupt) as error:  # nobody sees what a callback raises
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
