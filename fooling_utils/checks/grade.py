"""Grade a folder of notebooks: python -m fooling_utils.checks.grade FOLDER --out grades.csv

One row for each exercise of each notebook: right, wrong, not attempted, answered (in words, for a person to read), or
what is wrong with the notebook: damaged, hangs, crashes, tampered. Each notebook gets its own kernel and its own empty
folder, and its cells run with the checks that are installed here. Stored outputs do not count.

**This executes the students' code.** It runs with your rights: it can read your files and use your network, and a
determined student can fool the checks. Separate processes do not protect you: use a container, or an otherwise empty
account.
"""

import argparse
import csv
import json
import math
import os
import re
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import nbformat
from tqdm.auto import tqdm

from .cells import Cell, answer_cells, check_cell, checked, exercises_in, may_answer, may_matter, needed, read_cell
from .exercises import ANSWERED, NOT_ATTEMPTED, RIGHT, WRONG, Exercise
from .kernel import ABSENT, CRASHES, HANGS, LONGEST, TAMPERED, Kernel, told

try:
    import resource
except ImportError:  # Windows
    resource = None

DAMAGED = "damaged"
LARGEST = 100_000_000  # bytes; a larger notebook is not read
MOST_TIME = 10  # times the seconds for one cell: what all cells of a notebook may take if all have to be run
LIMITS_MEMORY = sys.platform == "linux" and resource is not None
MEMORY = "4GB" if LIMITS_MEMORY else "none"
DANGEROUS = "=+-@\uff1d\uff0b\uff0d\uff20"  # what begins like this is a formula, also with a full-width sign


class Row(NamedTuple):
    """One line of the table: the notebook's path, the exercise's number, the result, a message."""

    notebook: str
    exercise: str
    result: str
    message: str = ""


class Total(NamedTuple):
    """One line of the summary: how many answers of a notebook are right, wrong, open, in words, failed, tampered with.

    failed: damaged, hangs or crashes.
    """

    notebook: str
    right: int
    wrong: int
    open: int
    words: int
    failed: int
    tampered: int


# -------------------------------------------------------------------------------------------------- one notebook's file


def _bytes(path: Path) -> bytes:
    # Opened without waiting, since a pipe as a notebook would wait for ever, and read to the limit, whatever it says.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST / 1e6:.0f} MB: clear its outputs and save it again")
    if not data.strip():
        raise ValueError("it is empty")
    return data


def _clean(text: str) -> str:
    # Without halves of characters, which no file takes.
    return text.encode("utf-8", "replace").decode()


def read_notebook(path: Path) -> list[Cell]:
    """Read the code cells of the notebook at `path`; whatever is wrong with the file raises an error."""
    data = _bytes(path)
    text = data.decode(json.detect_encoding(data), "surrogatepass")
    found = json.loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("cells", found.get("worksheets")), list):
        raise ValueError("it has no list of cells")
    if found.get("nbformat") != 4:  # an old one, which has other fields
        found = nbformat.reads(text, as_version=4)
    cells = []
    for cell in found["cells"]:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source, marks = cell.get("source"), cell.get("metadata")
        marks = marks.get("nbgrader") if isinstance(marks, dict) else None
        names = [cell.get("id"), marks.get("grade_id") if isinstance(marks, dict) else None]
        name = next((name for name in reversed(names) if isinstance(name, str)), "")
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if isinstance(source, str):
            cells.append(read_cell(_clean(source), name))
        else:
            kind = "nothing" if source is None else f"a {type(source).__name__}"
            cells.append(Cell("", name, error=f"damaged: it holds {kind} instead of text"))
    return cells


# ------------------------------------------------------------------------------------------------------ one notebook


class Found(NamedTuple):
    """What came out of one run: a verdict for each exercise, and by position what was wrong with cells."""

    verdicts: dict[str, dict]
    problems: dict[int, str]


