"""Grading in bulk: whatever a submitted notebook does, it gives rows that say so, and the others go on."""

import csv

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fooling_utils.checks import EXERCISES, grade
from refresh_notebooks import NOTEBOOKS

SOLVED = sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))
START = "import torch\nfrom fooling_utils.checks import check, summary"
LEGAL = "def to_legal(image):\n    return image.clamp(0, 1)"
AWAY = "def away_from_class(logits, classes):\n    return ..."
WORDS = 'answer_0_3 = """\n...\n"""'
RIGHT_LEGAL = ("0.1", "right", "")
OPEN_REST = [("0.2", "not attempted", ""), ("0.3", "not attempted", "")]


def lesson_0(*more, legal=LEGAL, words=WORDS, before=()):
    return [START, *before, legal, 'check("0.1", to_legal)', AWAY, 'check("0.2", away_from_class)', words, *more]


# name: (the cells, the rows that are expected: exercise, result, a part of the message)
SUBMITTED = {
    "ada/right_and_open": (lesson_0(), [RIGHT_LEGAL, *OPEN_REST]),
    "ben/wrong": (
        lesson_0(legal="def to_legal(image):\n    return image.clamp(min=0)"),
        [("0.1", "wrong", "largest value"), *OPEN_REST],
    ),
    "cem/leans_on_other_cells": (
        lesson_0(
            before=["%matplotlib inline\nBLACK, white = 0, 1", "print(open('data of the lesson.csv').read())"],
            legal="def to_legal(image):\n    return _clip(image)",
            words="def _clip(image):\n    return image.clamp(BLACK, white)",
        ),
        [RIGHT_LEGAL, OPEN_REST[0], ("0.3", "not attempted", "no answer_0_3")],
    ),
    "dan/words": (
        lesson_0(words='answer_0_3 = "=cmd() " + "because nobody measured it, " * 9'),
        [RIGHT_LEGAL, OPEN_REST[0], ("0.3", "answered", "=cmd() because nobody measured it, because")],
    ),
    "eva/more_words": (
        lesson_0(words=f'answer_0_3 = """\n=1+1 {"is what nobody measured " * 9}\n"""'),
        [RIGHT_LEGAL, OPEN_REST[0], ("0.3", "answered", "=1+1 is what nobody measured is")],
    ),
    "fay/endless_function": (
        lesson_0(legal="def to_legal(image):\n    while True:\n        pass"),
        [("0.1", "hangs", "it did not finish within 5 s"), *OPEN_REST],
    ),
    "gus/endless_and_stubborn": (
        lesson_0(
            legal="import signal\ndef to_legal(image):\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "    while True:\n        pass"
        ),
        [("0.1", "hangs", "it did not finish within 5 s"), ("0.2", "hangs", ""), ("0.3", "hangs", "")],
    ),
    "hal/endless_cell": (
        lesson_0(legal=f"{LEGAL}\nwhile True: pass"),
        [("0.1", "hangs", "its cell did not finish within 5 s"), *OPEN_REST],
    ),
    "ida/dies": (
        lesson_0(legal="import os\ndef to_legal(image):\n    os._exit(0)"),
        [("0.1", "crashes", "it crashes the kernel"), ("0.2", "crashes", ""), ("0.3", "crashes", "")],
    ),
    "jon/no_python": (
        lesson_0(legal="def to_legal(image)\n    return image"),
        [("0.1", "wrong", "its cell stops with SyntaxError"), *OPEN_REST],
    ),
    "kim/deleted": ([START, 'check("0.1", to_legal)'], [("0.1", "not attempted", "there is no to_legal"), *OPEN_REST]),
    "leo/replaces_the_check": (
        lesson_0(legal=f"import fooling_utils.checks as c\nc.judge = lambda *a: c.Verdict('0.1', 'right')\n{LEGAL}"),
        [(number, "tampered", "fooling_utils.checks.judge") for number in ("0.1", "0.2", "0.3")],
    ),
    "mia/replaces_torch": (
        lesson_0(legal="torch.Tensor.isfinite = lambda self: self == self\nto_legal = torch.zeros_like"),
        [(number, "tampered", "torch.Tensor.isfinite") for number in ("0.1", "0.2", "0.3")],
    ),
    "ned/other_verdict": (
        lesson_0(
            legal="import fooling_utils.checks.core as c\n"
            "c.EXERCISES['0.1'] = c.EXERCISES['0.1']._replace(check=lambda *a: None)\nto_legal = torch.zeros_like"
        ),
        [(number, "tampered", "exercises.0.1") for number in ("0.1", "0.2", "0.3")],
    ),
    "oda/replaces_torch_while_it_is_checked": (
        lesson_0(
            legal="def to_legal(image):\n    torch.Tensor.clamp = torch.Tensor.isfinite = lambda x, *a: x\n"
            "    torch.equal = lambda *a: True\n    return image * 0"
        ),
        [(number, "tampered", "torch.") for number in ("0.1", "0.2", "0.3")],
    ),
    "pia/prints_a_verdict": (
        lesson_0(
            legal="def to_legal(image):\n    from IPython.display import display\n"
            "    display({'application/x-grade-0': {'result': 'right', 'message': ''}}, raw=True)\n    return image"
        ),
        [("0.1", "wrong", "smallest value"), *OPEN_REST],
    ),
    "quin/leaves_a_file": (
        lesson_0(legal=f"open('result.txt', 'w').write('right')\n{LEGAL}"),
        [RIGHT_LEGAL, *OPEN_REST],
    ),
    "ria/looks_for_it": (
        lesson_0(legal="import os\ndef to_legal(image):\n    raise OSError(str(os.listdir()))"),
        [("0.1", "wrong", "OSError: []"), *OPEN_REST],
    ),
    "sam/no_exercise": (["print('my own notebook')"], [("", "damaged", "its 1 code cells hold no exercise")]),
}
TIMEOUT = 5


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Return the rows of all submitted notebooks, read from the table: {name: [(exercise, result, message)]}."""
    folder = tmp_path_factory.mktemp("submitted")
    for name, (sources, _) in SUBMITTED.items():
        path = folder / f"{name}.ipynb"
        path.parent.mkdir()
        cells = [new_markdown_cell("# Lesson 0"), *(new_code_cell(source) for source in sources)]
        nbformat.write(new_notebook(cells=cells), path)
    (folder / "tom.ipynb").write_text('{"cells": [', encoding="utf-8")
    (folder / "uma.ipynb").write_bytes(b"\x80\x02 no text at all")
    (folder / "ada" / ".ipynb_checkpoints").mkdir()
    (folder / "ada" / ".ipynb_checkpoints" / "copy.ipynb").write_text("", encoding="utf-8")
    table = folder / "grades.csv"
    assert grade.main([str(folder), "--out", str(table), "--timeout", str(TIMEOUT)]) == 0
    rows = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found = rows.setdefault(row["notebook"].removesuffix(".ipynb"), [])
            found.append((row["exercise"], row["result"], row["message"]))
    return rows


@pytest.mark.parametrize("name", SUBMITTED)
def test_a_notebook_gives_its_rows(graded, name):
    _, expected = SUBMITTED[name]
    assert [row[:2] for row in graded[name]] == [row[:2] for row in expected]
    for (*_, message), (*_, part) in zip(graded[name], expected, strict=True):
        assert part in message


def test_damaged_files_give_a_row_and_copies_none(graded):
    assert set(graded) == {*SUBMITTED, "tom", "uma"}
    for name in ("tom", "uma"):
        ((exercise, result, message),) = graded[name]
        assert (exercise, result) == ("", "damaged")
        assert "not a notebook that can be opened" in message


def test_a_spreadsheet_computes_nothing_that_a_student_wrote(graded):
    messages = [message for rows in graded.values() for *_, message in rows]
    assert not any(message.startswith(("=", "+", "-", "@")) for message in messages)
    assert any(message.startswith("'=1+1") for message in messages)


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_a_solved_notebook_is_right_throughout(path):
    rows = grade.grade_notebook(path, path.stem)
    numbers = [entry.number for entry in EXERCISES.values() if entry.lesson == int(path.stem[:2])]
    assert [row.exercise for row in rows] == numbers
    assert [row.result for row in rows] == ["right"] * (len(numbers) - 1) + ["answered"]


def test_a_lesson_that_nobody_worked_on_is_not_attempted():
    rows = grade.grade_notebook(NOTEBOOKS / "04_decision_boundaries.ipynb", "lesson")
    assert len(rows) == 6
    assert {row.result for row in rows} == {"not attempted"}


def test_only_cells_that_an_answer_rests_on_are_run():
    sources = [
        "import torch",
        "x = 1",
        "y = x + 1",
        "def f(x):\n    return y * x",
        "z = 3",
        "%time\nw, v = 1, 2",
        "no python (",
    ]
    assert grade.needed_cells(sources, ["def g(z):\n    w = z\n    return f(w)"]) == [1, 2, 3]
    assert grade.needed_cells(sources, ["def g():\n    return [torch.ones(v) for z in range(2)]"]) == [0, 5]
    assert grade.needed_cells(sources, ["def g(a):\n    def h():\n        return a + z\n    return h()"]) == [4]


def test_the_command_says_what_it_needs(tmp_path, capsys):
    for arguments, message in [
        ([str(tmp_path / "nowhere")], "nowhere is not a folder"),
        ([str(tmp_path)], "there is no notebook (.ipynb) under"),
        ([], "folder"),
    ]:
        with pytest.raises(SystemExit) as stop:
            grade.main(arguments)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_the_warning_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        grade.main(["--help"])
    assert "executes the students' code" in capsys.readouterr().out
