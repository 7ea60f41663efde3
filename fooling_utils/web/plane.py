"""What the plane's worker in the tab needs of Python: the canvas's traits, constants and limits, and its points."""

import json
import os
from pathlib import Path

from ..arguments import file_path
from ..networks.small import PRESETS, plane_points
from ..widgets import plane_canvas

CONSTANTS = (
    "START_PRESET", "START_EDGE", "SIZE", "EDGE", "MOST_POINTS", "RATE", "STEPS_PER_PICTURE", "PICTURE_SECONDS",
    "FOOLING_STEPS", "SURE", "DIRECTIONS", "LOOKED", "NOTHING", "NOTHING_POINTS", "NOTHING_GAP",
)  # fmt: skip


def write_plane(app: str | os.PathLike) -> None:
    """Write plane.json into the folder `app`. Points are [x, y, class], by preset and number of classes."""
    file_path(app=app)
    canvas = plane_canvas.PlaneCanvas()
    limits = {name: check.args for name, (_, check) in plane_canvas.SETTINGS.items()}
    limits["activation"] = list(*limits["activation"])
    counts = range(limits["classes"][0], limits["classes"][1] + 1)
    facts = {
        "traits": {name: getattr(canvas, name) for name in ("names", "colours", "presets")},
        "constants": {name.lower(): getattr(plane_canvas, name) for name in CONSTANTS},
        "settings": canvas.settings,
        "limits": limits,
        "presets": {
            name: {classes: _points(name, classes) if name in PRESETS else [] for classes in counts}
            for name in plane_canvas.ALL_PRESETS
        },
    }
    (Path(app) / "plane.json").write_text(json.dumps(facts), encoding="utf-8")


def _points(preset: str, classes: int) -> list[list[float]]:
    """With as few digits as tell one float32 from the next."""
    places, labels = plane_points(preset, classes=classes)
    shortest = [[float(str(value)) for value in place] for place in places.numpy()]
    return [[*place, label] for place, label in zip(shortest, labels.tolist(), strict=True)]
