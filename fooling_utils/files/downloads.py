"""Download what is at a web address, with limits on size and time and, on request, from public addresses only."""

import ipaddress
import queue
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ..arguments import flag, instance, shown

MAX_DOWNLOAD_BYTES = 20_000_000
MAX_DOWNLOAD_SECONDS = 20
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def download(url: str, *, public_only: bool = False) -> bytes:
    """The bytes at an http or https address, at most 20 MB within 20 seconds; a ConnectionError says what failed.

    public_only: refuse addresses of this machine and of private networks, even after a redirect. What somebody types
        into a page must not give them access to what only the machine that serves the page can reach.
    """
    instance(str, url=url)
    flag(public_only=public_only)
    if _scheme(url) not in ("http", "https"):
        raise ValueError(f"an address must begin with http:// or https://, got {shown(url)}")
    end = time.monotonic() + MAX_DOWNLOAD_SECONDS
    lines: list[HTTPConnection] = []
    found: queue.Queue = queue.Queue()

    def fetch() -> None:
        try:
            found.put(_fetch(url, public_only, end, lines))
        except Exception as error:
            found.put(error)

    # The time of every step is limited, but not their number: only from outside is there one limit for all.
    threading.Thread(target=fetch, daemon=True).start()
    try:
        content = found.get(timeout=MAX_DOWNLOAD_SECONDS)
    except queue.Empty:
        content = _too_slow()
    finally:
        _hang_up(lines)
    if isinstance(content, (OSError, HTTPException, UnicodeError)):
        raise ConnectionError(
            f"{url} cannot be read ({_why(content)}): save the picture to a file and load that"
        ) from content
    if isinstance(content, Exception):
        raise content
    return content


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # such as a bracket that is not closed
        return ""


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
    if isinstance(reason, socket.gaierror):
        return "there is no such host, or no way to the internet"
    if isinstance(reason, ConnectionRefusedError):
        return "nobody answers there"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    return str(reason)


def _too_slow() -> TimeoutError:
    return TimeoutError(f"it took more than {MAX_DOWNLOAD_SECONDS} seconds")


def _hang_up(lines: list[HTTPConnection]) -> None:
    for line in lines:
        try:
            line.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):  # it was closed, or never open
            continue


def _fetch(url: str, public_only: bool, end: float, lines: list[HTTPConnection]) -> bytes:
    opener = urllib.request.OpenerDirector()  # it has no handlers for file:// and ftp://, so redirects cannot use them
    for handler in (
        *([] if public_only else [urllib.request.ProxyHandler()]),  # a proxy would look up the name itself
        _Handler(public_only, lines),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": "fooling-utils (a course notebook)"})
    content = b""
    with opener.open(request, timeout=MAX_DOWNLOAD_SECONDS / 2) as response:
        while block := response.read1(65536):
            content += block
            if len(content) > MAX_DOWNLOAD_BYTES:
                raise ValueError(f"{url} is larger than {MAX_DOWNLOAD_BYTES // 10**6} MB: save a smaller copy")
            if time.monotonic() > end:
                raise _too_slow()
    return content


def is_public(address: str) -> bool:
    """Whether an IP address is public; for an address that wraps an IPv4 address, whether that one is."""
    instance(str, address=address)
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        raise ValueError(f"address must be an IP address such as 127.0.0.1, got {shown(address)}") from None
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.teredo:
            return False
    return ip.is_global and not ip.is_multicast


def _connect_to_public(address: tuple[str, int], timeout: float, source: object = None) -> socket.socket:
    # Connect to the address that was checked: looking up the name again could give a different one.
    host, port = address
    error: OSError | None = None
    for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(where[0]):
            raise ConnectionError(f"{host} is this machine or on a private network")
        try:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(timeout)
            connection.connect(where)
            return connection
        except OSError as failure:
            connection.close()
            error = failure
    raise error or ConnectionError(f"{host} has no address")


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections and notes them in `lines`, so that they can be ended from outside."""

    def __init__(self, public_only: bool, lines: list[HTTPConnection]):
        super().__init__()
        self.public_only, self.lines = public_only, lines

    def _connection(self, kind: type[HTTPConnection]) -> Callable[..., HTTPConnection]:
        def make(host: str, **options: object) -> HTTPConnection:
            line = kind(host, **options)
            if self.public_only:
                line._create_connection = _connect_to_public
            self.lines.append(line)
            return line

        return make

    def http_open(self, request):
        return self.do_open(self._connection(HTTPConnection), request)

    def https_open(self, request):
        return self.do_open(self._connection(HTTPSConnection), request)
