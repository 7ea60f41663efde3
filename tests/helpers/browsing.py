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

APPS = ("jupyterlab", "notebook")  # Voila is tested as the lecture pages
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TOKEN = "for-this-test-only"
SECONDS = 1000  # playwright counts in milliseconds


@contextmanager
def served(folder, cells, app="jupyterlab"):
    """A running Jupyter application ("jupyterlab" or "notebook") that keeps all its files in `folder`.

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
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.wait_for_function("() => document.querySelector('[data-status=idle], .jp-NotebookKernelStatus')")
    for _ in range(cells):
        page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"document.querySelectorAll({ready!r}).length >= {cells}")
    page.set_default_timeout(10 * SECONDS)
    return page


# ------------------------------------------------------------------------------------------------- as in a lecture

LECTURE_THEMES = {
    "light": {"--fool-ink": "#111", "--fool-paper": "#fff", "--fool-soft": "#eee", "--fool-line": "#999"},
    "dark": {"--fool-ink": "#f2f2f2", "--fool-paper": "#111", "--fool-soft": "#2a2a2a", "--fool-line": "#777"},
}
STAGE = """([selector, values]) => {
  const page = document.documentElement;
  page.dataset.lecture = "1";
  for (const [name, value] of Object.entries(values)) page.style.setProperty(name, value);
  const one = document.querySelector(selector);
  const stage = document.createElement("div");
  stage.id = "stage";
  stage.style.cssText = "position: fixed; left: 20px; top: 60px; width: 1240px; height: 590px; z-index: 9999;"
    + "background: var(--fool-paper)";
  stage.go_back = () => {
    stage.place.append(one);
    stage.remove();
    delete page.dataset.lecture;
    for (const name of Object.keys(values)) page.style.removeProperty(name);
  };
  stage.place = one.parentElement;
  document.body.append(stage);
  stage.append(one);
}"""


@contextmanager
def lecture(page, selector, theme):
    """The first element of `selector` alone on the 1240 x 590 pixels that a lecture's page has for it."""
    size = page.viewport_size
    page.set_viewport_size({"width": 1280, "height": 720})
    values = {"--fool-size": "24px", "--fool-picture": "290px", **LECTURE_THEMES[theme]}
    page.evaluate(STAGE, [selector, values])
    page.wait_for_timeout(300)
    try:
        yield page.locator("#stage")
    finally:
        page.evaluate("document.querySelector('#stage').go_back()")
        page.set_viewport_size(size)


def fits(stage):
    """Whether nothing on the stage stands out of it, and all text has at least 24 pixels."""
    return (
        stage.evaluate("""stage => [...stage.querySelectorAll("*")].filter(one => {
      const { left, right, top, bottom, width } = one.getBoundingClientRect();
      const box = stage.getBoundingClientRect();
      const style = getComputedStyle(one);
      if (!width || !one.getClientRects().length || one.tagName === "OPTION" || style.clipPath !== "none") return false;
      if (one.closest(".ground, .plane-view") !== null && !one.matches(".ground, .plane-view")) return false; // cut off
      return left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1
        || (one.textContent && !one.children.length && parseFloat(style.fontSize) < 24);
    }).map(one => one.outerHTML.slice(0, 100))""")
        == []
    )


def contrast(one, other):
    """How strongly two colours, "rgb(r, g, b)", differ: 1 to 21. Source: WCAG 2.1."""
    dark, light = sorted(_luminance(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    values = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
