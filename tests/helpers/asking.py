"""A widget asked without a browser: what its page would send, and what it is answered."""

import base64
import io
import itertools
import json

import numpy as np
import pytest
from PIL import Image

from fooling_utils.widgets import forget, kit
from pixels import levels


class Page:
    """Asks a widget as its page does, and takes its answers."""

    def __init__(self, widget):
        self.widget, self.answers = widget, []
        widget.send = lambda content, buffers=None: self.answers.append((content, buffers))

    def ask(self, question, content=None, **values):
        """The one answer to a question: its facts, which must be JSON, and its buffers. content: bytes sent along."""
        sent = [memoryview(content)] if content is not None else []
        self.widget._receive(self.widget, {"id": "page 7", "ask": question, "with": values}, sent)
        ((facts, buffers),) = self.answers
        self.answers.clear()
        assert (facts.pop("id"), facts.pop("ask", None)) == ("page 7", question if isinstance(question, str) else None)
        json.dumps(facts, allow_nan=False, ensure_ascii=False).encode()
        return facts, buffers

    def error(self, question, **values):
        return self.ask(question, **values)[0]["error"]


def sent(image):
    """What a page is sent of an image: three bytes per pixel, row by row."""
    return levels(image.expand(-1, 3, -1, -1)).tobytes()


def twin(widget):
    """The picture (H, W, 3) of a widget that a reader without a kernel sees."""
    style, picture, view = widget.outputs()
    assert [*style, *view] == ["text/html", "application/vnd.jupyter.widget-view+json"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["image/png"]))).convert("RGB"))


@pytest.fixture
def cell(monkeypatch):
    """Says which cell of a notebook runs from now on, by its id, and that it runs once more."""
    runs = itertools.count()

    def run(name="cell"):
        running = name, f"run {next(runs)}", True
        monkeypatch.setattr(kit, "_running_cell", lambda: running)

    return run


@pytest.fixture(autouse=True)
def nothing_kept():
    """No state of an earlier test."""
    forget()
    yield
    forget()
