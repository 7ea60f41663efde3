"""Measure the fooling player in a real browser: python tests/benchmarks/player.py

Prints frames per second at 224 x 224 in JupyterLab, beside the bare forward and backward passes of the same kernel, in
turns, and the time from a click on "one step" to its picture. Close what else is running.
"""

import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from browsing import chromium, open_notebook, served
from driving import Player

GOAL_FRAMES, GOAL_RATIO, GOAL_CLICK = 12, 0.85, 200  # per second, of the bare passes, milliseconds
ROUNDS, SECONDS = 6, 5  # of playing, between bare passes
BARE = """
import time
import torch
from fooling_utils import load_image, load_model, widgets

model, index = load_model(), 9
image = load_image("school_bus").requires_grad_()

def bare():
    torch.autograd.grad(model(image).log_softmax(1)[0, index], image)

for _ in range(5):
    bare()
begin = time.perf_counter()
for _ in range(40):
    bare()
print(f"bare {1000 * (time.perf_counter() - begin) / 40:.3f} ms")
"""
CELLS = [f"{BARE}\nwidgets.FoolingPlayer(model, until=1)", BARE]  # it never has more
WATCH = """() => {
  const root = document.querySelector('.player');
  window.seen = [];
  new MutationObserver(() => window.seen.push(performance.now())).observe(root, { attributeFilter: ['data-drawn'] });
}"""


def bare_milliseconds(page, cell: int, run: int) -> float:
    """What a cell prints when it is the `run`-th that runs."""
    code = page.locator(".jp-CodeCell").nth(cell)
    code.get_by_text(f"[{run}]:").wait_for(timeout=60_000)
    return float(code.locator(".jp-OutputArea-output pre").first.inner_text().split()[1])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, served(Path(folder), CELLS) as address:
        page = open_notebook(browser, address, 1)
        player = Player(page)
        page.evaluate(WATCH)
        clicks = []
        for number in range(20):
            begin = page.evaluate("performance.now()")
            player.root.get_by_role("button", name="one step").click()
            player.until(f"s.index === {number + 1}")
            clicks.append(page.evaluate("window.seen.at(-1)") - begin)
            player.until(f"s.saved && s.saved.index === {number + 1}")
        rounds, bare = [], [bare_milliseconds(page, 0, 1)]
        for number in range(ROUNDS):
            player.root.get_by_role("button", name="play").click()
            page.wait_for_timeout(1000)
            page.evaluate("() => { window.seen.length = 0; }")
            page.wait_for_timeout(1000 * SECONDS)
            rounds.append(page.evaluate("window.seen.slice()"))
            player.root.get_by_role("button", name="pause").click()
            player.until("!s.playing")
            player.idle()
            page.locator(".jp-CodeCell .cm-content").nth(1).click()
            page.keyboard.press("Control+Enter")
            bare.append(bare_milliseconds(page, 1, number + 2))
    rates = [1000 * (len(times) - 1) / (times[-1] - times[0]) for times in rounds]
    ratios = [rate * statistics.mean(around) / 1000 for rate, around in zip(rates, pairwise(bare), strict=True)]
    print("| what | found | goal |\n|---|---:|---|")
    print(f"| frames per second | {statistics.median(rates):.1f} | at least {GOAL_FRAMES} |")
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds)"
    print(f"| of the rate of bare passes ({statistics.median(bare):.1f} ms) | {spread} | at least {GOAL_RATIO} |")
    worst = f"{statistics.median(clicks):.0f} ms (slowest {max(clicks):.0f})"
    print(f"| from a click on one step to its picture | {worst} | at most {GOAL_CLICK} ms |")


if __name__ == "__main__":
    main()
