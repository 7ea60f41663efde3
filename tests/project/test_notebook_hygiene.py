"""Every committed lesson keeps every rule, and every rule catches a notebook that breaks it."""

import copy

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import notebook_rules as rules
from refresh_notebooks import METADATA, NOTEBOOKS, find_notebooks

COMMITTED = find_notebooks()
PAGES = [path for path in COMMITTED if path.parent.name == "lecture"]
LESSONS = [path for path in COMMITTED if path not in PAGES]  # and the solved exercises
UNSOLVED = [path for path in LESSONS if path.parent == NOTEBOOKS]


def test_there_are_lessons():
    assert LESSONS
    assert PAGES


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.relative_to(NOTEBOOKS).as_posix())
def test_lesson_keeps_rule(path, rule):
    assert rule(nbformat.read(path, as_version=nbformat.NO_CONVERT)) == []


@pytest.mark.parametrize("rule", rules.LESSON_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", UNSOLVED, ids=lambda path: path.name)
def test_lesson_is_readable(path, rule):
    assert rule(nbformat.read(path, as_version=nbformat.NO_CONVERT)) == []


@pytest.mark.parametrize("rule", rules.PAGE_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(NOTEBOOKS).as_posix())
def test_lecture_page_keeps_rule(path, rule):
    assert rule(nbformat.read(path, as_version=nbformat.NO_CONVERT)) == []


def picture(**metadata):
    return new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}, metadata=metadata)


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def good_notebook():
    code = [
        ("import torch\nfrom fooling_utils import show, toward", []),
        ('objective = toward("ostrich")\nfor name in ["robin"]:\n    frame.probability(name)', [printed("0.998\n")]),
        ('plt.plot(curve, label="noise")\nshow(bus, label="school bus", targets=["robin", "cheetah"])', [picture()]),
        ('labels = ["orange", "blue"]\nmodel.logit("blue"), Classifier(net, ("in", "out")).index("out")', []),
        ('try:\n    toward("ostrch")\nexcept ValueError:\n    print("no")', [printed("no\n")]),
        ("%matplotlib inline\n# Is this a bus?", []),
    ]
    cells = [new_markdown_cell("# Seeing what is not there")]
    for count, (source, outputs) in enumerate(code, 1):
        cells.append(new_code_cell(source, execution_count=count, outputs=outputs))
        picture_shown = any("data" in output for output in outputs)
        cells.append(new_markdown_cell("**In the picture:** a bus." if picture_shown else "See https://a.org/home/x."))
    cells[3].metadata["tags"] = ["slow"]
    cells.append(new_markdown_cell("## Sources\n" + "word " * 290))
    return new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))


def good_lesson():
    """A lesson in its order: 1 minute of core, 3 for going further, 10 for the exercises."""

    def run(source, text="", tags=()):
        cell = new_code_cell(source, outputs=[printed(text)] if text else [])
        cell.metadata["tags"] = list(tags)
        return cell

    return new_notebook(
        cells=[
            new_markdown_cell("# A bus\n**Time**: 2 minutes, 3 for *Going further*, 10 for the exercises."),
            run("import math\nsize = 3"),
            new_markdown_cell("## 1 Half of it\n**Predict**: how much is half? " + "word " * 100),
            run("half = size / 2\nfor x in [half]:\n    print(x)", "1.5\n", ["predicted"]),
            run("for x in [math.pi]:\n    print(f'{x:.2f}')", "3.14\n", ["nbval-check-output"]),
            new_markdown_cell("## Exercises\n### 1.1 A third · ★☆☆ · 10 minutes"),
            run("third = size / 3"),
            new_markdown_cell("## 2 Going further: a quarter\n" + "word " * 240),
            run("quarter = half / 2\nprint(quarter)", "0.75\n"),
            new_markdown_cell("## The claims of this lesson, checked"),
            run("assert half == 1.5\nassert quarter == 0.75", tags=["claims"]),
            new_markdown_cell("## Sources\nnone"),
        ]
    )


def path_of(*folders):
    return "/".join(["", *folders, "bus.png"])


# Each function below returns a change that spoils a good notebook: its second cell is code, its third is text.
PICTURE = 5  # the position of the cell that shows one


def code(source, **changes):
    def change(notebook):
        notebook.cells[1].update(source=source, **changes)

    return change


def output(*outputs):
    return code("show(bus)", outputs=list(outputs))


def text(source):
    return lambda notebook: notebook.cells[2].update(source=source)


