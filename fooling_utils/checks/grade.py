"""Grade a folder of notebooks: python -m fooling_utils.checks.grade FOLDER --out grades.csv

One row for each exercise of each notebook: right, wrong, not attempted, answered (in words, for a person to read), or
what is wrong with the notebook: damaged, hangs, crashes, tampered. Each notebook gets its own kernel and its own empty
folder, and its cells run with the checks that are installed here. Stored outputs do not count.

**This executes the students' code.** It runs with your rights: it can read your files and use your network, and a
determined student can fool it. Separate processes do not protect you: use a container, or an otherwise empty account.
"""

import argparse
import ast
import csv
import inspect
import queue
import secrets
import symtable
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
from jupyter_client import KernelManager
from tqdm.auto import tqdm

from . import EXERCISES, Exercise
from .core import ANSWERED, NOT_ATTEMPTED, WRONG

DAMAGED, HANGS, CRASHES, TAMPERED = "damaged", "hangs", "crashes", "tampered"
WAKE = 3.0  # seconds that an interrupted kernel has to answer
LONGEST = 5000  # characters that are kept of an answer in words
LARGEST = 50_000_000  # bytes; a larger notebook is not opened


class Row(NamedTuple):
    """One line of the table: the notebook's path, the exercise's number, the result, a message."""

    notebook: str
    exercise: str
    result: str
    message: str = ""


# ---------------------------------------------------------------------------------------------- the cells that count


def _plain(source: str) -> str:
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.splitlines())


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(_plain(source))
    except (SyntaxError, ValueError):
        return None


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell assigns at its top level, and those that it uses from elsewhere."""
    try:
        table = symtable.symtable(_plain(source), "cell", "exec")
    except (SyntaxError, ValueError):
        return set(), set()
    given = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    scopes = list(table.get_children())
    for scope in scopes:  # it grows while we go through it
        used |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        scopes += scope.get_children()
    return given, used


def needed_cells(sources: Sequence[str], answers: Sequence[str]) -> list[int]:
    """The positions of the cells that `answers` depend on: those that define a name they use, and so on upwards."""
    own = set().union(*(_names(answer)[0] for answer in answers))
    wanted = set().union(*(_names(answer)[1] for answer in answers)) - own
    chosen = []
    for position in reversed(range(len(sources))):
        given, used = _names(sources[position])
        if given & wanted:
            chosen.append(position)
            wanted |= used
    return chosen[::-1]


def _defines(source: str, name: str) -> bool:
    # also in a cell that is not valid Python, so that a message can say so
    lines = source.splitlines()
    return name in _names(source)[0] or any(line.startswith((f"def {name}(", f"{name} =")) for line in lines)


def _cells_to_run(sources: Sequence[str], exercises: Sequence[Exercise]) -> list[int]:
    answers = [i for i, source in enumerate(sources) if any(_defines(source, e.function) for e in exercises)]
    rest = [i for i in range(len(sources)) if i not in answers]
    before = needed_cells([sources[i] for i in rest], [sources[i] for i in answers])
    return sorted([*answers, *(rest[i] for i in before)])


# --------------------------------------------------------------------------------------------- what runs in the kernel


def snapshot() -> dict:
    """What a notebook must not change: the functions of the checks, the library and torch, as they are now."""
    import builtins
    import sys
    import types

    import torch

    import fooling_utils.checks

    functions = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)
    owners = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "fooling_utils"}
    owners |= {"torch": torch, "torch.Tensor": torch.Tensor, "builtins": builtins}
    kept = {("modules", name): id(sys.modules.get(name)) for name in owners}
    classes = {
        f"{name}.{key}": value
        for name, owner in owners.items()
        if name.startswith("fooling_utils")
        for key, value in vars(owner).items()
        if isinstance(value, type) and value.__module__.startswith("fooling_utils")
    }
    for name, owner in (owners | classes).items():
        for key, value in vars(owner).items():
            if isinstance(value, (*functions, type)):
                kept[name, key] = (id(value), id(getattr(value, "__code__", None)))
    exercises = fooling_utils.checks.EXERCISES
    return kept | {("exercises", number): (id(entry.check), entry.function) for number, entry in exercises.items()}


GRADE = """
def _grade():
    from IPython.display import display
    from fooling_utils.checks import judge
    result, message = "{absent}", "there is no {name} in the notebook"
    if {name!r} in globals():
        answer = globals()[{name!r}]
        _, result, message = judge({number!r}, answer)
        if result == "{answered}":
            message = " ".join(answer.split())[:{longest}]  # for the person who reads it
    now, then = snapshot(), {before}
    new = [key for key in now if key[0] == "torch.Tensor" and key not in then]
    changed = sorted(".".join(key) for key in [*then, *new] if now.get(key) != then.get(key))
    if changed:
        result, message = "{tampered}", "it replaces " + ", ".join(changed[:3])
    display({{{kind!r}: {{"result": result, "message": message}}}}, raw=True)
