"""Robust accuracy of lesson 5's digits networks, by our attacks and by AutoAttack: python tests/benchmarks/defences.py

AutoAttack (Croce and Hein 2020, arXiv 2003.01690) is the library torchattacks', an optional install that the script
explains where it is missing. The standard version: APGD on the cross-entropy, then targeted APGD, targeted FAB and
Square for what still stands. torchattacks' own `AutoAttack` runs the first three for 10 iterations; here they have the
100 of the paper, and `--iterations 10` gives what torchattacks ships. The judgement is ours.
"""

import argparse
import importlib.util
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from fooling_utils.defences.robustness import nearest_errors, right
from fooling_utils.defences.smoothing import trained_in_noise
from fooling_utils.models import Classifier
from fooling_utils.networks.small import Digits, digit_net, digits, fit, frozen, load_weights

RADII = (0.25, 0.5, 0.75, 1.0)  # L2, pixel units
TOLERANCE = 1e-4  # of the radius, in favour of the library: ours has none
INSTALL = """
torchattacks is not installed, so only our own attacks ran. For the comparison:

    python -m pip install --no-deps torchattacks

(--no-deps since it asks for an old release of requests, which its attacks do not use.)"""
HEADER = (
    "| network | radius (L2) | ours: standing | AutoAttack: standing | only ours fails | only AutoAttack fails "
    "| ours, all radii | AutoAttack |\n|---|---:|---:|---:|---:|---:|---:|---:|"
)


def networks(data: Digits, noise: bool) -> Iterator[tuple[str, Classifier]]:
    undefended = digit_net()
    for _ in fit(undefended, data.train_images, data.train_labels, epochs=20):
        pass
    yield "undefended", frozen(undefended)
    yield "trained on attacked images", frozen(load_weights())
    if noise:
        yield "trained in noise", frozen(trained_in_noise(data, 0.25))


def auto_attack(model: Classifier, images: Tensor, labels: Tensor, radius: float, iterations: int) -> Tensor:
    """AutoAttack's images: the four attacks of its standard version, each on what the ones before left standing."""
    import torchattacks

    same = {"norm": "L2", "eps": radius, "seed": 0}
    several = {**same, "steps": iterations, "n_classes": len(model.labels)}
    attacks = [
        torchattacks.APGD(model, loss="ce", steps=iterations, **same),
        torchattacks.APGDT(model, **several),
        torchattacks.FAB(model, multi_targeted=True, **several),
        torchattacks.Square(model, n_queries=5000, **same),
    ]
    return torchattacks.MultiAttack(attacks)(images, labels)


def failed(model: Classifier, images: Tensor, labels: Tensor, found: Tensor, radius: float) -> Tensor:
    """Which of the images (N, ...) an attack made fail: what it found is wrong, near enough and legal."""
    near = (found - images).flatten(1).norm(dim=1) <= radius * (1 + TOLERANCE)
    legal = ((found >= 0) & (found <= 1)).flatten(1).all(1)
    return ~right(model, images, labels) | (~right(model, found, labels) & near & legal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="how many of the test digits (default: 100)")
    parser.add_argument("--steps", type=int, default=100, help="gradients per target of ours (default: 100)")
    parser.add_argument("--iterations", type=int, default=100, help="of AutoAttack's APGD and FAB (default: 100)")
    parser.add_argument("--noise", action="store_true", help="also the network that was trained in noise")
    choices = parser.parse_args()
    installed = importlib.util.find_spec("torchattacks") is not None

    data = digits()
    images, labels = data.test_images[: choices.images], data.test_labels[: choices.images]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(images)} digits\n\n{HEADER}", flush=True)
    pairs = as_many = 0
    for name, model in networks(data, choices.noise):
        begin = time.perf_counter()
        distances = nearest_errors(model, images, labels, steps=choices.steps)
        seconds = time.perf_counter() - begin
        for radius in RADII:
            ours = distances <= radius
            cells = [name, str(radius), f"{100 * (1 - ours.double().mean()):.1f} %", *"----"]
            if installed:
                begin = time.perf_counter()
                found = auto_attack(model, images, labels, radius, choices.iterations)
                cells[-1] = f"{time.perf_counter() - begin:.1f} s"
                theirs = failed(model, images, labels, found, radius)
                cells[3] = f"{100 * (1 - theirs.double().mean()):.1f} %"
                cells[4:6] = str((ours & ~theirs).sum().item()), str((theirs & ~ours).sum().item())
                pairs, as_many = pairs + 1, as_many + (ours.sum() >= theirs.sum()).item()
            print("| " + " | ".join([*cells[:-1], f"{seconds:.1f} s", cells[-1]]) + " |", flush=True)
    if installed:
        print(f"\nours finds at least as many failures for {as_many} of {pairs} pairs of a network and a radius")
    else:
        print(INSTALL)


if __name__ == "__main__":
    main()
