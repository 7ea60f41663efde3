"""Take the solved notebooks through nbgrader once: source, release, autograde, feedback, and check every point.

python .ci/nbgrader_run.py           lesson 0
python .ci/nbgrader_run.py 02 05     the lessons whose names begin so; "" for all of them

nbgrader comes with the extra `dev`, from Python 3.11 on. Three students hand in: one solved everything,
one solved the first exercise and has another wrong, one did nothing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from fooling_utils.checks import EXERCISES
from solutions import FOLDER

WORDS = (
    'answer = "It is wrong about the bus, and it does what it was trained for, since nobody trained it on such a bus."'
)
STUDENTS = ("ada", "ben", "cem")  # all right; the first right, the second wrong; untouched


def nbgrader(course, *arguments):
    """Run one command of nbgrader in the folder `course`; its output is shown if it fails."""
    command = [sys.executable, "-m", "nbgrader", *arguments, f"--course-dir={course}"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"nbgrader {arguments[0]} failed:\n{done.stdout}{done.stderr}")


def hand_in(release, solved, student):
    """Return the released notebook as a student hands it in."""
    answers = {cell.id: cell.source for cell in solved.cells if cell.id.startswith("exercise-")}
    notebook, functions = nbformat.from_dict(release), 0
    for cell in notebook.cells:
        number = cell.id.removeprefix("exercise-").replace("-", ".")
        if cell.cell_type != "code" or number not in EXERCISES or student == "cem":
            continue
        entry = EXERCISES[number]
        functions += not entry.in_words
        if student == "ada":
            cell.source = answers[cell.id]
        elif entry.in_words:
            cell.source = WORDS.replace("answer", entry.function, 1)
        elif functions == 1:
            cell.source = answers[cell.id]
        elif functions == 2:
            cell.source = f"def {entry.function}(*arguments):\n    return None"
    return notebook


def run(path, course):
    """Take one solved notebook through nbgrader in the folder `course`; return the problems, as sentences."""
    from nbgrader.api import Gradebook

    name, solved = path.stem, nbformat.read(path, as_version=4)
    (course / "source" / name).mkdir(parents=True)
    shutil.copy(path, course / "source" / name)
    nbgrader(course, "generate_assignment", name, "--create")
    release = nbformat.read(course / "release" / name / path.name, as_version=4)
    for student in STUDENTS:
        folder = course / "submitted" / student / name
        folder.mkdir(parents=True)
        nbformat.write(hand_in(release, solved, student), folder / path.name)
    nbgrader(course, "autograde", name)
    nbgrader(course, "generate_feedback", name)

    problems = [f"the release of {name} shows a solution" for cell in release.cells if "SOLUTION" in cell.source]
    entries = [entry for entry in EXERCISES.values() if entry.lesson == int(name[:2])]
    functions, words = [e for e in entries if not e.in_words], [e for e in entries if e.in_words]
    told = "\n".join(cell.source for cell in release.cells)
    if "Solution" in told.splitlines()[0]:
        problems.append(f"the release of {name} calls itself {told.splitlines()[0]!r}")
    if ".ci" in told:
        problems.append(f"the release of {name} speaks of the course's own scripts")
    problems += [
        f"the release of {name} does not ask for {e.function}" for e in words if f'`{e.function} = "..."`' not in told
    ]
    expected = {"ada": len(functions), "ben": 1, "cem": 0}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        most = book.find_assignment(name).max_score
        if most != len(entries):
            problems.append(f"{name}: {most} points for {len(entries)} exercises")
        for student in STUDENTS:
            submitted = book.find_submission_notebook(path.stem, name, student)
            points = sum(grade.auto_score or 0 for grade in submitted.grades)
            by_hand = sorted(grade.name for grade in submitted.grades if grade.needs_manual_grade)
            answered = sorted(f"exercise-{e.number.replace('.', '-')}" for e in words) if student != "cem" else []
            print(
                f"{name}, {student}: {points:g} of {len(functions)} by the checks; by hand: {', '.join(by_hand) or '-'}"
            )
            if points != expected[student]:
                problems.append(f"{name}, {student}: {points:g} points instead of {expected[student]}")
            if by_hand != answered:
                problems.append(f"{name}, {student}: to grade by hand {by_hand} instead of {answered}")
            page = course / "feedback" / student / name / f"{path.stem}.html"
            if not page.exists():
                problems.append(f"{name}, {student}: no feedback")
            elif student == "ben" and "it returns nothing" not in page.read_text(encoding="utf-8"):
                problems.append(f"{name}, {student}: the feedback does not say what is wrong")
    return problems


def main(arguments=None):
    """Run the command line, and return the number of problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["00"], help="what the lessons' names begin with (default: 00)")
    options = parser.parse_args(arguments)
    problems = []
    for path in sorted(FOLDER.glob("*.ipynb")):
        if path.stem.startswith(tuple(options.names)):
            with tempfile.TemporaryDirectory(prefix="nbgrader-", ignore_cleanup_errors=True) as folder:
                problems += run(path, Path(folder))
    print("\n".join(problems) or "nbgrader: all points as they should be")
    return len(problems)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