_grade()
"""


class _Kernel:
    """A separate kernel in an empty folder, which runs one piece of code after another."""

    def __init__(self, folder: str):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=folder)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.lost = ""  # why the kernel can no longer be used: "hangs" or "crashes"

    def __enter__(self) -> "_Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, source: str, timeout: float) -> tuple[list[dict], str]:
        """Run code for at most `timeout` seconds.

        Returns what it displays, and what went wrong: an error's text, "hangs", "crashes" or nothing.
        """
        if self.lost:
            return [], self.lost
        shown, problem, deadline = [], "", time.monotonic() + timeout
        request = self.client.execute(source, store_history=False, allow_stdin=False)
        while time.monotonic() < deadline:
            try:
                message = self.client.get_iopub_msg(timeout=min(1, max(deadline - time.monotonic(), 0.01)))
            except queue.Empty:
                if not self.manager.is_alive():
                    self.lost = CRASHES
                    return shown, CRASHES
                continue
            if message["parent_header"].get("msg_id") != request:
                continue  # from code that ran earlier
            kind, content = message["msg_type"], message["content"]
            if kind == "display_data":
                shown.append(content["data"])
            elif kind == "error":
                problem = f"{content['ename']}: {content['evalue']}"
            elif kind == "status" and content["execution_state"] == "idle":
                return shown, problem
        # Most code stops when it is interrupted, and then the exercises after it still count.
        self.manager.interrupt_kernel()
        if timeout != WAKE and self.run("pass", WAKE)[1]:
            self.lost = HANGS
        return shown, HANGS


def grade_notebook(path: Path, name: str, timeout: float = 60) -> list[Row]:
    """Run the exercises of one notebook in its own kernel, and return a row for each of them.

    name: the notebook's name in the rows. timeout: seconds for one cell.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST / 1e6:.0f} MB")
        notebook = nbformat.read(path, as_version=4)
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    except Exception as error:  # the file may hold anything
        text = next(iter(str(error).splitlines()), "")[:200]
        return [Row(name, "", DAMAGED, f"not a notebook that can be opened: {type(error).__name__}: {text}")]
    text = "\n".join(sources)
    lessons = {e.lesson for e in EXERCISES.values() if f'check("{e.number}"' in text or _defines(text, e.function)}
    exercises = [entry for entry in EXERCISES.values() if entry.lesson in lessons]
    if not exercises:
        return [Row(name, "", DAMAGED, f"its {len(sources)} code cells hold no exercise")]
    with tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as folder:
        try:
            with _Kernel(folder) as kernel:
                return _grade(kernel, sources, exercises, name, timeout)
        except Exception as error:  # such as a kernel that does not start
            return [Row(name, "", CRASHES, f"the kernel could not be used: {type(error).__name__}: {error}")]


def _grade(
    kernel: _Kernel, sources: Sequence[str], exercises: Sequence[Exercise], name: str, timeout: float
) -> list[Row]:
    kind, before = f"application/x-grade-{secrets.token_hex(8)}", f"_before_{secrets.token_hex(8)}"
    _, problem = kernel.run(f"{inspect.getsource(snapshot)}\n{before} = snapshot()", max(timeout, 120))
    if problem:
        return [Row(name, "", CRASHES, f"the course cannot be imported in the kernel: {problem}")]
    told = {HANGS: f"did not finish within {timeout:g} s", CRASHES: "crashes the kernel"}
    problems = {position: kernel.run(sources[position], timeout)[1] for position in _cells_to_run(sources, exercises)}
    problems = {position: problem for position, problem in problems.items() if problem}
    stopped = [f"; code cell {at + 1} {told.get(p, f'stops with {p}')}" for at, p in problems.items()][:1]
    kernel.run(inspect.getsource(snapshot), timeout)  # again, since the notebook may define its own
    rows = []
    for entry in exercises:
        own = [problem for at, problem in problems.items() if _defines(sources[at], entry.function)]
        if own and not kernel.lost:
            result = HANGS if own[-1] == HANGS else WRONG
            message = f"its cell {told.get(own[-1], f'stops with {own[-1]}')}"
            rows.append(Row(name, entry.number, result, message[:LONGEST]))
            continue
        code = GRADE.format(
            before=before,
            tampered=TAMPERED,
            absent=NOT_ATTEMPTED,
            answered=ANSWERED,
            longest=LONGEST,
            kind=kind,
            name=entry.function,
            number=entry.number,
        )
        shown, problem = kernel.run(code, timeout)
        found = [data[kind] for data in shown if kind in data]
        if problem in told:
            result, message = problem, f"it {told[problem]}"
        elif problem or len(found) != 1:
            result, message = TAMPERED, f"the check gave {len(found)} results {problem}".strip()
        else:
            result, message = found[0]["result"], found[0]["message"]
        if result in (WRONG, HANGS, CRASHES):
            message += "".join(stopped)
        rows.append(Row(name, entry.number, result, message[:LONGEST]))
    return rows


def grade_folder(folder: Path, timeout: float = 60) -> Iterator[list[Row]]:
    """Grade every notebook under `folder`, one after another: an iterator of lists of rows."""
    for path in find(folder):
        yield grade_notebook(path, path.relative_to(folder).as_posix(), timeout)


def find(folder: Path) -> list[Path]:
    """The notebooks under `folder`, without the copies that Jupyter makes."""
    return sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 if there is nothing to grade."""
    parser = argparse.ArgumentParser(
        prog="python -m fooling_utils.checks.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the folder with the notebooks, which may be in subfolders")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"), help="the table to write (default: grades.csv)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one cell (default: 60)")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    count = len(find(options.folder))
    if not count:
        parser.error(f"there is no notebook (.ipynb) under {options.folder}")
    with options.out.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(Row._fields)
        for rows in tqdm(grade_folder(options.folder, options.timeout), total=count, unit="notebook"):
            table.writerows([_harmless(field) for field in row] for row in rows)
            file.flush()  # so that nothing is lost if it is stopped
    print(f"{count} notebooks graded: {options.out}")
    return 0


def _harmless(text: str) -> str:
    # A spreadsheet would read a text that begins like this as a formula, and evaluate what a student wrote.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


if __name__ == "__main__":
    sys.exit(main())
