"""Measure the lecture in a real browser: python tests/benchmarks/lecture.py [--warming]

Goes through all scenes of the six pages, presses the first key that INSTRUCTOR's tables name for each, and prints the
milliseconds until a picture, map or canvas of the scene has changed (a question without one: its words). With --warming
each key is pressed while another visitor's kernel starts. Close what else is running.
"""

import argparse
import re
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from browsing import chromium
from fooling_utils import lecture
from lecturing import KEYS, lecture_of, open_page, table

GOAL = 200  # milliseconds
TABLES = ("The lecture, 50 minutes", "Twenty minutes more: can it be mended?")
OTHERS = {  # scenes that the tables leave out
    ("Start here", 1): "1", ("Fooling from noise", 3): "Right", ("Fooling from noise", 5): "Space",
    ("Decision boundaries", 6): "Right",
}  # fmt: skip
QUIET = 1500  # milliseconds before a key, for what the scene draws at first
WARMED, WARM_FOR = "01_class_visualization.ipynb", 3000  # by another visitor, and milliseconds before the key
AT_ONCE = 2  # seconds within which only a kernel that waited for its visitor gives a page
# The time of the key, and of the first frame in which a pixel is another one, or a word where there is no picture.
WATCH = """() => {
  const cells = [...document.querySelectorAll(".now")];
  const pictures = cells.flatMap((cell) => [...cell.querySelectorAll("canvas, img")]);
  const drawn = pictures.filter((one) => one.checkVisibility());
  const hash = (one) => {
    if (one.matches("img")) return one.src;
    if (!one.width) return 0;
    const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
    return new Uint32Array(data.buffer).reduce((sum, value) => (Math.imul(sum, 31) + value) | 0, 7);
  };
  const look = () => (drawn.length ? drawn.map(hash) : cells.map((cell) => cell.innerText)).join();
  const words = () => cells.map((cell) => cell.innerText).join();
  const [before, wordsBefore] = [look(), words()];
  window.found = new Promise((resolve) => {
    window.addEventListener("keydown", ({ timeStamp }) => {
      let first = null;
      const frame = () => {
        const now = performance.now() - timeStamp;
        if (first === null && words() !== wordsBefore) first = now;
        if (look() !== before) return resolve([now, drawn.length > 0]);
        return now < 3000 ? requestAnimationFrame(frame) : resolve([first, false]);
      };
      requestAnimationFrame(frame);
    }, { capture: true, once: true });
  });
}"""


def first_keys() -> dict[tuple[str, int], str]:
    """For each scene the first key, by the name of its page and its number."""
    found = dict(OTHERS)
    for title in TABLES:
        for page, scene, keys in table(title):
            found.setdefault((page, scene), keys[0].removesuffix(" ..."))
    return found


def warm_another(served) -> None:
    """What another visitor asks for: a page whose kernel is not warm yet; when it is, it is ended."""
    begin = time.monotonic()
    while time.monotonic() < begin + AT_ONCE:  # the first one was warm already
        kernel = re.search(r'"kernelId": "([\w-]+)"', served.page(WARMED))[1]
        served.ask(f"voila/api/shutdown/{kernel}", method="POST", data=b"")


def measure(page, key: str, served=None) -> tuple[float, bool]:
    """Milliseconds from a key to what it draws, and whether that is a picture; with `served`, while a kernel starts."""
    page.wait_for_timeout(QUIET)
    page.evaluate(WATCH)
    other = threading.Thread(target=warm_another, args=(served,)) if served else None
    if other:
        other.start()
        page.wait_for_timeout(WARM_FOR)
    page.keyboard.press(KEYS.get(key, key))
    found = page.evaluate("window.found")
    if other:
        other.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warming", action="store_true", help="press each key while another visitor's kernel starts")
    parser.add_argument("--pages", default="", help="only pages whose file begins with one of these, such as 02,04")
    choices = parser.parse_args()
    wanted = tuple(choices.pages.split(",")) if choices.pages else ("",)
    keys, rows = first_keys(), []
    with chromium() as browser, lecture_of(lecture.PAGES, "--port", "8940") as served:
        for file, name, _ in lecture.find_pages(lecture.PAGES):
            if not file.startswith(wanted):
                continue
            page = open_page(browser, served, file)
            for scene in range(1, page.locator("#rendered_cells h1").count() + 1):
                if (name, scene) in keys:
                    key = keys[name, scene]
                    rows.append((*measure(page, key, served if choices.warming else None), name, scene, key))
                    print(f"{rows[-1][0] or -1:6.0f} ms  {name} {scene}, {key}", file=sys.stderr, flush=True)
                page.keyboard.press("Escape")
                page.keyboard.press("PageDown")
            page.close()
    for what, is_picture in (("picture", True), ("words, where there is no picture", False)):
        times = sorted(((ms, f"{name} {scene}, {key}") for ms, drawn, name, scene, key in rows if drawn == is_picture))
        if times:
            print(f"from the first key to its {what}: {len(times)} scenes, median "
                  f"{statistics.median(ms for ms, _ in times):.0f} ms, goal {GOAL}")  # fmt: skip
            print("\n".join(f"{ms:6.0f} ms  {where}" for ms, where in times[:-6:-1]))


if __name__ == "__main__":
    main()