class _Run:
    # The cells of a notebook, run in order; each exercise is judged at its check, and at the end if it is not right.

    def __init__(self, cells: Sequence[Cell], exercises: Sequence[Exercise], timeout: float, memory: int):
        self.cells, self.exercises, self.timeout, self.memory = cells, exercises, timeout, memory
        self.checks = {entry.number: check_cell(cells, entry) for entry in exercises}
        self.answers = {entry.number: answer_cells(cells, entry) for entry in exercises}

    def run(self, positions: Iterable[int], numbers: Iterable[str], most: float = math.inf) -> Found:
        """Run the cells at `positions` and judge exercises. What ends a kernel is left out in a new one."""
        self.verdicts, self.problems, self.most = {}, {}, most
        self.positions, self.numbers = sorted(positions), list(numbers)
        self.left_out, self.final = set(), set()
        while True:
            known = len(self.left_out) + len(self.final)
            with (
                tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as folder,
                Kernel(folder, self.memory) as kernel,
            ):
                if self._all(kernel) or len(self.left_out) + len(self.final) == known:
                    return Found(self.verdicts, self.problems)

    def _all(self, kernel: Kernel) -> bool:
        for at in self.positions:
            earlier = [n for n in self.numbers if self.checks[n] < at and n not in self.verdicts]
            if not all(self._judge(kernel, number) for number in earlier):
                return False
            if at not in self.left_out and not self._cell(kernel, at):
                return False
        return all(self._judge(kernel, number) for number in self.numbers if self._is_open(number))

    def _is_open(self, number: str) -> bool:
        if number in self.final:
            return False
        if number not in self.verdicts:
            return True
        return self.verdicts[number]["result"] not in (RIGHT, ANSWERED) and self.checks[number] < self.positions[-1]

    def _cell(self, kernel: Kernel, at: int) -> bool:
        start = time.monotonic()
        _, problem = kernel.run(self.cells[at].source, min(self.timeout, max(self.most, 1)))
        if not problem:
            _, problem = kernel.run("pass", self.timeout)  # so that a kernel that ends a moment later names its cell
        self.most -= time.monotonic() - start
        if problem:
            self.problems[at] = problem
        if problem in (HANGS, CRASHES):
            self.left_out.add(at)
        return not kernel.lost

    def _judge(self, kernel: Kernel, number: str) -> bool:
        (entry,) = (entry for entry in self.exercises if entry.number == number)
        found = kernel.judge(number, entry.function, self.timeout)
        first = self.verdicts.get(number)
        better = found["result"] in (RIGHT, ANSWERED, TAMPERED) or (found["fits"] and found["result"] != NOT_ATTEMPTED)
        if first is None or better:
            self.verdicts[number] = found
        if found["result"] in (HANGS, CRASHES):
            self.final.add(number)
        return not kernel.lost


def grade_notebook(path: Path, name: str, timeout: float = 60, memory: int = 0) -> list[Row]:
    """Run the exercises of one notebook in its own kernel, and return a row for each of them.

    name: the notebook's name in the rows. timeout: seconds for one cell. memory: bytes, or 0 for no limit. An answer
    that is wrong, but uses names that cells give which were not run, is judged again after all the student's cells.
    """
    try:
        cells = read_notebook(path)
    except Exception as error:  # the file may hold anything
        text = next(iter(str(error).splitlines()), "")[:200]
        return [Row(name, "", DAMAGED, f"it cannot be opened as a notebook: {type(error).__name__}: {text}")]
    exercises = exercises_in(cells)
    if not exercises:
        return [Row(name, "", DAMAGED, f"none of its {len(cells)} code cells is an exercise or a check")]
    try:
        return _grade(_Run(cells, exercises, timeout, memory), cells, exercises, name, timeout)
    except Exception as error:  # such as a kernel that does not start
        text = _clean(f"the kernel could not be used: {type(error).__name__}: {error}")
        return [Row(name, entry.number, CRASHES, text[:LONGEST]) for entry in exercises]


