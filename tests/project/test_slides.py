"""The slides of a lesson: where each cell goes, that every lesson keeps the rules, and that nothing is cut off."""

import base64
import json
import shutil
import subprocess
import sys
from itertools import pairwise

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import slides
from browsing import SECONDS, chromium
from notebook_rules import count_words
from pixels import as_file
from refresh_notebooks import NOTEBOOKS, clean

LESSONS = sorted(NOTEBOOKS.glob("0*.ipynb"))
CONFIG = NOTEBOOKS / "export_config.py"
REVEAL = NOTEBOOKS / "node_modules"
MAX_WORDS = 170  # of prose on one slide, a little more than in one cell
LOOP = "for frame in optimize_pixels(model, bus, toward('ostrich')):\n    pass"


def text(source):
    return new_markdown_cell(source)


def code(source="x = 1", *outputs):
    return new_code_cell(source, outputs=list(outputs))


def printed(lines="done\n"):
    return new_output("stream", text=lines)


def table(rows=3):
    return new_output("execute_result", {"text/html": "<table>" + "<tr><td>1</td></tr>" * rows + "</table>"})


def image(width=1200, height=400):
    content = as_file(Image.new("RGB", (width, height)))
    return new_output("display_data", {"image/png": base64.b64encode(content).decode()})


def types(*cells):
    return slides.slide_types(new_notebook(cells=list(cells)))


def tagged(*cells):
    notebook = new_notebook(cells=list(cells))
    slides.tag(notebook)
    return notebook.cells


SECTION = text("## 1 The loop")


# --------------------------------------------------------------------------------------------------- where a cell goes


def test_headings_start_a_slide():
    assert types(text("# Title"), text("## 1 One"), text("# Part A\n\n## 2 Two")) == ["slide"] * 3
    assert types(SECTION, text("The last words.\n\n## 2 Two")) == ["slide", "slide"]
    assert types(SECTION, text("### A detail")) == ["slide", "-"]


def test_preparation_and_sources_are_skipped():
    cells = text("# Title"), code("import torch"), code("model = load_model()"), text("## Sources\n\n- a paper")
    assert types(*cells) == ["slide", "skip", "skip", "skip"]
    assert types(SECTION, code("assert p > 0.9")) == ["slide", "skip"]


def test_exercises_are_skipped_and_what_follows_is_not():
    cells = (
        text("## 6 Exercises"),
        text("### 6.1"),
        code('check("6.1", f)', printed()),
        text("## 7 Next"),
        code("x", printed()),
    )
    assert types(*cells) == ["skip"] * 3 + ["slide", "-"]


def test_a_loop_is_shown_although_it_prints_nothing():
    by_hand = "for step in range(9):\n    (gradient,) = torch.autograd.grad(model(x)[0, 9], x)"
    training = "for step in range(9):\n    loss(x).backward()"
    assert types(SECTION, code(LOOP), code(by_hand), code(training)) == ["slide", "-", "-", "-"]
    with_bar = LOOP.replace("optimize_pixels(", "tqdm(optimize_pixels(") + ")"
    assert types(SECTION, code(with_bar), code("%pip install .")) == ["slide", "skip", "skip"]


def test_what_is_printed_stays_with_its_code():
    assert types(SECTION, code("print(1)", printed())) == ["slide", "-"]


def test_a_picture_comes_after_a_short_text_or_alone():
    assert types(SECTION, text("A bus."), code("show()", image())) == ["slide", "-", "-"]
    assert types(SECTION, text("word " * 200), code("show()", image())) == ["slide", "-", "subslide"]
    assert types(SECTION, code("print(1)", printed()), code("show()", image())) == ["slide", "-", "subslide"]


def test_nothing_but_notes_follows_a_picture_on_its_slide():
    shown, again, seen = code("show()", image()), code("show()", image()), text("**In the picture:** a bus.")
    assert types(SECTION, shown, seen, text("Next.")) == ["slide", "-", "notes", "subslide"]
    assert types(SECTION, shown, seen, code("print(1)", printed())) == ["slide", "-", "notes", "subslide"]
    assert types(SECTION, shown, seen, again) == ["slide", "-", "notes", "subslide"]


