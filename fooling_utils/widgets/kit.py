"""What the widgets share: the page asks, one question at a time, and Python answers; nothing runs when nobody asks."""

import base64
import functools
import hashlib
import inspect
import io
import json
import math
import os
import reprlib
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints
from uuid import uuid4

import anywidget
import traitlets
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from torch import Tensor

from ..data.gallery import PICTURES
from ..images import round_to_8bit, save_png, to_uint8
from ..models import Classifier
from ..starts import load_image

HERE = Path(__file__).parent
VIEW = "application/vnd.jupyter.widget-view+json"
NO_TWINS = "FOOLING_NO_TWINS"  # set where every reader has a kernel, as in a lecture, since drawing twins takes seconds
EXPECTED = (ValueError, TypeError, FloatingPointError, OSError)  # their messages are for students
LARGEST = 2**53  # the whole numbers that a page has
LONGEST = 4000  # characters in a text, and things in a list, that a page sends
EQUAL_CELLS = 4  # that can be told apart where cells have no ids

Reply = tuple[dict, list[bytes]]


class Kept:
    """What a widget keeps when its cell is run again: the networks that it asks, and whatever else it needs."""

    def __init__(self, **values: object):
        self.__dict__.update(values)


class Ahead:
    """An iterator whose next item can be made before anybody asks for it, one and never more.

    An error waits for whoever asks. What was made under other settings ends with its iterator.
    """

    def __init__(self, items: Iterator):
        self._items, self._made, self._lock = items, None, Lock()  # a page may be answered while a cell runs

    def __iter__(self) -> "Ahead":
        return self

    def __next__(self) -> object:
        with self._lock:
            made, self._made = self._made, None
            item, error = made or (next(self._items), None)
        if error is not None:
            raise error
        return item

    def make(self) -> None:
        """Make the next item, unless it waits already."""
        with self._lock:
            if self._made is not None:
                return
            self._made = None, KeyboardInterrupt()  # wherever this may be interrupted
            try:
                self._made = next(self._items), None
            except BaseException as error:
                self._made = None, error


_kept: dict[Hashable, tuple[Hashable, Kept]] = {}  # the latest at each place: networks take much memory
_made: dict[Hashable, tuple[str, int]] = {}  # by cell and kind of widget: the last run, and its widgets so far
_runs: dict[str, tuple[str, int]] = {}  # by the code of a cell without an id: the last run, and its turn
tallies: dict[str, dict] = {}  # of the questions that students answer before they see the answer


def forget() -> None:
    """Forget what the widgets keep for another run of their cells: settings, tallies, pictures, networks.

    A widget that is still on a page then asks the reader to run its cell again.
    """
    _kept.clear()
    tallies.clear()


def _running_cell() -> tuple[Hashable, str, bool] | None:
    """The cell that is running, this run of it, and whether a later run can be known as the same cell's.

    It is known by its id. Where cells have none, as in Voila, equal code may be another cell, or the same one again:
    it takes turns. `None` outside a notebook.
    """
    message = getattr(get_ipython(), "get_parent", dict)()
    if message.get("header", {}).get("msg_type") != "execute_request":
        return None
    run = message["header"]["msg_id"]
    if cell := message["metadata"].get("cellId"):
        return cell, run, True
    code = message["content"]["code"]
    last_run, turn = _runs.get(code, ("", -1))
    turn = turn if run == last_run else (turn + 1) % EQUAL_CELLS
    _runs[code] = run, turn
    return (code, turn), run, False


def made_at(kind: str) -> Hashable:
    """Where a widget of this kind is being made: the same when its cell is run again, and not that of another cell."""
    cell = _running_cell()
    if cell is None:
        return object()
    where, run, _ = cell
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
    """One image (1, 3, H, W), or (1, 1, H, W) in grey, as the page draws it: three bytes per pixel, row by row."""
    levels = to_uint8(image)
    if len(levels) != 1 or levels.shape[1] not in (1, 3):
        raise ValueError(f"the page draws one image (1, 3 or 1, H, W), got {tuple(image.shape)}: use image[i : i + 1]")
    return levels[0].expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy().tobytes()


def coloured_for(model: Classifier, image: Tensor) -> Tensor:
    """An image (1, 3, H, W) on the 8-bit grid; in grey (1, 1, H, W), if the network has one channel."""
    return round_to_8bit(image.mean(1, keepdim=True)) if model.input_shape[0] == 1 else image


