"""Measure what the library promises about time and memory, and print it as a table: python tests/benchmarks/bench.py"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

GOAL_LOOP, GOAL_PREPARED, GOAL_CLASS_PICTURE, GOAL_FORWARD, GOAL_MAP = 1.03, 1.4, 1.2, 0.85, 1.05
GOAL_GRADIENT, GOAL_FIRST_FOOL, GOAL_START = 1.05, 0.75, 2.6
GOAL_ALONE, GOAL_AT_ONCE = 1.03, 1.15


def in_new_process(code: str) -> tuple[float, float]:
    """Seconds that a fresh interpreter takes for `code`, and the last number that it prints (0 if it prints none)."""
    begin = time.perf_counter()
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    seconds = time.perf_counter() - begin
    return seconds, float(printed.split()[-1]) if printed.split() else 0.0


def interleaved(functions: list[Callable[[], None]], repeats: int, block: int = 1) -> list[list[float]]:
    """Seconds of a call; the functions take turns, and who begins changes, so that a slow moment hits all alike.

    block: calls in one turn. The loop keeps a forward pass for its next call, and would find it gone from the
    processor's cache if it were called only once a turn.
    """
    seconds = [[] for _ in functions]
    for function in functions:
        function()  # a first call allocates
    for turn in range(repeats):
        for i in range(len(functions)):
            k = (i + turn) % len(functions)
            begin = time.perf_counter()
            for _ in range(block):
                functions[k]()
            seconds[k].append((time.perf_counter() - begin) / block)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median of the ratios of neighbours in time."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def milliseconds(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.1f} ms"


def bus_or_coffee(size: int = 224):
    """The school bus, or the coffee where the drawing has not been made yet, and which of the two."""
    from fooling_utils import load_image

    try:
        return load_image("school_bus", size), "school bus"
    except FileNotFoundError:
        return load_image("coffee", size), "coffee"


def synchronize(images) -> None:
    """Wait for a GPU."""
    import torch

    if images.is_cuda:
        torch.cuda.synchronize()


def bare_passes(model, images, targets) -> Callable[[], None]:
    """A forward and a backward pass to the images, for the logits of the targets (N, 1)."""
    import torch

    def bare() -> None:
        leaf = images.detach().requires_grad_()
        torch.autograd.grad(model(leaf).gather(1, targets).sum(), leaf)
        synchronize(images)

    return bare


def loop(batch: int, repeats: int, block: int) -> list[tuple[str, str, str]]:
    """A frame of the loop against a bare forward and backward pass; the prepared network against the plain one."""
    import torch

    from fooling_utils import load_model, optimize_pixels, toward, unit_step

    prepared, plain = load_model(), load_model(prepare=False)
    images = bus_or_coffee()[0].repeat(batch, 1, 1, 1).to(prepared.device)
    target = prepared.index("ostrich")

    def bare(model) -> Callable[[], None]:
        def forward_and_backward() -> None:
            leaf = images.detach().requires_grad_()
            score = model(leaf).log_softmax(1)[:, target].sum()
            torch.autograd.grad(score, leaf)
            synchronize(images)

        return forward_and_backward

    frames = optimize_pixels(prepared, images, toward("ostrich"), step=unit_step(0.3), steps=repeats * block + 5)

    def one_frame() -> None:  # the backward pass and step of the frame before, and the forward pass of this one
        next(frames)
        synchronize(images)

    one_frame()
    in_loop, bare_prepared, bare_plain = interleaved([one_frame, bare(prepared), bare(plain)], repeats, block)
    return [
        (
            f"a frame against a bare forward and backward pass, batch {batch}",
            f"{milliseconds(in_loop)} / {milliseconds(bare_prepared)} = {ratio(in_loop, bare_prepared):.3f}",
            f"at most {GOAL_LOOP}",
        ),
        (
            f"plain network against the prepared one, batch {batch}",
            f"{milliseconds(bare_plain)} / {milliseconds(bare_prepared)} = {ratio(bare_plain, bare_prepared):.2f}",
            f"at least {GOAL_PREPARED}",
        ),
    ]


def class_picture(batch: int, repeats: int) -> list[tuple[str, str, str]]:
    """A frame under each prior of lesson 1, at 224 x 224 pixels, against a bare forward and backward pass."""
    import torch

    from fooling_utils import load_model, optimize_pixels
    from fooling_utils.lessons.lesson1 import TWELVE, priors

    model = load_model()
    labels = TWELVE[:batch]
    targets = torch.tensor([model.index(label) for label in labels], device=model.device)[:, None]
    images = torch.rand(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(model.device)

    bare = bare_passes(model, images, targets)

    def one_frame_of(choices: dict) -> Callable[[], None]:
        frames = optimize_pixels(model, **choices, steps=3 * repeats + 5)

        def one_frame() -> None:
            next(frames)
            synchronize(images)

        one_frame()
        return one_frame

    rows = []
    for name, choices in priors(labels, 224).items():  # one at a time: a loop holds the memory of its last forward pass
        framed, passes = interleaved([one_frame_of(choices), bare], repeats, block=3)
        measured = f"{milliseconds(framed)} / {milliseconds(passes)} = {ratio(framed, passes):.2f}"
        rows.append((f"a frame with the prior {name!r}, batch {batch}", measured, f"at most {GOAL_CLASS_PICTURE}"))
    return rows


def evolution(generations: int) -> list[tuple[str, str, str]]:
    """How much of a generation is bare forward passes, once the painters have grown for some generations."""
    import torch

    from fooling_utils import cppn, evolve, load_model, round_to_8bit

    model, encoding = load_model(), cppn()
    archives = evolve(model, encoding, generations=10**6)
    for _ in range(20):
        archive = next(archives)
    images = round_to_8bit(encoding.render(archive.champions(archive.best(16)))).to(model.device)

    def forward() -> None:
        with torch.no_grad():
            model(images).cpu()

    generation, bare = interleaved([lambda: next(archives), forward], generations)
    share = f"{milliseconds(bare)} / {milliseconds(generation)} = {ratio(bare, generation):.2f}"
    return [("share of bare forward passes in a generation of 16 painters", share, f"at least {GOAL_FORWARD}")]


def painters(seconds: float) -> list[tuple[str, str, str]]:
    """What evolution with painters reaches in a given time."""
    from fooling_utils import cppn, evolve, load_model

    begin = time.perf_counter()
    for archive in evolve(load_model(), cppn(), generations=10**6):  # noqa: B007
        if time.perf_counter() - begin > seconds:
            break
    half, sure = ((archive.confidence >= share).sum().item() for share in (0.5, 0.9))
    what = f"classes at 50 % and at 90 %, {seconds:.0f} s of painters"
    return [(what, f"{half} and {sure}, {archive.evaluations} evaluations", "at least 120 and 25 in 90 s")]


def ten_digits() -> list[tuple[str, str, str]]:
    """How long the direct encoding needs for ten digits of 8 x 8 pixels."""
    from fooling_utils import direct, evolve
    from fooling_utils.networks.small import digit_net, digits, fit, frozen

    net, data = digit_net(), digits()
    for _ in fit(net, data.train_images, data.train_labels, epochs=20):
        pass
    model = frozen(net)
    begin = time.perf_counter()
    for archive in evolve(model, direct((1, 8, 8), rate=0.3), population=64, generations=100_000):
        if archive.confidence.min() >= 0.999:
            break
    measured = f"{time.perf_counter() - begin:.1f} s, {archive.evaluations} evaluations"
    return [("until ten digits have 99.9 %, pixels as genes", measured, "at most 60 s")]


def map_of_a_plane(repeats: int) -> list[tuple[str, str, str]]:
    """A whole map through the space of images against the bare forward passes that it needs."""
    import torch

    from fooling_utils import load_image, load_model
    from fooling_utils.regions import on_plane, plane_through, refine_map

    model = load_model()
    images = [load_image(name) for name in ("school_bus", "robin", "coffee")]
    plane = plane_through(*images)
    first = []

    def whole_map() -> None:
        begin = time.perf_counter()
        maps = refine_map(on_plane(model, plane), (-20, 80, -20, 80), 24)
        next(maps)
        first.append(time.perf_counter() - begin)
        for _ in maps:
            pass

    sixteen = torch.cat([images[0], images[1]]).repeat(8, 1, 1, 1)

    def forward() -> None:
        with torch.no_grad():
            for _ in range(24 * 24 // 16):
                model(sixteen)

    mapped, bare = interleaved([whole_map, forward], repeats)
    cost = f"{milliseconds(mapped)} / {milliseconds(bare)}, median ratio {ratio(mapped, bare):.3f}"
    return [
        ("a map of 24 x 24 images against its bare forward passes", cost, f"at most {GOAL_MAP}"),
        ("until a first map is there", f"{statistics.median(first):.2f} s", "about 2 s"),
    ]


def cold_start(repeats: int) -> list[tuple[str, str, str]]:
    """A fresh interpreter until the network is there, beside one that only imports torch."""
    ours, torchs = "import fooling_utils; fooling_utils.load_model()", "import torch"
    seconds = interleaved([lambda: in_new_process(ours), lambda: in_new_process(torchs)], repeats)
    ready, torch_alone = map(statistics.median, seconds)
    return [
        ("cold start: import and load_model()", f"{ready:.1f} s", f"at most {GOAL_START} s"),
        ("cold start: import torch alone", f"{torch_alone:.1f} s, ratio {ratio(*seconds):.2f}", ""),
    ]


PASSES = """
import sys, time
import torch
from fooling_utils import load_image, load_model
model, image = load_model(), load_image("coffee").requires_grad_()
for seconds in map(float, sys.stdin):
    begin, passes = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        torch.autograd.grad(model(image).log_softmax(1)[0, 9], image)
        passes += 1
    print((time.perf_counter() - begin) / passes, flush=True)
