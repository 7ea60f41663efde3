"""Which addresses may be opened for somebody else: those of the public internet, and no others."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fooling_utils import starts
from fooling_utils.downloads import download, is_public

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


class Here(BaseHTTPRequestHandler):
    """Answers every request, and remembers it; /away sends on to /secret."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            self.send_header("Location", "/secret")
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


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
        download(f"http://{host}:{server.server_port}/secret", public_only=True)
    assert server.asked == []


def test_a_name_that_means_this_machine_is_refused(server, monkeypatch):
    resolve_to(monkeypatch, "127.0.0.1")
    with pytest.raises(ConnectionError, match=r"harmless\.example is this machine or in a private network"):
        download(f"http://harmless.example:{server.server_port}/secret", public_only=True)
    assert server.asked == []


def test_the_address_that_was_checked_is_the_one_that_is_used(server, monkeypatch):
    # the first look gives a public address, where nobody answers; a second look would give this machine
    resolve_to(monkeypatch, "203.0.114.1", "127.0.0.1")
    monkeypatch.setattr(socket.socket, "connect", lambda _self, where: (_ for _ in ()).throw(OSError(f"tried {where}")))
    with pytest.raises(ConnectionError, match=r"tried \('203.0.114.1'"):
        download(f"http://harmless.example:{server.server_port}/secret", public_only=True)


def test_a_redirection_to_this_machine_is_refused(server, monkeypatch):
    # the server counts as public at the first connection only
    looks = iter([True])
    monkeypatch.setattr(starts, "is_public", lambda _: next(looks, False))
    with pytest.raises(ConnectionError, match="private network"):
        download(f"http://127.0.0.1:{server.server_port}/away", public_only=True)
    assert server.asked == ["/away"]


def test_a_proxy_is_not_asked_to_look_for_us(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(ConnectionError):
        download("http://localhost/secret", public_only=True)
    assert server.asked == []


def test_one_own_machine_is_allowed_in_a_notebook(server):
    assert download(f"http://127.0.0.1:{server.server_port}/away") == b"secret"
