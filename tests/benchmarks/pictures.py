"""Any folder of pictures through `load_image`: what is read, what is refused with which sentence, and what goes wrong.

    python tests/benchmarks/pictures.py FOLDER...

Every file is read in a process of its own kind, which is replaced when it dies, is too slow or takes too much memory.
"""

import argparse
import json
import resource
import select
import subprocess
import sys
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

KINDLY = (ValueError, TypeError, FileNotFoundError, ConnectionError, PermissionError, IsADirectoryError)
READ, REFUSED, BAD = "read", "refused", "BAD"


def peak_megabytes() -> float:
    """The largest resident memory since `forget_peak`; where the system cannot forget, since the process began."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def forget_peak() -> None:
    """Count the peak from here on (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def work() -> None:
    """Read paths from standard input, and write what happened to each."""
    from fooling_utils import load_image

    load_image("coffee", device="cpu")  # so that no picture pays for the imports
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        path = json.loads(line)
        forget_peak()
        before, start = peak_megabytes(), time.monotonic()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                image = load_image(Path(path), device="cpu")
                right = tuple(image.shape) == (1, 3, 224, 224) and 0 <= image.min() <= image.max() <= 1
                found = (READ, "") if right else (BAD, f"an image of shape {tuple(image.shape)}")
            except KINDLY as error:
                found = REFUSED, str(error).replace(path, "FILE")
            except BaseException as error:
                found = BAD, f"{type(error).__name__}: {error}"
        if caught:
            found = BAD, f"a warning: {caught[0].message}"
        print(json.dumps([*found, time.monotonic() - start, peak_megabytes() - before]), flush=True)


class Reader:
    """A process that reads pictures; a new one when it is lost."""

    def __init__(self, seconds: float):
        self.seconds, self.process = seconds, None

    def _answer(self, seconds: float):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else None
        return json.loads(line) if line else (BAD, "the process died" if ready else f"took over {seconds:g} s", 0, 0)

    def read(self, path: Path) -> tuple[str, str, float, float]:
        """What happened to one file, in words, how long it took (s) and how much memory it needed (MB)."""
        if self.process is None or self.process.poll() is not None:
            command = [sys.executable, __file__, "--work"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._answer(120)
        self.process.stdin.write(json.dumps(str(path)) + "\n")
        self.process.stdin.flush()
        found = self._answer(self.seconds)
        if found[1].startswith(("the process died", "took over")):
            self.process.kill()
            self.process.wait()
        return tuple(found)


def main() -> None:
    """Print a table by ending, the sentences of refusal, and every file that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=20, help="the longest for one picture (default: 20)")
    parser.add_argument("--megabytes", type=float, default=500, help="the most memory for one (default: 500)")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work()
    files = sorted(path for folder in options.folders for path in folder.rglob("*") if path.is_file())
    if not files:
        parser.error("there is no file in these folders")
    reader, table, sentences, wrong = Reader(options.seconds), defaultdict(Counter), Counter(), []
    slowest, largest = (0, ""), (0, "")
    for path in files:
        outcome, text, seconds, megabytes = reader.read(path)
        if megabytes > options.megabytes:
            outcome, text = BAD, f"{megabytes:.0f} MB of memory"
        table[path.suffix.lower()][outcome] += 1
        slowest, largest = max(slowest, (seconds, path.name)), max(largest, (megabytes, path.name))
        if outcome == REFUSED:
            sentences[text] += 1
        if outcome == BAD:
            wrong.append(f"{path}: {text[:200]}")
    print(f"{'ending':<10}{READ:>9}{REFUSED:>9}{BAD:>9}")
    total = sum(table.values(), Counter())
    for ending, counts in [*sorted(table.items(), key=lambda row: -row[1].total()), ("all", total)]:
        print(f"{ending:<10}" + "".join(f"{counts[outcome]:>9}" for outcome in (READ, REFUSED, BAD)))
    print(f"\nslowest: {slowest[0]:.1f} s, {slowest[1]}; most memory: {largest[0]:.0f} MB, {largest[1]}")
    print("\nrefused, the most frequent sentences:")
    for text, count in sentences.most_common(25):
        print(f"{count:>5}  {text[:200]}")
    print("\nwhat went wrong:" if wrong else "\nnothing went wrong")
    print("\n".join(wrong))


if __name__ == "__main__":
    main()
