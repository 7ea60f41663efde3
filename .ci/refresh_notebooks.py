"""Execute the lessons again, from top to bottom, and clean what would make their diffs noisy.

python .ci/refresh_notebooks.py                all lessons
python .ci/refresh_notebooks.py 01 lecture/02  those whose path contains one of these names
python .ci/refresh_notebooks.py solutions      the solved exercises, made from the lessons as they are now
python .ci/refresh_notebooks.py --check        execute and write nothing: only check that every lesson is clean

A lesson that fails, or that prints a warning, is left as it was. Lecture pages are stored without outputs.
"""

import argparse
import base64
import io
import re
import sys
import time
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4.nbbase import new_output, random_cell_id
from PIL import Image

import slides
import solutions

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

# The same for everybody: a kernel's own name and a Python patch version differ from one machine to the next.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
LARGE_PICTURE, SMALL_PICTURE = 100_000, 10_000  # bytes of base64: line plots are between the two
HIDDEN = {"predicted": "outputs_hidden", "claims": "source_hidden"}  # by tag, what JupyterLab shows on a click
FOLDED = "The answer:"  # JupyterLab shows the first line of an output that is folded away
WIDGET = "application/vnd.jupyter.widget-view+json"
PROGRESS = re.compile(r"(\d+%\|.*\||\d+it) ?.*\[\d+:\d\d")


def find_notebooks(names=(), folder=NOTEBOOKS):
    """Return the notebooks under `folder` whose path contains one of `names` (all notebooks if there are no names)."""
    found = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    unknown = [name for name in names if not any(name in path.relative_to(folder).as_posix() for path in found)]
    if unknown:
        known = ", ".join(path.relative_to(folder).as_posix() for path in found)
        raise ValueError(f"no notebook's path contains {unknown[0]!r}: choose from {known}")
    return [path for path in found if not names or any(name in path.relative_to(folder).as_posix() for name in names)]


def _complaints(output):
    # What was written to stderr, except progress bars.
    lines = re.split(r"[\r\n]+", output.text) if output.get("name") == "stderr" else []
    return [line for line in lines if line.strip() and not PROGRESS.search(line)]


def warnings_in(notebook):
    """Return what the cells wrote to stderr, except progress bars, as a list of lines."""
    cells = enumerate(notebook.cells)
    found = [
        (number, line) for number, cell in cells for output in cell.get("outputs", []) for line in _complaints(output)
    ]
    return [f"cell {number}: {line}" for number, line in found]


def _is_kept(output):
    # On a stored page, progress bars and widgets are dead, and they are different after every run.
    if output.get("name") == "stderr":
        return bool(_complaints(output))
    kinds = output.get("data", {})
    if str(kinds.get("text/html", "")).startswith("<style"):  # it only serves a widget
        return False
    return WIDGET not in kinds or any(kind.startswith("image/") for kind in kinds)


def _drop_widget(output):
    # If a widget comes with a picture of itself, the stored page shows the picture.
    if "data" in output:
        output.data.pop(WIDGET, None)


def _cover(cell):
    # What is printed would be read before the click. Outputs that are compared have to stay as they are.
    tags = cell.metadata.get("tags", [])
    if "predicted" not in tags or "nbval-check-output" in tags or not cell.outputs:
        return
    first = cell.outputs[0]
    if "text" in first:
        cell.outputs.insert(0, new_output("display_data", {"text/plain": FOLDED}))
    elif any(kind.startswith("image/") for kind in first.get("data", {})):
        first.data["text/plain"] = FOLDED  # instead of an object's name


def _shrink(output):
    # Photographs take a fifth of the space as JPEG, line plots a third with a palette. A live run still shows all.
    png = output.get("data", {}).get("image/png", "")
    if len(png) <= SMALL_PICTURE:
        return
    picture, file = Image.open(io.BytesIO(base64.b64decode(png))), io.BytesIO()
    if len(png) > LARGE_PICTURE:
        picture.convert("RGB").save(file, "JPEG", quality=75, optimize=True)
        output.data["image/jpeg"] = base64.b64encode(file.getvalue()).decode()
        del output.data["image/png"]
    elif picture.mode != "P":
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        output.data["image/png"] = base64.b64encode(file.getvalue()).decode()