def fingerprint(*tensors: Tensor) -> str:
    """A short text that differs if any number in these tensors differs."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(str(tuple(tensor.shape)).encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def named_image(
    model: Classifier, name: str, starts: Mapping[str, Callable[[Classifier], Tensor]], names: Sequence[str]
) -> Tensor:
    """A picture (1, channels, size, size) that a page asks for, from `starts` or built in. ValueError lists `names`."""
    if name in starts:
        return coloured_for(model, starts[name](model))
    if name not in PICTURES:  # a name from a page must never be read as a file or an address
        raise ValueError(f"no picture is called {name!r}: choose from {', '.join(names)}")
    return coloured_for(model, load_image(name, model.input_size, device=model.device))


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


def sign(picture: bool) -> str:
    """A style that shows a widget's picture until the widget is there, and no message while it is not.

    A notebook that is opened again has the picture, and no widget until its cell runs. Jupyter would show "model not
    found": it prefers a widget, even a lost one, to a picture in the same output. So these are outputs of their own.
    """
    output, kind = ".jp-OutputArea-child", f"fool-sign-{'picture' if picture else 'alone'}"
    first = f"{output}:has(style.{kind})"
    after = f"{first} + {output}" if picture else first
    hidden = [first, f"{after} + {output}:not(:has(.fool, .fool-live))"]
    hidden += [f"{after}:has(+ {output} .fool)"] if picture else []
    return f'<style class="{kind}">{", ".join(hidden)} {{ display: none }}</style>'


def _one_output() -> bool:
    """Whether this page shows a picture in a widget's own output: Colab and VS Code do, and have no use for a style."""
    cell = _running_cell()
    return "google.colab" in sys.modules or str(cell and cell[0]).startswith("vscode-notebook-cell")


class WithTwin:
    """A mixin, placed before the widget's class: without a kernel, as on a web page, readers see a figure."""

    def twin(self) -> Figure | None:
        """The figure that they see."""
        return None

    def outputs(self) -> list[dict]:
        """What a cell shows: the figure, unless every reader has a kernel, and the widget."""
        text = {"text/plain": repr(self)[:110]}
        view = {VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.model_id}}
        if os.environ.get(NO_TWINS):
            return [text | view]
        twin = self.twin()
        picture = {}
        if twin is not None:
            file = io.BytesIO()
            # small, because a lesson has many
            twin.savefig(file, format="png", facecolor="white", dpi=75, bbox_inches="tight", pad_inches=0.05)
            picture = {"image/png": base64.b64encode(file.getvalue()).decode()}
        if _one_output():
            return [text | picture | view]
        style = {"text/html": sign(bool(picture))}
        return [style, text | picture, view] if picture else [style, text | view]

    def _ipython_display_(self, **_options: object) -> None:
        for data in self.outputs():
            display(data, raw=True)


class AskedWidget(WithTwin, anywidget.AnyWidget):
    """A widget whose page asks and whose Python answers: the method `answer_name` answers the question "name".

    An answer is a dictionary, or a dictionary and a list of bytes. Errors are answers, too: the page shows the message.
    presets: dictionaries with a "title"; the page offers them as buttons and on the number keys.
    """

    presets = traitlets.List().tag(sync=True)
    opening = traitlets.Dict().tag(sync=True)  # what its page asks first, with the answers, until it asks anything

    def __init__(self, **values: object):
        super().__init__(**values)
        self.on_msg(self._receive)

    def _ipython_display_(self, **options: object) -> None:
        self.opening = self._foreseen()
        super()._ipython_display_(**options)
        if os.environ.get(NO_TWINS):  # while a lecture is warmed, nobody waits for it
            with suppress(BaseException):
                self.look_ahead({"ask": "shown"})

    def _foreseen(self) -> dict:
        """The first questions of a page with their answers: sent along, since Python may soon be busy for minutes."""
        answers = []
        try:
            for question, values in self.first_questions():
                facts, content = _whole(self._answer({"ask": question, "with": values}, []))
                answers.append({"ask": question, "with": values, "facts": sendable(facts), "buffers": content})
        except Exception:  # the page asks again, and hears of it
            pass
        return {"id": uuid4().hex, "answers": answers}

    def first_questions(self) -> list[tuple[str, dict]]:
        """What a page asks before anybody does anything, and with which values."""
        return [("begin", {})]

    def _keep(self, key: Hashable, make: Callable[[], "Kept"]) -> None:
        """Continue with what the last run of this cell left behind, if its `key` was the same, or else with `make()`.

        In a notebook, the widget itself does not keep this alive, because Jupyter never forgets a widget.
        """
        where, cell = made_at(type(self).__name__), _running_cell()
        if cell is None:
            state = make()
            self._held = lambda: state
            return
        _, run, known = cell
        key = key if known else (key, run)
        if where not in _kept or _kept[where][0] != key:
            _kept[where] = key, make()
        self._held = weakref.ref(_kept[where][1])

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

    def set_state(self, sync_data: object) -> None:
        """Nothing: a page asks, and changes nothing by itself."""

    def _receive(self, _widget: object, question: object, buffers: object = None) -> None:
        """Give exactly one answer to every question, whatever it contains and whatever happens."""
        if self.opening:
            self.opening = {}  # what it says may not be true any more
        question = question if isinstance(question, dict) else {}
        head = {key: question[key] for key in ("id", "ask") if isinstance(question.get(key), (str, int))}
        try:
            body, content = _whole(self._answer(question, buffers or []))
            facts = sendable(head | body)
        except BaseException as error:  # nobody sees what a callback raises
            facts, content = sendable(head | {"error": words(error)}), []
        self.send(facts, content)
        with suppress(BaseException):  # there is no question that it could answer
            self.look_ahead(facts)

    def look_ahead(self, facts: dict) -> None:
        """Compute what this answer makes probable next, while it travels: little, since nobody has asked for it."""

    def _answer(self, question: dict, buffers: Sequence) -> Reply | dict | None:
        name, values = question.get("ask"), question.get("with") or {}
        method = getattr(type(self), f"answer_{name}", None) if isinstance(name, str) else None
        if method is None:
            raise _fault(f"the page asked {_shown(name)}, which has no answer")
        if not isinstance(values, dict):
            raise _fault(f"the page sent {_shown(values)} with {name}")
        contents = {f"content{k or ''}": bytes(buffer) for k, buffer in enumerate(buffers)}
        return method(self, **taken(method, name, values, contents))


