"""A lecture that is served as the README says, and what it answers."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest

from browsing import HELPERS, SECONDS, TOKEN, end

websocket = pytest.importorskip("websocket", reason="websocket-client comes with Jupyter")

INSTRUCTOR = Path(__file__).resolve().parents[2] / "notebooks/INSTRUCTOR.md"
KEYS = {"Left": "ArrowLeft", "Right": "ArrowRight", "Up": "ArrowUp", "Down": "ArrowDown", "Page Up": "PageUp"}


class Served:
    """A running lecture, asked as a viewer with the token or as somebody without."""

    def __init__(self, process, address, lines):
        self.process, self.address, self.lines = process, address, lines

    def ask(self, path, token=TOKEN, method="GET", data=None):
        """The status and the text of an answer; redirections are not followed."""
        headers = {"Authorization": f"token {token}"} if token else {}
        request = urllib.request.Request(self.address + path, headers=headers, method=method, data=data)
        opener = urllib.request.build_opener(NoRedirection)
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def page(self, name="01_first.ipynb"):
        status, text = self.ask(f"voila/render/{name}")
        assert status == 200
        return text

    def kernel(self):
        return re.search(r'"kernelId": "([\w-]+)"', self.page())[1]

    def socket(self, kernel, token=TOKEN):
        address = f"{self.address.replace('http', 'ws')}api/kernels/{kernel}/channels?session_id={uuid.uuid4()}"
        header = [f"Authorization: token {token}"] if token else []
        return websocket.create_connection(address, header=header, timeout=20)


class NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def hear_ctrl_c():
    """In a new process: hear SIGINT, which a shell tells the programs in its background to ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def lecture_of(folder, *options):
    """A lecture of the pages in a folder, once every page is warm; with a token, unless the options say otherwise."""
    options = options if "--no-token" in options else ("--token", TOKEN, *options)
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": HELPERS,
    }
    command = [sys.executable, "-m", "fooling_utils.lecture", "--folder", str(folder), "--no-browser", *options]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        preexec_fn=None if sys.platform == "win32" else hear_ctrl_c,
    )  # fmt: skip
    lines = []
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    for line in process.stdout:
        lines.append(line.rstrip())
        if "pages are warm" in line:
            break
    watchdog.cancel()
    found = re.search(r"The lecture: (http://\S+/)", "\n".join(lines))
    assert found, "\n".join(lines)
    assert process.poll() is None, "\n".join(lines)
    threading.Thread(target=lambda: [lines.append(line.rstrip()) for line in process.stdout], daemon=True).start()
    try:
        yield Served(process, found[1], lines)
    finally:
        end(process)


def open_page(browser, served, name="", theme="light"):
    """A page of the lecture with its widgets, or the contents; `asked` and `broken` list its requests and errors."""
    page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=theme)
    page.asked, page.broken = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.broken.append(str(error)))
    page.set_default_timeout(180 * SECONDS)
    page.goto(f"{served.address}?token={TOKEN}")
    if name:
        page.goto(f"{served.address}voila/render/{name}")
        page.wait_for_selector("html[data-ready]")
    return page


def table(title):
    """The rows of INSTRUCTOR's table under a heading: page, scene, keys in their order; without the closing words."""
    part = INSTRUCTOR.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    found, page = [], None
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not re.match(r"\| \d", line) or cells[1] == "–":
            continue
        *name, scene = cells[1].split(" ")
        page = " ".join(name) or page
        keys = [key + more for key, more in re.findall(r"`([^`]+)`( \.\.\.)?", cells[2])]
        found.append((page, int(scene), keys))
    return found
