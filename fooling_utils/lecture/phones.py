"""In the hall: the two experiments on every phone, and the QR code that leads there.

The pages for phones are files, served by a process of its own. No phone reaches the lecture's kernels.
"""

import contextlib
import hashlib
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from .. import web
from ..data.gallery import PICTURES
from ..widgets.scenes import BLANKS, SIZES

COURSE = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fooling-utils" / "web"
KEY = ".built-from"  # a hidden file, which is never served
PAGES = ("", "fool.html", "plane.html")
FOR_MACHINES_INSIDE = ("br-", "docker", "lxc", "vbox", "veth", "virbr", "vmnet", "vEthernet")
EXTRA = 'phones need the extra "web": python -m pip install -e ".[web]"'


# ------------------------------------------------------------------------------------------------------- the folder


def fingerprint() -> str:
    """Changes with every file that the pages are built from."""
    course = [path for path in COURSE.rglob("*") if not {"node_modules", "__pycache__"} & set(path.parts)]
    known = hashlib.sha256()
    for path in sorted([*course, *(COURSE.parent / "notebooks").glob("*.ipynb")]):
        if path.is_file():
            known.update(path.name.encode() + b"\0" + path.read_bytes())
    return known.hexdigest()


def site(folder: Path | None) -> Path:
    """The folder of pages: the given one, or else one that is kept and fits this course. Builds what is not there.

    Raises ValueError for a folder with something else in it, RuntimeError if the pages cannot be built.
    """
    needs_segno()
    kept, key = (CACHE, fingerprint()) if folder is None else (folder.resolve(), None)
    known = kept / KEY
    if not (kept / web.MARK).is_file() or (key and not (known.is_file() and known.read_text() == key)):
        _build(kept)
        if key:
            known.write_text(key)
    missing = [name for name in PAGES if name and not (kept / name).is_file()]
    if missing:
        raise ValueError(f"{kept} has no {missing[0]}: build it again with python -m fooling_utils.web {kept}")
    return kept


def _build(out: Path) -> None:
    print(f"Building the pages for phones in {out}. This takes about a minute, once ...", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "fooling_utils.web", str(out)]  # what it takes of memory goes with it
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"the pages for phones cannot be built: {done.stderr.strip()[-500:]}")
    print(f"Built in {time.monotonic() - began:.0f} s.", flush=True)


# ------------------------------------------------------------------------------------------------------ the address


def addresses() -> list[str]:
    """This machine's addresses in its networks, the likeliest first. Nothing is sent to find them."""
    import psutil

    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))  # sends nothing: the system says which of its addresses it would use
        found.append(one.getsockname()[0])
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    inside = sorted(psutil.net_if_addrs().items(), key=lambda item: item[0].startswith(FOR_MACHINES_INSIDE))
    found += [one.address for name, all_of in inside if name in up for one in all_of if one.family == socket.AF_INET]
    return [one for one in dict.fromkeys(found) if not (ip_address(one).is_loopback or ip_address(one).is_link_local)]


def is_whole(given: str | None) -> bool:
    """Whether this is the whole address of pages that somebody else serves."""
    return given is not None and "://" in given


def address_for(given: str | None, port: int) -> str:
    """The address that phones open, with a slash at its end.

    given: this machine's name or number in the network, or the whole address of a server elsewhere, or None to look.
    Raises ValueError for what is neither.
    """
    if is_whole(given):
        parts = urlsplit(given)
        if parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment:
            return given.rstrip("/") + "/"
    host = given or next(iter(addresses()), "127.0.0.1")
    if not host.strip("-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        return f"http://{host}:{port}/"
    raise ValueError(
        f"--phones-address must be this machine's address, such as 192.168.0.12, or a whole one, such as "
        f"https://example.org/course/, got {given!r}"
    )


def link(address: str, page: str = "", **scene: str) -> str:
    """The address of one page, with a scene's picture, target, method and size where the page knows them, too."""
    if page not in PAGES:
        raise ValueError(f"page must be one of {PAGES}, got {page!r}")
    first = next(iter(SIZES))
    usual = SIZES.get(scene.get("method", first), SIZES[first])
    known = {
        "picture": scene.get("picture") in (*BLANKS, *PICTURES),
        "target": bool(scene.get("target")),
        "method": scene.get("method") in SIZES and scene["method"] != first,
        "size": scene.get("size") not in (None, "", str(usual), f"{usual:g}"),
    }
    query = urlencode({name: scene[name] for name in known if known[name]}, quote_via=quote)
    return f"{address}{page}" + (f"?{query}" if query else "")


def doubts(given: str | None) -> list[str]:
    """What to say where the address that was found may not be the one."""
    found = addresses()
    if given:
        return []
    if not found:
        return [
            "WARNING: this machine is in no network, so no phone can open that address. Join the hall's network or a "
            "hotspot, and start again."
        ]
    others = "".join(f" --phones-address {one}" for one in found[1:4])
    return [f"If phones don't get there, start with another of this machine's addresses:{others}"] if others else []


def needs_segno() -> None:
    """Raises RuntimeError without the package that draws QR codes."""
    if find_spec("segno") is None:
        raise RuntimeError(EXTRA)


def code(text: str) -> str:
    """A QR code as SVG: black on white, whatever the theme, with the four white modules around it."""
    import segno

    drawn = io.BytesIO()
    made = segno.make(text, error="m", micro=False)
    made.save(drawn, kind="svg", xmldecl=False, border=4, dark="#000", light="#fff", omitsize=True)
    return drawn.getvalue().decode().replace("<svg ", '<svg shape-rendering="crispEdges" ', 1)


# ------------------------------------------------------------------------------------------------------- the server


@contextlib.contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    """Serve the folder to everybody in the network, until this ends, in whatever way it does."""
    command = [sys.executable, str(Path(web.__file__).parent / "serve.py"), str(folder)]
    process = subprocess.Popen(
        [*command, "--ip", "0.0.0.0", "--port", str(port), "--end-with-stdin"], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # no file beside the script hides one of Python's
    )  # fmt: skip
    try:
        if not process.stdout.readline():
            raise OSError("the server for phones did not begin, for the reason above")
        yield
    finally:
        process.terminate()
        process.communicate()
