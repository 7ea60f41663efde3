"""The folder of static pages, built once, and a browser that sees it as `python -m http.server` serves it."""

import functools
import os
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from browsing import SECONDS, chromium
from fooling_utils.web import Missing, build


class Quiet(SimpleHTTPRequestHandler):
    """The server of `python -m http.server`, without its log."""

    def log_message(self, *_args):
        """Nothing."""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder; to build it only once while you work on it, name one that is built: FOOLING_SITE=FOLDER pytest."""
    if os.environ.get("FOOLING_SITE"):
        return Path(os.environ["FOOLING_SITE"])
    try:
        return build(tmp_path_factory.mktemp("web") / "site")
    except Missing as error:
        pytest.skip(f"the web pages cannot be built: {error}")


@pytest.fixture(scope="session")
def address(site):
    """Where it is served, with a slash at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with chromium() as one:
        yield one


@contextmanager
def watched(browser, address, seconds=60):
    """Makes new contexts of a browser by their options; any error or outside address in their pages fails the test."""
    made, faults = [], []

    def new(**options):
        context = browser.new_context(base_url=address, **options)
        context.set_default_timeout(seconds * SECONDS)
        context.on("weberror", lambda one: faults.append(str(one.error)))
        context.on("console", lambda line: line.type == "error" and faults.append(line.text))
        context.on("request", lambda one: one.url.startswith((address, "blob:", "data:")) or faults.append(one.url))
        made.append(context)
        return context

    yield new
    for context in made:
        context.close()
    assert faults == []


@pytest.fixture(scope="module")
def contexts(request, browser, address):
    """New contexts for many tests of a module, which may wait for its PATIENCE in seconds."""
    with watched(browser, address, getattr(request.module, "PATIENCE", 60)) as new:
        yield new


@pytest.fixture
def tab(browser, address):
    """A new tab on a desk."""
    with watched(browser, address) as new:
        yield new(viewport={"width": 1280, "height": 800}).new_page()
