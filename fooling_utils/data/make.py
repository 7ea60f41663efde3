"""Make the stored files again: python -m fooling_utils.data.make [NAME ...] (default: all); --list shows the names."""

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..attacks.universal import add_to_all, lay_on_all
from ..constraints import linf_ball
from ..defences import smoothing, transforms
from ..defences.robustness import nearest_errors
from ..evolution.evolve import direct, evolve, load_archive
from ..evolution.painters import cppn, cppn_decode, cppn_weights, layered_genome
from ..images import grey_levels, round_to_8bit, save_png, through_jpeg
from ..lessons import lesson4, lesson5, lesson6
from ..lessons.lesson1 import MEASURED, TWELVE, draw_classes, priors
from ..lessons.lesson3 import climb_from_noise, compare_painters, first_passes, robins
from ..lessons.shared import STRIPS, recognised
from ..models import load_model
from ..networks import small
from ..objectives import toward
from ..optimize import last, optimize_pixels, run_until
from ..regions import on_plane, region_map
from ..starts import PHOTOGRAPHS, blank, load_image, uniform_noise
from ..steps import adam_step, unit_step
from . import FOLDER, drawings

LESSON_2_PICTURES = ("school_bus", "robin", "cat", "coffee", "palace", "flower", "rocket")

CHAMPIONS = FOLDER / "champions.npz"
CHAMPIONS_CURVE = FOLDER / "champions_curve.csv"
CHAMPION_EVALUATIONS = 1_000_000
FROM_NOISE = ("robin", "cheetah", "armadillo", "ostrich", "school bus", "peacock")
BY_PAINTERS = ("king penguin", "peacock", "spider web", "digital clock", "coil", "zebra")
IMAGES = FOLDER.parent.parent / "notebooks" / "images"


