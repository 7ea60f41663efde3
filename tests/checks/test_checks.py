"""The checks of the exercises: right answers pass, wrong ones get the message that helps, and nothing ever raises."""

import ast
import copy
import signal
from contextlib import contextmanager

import nbformat
import pytest
import torch

import fooling_utils as fu
import solutions
from fooling_utils import optimize_pixels, toward
from fooling_utils.checks import EXERCISES, check, judge, judging, summary
from planted_answers import RIGHT, WRONG
from refresh_notebooks import NOTEBOOKS

LESSONS = sorted(NOTEBOOKS.glob("0*.ipynb"))
SOLVED = sorted(solutions.FOLDER.glob("0*.ipynb"))
PARTS = {
    number: parts
    for path in LESSONS
    for number, parts in solutions.exercises(nbformat.read(path, as_version=4)).items()
}
CODED = [number for number, entry in EXERCISES.items() if not entry.in_words]
QUESTIONS = [number for number in EXERCISES if number not in CODED]


def run(code, number):
    """Run the code of a cell as a lesson would, and return what it defines for exercise `number`."""
    space = {"torch": torch, "fu": fu, "optimize_pixels": optimize_pixels, "toward": toward}
    exec(compile(code, f"<exercise {number}>", "exec") if isinstance(code, str) else code, space)
    return space[EXERCISES[number].function]


# ----------------------------------------------------------------------------------------------- lessons and checks


def test_every_exercise_of_a_lesson_has_a_check_and_every_check_an_exercise():
    assert list(PARTS) == list(EXERCISES)
    for number, parts in PARTS.items():
        assert set(parts) == {"text", "exercise", "check", "solution"}
        assert parts["check"].source == f'check("{number}", {EXERCISES[number].function})'
        assert parts["text"].source.startswith(f"### {number} ")
        assert EXERCISES[number].title in parts["text"].source.splitlines()[0].replace("In words: ", "") or parts[
            "check"
        ].source.count(EXERCISES[number].function)


def test_every_lesson_has_exercises_and_one_question():
    for lesson in range(7):
        own = [number for number in EXERCISES if number.startswith(f"{lesson}.")]
        assert 3 <= len(own) <= 8
        assert sum(number in QUESTIONS for number in own) == 1


@pytest.mark.parametrize("number", EXERCISES)
def test_text_says_how_difficult_and_how_long(number):
    heading = PARTS[number]["text"].source.splitlines()[0]
    assert heading.count("★") in (1, 2, 3)
    assert heading.count("★") + heading.count("☆") == 3
    assert heading.endswith(" minutes")


@pytest.mark.parametrize("number", EXERCISES)
def test_hint_and_solution_are_folded(number):
    found = list(solutions.folds(PARTS[number]["solution"]))
    if number in CODED:
        assert found[:2] == ["Hint", "Solution"] and len(found) <= 3  # the third says what comes out
    else:
        assert found == ["Three points to compare with", "One possible answer"]
        assert "points to compare" not in solutions.folds(PARTS[number]["solution"])["One possible answer"]


@pytest.mark.parametrize("number", CODED)
def test_stub_says_what_goes_in_and_what_comes_out(number):
    (function,) = ast.parse(PARTS[number]["exercise"].source).body
    docstring = ast.get_docstring(function)
    assert "Returns" in docstring
    for argument in function.args.args:
        assert argument.arg in docstring


def test_every_lesson_with_exercises_has_its_solutions():
    assert solutions.missing() == []
    assert [path.name for path in SOLVED] == [path.name for path in LESSONS]


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_committed_solutions_are_made_from_the_lesson(path):
    committed, made = nbformat.read(path, as_version=4), solutions.make(path)
    cells = [
        [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in book.cells] for book in (committed, made)
    ]
    assert cells[0] == cells[1], "run: python .ci/refresh_notebooks.py solutions"
    outputs = {cell.id: cell.outputs[0].data["text/plain"] for cell in committed.cells if cell.id.startswith("check-")}
    assert {text.split(":")[1].strip() for text in outputs.values()} == {"right", "answered"}


