"""Download what is at a web address, with limits on size and time and, on request, from public addresses only."""

import ipaddress
import socket
import time
import urllib.request
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

MAX_DOWNLOAD_BYTES = 20_000_000
MAX_DOWNLOAD_SECONDS = 20
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def download(url: str, *, public_only: bool = False) -> bytes:
    """The bytes at an http or https address, at most 20 MB within 20 seconds; a ConnectionError says what failed.

    public_only: refuse addresses of this machine and of private networks, even after a redirect. What somebody types
        into a page must not give them access to what only the machine that serves the page can reach.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"an address must begin with http:// or https://, got {url!r}")
    opener = urllib.request.OpenerDirector()  # it has no handlers for file:// and ftp://, so redirects cannot use them
    over_the_wire = (
        (_PublicHTTPHandler, _PublicHTTPSHandler)  # no proxy, because it would look up the name itself
        if public_only
        else (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler)
    )
    for handler in (
        *over_the_wire,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPRedirectHandler,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers={"User-Agent": "fooling-utils (a course notebook)"})
    end = time.monotonic() + MAX_DOWNLOAD_SECONDS
    content = b""
    try:
        with opener.open(request, timeout=MAX_DOWNLOAD_SECONDS / 2) as response:
            while block := response.read1(65536):
                content += block
                if len(content) > MAX_DOWNLOAD_BYTES:
                    raise ValueError(f"{url} is larger than {MAX_DOWNLOAD_BYTES // 10**6} MB: save a smaller copy")
                if time.monotonic() > end:
                    raise TimeoutError(f"it took more than {MAX_DOWNLOAD_SECONDS} seconds")
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"{url} cannot be read ({error}): save the picture to a file and load that") from error
    return content


def is_public(address: str) -> bool:
    """Whether an IP address is public; for an address that wraps an IPv4 address, whether that one is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
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


class _PublicHTTP(HTTPConnection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._create_connection = _connect_to_public


class _PublicHTTPS(HTTPSConnection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._create_connection = _connect_to_public


class _PublicHTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(_PublicHTTP, request)


class _PublicHTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(_PublicHTTPS, request)
