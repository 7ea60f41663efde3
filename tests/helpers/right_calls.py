"""One right call of each public function and method, small enough to be made a thousand times.

`python tests/helpers/right_calls.py NAME...` replaces every argument of the functions whose names begin so by every odd
value, and prints the faults; without a name, of all functions (five minutes). With a fault, it ends with an error.
"""
# ruff: noqa: C408 - the arguments of a call read best as a call

import importlib
import inspect
import pkgutil
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import fooling_utils
from fooling_utils import (
    Classifier,
    attacks,
    checks,
    constraints,
    data,
    figures,
    fourier,
    images,
    last,
    lecture,
    models,
    objectives,
    optimize,
    optimize_pixels,
    regions,
    starts,
    steps,
    toward,
    views,
    web,
    widgets,
)
from fooling_utils.attacks import ddn, universal
from fooling_utils.defences import robustness, smoothing, transforms
from fooling_utils.evolution import evolve, painters, wall
from fooling_utils.files import downloads, pictures, replacing
from fooling_utils.lessons import lesson0, lesson1, lesson2, lesson3, lesson4, lesson5, lesson6, shared
from fooling_utils.networks import pretrained, small
from fooling_utils.web import network, plane, player
from nets import generator, random_images
from wrong_arguments import Right, faults, singles

LABELS = ("ostrich", "robin", "school bus")

# ------------------------------------------------------------------------------------------------------ what they need


