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
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "widgets"))

from test_browser_canvas import CELLS, Canvas

from browsing import chromium, open_notebook, served

GOAL_FRAMES, GOAL_CLICK = 20, 100  # per second, milliseconds

WATCH = """() => {
  const root = document.querySelector('.fool.plane');
  window.seen = { frames: [], clicks: [], answers: [] };
  let known = root.plane().known.length;
  new MutationObserver(() => {
    window.seen.frames.push(performance.now());
    if (root.plane().known.length !== known) window.seen.answers.push(performance.now());
    known = root.plane().known.length;
  }).observe(root, { attributeFilter: ['data-drawn'] });
  root.addEventListener('pointerdown', event => window.seen.clicks.push(event.timeStamp), true);
}"""


def clicks(canvas: Canvas, count: int, y: float) -> list[float]:
    """Milliseconds from each click on a free place, along a row, to its picture."""
    canvas.page.evaluate("() => { window.seen.clicks = []; window.seen.answers = []; }")
    before = len(canvas.state()["points"])
    for number in range(count):
        canvas.click(-1.1 + 2.2 * number / count, y)
        canvas.until(f"s.known.length === {before + number + 1}")
        canvas.page.wait_for_timeout(150)
    seen = canvas.page.evaluate("window.seen")
    return [answer - click for click, answer in zip(seen["clicks"], seen["answers"], strict=True)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, served(Path(folder), CELLS) as address:
        canvas = Canvas(open_notebook(browser, address, 1))
        canvas.page.evaluate(WATCH)
        rest = clicks(canvas, 20, -1.1)
        canvas.button("Play").click()
        canvas.until("s.steps > 50")
        canvas.page.evaluate("() => { window.seen.frames = []; }")
        canvas.page.wait_for_timeout(8000)
        times = canvas.page.evaluate("window.seen.frames")
        playing = clicks(canvas, 20, -1.2)
        canvas.button("Pause").click()
    gaps = [after - before for before, after in pairwise(times)]
    mean = 1000 * len(gaps) / (times[-1] - times[0])
    print("| what | median | goal |\n|---|---:|---|")
    print(f"| frames per second | {1000 / statistics.median(gaps):.1f} (mean {mean:.1f}) | at least {GOAL_FRAMES} |")
    for name, values in {"at rest": rest, "while it plays": playing}.items():
        worst = f"{statistics.median(values):.0f} ms (slowest {max(values):.0f})"
        print(f"| from a click to its picture, {name} | {worst} | at most {GOAL_CLICK} ms |")


if __name__ == "__main__":
    main()