def metadata(**values):
    return lambda notebook: notebook.metadata.update(nbformat.from_dict(values))


def cell_metadata(**values):
    return lambda notebook: notebook.cells[1].metadata.update(nbformat.from_dict(values))


def longer_code(notebook):
    for _, cell in rules.code_cells(notebook):
        cell.source = "x = 1\n" * 7


def without_text_after_picture(notebook):
    del notebook.cells[PICTURE + 1]


WIDGET = new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
ERROR = new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
BAD = [
    (rules.is_valid, lambda notebook: notebook.cells[1].update(cell_type="cod")),
    (rules.is_executed_in_order, code("x", execution_count=None)),
    (rules.is_executed_in_order, code("x", execution_count=7)),
    (rules.has_no_errors, output(ERROR)),
    (rules.has_no_errors, output(printed("UserWarning: old\n", "stderr"))),
    (rules.has_no_outputs, output(printed("1\n"))),
    (rules.has_no_outputs, code("x", outputs=[], execution_count=1)),
    (rules.is_small, output(printed("x" * 1_500_001))),
    (rules.has_no_machine_paths, code(f"open({path_of('home', 'ada')!r})")),
    (rules.has_no_machine_paths, text(f"See file://{path_of('Users', 'ada')}.")),
    (rules.has_no_machine_paths, output(printed(f"saved {path_of('tmp')}\n"))),
    (rules.has_no_machine_paths, output(printed("\\".join(["C:", "Users", "ada"])))),
    (rules.has_no_machine_paths, output(new_output("execute_result", {"text/html": f"<b>{path_of('root')}</b>"}))),
    (rules.has_no_widget_state, metadata(widgets={"state": {}})),
    (rules.is_clean, metadata(colab={"name": "lesson"})),
    (rules.is_clean, metadata(language_info={"name": "python", "version": "3.11.7"})),
    (rules.is_clean, cell_metadata(execution={"iopub.execute_input": "2026-01-01"})),
    (rules.is_clean, cell_metadata(scrolled=True)),
    (rules.is_clean, output(WIDGET)),
    (rules.is_clean, output(picture(needs_background="light"))),
    (rules.starts_with_title, lambda notebook: notebook.cells.pop(0)),
    (rules.starts_with_title, lambda notebook: notebook.cells.clear()),
    (rules.starts_with_title, lambda notebook: notebook.cells[0].update(source="## Not a title")),
    (rules.has_short_code, code("x = 1\n" * 26)),
    (rules.has_short_code, longer_code),
    (rules.has_short_imports, code("import torch\n" * 9)),
    (rules.has_short_texts, text("word " * 151)),
    (rules.has_short_texts, lambda notebook: notebook.cells[-1].update(source="## Sources\n" + "word " * 301)),
    (rules.has_alt_texts, without_text_after_picture),
    (rules.has_alt_texts, lambda notebook: notebook.cells[PICTURE + 1].update(source="A bus.")),
    (rules.has_alt_texts, output(new_output("display_data", {"text/html": "<img src='bus.png'>"}))),
    (rules.has_alt_texts, lambda notebook: notebook.cells.append(new_code_cell(outputs=[picture()]))),
    (rules.shows_its_widgets, code("widgets.FoolingPlayer(model)", outputs=[])),
    (rules.shows_its_widgets, code("x = 1\nwidgets.GuessFirst.which(\n    'A?', [a, b], 0\n)", outputs=[printed("1")])),
    (rules.is_python, code("x = (")),
    (rules.is_python, code("x = 1\ntoward?")),
    (rules.is_python, code("?toward")),
    (rules.names_real_classes, code('toward("ostrch")')),
    (rules.names_real_classes, code('2 * objectives.away_from("bus")')),
    (rules.names_real_classes, code('all(frame.probability("Robin") > 0.9 for frame in frames)')),
    (rules.names_real_classes, code('pgd(model, bus, target="bus")')),
    (rules.names_real_classes, code('walk(targets={"first": "robin", "second": ("bus",)})')),
    (rules.names_real_classes, code('from fooling_utils import figures\nfigures.show(bus, label="bus")')),
]


def cell(place, source):
    return lambda notebook: notebook.cells[place].update(source=source)


def tags(place, *names):
    return lambda notebook: notebook.cells[place].metadata.update(tags=list(names))


