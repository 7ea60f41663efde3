"""Grading in bulk: whatever a submitted notebook does, it gives rows that say so, and the others go on."""

import csv
import json
import os
import sys

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
        lesson_0(
            before=["x = " + "+".join(["1"] * 60000)],
            words='answer_0_3 = """\n=1+1 \ud800\\ud800\n- because' + " nobody measured it" * 9 + '\n"""',
        ),
        [RIGHT_LEGAL, OPEN_REST[0], ("0.3", "answered", "=1+1 ??\n- because nobody measured it")],
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
        [("0.1", "hangs", "it did not finish within 5 s"), *OPEN_REST],
    ),
    "hal/endless_cell": (
        lesson_0(legal=f"{LEGAL}\nwhile True: pass"),
        [("0.1", "hangs", "the cell of exercise 0.1 did not finish within 5 s"), *OPEN_REST],
    ),
    "ida/dies": (
        lesson_0(legal="import os\ndef to_legal(image):\n    os._exit(0)"),
        [("0.1", "crashes", "it crashes the kernel"), *OPEN_REST],
    ),
    "jon/no_python": (
        lesson_0(legal="def to_legal(image)\n    return image"),
        [("0.1", "wrong", "the cell of exercise 0.1 is not Python: expected ':' in line 1"), *OPEN_REST],
    ),
    "kim/deleted": (
        [START, 'check("0.1", to_legal)'],
        [("0.1", "not attempted", "the notebook defines no to_legal"), *OPEN_REST],
    ),
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
            legal="import fooling_utils.checks.exercises as c\n"
            "c.EXERCISES['0.1'] = c.EXERCISES['0.1']._replace(function='answer_0_1')\n"
            "answer_0_1 = 'sure ' * 20\nto_legal = torch.zeros_like"
        ),
        [(number, "tampered", "exercises.0.1") for number in ("0.1", "0.2", "0.3")],
    ),
    "nia/other_check": (
        lesson_0(
            legal="import fooling_utils.checks.lesson0 as c\nc.to_legal = lambda *a: None\nto_legal = torch.zeros_like"
        ),
        [(number, "tampered", "fooling_utils.checks.lesson0.to_legal") for number in ("0.1", "0.2", "0.3")],
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
    "rob/fills_what_it_uses_in_a_way_that_nobody_sees": (
        lesson_0(
            before=["torch.clamp?\nx = !echo 0", "d = {}", "def fill(what):\n    what['low'] = int(x[0])", "fill(d)"],
            legal="def to_legal(image):\n    return image.clamp(d['low'], 1)",
        ),
        [RIGHT_LEGAL, *OPEN_REST],
    ),
    "rod/gives_the_answer_in_a_way_that_nobody_sees": (
        [
            *(START, "%%writefile own.py\ndef legal(image):\n    return image.clamp(0, 1)"),
            *("from own import legal as to_legal", 'check("0.1", to_legal)'),
            *("globals()['away_from_class'] = lambda z, c: -z.log_softmax(1).gather(1, c[:, None])[:, 0]",),
            f"def say():\n    global answer_0_3\n    answer_0_3 = {'because nobody measured it ' * 9!r}",
            *("say()", 'check("0.2", away_from_class)'),
        ],
        [RIGHT_LEGAL, ("0.2", "right", ""), ("0.3", "answered", "because nobody measured it")],
    ),
    "ron/leaves_the_stub": (
        [
            *(START, "def to_legal(image):\n    return ..."),
            "to_legal = lambda x: x.clamp(0, 1)\nget_ipython().ask_exit()",
            *('check("0.1", to_legal)', AWAY, 'check("0.2", away_from_class)'),
            "away_from_class = lambda z, c: -z.log_softmax(1).gather(1, c[:, None])[:, 0]",
            WORDS,
        ],
        [
            ("0.1", "right", "ends the program; to_legal is defined twice, in line 1 of code cell 2 and line 1 of"),
            ("0.2", "right", ""),
            OPEN_REST[1],
        ],
    ),
    "rut/leaves": (
        [
            *(START, f"{LEGAL}\nexit()", 'check("0.1", to_legal)'),
            'import os\nanswer_0_3 = "because nobody measured it " * 9\nos._exit(0)',
            "def away_from_class(logits, classes):\n    return float(input('how far?'))",
            "answer_0_3 = (\n",
        ],
        [
            (
                "0.1",
                "right",
                "the cell of exercise 0.1 stops with SystemExit: it calls exit() or quit(), which ends the program",
            ),
            ("0.2", "wrong", "StdinNotImplementedError"),
            ("0.3", "wrong", "the cell of exercise 0.3 is not Python"),
        ],
    ),
    "sal/copies_the_stub": (
        [START, LEGAL, "def to_legal(image):\n    return ...", 'check("0.1", to_legal)'],
        [
            ("0.1", "not attempted", "to_legal is defined twice, in line 1 of code cell 2 and line 1 of code cell 3"),
            *OPEN_REST,
        ],
    ),
    "sid/is_hungry": (
        lesson_0(legal="def to_legal(image):\n    return bytearray(8 * 2**30)"),
        [("0.1", "wrong", "it stops with MemoryError"), *OPEN_REST],
    ),
    "sue/adds_a_method_and_changes_a_default": (
        lesson_0(
            legal="import importlib, fooling_utils.checks.core as c\nimportlib.reload(c)\n"
            "torch.set_default_dtype(torch.float64)\ntorch.Tensor.legal = lambda x: x.clamp(0, 1)\n"
            "def to_legal(image):\n    return image.legal()"
        ),
        [RIGHT_LEGAL, *OPEN_REST],
    ),
    "sam/no_exercise": (["print('my own notebook')"], [("", "damaged", "none of its 1 code cells is an exercise")]),
}
TIMEOUT = 5
if not grade.LIMITS_MEMORY:  # it would take what there is
    del SUBMITTED["sid/is_hungry"]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Return what is in the two tables of all submitted notebooks."""
    folder = tmp_path_factory.mktemp("submitted")
    for name, (sources, _) in SUBMITTED.items():
        path = folder / f"{name}.ipynb"
        path.parent.mkdir()
        cells = [new_markdown_cell("# Lesson 0"), *(new_code_cell(source) for source in sources)]
        path.write_text(json.dumps(new_notebook(cells=cells)), encoding="utf-8")  # which takes any character
    table, summary = folder / "grades.csv", folder / "summary.csv"
    command = [str(folder), "--out", str(table), "--timeout", str(TIMEOUT), "--summary", str(summary)]
    assert grade.main(command) == 0
    return rows_of(table), rows_of(summary)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", SUBMITTED)
def test_a_notebook_gives_its_rows(graded, name):
    _, expected = SUBMITTED[name]
    rows = [row for row in graded[0] if row["notebook"] == f"{name}.ipynb"]
    assert [(row["exercise"], row["result"]) for row in rows] == [row[:2] for row in expected]
    for row, (*_, part) in zip(rows, expected, strict=True):
        assert part in row["message"]
        assert part or not row["message"] or row["result"] != "right"


def test_the_summary_has_one_row_for_each_notebook(graded):
    rows, summary = graded
    assert [row["notebook"] for row in summary] == sorted(f"{name}.ipynb" for name in SUBMITTED)
    for row in summary:
        own = [one["result"] for one in rows if one["notebook"] == row["notebook"]]
        assert int(row["right"]) == own.count("right")
        assert int(row["wrong"]) == own.count("wrong")
        assert int(row["open"]) == own.count("not attempted")
        assert int(row["words"]) == own.count("answered")
        assert int(row["tampered"]) == own.count("tampered")
        assert sum(int(row[kind]) for kind in grade.Total._fields[1:]) == len(own)


# ------------------------------------------------------------------------------------------- files that are no notebook


def notebook(*sources, **more):
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "source": s, **more} for s in sources]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


DAMAGED = {
    "empty": (b" \n", "it is empty"),
    "cut": (b'{"cells": [', "JSONDecodeError"),
    "no text": (b"\x80\x02 no text at all", "UnicodeDecodeError"),
    "a list": (b"[]", "it has no list of cells"),
    "no cells": (b"{}", "it has no list of cells"),
    "null": (b'{"cells": null}', "it has no list of cells"),
    "deep": (b"[" * 200_000, "RecursionError"),
    "old": (b'{"nbformat": 3, "cells": []}', "cannot be opened as a notebook"),
    "cells of any kind": (b'{"nbformat": 4, "cells": [1, null, {}, {"cell_type": 3}, []]}', "its 0 code cells"),
    "X": (notebook("a = 1").encode(), "none of its 1 code cells is an exercise"),
    "large": (b"1" * 2001, "it is larger than 0 MB"),
}


def test_every_file_has_a_row_and_nothing_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(grade, "LARGEST", 2000)
    for name, (data, _) in DAMAGED.items():
        if len(data) > 2001:
            data = b"[" * 1900
        (tmp_path / f"{name}.{'IPYNB' if name == 'X' else 'ipynb'}").write_bytes(data)
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "folder.ipynb" / "inside.ipynb").write_bytes(b"")
    for copies in (".ipynb_checkpoints", "__MACOSX"):
        (tmp_path / copies).mkdir()
        (tmp_path / copies / "copy.ipynb").write_bytes(b"")
    assert grade.main([str(tmp_path), "--out", str(tmp_path / "grades.csv")]) == 0
    rows = {row["notebook"].rpartition(".")[0]: row for row in rows_of(tmp_path / "grades.csv")}
    assert set(rows) == {*DAMAGED, "folder.ipynb/inside"}
    for name, (_, message) in DAMAGED.items():
        assert (rows[name]["exercise"], rows[name]["result"]) == ("", "damaged")
        assert message in rows[name]["message"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes and devices here")
def test_a_pipe_a_device_or_a_loop_is_no_notebook_and_a_name_may_be_any(tmp_path):
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name, target in [("device", "/dev/zero"), ("loop", "loop.ipynb"), ("nowhere", "nothing"), ("up", "..")]:
        (tmp_path / f"{name}.ipynb").symlink_to(target)
    if sys.platform == "linux":
        (tmp_path / os.fsdecode(b"=caf\xe9\n.ipynb")).write_bytes(b"")
    assert grade.main([str(tmp_path), "--out", str(tmp_path / "grades.csv")]) == 0
    rows = {row["notebook"].removesuffix(".ipynb"): row["message"] for row in rows_of(tmp_path / "grades.csv")}
    assert "not a regular file" in rows["pipe"]
    assert "not a regular file" in rows["device"]
    assert {"loop", "nowhere", "up"} < set(rows)
    assert sys.platform != "linux" or "'=caf\\xe9\n" in rows


@pytest.mark.parametrize("source", [5, None, 1.5, {}, [1], True])
def test_a_source_that_is_no_text_belongs_to_its_exercise_only(tmp_path, source):
    (tmp_path / "n.ipynb").write_text(notebook(source, id="exercise-0-1"), encoding="utf-8")
    (cell,) = grade.read_notebook(tmp_path / "n.ipynb")
    assert cell.part == ("exercise", "0.1")
    assert cell.error.startswith("damaged: it holds ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("source", ["check('0.1', to_legal)  # é", ["check(", "'0.1', to_legal)  # é"]])
def test_a_notebook_that_an_editor_saved_in_another_encoding_is_read(tmp_path, encoding, source):
    text = json.dumps(json.loads(notebook(source)), ensure_ascii=False)
    (tmp_path / "n.ipynb").write_bytes(text.encode(encoding))
    (cell,) = grade.read_notebook(tmp_path / "n.ipynb")
    assert cell.source == "check('0.1', to_legal)  # é"


def test_a_damaged_source_gives_a_row_and_the_others_are_graded(tmp_path):
    found = json.loads(notebook(START, LEGAL, 5, 'check("0.1", to_legal)', 'check("1.1", climb)', "climb = ["))
    found["cells"][2]["id"], found["cells"][5]["id"] = "exercise-0-2", "exercise-1-1"
    (tmp_path / "n.ipynb").write_text(json.dumps(found), encoding="utf-8")
    rows = grade.grade_notebook(tmp_path / "n.ipynb", "n")
    assert [row.result for row in rows] == [
        *["right", "damaged"],
        *["not attempted"] * 2,  # 0.3 and 1.0
        "wrong",
        *["not attempted"] * 4,
    ]
    assert rows[1].message == "the cell of exercise 0.2 is damaged: it holds a int instead of text"
    assert rows[4].message == "the cell of exercise 1.1 is not Python: '[' was never closed in line 1"
    assert not any("line" in row.message for row in rows if row is not rows[4])


# ------------------------------------------------------------------------------------------------------- the tables


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        *(
            (f"{sign}1+1", f"'{sign}1+1")
            for sign in ["=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠", " =", "\r\n=", "\ufeff="]
        ),
        ("a = 1", "a = 1"),
        ("half \ud800 and \x00", "half ? and \ufffd"),
        (3, 3),
    ],
)
def test_a_spreadsheet_computes_nothing_that_a_student_wrote(text, written):
    found = grade._harmless(text)
    assert found == (written.replace("\r\n", "\n") if isinstance(written, str) else written)


def test_an_interrupt_keeps_what_is_written_and_an_error_does_not_stop(tmp_path, monkeypatch, capsys):
    for name in "abcd":
        (tmp_path / f"{name}.ipynb").write_bytes(b"")

    def graded(path, name, *_):
        if name == "b.ipynb":
            raise RecursionError("too deep")
        if name == "d.ipynb":
            raise KeyboardInterrupt
        return [grade.Row(name, "0.1", "right")]

    monkeypatch.setattr(grade, "grade_notebook", graded)
    tables = [tmp_path / "grades.csv", tmp_path / "sums.csv"]
    assert grade.main([str(tmp_path), "--out", str(tables[0]), "--summary", str(tables[1])]) == 130
    assert "3 of 4 notebooks" in capsys.readouterr().out
    assert [row["result"] for row in rows_of(tables[0])] == ["right", "damaged", "right"]
    assert [row["right"] for row in rows_of(tables[1])] == ["1", "0", "1"]


# ------------------------------------------------------------------------------------------------- the course itself


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_a_solved_notebook_is_right_throughout(path):
    rows = grade.grade_notebook(path, path.stem)
    numbers = [entry.number for entry in EXERCISES.values() if entry.lesson == int(path.stem[:2])]
    assert [row.exercise for row in rows] == numbers
    assert [row.result for row in rows] == ["right"] * (len(numbers) - 1) + ["answered"]


def test_two_lessons_in_one_notebook_that_nobody_worked_on(tmp_path):
    notebook = nbformat.read(NOTEBOOKS / "01_class_visualization.ipynb", as_version=4)
    notebook.cells += nbformat.read(NOTEBOOKS / "05_defences.ipynb", as_version=4).cells  # it has its own `climb`
    (tmp_path / "joined.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    rows = grade.grade_notebook(tmp_path / "joined.ipynb", "joined")
    assert [row.exercise for row in rows] == [e.number for e in EXERCISES.values() if e.lesson in (1, 5)]
    assert {row.result for row in rows} == {"not attempted"}


def test_the_command_says_what_it_needs(tmp_path, capsys):
    for arguments, message in [
        ([str(tmp_path / "nowhere")], "nowhere is not a folder"),
        ([str(tmp_path)], "there is no notebook (.ipynb) under"),
        ([], "folder"),
        ([str(tmp_path), "--timeout", "0"], "above 0, got '0'"),
        ([str(tmp_path), "--timeout", "nan"], "above 0, got 'nan'"),
        ([str(tmp_path), "--memory", "lots"], "like 4GB, 800MB or none, got 'lots'"),
        ([str(tmp_path), "--memory", "0GB"], "like 4GB, 800MB or none"),
    ]:
        with pytest.raises(SystemExit) as stop:
            grade.main(arguments)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_the_warning_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        grade.main(["--help"])
    assert "executes the students' code" in capsys.readouterr().out
