"""Lessons as pages of their own, as nbconvert writes them with notebooks/export_config.py: for everybody to read."""

import re

import nbformat
import pytest
from nbconvert import HTMLExporter
from traitlets.config import PyFileConfigLoader

from browsing import chromium
from fooling_utils.web.book import picture_text
from refresh_notebooks import NOTEBOOKS

LESSONS = sorted(NOTEBOOKS.glob("0*.ipynb"))
UNMARKED = """() => [...document.querySelectorAll("a[href]")]
  .filter((one) => one.checkVisibility() && !getComputedStyle(one).textDecorationLine.includes("underline"))
  .map((one) => one.outerHTML)"""
FAINT = """() => [...document.querySelectorAll(".jp-InputPrompt, .jp-OutputPrompt")]
  .filter((one) => getComputedStyle(one).opacity !== "1").map((one) => one.outerHTML)"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    """A lesson's notebook, and its page."""
    config = PyFileConfigLoader("export_config.py", path=str(NOTEBOOKS)).load_config()
    notebook = nbformat.read(request.param, as_version=4)
    return notebook, HTMLExporter(config=config).from_filename(str(request.param))[0]


def test_each_picture_has_its_alternative_text(lesson):
    notebook, page = lesson
    pictures = re.findall(r"<img[^>]*>", page)
    texts = [re.search(r'alt="([^"]*)"', picture)[1] for picture in pictures]
    assert all(len(text) > 20 and "No description" not in text for text in texts), texts
    shown = [cell for cell in notebook.cells if re.search("image/(png|jpeg)", str(cell.get("outputs")))]
    told = [picture_text(notebook.cells[notebook.cells.index(cell) + 1].source) for cell in shown]
    assert all(told) and len(texts) >= len(told)


def test_links_are_underlined_prompts_are_legible_and_axe_finds_nothing(browser, lesson, axe):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.route(re.compile("^https?:"), lambda route: route.abort())  # the scripts for formulas
    page.set_content(lesson[1], wait_until="domcontentloaded")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate(UNMARKED) == []
    assert page.evaluate(FAINT) == []
    assert axe(page) == []
    page.close()