def _write_rows(path: Path, rows: list[dict]) -> None:
    """Store a table as JSON, one row per line."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def pictures() -> None:
    """Draw the school bus and the robin (seconds)."""
    drawings.draw_school_bus().save(FOLDER / "school_bus.png", optimize=True)
    drawings.draw_robin().save(FOLDER / "robin.png", optimize=True)


def smallest() -> None:
    """Every method of lesson 6 on seven pictures (five minutes)."""
    model = load_model(device="cpu")
    rows = [
        {"picture": name} | row
        for name in tqdm(LESSON_2_PICTURES)
        for row in lesson6.compare_methods(model, load_image(name, device="cpu"), "ostrich")
    ]
    _write_rows(FOLDER / "smallest.json", rows)


def title() -> None:
    """The picture at the top of the README and of the lessons: the bus, the change, the ostrich (seconds)."""
    from .. import figures

    model = load_model(device="cpu")
    bus = load_image("school_bus", device="cpu")
    fooled = round_to_8bit(run_until(optimize_pixels(model, bus, toward("ostrich")), "ostrich").image)
    figures.triptych(model, bus, fooled, "ostrich").savefig(IMAGES / "bus_to_ostrich.png", dpi=100)


def classes() -> None:
    """Every prior of lesson 1 on a hundred classes, judged by two networks (a quarter of an hour)."""
    first, second = load_model(device="cpu"), load_model("efficientnet_lite1", device="cpu")
    rows = []
    for prior in tqdm(priors(["robin"])):
        images = torch.cat(list(tqdm(draw_classes(first, MEASURED, prior), prior, leave=False)))
        rows += [{"prior": prior} | row for row in recognised(first, second, images, MEASURED)]
    _write_rows(FOLDER / "classes.json", rows)


def twelve() -> None:
    """The twelve large pictures of lesson 1, and the picture at its top (three minutes)."""
    from .. import figures

    model = load_model(device="cpu")
    (images,) = draw_classes(model, TWELVE, "waves and views", size=224, steps=256, rate=0.07)
    rows = [torch.cat(list(row.split(1)), 3) for row in images.split(6)]
    save_png(torch.cat(rows, 2), FOLDER / "twelve.png")
    figures.grid_of_images(images, TWELVE).savefig(IMAGES / "classes.jpg", dpi=100, pil_kwargs={"quality": 88})


def strips() -> None:
    """The robins of lessons 1 and 3 from a full prior to none, for their lecture pages (half a minute)."""
    model = load_model(device="cpu")
    ways = {name: {**choices, "steps": 96} for name, choices in priors(["robin"]).items()}
    for lesson, names in STRIPS.items():
        if lesson == "lesson 1":
            images = [last(optimize_pixels(model, **ways[name])).image for name in names]
        else:
            images = list(robins(model).values())
        save_png(torch.cat(images, 3), FOLDER / f"robins {lesson}.png".replace(" ", "_"))


def noise() -> None:
    """All 1000 classes from one noise by gradient, for lesson 3 (half an hour)."""
    import pandas as pd

    first, second = load_model(device="cpu"), load_model("efficientnet_lite1", device="cpu")
    rows = climb_from_noise(first, second, list(range(len(first.labels))))
    table = pd.DataFrame(tqdm(rows, total=len(first.labels)))
    table.convert_dtypes().to_csv(FOLDER / "noise.csv", index=False)


def champions() -> None:
    """The long evolution of painters: it goes on where it stopped, or begins from nothing, and saves often.

    Its curve is the run "wall". The stored wall is two runs of earlier rules, "first" and "second", joined; lesson 3,
    section 13, says what these were.
    """
    archive = load_archive(CHAMPIONS) if CHAMPIONS.exists() else None
    left = CHAMPION_EVALUATIONS - (archive.evaluations if archive else 0)
    if left <= 0:
        return
    generations = math.ceil(left / 16)
    archives = evolve(load_model(device="cpu"), cppn(), generations=generations, archive=archive)
    for archive in tqdm(archives, total=generations):
        if archive.evaluations % 4000 == 0 or archive.evaluations >= CHAMPION_EVALUATIONS:
            archive.save(CHAMPIONS)
            confidence = archive.confidence
            reached = [round(confidence.median().item(), 4), round(confidence.mean().item(), 4)]
            reached += [(confidence >= share).sum().item() for share in (0.5, 0.9, 0.99)]
            with CHAMPIONS_CURVE.open("a", encoding="utf-8") as file:
                print("wall", archive.evaluations, *reached, sep=",", file=file)


def direct_pixels() -> None:
    """The direct encoding on the course's network, for lesson 3 (two minutes)."""
    model = load_model(device="cpu")
    begin = time.perf_counter()
    archive = last(tqdm(evolve(model, direct(), generations=625), total=625))
    confidence, seconds = archive.confidence, time.perf_counter() - begin
    summary = {
        "evaluations": archive.evaluations,
        "seconds": round(seconds),
        "median": round(confidence.median().item(), 4),
        "highest": round(confidence.max().item(), 4),
        "over 50 %": (confidence > 0.5).sum().item(),
    }
    (FOLDER / "direct.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def painted() -> None:
    """Every twentieth class by gradient through the weights of a painting network, for lesson 3 (ten minutes)."""
    import pandas as pd

    first, second = load_model(device="cpu"), load_model("efficientnet_lite1", device="cpu")
    rows = []
    for label in tqdm(MEASURED[::2]):
        genome = layered_genome(seed=label)
        frames = optimize_pixels(
            first, cppn_weights(genome), toward(label), decode=cppn_decode(genome), step=adam_step(0.05), steps=100
        )
        ((passes,), image) = first_passes(frames, [label])
        (verdict,) = recognised(first, second, round_to_8bit(image), [label])
        rows.append({"label": verdict["label"], **passes, **verdict})
    pd.DataFrame(rows).convert_dtypes().to_csv(FOLDER / "painted.csv", index=False)


def painters() -> None:
    """Painters with and without selection, three seeds each, for lesson 3 (six minutes)."""
    import pandas as pd

    rows = tqdm(compare_painters(load_model(device="cpu"), cppn()), total=72)
    pd.DataFrame(rows).to_csv(FOLDER / "painters.csv", index=False)


def nothing() -> None:
    """The picture at the top of lesson 3: noise by gradient, and champions of the long evolution (a minute)."""
    from .. import figures

    model = load_model(device="cpu")
    start = uniform_noise(device="cpu").repeat(len(FROM_NOISE), 1, 1, 1)
    frames = optimize_pixels(model, start, toward(FROM_NOISE), step=unit_step(1.0), steps=60)
    noise_images = run_until(frames, FROM_NOISE, 0.9999).image
    painted_images = cppn().render(load_archive(CHAMPIONS).champions(BY_PAINTERS))
    images = round_to_8bit(torch.cat([noise_images, painted_images]))
    labels = [*FROM_NOISE, *BY_PAINTERS]
    shown = model.probabilities(images)[range(12), [model.index(label) for label in labels]].tolist()
    # never rounded up: 99.96 % is not 100 %
    titles = [f"{label}\n{math.floor(1000 * p) / 10:.1f} %" for label, p in zip(labels, shown, strict=True)]
    figure = figures.grid_of_images(images, titles)
    figure.savefig(IMAGES / "nothing.jpg", dpi=100, pil_kwargs={"quality": 88})


def maps() -> None:
    """A fooled bus, and the three planes of lesson 4, 96 x 96 images each (eight minutes)."""
    model = load_model(device="cpu")
    bus = load_image("school_bus", device="cpu")
    save_png(run_until(optimize_pixels(model, bus, toward("ostrich")), "ostrich").image, FOLDER / "fooled_bus.png")
    found = {}
    for name, survey in tqdm(lesson4.planes(model).items()):
        found[name] = region_map(on_plane(model, survey.plane), survey.extent, 96)
    lesson4.save_maps(found)


def lines() -> None:
    """Straight lines through the space of images, 100 of each kind with 200 places each (twelve minutes)."""
    model = load_model(device="cpu")
    arrays = {}
    for kind in lesson4.LINE_KINDS:
        ends = lesson4.line_ends(kind, 100)
        found = [lesson4.along_line(model, *(end[i : i + 1] for end in ends), 200) for i in tqdm(range(100), kind)]
        labels, confidence = (torch.stack(part).numpy() for part in zip(*found, strict=True))
        arrays |= {f"{kind}/labels": labels.astype("uint16"), f"{kind}/confidence": confidence.astype("float16")}
    np.savez_compressed(FOLDER / "lines.npz", **arrays)


def space() -> None:
    """The picture at the top of lesson 4, from the stored map around the bus (seconds)."""
    from .. import figures

    model = load_model(device="cpu")
    survey = lesson4.planes(model)["around the bus"]
    figure = figures.region_maps(
        {"a cut through 150 528 dimensions": lesson4.stored_maps()["around the bus"]},
        model.labels,
        marks=survey.marks,
        images=survey.images,
        unit=grey_levels(survey.plane.origin),
        axis_labels=("towards the fooled bus: grey levels (RMS)", "at random: grey levels"),
    )
    figure.savefig(IMAGES / "space.jpg", dpi=100, pil_kwargs={"quality": 88})


def colours() -> torch.Tensor:
    """How red, green and blue vary together in the photographs of the course: `fourier.COLOURS`, printed (seconds)."""
    photographs = [load_image(name, device="cpu") for name in PHOTOGRAPHS]
    pixels = torch.cat([photograph.flatten(2)[0] for photograph in photographs], 1).double()
    strengths, mixtures = torch.linalg.eigh(torch.cov(pixels))
    columns = (mixtures * strengths.sqrt()).flip(1)
    columns = columns * columns[2].sign() / columns.norm(dim=0).max()
    print(columns.numpy().round(2).tolist())
    return columns


def robust() -> None:
    """Lesson 5's four trainings on digits, with three seeds each, and the network that is loaded (three minutes)."""
    data, rows = small.digits(), []
    for training in tqdm(lesson5.TRAININGS):
        for seed in range(3):
            model = lesson5.trained_digits(data, training, seed=seed)
            if training.startswith("attacked") and seed == 0:
                small.save_weights(model.net, FOLDER / "robust_digits.npz")
            far = nearest_errors(model, data.test_images, data.test_labels, targets=0)
            left = {
                f"{radius:g}": round((far > radius).double().mean().item(), 4) for radius in (0, 0.25, 0.5, 0.75, 1)
            }
            rows.append({"training": training, "seed": seed} | left)
    _write_rows(FOLDER / "trainings.json", rows)


def moons() -> None:
    """Lesson 5's networks in the plane, trained in three ways with eight seeds each (two minutes)."""
    rows = []
    for seed in tqdm(range(8)):
        points, fresh = lesson5.blurred_moons(60, seed=10 * seed), lesson5.blurred_moons(100, seed=10 * seed + 1)
        for training in lesson5.MOON_TRAININGS:
            model = lesson5.trained_on_moons(points, training, seed=seed)
            far = nearest_errors(model, *fresh, targets=0, steps=25)
            left = {f"{radius:g}": round((far > radius).double().mean().item(), 4) for radius in (0, 0.05, 0.1)}
            rows.append({"training": training, "seed": seed} | left)
    _write_rows(FOLDER / "moons.json", rows)


def rubbish() -> None:
    """Lesson 5's six rounds with a class for rubbish, and the attacks that know of it, three times (a minute)."""
    data, rows = small.digits(), []
    for seed in tqdm(range(3)):
        for number, (model, row) in enumerate(lesson5.rubbish_rounds(data, seed=seed)):
            row = {"seed": seed, "round": number} | row
            if number in (0, 5):
                row |= lesson5.rubbish_attacked(model, data.test_images[:100], data.test_labels[:100])
            rows.append({name: round(value, 4) for name, value in row.items()})
    _write_rows(FOLDER / "rubbish.json", rows)


def smoothed() -> None:
    """Votes over 10 000 noisy copies of 100 digits, three times: proven radius, nearest errors (four minutes)."""
    import pandas as pd

    data, rows = small.digits(), []
    images, labels = data.test_images[:100], data.test_labels[:100]
    for sigma, seed in tqdm([(sigma, seed) for sigma in smoothing.STORED_SIGMAS for seed in range(3)]):
        net = smoothing.trained_in_noise(data, sigma, seed=seed)
        proof = smoothing.certify(net, images, sigma, draws=10_000, seed=seed)
        distances = smoothing.nearest_overturned(net, images, labels, sigma, draws=300, seed=seed)
        alone = nearest_errors(small.frozen(net), images, labels, targets=0)
        for i, values in enumerate(zip(labels, proof.labels, proof.radius, distances, alone, strict=True)):
            label, voted, radius, distance, without = (value.item() for value in values)
            rows.append({"sigma": sigma, "seed": seed, "digit": i, "label": label, "voted": voted,
                         "radius": round(radius, 4), "nearest error": round(distance, 4),
                         "without the vote": round(without, 4)})  # fmt: skip
    pd.DataFrame(rows).to_csv(FOLDER / "smoothed.csv", index=False)


def defended() -> None:
    """Transforms in front of the network, against attacks that know about them and that do not (two minutes)."""
    model = load_model(device="cpu")
    images = torch.cat([load_image(name, device="cpu") for name in LESSON_2_PICTURES])
    rows = list(tqdm(lesson5.compare_defences(model, images, "ostrich"), total=8 * len(transforms.DEFENCES)))
    _write_rows(FOLDER / "defences.json", rows)


def universal() -> None:
    """One change for all pictures, and patches of several sizes, judged on other photographs (five minutes)."""
    model = load_model(device="cpu")
    learn_on, rows = lesson5.scenes_to_learn_on(device="cpu"), []
    for label in lesson5.UNIVERSAL_TARGETS:
        grey, epsilon = blank(0.5, device="cpu"), lesson5.UNIVERSAL_EPSILON
        frames = optimize_pixels(
            model, grey, toward(label), view=add_to_all(learn_on), step=adam_step(epsilon / 8),
            constraint=linf_ball(grey, epsilon), steps=200,
        )  # fmt: skip
        change = last(tqdm(frames, label, total=201)).image
        rows.append({"what": "change", "target": label, **lesson5.judged_change(model, change, label)})
        if label == lesson5.UNIVERSAL_TARGETS[0]:
            save_png(change, FOLDER / "universal_change.png")
    for size in lesson5.PATCH_SIZES:
        frames = optimize_pixels(
            model, blank(0.5, size=size, device="cpu"), toward(lesson5.PATCH_TARGET),
            view=lay_on_all(learn_on), step=adam_step(0.05), steps=200,
        )  # fmt: skip
        patch = last(tqdm(frames, f"{size} pixels", total=201)).image
        row = {"what": f"patch, {size} pixels", "target": lesson5.PATCH_TARGET}
        rows.append(row | lesson5.judged_patch(model, patch, lesson5.PATCH_TARGET))
        if size == lesson5.PATCH_SIZES[-1]:
            save_png(patch, FOLDER / "patch.png")
    _write_rows(FOLDER / "universal.json", rows)


def mended() -> None:
    """The picture at the top of lesson 5: an ostrich, the same as a JPEG, and one made for the JPEG (seconds)."""
    from .. import figures

    model = load_model(device="cpu")
    bus, fooled = (load_image(source, device="cpu") for source in ("school_bus", FOLDER / "fooled_bus.png"))
    through = lesson5.attack_that_knows(model, bus, "ostrich", transforms.DEFENCES["JPEG 75"][1], steps=40)
    shown = {
        "made for the network": fooled,
        "the same, saved as JPEG": through_jpeg(fooled),
        "made for the JPEG, and saved as one": through_jpeg(through),
    }
    answers = [model.top(image, 1)[0] for image in shown.values()]
    titles = [f"{name}\n{top.label}, {top.probability:.0%}" for name, top in zip(shown, answers, strict=True)]
    figure = figures.grid_of_images(list(shown.values()), titles, columns=3)
    figure.savefig(IMAGES / "mended.jpg", dpi=100, bbox_inches="tight", pil_kwargs={"quality": 88})


def both() -> None:
    """One change for two networks, on the pictures of lesson 2, for lesson 6 (a minute)."""
    first, second = load_model(device="cpu"), load_model("efficientnet_lite1", device="cpu")
    rows = [
        {"picture": name} | lesson6.one_for_two(first, second, load_image(name, device="cpu"), "ostrich")
        for name in tqdm(LESSON_2_PICTURES)
    ]
    _write_rows(FOLDER / "both.json", rows)


def nearest() -> None:
    """The picture at the top of lesson 6: the bus, and the changes to the first and the nearest ostrich (seconds)."""
    model = load_model(device="cpu")
    bus = load_image("school_bus", device="cpu")
    found = {name: lesson6.METHODS[name](model, bus, "ostrich")[0] for name in ("first ostrich", "whole levels")}
    changed = {
        "the first ostrich": round_to_8bit(found["first ostrich"]),
        "the nearest we found": found["whole levels"],
    }
    figure = lesson6.beside_each_other(bus, changed, sizes=False)
    figure.savefig(IMAGES / "smallest.jpg", dpi=100, bbox_inches="tight", pil_kwargs={"quality": 88})


TASKS: dict[str, Callable[[], object]] = {
    "pictures": pictures,
    "smallest": smallest,
    "title": title,
    "classes": classes,
    "twelve": twelve,
    "strips": strips,
    "noise": noise,
    "champions": champions,
    "painters": painters,
    "nothing": nothing,
    "direct": direct_pixels,
    "painted": painted,
    "maps": maps,
    "lines": lines,
    "space": space,
    "colours": colours,
    "robust": robust,
    "moons": moons,
    "rubbish": rubbish,
    "smoothed": smoothed,
    "defended": defended,
    "universal": universal,
    "mended": mended,
    "both": both,
    "nearest": nearest,
}


def main(names: Sequence[str]) -> None:
    """Make what is named, or everything; "--list" shows what there is, and how long each takes on two cores."""
    if "--list" in names:
        for name, task in TASKS.items():
            print(f"{name:<10} {task.__doc__.splitlines()[0]}")
        return
    if unknown := [name for name in names if name not in TASKS]:
        sys.exit(f"there is nothing called {', '.join(unknown)} to make: choose from {', '.join(TASKS)}")
    for name in names or TASKS:
        TASKS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
