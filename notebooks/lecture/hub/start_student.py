"""Start a student's JupyterLab under JupyterHub: copy the lessons into the home folder, then become the server.

This runs as the student. The hub, which may be root, never writes into a folder that a student controls.
"""

import os
import shutil
import sys
from pathlib import Path

LESSONS = Path(__file__).resolve().parents[2]
COPY = "fooling"  # the name of the lessons' folder in a student's home
LEFT_OUT = "lecture"  # slides and this folder


def copy_course(lessons: Path, target: Path) -> list[Path]:
    """Copy each file that is not yet there, and return their names; what is there belongs to the student."""
    copied = []
    for source in sorted(lessons.rglob("*")):
        name = source.relative_to(lessons)
        hidden = any(part.startswith(".") for part in name.parts)
        place = target / name
        if hidden or name.parts[0] == LEFT_OUT or not source.is_file() or os.path.lexists(place):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        half = place.with_name(f".{place.name}.half")  # where the disk is full, half a lesson must not look like one
        shutil.copyfile(source, half)
        half.rename(place)
        copied.append(name)
    return copied


def main() -> None:
    target = Path.home() / COPY
    try:
        copy_course(LESSONS, target)
    except OSError as error:  # with a full disk a student must still get in, to delete something
        print(f"the lessons could not be copied to {target}: {error}", file=sys.stderr)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub.singleuser", *sys.argv[1:]])


if __name__ == "__main__":
    main()
