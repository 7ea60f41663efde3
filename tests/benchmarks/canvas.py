"""Measure the canvas of lesson 4 in a real browser: python tests/benchmarks/canvas.py

Prints frames per second while it trains (100 x 100 cells, 32 hidden units, 90 points), and the time from a click to the
picture of Python's answer to it, while it rests and while it plays. Close what else is running.
"""

import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from test_browser import CELLS, Plane, open_lab

from browsing import chromium, served

GOAL_FRAMES, GOAL_CLICK = 20, 100  # per second, milliseconds

WATCH = """() => {
  const root = document.querySelector('.plane');
  window.seen = { frames: [], clicks: [], answers: [] };
  let version = root.dataset.version;
  new MutationObserver(() => {
    window.seen.frames.push(performance.now());
    if (root.dataset.version !== version) window.seen.answers.push(performance.now());
    version = root.dataset.version;
  }).observe(root, { attributes: true, attributeFilter: ['data-drawn'] });
  root.addEventListener('pointerdown', event => window.seen.clicks.push(event.timeStamp), true);
}"""


def clicks(plane: Plane, count: int, y: float) -> list[float]:
    """Milliseconds from each click on a free place, along a row, to its picture."""
    plane.page.evaluate("() => { window.seen.clicks = []; window.seen.answers = []; }")
    before = len(plane.state()["points"])
    for number in range(count):
        plane.click(-1.1 + 2.2 * number / count, y)
        plane.until(f"s.points.length === {before + number + 1}")
        plane.page.wait_for_timeout(150)
    seen = plane.page.evaluate("window.seen")
    return [answer - click for click, answer in zip(seen["clicks"], seen["answers"], strict=True)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, served(Path(folder), CELLS) as address:
        plane = Plane(open_lab(browser, address, cells=1))
        plane.page.evaluate(WATCH)
        rest = clicks(plane, 20, -1.1)
        plane.button("Play")
        plane.until("s.steps > 50")
        plane.page.evaluate("() => { window.seen.frames = []; }")
        plane.page.wait_for_timeout(8000)
        times = plane.page.evaluate("window.seen.frames")
        playing = clicks(plane, 20, -1.2)
        plane.button("Pause")
    gaps = [after - before for before, after in pairwise(times)]
    mean = 1000 * len(gaps) / (times[-1] - times[0])
    print("| what | median | goal |\n|---|---:|---|")
    print(f"| frames per second | {1000 / statistics.median(gaps):.1f} (mean {mean:.1f}) | at least {GOAL_FRAMES} |")
    for name, values in {"at rest": rest, "while it plays": playing}.items():
        worst = f"{statistics.median(values):.0f} ms (slowest {max(values):.0f})"
        print(f"| from a click to its picture, {name} | {worst} | at most {GOAL_CLICK} ms |")


if __name__ == "__main__":
    main()