def test_a_question_is_answered_at_the_next_click():
    assert types(SECTION, text("**Predict**: how many?"), code("show()", image())) == ["slide", "-", "fragment"]
    long = text("word " * 200 + "**Predict**: how many?")
    assert types(SECTION, long, code("show()", image())) == ["slide", "-", "subslide"]


def test_a_full_slide_goes_on_below():
    assert types(SECTION, text("word " * 150), text("word " * 150)) == ["slide", "-", "subslide"]
    assert types(SECTION, code("print(1)", printed("line\n" * 30))) == ["slide", "subslide"]
    assert types(SECTION, text("A table."), code("rows", table(20))) == ["slide", "-", "subslide"]


def test_a_widget_without_a_picture_is_skipped_with_its_announcement():
    assert types(SECTION, text("Move the slider:"), code("widgets.slider(images)")) == ["slide", "skip", "skip"]
    aside = code("widgets.slider(images)"), text("*(Without a kernel there is no slider.)*"), text("A bus.")
    assert types(SECTION, *aside) == ["slide", "skip", "skip", "-"]
    twin = code("widgets.slider(images)", image())
    assert types(SECTION, text("Move the slider:"), twin) == ["slide", "-", "-"]
    assert types(text("## 1 Play\n\nMove it:"), code("widgets.slider(images)")) == ["slide", "skip"]
    cells = code("show()", image()), text("**In the picture:** a bus. Now play."), code("widgets.slider(images)")
    assert types(SECTION, *cells) == ["slide", "-", "notes", "skip"]


# -------------------------------------------------------------------------------------------------------- its metadata


def test_tags():
    shown = code("show()", image())
    shown.metadata["tags"] = ["slow"]
    cells = tagged(SECTION, text("A bus."), shown, code("rows", table()), code("print(1)", printed()), code())
    assert [cell.metadata.get("slideshow", {}).get("slide_type") for cell in cells] == [
        "slide",
        None,
        None,
        "subslide",
        None,
        "skip",
    ]
    hidden = [slides.NO_CODE in cell.metadata.get("tags", []) for cell in cells]
    assert hidden == [False, False, True, True, False, False]
    assert cells[2].metadata.tags == ["slow", slides.NO_CODE]


def test_a_loop_keeps_its_code_above_the_picture():
    assert slides.NO_CODE not in tagged(SECTION, code(LOOP + "\nshow()", image()))[1].metadata.get("tags", [])
    long = "\n".join([LOOP, *["more()"] * 11, "show()"])
    assert slides.NO_CODE in tagged(SECTION, code(long, image()))[1].metadata["tags"]


def test_tags_follow_a_change_of_the_cell():
    notebook = new_notebook(cells=[SECTION, text("A bus."), code("show()", image())])
    once = clean(notebook)
    assert clean(once) == once
    once.cells[2].outputs = [printed()]
    again = clean(once)
    assert again.cells[2].metadata == {}


def test_a_page_without_sections_is_no_lesson():
    cells = tagged(text("# A scene"), code("show()", image()), text("# Another"))
    assert [cell.metadata for cell in cells] == [{}, {}, {}]


# --------------------------------------------------------------------------------------------------------- the lessons


def on_slides(notebook):
    """Return the cells of each slide, without those that are skipped; notes included."""
    pages = []
    for cell, slide_type in zip(notebook.cells, slides.slide_types(notebook), strict=True):
        if slide_type in ("slide", "subslide"):
            pages.append([])
        if slide_type != "skip":
            pages[-1].append((cell, slide_type))
    return pages


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    return nbformat.read(request.param, as_version=4)


def test_there_are_lessons():
    assert LESSONS
    assert all(slides.is_lesson(nbformat.read(path, as_version=4)) for path in LESSONS)


def test_each_slide_of_a_lesson_has_one_picture_at_most(lesson):
    for page in on_slides(lesson):
        assert sum(slides.picture(cell) is not None for cell, _ in page) <= 1


def test_each_picture_of_a_lesson_is_explained_by_the_speaker(lesson):
    for (cell, slide_type), (_, following) in pairwise(zip(lesson.cells, slides.slide_types(lesson), strict=True)):
        if slides.picture(cell):
            assert slide_type != "skip" and following == "notes"


