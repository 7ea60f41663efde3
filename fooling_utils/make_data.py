"""Make the files of fooling_utils/data again: python -m fooling_utils.make_data, with names or all of them."""

import json
import sys
from collections.abc import Callable

import torch
from tqdm import tqdm

from . import drawings
from .class_pictures import MEASURED, WALL, draw_classes, priors, recognised
from .comparison import compare_methods
from .from_noise import climb_from_noise
from .images import round_to_8bit, save_png
from .models import load_model
from .objectives import toward
from .optimize import optimize_pixels, run_until
from .pictures import DATA, PICTURES, load_image

LESSON_2_PICTURES = ("school_bus", "robin", "cat", "coffee", "palace", "flower", "rocket")

IMAGES = DATA.parent.parent / "notebooks" / "images"


def pictures() -> None:
    """Draw the school bus and the robin (seconds)."""
    drawings.draw_school_bus().save(DATA / "school_bus.png", optimize=True)
    drawings.draw_robin().save(DATA / "robin.png", optimize=True)


def methods() -> None:
    """Every method of lesson 2 on every picture of lesson 2 (three minutes on two cores)."""
    model = load_model(device="cpu")
    rows = [
        {"picture": name} | row
        for name in tqdm(LESSON_2_PICTURES)
        for row in compare_methods(model, load_image(name, device="cpu"), "ostrich")
    ]
    (DATA / "methods.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def title() -> None:
    """The picture at the top of the README and of the lessons: the bus, the change, the ostrich (seconds)."""
    from . import figures

    model = load_model(device="cpu")
    bus = load_image("school_bus", device="cpu")
    fooled = round_to_8bit(run_until(optimize_pixels(model, bus, toward("ostrich")), "ostrich").image)
    figures.triptych(model, bus, fooled, "ostrich").savefig(IMAGES / "bus_to_ostrich.png", dpi=100)


def classes() -> None:
    """Every prior of lesson 1 on a hundred classes, as two networks see the results (15 minutes on two cores)."""
    first, second = load_model(device="cpu"), load_model("efficientnet_lite1", device="cpu")
    rows = []
    for prior in tqdm(priors(["robin"])):
        images = torch.cat(list(tqdm(draw_classes(first, MEASURED, prior), prior, leave=False)))
        rows += [{"prior": prior} | row for row in recognised(first, second, images, MEASURED)]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (DATA / "classes.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def wall() -> None:
    """The twelve large pictures of lesson 1, and the picture at its top (three minutes on two cores)."""
    from . import figures

    model = load_model(device="cpu")
    (images,) = draw_classes(model, WALL, "waves and views", size=224, steps=256, rate=0.07)
    rows = [torch.cat(list(row.split(1)), 3) for row in images.split(6)]
    save_png(torch.cat(rows, 2), DATA / "wall.png")
    figures.grid_of_images(images, WALL).savefig(IMAGES / "classes.jpg", dpi=100, pil_kwargs={"quality": 88})


def noise() -> None:
    """All 1000 classes from one noise by gradient, for lesson 3 (half an hour on two cores)."""
    import pandas as pd

    first, second = load_model(device="cpu"), load_model("efficientnet_lite1", device="cpu")
    rows = climb_from_noise(first, second, list(range(len(first.labels))))
    table = pd.DataFrame(tqdm(rows, total=len(first.labels)))
    table.convert_dtypes().to_csv(DATA / "noise.csv", index=False)


def colours() -> torch.Tensor:
    """How red, green and blue vary together in the photographs of the course: `fourier.COLOURS`, printed (seconds)."""
    photographs = [load_image(name, device="cpu") for name in PICTURES if name not in ("school_bus", "robin")]
    pixels = torch.cat([photograph.flatten(2)[0] for photograph in photographs], 1).double()
    strengths, mixtures = torch.linalg.eigh(torch.cov(pixels))
    columns = (mixtures * strengths.sqrt()).flip(1)
    columns = columns * columns[2].sign() / columns.norm(dim=0).max()
    print(columns.numpy().round(2).tolist())
    return columns


TASKS: dict[str, Callable[[], object]] = {
    "pictures": pictures,
    "methods": methods,
    "title": title,
    "classes": classes,
    "wall": wall,
    "noise": noise,
    "colours": colours,
}


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(TASKS)
    if unknown:
        sys.exit(f"there is nothing called {', '.join(sorted(unknown))} to make: choose from {', '.join(TASKS)}")
    for task in sys.argv[1:] or TASKS:
        TASKS[task]()
