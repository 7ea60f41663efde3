"""How many students fit on a machine? python tests/benchmarks/classroom.py --students 4

Starts JupyterHub with the course's own configuration, logs in simulated students, and lets each run every cell of a
lesson, all at the same time. Needs two things that the course does not: `python -m pip install "jupyterhub>=5.3"` and
`npm install configurable-http-proxy`. Close what else is running.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
import requests
import websocket

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = ROOT / "notebooks"
CONFIG = LESSONS / "lecture/hub/jupyterhub_config.py"
PATIENCE = 1800  # seconds that a start or a cell may take, with many students on a slow machine


@dataclass
class Run:
    """One student's run: seconds until the lesson is open, seconds of each code cell, and what went wrong."""

    name: str
    start: float = 0.0
    cells: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def find_proxy(command: str) -> str:
    """The path of the proxy, or an end with advice where it or JupyterHub is missing."""
    if importlib.util.find_spec("jupyterhub") is None:
        raise SystemExit('JupyterHub is not installed: python -m pip install "jupyterhub>=5.3"')
    found = shutil.which(command)
    if not found:
        raise SystemExit(
            f"{command} is not there. JupyterHub needs it: with Node.js, `npm install configurable-http-proxy`, then "
            "--proxy-command node_modules/.bin/configurable-http-proxy"
        )
    return str(Path(found).absolute())


def free_addresses(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"http://127.0.0.1:{each.getsockname()[1]}" for each in sockets]


