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

import pytest

from browsing import HELPERS, TOKEN, end

websocket = pytest.importorskip("websocket", reason="websocket-client comes with Jupyter")


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
