"""Which exercises a notebook has, and which of its cells an answer rests on, without running any."""

import itertools

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from fooling_utils.checks import EXERCISES
from fooling_utils.checks.cells import (
    answer_cells,
    check_cell,
    exercises_in,
    may_answer,
    may_matter,
    needed,
    needed_cells,
    read_cell,
)
from fooling_utils.checks.grade import read_notebook
from refresh_notebooks import NOTEBOOKS

LESSONS = sorted(NOTEBOOKS.glob("0*.ipynb"))
SOLVED = sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))


def of_lessons(*lessons):
    return [entry.number for entry in EXERCISES.values() if entry.lesson in lessons]


def found(path):
    return [entry.number for entry in exercises_in(read_notebook(path))]


# --------------------------------------------------------------------------------------------- which exercises it has


@pytest.mark.parametrize("ids", ["ids", "lost", "without checks"])
@pytest.mark.parametrize("path", [*LESSONS, *SOLVED], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_notebook_has_the_exercises_of_its_lesson(path, ids, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    if ids == "lost":
        notebook.cells = [{key: cell[key] for key in cell if key != "id"} for cell in notebook.cells]
        notebook.nbformat_minor = 4
    if ids == "without checks":
        notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("check-")]
    nbformat.write(nbformat.from_dict(notebook), tmp_path / "saved.ipynb")
    assert found(tmp_path / "saved.ipynb") == of_lessons(int(path.stem[:2]))


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(7), 2)))
def test_a_joined_notebook_has_the_exercises_of_both(first, second):
    cells = [*read_notebook(LESSONS[second]), *read_notebook(LESSONS[first])]
    assert [entry.number for entry in exercises_in(cells)] == of_lessons(first, second)


@pytest.mark.parametrize(
    ("source", "lessons"),
    [
        ('check("1.1", climb)', [1]),
        ("c.check('1.1', climb)", [1]),
        ('check(number="1.1", answer=climb)', [1]),
        ('verdict = check("1.1", climb); check("2.1", 1)', [1, 2]),
        ('%time check("1.1", climb)', [1]),
        ('# check("1.1", climb)', []),
        ("'check(\"1.1\", climb)'", []),
        ("climb = 1", []),
        ("def climb(score):\n    pass", []),
        ('print("1.1", climb)', []),
        ('check("9.9", climb)', []),
        ('check("1.1", climb', []),
    ],
)
def test_only_a_call_of_check_tells_the_exercise(source, lessons):
    assert [entry.number for entry in exercises_in([read_cell(source)])] == of_lessons(*lessons)


def test_the_mark_of_nbgrader_counts_as_the_id(tmp_path):
    cell = new_code_cell("...", metadata={"nbgrader": {"grade_id": "exercise-3-2"}})
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    assert found(tmp_path / "n.ipynb") == of_lessons(3)


# --------------------------------------------------------------------------------------- what an answer rests on


def test_only_cells_that_an_answer_rests_on_are_needed():
    sources = [
        "import torch",
        "x = 1",
        "y = x + 1",
        "def f(x):\n    return y * x",
        "z = 3",
        "%time\nw, v = 1, 2",
        "no (",
    ]
    assert needed_cells(sources, ["def g(z):\n    w = z\n    return f(w)"]) == [1, 2, 3]
    assert needed_cells(sources, ["def g():\n    return [torch.ones(v) for z in range(2)]"]) == [0, 5]
    assert needed_cells(sources, ["def g(a):\n    def h():\n        return a + z\n    return h()"]) == [4]


# what gives or fills d, beside the cells "d = {}" above it and "e = 2", which nobody needs
FILLS = [
    "d['low'] = 1", "d.update(low=1)", "d |= {'low': 1}", "x = d.setdefault('low', 1)", "d.low = 1", "del d['high']",
    "d['a']['b'].append(1)", "for k in q:\n    d[k] = k", "with k as f:\n    d[k] = f", "[d.update(k) for k in q]",
    "def fill():\n    d['low'] = 1", "def fill():\n    global d\n    d = 1", "d: dict = {1: 1}", "x, *d = 1, 2",
    "f(d := 1)", "import os as d", "from os import path as d", "try:\n    1\nexcept E as d:\n    pass",
    "with q as (d, x):\n    pass",
    "for d in q:\n    pass", "while q:\n    d = 1", "match q:\n    case [d, *_]:\n        pass",
    "match q:\n    case {'x': 1, **d}:\n        pass", "match q:\n    case 1 as d:\n        pass", "class d:\n    pass",
    "async def d():\n    pass", "d = !pwd", "torch.clamp?\nd = 1", "d = 1;\nd?", "%time d = 1", "%%time\nd = 1",
    "%%capture d\nprint(1)", "%%capture\nd = 1", "  d = 1\n  x = 2", "if q:\n    %pwd\n    d = 1", "d = await q",
    "setattr(d, 'low', 1)", "next(d)", "d.fill_(1)", "!ls\nd = 1", "d = %env HOME", "'''text'''\nd = 1 # d",
]  # fmt: skip


