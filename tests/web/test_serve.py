"""The server for phones: what it sends, what it never sends, and how little it keeps."""

import gzip
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

from fooling_utils.web import HERE
from fooling_utils.web.serve import main
from serving import server_of

LARGE = 8_000_000  # bytes
TEXT = b"<!DOCTYPE html><title>fool</title>" + b"<p>a page that packs well</p>" * 500
NOISE = np.random.default_rng(0).integers(0, 256, LARGE, dtype=np.uint8).tobytes()
FILES = {
    "index.html": (TEXT, "text/html; charset=utf-8"),
    "app/player.js": (b"export default 1;\n" * 100, "text/javascript; charset=utf-8"),
    "app/runtime/ort.mjs": (b"export default 2;\n" * 100, "text/javascript; charset=utf-8"),
    "app/runtime/ort.wasm": (b"\0asm\1\0\0\0" * 10_000, "application/wasm"),
    "app/network.onnx": (NOISE, "application/octet-stream"),
    "app/player.json": (b'{"a": 1, "a": 1, "a": 1, "a": 1, "a": 1, "a": 1}', "application/json"),
    "app/shell.css": (b"p { color: red }\n" * 100, "text/css; charset=utf-8"),
    "app/pictures/bus 1.png": (b"\x89PNG not packed again" * 100, "image/png"),
    "lessons/index.html": (b"the book" * 100, "text/html; charset=utf-8"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("served")
    folder = parent / "site"
    for name, (content, _) in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (parent / "secret.txt").write_text("private")
    (parent / "notes").mkdir()
    (parent / "notes/secret.txt").write_text("private")
    (folder / ".hidden").write_text("private")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("private")
    try:
        (folder / "link.txt").symlink_to(parent / "secret.txt")
        (folder / "linked").symlink_to(parent / "notes")
    except OSError:
        pass  # Windows lets only some people make links
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with server_of(folder) as one:
        yield one


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_its_type_and_is_the_same_packed_or_not(server, name):
    content, kind = FILES[name]
    path = "/" + name.replace(" ", "%20")
    status, headers, body = server.ask(path)
    assert (status, headers["content-type"], body == content) == (200, kind, True)
    assert headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in headers
    status, packed, body = server.ask(path, "Accept-Encoding: gzip, deflate, br")
    assert int(packed["content-length"]) == len(body) <= len(content)
    assert (gzip.decompress(body) if packed.get("content-encoding") == "gzip" else body) == content


@pytest.mark.parametrize("name", FILES)
def test_what_packs_well_is_packed_and_nothing_else(server, name):
    _, headers, _ = server.ask("/" + name.replace(" ", "%20"), "Accept-Encoding: gzip")
    assert ("content-encoding" in headers) == (not name.endswith((".onnx", ".png")))
    assert ("vary" in headers) == ("content-encoding" in headers)


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip; q=0.0, br", "identity"])
def test_a_browser_without_gzip_gets_none(server, accepted):
    _, headers, body = server.ask("/index.html", f"Accept-Encoding: {accepted}")
    assert "content-encoding" not in headers
    assert body == TEXT


@pytest.mark.parametrize("accepted", ["gzip", "GZIP", "br;q=1.0, gzip;q=0.8", "*"])
def test_a_browser_with_gzip_gets_it(server, accepted):
    assert server.ask("/index.html", f"Accept-Encoding: {accepted}")[1]["content-encoding"] == "gzip"


def test_a_reload_costs_a_line(server):
    tags = set()
    for accepted in ("identity", "gzip"):
        _, headers, _ = server.ask("/app/runtime/ort.wasm", f"Accept-Encoding: {accepted}")
        assert headers["cache-control"] == "no-cache"
        tags.add(headers["etag"])
        again = f"If-None-Match: {headers['etag']}"
        status, headers, body = server.ask("/app/runtime/ort.wasm", f"Accept-Encoding: {accepted}", again)
        assert (status, body) == (304, b"")
        assert headers["etag"] in tags
    assert len(tags) == 2
    assert server.ask("/app/runtime/ort.wasm", 'If-None-Match: "another"')[0] == 200


def test_head_tells_the_length_and_sends_nothing(server):
    status, headers, body = server.ask("/app/network.onnx", method="HEAD")
    assert (status, int(headers["content-length"]), body) == (200, LARGE, b"")


@pytest.mark.parametrize(
    ("host", "isolated"),
    [("localhost:8080", True), ("127.0.0.1:8080", True), ("192.168.0.2:8080", False), ("x", False)],
)
def test_a_tab_on_this_machine_may_have_threads(server, host, isolated):
    _, headers, _ = server.ask("/index.html", host=host)
    assert (headers.get("cross-origin-opener-policy") == "same-origin") == isolated
    assert (headers.get("cross-origin-embedder-policy") == "require-corp") == isolated


@pytest.mark.parametrize("path", ["/", "/lessons/", "/index.html?picture=noise&target=robin", "/%69ndex.html"])
def test_ways_to_name_a_page(server, path):
    assert server.ask(path)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/app", "/app/", "/app/runtime/", "/nothing", "/../secret.txt", "/app/../../secret.txt", "/%2e%2e/secret.txt",
     "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/..%5csecret.txt", "//secret.txt", "/app/../index.html",
     "/./index.html", "/.hidden", "/.git/config", "/link.txt", "/linked/secret.txt", "/linked/", "/index.html/",
     "/index.html%00.png", "/%ff%fe", "/C:/secret.txt", "/~/secret.txt", "http://elsewhere/secret.txt", "*"],
)  # fmt: skip
def test_nothing_else_is_sent(server, path):
    status, _, body = server.ask(path)
    assert status in (400, 404)
    assert b"private" not in body
    assert b"app" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "X"])
