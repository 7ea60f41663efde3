"""What do 300 phones cost the lecturer's laptop? python tests/benchmarks/phones.py FOLDER --phones 300

Starts the lecture's server for phones on a folder that `python -m fooling_utils.web` has built, and lets simulated
phones fetch what fool.html loads, all at the same moment, over six connections each, as browsers do. The second visit
has everything in its cache. With --stopped, so many more phones stop reading in the middle and stay there.
"""

import argparse
import asyncio
import contextlib
import gzip
import socket
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/helpers")]

from serving import server_of  # noqa: E402

CONNECTIONS = 6  # that a browser opens to one server
LARGE = ("app/runtime/ort-wasm-simd-threaded.wasm", "app/network.onnx")
BUFFER = 1 << 18
LATE = 100e6 / 8  # bytes a second, of a network of 100 Mbit/s


@dataclass
class Phone:
    """What a phone has seen: bytes, seconds until the page and until everything, the tags, and perhaps the files."""

    keep: bool = False
    bytes: int = 0
    page: float = 0.0
    whole: float = 0.0
    tags: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)


def needed(site: Path) -> list[str]:
    """What fool.html loads, in about that order."""
    app = [path for path in sorted((site / "app").iterdir()) if path.suffix in (".js", ".css", ".json")]
    names = [f"app/{path.name}" for path in app if "plane" not in path.name]
    return ["fool.html", *names, "app/pictures/school_bus.png", "app/runtime/ort.wasm.min.mjs",
            "app/runtime/ort-wasm-simd-threaded.mjs", *LARGE]  # fmt: skip


async def fetch(connection: socket.socket, name: str, phone: Phone) -> None:
    """One file over a connection that stays open."""
    loop = asyncio.get_running_loop()
    known = f"If-None-Match: {phone.tags[name]}\r\n" if name in phone.tags else ""
    asked = f"GET /{name} HTTP/1.1\r\nHost: phone\r\nAccept-Encoding: gzip, deflate\r\n{known}\r\n"
    await loop.sock_sendall(connection, asked.encode())
    head, length, received, content = b"", None, 0, []
    while length is None or received < length:
        piece = await loop.sock_recv(connection, BUFFER)
        if not piece:
            raise ConnectionError(f"the server closed the connection in {name}")
        phone.bytes += len(piece)
        if length is not None:
            received += len(piece)
        else:
            head += piece
            if b"\r\n\r\n" not in head:
                continue
            head, _, rest = head.partition(b"\r\n\r\n")
            status, *lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            if (status.split()[1]) != ("304" if known else "200"):
                raise ConnectionError(f"{name}: {status}")
            phone.tags[name] = headers["etag"]
            length, received, piece = (0 if known else int(headers["content-length"])), len(rest), rest
        if phone.keep:
            content.append(piece)
    if phone.keep:
        packed = headers.get("content-encoding") == "gzip"
        phone.files[name] = gzip.decompress(b"".join(content)) if packed else b"".join(content)


async def connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return connection


async def visit(phone: Phone, port: int, names: list[str]) -> None:
    """The page first, and then everything that it loads, each connection taking what is next."""
    began = time.perf_counter()
    waiting = list(names)

    async def one_after_another(connection: socket.socket) -> None:
        while waiting:
            await fetch(connection, waiting.pop(0), phone)

    with contextlib.ExitStack() as open_ones:
        first = open_ones.enter_context(await connect(port))
        await fetch(first, waiting.pop(0), phone)
        phone.page = time.perf_counter() - began
        more = [open_ones.enter_context(await connect(port)) for _ in range(CONNECTIONS - 1)]
        await asyncio.gather(*map(one_after_another, [first, *more]))
    phone.whole = time.perf_counter() - began


async def watch(process: psutil.Process, peak: list[int]) -> None:
    while True:
        peak.append(process.memory_info().rss)
        await asyncio.sleep(0.05)


async def visits(phones: list[Phone], port: int, names: list[str], process: psutil.Process) -> tuple[float, float]:
    """All phones at once; gives the server's most memory and its processor time, in bytes and seconds."""
    peak: list[int] = []
    watching = asyncio.create_task(watch(process, peak))
    spent = sum(process.cpu_times()[:2])
    await asyncio.gather(*(visit(phone, port, names) for phone in phones))
    watching.cancel()
    return max(peak), sum(process.cpu_times()[:2]) - spent


def stop_in_the_middle(port: int, count: int) -> list[socket.socket]:
    """Phones that ask for the network, read a little, and then nothing."""
    stopped = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(f"GET /{LARGE[1]} HTTP/1.1\r\nHost: phone\r\n\r\n".encode())
        one.recv(1000)
        stopped.append(one)
    return stopped


def tell(title: str, phones: list[Phone], before: int, peak: float, spent: float) -> None:
    def span(seconds: list[float]) -> str:
        return f"first {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s, last {max(seconds):.2f} s"

    total = sum(phone.bytes for phone in phones)
    print(f"\n{title}")
    print(f"  bytes for a phone   {total / len(phones) / 1e6:.3f} MB, together {total / 1e9:.2f} GB")
    print(f"  the page            {span([phone.page for phone in phones])}")
    print(f"  everything          {span([phone.whole for phone in phones])}")
    print(
        f"  the server          {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most, {spent:.1f} s of a processor"
    )
    print(f"  at 100 Mbit/s       the last phone has everything after {total / LATE / 60:.1f} minutes or more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what python -m fooling_utils.web has built")
    parser.add_argument("--phones", type=int, default=300)
    parser.add_argument("--stopped", type=int, default=0, help="more phones, which stop reading in the middle")
    chosen = parser.parse_args()
    with contextlib.suppress(ImportError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = needed(chosen.folder)
    phones = [Phone(keep=k == 0) for k in range(chosen.phones)]
    with server_of(chosen.folder, "--end-with-stdin") as server:
        process = psutil.Process(server.process.pid)
        print(f"{chosen.phones} phones, {len(names)} files each, {CONNECTIONS} connections each")
        before = process.memory_info().rss
        stopped = stop_in_the_middle(server.port, chosen.stopped)
        if stopped:
            print(f"{len(stopped)} more stopped reading: the server holds {process.memory_info().rss / 1e6:.0f} MB")
        for title in ("first visit", "second visit, everything in the cache"):
            peak, spent = asyncio.run(visits(phones, server.port, names, process))
            if phones[0].files:
                for name, content in phones[0].files.items():
                    assert content == (chosen.folder / name).read_bytes(), f"{name} is not what was served"
                phones[0].keep, phones[0].files = False, {}
            tell(title, phones, before, peak, spent)
            for phone in phones:
                phone.bytes = 0
        for one in stopped:
            one.close()


if __name__ == "__main__":
    main()
