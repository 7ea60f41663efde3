"""Make the files of fooling_utils/data again: python -m fooling_utils.make_data [pictures | methods | title]."""

import json
import sys
from collections.abc import Callable

from tqdm import tqdm

from . import drawings
from .comparison import compare_methods
from .images import round_to_8bit
from .models import load_model
from .objectives import toward
from .optimize import optimize_pixels, run_until
from .pictures import DATA, load_image

PHOTOGRAPHS = ("school_bus", "robin", "cat", "coffee", "palace", "flower", "rocket")


def pictures() -> None:
    """Draw the school bus and the robin (seconds)."""
    drawings.draw_school_bus().save(DATA / "school_bus.png", optimize=True)
    drawings.draw_robin().save(DATA / "robin.png", optimize=True)


def methods() -> None:
    """Every method of lesson 2 on every picture of lesson 2 (three minutes on two cores)."""
    model = load_model(device="cpu")
    rows = [
        {"picture": name} | row
        for name in tqdm(PHOTOGRAPHS)
        for row in compare_methods(model, load_image(name, device="cpu"), "ostrich")
    ]
    (DATA / "methods.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def title() -> None:
    """The picture at the top of the README and of the lessons: the bus, the change, the ostrich (seconds)."""
    from . import figures

    model = load_model(device="cpu")
    bus = load_image("school_bus", device="cpu")
    fooled = round_to_8bit(run_until(optimize_pixels(model, bus, toward("ostrich")), "ostrich").image)
    path = DATA.parent.parent / "notebooks" / "images" / "bus_to_ostrich.png"
    path.parent.mkdir(exist_ok=True)
    figures.triptych(model, bus, fooled, "ostrich").savefig(path, dpi=100)


TASKS: dict[str, Callable[[], None]] = {"pictures": pictures, "methods": methods, "title": title}


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(TASKS)
    if unknown:
        sys.exit(f"there is nothing called {', '.join(sorted(unknown))} to make: choose from {', '.join(TASKS)}")
    for task in sys.argv[1:] or TASKS:
        TASKS[task]()