def test_a_solution_for_another_stub_is_refused():
    parts = copy.deepcopy(PARTS["0.1"])
    parts["exercise"].source = parts["exercise"].source.replace("(image)", "(picture)")
    with pytest.raises(ValueError, match="the solution begins with 'def to_legal\\(image\\):'"):
        solutions.model_answer(parts)


# ------------------------------------------------------------------------------------------------ right, wrong, none


@pytest.mark.parametrize("seed", [0, 1, 7, 123])
@pytest.mark.parametrize("number", EXERCISES)
def test_stub_is_not_attempted_and_solution_is_right(number, seed, device="cpu"):
    assert judge(number, run(PARTS[number]["exercise"].source, number), seed, device).status == "not attempted"
    expected = "right" if number in CODED else "answered"
    verdict = judge(number, run(solutions.model_answer(PARTS[number]), number), seed, device)
    assert (verdict.status, verdict) == (expected, verdict)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_stubs_and_solutions_on_a_gpu():
    for number in EXERCISES:
        for seed in (0, 5):
            test_stub_is_not_attempted_and_solution_is_right(number, seed, "cuda")


@pytest.mark.parametrize("number", CODED)
def test_there_are_enough_planted_answers(number):
    assert len(RIGHT[number]) >= 1
    assert len(WRONG[number]) >= 5


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize(("number", "answer"), [(n, a) for n, answers in RIGHT.items() for a in answers])
def test_another_right_answer_is_right(number, answer, seed):
    assert judge(number, answer, seed) == (number, "right", "")


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize(("number", "answer", "message"), [(n, *pair) for n, pairs in WRONG.items() for pair in pairs])
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, message, seed):
    verdict = judge(number, answer, seed)
    assert verdict.status == "wrong"
    assert message in verdict.message


@pytest.mark.parametrize("number", CODED)
def test_no_check_raises_whatever_it_gets(number):
    odd = [
        None,
        1.0,
        "text",
        [],
        (),
        {},
        torch.tensor(1.0),
        torch.zeros(0),
        torch.full((2, 3, 4, 4), float("nan")),
        object,
    ]
    for result in odd:
        assert judge(number, lambda *arguments, result=result: result).status == "wrong"
    for answer in (3, "function", None, torch.zeros(3)):
        assert "without brackets" in judge(number, answer).message
    assert judge(number, ...).status == "not attempted"


def test_a_function_that_ends_python_is_only_wrong():
    assert "SystemExit" in judge("0.1", lambda image: exit()).message


def test_a_stub_with_a_gap_inside_is_not_attempted():
    def to_legal(image):
        low = ...
        return image.clamp(low, 1)

    assert judge("0.1", to_legal).status == "not attempted"


def test_the_stub_of_nbgrader_is_not_attempted():
    def to_legal(image):
        raise NotImplementedError()

    assert judge("0.1", to_legal).status == "not attempted"


def test_an_error_of_torch_that_something_is_not_implemented_is_no_stub():
    verdict = judge("0.1", lambda image: image.to_sparse().clamp(0, 1))
    assert (verdict.status, "NotImplementedError" in verdict.message) == ("wrong", True)


def test_an_error_names_the_line_of_the_student():
    def to_legal(image):
        low = 0
        return image.clamp(low, top)  # noqa: F821

    assert (
        judge("0.1", to_legal).message
        == "it stops with NameError: name 'top' is not defined (in line 3 of your function)"
    )


def test_a_check_leaves_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    judge("1.3", RIGHT["1.3"][0])
    assert torch.equal(torch.rand(2), expected)


def test_a_check_works_where_gradients_are_off():
    with torch.no_grad():
        assert judge("1.1", RIGHT["1.1"][1]).status == "right"


@pytest.mark.parametrize("number", QUESTIONS)
def test_words_are_taken_and_notes_are_not(number):
    assert judge(number, "\n...\n").status == "not attempted"
    assert judge(number, "  ").status == "not attempted"
    assert "only 3 words" in judge(number, "it is wrong").message
    assert judge(number, "word " * 20).status == "answered"
    assert "quotation marks" in judge(number, 5).message


