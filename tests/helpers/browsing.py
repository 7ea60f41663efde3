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
from pathlib import Path

import nbformat
import pytest

APPS = ("jupyterlab", "notebook")  # Voila is tested as the lecture pages
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = "no browser to test in"  # begins the reason of each test that is skipped for it
TOKEN = "for-this-test-only"
SHOTS = os.environ.get("FOOLING_SHOTS")  # a folder for pictures of what the tests look at
SECONDS = 1000  # playwright counts in milliseconds
# without a kernel, as at first, a notebook's status is idle, too
KERNEL_IS_THERE = """() => document.querySelector("[data-status=idle]")
  && document.querySelector(".jp-Toolbar-kernelName")?.textContent !== "No Kernel"
"""
HELPERS = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))


def write_notebook(path, cells):
    """A notebook that has not run: a cell that begins with "# " is text, and any other is code."""
    kinds = {True: nbformat.v4.new_markdown_cell, False: nbformat.v4.new_code_cell}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=[kinds[cell.startswith("# ")](cell) for cell in cells], metadata={"kernelspec": kernel}
    )
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)


def write_notebooks(folder, cells):
    """Several of them, by the name of their file; returns the folder."""
    for name, its_cells in cells.items():
        write_notebook(folder / name, its_cells)
    return folder


def end(process, seconds=20):
    """Ask a process to stop, and stop it."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()


def keep_shot(seen, name):
    """A picture of a page, or of a part of it, where somebody asks for pictures."""
    if SHOTS:
        seen.screenshot(path=Path(SHOTS) / f"{name}.png")


@contextmanager
def served(folder, cells, app="jupyterlab"):
    """A running Jupyter application ("jupyterlab" or "notebook") that keeps all its files in `folder`.

    Gives the address of a notebook of these cells; without cells, of the one that is there already.
    """
    if cells:
        write_notebook(folder / "work/plane.ipynb", cells)
    places = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(folder / name) for name in ("SETTINGS", "WORKSPACES")}
    places["PYTHONPATH"] = HELPERS
    settings = folder / "SETTINGS/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    for name, values in {
        "notification": {"fetchNews": "false", "checkForUpdates": False},
        "themes": {"adaptive-theme": True},  # dark where the reader's system is
    }.items():
        (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder / 'work'}",
        "--ServerApp.ip=127.0.0.1",
    ]
    options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
    with open(folder / "log.txt", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", app, *options], env={**os.environ, **places}, stdout=log, stderr=log, cwd=folder
        )
        address = f"http://127.0.0.1:{port}/"
        try:
            wait_for_server(address, server, folder / "log.txt")
            yield {
                "jupyterlab": f"{address}lab/tree/plane.ipynb?token={TOKEN}",
                "notebook": f"{address}notebooks/plane.ipynb?token={TOKEN}",
            }[app]
        finally:
            end(server)


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
    playwright = pytest.importorskip("playwright.sync_api", reason=f"{NO_BROWSER}: playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"{NO_BROWSER}: no Chromium that starts: {error}"[:300])
        yield browser
        browser.close()


def open_notebook(browser, address, cells, ready=".fool:is([data-drawn], [data-begun])"):
    """The page of a notebook whose first `cells` cells have run: each shows one element that is `ready`."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60 * SECONDS)
    page.goto(address)
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.wait_for_function(KERNEL_IS_THERE)
    for _ in range(cells):
        page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"document.querySelectorAll({ready!r}).length >= {cells}")
    page.set_default_timeout(10 * SECONDS)
    return page