def test_it_takes_nothing(server, folder, method):
    status, headers, _ = server.ask("/index.html", "Content-Length: 3", method=method, body=b"new")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert (folder / "index.html").read_bytes() == TEXT


def test_a_large_upload_is_cut_off(server):
    with pytest.raises((OSError, ValueError, IndexError)), server.connect() as connection:
        connection.sendall(b"POST /index.html HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(bytes(1 << 16))
    assert server.ask("/index.html")[0] == 200


def test_a_phone_that_stops_reading_costs_no_file(server):
    whole = b"GET /app/network.onnx HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect() as one:  # what a phone costs that reads
        one.sendall(whole)
        received = 0
        while received < LARGE:
            received += len(one.recv(1 << 16))
    before, slow = server.memory(), []
    for _ in range(40):
        slow.append(server.connect(receive=4096))
        slow[-1].sendall(whole)
        slow[-1].recv(10)
    assert server.ask("/index.html")[0] == 200  # and the others do not wait for it
    grown = server.memory() - before
    for one in slow:
        one.close()
    assert grown < 20 * LARGE / 10, f"{grown / 1e6:.0f} MB for 40 phones, which asked for {40 * LARGE / 1e6:.0f} MB"


def test_many_ask_at_once(server):
    phones = [server.connect() for _ in range(300)]
    for phone in phones:
        phone.sendall(b"GET /app/player.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    for phone in phones:
        assert phone.recv(1 << 16).startswith(b"HTTP/1.1 200")
        phone.close()


def test_a_folder_that_was_built_again_is_not_mixed_with_the_old(folder, tmp_path):
    (tmp_path / "page.html").write_text("old")
    with server_of(tmp_path) as server:
        assert server.ask("/page.html")[2] == b"old"
        (tmp_path / "page.html").write_text("another page")
        status, _, body = server.ask("/page.html")
        assert (status, b"start the server again" in body) == (503, True)
        (tmp_path / "page.html").unlink()
        assert server.ask("/page.html")[0] == 503


def test_it_ends_when_whoever_started_it_is_gone(folder):
    with server_of(folder, "--end-with-stdin") as server:
        server.process.stdin.close()
        assert server.process.wait(20) == 0
        with pytest.raises(OSError):
            server.connect()


def test_it_is_heard_on_this_machine_only_unless_asked(folder):
    with server_of(folder) as server:
        assert re.fullmatch(r"\d+ files on http://127\.0\.0\.1:\d+/", server.line)
    with server_of(folder, "--ip", "0.0.0.0") as server:
        assert "http://0.0.0.0:" in server.line
        assert server.ask("/")[0] == 200


def test_it_is_a_module_too(folder):
    done = subprocess.run(
        [sys.executable, "-m", "fooling_utils.web.serve", "--help"], capture_output=True, text=True, check=True
    )
    assert "python -m fooling_utils.web.serve" in done.stdout


def test_it_does_not_bring_the_course_along():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(HERE / "serve.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tornado" in done.stderr
    assert not re.search(r"\b(torch|numpy|fooling_utils)\b", done.stderr)


def test_no_folder_no_port(tmp_path):
    with pytest.raises(SystemExit, match=r"there is no folder .*: python -m fooling_utils.web .* builds it"):
        main([str(tmp_path / "missing")])
    with pytest.raises(SystemExit, match="port must be between 0 and 65535, got 70000"):
        main([str(tmp_path), "--port", "70000"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit, match=f"cannot serve on 127.0.0.1, port {port}: .* Choose another with --port"):
            main([str(tmp_path), "--port", port])