@pytest.mark.parametrize("source", FILLS)
@pytest.mark.parametrize(
    "answer", ["def g():\n    return d", "g = lambda x: x + d", "g = [x + d for x in q]", "%time g = d"]
)
def test_what_gives_or_fills_a_name_is_needed(source, answer):
    assert needed_cells(["d = {}", source, "e = 2"], [answer]) == [0, 1]


@pytest.mark.parametrize(
    "source",
    [
        "x = d['low']", "print(d)", "def f(d):\n    d['low'] = 1", "def f():\n    d = 1\n    d.append(2)", "# d = 1",
        "'d = 1'", "[d for d in q]", "lambda d: d.append(1)", "x = {d: 1 for d, y in q}", "d?", "%%bash\nd=1",
        "%%writefile d.py\nd = 1", "class A:\n    d = 1", "d: int", "x.d = 1", "d",
        "def f():\n    [d.pop() for d in q]",
    ],
)  # fmt: skip
def test_what_only_reads_a_name_is_not_needed(source):
    assert needed_cells(["d = {}", source, "e = 2"], ["def g():\n    return d"]) == [0]


@pytest.mark.parametrize(
    "opaque",
    ["from torch import *", "exec('d = 1')", "globals()['d'] = 1", "%run other.py", "%pylab", "get_ipython().push(q)"],
)
def test_a_cell_that_may_give_anything_is_needed_where_a_name_is_missing(opaque):
    assert needed_cells([opaque, "e = 2"], ["def g():\n    return d"]) == [0]
    assert needed_cells([opaque, "d = 2"], ["def g():\n    return d + len('')"]) == [1]


@pytest.mark.parametrize(
    ("sources", "answer", "expected"),
    [
        (["x = 1", "y = x", "x = 2"], "def g():\n    return y", [0, 1]),  # what runs takes from above
        (
            ["def f():\n    return x", "x = 1"],
            "def g():\n    return f()",
            [0, 1],
        ),  # what is called later also from below
        (["x = 1", "def f():\n    return 1\nx = f()"], "def g(y=x):\n    return y", [0, 1]),
        (["import torch", "torch.manual_seed(0)", "torch.x = 1"], "def g():\n    return torch", [0]),  # modules stay
        (["n = 1", "f = 2"], "def f(n):\n    return f(n - 1)", []),
        (["x = 1", "x = 2"], "x = x + 1\ndef g():\n    return x", [0, 1]),
        (["s = 1", "t = 2"], "def g(a=s):\n    t = a\n    class A:\n        t = 1\n    return t", [0]),
        (
            ["t = 2", "u = 1"],
            "@u\ndef g(a: u) -> u:\n    def h():\n        nonlocal a\n        a = t\n    return h",
            [0, 1],
        ),
    ],
)
def test_scopes_and_order(sources, answer, expected):
    assert needed_cells(sources, [answer]) == expected


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("x = (", "not Python: '(' was never closed in line 1"),
        ("x = 1\n\ndef f(x)\n    return x", "in line 3"),
        ("%%time\nx = 1\nfor", "in line 3"),
        ("x = " + "(" * 300 + ")" * 300, "not Python: too many nested parentheses"),
        ("x = 1\n\0", "null byte"),
        ("\N{NO-BREAK SPACE}x = 1", "not Python: invalid"),
        ("#" * 2_000_000, "longer than 1000000 characters"),
    ],
)
def test_a_cell_that_cannot_be_read_says_why(source, error):
    cell = read_cell(source)
    assert error.lower() in cell.error.lower()
    assert not cell.gives


@pytest.mark.parametrize("terms", [900, 60_000])
def test_a_cell_deeper_than_we_read_is_not_lost(terms):
    cell = read_cell("LOW = " + "+".join(["x"] * terms))
    assert "LOW" in cell.gives or cell.error == "nested too deeply for Python"
    assert terms > 900 or not cell.error