def test_an_unknown_number_is_a_mistake_of_the_notebook():
    with pytest.raises(ValueError, match=r"no exercise '9\.9': choose from 0\.1, 0\.2"):
        check("9.9", None)
    for number in ([], 0.1, None, torch.ones(2)):
        with pytest.raises(ValueError, match="there is no exercise"):
            check(number, None)
        with pytest.raises(ValueError, match="has no exercises: choose from"):
            summary(number)


# -------------------------------------------------------------------------------------------- what a student is shown


@pytest.fixture
def no_verdicts(monkeypatch):
    monkeypatch.setattr(judging, "_verdicts", {})


def test_summary_remembers_the_last_verdict(no_verdicts):
    assert summary(0)["status"].tolist() == ["not attempted"] * 3
    check("0.1", lambda image: image)
    check("0.2", RIGHT["0.2"][0])
    assert summary(0)["status"].tolist() == ["wrong", "right", "not attempted"]
    check("0.1", RIGHT["0.1"][0])
    assert summary(0).loc["0.1"].tolist() == ["Back to legal pixels", "✓", "right"]
    with pytest.raises(ValueError, match="lesson 9 has no exercises"):
        summary(9)


def test_a_verdict_reads_as_a_sentence(no_verdicts):
    assert repr(check("0.1", lambda image: ...)) == "Exercise 0.1: not attempted yet"
    assert repr(check("0.1", RIGHT["0.1"][0])) == "Exercise 0.1: right"
    message = repr(check("0.1", lambda image: image.clamp(max=1)))
    assert message.startswith("Exercise 0.1: not right yet: your result leaves [0, 1]: its smallest value is -")


def test_under_nbgrader_a_wrong_answer_raises(no_verdicts, monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert check("0.1", RIGHT["0.1"][0]) is None
    assert capsys.readouterr().out == "Exercise 0.1: right\n"
    with pytest.raises(AssertionError, match="not right yet"):
        check("0.1", lambda image: image)
    with pytest.raises(AssertionError, match="not attempted"):
        check("0.1", lambda image: ...)


# ------------------------------------------------------------------------------------------------- mutated solutions

SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.MatMult: ast.Mult,
    ast.Gt: ast.LtE, ast.Lt: ast.GtE, ast.GtE: ast.Gt, ast.LtE: ast.Lt,
}  # fmt: skip
RENAMED = {
    "abs": "neg", "amax": "amin", "argmax": "argmin", "detach": "clone", "diff": "cumsum", "exp": "log",
    "index": "count", "log": "exp", "log_softmax": "softmax", "max": "min", "mean": "sum", "min": "max",
    "rand": "randn", "randn": "rand", "sign": "abs", "softmax": "log_softmax", "sum": "mean", "toward": "away_from",
    "zeros_like": "ones_like",
}  # fmt: skip
LEFT_OUT = {"abs", "clamp", "clone", "detach", "norm", "requires_grad_", "sign"}  # methods: x.clamp(0, 1) becomes x


def mutants(source):
    """Return {description: code}: copies of `source` in which one operator, name, number or argument is another one."""
    tree, found = ast.parse(source), {}
    docstring = tree.body[0].body[0].end_lineno  # the solution begins two lines below
    for position, node in enumerate(ast.walk(tree)):
        for what, change in _changes(node):
            mutant = copy.deepcopy(tree)
            change(list(ast.walk(mutant))[position])
            found[f"{what} in line {node.lineno - docstring - 1}: {ast.unparse(node)}"] = ast.unparse(
                ast.fix_missing_locations(mutant)
            )
    return found


def _become(node, other):
    node.__class__ = other.__class__
    node.__dict__ = other.__dict__


