"""The course in a browser tab, as a folder of static files: python -m fooling_utils.web OUT

Any web server can serve the folder, `python -m http.server` too. Nothing in it needs Python, or another address.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..arguments import file_path

HERE = Path(__file__).resolve().parent
MARK = "fooling-web.txt"  # in a folder that was built here, and may be built again
WHAT = "Built by python -m fooling_utils.web. Building again replaces this folder.\n"


class Missing(RuntimeError):
    """Something that the build needs is not installed. The message says how to get it."""


def libraries() -> Path:
    """The folder of the JavaScript libraries, installed by npm where they are missing."""
    folder, npm = HERE / "node_modules", shutil.which("npm")
    if (folder / ".package-lock.json").is_file():
        return folder
    if npm is None:
        raise Missing("the build needs npm, which comes with Node.js: https://nodejs.org")
    done = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, capture_output=True)
    if done.returncode:
        raise Missing(f"npm ci failed in {HERE}: {done.stderr.decode(errors='replace')[-500:]}")
    return folder


def build(out: str | Path) -> Path:
    """Write all of it into the folder `out`, and return that. What another build left there is replaced.

    Raises ValueError for a folder with other files, `Missing` without the extra "web" or npm.
    """
    file_path(out=out)
    out = Path(out).resolve()
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: name a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise ValueError(f"{out} has other files, which would be lost: name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fooling-web-", dir=out.parent) as made:
        new = Path(made) / "site"
        _write(new)
        if out.exists():
            out.rename(Path(made) / "old")
        new.rename(out)
    return out


def _write(site: Path) -> None:
    site.mkdir()
    (site / MARK).write_text(WHAT, encoding="utf-8")
    try:
        from . import book, pages

        pages.write(site, libraries())
        book.build_book(site)
    except ModuleNotFoundError as error:
        raise Missing(f'{error.name} is not installed: python -m pip install -e ".[web]"') from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the folder, and say how to open it."""
    parser = argparse.ArgumentParser(prog="python -m fooling_utils.web", description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to write; an older build in it is replaced")
    chosen = parser.parse_args(arguments)
    try:
        out = build(chosen.out)
    except (OSError, ValueError, Missing) as error:
        sys.exit(str(error))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out} is ready ({size / 1e6:.0f} MB). To see it: python -m http.server --directory {out}")