def _tiny_net(channels: int = 3) -> nn.Module:
    """Three classes for images of any size, with layers "0", "1" and so on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        )
        with torch.no_grad():
            net[4].weight.mul_(8)
            net[4].bias.zero_()
    return net.eval()


TINY = Classifier(_tiny_net(), LABELS, (3, 8, 8), prepare=False)
SECOND = Classifier(_tiny_net(), LABELS, (3, 8, 8), prepare=False)
PLANE = Classifier(
    nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)).eval(), LABELS, (2,), None, prepare=False, share=False
)
OWN = int(TINY.probabilities(random_images(1, 8)).argmax())
TARGET = LABELS[(OWN + 1) % 3]
POINTS = small.plane_points(count=5)
DIGITS = small.Digits(*(part[:20] for part in small.digits()))
DIGIT_NET = small.frozen(small.digit_net())
ENCODING = evolve.direct((3, 8, 8))
ARCHIVE = last(evolve.evolve(TINY, ENCODING, population=3, generations=2))
GENOME = painters.layered_genome(3, 1)
MAP = regions.region_map(PLANE.probabilities, (-1, 1, -1, 1), 5)
THREE = random_images(3, 8).split(1)
FRAMES = list(optimize_pixels(TINY, random_images(1, 8), toward(TARGET), steps=2))


def image() -> Tensor:
    return random_images(1, 8)


def two() -> Tensor:
    return random_images(2, 8)


def _labels(count: int = 2) -> Tensor:
    return TINY.probabilities(random_images(count, 8)).argmax(1)


def _attack(model: Classifier, pictures: Tensor, epsilon: float) -> Tensor:
    return robustness.random_change(model, pictures, epsilon)


def _axes():
    return figures.new_figure(3, 3)[1][0, 0]


def _frames():
    return optimize_pixels(TINY, image(), toward(TARGET), steps=2)


# -------------------------------------------------------------------------------------- what is done with the result


def climb(objective) -> Tensor:
    return last(optimize_pixels(TINY, image(), objective, steps=2)).image


def constrain(constraint) -> Tensor:
    return last(optimize_pixels(TINY, image(), toward(TARGET), constraint=constraint, steps=2)).image


def move(step) -> Tensor:
    return last(optimize_pixels(TINY, image(), toward(TARGET), step=step, steps=2)).image


def look(view) -> Tensor:
    return last(optimize_pixels(TINY, image(), toward(TARGET), view=view, steps=2)).image


def through(view) -> Tensor:
    return view(image(), generator())


def breed(encoding) -> Tensor:
    genomes = encoding.mutate(encoding.start(2, generator()), generator())
    encoding.thumbnails(genomes, 4)
    return encoding.render(genomes)


def named(frames: list) -> list:
    """The numbers of frames or of what a search has found."""
    return [frame.image for frame in frames]


def everything(found) -> object:
    return list(found) if isinstance(found, tuple) else found


def closed(figure):
    figure.canvas.draw()
    return figure


def asked(make, question: str):
    """A question as the page asks it, of a new widget."""

    def ask(**settings):
        widgets.forget()
        return make()._answer({"ask": question, "with": settings}, [])

    return ask


def method(make, name: str):
    """A method of an object made anew, since it may change it."""

    def call(**arguments):
        widgets.forget()
        return getattr(make(), name)(**arguments)

    return call


def _spread(function, name: str):
    """A function of any number of arguments, as a function of their list."""

    def call(**arguments):
        spread = arguments.pop(name)
        return function(*(spread if isinstance(spread, (list, tuple)) else [spread]), **arguments)

    return call


# ------------------------------------------------------------------------------------------------------------ the table

ROWS: dict[str, Right] = {}


def row(name: str, function, arguments=dict, use=None, free=(), changes=()) -> None:
    ROWS[name] = Right(function, arguments, use, frozenset(free), frozenset(changes))


# images, starts, files, data
row(
    "images.validate_images",
    images.validate_images,
    lambda: dict(images=image(), bounds=(0.0, 1.0), dimensions=3),
    free=["bounds", "dimensions"],
)
row("images.to_uint8", images.to_uint8, lambda: dict(images=image()))
row("images.from_uint8", images.from_uint8, lambda: dict(images=images.to_uint8(image())))
row("images.round_to_8bit", images.round_to_8bit, lambda: dict(images=image()))
row("images.to_pil", images.to_pil, lambda: dict(image=image()))
row("images.from_pil", images.from_pil, lambda: dict(picture=Image.new("RGB", (4, 4))))
row("images.save_png", images.save_png, lambda: dict(image=image(), path="a.png"))
row("images.through_jpeg", images.through_jpeg, lambda: dict(images=two(), quality=75))
row("images.distances", images.distances, lambda: dict(original=image(), image=image()))
row("images.grey_levels", images.grey_levels, lambda: dict(image=image()))
row("starts.photographs", starts.photographs, lambda: dict(crops=1, size=8, names=["cat"], seed=0, device="cpu"))
row("starts.load_image", starts.load_image, lambda: dict(source=np.zeros((4, 4, 3), np.uint8), size=8, device="cpu"))
row("starts.blank", starts.blank, lambda: dict(value=0.5, count=1, size=8, device="cpu"))
row("starts.uniform_noise", starts.uniform_noise, lambda: dict(count=1, size=8, seed=0, device="cpu"))
row(
    "starts.gaussian_noise",
    starts.gaussian_noise,
    lambda: dict(count=1, size=8, mean=0.5, std=0.1, seed=0, device="cpu"),
)
row("files.downloads.download", downloads.download, lambda: dict(url="http://127.0.0.1:9/a.png", public_only=True))
row("files.downloads.is_public", downloads.is_public, lambda: dict(address="127.0.0.1"))
row(
    "files.pictures.from_file",
    pictures.from_file,
    lambda: dict(file=open(data.path("robin"), "rb"), name="robin", size=8),  # noqa: SIM115
)
row("files.pictures.square", pictures.square, lambda: dict(picture=Image.new("RGB", (4, 4)), size=8))
row("files.replacing", replacing, lambda: dict(path="a.bin"), lambda made: made.__enter__().close())
row("data.path", data.path, lambda: dict(name="smallest"))
row("data.read", data.read, lambda: dict(name="smallest"))

# the choices of the loop
row(
    "constraints.both",
    _spread(constraints.both, "constraints"),
    lambda: dict(constraints=[constraints.pixel_range()]),
    constrain,
)
row("constraints.pixel_range", constraints.pixel_range, lambda: dict(low=0.1, high=0.9), constrain)
row("constraints.l2_ball", constraints.l2_ball, lambda: dict(centre=image(), radius=0.5), constrain)
row("constraints.linf_ball", constraints.linf_ball, lambda: dict(centre=image(), radius=0.1), constrain)
row(
    "constraints.inside_mask",
    constraints.inside_mask,
    lambda: dict(original=image(), mask=torch.ones(1, 1, 8, 8)),
    constrain,
)
row("steps.unit_step", steps.unit_step, lambda: dict(length=0.3), move)
row("steps.sign_step", steps.sign_step, lambda: dict(size=0.01), move)
row("steps.adam_step", steps.adam_step, lambda: dict(rate=0.01, beta1=0.9, beta2=0.999), move)
row("objectives.toward", objectives.toward, lambda: dict(labels=TARGET), climb)
row("objectives.away_from", objectives.away_from, lambda: dict(labels=[0]), climb)
row("objectives.logit", objectives.logit, lambda: dict(labels=TARGET), climb)
row(
    "objectives.distance_to",
    objectives.distance_to,
    lambda: dict(image=random_images(1, 8, seed=1), squared=False),
    lambda o: climb(-o),
)
row("objectives.activation", objectives.activation, lambda: dict(layer="0", channel=1), climb)
row("objectives.style", objectives.style, lambda: dict(image=random_images(1, 8, seed=1), layers=["0"]), climb)
row("objectives.content", objectives.content, lambda: dict(image=random_images(1, 8, seed=1), layer="0"), climb)
row("objectives.gram_matrix", objectives.gram_matrix, lambda: dict(features=image()), torch.nan_to_num)
row("views.random_views", views.random_views, lambda: dict(count=2, shift=0.07, degrees=10, zoom=0.2, fill=0.5), look)
row("views.quantised", views.quantised, lambda: dict(levels=8), through)
row("views.blurred", views.blurred, lambda: dict(sigma=1.0), look)
row("views.recompressed", views.recompressed, lambda: dict(quality=75), through)
row("views.straight_through", views.straight_through, lambda: dict(defence=views.quantised()), look)
row("fourier.fourier_start", fourier.fourier_start, lambda: dict(count=1, size=8, std=0.05, seed=0, device="cpu"))
row(
    "fourier.fourier_decode",
    fourier.fourier_decode,
    lambda: dict(size=8, decay=1.3),
    lambda decode: decode(fourier.fourier_start(1, 8, device="cpu")),
)
row("fourier.fourier_encode", fourier.fourier_encode, lambda: dict(images=image(), decay=1.3))

# networks
row(
    "models.Classifier",
    Classifier,
    lambda: dict(
        net=_tiny_net(),
        labels=LABELS,
        input_shape=(3, 8, 8),
        bounds=(0.0, 1.0),
        mean=[0.5] * 3,
        std=[0.5] * 3,
        prepare=True,
        share=False,
    ),
)
# NaN goes in, and NaN comes out, as in any network
row("models.Classifier.forward", TINY, lambda: dict(images=image()), torch.nan_to_num)
row("models.Classifier.validate", TINY.validate, lambda: dict(images=image(), name="image"), free=["name"])
row("models.Classifier.clip", TINY.clip, lambda: dict(images=image()), torch.nan_to_num)
row("models.Classifier.index", TINY.index, lambda: dict(label="ostrich"))
row("models.Classifier.indices", TINY.indices, lambda: dict(labels=["ostrich"], count=1))
row("models.Classifier.aim", TINY.aim, lambda: dict(images=image(), target=TARGET))
row("models.Classifier.features", TINY.features, lambda: dict(images=image(), layers=["0"]), lambda found: None)
row("models.Classifier.shapes_of", TINY.shapes_of, lambda: dict(layers=["0"]))
row("models.Classifier.probabilities", TINY.probabilities, lambda: dict(images=image()))
row("models.Classifier.top", TINY.top, lambda: dict(image=image(), k=2))
row("models.Classifier.best", TINY.best, lambda: dict(probabilities=torch.tensor([0.2, 0.3, 0.5]), k=2))


def _load_model(name="efficientnet_lite0", device="cpu", prepare=False):
    with patch.object(models, "build", lambda name: (_tiny_net(), {"labels": LABELS, "input_shape": (3, 8, 8)})):
        return models.load_model(name, device=device, prepare=prepare)


row("models.load_model", _load_model, lambda: dict(device="cpu", prepare=False))
row("networks.pretrained.build", pretrained.build, lambda: dict(name="efficientnet_lite0"))
row(
    "networks.pretrained.read_weights",
    pretrained.read_weights,
    lambda: dict(path="nothing.pth", weights=pretrained.BUNDLED["efficientnet_lite0"]),
)
row("networks.small.plane_points", small.plane_points, lambda: dict(preset="blobs", count=5, classes=3, seed=0))
row("networks.small.plane_net", small.plane_net, lambda: dict(hidden=4, depth=2, activation="relu", classes=3, seed=0))
row("networks.small.digit_net", small.digit_net, lambda: dict(classes=10, seed=0))
row(
    "networks.small.fit",
    small.fit,
    lambda: dict(
        net=small.plane_net(4),
        images=POINTS.places.clone(),
        labels=POINTS.labels.clone(),
        epochs=2,
        batch_size=4,
        shown=None,
        rate=0.01,
        weight_decay=0.0,
        optimizer=None,
        seed=0,
    ),
    changes=["net"],
)
row("networks.small.frozen", small.frozen, lambda: dict(net=small.digit_net(), kind=small.DIGITS))
row(
    "networks.small.empty_places",
    small.empty_places,
    lambda: dict(count=3, edge=2.0, taken=torch.zeros(1, 2), gap=0.1, generator=torch.Generator().manual_seed(0)),
)
row("networks.small.trained", small.trained, lambda: dict(points=POINTS, steps=2, weight_decay=0.0, hidden=4, seed=0))
row(
    "networks.small.fit_points",
    small.fit_points,
    lambda: dict(net=small.plane_net(4), points=POINTS, epochs=2, rate=0.01),
    changes=["net"],
)
row(
    "networks.small.attacked",
    small.attacked,
    lambda: dict(epsilon=0.3, steps=2, bounds=(0.0, 1.0)),
    lambda shown: shown(_tiny_net(), two(), _labels(), generator()),
)
row(
    "networks.small.noisy",
    small.noisy,
    lambda: dict(sigma=0.2),
    lambda shown: shown(_tiny_net(), two(), _labels(), generator()),
)
row("networks.small.save_weights", small.save_weights, lambda: dict(net=small.digit_net(), path="a.npz"))
row("networks.small.load_weights", small.load_weights, lambda: dict(path=data.path("robust_digits")))

# the loop, attacks, evolution, regions
row(
    "optimize.optimize_pixels",
    optimize_pixels,
    lambda: dict(
        model=TINY,
        start=image(),
        objective=toward(TARGET),
        step=steps.unit_step(),
        constraint=None,
        decode=None,
        view=None,
        steps=2,
        seed=0,
    ),
    named,
)
row("optimize.Frame.probability", FRAMES[0].probability, lambda: dict(labels="ostrich"))
row("optimize.last", optimize.last, lambda: dict(frames=_frames()), lambda found: None)
row("optimize.run_until", optimize.run_until, lambda: dict(frames=_frames(), labels=TARGET, probability=0.9))
row("attacks.ddn.ddn", ddn.ddn, lambda: dict(model=TINY, image=image(), target=TARGET, steps=2, size=1.0, gamma=0.05))
row("attacks.gradient.fgsm", attacks.fgsm, lambda: dict(model=TINY, image=image(), epsilon=0.1, target=TARGET))
row(
    "attacks.gradient.pgd",
    attacks.pgd,
    lambda: dict(model=TINY, image=image(), epsilon=0.1, target=TARGET, norm="linf", steps=2, step_size=0.05),
)
row(
    "attacks.lbfgs.lbfgs_frames",
    attacks.lbfgs_frames,
    lambda: dict(model=TINY, image=image(), target=TARGET, rounds=2, evaluations=2),
    named,
)
row(
    "attacks.minimum_norm.smallest_change",
    attacks.smallest_change,
    lambda: dict(model=TINY, image=image(), target=TARGET, steps=3, eight_bit=True),
    torch.nan_to_num,
)
row(
    "attacks.minimum_norm.smallest_change_frames",
    attacks.smallest_change_frames,
    lambda: dict(model=TINY, image=image(), target=TARGET, steps=3, eight_bit=True),
    named,
)
row("attacks.universal.add_to_all", universal.add_to_all, lambda: dict(scenes=two(), count=2), look)
row("attacks.universal.lay_on_all", universal.lay_on_all, lambda: dict(scenes=random_images(2, 16), count=2), look)
row("attacks.universal.universally", attacks.universally, lambda: dict(images=two(), change=image()))
row(
    "attacks.universal.patched",
    attacks.patched,
    lambda: dict(images=two(), patch=random_images(1, 4), generator=generator()),
)
row("evolution.evolve.Encoding.thumbnails", ENCODING.thumbnails, lambda: dict(genomes=two(), size=4))
row("evolution.evolve.thumbnails", evolve.thumbnails, lambda: dict(images=two(), size=4))
row("evolution.evolve.direct", evolve.direct, lambda: dict(shape=(3, 8, 8), rate=0.1, strength=15.0), breed)
row("evolution.evolve.Archive.best", ARCHIVE.best, lambda: dict(count=2))
row("evolution.evolve.Archive.champions", ARCHIVE.champions, lambda: dict(labels=["robin"]))
row("evolution.evolve.Archive.joined", ARCHIVE.joined, lambda: dict(other=ARCHIVE))
row("evolution.evolve.Archive.save", ARCHIVE.save, lambda: dict(path="a.npz"))
row("evolution.evolve.load_archive", evolve.load_archive, lambda: dict(path="nothing.npz"))
row(
    "evolution.evolve.evolve",
    evolve.evolve,
    lambda: dict(
        model=TINY, encoding=ENCODING, targets=["robin", "ostrich"], population=2, generations=2, archive=None, seed=0
    ),
)
row("evolution.painters.cppn", painters.cppn, lambda: dict(size=8, hidden=4), breed)
row(
    "evolution.painters.cppn_decode",
    painters.cppn_decode,
    lambda: dict(genome=GENOME.clone(), size=8),
    lambda decode: decode(painters.cppn_weights(GENOME)),
)
row("evolution.painters.cppn_weights", painters.cppn_weights, lambda: dict(genome=GENOME.clone()))
row(
    "evolution.painters.layered_genome",
    painters.layered_genome,
    lambda: dict(width=3, layers=1, symmetric=True, seed=0),
)
row(
    "evolution.wall.Wall",
    wall.Wall,
    lambda: dict(encoding=ENCODING, columns=2, size=4),
    lambda made: made.draw(ARCHIVE),
)
row("evolution.wall.Wall.small", method(lambda: wall.Wall(ENCODING, 2, 4), "small"), lambda: dict(genome=image()[0]))
row(
    "evolution.wall.Wall.keep",
    method(lambda: wall.Wall(ENCODING, 2, 4), "keep"),
    lambda: dict(archive=ARCHIVE, children=two(), images=two()),
)
row("evolution.wall.Wall.draw", method(lambda: wall.Wall(ENCODING, 2, 4), "draw"), lambda: dict(archive=ARCHIVE))
row("regions.grid_points", regions.grid_points, lambda: dict(extent=(-1, 1, -1, 1), size=3))
row(
    "regions.refine_map",
    regions.refine_map,
    lambda: dict(predict=PLANE.probabilities, extent=(-1, 1, -1, 1), size=5, coarse=2, sure=0.5),
)
row("regions.region_map", regions.region_map, lambda: dict(predict=PLANE.probabilities, extent=(-1, 1, -1, 1), size=5))
row("regions.plane_through", regions.plane_through, lambda: dict(first=THREE[0], second=THREE[1], third=THREE[2]))
row("regions.Plane.images", regions.plane_through(*THREE).images, lambda: dict(points=torch.zeros(2, 2)))
row("regions.Plane.coordinates", regions.plane_through(*THREE).coordinates, lambda: dict(images=two()))
row(
    "regions.on_plane",
    regions.on_plane,
    lambda: dict(model=TINY, plane=regions.plane_through(*THREE)),
    lambda predict: predict(torch.zeros(2, 2)),
)
row(
    "regions.boundary_distance",
    regions.boundary_distance,
    lambda: dict(
        model=TINY, image=image(), directions=two(), distances=torch.tensor([0.5, 1.0]), target=TARGET, halvings=2
    ),
)

# figures, defences
row("figures.new_figure", figures.new_figure, lambda: dict(width=3, height=3))
row("figures.draw_image", lambda **a: figures.draw_image(_axes(), **a), lambda: dict(image=image(), title="a"))
row("figures.amplify", figures.amplify, lambda: dict(change=image() - 0.5, times=2))
row("figures.natural_amplification", figures.natural_amplification, lambda: dict(change=image() - 0.5))
row(
    "figures.draw_top",
    lambda **a: figures.draw_top(_axes(), **a),
    lambda: dict(model=TINY, image=image(), marked={0: ("red", "/")}, k=2),
)
row("figures.top_five", figures.top_five, lambda: dict(model=TINY, image=image(), target=TARGET))
row(
    "figures.triptych",
    figures.triptych,
    lambda: dict(model=TINY, original=image(), fooled=image(), target=TARGET, amplification=2.0),
)
row(
    "figures.grid_of_images",
    figures.grid_of_images,
    lambda: dict(images=two(), titles=["a", "b"], columns=2, row_names=["c"]),
)
row("figures.picture", figures.picture, lambda: dict(image=image(), title="a", width=4))
row(
    "figures.region_maps",
    figures.region_maps,
    lambda: dict(
        maps={"a": MAP},
        names=LABELS,
        points=POINTS,
        paths=[torch.zeros(2, 2)],
        marks={"m": torch.zeros(2)},
        images={"i": image()},
        unit=1.0,
        axis_labels=("x", "y"),
        stretch=False,
    ),
)
row("figures.with_free_colours", figures.with_free_colours, lambda: dict(colours={0: "#D55E00"}, indices=[0, 1]))
row("figures.region_colours", figures.region_colours, lambda: dict(labels=[MAP.labels]))
row("figures.paint_regions", figures.paint_regions, lambda: dict(found=MAP, colours={0: "red"}))
row(
    "figures.before_and_after",
    figures.before_and_after,
    lambda: dict(model=TINY, originals=two(), fooled=two(), amplification=20),
)
row(
    "figures.curves",
    figures.curves,
    lambda: dict(
        lines={"a": ([1, 2], [0.5, 0.6])},
        x_label="x",
        y_label="y",
        percent=True,
        log_x=True,
        log_y=False,
        paired=False,
        marks={"m": 1},
    ),
)
row("figures.gradient_picture", figures.gradient_picture, lambda: dict(image=image(), gradient=image() - 0.5))
row("figures.histogram", figures.histogram, lambda: dict(values=[1.0, 2.0], x_label="x", marks={"m": 1.5}))
row("figures.changed_levels", figures.changed_levels, lambda: dict(original=image(), image=random_images(1, 8, seed=1)))
row("defences.robustness.right", robustness.right, lambda: dict(model=TINY, images=two(), labels=_labels()))
row(
    "defences.robustness.accuracy_under",
    robustness.accuracy_under,
    lambda: dict(model=TINY, images=two(), labels=_labels(), attack=_attack, epsilon=0.1),
)
row(
    "defences.robustness.nearest_errors",
    robustness.nearest_errors,
    lambda: dict(model=TINY, images=image(), labels=_labels(1), steps=2, targets=1),
)
row(
    "defences.robustness.random_change",
    robustness.random_change,
    lambda: dict(model=TINY, images=two(), epsilon=0.1, seed=0),
)
row(
    "defences.robustness.warning_signs",
    robustness.warning_signs,
    lambda: dict(
        model=TINY, images=two(), labels=_labels(), attack=_attack, epsilons=[0.1, 5.0], known=torch.tensor([0.5, 0.5])
    ),
)
row("defences.smoothing.votes", smoothing.votes, lambda: dict(net=TINY, images=two(), sigma=0.2, draws=4, seed=0))
row(
    "defences.smoothing.lower_bound",
    smoothing.lower_bound,
    lambda: dict(successes=torch.tensor([3, 5]), draws=10, alpha=0.01),
)
row(
    "defences.smoothing.certify",
    smoothing.certify,
    lambda: dict(net=TINY, images=image(), sigma=0.2, draws=20, alpha=0.01, seed=0),
)
row(
    "defences.smoothing.Smoothed",
    smoothing.Smoothed,
    lambda: dict(net=TINY, sigma=0.2, shape=(3, 8, 8), draws=4, seed=0),
    lambda net: net(image()),
)
row(
    "defences.smoothing.Smoothed.forward",
    smoothing.Smoothed(TINY, 0.2, (3, 8, 8), 4),
    lambda: dict(images=image()),
    torch.nan_to_num,
)
row(
    "defences.smoothing.nearest_overturned",
    smoothing.nearest_overturned,
    lambda: dict(net=TINY, images=image(), labels=_labels(1), sigma=0.2, steps=2, draws=4, seed=0),
)
row(
    "defences.smoothing.trained_in_noise",
    smoothing.trained_in_noise,
    lambda: dict(data=DIGITS, sigma=0.2, epochs=1, seed=0),
)
row(
    "defences.transforms.behind",
    transforms.behind,
    lambda: dict(model=TINY, defence=views.quantised(), seed=0),
    lambda model: model(image()),
)
row(
    "defences.transforms.probabilities_behind",
    transforms.probabilities_behind,
    lambda: dict(model=TINY, defence=views.quantised(), images=two(), draws=1, seed=0),
)

# lessons
row("lessons.lesson0.report", lesson0.report, lambda: dict(findings=[lesson0.Finding("a", True, "b")]))
row("lessons.lesson1.priors", lesson1.priors, lambda: dict(labels=[TARGET], size=8, rate=0.1, device="cpu"))
row(
    "lessons.lesson1.draw_classes",
    lesson1.draw_classes,
    lambda: dict(model=TINY, labels=[TARGET], prior="waves", size=8, steps=2, rate=0.1),
)
row("lessons.lesson1.load_twelve", lesson1.load_twelve, lambda: dict(device="cpu"))
row("lessons.lesson1.recoloured", lesson1.recoloured, lambda: dict(images=two(), like=image()))
row("lessons.lesson2.random_changes", lesson2.random_changes, lambda: dict(image=image(), size=0.5, count=2, seed=0))
row(
    "lessons.lesson2.patch_picture",
    lesson2.patch_picture,
    lambda: dict(model=TINY, image=image(), patch=image()[..., :3, :3], target=0, seed=0),
)
row("lessons.lesson2.gains", lesson2.gains, lambda: dict(gradient=image() - 0.5, missing=2.0, seed=0))
row("lessons.lesson3.first_passes", lesson3.first_passes, lambda: dict(frames=_frames(), labels=[TARGET]))
row(
    "lessons.lesson3.climb_from_noise",
    lesson3.climb_from_noise,
    lambda: dict(first=TINY, second=SECOND, labels=[TARGET], size=8, steps=2),
)
row(
    "lessons.lesson3.random_best",
    lesson3.random_best,
    lambda: dict(model=TINY, encoding=evolve.direct((3, 8, 8)), evaluations=3, batch=2, seed=0),
)
row(
    "lessons.lesson3.compare_painters",
    lesson3.compare_painters,
    lambda: dict(model=TINY, encoding=evolve.direct((3, 8, 8)), seeds=[0], evaluations=32, every=16),
)
row(
    "lessons.lesson3.starts_and_changes",
    lesson3.starts_and_changes,
    lambda: dict(starts={"grey": image()}, images={("grey", "a"): image()}, titles=["a"]),
)
row("lessons.lesson3.robins", lesson3.robins, lambda: dict(model=TINY, label=TARGET, size=8, steps=2))
row("lessons.lesson3.typical_digits", lesson3.typical_digits, lambda: dict(digits=small.digits()))
row(
    "lessons.lesson4.with_nothing",
    lesson4.with_nothing,
    lambda: dict(points=small.plane_points(count=5), count=3, edge=1.25, gap=0.1, seed=0),
)
row("lessons.lesson4.crossing", lesson4.crossing, lambda: dict(d=5, count=10, seed=0))
row("lessons.lesson4.ladder_share", lesson4.ladder_share, lambda: dict(d=64))
row("lessons.lesson4.rung", lesson4.rung, lambda: dict(size=4))
row("lessons.lesson4.one_rung", lesson4.one_rung, lambda: dict(size=4))
row("lessons.lesson4.ladder_pictures", lesson4.ladder_pictures, lambda: dict(sizes=(2, 4)))
row("lessons.lesson4.thread_picture", lesson4.thread_picture, lambda: dict(shares={"a": (2, 0.5)}))
row("lessons.lesson4.planes", lesson4.planes, lambda: dict(model=TINY))
row(
    "lessons.lesson4.line_ends", lesson4.line_ends, lambda: dict(kind="corner to corner", count=1, seed=0, device="cpu")
)
row(
    "lessons.lesson4.along_line",
    lesson4.along_line,
    lambda: dict(model=TINY, begin=image(), end=random_images(1, 8, seed=1), count=3),
)


def _save_maps(maps):
    with patch.object(data, "FOLDER", Path()):
        return lesson4.save_maps(maps)


row("lessons.lesson4.save_maps", _save_maps, lambda: dict(maps={"a": MAP}))
row(
    "lessons.lesson5.trained_digits",
    lesson5.trained_digits,
    lambda: dict(data=DIGITS, training="ordinary, 20 epochs", seed=0),
    lambda model: model.net[0].weight,
)
row(
    "lessons.lesson5.blurred_moons",
    lesson5.blurred_moons,
    lambda: dict(count=3, seed=0),
)
row(
    "lessons.lesson5.trained_on_moons",
    lesson5.trained_on_moons,
    lambda: dict(points=lesson5.blurred_moons(3), training="the points", epochs=1, seed=0),
    lambda model: model.net[0].weight,
)
row(
    "lessons.lesson5.way_to_runner_up",
    lesson5.way_to_runner_up,
    lambda: dict(model=TINY, images=image(), labels=_labels(1)),
)
row(
    "lessons.lesson5.rubbish_rounds",
    lesson5.rubbish_rounds,
    lambda: dict(data=DIGITS, rounds=1, generations=1, seed=0),
    lambda found: last(found)[0].net[0].weight,
)
row(
    "lessons.lesson5.rubbish_attacked",
    lesson5.rubbish_attacked,
    lambda: dict(model=small.frozen(small.digit_net(11)), images=DIGITS.test_images, labels=DIGITS.test_labels),
)
row(
    "lessons.lesson5.attacks_that_know_nothing",
    lesson5.attacks_that_know_nothing,
    lambda: dict(model=TINY, images=image(), target=TARGET),
)
row(
    "lessons.lesson5.attack_that_knows",
    lesson5.attack_that_knows,
    lambda: dict(model=TINY, images=image(), target=TARGET, view=None, steps=2, length=0.6),
)
row(
    "lessons.lesson5.as_large",
    lesson5.as_large,
    lambda: dict(images=image(), changed=random_images(1, 8, seed=1), like=random_images(1, 8, seed=2)),
)
row(
    "lessons.lesson5.compare_defences",
    lesson5.compare_defences,
    lambda: dict(model=TINY, images=image(), target=TARGET, draws=1),
)
row("lessons.lesson5.scenes_to_learn_on", lesson5.scenes_to_learn_on, lambda: dict(device="cpu"))
row("lessons.lesson5.other_scenes", lesson5.other_scenes, lambda: dict(device="cpu"))
row(
    "lessons.lesson5.judged_change",
    lesson5.judged_change,
    lambda: dict(model=TINY, change=random_images(1, 224), label=TARGET, seed=0),
)
row("lessons.lesson5.judged_patch", lesson5.judged_patch, lambda: dict(model=TINY, patch=image(), label=TARGET, seed=0))
row(
    "lessons.lesson6.compare_methods",
    lesson6.compare_methods,
    lambda: dict(model=TINY, image=image(), target=TARGET),
    lambda rows: [row | {"L2 in a PNG": 0.0} for row in rows],  # NaN where nothing fools
)
row(
    "lessons.lesson6.two_pixels",
    lesson6.two_pixels,
    lambda: dict(weight=torch.tensor([3.0, 4.0]), bias=-5.0, searches={"a": torch.rand(3, 2)}),
)
row(
    "lessons.lesson6.beside_each_other",
    lesson6.beside_each_other,
    lambda: dict(image=image(), changed={"a": random_images(1, 8, seed=1)}, times=20, sizes=True),
)
row("lessons.lesson6.Behind", lesson6.Behind, lambda: dict(first=TINY, second=SECOND, target=1))
row("lessons.lesson6.Behind.forward", lesson6.Behind(TINY, SECOND, 1), lambda: dict(images=image()), torch.nan_to_num)
row(
    "lessons.lesson6.cosine",
    lesson6.cosine,
    lambda: dict(first=torch.tensor([1.0, 2.0]), second=torch.tensor([2.0, 1.0])),
)
row(
    "lessons.lesson6.one_for_two",
    lesson6.one_for_two,
    lambda: dict(first=TINY, second=SECOND, image=image(), target=TARGET),
)
row(
    "lessons.lesson6.smallest_so_far",
    lesson6.smallest_so_far,
    lambda: dict(sizes=[2.0, 1.0], fools=[False, True]),
)
row(
    "lessons.shared.recognised",
    shared.recognised,
    lambda: dict(first=TINY, second=SECOND, images=image(), labels=[TARGET]),
)
row("lessons.shared.load_strip", shared.load_strip, lambda: dict(lesson="lesson 1", device="cpu"))
row("lessons.shared.squares", shared.squares, lambda: dict(picture=random_images(1, 8), size=4))

# checks, lecture
row(
    "checks.judge",
    checks.judge,
    lambda: dict(number="0.1", answer=lambda image: image.clamp(0, 1), seed=0, device="cpu"),
    free=["answer"],
)
row("checks.check", checks.check, lambda: dict(number="0.1", answer=lambda image: image.clamp(0, 1)), free=["answer"])
row("checks.summary", checks.summary, lambda: dict(lesson=1))
row("lecture.find_pages", lecture.find_pages, lambda: dict(folder=lecture.PAGES))
row("lecture.contents", lecture.contents, lambda: dict(pages=[lecture.Page("01_a.ipynb", "A", "b")], base_url="/"))
row("lecture.is_loopback", lecture.is_loopback, lambda: dict(ip="127.0.0.1"))
row("lecture.token_for", lecture.token_for, lambda: dict(token="abc", no_token=False))
row("lecture.free_port", lecture.free_port, lambda: dict(ip="127.0.0.1", port=40123, tries=20))


# the pages for a browser tab; what takes long, or needs another package, is put aside
def _build(out):
    with patch.object(web, "_write", lambda site: site.mkdir()):
        return web.build(out)


def _export_network(path, model):
    with (
        patch.object(network, "importlib"),
        patch.object(network, "_exported", lambda model: b"a network"),
        patch.object(network, "check_network"),
    ):
        return network.export_network(path, model)


def _write_player(app):
    with patch.object(player, "load_model", lambda device: TINY):
        return player.write_player(app)


row("web.build", _build, lambda: dict(out="site"))
row("web.network.export_network", _export_network, lambda: dict(path="a.onnx", model=TINY))
row("web.plane.write_plane", plane.write_plane, lambda: dict(app="."))
row("web.player.write_player", _write_player, lambda: dict(app="."))


# widgets, made and asked
def _blink():
    return widgets.BlinkComparator(image(), random_images(1, 8, seed=1), model=TINY)


def _guess():
    return widgets.GuessFirst("which?", ["a", "b"], 0)


def _canvas():
    return widgets.PlaneCanvas("blobs", hidden=4, depth=1)


def _explorer():
    return widgets.PlaneExplorer.through(TINY, *THREE, size=17)


def _player():
    return widgets.FoolingPlayer(TINY, "noise", TARGET, presets=[])


def _epsilons():
    return widgets.EpsilonExplorer(
        TINY, image(), random_images(1, 8, seed=1) - image(), target=TARGET, sizes=[0.1, 0.2]
    )


def _priors():
    return widgets.PriorExplorer(two(), ["a", "b"], {"first": TINY}, label=TARGET)


def _wall():
    return widgets.ChampionsWall(TINY, ENCODING, second=SECOND, archive=ARCHIVE, population=2)


row(
    "widgets.BlinkComparator",
    widgets.BlinkComparator,
    lambda: dict(
        original=image(), fooled=random_images(1, 8, seed=1), model=TINY, rate=1.0, presets=[{"title": "a", "times": 1}]
    ),
)
row(
    "widgets.GuessFirst",
    widgets.GuessFirst,
    lambda: dict(question="which?", choices=["a", "b"], answer=0, pictures=[image()], explanation="b", tally="course"),
)
row(
    "widgets.GuessFirst.which",
    widgets.GuessFirst.which,
    lambda: dict(question="which?", images=[image(), image()], answer=0, explanation="b", tally="course"),
)
row(
    "widgets.GuessFirst.one_of",
    widgets.GuessFirst.one_of,
    lambda: dict(
        question="which?", choices=["a", "b"], answer="a", pictures=[image()], explanation="b", tally="course"
    ),
)
row(
    "widgets.GuessFirst.number",
    widgets.GuessFirst.number,
    lambda: dict(
        question="which?",
        low=1.0,
        high=9.0,
        answer=2.0,
        unit="s",
        log=False,
        within=2.0,
        pictures=[image()],
        explanation="b",
        tally="course",
    ),
)
row("widgets.GuessFirst.commit", method(_guess, "commit"), lambda: dict(guess=0))
row("widgets.LiveImage", widgets.LiveImage, lambda: dict(width="50%"))
row("widgets.LiveImage.show", method(widgets.LiveImage, "show"), lambda: dict(image=image()))
row(
    "widgets.PlaneCanvas",
    widgets.PlaneCanvas,
    lambda: dict(preset="blobs", classes=3, hidden=4, depth=1, activation="relu", weight_decay=0.0, seed=0),
)
row("widgets.PlaneCanvas.add", method(_canvas, "add"), lambda: dict(x=0.1, y=0.2, label="robin"))
row("widgets.PlaneCanvas.move", method(_canvas, "move"), lambda: dict(index=0, x=0.1, y=0.2))
row("widgets.PlaneCanvas.remove", method(_canvas, "remove"), lambda: dict(index=0))
row("widgets.PlaneCanvas.add_nothing", method(_canvas, "add_nothing"), lambda: dict(count=5))
row("widgets.PlaneCanvas.load", method(_canvas, "load"), lambda: dict(name="moons"))
row(
    "widgets.PlaneCanvas.configure",
    method(_canvas, "configure"),
    lambda: dict(hidden=5, depth=1, activation="tanh", weight_decay=0.1, classes=3),
)
row("widgets.PlaneCanvas.step", method(_canvas, "step"), lambda: dict(count=1))
row("widgets.PlaneCanvas.fool", method(_canvas, "fool"), lambda: dict(x=0.1, y=0.9, label="robin"))
row("widgets.PlaneCanvas.shortest_way", method(_canvas, "shortest_way"), lambda: dict(index=0))
row("widgets.PlaneCanvas.zoom", method(_canvas, "zoom"), lambda: dict(edge=2.0))
row(
    "widgets.PlaneExplorer",
    widgets.PlaneExplorer,
    lambda: dict(
        model=TINY, survey=_explorer().survey, found=None, size=17, presets=[{"title": "a", "x": 0.5, "y": 0.5}]
    ),
)
row(
    "widgets.PlaneExplorer.through",
    widgets.PlaneExplorer.through,
    lambda: dict(model=TINY, a=THREE[0], b=THREE[1], c=THREE[2], size=17),
)
row(
    "widgets.PlaneExplorer.choose",
    _spread(method(_explorer, "choose"), "pictures")
    and (
        lambda pictures, size: _explorer().choose(
            *(pictures if isinstance(pictures, (list, tuple)) else [pictures]), size=size
        )
    ),
    lambda: dict(pictures=["noise", "robin", "cat"], size=17),
)
row("widgets.PlaneExplorer.image_at", method(_explorer, "image_at"), lambda: dict(x=0.5, y=0.5))
row(
    "widgets.FoolingPlayer",
    widgets.FoolingPlayer,
    lambda: dict(
        model=TINY,
        picture="noise",
        target=TARGET,
        method="unit step",
        size=0.3,
        pictures={"mine": image()},
        until=0.9,
        presets=[{"title": "a", "picture": "grey"}],
    ),
)
row(
    "widgets.FoolingPlayer.start",
    method(_player, "start"),
    lambda: dict(picture="grey", target=TARGET, method="Adam", size=0.3),
)
row("widgets.FoolingPlayer.add", method(_player, "add"), lambda: dict(name="a.png", source=widgets.png(image())))
row(
    "widgets.EpsilonExplorer",
    widgets.EpsilonExplorer,
    lambda: dict(
        model=TINY,
        image=image(),
        change=random_images(1, 8, seed=1) - image(),
        own=None,
        target=TARGET,
        sizes=[0.1, 0.2],
        seed=0,
        presets=[{"title": "a", "size": 0.1}],
    ),
)
row("widgets.EpsilonExplorer.image_at", method(_epsilons, "image_at"), lambda: dict(place=0, way="noise"))
row(
    "widgets.PriorExplorer",
    widgets.PriorExplorer,
    lambda: dict(
        images=two(),
        titles=["a", "b"],
        models={"first": TINY},
        label=TARGET,
        description="d",
        presets=[{"title": "a", "place": 0}],
    ),
)
row("widgets.PriorExplorer.answers", method(_priors, "answers"), lambda: dict(place=0))
row(
    "widgets.ChampionsWall",
    widgets.ChampionsWall,
    lambda: dict(
        model=TINY,
        encoding=ENCODING,
        second=SECOND,
        archive=None,
        targets=["robin", "ostrich"],
        population=2,
        seed=0,
        per_question=1,
        presets=[{"title": "a", "best": 1}],
    ),
)
row("widgets.ChampionsWall.image_of", method(_wall, "image_of"), lambda: dict(label="robin"))
row("widgets.png", widgets.png, lambda: dict(image=image()))
row("widgets.tally", widgets.tally, lambda: dict(name="course"))
for _name, _make, _question, _arguments in [
    ("GuessFirst", _guess, "commit", dict(guess=0)),
    ("PlaneCanvas", _canvas, "add", dict(x=0.1, y=0.2, label=1)),
    ("PlaneCanvas", _canvas, "move", dict(index=0, x=0.1, y=0.2)),
    ("PlaneCanvas", _canvas, "remove", dict(index=0)),
    ("PlaneCanvas", _canvas, "preset", dict(name="moons")),
    ("PlaneCanvas", _canvas, "set", dict(hidden=5)),
    ("PlaneCanvas", _canvas, "fool", dict(x=0.1, y=0.9, label=1)),
    ("PlaneCanvas", _canvas, "shortest", dict(index=0)),
    ("PlaneCanvas", _canvas, "step", dict(count=1)),
    ("PlaneCanvas", _canvas, "zoom", dict(edge=2.0)),
    ("PlaneCanvas", _canvas, "frame", dict(pictures=1)),
    ("PlaneExplorer", _explorer, "choose", dict(pictures=["noise", "robin", "cat"], size=17)),
    ("PlaneExplorer", _explorer, "look", dict(x=0.5, y=0.5)),
    ("FoolingPlayer", _player, "start", dict(picture="grey", target=TARGET, method="Adam", size=0.3)),
    ("FoolingPlayer", _player, "frames", dict(count=2, wait=False)),
    ("FoolingPlayer", _player, "upload", dict(name="a.png", content=widgets.png(image()))),
    ("FoolingPlayer", _player, "address", dict(address="http://127.0.0.1:9/a.png")),
    ("EpsilonExplorer", _epsilons, "stop", dict(place=0)),
    ("PriorExplorer", _priors, "stop", dict(place=0)),
    ("ChampionsWall", _wall, "champions", dict(first=0)),
    ("ChampionsWall", _wall, "look", dict(place=0)),
    ("ChampionsWall", _wall, "agree", dict(rank=1)),
]:
    row(f"widgets.{_name}.answer_{_question}", asked(_make, _question), lambda given=_arguments: dict(given))

# Functions that only the library calls, with what it has checked; most of them in the loop, where a check costs time
INSIDE = {
    "arguments": "the checks themselves",
    "attacks.minimum_norm.along": "one step of the search",
    "attacks.minimum_norm.own_and_others": "one step of the search",
    "checks.core": "what the checks of the exercises share",
    "checks.cells": "part of a command",
    "checks.grade": "a command",
    "checks.kernel": "part of a command",
    "checks.lesson": "one check per exercise, called by judge",
    "data.drawings": "a command",
    "data.make": "a command",
    "defences.robustness.each_label": "the check of labels, called by what takes them",
    "evolution.painters.paint": "called for each generation and each decode",
    "figures.name_places": "called by region_maps",
    "images.norms": "in the loop",
    "networks.lite.efficientnet_lite": "called by build",
    "optimize.each_frame": "called by what takes frames",
    "images.per_image": "in the loop",
    "lecture.main": "a command",
    "lecture.options": "a command",
    "lecture.phones": "what the command does with --phones",
    "lecture.server": "a command",
    "models.Classifier.answers": "in the loop",
    "models.as_classifier": "the check of a plain network, called by what takes one",
    "models.on_each_chunk": "in the loop",
    "networks.folding.prepare_for_speed": "called by Classifier",
    "objectives.one_per_image": "the question that the checks of labels ask",
    "steps.unit_vectors": "in the loop",
    "networks.folding.copied": "called by Classifier",
    "networks.threads": "called by Classifier, with what it measures",
    "web.book": "what the command does with the stored lessons",
    "web.main": "a command",
    "web.network.check_network": "called by export_network",
    "web.pages": "what the command does with its own files",
    "web.serve": "a command, which needs nothing else of the course",
    "widgets.kit": "what the widgets share; png is public",
    "widgets.plane_explorer.Filling": "made by PlaneExplorer",
    "widgets.plane_explorer.Whole": "made by PlaneExplorer",
    "widgets.plane_explorer.survey_through": "called by PlaneExplorer",
    "widgets.player.FoolingPlayer.look_ahead": "called by the kit when an answer is sent",
    "widgets.wall.ChampionsWall.look_ahead": "called by the kit when an answer is sent",
}


def public() -> dict[str, object]:
    """Every public function, method and class with arguments, by the name that it has in `ROWS`."""
    found = {}
    for module in pkgutil.walk_packages(fooling_utils.__path__, "fooling_utils."):
        if module.name.endswith("__main__"):
            continue
        there = importlib.import_module(module.name)
        short = module.name.removeprefix("fooling_utils.")
        for name, value in vars(there).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.name:
                continue
            found |= _with_methods(f"{short}.{name}", value) if inspect.isclass(value) else {f"{short}.{name}": value}
    return {name: value for name, value in found.items() if callable(value) and takes_something(value)}


def _with_methods(name: str, kind: type) -> dict[str, object]:
    methods = {f"{name}.{key}": value for key, value in vars(kind).items() if not key.startswith("_")}
    methods = {key: getattr(value, "__func__", value) for key, value in methods.items()}
    functions = {key: value for key, value in methods.items() if inspect.isfunction(value)}
    # a tuple or a data class only keeps what it is given
    plain = issubclass(kind, (tuple, Exception)) or hasattr(kind, "__dataclass_fields__")
    return functions if plain else functions | {name: kind}


def takes_something(value: object) -> bool:
    """Whether a function has arguments."""
    return bool([name for name in inspect.signature(value).parameters if name not in ("self", "cls")])


def main(prefixes: list[str]) -> None:
    """Print a line for each fault of the functions whose names begin so, and their number."""
    counts: Counter[str] = Counter()
    calls = 0
    for name, right in ROWS.items():
        if prefixes and not name.startswith(tuple(prefixes)):
            continue
        tries = [{}, *singles(right)]
        calls += len(tries)
        for wrong, found in faults(right, tries):
            counts[found.kind] += 1
            given = ", ".join(f"{argument} = {odd}" for argument, odd in wrong.items())
            print(ascii(f"{name}({given}): {found.kind}: {found.message}")[1:-1], flush=True)
    print(f"{calls} calls, {counts.total()} faults: {dict(counts.most_common())}")
    sys.exit(bool(counts))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