def _grade(run: _Run, cells: Sequence[Cell], exercises: Sequence[Exercise], name: str, timeout: float) -> list[Row]:
    answers = {at for entry in exercises for at in run.answers[entry.number]}
    chosen = {at for at in answers | needed(cells, answers) if not cells[at].error}
    numbers = [entry.number for entry in exercises]
    verdicts, problems = run.run(chosen, numbers)
    doubtful = [
        entry.number
        for entry in exercises
        if _is_doubtful(cells, entry, run.answers[entry.number], verdicts[entry.number], chosen, problems)
    ]
    if doubtful:
        lost = {at for at, problem in problems.items() if problem in (HANGS, CRASHES)}
        own = {at for at, cell in enumerate(cells) if not cell.of_lesson and (cell.gives or not checked(cell))}
        every = {at for at in chosen | own | needed(cells, chosen | own) if not cells[at].error}
        again, more = run.run(every - lost, doubtful, MOST_TIME * timeout)
        for number in doubtful:
            if again[number]["result"] in (RIGHT, WRONG, ANSWERED):
                verdicts[number] = again[number]
                problems = {at: problem for at, problem in problems.items() if at not in run.answers[number]}
        problems = more | problems
    problems |= {at: cell.error for at, cell in enumerate(cells) if cell.error}
    return [
        Row(
            name,
            entry.number,
            *_told(cells, entry, run.answers[entry.number], verdicts[entry.number], problems, timeout),
        )
        for entry in exercises
    ]


def _is_doubtful(
    cells: Sequence[Cell], entry: Exercise, own: Sequence[int], found: dict, run: set[int], problems: dict[int, str]
) -> bool:
    heard = " ".join([found["message"], *(problems[at] for at in own if at in problems)])
    if found["result"] in (WRONG, ABSENT) and may_matter(cells, entry, run, set(problems), heard):
        return True
    return found["result"] in (WRONG, ABSENT, NOT_ATTEMPTED) and may_answer(cells, entry, run)


def _told(
    cells: Sequence[Cell], entry: Exercise, own: Sequence[int], found: dict, problems: dict[int, str], timeout: float
) -> tuple[str, str]:
    """The result and the message of one exercise, with what was wrong with the cells that it rests on."""
    result, message = found["result"], found["message"]
    cell = next((at for at in reversed(own) if at in problems), None)
    if cell is not None and result != TAMPERED:
        problem = f"the cell of exercise {entry.number} {_why(cells[cell], problems[cell], timeout)}"
        if problems[cell] == HANGS or (result == ABSENT and problems[cell] == CRASHES):
            return problems[cell], problem
        if result == ABSENT or (result == NOT_ATTEMPTED and cells[cell].error):
            return (DAMAGED if problems[cell].startswith(DAMAGED) else WRONG), problem
        if result == RIGHT:
            message = problem
        elif result != ANSWERED:
            message += f"; {problem}"
    if result == ABSENT:
        result = NOT_ATTEMPTED
    if result in (WRONG, HANGS, CRASHES):
        others = sorted((needed(cells, own) | _broken(cells, entry, message)) & problems.keys())
        message += "".join(f"; {_name(cells[at])} {_why(cells[at], problems[at], timeout)}" for at in others[:1])
    lines = [
        f"line {line} of code cell {at + 1}"
        for at in own
        for name, line in cells[at].definitions
        if name == entry.function
    ]
    if len(lines) > 1 and result != ANSWERED:
        count = {2: "twice", 3: "three times"}.get(len(lines), f"{len(lines)} times")
        note = f"{entry.function} is defined {count}, in {' and '.join(lines)}"
        message = f"{message}; {note}" if message else note
    return result, message[: LONGEST + 100]


def _why(cell: Cell, problem: str, timeout: float) -> str:
    return f"is {problem}" if cell.error else told(problem, timeout)


def _name(cell: Cell) -> str:
    first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return f"the cell that begins with `{first[:40]}`"


def _broken(cells: Sequence[Cell], entry: Exercise, message: str) -> set[int]:
    # Cells that are not Python and would give the name that is missing, but the answers to other exercises.
    missing = re.findall(r"name '(\w+)' is not defined", message)
    return {
        at
        for at, cell in enumerate(cells)
        if cell.error
        and cell.part[0] != "exercise"
        and any(re.search(rf"\b{n}\s*(=|\()", cell.source) for n in missing)
    }


# ---------------------------------------------------------------------------------------------------------- a folder


