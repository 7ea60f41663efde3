"""What is behind an address: pictures, limits, and for somebody else only the public internet."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fooling_utils import load_image
from fooling_utils.files import downloads
from fooling_utils.files.downloads import download, is_public
from pixels import as_file, colours, levels

# pictures from an address

GOOD = as_file(Image.fromarray(colours()))


class Answers(BaseHTTPRequestHandler):
    """A web server with one good picture and several bad habits."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.close_connection = True
        if self.path == "/garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            return
        if self.path == "/slow-head.png":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not self.server.finished.wait(0.01):
                self.wfile.write(b"x")
            return
        moved = {"/moved": "/good.png", "/to-a-file": Path(__file__).as_uri(), "/round": "/round"}.get(self.path)
        if self.path.startswith("/slow-moves.png"):
            self.server.finished.wait(0.06)
            moved = f"/slow-moves.png?{len(self.server.asked)}"
        status = 302 if moved else 404 if self.path == "/missing.png" else 200
        self.send_response(status)
        if moved:
            self.send_header("Location", moved)
        self.end_headers()
        if self.path == "/page":
            self.wfile.write(b"<!doctype html><html><body>a page about a picture</body></html>")
        elif self.path == "/silent.png":
            self.server.finished.wait(60)
        elif self.path == "/drip.png":
            while not self.server.finished.wait(0.01):
                self.wfile.write(b"x")
        elif status == 200:
            self.wfile.write(GOOD)

    def log_message(self, *arguments):
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up early is what some of these tests are about."""


@pytest.fixture
def server(monkeypatch):
    """A running server, its address, and what it was asked."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = QuietServer(("127.0.0.1", 0), Answers)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.finished, server.asked = threading.Event(), []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.finished.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/good.png", "/moved"])
def test_a_picture_is_read_from_an_address(server, path):
    assert np.array_equal(levels(load_image(server.address + path, 8)), colours())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing.png", "404"),
        ("/to-a-file", "302.*file:"),
        ("/round", "redirect"),
        ("/garbage", "this is not HTTP"),
        ("/with space.png", "contain control characters"),
    ],
)
def test_an_address_that_fails_says_why_and_what_to_do(server, path, reason):
    with pytest.raises(ConnectionError, match=rf"(?s){path} cannot be read \(.*{reason}.*save the picture to a file"):
        load_image(server.address + path)


def test_a_web_page_is_no_picture(server):
    with pytest.raises(
        ValueError, match=r"the content of 'http.*/page' is a web page, not a picture: take the address"
    ):
        load_image(server.address + "/page")


def test_a_download_has_a_limit_of_size(server, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", len(GOOD))
    assert load_image(server.address + "/good.png", 8).shape == (1, 3, 8, 8)
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", len(GOOD) - 1)
    with pytest.raises(ValueError, match=r"good\.png is larger than .* MB: save a smaller copy"):
        load_image(server.address + "/good.png")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/silent.png", "timed out"),
        ("/drip.png", r"more than 0\.2 seconds"),
        ("/slow-head.png", r"more than 0\.2 seconds"),
        ("/slow-moves.png", r"more than 0\.2 seconds"),
    ],
)
def test_a_download_has_a_limit_of_time(server, monkeypatch, path, reason):
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_SECONDS", 0.2)
    with pytest.raises(ConnectionError, match=rf"{path} cannot be read \(.*{reason}.*save the picture to a file"):
        load_image(server.address + path)


def test_an_address_where_nobody_answers_says_what_to_do(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(
        ConnectionError,
        match=r"http://127\.0\.0\.1:9/x\.png cannot be read \(nobody answers there\): save the picture",
    ):
        load_image("http://127.0.0.1:9/x.png")


def test_a_host_that_does_not_exist_is_said_in_words(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(ConnectionError, match=r"cannot be read \(there is no such host, or no way to the internet\)"):
        load_image("http://no-such-host.invalid/x.png")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/a.png", "data://image/png;base64,AAAA"])
def test_other_kinds_of_address_are_refused(url):
    with pytest.raises(ValueError, match=f"an address must begin with http:// or https://, got '{url}'"):
        load_image(url)


# for somebody else: the public internet alone

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses(address):
    assert is_public(address)


def resolve_to(monkeypatch, *addresses):
    """Let every name have these addresses, one after the other at each look."""
    left = list(addresses)

    def look_up(_host, port, *_, **__):
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_this_machine_is_refused_under_every_name(server, host):
    with pytest.raises(ConnectionError, match=r"private network|cannot be read"):
        download(f"http://{host}:{server.server_port}/good.png", public_only=True)
    assert server.asked == []


def test_a_name_that_means_this_machine_is_refused(server, monkeypatch):
    resolve_to(monkeypatch, "127.0.0.1")
    with pytest.raises(ConnectionError, match=r"harmless\.example is this machine or on a private network"):
        download(f"http://harmless.example:{server.server_port}/good.png", public_only=True)
    assert server.asked == []


def test_the_address_that_was_checked_is_the_one_that_is_used(server, monkeypatch):
    # the first look gives a public address, where nobody answers; a second look would give this machine
    resolve_to(monkeypatch, "203.0.114.1", "127.0.0.1")
    monkeypatch.setattr(socket.socket, "connect", lambda _self, where: (_ for _ in ()).throw(OSError(f"tried {where}")))
    with pytest.raises(ConnectionError, match=r"tried \('203.0.114.1'"):
        download(f"http://harmless.example:{server.server_port}/good.png", public_only=True)


def test_a_redirection_to_this_machine_is_refused(server, monkeypatch):
    # the server counts as public at the first connection only
    looks = iter([True])
    monkeypatch.setattr(downloads, "is_public", lambda _: next(looks, False))
    with pytest.raises(ConnectionError, match="private network"):
        download(server.address + "/moved", public_only=True)
    assert server.asked == ["/moved"]


def test_a_proxy_is_not_asked_to_look_for_us(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(ConnectionError):
        download("http://localhost/good.png", public_only=True)
    assert server.asked == []


def test_one_own_machine_is_allowed_in_a_notebook(server):
    assert download(server.address + "/moved") == GOOD
