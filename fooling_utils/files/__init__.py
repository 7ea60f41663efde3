"""Files: reading pictures of every kind, downloading, and writing files that are either complete or absent."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..arguments import file_path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when all of it is written; the old one stays if that fails.

    Anything but an ordinary file, such as a pipe or a device, is written to directly.
    Raises OSError, which names `path`, if nothing can be written: no folder, no permission, a full disk.
    """
    file_path(path=path)
    place = Path(os.path.realpath(path))  # so that a link stays a link
    beside = place.with_name(f".{place.name[:100]}.{secrets.token_hex(8)}")  # another one in every process
    try:
        if place.exists() and not (place.is_file() or place.is_dir()):
            with place.open("wb") as file:
                yield file
            return
        with beside.open("xb") as file:
            yield file
        if place.exists():
            shutil.copymode(place, beside)
        os.replace(beside, place)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}: nothing was written", str(path)) from error
    finally:
        beside.unlink(missing_ok=True)