"""


def at_once(counts: list[int], rounds: int, seconds: float) -> list[tuple[str, str, str]]:
    """A bare pass in a process alone, with all threads and with a free number of them, and in several processes."""
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    command = [sys.executable, "-c", PASSES]
    fixed = subprocess.Popen(command, env={**free, "OMP_NUM_THREADS": str(os.cpu_count())}, **pipes)
    processes = [subprocess.Popen(command, env=free, **pipes) for _ in range(max(counts))]

    def passes(asked: list[subprocess.Popen]) -> float:
        for process in asked:
            process.stdin.write(f"{seconds}\n")
        return statistics.mean(float(process.stdout.readline()) for process in asked)

    groups = [[fixed], *(processes[:count] for count in [1, *counts])]
    for process in (fixed, *processes):
        passes([process])
    found = [[passes(asked) for asked in groups] for _ in range(rounds)]
    for process in (fixed, *processes):
        process.stdin.close()
        process.wait()
    with_all, alone, *several = zip(*found, strict=True)
    row = f"{milliseconds(alone)} / {milliseconds(with_all)} = {ratio(alone, with_all):.2f}"
    rows = [("a bare pass, threads as cores are free, against all threads", row, f"at most {GOAL_ALONE}")]
    for count, times in zip(counts, several, strict=True):
        share = [count * one for one in alone]
        row = f"{milliseconds(times)} / {milliseconds(share)} = {ratio(times, share):.2f}"
        rows.append((f"{count} processes at once, against their fair share", row, f"at most {GOAL_AT_ONCE}"))
    return rows


def ostrich() -> list[tuple[str, str, str]]:
    """Frames and seconds of the example of the README."""
    from fooling_utils import load_model, optimize_pixels, run_until, toward

    model = load_model()
    image, name = bus_or_coffee()
    begin = time.perf_counter()
    reached = run_until(optimize_pixels(model, image.to(model.device), toward("ostrich")), "ostrich", 0.99)
    seconds = time.perf_counter() - begin
    return [(f"until the {name} is an ostrich with more than 99 %", f"{reached.frames[0]} frames, {seconds:.1f} s", "")]


def pictures_and_targets(targets: int):
    """Each of the seven pictures of lesson 2 with as many random targets, the same ones in every run."""
    import torch

    from fooling_utils import load_image, load_model
    from fooling_utils.data.make import LESSON_2_PICTURES

    model = load_model()
    images = torch.cat([load_image(name) for name in LESSON_2_PICTURES for _ in range(targets)]).to(model.device)
    present = model.probabilities(images).argmax(1).tolist()
    generator = torch.Generator().manual_seed(0)
    others = [int(torch.randint(len(model.labels) - 1, (), generator=generator)) for _ in present]
    return model, images, [other + (other >= now) for other, now in zip(others, present, strict=True)]


def smallest_changes(budgets: list[int], targets: int) -> list[tuple[str, str, str]]:
    """How small the change becomes with so many gradients, and how many images fool, then and as saved files."""
    import torch

    from fooling_utils import round_to_8bit, smallest_change
    from fooling_utils.attacks.ddn import ddn

    model, images, goals = pictures_and_targets(targets)
    wanted = torch.tensor(goals, device=model.device)

    def judged(results) -> tuple[str, float]:
        size = (results - images).flatten(1).norm(dim=1)
        fools = model.probabilities(results).argmax(1) == wanted
        saved = model.probabilities(round_to_8bit(results.clamp(0, 1))).argmax(1) == wanted
        median = size[fools].median().item()
        return f"L2 {median:.3f}, {fools.sum()} and {saved.sum()} of {len(images)} fool", median

    rows = []
    for steps in budgets:
        one_by_one = zip(images.split(1), goals, strict=True)
        peer, peers = judged(torch.cat([ddn(model, image, goal, steps=steps) for image, goal in one_by_one]))
        rows.append((f"DDN, every image rounded, {steps} gradients", peer, ""))
        for eight_bit in (True, False):
            found, ours = judged(smallest_change(model, images, goals, steps=steps, eight_bit=eight_bit))
            beside = f" ({ours / peers:.2f} of DDN)" if eight_bit else ""
            rows.append((f"smallest change, {steps} gradients, {eight_bit=}", found + beside, ""))
    return rows


def first_fool(targets: int) -> list[tuple[str, str, str]]:
    """Gradients until the target leads, with a change not larger than that of the plain steps when it leads there."""
    from fooling_utils import optimize_pixels, smallest_change_frames, toward, unit_step

    model, images, goals = pictures_and_targets(targets)
    plain, ours = [], []
    for image, goal in zip(images.split(1), goals, strict=True):
        for frame in optimize_pixels(model, image, toward(goal), step=unit_step(0.3), steps=200):
            if frame.logits.argmax() == goal:
                break
        size = (frame.image - image).norm().item()
        plain.append(frame.index)
        found = smallest_change_frames(model, image, goal, steps=50, eight_bit=False)
        # a frame counts the gradient at the image that was tried, too, which was not needed to find it
        ours.append(next((one.gradients - 1 for one in found if one.size.item() <= size), 50))
    middle, beside = statistics.median(ours), statistics.median(plain)
    measured = f"{middle:g} / {beside:g} gradients = {middle / beside:.2f}"
    return [("until the target leads, against plain steps of 0.3", measured, f"at most {GOAL_FIRST_FOOL}")]


def gradient_of_the_search(batch: int, steps: int) -> list[tuple[str, str, str]]:
    """A gradient of `smallest_change` against a bare forward and backward pass."""
    import torch

    from fooling_utils import smallest_change_frames

    model, images, goals = pictures_and_targets(-(-batch // 7))
    images, goals = images[:batch], goals[:batch]
    targets = torch.tensor(goals, device=model.device)[:, None]

    bare = bare_passes(model, images, targets)

    rows = []
    for eight_bit in (True, False):
        frames = smallest_change_frames(model, images, goals, steps=10 * steps, eight_bit=eight_bit)

        def one_frame(frames=frames) -> None:
            next(frames)
            synchronize(images)

        searched, passes = interleaved([one_frame, bare], steps, block=2)
        measured = f"{milliseconds(searched)} / {milliseconds(passes)} = {ratio(searched, passes):.3f}"
        what = f"a gradient of the smallest change against a bare pass, batch {batch}, {eight_bit=}"
        rows.append((what, measured, f"at most {GOAL_GRADIENT}"))
    return rows


MEMORY = """
import threading, time
import psutil
from fooling_utils import load_model, optimize_pixels, toward, uniform_noise
resident = lambda: psutil.Process().memory_info().rss / 2**20
model = load_model(device="cpu")
images = uniform_noise({batch}, device="cpu")
before, sizes, running = resident(), [0], True
def watch():
    while running:
        sizes.append(resident())
        time.sleep(0.001)
