"""The refresh command: what it keeps, what it drops, and that it leaves a failing lesson alone."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import refresh_notebooks
from fooling_utils.widgets import BlinkComparator
from nets import random_images
from pixels import as_file


def write(path, *sources):
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    return path


def test_refresh_executes_in_the_folder_and_cleans(tmp_path):
    (tmp_path / "here.txt").write_text("found it")
    progress = "from tqdm.auto import tqdm\nfor i in tqdm(range(3)): pass"
    bar_as_text = "from tqdm import tqdm\nfor i in tqdm(range(3)): print(i)"
    path = write(tmp_path / "lesson.ipynb", "print(open('here.txt').read())", progress, bar_as_text)

    seconds, memory, size = refresh_notebooks.refresh(path)

    assert seconds > 0 and 20e6 < memory < 2e9 and size == path.stat().st_size
    assert refresh_notebooks.is_clean(path)
    cells = nbformat.read(path, as_version=4).cells
    assert [cell.execution_count for cell in cells] == [1, 2, 3]
    assert [[output.text for output in cell.outputs] for cell in cells] == [["found it\n"], [], ["0\n1\n2\n"]]


@pytest.mark.parametrize("source", ["1 / 0", "import warnings\nwarnings.warn('old')"])
def test_a_lesson_that_fails_or_warns_is_left_as_it_was(tmp_path, monkeypatch, capsys, source):
    monkeypatch.setattr(refresh_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(refresh_notebooks, "find_notebooks", lambda names: [path])
    path = write(tmp_path / "lesson.ipynb", "print('fine')", source)
    before = path.read_bytes()

    assert refresh_notebooks.main([]) == 1
    assert path.read_bytes() == before
    assert "lesson.ipynb: left as it was" in capsys.readouterr().out


def test_clean_keeps_what_a_reader_sees():
    picture = new_output("display_data", {"image/png": "iVBORw0KGgo="})
    picture.metadata = nbformat.from_dict({"image/png": {"width": 300}, "needs_background": "light"})
    cell = new_code_cell("show()", execution_count=3, outputs=[picture], metadata={"tags": ["slow"], "scrolled": True})
    notebook = new_notebook(cells=[cell, new_markdown_cell("text")], metadata={"widgets": {}, "colab": {}})
    before = refresh_notebooks.to_text(notebook)

    cleaned = refresh_notebooks.clean(notebook)

    assert refresh_notebooks.to_text(notebook) == before
    assert cleaned.metadata == refresh_notebooks.METADATA
    assert (cleaned.cells[0].id, cleaned.cells[0].execution_count) == (cell.id, 3)
    assert cleaned.cells[0].metadata == {"tags": ["slow"]}
    assert cleaned.cells[0].outputs[0].metadata == {"image/png": {"width": 300}}
    assert refresh_notebooks.to_text(refresh_notebooks.clean(cleaned)) == refresh_notebooks.to_text(cleaned)


def test_clean_keeps_what_nbgrader_needs():
    marks = {"grade": True, "grade_id": "check-1-1", "points": 1}
    cell = new_code_cell("check()", metadata={"nbgrader": marks, "scrolled": True})
    assert refresh_notebooks.clean(new_notebook(cells=[cell])).cells[0].metadata == {"nbgrader": marks}


def test_a_solved_notebook_that_is_missing_is_made_and_executed(tmp_path, monkeypatch):
    monkeypatch.setattr(refresh_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(refresh_notebooks.solutions, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(refresh_notebooks.solutions, "FOLDER", tmp_path / "solutions")
    monkeypatch.setattr(refresh_notebooks, "find_notebooks", lambda names: [tmp_path / "solutions" / "00_a.ipynb"])
    stub, solved = (
        'def to_legal(image):\n    """Clamp."""\n    return ...',
        "def to_legal(image):\n    return image.clamp(0, 1)",
    )
    cells = [
        new_markdown_cell("# Title", id="title"),
        new_code_cell("from fooling_utils.checks import check, summary", id="imports"),
        new_markdown_cell("### 0.1", id="text-0-1"),
        new_code_cell(stub, id="exercise-0-1"),
        new_code_cell('check("0.1", to_legal)', id="check-0-1"),
        new_markdown_cell(
            f"<details><summary>Solution</summary>\n\n```python\n{solved}\n```\n\n</details>", id="solution-0-1"
        ),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_a.ipynb")
    assert refresh_notebooks.main([]) == 0
    made = nbformat.read(tmp_path / "solutions" / "00_a.ipynb", as_version=4)
    assert "### BEGIN SOLUTION\n    return image.clamp(0, 1)\n" in made.cells[3].source
    assert made.cells[3].metadata["nbgrader"]["solution"] and made.cells[4].metadata["nbgrader"]["points"] == 1
    assert made.cells[4].outputs[0].data["text/plain"] == "Exercise 0.1: right"


def test_clean_covers_what_is_printed_after_a_prediction_once():
    def cell(*tags):
        return new_code_cell("print(4)", outputs=[new_output("stream", text="4\n")], metadata={"tags": list(tags)})

    notebook = new_notebook(cells=[cell(), cell("predicted"), cell("predicted", "nbval-check-output")])
    once = refresh_notebooks.clean(notebook)
    plain, covered, compared = (one.outputs for one in once.cells)
    assert [output.output_type for output in covered] == ["display_data", "stream"]
    assert covered[0].data == {"text/plain": refresh_notebooks.FOLDED}
    assert len(plain) == len(compared) == 1
    assert refresh_notebooks.clean(once) == once

    figure = new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 9x9>"})
    notebook = new_notebook(cells=[new_code_cell("plot()", outputs=[figure], metadata={"tags": ["predicted"]})])
    assert refresh_notebooks.clean(notebook).cells[0].outputs[0].data["text/plain"] == refresh_notebooks.FOLDED


def test_clean_gives_ids_to_a_notebook_from_colab():
    notebook = nbformat.from_dict(
        {
            "nbformat": 4,
            "nbformat_minor": 0,
            "metadata": {},
            "cells": [{"cell_type": "markdown", "metadata": {"id": "abc"}, "source": "# Title"}],
        }
    )
    cleaned = refresh_notebooks.clean(notebook)
    nbformat.validate(cleaned)
    assert cleaned.nbformat_minor >= 5 and cleaned.cells[0].id


def test_find_notebooks_by_part_of_the_path(tmp_path):
    (tmp_path / "lecture").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for name in ("01_a.ipynb", "02_b.ipynb", "lecture/02_b.ipynb", ".ipynb_checkpoints/01_a.ipynb"):
        write(tmp_path / name)

    def found(*names):
        return [path.relative_to(tmp_path).as_posix() for path in refresh_notebooks.find_notebooks(names, tmp_path)]

    assert found() == ["01_a.ipynb", "02_b.ipynb", "lecture/02_b.ipynb"]
    assert found("01", "lecture/") == ["01_a.ipynb", "lecture/02_b.ipynb"]
    with pytest.raises(ValueError, match="03"):
        found("03")


def test_clean_stores_large_pictures_as_jpeg_once():
    png = base64.b64encode(as_file(Image.effect_noise((300, 300), 80).convert("RGB"))).decode()
    cell = new_code_cell("show()", outputs=[new_output("display_data", {"image/png": png, "text/plain": "<Figure>"})])

    cleaned = refresh_notebooks.clean(new_notebook(cells=[cell]))

    data = cleaned.cells[0].outputs[0].data
    assert set(data) == {"image/jpeg", "text/plain"}
    assert Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))).size == (300, 300)
    assert len(data["image/jpeg"]) < len(png)
    assert cell.outputs[0].data["image/png"] == png
    assert refresh_notebooks.clean(cleaned) == cleaned


def test_clean_gives_a_figure_of_lines_a_palette_once_and_loses_nothing_that_one_sees():
    figure, axes = plt.subplots(figsize=(10, 4))
    axes.plot(range(20), [x**2 % 7 for x in range(20)], "o-", range(20), "s--")
    file = io.BytesIO()
    figure.savefig(file)
    plt.close(figure)
    png = base64.b64encode(file.getvalue()).decode()
    cell = new_code_cell("show()", outputs=[new_output("display_data", {"image/png": png, "text/plain": "<Figure>"})])

    cleaned = refresh_notebooks.clean(new_notebook(cells=[cell]))

    stored = cleaned.cells[0].outputs[0].data["image/png"]
    before, after = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB"), int) for each in (png, stored)
    )
    assert len(stored) < len(png) / 2
    assert np.abs(after - before).mean() < 0.5
    assert refresh_notebooks.clean(cleaned) == cleaned


def test_clean_keeps_the_picture_of_a_widget_and_drops_the_widget():
    widget = {refresh_notebooks.WIDGET: {"model_id": "a"}, "text/plain": "Slider()"}
    twin = new_output("execute_result", {**widget, "image/png": "iVBORw0KGgo="}, execution_count=1)
    twin.metadata = nbformat.from_dict({"image/png": {"width": 300}, refresh_notebooks.WIDGET: {"a": 1}})
    alone = new_output("execute_result", widget, execution_count=2)

    kept, dropped = refresh_notebooks.clean(
        new_notebook(cells=[new_code_cell("slider", outputs=[twin]), new_code_cell("slider", outputs=[alone])])
    ).cells

    (output,) = kept.outputs
    assert output.data == {"image/png": "iVBORw0KGgo=", "text/plain": "Slider()"}
    assert output.metadata == {"image/png": {"width": 300}}
    assert dropped.outputs == []
    assert refresh_notebooks.WIDGET in twin.data


def test_of_a_widget_of_the_course_a_lesson_keeps_one_picture():
    shown = [new_output("display_data", data) for data in BlinkComparator(*random_images(2).split(1)).outputs()]
    notebook = new_notebook(cells=[new_code_cell("widget", outputs=shown)])
    (output,) = refresh_notebooks.clean(notebook).cells[0].outputs
    assert [*output.data] == ["text/plain", "image/png"]


def test_a_lesson_without_its_slides_is_not_clean(tmp_path):
    cells = [new_markdown_cell("# Title", id="a"), new_markdown_cell("## 1 The loop", id="b")]
    path = tmp_path / "lesson.ipynb"
    notebook = new_notebook(cells=cells, metadata=refresh_notebooks.METADATA)
    path.write_text(refresh_notebooks.to_text(notebook))
    assert not refresh_notebooks.is_clean(path)
    path.write_text(refresh_notebooks.to_text(refresh_notebooks.clean(notebook)))
    assert refresh_notebooks.is_clean(path)
    path.write_text(refresh_notebooks.to_text(new_notebook(cells=cells[:1], metadata=refresh_notebooks.METADATA)))
    assert refresh_notebooks.is_clean(path)  # a lecture page has no slides


def test_a_lecture_page_is_stored_without_its_outputs(tmp_path):
    (tmp_path / "lecture").mkdir()
    path = tmp_path / "lecture" / "page.ipynb"
    path.write_text(refresh_notebooks.to_text(new_notebook(cells=[new_code_cell("print(6 * 7)", id="a")])))
    refresh_notebooks.refresh(path)
    (cell,) = nbformat.read(path, as_version=4).cells
    assert (cell.outputs, cell.execution_count) == ([], None)
    assert refresh_notebooks.is_clean(path)
