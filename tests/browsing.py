"""A Jupyter application that serves a notebook, and a headless Chromium that opens it: what the browser tests share."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import nbformat
import pytest

APPS = ("jupyterlab", "notebook", "voila")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TOKEN = "for-this-test-only"
SECONDS = 1000  # playwright counts in milliseconds


@contextmanager
def served(folder, cells, app="jupyterlab"):
    """A running Jupyter application ("jupyterlab", "notebook" or "voila") that keeps all its files in `folder`.

    Gives the address of a notebook of these cells.
    """
    cells = [nbformat.v4.new_code_cell(source) for source in cells]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder / "work").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "work/plane.ipynb")
    places = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(folder / name) for name in ("SETTINGS", "WORKSPACES")}
    news = folder / "SETTINGS/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder / 'work'}",
        "--ServerApp.ip=127.0.0.1",
    ]
    options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
    if app == "voila":
        options = [f"--port={port}", "--no-browser", str(folder / "work/plane.ipynb")]
    with open(folder / "log.txt", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", app, *options], env={**os.environ, **places}, stdout=log, stderr=log, cwd=folder
        )
        address = f"http://127.0.0.1:{port}/"
        try:
            wait_for_server(address, server, folder / "log.txt")
            yield {
                "voila": address,
                "jupyterlab": f"{address}lab/tree/plane.ipynb?token={TOKEN}",
                "notebook": f"{address}notebooks/plane.ipynb?token={TOKEN}",
            }[app]
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for_server(address, server, log, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the server does not answer:\n{log.read_text()[-2000:]}")


@contextmanager
def chromium():
    """A headless Chromium: one that is installed, or playwright's own. Skips the test where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'"
    )
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium that starts, on the PATH or by `playwright install chromium`: {error}"[:300])
        yield browser
        browser.close()


def open_notebook(browser, address, app, cells, ready=".fool[data-answers]", size=(1280, 900), dark=False):
    """The page of a notebook whose cells have run: each of the `cells` cells shows one element that is `ready`."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light")
    page.set_default_timeout(60 * SECONDS)
    page.goto(address)
    if app != "voila":
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.wait_for_function("() => document.querySelector('[data-status=idle], .jp-NotebookKernelStatus')")
        for _ in range(cells):
            page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"document.querySelectorAll({ready!r}).length >= {cells}")
    page.set_default_timeout(10 * SECONDS)
    return page
