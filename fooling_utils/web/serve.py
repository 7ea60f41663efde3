"""Serve a built folder to a hall of phones: python -m fooling_utils.web.serve OUT --ip 0.0.0.0

It sends the files that were in the folder when it began, and takes nothing. This file needs nothing else of the course:
run by its own path, it starts at once and stays small.
"""

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import os
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from tornado import gen, httpserver, iostream, netutil, web

PORT = 8080
CHUNK = 1 << 16  # bytes; a phone that is slow keeps one in memory
QUEUE = 1 << 18  # bytes that the system keeps for a phone that is slow
STALLED, IDLE = 120, 60  # seconds
CONNECTIONS = 8192
WORTH = 0.95  # what is packed to more than this part of its size is sent as it is
SECURE = {"localhost", "127.0.0.1", "[::1]", "::1"}
# Python's own table depends on the machine
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".ipynb": "application/json",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".onnx": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
PACKED_ALREADY = {".gif", ".jpg", ".png", ".woff", ".woff2", ".zip"}


class Sent(NamedTuple):
    """A file: where it is, its size and time as they were, its type, its tag, and itself as gzip if that is smaller."""

    path: Path
    stamp: tuple[int, int]
    type: str
    tag: str
    packed: bytes | None


def _stamp(path: Path) -> tuple[int, int]:
    now = path.stat()
    return now.st_size, now.st_mtime_ns


def _sent(path: Path) -> Sent:
    stamp, content = _stamp(path), path.read_bytes()
    packed = None if path.suffix in PACKED_ALREADY else gzip.compress(content, mtime=0)
    if packed and len(packed) > WORTH * len(content):
        packed = None
    kind = TYPES.get(path.suffix, "application/octet-stream")
    return Sent(path, stamp, kind, hashlib.sha256(content).hexdigest()[:32], packed)


def _paths(folder: Path) -> Iterator[Path]:
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            path = Path(place) / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def files(folder: Path) -> dict[str, Sent]:
    """What is sent for each path of an address: the files below a folder, without links and without hidden ones."""
    folder = folder.resolve()
    paths = sorted(_paths(folder))
    with ThreadPoolExecutor() as threads:
        read = zip(paths, threads.map(_sent, paths), strict=True)
        sent = {"/" + path.relative_to(folder).as_posix(): one for path, one in read}
    firsts = {path.removesuffix("index.html"): one for path, one in sent.items() if path.endswith("/index.html")}
    return sent | firsts


class File(web.RequestHandler):
    """Sends a file in small pieces, each when the one before has left."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, sent: dict[str, Sent]) -> None:
        self.sent = sent

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-cache")  # kept, and asked for again: 304 costs a line
        if self.request.host_name in SECURE:  # elsewhere, without https, browsers ignore these and complain
            self.set_header("Cross-Origin-Opener-Policy", "same-origin")  # the two let the network have threads
            self.set_header("Cross-Origin-Embedder-Policy", "require-corp")

    def compute_etag(self) -> None:
        """It is known already."""

    def write_error(self, status_code: int, **_why) -> None:
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")

    async def get(self) -> None:
        one = self.sent.get(unquote(self.request.path))
        if one is None:
            raise web.HTTPError(404)
        packed = one.packed if _takes_gzip(self.request.headers.get("Accept-Encoding", "")) else None
        self.set_header("Content-Type", one.type)
        self.set_header("Etag", f'"{one.tag}{"-gzip" if packed else ""}"')
        if one.packed:
            self.set_header("Vary", "Accept-Encoding")
        if self.check_etag_header():
            self.set_status(304)
            return
        if packed:
            self.set_header("Content-Encoding", "gzip")
            await self._send(len(packed), (packed[at : at + CHUNK] for at in range(0, len(packed), CHUNK)))
            return
        try:
            with open(one.path, "rb") as file:
                if _stamp(one.path) != one.stamp:
                    raise FileNotFoundError
                await self._send(one.stamp[0], iter(lambda: file.read(CHUNK), b""))
        except FileNotFoundError as error:
            raise web.HTTPError(503, reason="The folder was built again: start the server again") from error

    async def _send(self, size: int, pieces: Iterator[bytes]) -> None:
        self.set_header("Content-Length", size)
        if self.request.method == "HEAD":
            return
        try:
            for piece in pieces:
                self.write(piece)
                await gen.with_timeout(timedelta(seconds=STALLED), self.flush())
        except (gen.TimeoutError, iostream.StreamClosedError):
            self.request.connection.stream.close()

    head = get


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.split(","):
        name, *settings = (word.strip().lower() for word in part.split(";"))
        if name in ("gzip", "*"):
            return not any(word.startswith("q=0") and not word.strip("q=0.") for word in settings)
    return False


def _allow_connections() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = CONNECTIONS if hard == resource.RLIM_INFINITY else min(CONNECTIONS, hard)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _end_with_stdin() -> None:
    while os.read(0, CHUNK):
        pass
    os._exit(0)


async def serve(sent: dict[str, Sent], ip: str, port: int) -> None:
    """Serve files for ever. Prints the address when it can be asked for; port 0 chooses a free one."""
    sockets = netutil.bind_sockets(port, ip, family=socket.AF_UNSPEC, backlog=1024)
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE)  # whoever is let in gets the same
    application = web.Application([(r".*", File, {"sent": sent})], log_function=lambda handler: None)
    server = httpserver.HTTPServer(
        application, max_body_size=CHUNK, max_header_size=CHUNK, idle_connection_timeout=IDLE, body_timeout=IDLE
    )
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    print(f"{len(sent)} files on http://{f'[{ip}]' if ':' in ip else ip}:{port}/", flush=True)
    await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a folder until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m fooling_utils.web.serve", description=__doc__)
    parser.add_argument("folder", type=Path, help="what python -m fooling_utils.web has built")
    parser.add_argument("--ip", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other machines as well")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--end-with-stdin", action="store_true", help="end when whoever started this is gone")
    chosen = parser.parse_args(arguments)
    if not chosen.folder.is_dir():
        sys.exit(f"there is no folder {chosen.folder}: python -m fooling_utils.web {chosen.folder} builds it")
    if not 0 <= chosen.port <= 65535:
        sys.exit(f"port must be between 0 and 65535, got {chosen.port}")
    if chosen.end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    _allow_connections()
    try:
        asyncio.run(serve(files(chosen.folder), chosen.ip, chosen.port))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"cannot serve on {chosen.ip}, port {chosen.port}: {error.strerror}. Choose another with --port")


if __name__ == "__main__":
    main()