thread = threading.Thread(target=watch)
thread.start()
for frame in optimize_pixels(model, images, toward("ostrich"), steps={frames} - 1):
    pass
running = False
thread.join()
print(max(sizes) - before)
"""


def memory(frame_counts: list[int], batch_sizes: list[int], frames: int) -> list[tuple[str, str, str]]:
    """How far resident memory rises over that of the loaded network, each in a process of its own."""
    rows = []
    for count in frame_counts:
        grown = in_new_process(MEMORY.format(batch=1, frames=count))[1]
        rows.append((f"memory of {count} frames, batch 1", f"{grown:.0f} MiB", "flat"))
    for batch in batch_sizes:
        grown = in_new_process(MEMORY.format(batch=batch, frames=frames))[1]
        row = f"memory of batch {batch}, {frames} frames"
        rows.append((row, f"{grown:.0f} MiB, {grown / batch:.0f} per image", "linear"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats: a minute, and rougher numbers")
    quick = parser.parse_args().quick

    import torch

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, Python {sys.version.split()[0]}\n")
    print("| what | measured | goal |\n|---|---:|---|", flush=True)
    sections = [
        lambda: loop(1, 8 if quick else 40, block=5),
        lambda: loop(16, 2 if quick else 10, block=2),
        lambda: class_picture(1, 4 if quick else 20),
        lambda: class_picture(12, 1 if quick else 5),
        lambda: evolution(3 if quick else 40),
        lambda: painters(10 if quick else 90),
        ten_digits,
        lambda: map_of_a_plane(1 if quick else 5),
        lambda: smallest_changes([20] if quick else [20, 50, 100], 1 if quick else 2),
        lambda: first_fool(1 if quick else 2),
        lambda: gradient_of_the_search(16, 2 if quick else 10),
        lambda: cold_start(1 if quick else 5),
        lambda: at_once([2, 4], 1 if quick else 5, 4),
        ostrich,
        lambda: memory([10, 50] if quick else [10, 50, 100], [1, 4] if quick else [1, 4, 8, 16], 3),
    ]
    for section in sections:
        for row in section():
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
