"""Measure the player in a browser tab: python tests/benchmarks/web.py [FOLDER]

FOLDER is what `python -m fooling_utils.web FOLDER` wrote; without it, a folder is built. Prints what the pages load and
when, the time until the first picture moves, frames a second beside bare runs of the network, and memory.
"""

import functools
import statistics
import sys
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from browsing import SECONDS, chromium
from fooling_utils.web import build

GOAL_FIRST, GOAL_RATIO = 5, 0.8  # seconds, of the rate of bare runs
ROUNDS, FRAMES = 10, 8
BARE = """
const { load } = await import(BASE + "network.js");
const { traits, sizes } = await (await fetch(BASE + "player.json")).json();
const made = await load({ sizes, classes: traits.names.length, size: 224 }, () => {});
const image = new Float32Array(3 * 224 * 224).fill(0.5);
self.onmessage = async ({ data: count }) => {
  for (let k = 0; k < count; k++) await made.run(image, 9);
  self.postMessage("done");
};
self.postMessage("done");
"""
SPEED = """async ([bare, rounds, frames]) => {
  const base = new URL(".", location.href).href;
  const script = new Blob([`const BASE = ${JSON.stringify(base)};${bare}`], { type: "text/javascript" });
  const alone = new Worker(URL.createObjectURL(script), { type: "module" });
  const player = new Worker("player_worker.js", { type: "module" });
  const told = (worker) => new Promise((resolve) => {
    worker.onmessage = ({ data }) => data.progress || resolve(data);
  });
  const ask = (ask, values = {}) => {
    player.postMessage({ question: { id: 1, ask, with: values }, buffers: [] });
    return told(player);
  };
  await told(alone);
  await ask("begin");
  const found = { bare: [], player: [] };
  const timed = async (kind, act) => {
    const before = performance.now();
    await act();
    found[kind].push((performance.now() - before) / frames);
  };
  for (let k = 0; k < rounds; k++) {
    await timed("bare", () => { alone.postMessage(frames); return told(alone); });
    await timed("player", async () => { for (let n = 0; n < frames; n += 4) await ask("frames", { count: 4 }); });
  }
  return found;
}"""


class Quiet(SimpleHTTPRequestHandler):
    """The server of `python -m http.server`, without its log."""

    def log_message(self, *_args):
        """Nothing."""


def loaded(page, address: str) -> tuple[int, int, int]:
    """Bytes until the page is there, and until its player moves; and the number of its files."""
    sizes = []
    page.on("response", lambda answer: sizes.append(int(answer.headers.get("content-length", 0))))
    page.goto(address)
    first = sum(sizes)
    move(page)
    return first, sum(sizes), len(sizes)


def move(page) -> None:
    page.locator(".fool.player").get_by_role("button", name="▶ play").click()
    page.locator(".fool.player:not([data-frame='0'])").wait_for()


def opening(page, address: str) -> float:
    begin = time.perf_counter()
    page.goto(address)
    move(page)
    return time.perf_counter() - begin


def memory(browser) -> str:
    """The most memory that a page's process has had."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    peaks = []
    for one in found:
        status = Path(f"/proc/{one['id']}/status")
        if one["type"] == "renderer" and status.exists():
            peaks += [int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return f"{max(peaks) / 1024:.0f} MiB" if peaks else "unknown on this system"


def measure(site: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(120 * SECONDS)
        page = context.new_page()
        first, all_of_it, files = loaded(page, f"{address}fool.html")
        peak = memory(browser)
        page.close()
        page = context.new_page()
        seconds = [opening(page, f"{address}fool.html") for _ in range(3)]
        page.close()
        page = context.new_page()
        page.goto(f"{address}app/asking.js")
        found = page.evaluate(SPEED, [BARE, ROUNDS, FRAMES])
    server.shutdown()
    ratio = statistics.median(bare / each for bare, each in zip(found["bare"], found["player"], strict=True))
    bare, each = (statistics.median(found[kind]) for kind in ("bare", "player"))
    print("| what | found | goal |\n|---|---:|---|")
    print(f"| fool.html before its network | {first / 1e6:.2f} MB | |")
    print(f"| with it, until the picture moves ({files} files) | {all_of_it / 1e6:.1f} MB | |")
    for path in sorted((site / "app").rglob("*"), key=lambda path: -path.stat().st_size)[:3]:
        print(f"| of this {path.relative_to(site).as_posix()} | {path.stat().st_size / 1e6:.1f} MB | |")
    print(f"| from opening to the first moving picture, files in the cache | {min(seconds):.1f} s (three times: "
          f"{', '.join(f'{one:.1f}' for one in seconds)}) | at most {GOAL_FIRST} s |")  # fmt: skip
    print(f"| frames per second of the player's worker | {1000 / each:.1f} | |")
    print(f"| of the rate of bare runs ({bare:.0f} ms each) | {ratio:.2f} | at least {GOAL_RATIO} |")
    print(f"| most memory of the tab's process | {peak} | |")


def main() -> None:
    if len(sys.argv) > 1:
        return measure(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        measure(build(Path(folder) / "site"))


if __name__ == "__main__":
    main()