@contextlib.contextmanager
def running_hub(folder: Path, proxy: str, threads: int, password: str):
    """JupyterHub in the configuration's demonstration mode; gives its address and a watcher of its processes."""
    address, inner, routes = free_addresses(3)
    foreign = ("FOOLING_CLASSROOM_", "JUPYTERHUB_")  # this may itself run inside of a JupyterHub
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    settings = {"DEMO": "1", "PASSWORD": password, "PROXY": proxy, "THREADS": str(threads)}
    environment |= {f"FOOLING_CLASSROOM_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG), f"--JupyterHub.bind_url={address}"]
    command += [f"--JupyterHub.hub_bind_url={inner}", f"--ConfigurableHTTPProxy.api_url={routes}"]
    with open(folder / "hub.log", "w") as log:
        # A session of its own: Ctrl-C reaches this program only, which then ends the hub in order.
        hub = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    watcher = Watcher(hub.pid)
    try:
        wait_for_hub(f"{address}/hub/login", hub, folder / "hub.log")
        yield address, watcher
    finally:
        watcher.done.set()
        end(hub, watcher)


def wait_for_hub(url: str, hub: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and hub.poll() is None:
        time.sleep(0.3)
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
    raise SystemExit(f"JupyterHub does not answer:\n{log.read_text()[-3000:]}")


def end(hub: subprocess.Popen, watcher: "Watcher") -> None:
    """End the hub, and whatever of its servers, kernels and proxy it leaves behind."""
    with contextlib.suppress(psutil.Error):
        watcher.look()
    hub.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        hub.wait(20)
    left = [process for process in watcher.seen.values() if process.is_running()]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def memory(process: psutil.Process) -> float:
    """MiB; of what several processes share, such as the code of torch, each counts its part, where Linux says so."""
    with contextlib.suppress(OSError), open(f"/proc/{process.pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
    return process.memory_info().rss / 2**20


class Watcher:
    """Looks once a second at every process of the hub; `peaks` says whose memory, what part of it, and how much."""

    def __init__(self, pid: int):
        self.hub, self.done = psutil.Process(pid), threading.Event()
        self.seen: dict[int, psutil.Process] = {}
        self.seconds: dict[tuple[str, int], float] = {}
        self.peaks: dict[tuple[str, str], float] = defaultdict(float)

    def run(self) -> None:
        while not self.done.wait(1):
            with contextlib.suppress(psutil.Error):
                self.look()

    def look(self) -> None:
        now: dict[tuple[str, str], float] = defaultdict(float)
        for process in [self.hub, *self.hub.children(recursive=True)]:
            self.seen[process.pid] = process
            with contextlib.suppress(psutil.Error):
                who, command = process.environ().get("JUPYTERHUB_USER", "hub"), " ".join(process.cmdline())
                what = "server" if "start_student" in command or "jupyterhub.singleuser" in command else "kernel"
                size, times = memory(process), process.cpu_times()
                self.seconds[who, process.pid] = times.user + times.system
                for key in [(who, what), (who, "both"), ("hub" if who == "hub" else "students", "all")]:
                    now[key] += size
        for key, size in now.items():
            self.peaks[key] = max(self.peaks[key], size)

    def cpu(self, name: str) -> float:
        return sum(seconds for (who, _), seconds in self.seconds.items() if who == name)


class Student:
    """Does over HTTP what a student's browser does: log in, start a server, open a notebook, run its cells."""

    def __init__(self, address: str, name: str):
        self.hub, self.name = f"{address}/hub", name
        self.home = f"{address}/user/{name}"
        self.session = requests.Session()

    def ask(self, method: str, url: str, **content) -> requests.Response:
        answer = self.session.request(method, url, timeout=PATIENCE, **content)
        answer.raise_for_status()
        return answer

    def token(self, path: str) -> str:
        """What proves that a request was not forged: the hub and the student's server have one each, told by path."""
        return next(cookie.value for cookie in self.session.cookies if (cookie.name, cookie.path) == ("_xsrf", path))

    def api(self, method: str, path: str, **content) -> dict:
        headers = {"X-XSRFToken": self.token(f"/user/{self.name}/")}
        return self.ask(method, f"{self.home}/api/{path}", headers=headers, **content).json()

    def log_in(self, password: str) -> None:
        self.ask("GET", f"{self.hub}/login")
        form = {"username": self.name, "password": password, "_xsrf": self.token("/hub/")}
        self.ask("POST", f"{self.hub}/login", data=form, allow_redirects=False)

    def start_server(self) -> str:
        """Start the server, wait for it, and return the address of the page that a browser lands on."""
        self.ask("GET", f"{self.hub}/spawn")
        for _ in range(PATIENCE):
            page = self.session.get(self.home, timeout=PATIENCE)
            if page.ok and page.url.startswith(f"{self.home}/lab"):
                return page.url
            time.sleep(1)
        raise RuntimeError(f"the server did not start: {page.status_code} {page.url}")

    def sources(self, notebook: Path) -> tuple[str, list[str]]:
        """The path and the code cells of the student's own copy; a notebook from elsewhere is uploaded first."""
        if notebook.is_relative_to(LESSONS):
            path = f"fooling/{notebook.relative_to(LESSONS).as_posix()}"
        else:
            path, content = notebook.name, nbformat.read(notebook, as_version=4)
            self.api("PUT", f"contents/{path}", json={"type": "notebook", "content": content})
        cells = self.api("GET", f"contents/{path}")["content"]["cells"]
        return path, [cell["source"] for cell in cells if cell["cell_type"] == "code"]

    def open_kernel(self, path: str) -> websocket.WebSocket:
        wanted = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        url = f"{self.home}/api/kernels/{self.api('POST', 'sessions', json=wanted)['kernel']['id']}/channels"
        cookies = requests.cookies.get_cookie_header(self.session.cookies, requests.Request("GET", url).prepare())
        return websocket.create_connection(url.replace("http", "ws", 1), cookie=cookies, timeout=PATIENCE)


def execute(channel: websocket.WebSocket, source: str) -> str:
    """Run one cell to its end and return the error, or an empty text."""
    number = uuid.uuid4().hex
    header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": number, "version": "5.3"}
    content = {"code": source, "silent": False, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    channel.send(json.dumps(message))
    reply, idle = None, False
    while reply is None or not idle:
        text = channel.recv()
        if isinstance(text, bytes):
            continue  # a widget's data
        answer = json.loads(text)
        kind, content = answer["msg_type"], answer["content"]
        if answer["parent_header"].get("msg_id") == number:
            idle |= kind == "status" and content["execution_state"] == "idle"
            reply = content if kind == "execute_reply" else reply
    return "" if reply["status"] == "ok" else f"{reply.get('ename')}: {reply.get('evalue')}"


def attend(student: Student, password: str, notebook: Path, together: threading.Barrier) -> Run:
    """A student's whole visit; `together` holds everybody until the last one's kernel answers."""
    run = Run(student.name)
    try:
        begin = time.monotonic()
        student.log_in(password)
        student.start_server()
        path, sources = student.sources(notebook)
        channel = student.open_kernel(path)
        execute(channel, "")
        run.start = time.monotonic() - begin
        together.wait()
        for number, source in enumerate(sources, 1):
            begin = time.monotonic()
            error = execute(channel, source)
            run.cells.append(time.monotonic() - begin)
            run.errors += [f"code cell {number}: {error}"] if error else []
    except Exception as error:
        together.abort()
        run.errors.append(f"{type(error).__name__}: {error}")
    return run


def simulate(count: int, notebook: Path, threads: int, proxy: str) -> tuple[list[Run], Watcher]:
    """Let `count` students run a notebook at the same time, and give back their runs and what was seen of them."""
    password, together = secrets.token_hex(16), threading.Barrier(count)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pool = stack.enter_context(ThreadPoolExecutor(count + 1))  # ends after the hub, when nobody waits any more
        address, watcher = stack.enter_context(running_hub(folder, proxy, threads, password))
        pool.submit(watcher.run)
        students = [Student(address, f"student{number}") for number in range(1, count + 1)]
        visits = [pool.submit(attend, student, password, notebook.resolve(), together) for student in students]
        return [visit.result() for visit in visits], watcher


def report(runs: list[Run], watcher: Watcher, minutes: float) -> str:
    head = [
        "student",
        "until open, s",
        "lesson, s",
        "slowest cell",
        "CPU, s",
        "server, MiB",
        "kernel, MiB",
        "both, MiB",
    ]
    lines = [f"| {' | '.join(head)} | errors |", "|---|" + "---:|" * len(head)]
    for run in runs:
        slowest, number = max(((seconds, number) for number, seconds in enumerate(run.cells, 1)), default=(0.0, 0))
        row = [f"{run.start:.1f}", f"{sum(run.cells):.1f}", f"number {number}, {slowest:.1f} s"]
        row += [f"{watcher.cpu(run.name):.0f}"]
        row += [f"{watcher.peaks[run.name, what]:.0f}" for what in ("server", "kernel", "both")]
        lines.append(f"| {run.name} | {' | '.join(row)} | {len(run.errors)} |")
    lines += [f"{run.name}, {error}" for run in runs for error in run.errors]
    gib, cpu = watcher.peaks["students", "all"] / 1024, sum(watcher.cpu(run.name) for run in runs) / len(runs)
    if not cpu:
        return "\n".join([*lines, "no student's server started"])
    at_once = (
        f"{gib:.2f} GiB for {len(runs)} at the highest moment; hub and proxy {watcher.peaks['hub', 'all']:.0f} MiB"
    )
    lines += ["", f"students per GiB:  {len(runs) / gib:.2f}  ({at_once})"]
    lines += [
        f"students per core: {minutes * 60 / cpu:.1f}  ({cpu:.0f} CPU seconds each, spread over {minutes:g} minutes)"
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Students who run a lesson at the same time, under JupyterHub.")
    parser.add_argument("--students", type=int, default=4)
    parser.add_argument("--notebook", type=Path, default=LESSONS / "02_targeted_fooling.ipynb")
    parser.add_argument("--threads", type=int, default=1, help="threads for each student's computations")
    parser.add_argument("--minutes", type=float, default=60, help="in which a student works through the lesson")
    parser.add_argument("--proxy-command", default="configurable-http-proxy")
    options = parser.parse_args()
    if options.students < 1:
        parser.error(f"--students must be at least 1, not {options.students}")
    if not options.notebook.is_file():
        parser.error(f"there is no notebook {options.notebook}")
    proxy = find_proxy(options.proxy_command)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # ends the hub, as Ctrl-C does
    runs, watcher = simulate(options.students, options.notebook, options.threads, proxy)
    print(f"{len(runs)} x {options.notebook.name}, OMP_NUM_THREADS={options.threads}, {os.cpu_count()} cores\n")
    print(report(runs, watcher, options.minutes))
    sys.exit(any(run.errors for run in runs))


if __name__ == "__main__":
    main()
