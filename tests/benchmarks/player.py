"""Measure the fooling player in a real browser: python tests/benchmarks/player.py

Prints frames per second at 224 x 224 in JupyterLab, beside the bare forward and backward passes of the same kernel, and
the time from a click on "one step" to its picture. Close what else is running.
"""

import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from browsing import chromium, open_notebook, served
from driving import Player

GOAL_FRAMES, GOAL_RATIO, GOAL_CLICK = 12, 0.8, 200  # per second, of the bare passes, milliseconds
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
for _ in range(60):
    bare()
print(f"bare {1000 * (time.perf_counter() - begin) / 60:.3f} ms")
"""
CELLS = [f"{BARE}\nwidgets.FoolingPlayer(model, until=2)", BARE]  # 2: it never arrives
WATCH = """() => {
  const root = document.querySelector('.player');
  window.seen = [];
  new MutationObserver(() => window.seen.push(performance.now())).observe(root, { attributeFilter: ['data-drawn'] });
}"""


def bare_milliseconds(page) -> list[float]:
    found = page.locator(".jp-OutputArea-output pre").all_inner_texts()
    return [float(text.split()[1]) for text in found if text.startswith("bare")]


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
        player.root.get_by_role("button", name="play").click()
        player.until("s.index > 40")
        page.evaluate("() => { window.seen.length = 0; }")
        page.wait_for_timeout(10_000)
        times = page.evaluate("window.seen.slice()")
        player.root.get_by_role("button", name="pause").click()
        player.until("!s.playing")
        page.locator(".jp-CodeCell .cm-content").nth(1).click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_function("document.body.innerText.match(/^bare \\d/gm).length > 1")
        bare = bare_milliseconds(page)
    gaps = [after - before for before, after in pairwise(times)]
    rate = 1000 * len(gaps) / (times[-1] - times[0])
    ratio = rate * statistics.mean(bare) / 1000
    print("| what | found | goal |\n|---|---:|---|")
    print(f"| frames per second | {rate:.1f} (median {1000 / statistics.median(gaps):.1f}) | at least {GOAL_FRAMES} |")
    before, after = (f"{one:.1f}" for one in bare)
    print(f"| of the rate of bare passes ({before} and {after} ms) | {ratio:.2f} | at least {GOAL_RATIO} |")
    worst = f"{statistics.median(clicks):.0f} ms (slowest {max(clicks):.0f})"
    print(f"| from a click on one step to its picture | {worst} | at most {GOAL_CLICK} ms |")


if __name__ == "__main__":
    main()