BAD_LESSONS = {
    "no time": (rules.names_its_minutes, cell(0, "# A bus")),
    "a core that takes longer": (rules.names_its_minutes, cell(2, "## 1 Half\n" + "word " * 300)),
    "a core that is shorter": (
        rules.names_its_minutes,
        cell(0, "# A\n**Time**: 9 minutes, 3 for *Going further*, 10 for the exercises."),
    ),
    "a core above half an hour": (
        rules.names_its_minutes,
        cell(0, "# A\n**Time**: 41 minutes, 3 for *Going further*, 10 for the exercises." + " word" * 4000),
    ),
    "exercises that take longer": (
        rules.names_its_minutes,
        cell(5, "## Exercises\n### 1.1 A third · ★☆☆ · 20 minutes"),
    ),
    "further that is not named": (rules.names_its_minutes, cell(0, "# A\n**Time**: 2 minutes, 10 for the exercises.")),
    "an answer in sight": (rules.hides_what_was_predicted, tags(3)),
    "an answer in the line that is seen": (rules.hides_what_was_predicted, tags(3, "predicted", "nbval-check-output")),
    "an assert": (rules.keeps_tests_out_of_sight, cell(3, "half = size / 2\nassert half")),
    "a word to nbval": (rules.keeps_tests_out_of_sight, cell(3, "# NBVAL_CHECK_OUTPUT\nprint(1)")),
    "a word to the formatter": (rules.keeps_tests_out_of_sight, cell(3, "x = [1,2]  # fmt: skip")),
    "True": (
        rules.keeps_tests_out_of_sight,
        lambda notebook: notebook.cells[3].update(outputs=[printed("it holds: True\n")]),
    ),
    "a bar that ends red": (rules.ends_its_bars_well, cell(3, "half = run_until(tqdm(frames, total=9), size)")),
    "a core that needs what goes further": (rules.core_stands_alone, cell(4, "print(quarter)")),
    "a function that needs it": (rules.core_stands_alone, cell(4, "def f():\n    return quarter")),
    "an exercise that needs it": (rules.core_stands_alone, cell(6, "third = quarter")),
    "another meaning": (rules.names_keep_their_meaning, cell(8, "quarter = size\nsize = 4")),
    "another meaning of a function": (rules.names_keep_their_meaning, cell(8, "def half():\n    pass\nquarter = 1")),
    "a loop over a name that is read": (
        rules.names_keep_their_meaning,
        cell(8, "quarter = 1\nfor size in [2]:\n    pass"),
    ),
}


@pytest.mark.parametrize("rule", rules.LESSON_RULES, ids=lambda rule: rule.__name__)
def test_rule_passes_a_good_lesson(rule):
    assert rule(good_lesson()) == []


@pytest.mark.parametrize("name", BAD_LESSONS)
def test_rule_catches_a_bad_lesson(name):
    rule, spoil = BAD_LESSONS[name]
    lesson = good_lesson()
    spoil(lesson)
    assert len(rule(lesson)) == 1 if name != "a core above half an hour" else rule(lesson)


def test_every_rule_has_a_bad_lesson():
    assert {rule for rule, _ in BAD_LESSONS.values()} == {*rules.LESSON_RULES}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_passes_a_good_notebook(rule):
    assert rule(good_notebook()) == []


@pytest.mark.parametrize(("rule", "spoil"), BAD, ids=[rule.__name__ for rule, _ in BAD])
def test_rule_catches_a_bad_notebook(rule, spoil):
    notebook = good_notebook()
    spoil(notebook)
    assert rule(notebook) != []


def test_a_page_that_was_not_run_has_no_outputs():
    notebook = good_notebook()
    for _, cell in rules.code_cells(notebook):
        cell.update(outputs=[], execution_count=None)
    assert rules.has_no_outputs(notebook) == []


def test_every_rule_has_a_bad_notebook():
    assert {rule for rule, _ in BAD} == {*rules.RULES, *rules.PAGE_RULES}


def test_wrong_names_are_allowed_where_the_lesson_shows_the_error():
    notebook = good_notebook()
    code('toward("ostrch")', metadata=nbformat.from_dict({"tags": ["raises-exception"]}))(notebook)
    assert rules.names_real_classes(notebook) == []


def test_count_words():
    assert rules.count_words("The score $s_c(x)$ is *high*: 99.6 %.\n$$ a + b\n$$\n```python\nx = 1\n```\n") == 5
    assert rules.count_words("[the paper](https://example.org/a-b) <b>says</b>: 1 < two words > 0") == 7