def estimate(cell):
    return min(slides.height(cell), slides.BELOW_TEXT) if slides.picture(cell) else slides.height(cell)


def test_each_slide_of_a_lesson_shows_something_that_fits(lesson):
    title, *others = [[cell for cell, slide_type in page if slide_type != "notes"] for page in on_slides(lesson)]
    for seen in (title, *others):
        assert seen
        assert sum(count_words(cell.source) for cell in seen if cell.cell_type == "markdown") <= MAX_WORDS
    # The style makes a title and a table smaller. Another cell that is too large has to be divided by its author.
    for seen in others:
        assert sum(map(estimate, seen)) <= slides.ROOM + 3.5, seen[0].source


# ---------------------------------------------------------------------------------------------------------- the slides


def convert(path, folder):
    """Make the slides of the lesson at `path` in a new folder, as an instructor does, and return their page."""
    shutil.copy(CONFIG, folder)
    shutil.copytree(NOTEBOOKS / "images", folder / "images")
    if REVEAL.is_dir():
        (folder / "node_modules").symlink_to(REVEAL)
    nbformat.write(clean(nbformat.read(path, as_version=4)), folder / path.name)
    command = [sys.executable, "-m", "nbconvert", "--to", "slides", "--config", "export_config.py", path.name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / f"{path.stem}.slides.html"


def test_the_documented_command_hides_code_and_prompts(tmp_path):
    source = tmp_path / "source.ipynb"
    cells = [SECTION, code("secret = 1", image()), text("**In the picture:** a bus."), code("print(2)", printed())]
    nbformat.write(new_notebook(cells=cells), source)
    (tmp_path / "made").mkdir()
    page = convert(source, tmp_path / "made").read_text(encoding="utf-8")
    assert "secret" not in page and "print" in page and "In&nbsp;[" not in page
    assert page.count('<aside class="notes">') == 1
    assert page.count('<img alt="a bus."') == 1
    assert "width: 1228" in page and "max-height: 440px" in page


def test_the_title_has_its_picture_on_a_slide_of_its_own(tmp_path):
    page = convert(LESSONS[0], tmp_path).read_text(encoding="utf-8")
    first, below, *_ = page.split("<section>")[2:]
    assert "<img" in first and "In this lesson" not in first
    assert "<img" not in below and "In this lesson" in below


FIND_REVEAL = """() => {
  const loaded = window.require && window.require.s ? Object.values(window.require.s.contexts._.defined) : []
  window.Reveal = loaded.find((module) => module && module.isReady)
  return window.Reveal && window.Reveal.isReady()
}"""
MEASURE = """([h, v]) => {
  window.Reveal.slide(h, v, 99)
  const slide = window.Reveal.getCurrentSlide()
  const seen = [...slide.querySelectorAll('p, li, pre, img, td, h1, h2')].filter((part) => !part.closest('aside'))
  const right = Math.max(...seen.map((part) => part.getBoundingClientRect().right))
  return {height: slide.scrollHeight, right: right, parts: seen.length, text: slide.innerText.slice(0, 80)}
}"""


@pytest.mark.skipif(
    not REVEAL.is_dir(), reason="reveal.js is not in notebooks/node_modules: see notebooks/export_config.py"
)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_nothing_is_cut_off(path, tmp_path):
    address = convert(path, tmp_path).as_uri()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(60 * SECONDS)
        page.goto(address)
        page.wait_for_function(FIND_REVEAL)
        page.wait_for_function("() => !document.querySelector('.MathJax_Processing, .MathJax_Preview:not(:empty)')")
        places = page.evaluate("() => window.Reveal.getSlides().map((slide) => window.Reveal.getIndices(slide))")
        measured = [page.evaluate(MEASURE, [place["h"], place["v"]]) for place in places]
        height = page.evaluate("() => window.Reveal.getConfig().height")
    assert len(measured) == len(on_slides(nbformat.read(path, as_version=4))) + 1  # the title has its own
    wrong = [slide for slide in measured if slide["height"] > height + 1 or slide["right"] > 1280 or not slide["parts"]]
    assert wrong == [], json.dumps(wrong, indent=1)