def clean(notebook):
    """Return a copy that keeps outputs, counts, ids and tags, and drops widgets, progress bars and other metadata.

    Marks for nbgrader stay. What a reader should first predict is folded away, and so is the code that checks the
    claims of a lesson: the tags in `HIDDEN`. Large pictures become JPEG, line plots get a palette, and the cells of a
    lesson say where they are among its slides.
    """
    notebook = nbformat.from_dict(notebook)
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.setdefault("id", random_cell_id())  # Colab saves cells without ids
        kept = {key: cell.metadata[key] for key in ("nbgrader", "tags") if cell.metadata.get(key)}
        if hidden := {HIDDEN[tag]: True for tag in kept.get("tags", []) if tag in HIDDEN}:
            kept["jupyter"] = hidden
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if _is_kept(output)]
        _cover(cell)
        for output in cell.outputs:
            _drop_widget(output)
            _shrink(output)
            if "metadata" in output:  # the size of a picture is stored under its media type: keep that
                output.metadata = {kind: value for kind, value in output.metadata.items() if kind in output.data}
    slides.tag(notebook)
    return notebook


def _stored(notebook, path):
    # A lecture page is always shown with a kernel, so stored outputs would only make its diffs noisy.
    notebook = clean(notebook)
    if path.parent.name == "lecture":
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
    return notebook


def to_text(notebook):
    """Return the notebook as the text of its file."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _peak_memory(pid):
    # In bytes. Linux and Windows keep the peak; macOS only reports the current memory, so ask after every cell.
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    memory = psutil.Process(pid).memory_info()
    return getattr(memory, "peak_wset", memory.rss)


def execute(path, timeout=300, change=lambda notebook: None):
    """Run the notebook at `path` in its own folder, and return it with the peak memory of its kernel in bytes.

    A solved notebook is first made again from its lesson. `change` may then edit the notebook, before it runs.
    """
    solved = path.parent.name == "solutions"
    notebook = solutions.make(path) if solved else nbformat.read(path, as_version=4)
    change(notebook)
    memory = []
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        coalesce_streams=True,  # otherwise the number of stdout outputs depends on timing
        record_timing=False,
        store_widget_state=False,
    )
    client.on_cell_executed = lambda **cell: memory.append(_peak_memory(client.km.provisioner.pid))
    client.execute()
    return notebook, max(memory, default=0)


def refresh(path, timeout=300):
    """Execute and clean the notebook at `path`, write it, and return seconds, peak memory and file size in bytes.

    Raises ValueError, and writes nothing, if a cell wrote to stderr; errors in cells are passed on.
    """
    start = time.perf_counter()
    notebook, memory = execute(path, timeout)
    seconds = time.perf_counter() - start
    if warned := warnings_in(notebook):
        raise ValueError("a reader should not see warnings:\n" + "\n".join(warned))
    data = to_text(_stored(notebook, path)).encode()
    path.write_bytes(data)
    return seconds, memory, len(data)


def is_clean(path):
    """Tell whether cleaning would leave the file at `path` as it is."""
    return path.read_bytes().decode() == to_text(_stored(nbformat.read(path, as_version=4), path))


def main(arguments=None):
    """Run the command line, and return the number of notebooks that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of paths under notebooks/")
    parser.add_argument("--check", action="store_true", help="write nothing, only say which lessons are not clean")
    parser.add_argument("--timeout", type=int, default=300, help="seconds that one cell may take (default: 300)")
    options = parser.parse_args(arguments)
    if not options.check:
        for path in solutions.missing():
            path.parent.mkdir(exist_ok=True)
            nbformat.write(solutions.make(path), path)
    try:
        paths = find_notebooks(options.names)
    except ValueError as error:
        parser.error(str(error))

    failed = 0
    for path in paths:
        name = path.relative_to(NOTEBOOKS).as_posix()
        if options.check:
            if not is_clean(path):
                failed += 1
                print(f"{name}: not clean; run: python .ci/refresh_notebooks.py {name}")
            continue
        try:
            seconds, memory, size = refresh(path, options.timeout)
            print(f"{name}: {seconds:.0f} s, {memory / 1e6:.0f} MB of memory, {size / 1e6:.2f} MB on disk", flush=True)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, ValueError) as error:
            failed += 1
            print(f"{name}: left as it was: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