# -------------------------------------------------------------------------------------------- which cell is the answer


@pytest.mark.parametrize(
    ("cells", "answers", "check"),
    [
        ([("def climb():\n    ...", "exercise-1-1"), ("check('1.1', climb)", ""), ("climb = []", "")], [0], 1),
        ([("climb = f", "exercise-1-1"), ("", "check-1-1"), ("climb = []", "")], [0], 1),
        ([("def climb():\n    ...", ""), ("climb = compile(climb)", "")], [0, 1], 2),
        ([("climb = torch.clamp", ""), ("check('1.1', climb)", "")], [0], 1),
        ([("def climb():\n    ...", ""), ("def climb():\n    ...", "")], [0, 1], 2),
        ([("x = (", "exercise-1-1"), ("def climb()\n    ...", "")], [0, 1], 2),
        ([("x = 1", "exercise-1-1"), ("def climb2(): pass", ""), ("my_climb = (", "")], [], 3),
        ([("def climb():\n    ...", ""), ("climb = f", ""), ("check('1.1', climb)", "")], [0, 1], 2),
        ([("climb = []", ""), ("def climb():\n    ...", ""), ("check('1.1', climb)", "")], [1], 2),
    ],
)
def test_the_answer_and_its_check_are_found(cells, answers, check):
    cells = [read_cell(*cell) for cell in cells]
    assert answer_cells(cells, EXERCISES["1.1"]) == answers
    assert check_cell(cells, EXERCISES["1.1"]) == check


@pytest.mark.parametrize(
    ("answer", "other", "message", "matters"),
    [
        ("return d[0]", "fill(d)", "", True),
        ("return helper(1)", "hidden(helper)", "", True),
        ("return d[0]", "exec(q)", "", True),
        ("return image", "fill(d)", "", False),
        ("return torch.ones(1)", "print(torch)", "", False),
        ("return d[0]", "print(e)", "", False),
        ("return eval('e')", "print(e)", "", True),
        ("return d[0]", "check('1.1', climb)\nprint(d)", "", False),
        ("return image", "top", "it stops with NameError: name 'top' is not defined", True),
        ("return image", "print(e)", "it stops with FileNotFoundError: [Errno 2]", True),
    ],
)
def test_a_wrong_answer_is_doubted_where_another_cell_could_matter(answer, other, message, matters):
    sources = ["import torch\nd = {}\ndef helper(x): ...", f"def climb(image):\n    {answer}", other]
    cells = [read_cell(source) for source in sources]
    assert may_matter(cells, EXERCISES["1.1"], {0, 1}, set(), message) is matters


@pytest.mark.parametrize(
    ("answer", "other", "gives"),
    [
        ("def climb():\n    ...", "climb = f", True),
        ("x = 1", "globals()['climb'] = f", True),
        ("def make():\n    global climb\n    climb = f", "make()", True),
        ("def climb():\n    ...", "exec(q)", False),
        ("def climb():\n    ...", "print(climb)", False),
        ("def climb():\n    ...", "check('1.1', climb)\nclimb = f", False),
    ],
)
def test_an_open_answer_is_doubted_where_another_cell_could_give_it(answer, other, gives):
    cells = [read_cell(source) for source in (answer, "check('1.1', climb)", other)]
    assert may_answer(cells, EXERCISES["1.1"], {0, 1}) is gives


@pytest.mark.parametrize("ids", ["ids", "lost"])
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_cell_of_a_lesson_could_give_an_answer_to_it(path, ids):
    cells = [cell._replace(id=cell.id if ids == "ids" else "") for cell in read_notebook(path)]
    entries = exercises_in(cells)
    run = {at for entry in entries for at in answer_cells(cells, entry)}
    assert not any(may_answer(cells, entry, run) for entry in entries)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_cells_of_a_lesson_are_not_run_again_for_a_wrong_answer(path):
    cells = read_notebook(path)
    answers = {at for entry in exercises_in(cells) for at in answer_cells(cells, entry)}
    run = answers | needed(cells, answers)
    assert not any(may_matter(cells, entry, run, set(), "the values are wrong") for entry in exercises_in(cells))
    assert all(cell.of_lesson for cell in cells)


@pytest.mark.parametrize("name", ["", "3f2a91bc", "deadbeef", "aBcD1234EfGh", "6c3a9d1e-77aa-4b0e-9d55-1f2e3d4c5b6a"])
def test_a_cell_that_a_student_adds_is_known_by_its_id(name):
    assert not read_cell("x = 1", name).of_lesson
