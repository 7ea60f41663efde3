"""The lecture pages, served by Voila: python -m fooling_utils.lecture

It serves a contents page and the pages in notebooks/lecture, nothing else. Code is neither shown to viewers nor
accepted from them. With --phones, it also serves the two experiments as files, to everybody in the network.
"""

import argparse
import contextlib
import html
import json
import secrets
import socket
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from ..arguments import file_path, flag, instance, several, whole

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent.parent / "notebooks" / "lecture"
TEMPLATE = HERE / "voila" / "templates" / "lecture"
PORT = 8866


class Page(NamedTuple):
    """A lecture page: its file, its lesson's name, and the title of its first scene."""

    file: str
    name: str
    title: str


def find_pages(folder: Path) -> list[Page]:
    """The pages in a folder, in the order of their names.

    Raises FileNotFoundError if there are none, for example if the package was installed without the repository.
    """
    file_path(folder=folder)
    pages = []
    for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        title = "".join(first).strip().splitlines()[0].lstrip("# ").replace("*", "")
        pages.append(Page(path.name, path.stem[3:].replace("_", " ").capitalize(), title))
    if not pages:
        raise FileNotFoundError(
            f"there are no lecture pages in {folder}: run this in the folder of the repository, or name their folder "
            "with --folder"
        )
    return pages


def contents(pages: Sequence[Page], base_url: str, phones: str = "") -> str:
    """The contents page, as HTML; with the QR code for phones, if there is an address for them."""
    several(pages=pages)
    instance(str, base_url=base_url, phones=phones)
    for page in pages:
        instance(Page, **{"each of pages": page})
    rows = "".join(
        f'<li><a href="{base_url}voila/render/{page.file}"><b>{html.escape(page.name)}</b>'
        f"<span>{html.escape(page.title)}</span></a></li>"
        for page in pages
    )
    style, narrow, script = (
        (TEMPLATE / name).read_text(encoding="utf-8") for name in ("lecture.css", "phone.css", "lecture.js")
    )
    shown = html.escape(phones.removeprefix("http://").removeprefix("https://").rstrip("/"))
    code = (
        f'<figure class="phones"><img src="{base_url}phones/code.svg" alt="QR code: the address below">'
        f"<figcaption>Fool it on your phone<b>{shown}</b></figcaption></figure>"
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Fooling networks: contents</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:;base64,="><style>{style}{narrow}</style></head>'
        f'<body class="contents"><main><h1>Fooling deep convolutional networks</h1><ol start="0">{rows}</ol>'
        "<p>Number keys open a page. In a page, ? lists the keys.</p>"
        f"{code if phones else ''}</main><script>{script}</script></body></html>"
    )


def is_loopback(ip: str) -> bool:
    """Whether an address to listen on can only be reached from this machine."""
    try:
        return ip == "localhost" or ip_address(ip).is_loopback
    except ValueError:
        return False


def token_for(token: str | None, no_token: bool) -> str:
    """The secret that a viewer needs: the given one or a new one, or none if that was explicitly requested.

    Raises ValueError for an empty token, which would silently switch the protection off.
    """
    flag(no_token=no_token)
    if token is not None:
        instance(str, token=token)
    if no_token:
        return ""
    if token is not None and not token.strip():
        raise ValueError("the token is empty: leave --token out for a random one, or use --no-token for none")
    return token or secrets.token_urlsafe(18)


def free_port(ip: str, port: int, tries: int = 20) -> int:
    """The first free port from `port` on."""
    instance(str, ip=ip)
    whole(0, 65535, port=port)
    whole(tries=tries)
    last = min(port + tries - 1, 65535)
    for candidate in range(port, last + 1):
        with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((ip, candidate))
            except PermissionError as error:
                raise OSError(f"you may not use port {candidate}: choose one above 1023 with --port") from error
            except OSError:
                continue
            except (TypeError, UnicodeError) as error:
                raise ValueError(f"ip must be an address of this computer, such as 127.0.0.1, got {ip!r}") from error
            return candidate
    raise OSError(f"all ports from {port} to {last} of {ip} are in use: choose another with --port")


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m fooling_utils.lecture", description=__doc__)
    parser.add_argument("--folder", type=Path, default=PAGES, help="where the pages are")
    parser.add_argument("--ip", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other machines as well")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument(
        "--viewers", type=int, default=1, help="warm kernels per page, so that the first visitors do not have to wait"
    )
    parser.add_argument("--idle-minutes", type=float, default=60, help="stop kernels that have been idle for this long")
    parser.add_argument("--grace", type=float, default=30, help="seconds before the kernel of a closed page is stopped")
    parser.add_argument("--token", help="the secret in the address; random unless given")
    parser.add_argument("--no-token", action="store_true", help="let in everyone who can reach this address")
    parser.add_argument(
        "--phones", nargs="?", type=Path, const=Path(), metavar="FOLDER",
        help="serve the two experiments to phones as well: what python -m fooling_utils.web has built in this folder, "
        "or builds there now; without a folder, in one that is kept",
    )  # fmt: skip
    parser.add_argument(
        "--phones-address", metavar="ADDRESS",
        help="this machine's address as phones see it, if the one found is wrong; or the whole address of the pages, "
        "if another server has them",
    )  # fmt: skip
    parser.add_argument("--phones-port", type=int, default=8080)
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the pages until Ctrl-C."""
    chosen = options(arguments)
    if find_spec("voila") is None:
        sys.exit("the lecture pages need Voila: python -m pip install -r requirements.txt -e .")
    try:
        pages = find_pages(chosen.folder.resolve())
        token, port = token_for(chosen.token, chosen.no_token), free_port(chosen.ip, chosen.port)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if not token:
        reach = "on this machine" if is_loopback(chosen.ip) else f"who can reach {chosen.ip}, and that may be many"
        print(f"WARNING: --no-token: the pages are open to everybody {reach}.", flush=True)
    host = "127.0.0.1" if chosen.ip in ("0.0.0.0", "::") else chosen.ip
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/" + (f"?token={token}" if token else "")

    from .server import serve

    def ready() -> None:
        print(f"All {len(pages)} pages are warm.", flush=True)

    with contextlib.ExitStack() as beside:
        try:
            wanted = chosen.phones is not None or chosen.phones_address
            phones = beside.enter_context(phones_for(chosen)) if wanted else ""
        except (OSError, ValueError, RuntimeError) as error:
            sys.exit(str(error))
        print(f"The lecture: {address}\nCtrl-C stops it. Warming up ...", flush=True)
        if not chosen.no_browser:
            webbrowser.open(address)
        serve(
            chosen.folder.resolve(), pages, ip=chosen.ip, port=port, token=token, viewers=chosen.viewers,
            idle_minutes=chosen.idle_minutes, grace=chosen.grace, ready=ready, phones=phones,
        )  # fmt: skip


@contextlib.contextmanager
def phones_for(chosen: argparse.Namespace) -> Iterator[str]:
    """The address for phones, whose pages are served meanwhile."""
    from . import phones

    if phones.is_whole(chosen.phones_address):
        phones.needs_segno()
        yield phones.address_for(chosen.phones_address, 0)
        return
    try:
        port = free_port("0.0.0.0", chosen.phones_port)
    except (OSError, ValueError) as error:
        raise OSError(str(error).replace("--port", "--phones-port")) from error
    address = phones.address_for(chosen.phones_address, port)
    folder = None if chosen.phones in (None, Path()) else chosen.phones
    with phones.served(phones.site(folder), port):
        print(f"For phones: {address}", flush=True)
        for line in phones.doubts(chosen.phones_address):
            print(line, flush=True)
        yield address
