"""A widget asked without a browser: what its page would send, and what it is answered."""

import json

import pytest

from fooling_utils.widgets import forget


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
        assert facts.pop("id") == "page 7"
        json.dumps(facts, allow_nan=False)
        return facts, buffers

    def error(self, question, **values):
        return self.ask(question, **values)[0]["error"]


@pytest.fixture(autouse=True)
def nothing_kept():
    """No state of an earlier test: import this where widgets are tested."""
    forget()
    yield
    forget()