def find(folder: Path) -> list[Path]:
    """The notebooks under `folder`, without the copies that Jupyter and macOS make; a folder is none."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() == ".ipynb")
    copies = {".ipynb_checkpoints", "__MACOSX"}
    return sorted(path for path in found if not copies & set(path.parts) and (path.is_symlink() or not path.is_dir()))


def grade_folder(folder: Path, timeout: float = 60, memory: int = 0) -> Iterator[list[Row]]:
    """Grade every notebook under `folder`, one after another: an iterator of lists of rows."""
    for path in find(folder):
        # A name that is not UTF-8 is told with its bytes, as in caf\xe9.ipynb.
        name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")
        try:
            yield grade_notebook(path, name, timeout, memory)
        except Exception as error:  # nothing that one notebook does may stop the others
            yield [
                Row(name, "", DAMAGED, f"it could not be graded: {type(error).__name__}: {_clean(str(error))[:200]}")
            ]


def total(rows: Sequence[Row]) -> Total:
    """Add up the rows of one notebook."""
    count = Counter(row.result for row in rows)
    failed = count[DAMAGED] + count[HANGS] + count[CRASHES]
    kinds = (count[RIGHT], count[WRONG], count[NOT_ATTEMPTED], count[ANSWERED], failed, count[TAMPERED])
    return Total(rows[0].notebook, *kinds)


def _harmless(value: object) -> object:
    # A spreadsheet would read a text that begins like this as a formula, and evaluate what a student wrote.
    if not isinstance(value, str):
        return value
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "\ufffd", _clean(value).replace("\r\n", "\n").replace("\r", "\n"))
    first = next((letter for letter in text if letter.isprintable() and not letter.isspace()), None)
    return f"'{text}" if first in tuple(DANGEROUS) or text[:1] in ("\t", "\n") else text


def _bytes_of(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(GB|MB)?", text.strip(), re.IGNORECASE)
    if text.strip().lower() == "none":
        return 0
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"the memory must look like 4GB, 800MB or none, got {text!r}")
    if not LIMITS_MEMORY:
        raise argparse.ArgumentTypeError("this system cannot limit memory: leave --memory out")
    return int(float(found[1]) * (1e6 if (found[2] or "GB").upper() == "MB" else 1e9))


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"the limit must be a number of seconds above 0, got {text!r}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 if there is nothing to grade, or 130 if it was interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m fooling_utils.checks.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the folder with the notebooks, which may be in subfolders")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"), help="the table to write (default: grades.csv)")
    parser.add_argument("--summary", type=Path, help="another table to write, with one row for each notebook")
    parser.add_argument("--timeout", type=_seconds, default=60, help="seconds for one cell (default: 60)")
    parser.add_argument(
        "--memory",
        type=_bytes_of,
        default=MEMORY,
        help="the memory one notebook may use, such as 4GB, 800MB or none; on Linux only (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    count = len(find(options.folder))
    if not count:
        parser.error(f"there is no notebook (.ipynb) under {options.folder}")
    with ExitStack() as stack:
        try:
            tables = [
                (csv.writer(file), file)
                for path in (options.out, options.summary)
                if path
                for file in [stack.enter_context(path.open("w", newline="", encoding="utf-8"))]
            ]
        except OSError as error:
            parser.error(f"the table cannot be written: {error}")
        return _write(tables, options, count)


def _write(tables: Sequence[tuple], options: argparse.Namespace, count: int) -> int:
    done = 0
    for (table, _), kind in zip(tables, (Row, Total), strict=False):
        table.writerow(kind._fields)
    try:
        for rows in tqdm(grade_folder(options.folder, options.timeout, options.memory), total=count, unit="notebook"):
            for (table, file), lines in zip(tables, (rows, [total(rows)]), strict=False):
                table.writerows([_harmless(field) for field in line] for line in lines)
                file.flush()  # so that nothing is lost if it is stopped
            done += 1
    except KeyboardInterrupt:
        print(f"stopped: {done} of {count} notebooks graded, in {str(options.out)!a}")
        return 130
    print(f"{count} notebooks graded: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