def _whole(answer: Reply | dict | None) -> Reply:
    return answer if isinstance(answer, tuple) else (answer or {}, [])


# --------------------------------------------------------------------------------------------- what a page may send


@functools.cache
def _takes(method: Callable) -> dict[str, tuple[object, bool]]:
    """For each argument of an answer: its type, and whether it may be left out."""
    hints, (_, *parameters) = get_type_hints(method), inspect.signature(method).parameters.values()
    return {one.name: (hints[one.name], one.default is not one.empty) for one in parameters}


def taken(method: Callable, name: str, values: Mapping, contents: Mapping[str, bytes]) -> dict:
    """What a page sent, as the arguments of the method that answers the question `name`; its annotations say which.

    Nothing in a page's JSON is bytes, so `bytes` are a file's content, sent beside it.
    Raises ValueError for anything that the method does not take.
    """
    wanted, found = _takes(method), {**values, **contents}
    if unknown := [key for key in found if key not in wanted]:
        raise _fault(f"the page sent {_shown(unknown[0])}, which {name} does not take")
    if missing := [key for key, (_, spare) in wanted.items() if not spare and key not in found]:
        raise _fault(f"the page sent no {missing[0]} with {name}")
    return {key: _argument(wanted[key][0], key, value) for key, value in found.items()}


def _argument(kind: object, name: str, value: object) -> object:
    for one in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if _fits(one, value):
            return float(value) if one is float else value
    raise _fault(f"the page sent {_shown(value)} as {name}")


def _fits(kind: object, value: object) -> bool:
    """Whether a value from a page is of this kind: no NaN, no number or text without end, no half of a character."""
    if get_origin(kind) is not None:  # a list of one kind
        (one,) = get_args(kind)
        return isinstance(value, list) and len(value) <= LONGEST and all(_fits(one, part) for part in value)
    if kind is float:
        return _fits(int, value) or (isinstance(value, float) and math.isfinite(value))
    if kind is int:
        return type(value) is int and -LARGEST <= value <= LARGEST
    if kind is str:
        return isinstance(value, str) and len(value) <= LONGEST and _readable(value)
    return isinstance(value, {None: NoneType}.get(kind, kind))


def _readable(text: str) -> bool:
    """Whether a text can be written as UTF-8; half of a surrogate pair, as in some names of files, cannot."""
    try:
        return bool(text.encode()) or not text
    except UnicodeEncodeError:
        return False


def _shown(value: object) -> str:
    """A value in a message, short whatever it is."""
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        return "a number that is too large"
    return reprlib.repr(value)


def _fault(what: str) -> ValueError:
    return ValueError(f"{what}: reload the page, and run the cell again")


def sendable(facts: dict) -> dict:
    """Facts that every page can read. ValueError for numbers that are not finite, which are not JSON."""
    try:
        text = json.dumps(facts, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError("the answer has a number that is not finite: does the network give NaN?") from error
    return facts if _readable(text) else json.loads(text.encode(errors="replace"))


def words(error: BaseException) -> str:
    """An error as a sentence for the page."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted. Ask again to go on."
    if isinstance(error, EXPECTED) and str(error):
        text = str(error)
        return text if text.startswith("http") else text[:1].upper() + text[1:]
    return f"Something went wrong in Python: {type(error).__name__}: {error}"
