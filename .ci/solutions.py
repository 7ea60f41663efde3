"""The solved notebooks, made from the lessons, so that an exercise is only changed in one place.

In a lesson, an exercise is four cells, known by their ids: text-2-1, exercise-2-1 (the stub), check-2-1, and
solution-2-1, which holds hint and solution in folds. `python .ci/refresh_notebooks.py solutions` makes
notebooks/solutions/ from them and runs it.
"""

import ast
import re
import textwrap
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fooling_utils.checks.cells import needed_cells
from fooling_utils.web.book import PICTURE_TEXT
from slides import PART

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
FOLDER = NOTEBOOKS / "solutions"
TRY = re.compile(r"try-(\d+)-(\d+)")  # a cell that shows what a right answer does to the real network
FOLD = re.compile(r"<details><summary>(.*?)</summary>\s*(.*?)\s*</details>", re.DOTALL)
NBGRADER = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
BEGIN, END = "    ### BEGIN SOLUTION", "    ### END SOLUTION"  # nbgrader's marks


def exercises(notebook):
    """Return the cells of each exercise of a lesson: {"2.1": {"text": cell, "exercise": cell, ...}}."""
    found = {}
    for cell in notebook.cells:
        if part := PART.fullmatch(cell.get("id", "")):
            found.setdefault(f"{part[2]}.{part[3]}", {})[part[1]] = cell
    return found


def folds(cell):
    """Return what is folded away in a cell, by its title: "Hint", "Solution", "One possible answer"."""
    return dict(FOLD.findall(cell.source))


def model_answer(parts):
    """Return the code that solves an exercise: the stub with the body of its solution, or with the model answer."""
    given, stub = folds(parts["solution"]), parts["exercise"].source
    if "One possible answer" in given:
        return stub.replace("...", textwrap.fill(given["One possible answer"], 100))
    solution = re.fullmatch(r"```python\n(.*?)\n```(\n\n.*)?", given["Solution"], re.DOTALL)[1]  # then what it finds
    head, _, body = solution.partition("\n")
    if head != stub.partition("\n")[0]:
        raise ValueError(f"the solution begins with {head!r}, but the stub with {stub.partition(chr(10))[0]!r}")
    (function,) = ast.parse(stub).body
    docstring_end = function.body[0].end_lineno
    return "\n".join([*stub.splitlines()[:docstring_end], BEGIN, body, END])


def solve(notebook):
    """Return a notebook with the solved exercises of a lesson, and the imports they need."""
    found = exercises(notebook)
    (number,) = {key.partition(".")[0] for key in found}
    title = re.match(r"# (.*)", notebook.cells[0].source)[1]
    intro = (  # nbgrader hands this cell out as well
        f"# Exercises of lesson {number}: {title}\n\nEach exercise asks for a function, or for an answer in words. "
        "The cell below it says whether it is right, or what is wrong."
    )
    solved = [(parts["text"], model_answer(parts), parts) for parts in found.values()]
    answers = [code for _, code, _ in solved] + [parts["check"].source for *_, parts in solved]
    tries = {cell.id: cell for cell in notebook.cells if TRY.fullmatch(cell.get("id", ""))}
    answers += [cell.source for cell in tries.values()]
    cells = [new_markdown_cell(intro, id="title")]
    before = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and not (PART.fullmatch(cell.get("id", "")) or cell.get("id") in tries)
    ]
    for position in needed_cells([cell.source for cell in before], answers):
        cells += [_bare(before[position]), *_picture_text(notebook, before[position])]
    for text, code, parts in solved:
        in_words = code.startswith("answer_")
        answer, check = new_code_cell(code, id=parts["exercise"].id), _bare(parts["check"])
        text = _bare(text)
        if in_words:  # nbgrader empties the cell, and with it the name that the check asks for
            text.source += f'\n\nYour answer is a text: `{code.partition(" ")[0]} = "..."`'
        _mark(answer, solution=True, **({"grade": True, "points": 1} if in_words else {}))
        _mark(check, locked=True, **({} if in_words else {"grade": True, "points": 1}))
        cells += [text, answer, check]
        if shown := tries.get(check.id.replace("check", "try")):
            cells += [_bare(shown), *_picture_text(notebook, shown)]
    summary = new_code_cell(f"summary({number})", id="exercises-summary")
    summary.metadata["tags"] = ["nbval-check-output"]
    cells.append(summary)
    return new_notebook(cells=cells)


def _picture_text(notebook, cell):
    # What is in the picture of a cell, if the text after it says so.
    following = notebook.cells[notebook.cells.index(cell) + 1 :][:1]
    shown = [text for text in following if text.source.startswith(PICTURE_TEXT)]
    return [new_markdown_cell(text.source.partition("\n\n")[0], id=text.id) for text in shown]


def _bare(cell):
    # A copy with only the source: outputs and slide tags belong to the lesson.
    new = new_code_cell if cell.cell_type == "code" else new_markdown_cell
    return new(cell.source, id=cell.id)


def _mark(cell, **marks):
    # For nbgrader, which reads its marks from the metadata.
    cell.metadata = {"nbgrader": {"grade_id": cell.id, **NBGRADER, **marks}}


def lesson_of(path):
    """Return the lesson that a solved notebook is made from."""
    return NOTEBOOKS / path.name


def missing():
    """Return the paths of solved notebooks that should exist and do not, since a lesson got its first exercise."""
    lessons = (path for path in sorted(NOTEBOOKS.glob("0*.ipynb")) if not (FOLDER / path.name).exists())
    return [FOLDER / path.name for path in lessons if exercises(nbformat.read(path, as_version=4))]


def make(path):
    """Return the solved notebook that belongs at `path`, not executed yet."""
    return solve(nbformat.read(lesson_of(path), as_version=4))