def _changes(node):
    # What can be changed in one place of the code, as pairs of a name and a function that changes a copy of the node.
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield "another operator", lambda new: setattr(new, "op", SWAPS[type(new.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield "another comparison", lambda new: setattr(new, "ops", [SWAPS[type(new.ops[0])]()])
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield "no sign", lambda new: _become(new, new.operand)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "one more", lambda new: setattr(new, "value", new.value + 1)
        yield "one less", lambda new: setattr(new, "value", new.value - 1)
    if isinstance(node, ast.IfExp):
        yield "always", lambda new: _become(new, new.body)
        yield "never", lambda new: _become(new, new.orelse)
    if isinstance(node, ast.If):
        yield "the other way round", lambda new: new.__dict__.update(body=new.orelse or [ast.Pass()], orelse=new.body)
    if isinstance(node, ast.Call):
        for index, keyword in enumerate(node.keywords):
            if keyword.arg != "device":
                yield f"no {keyword.arg}", lambda new, index=index: new.keywords.pop(index)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in RENAMED:
            yield RENAMED[node.func.attr], lambda new: setattr(new.func, "attr", RENAMED[new.func.attr])
        if node.func.attr in LEFT_OUT and getattr(node.func.value, "id", "") not in ("torch", "fu"):
            yield f"no {node.func.attr}", lambda new: _become(new, new.func.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RENAMED:
        yield RENAMED[node.func.id], lambda new: setattr(new.func, "id", RENAMED[new.func.id])


# Mutants that are right: {exercise: {description: why}}.
EQUAL = {
    "1.0": {
        "clone in line 3: x.detach()": "it keeps the graphs of all steps, and gives the same image",
        "one less in line 4: 0": "the only row is the last one, too",
    },
    "1.2": {"no dim in line 2: image.diff(dim=3)": "the last dimension, 3, is what diff takes anyway"},
    "2.0": {
        "softmax in line 4: model(x).log_softmax(1)": "of length 1, the gradients of p and log p are the same",
        "clone in line 3: x.detach()": "it keeps the graphs of all steps, and gives the same image",
        "one less in line 4: 0": "the only row is the last one, too",
    },
    "2.1": {
        "softmax in line 2: model(leaf).log_softmax(1)": "the gradients of p and of log p have the same signs",
        "mean in line 3: log_p.sum()": "a positive factor leaves the signs alone",
        "another operator in line 4: epsilon * gradient.sign()": "dividing by 1 or -1 is multiplying by it",
    },
    "2.4": {"one more in line 2: 1": "a mask is true where it is not 0"},
    "2.5": {
        "softmax in line 9: model(shown).log_softmax(1)": "of length 1, the gradients of p and log p are the same",
        "one less in line 9: 0": "the only row is the last one, too",
    },
    "3.3": {"another operator in line 3: genes + noise": "noise of mean 0 is as good with the other sign"},
    "4.4": {"another operator in line 2: amount * w.sign()": "dividing by 1 or -1 is multiplying by it"},
    "6.3": {
        "one more in line 2: 50": "a round more narrows the interval beyond what counts",
        "one less in line 2: 50": "and a round less is still enough",
        "one more in line 1: 1": "twice as far is beyond all walls, too",
    },
}


@contextmanager
def limit(seconds):
    """Stop what runs longer, as a loop that never ends."""

    def stop(*_):
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def survivors(number):
    """Return how many mutants the model solution of `number` has, and the descriptions of those that pass for right."""
    found, passed = mutants(solutions.model_answer(PARTS[number])), []
    for what, code in found.items():
        with limit(20):
            if all(judge(number, run(code, number), seed).status == "right" for seed in (0, 1)):
                passed.append(what)
    return len(found), passed


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that stops endless loops")
def test_checks_reject_mutated_solutions():
    results = {number: survivors(number) for number in CODED}
    assert {number: passed for number, (_, passed) in results.items() if passed} == {
        number: list(reasons) for number, reasons in EQUAL.items()
    }
    count, right = (sum(values) for values in zip(*((n, len(passed)) for n, passed in results.values()), strict=True))
    assert count > 200
    assert right <= 0.06 * count
