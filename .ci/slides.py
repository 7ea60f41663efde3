"""Where each cell of a lesson goes when `jupyter nbconvert --to slides` turns the lesson into slides.

Authors write lessons and never tag cells: `python .ci/refresh_notebooks.py` uses this module. The slides'
style is in notebooks/export_config.py, and the numbers here are for that style.
"""

import ast
import base64
import io
import re
from math import ceil

from PIL import Image

from fooling_utils.web.book import PICTURE_TEXT

QUESTION = "**Predict**"
PART = re.compile(r"(text|exercise|check|solution)-(\d+)-(\d+)")  # the id of a cell of an exercise
NO_CODE = "slide-without-code"  # a tag: on a slide only the output of this cell is shown

# Heights are in lines of text. They are estimates, so a slide keeps some lines in reserve.
ROOM = 16
TALLEST_PICTURE = 15.5
BELOW_TEXT = 11.5  # the tallest picture with a text above it: the style makes it smaller
CHARACTERS = 88  # in a line of text
CODE_CHARACTERS = 88
PIXELS = 38  # of a line
WIDTH = 1200  # pixels of the slide
CODE_ABOVE = 12  # lines of a loop, at most, above a picture: with more, the picture is too small to be seen


def is_lesson(notebook):
    """Tell a lesson, which has numbered sections, from a page that is shown with a kernel and never becomes slides."""
    return any(cell.cell_type == "markdown" and re.search(r"(?m)^## \d", cell.source) for cell in notebook.cells)


def picture(cell):
    """Return the size in pixels of the last picture that a cell shows, or None."""
    found = [
        data
        for output in cell.get("outputs", [])
        for kind, data in output.get("data", {}).items()
        if kind in ("image/png", "image/jpeg")
    ]
    return Image.open(io.BytesIO(base64.b64decode(found[-1]))).size if found else None


def _loops_over_pixels(source):
    # The loop of the course, by hand or by the library, which a class should see. A loop with a progress bar only has
    # to run, so its code is left out.
    try:
        loops = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.For)]
    except SyntaxError:  # an IPython command
        return False
    by_library = re.compile(r"(fu\.)?(optimize_pixels|evolve)\(")
    by_hand = re.compile(r"autograd\.grad\(|\.backward\(")
    return any(by_library.match(ast.unparse(loop.iter)) or by_hand.search(ast.unparse(loop)) for loop in loops)


def _is_table(cell):
    return any("text/html" in output.get("data", {}) for output in cell.outputs)


def shows_code(cell):
    """Tell whether a slide shows the code of a cell: above printed text and for the loop, but not above a picture."""
    if picture(cell) or _is_table(cell):
        return _loops_over_pixels(cell.source) and _lines(cell.source, CODE_CHARACTERS) <= CODE_ABOVE
    return bool(cell.outputs) or _loops_over_pixels(cell.source)


def _lines(text, characters):
    return sum(ceil(max(len(line), 1) / characters) for line in text.rstrip("\n").split("\n"))


def _text_height(markdown):
    # One line of the source is one paragraph, item or row. Links and formulas are shorter on the slide.
    markdown = re.sub(r"\]\([^)]*\)|[*`\\]|\$\$.*?\$\$", lambda found: "$$" * (found[0][0] == "$"), markdown)
    height = 0
    for line in filter(None, markdown.split("\n")):
        if line.startswith("#"):
            height += 2 * _lines(line, 60)
        elif line.startswith("!["):
            height += 6
        elif line.startswith("|-"):
            height += 0.5
        elif line.startswith("|"):
            cells = line.strip("|").split("|")
            height += 0.2 + 0.75 * max(_lines(cell.strip(), 130 // len(cells)) for cell in cells)
        elif line.startswith("$$"):
            height += 2.5
        else:
            height += _lines(line, CHARACTERS) + (0.2 if line.startswith(("- ", "1")) else 0.6)
    return height


def height(cell):
    """Return about how many lines of text a cell needs on a slide."""
    if cell.cell_type != "code":
        return _text_height(cell.source)
    lines = 0.75 * _lines(cell.source, CODE_CHARACTERS) + 0.7 if shows_code(cell) else 0
    for output in cell.outputs:
        data = output.get("data", {})
        if "text" in output:
            lines += 0.75 * _lines(output.text, CODE_CHARACTERS) + 0.5
        elif "text/html" in data:
            lines += 1.15 * data["text/html"].count("<tr")
        elif "text/plain" in data and not picture(cell):
            lines += 0.75 * _lines(data["text/plain"], CODE_CHARACTERS) + 0.5
    if size := picture(cell):
        lines += min(size[1] * WIDTH / size[0] / PIXELS, TALLEST_PICTURE)
    return lines


def _heading(cell):
    # "Sources" for a cell with the line "## Sources", or None
    found = re.search(r"(?m)^##? (.+)", cell.source) if cell.cell_type == "markdown" else None
    return found and found[1]


def _is_dead_widget(cell):
    return cell is not None and cell.cell_type == "code" and not cell.outputs and "widgets." in cell.source


def _is_skipped(before, cell, following):
    # Skip what shows nothing (installation, imports, preparation), a widget that needs a kernel, the text above it and
    # an aside below it, and the list of sources.
    if cell.cell_type == "code":
        return not cell.outputs and not shows_code(cell)
    if _heading(cell):
        return _heading(cell) == "Sources"
    aside = _is_dead_widget(before) and cell.source.startswith("*(")
    announces = _is_dead_widget(following) and not cell.source.startswith(PICTURE_TEXT)
    return not cell.source.strip() or aside or announces


def _joins(cell, used, only_text):
    # Whether a cell fits on a slide that is filled up to `used`. A picture stands alone, or below text.
    if picture(cell):
        return only_text and used + min(height(cell), BELOW_TEXT) <= ROOM + 1
    return used + height(cell) <= ROOM


def slide_types(notebook):
    """Return the slide type of each cell: "slide", "subslide", "fragment", "-" (same slide), "notes" or "skip"."""
    types = []
    used, only_text, asked = ROOM, False, False  # of the slide that is being filled; it starts full
    section = ""
    cells = notebook.cells
    for before, cell, following in zip([None, *cells], cells, [*cells[1:], None], strict=False):
        if cell.cell_type == "markdown" and (heading := re.search(r"(?m)^## (?:\d+ )?(.+)", cell.source)):
            section = heading[1]
        exercise = section == "Exercises" or PART.fullmatch(cell.get("id", ""))  # students do them themselves
        if exercise or _is_skipped(before, cell, following):
            types.append("skip")
            continue
        if cell.cell_type == "markdown" and cell.source.startswith(PICTURE_TEXT):
            types.append("notes")  # a class sees the picture, and the speaker says what is in it
            continue
        if _heading(cell):
            types.append("slide")
        elif not _joins(cell, used, only_text):
            types.append("subslide")
        else:  # after a question, the class decides first and sees the picture at the next click
            types.append("fragment" if picture(cell) and asked else "-")
        if types[-1] in ("slide", "subslide"):
            used, only_text, asked = 0, True, False
        used = ROOM + 1 if picture(cell) else used + height(cell)
        only_text = only_text and cell.cell_type == "markdown"
        asked = asked or QUESTION in cell.source
    return types


def tag(notebook):
    """Give each cell of a lesson its slide type, and the tag that hides its code, in place."""
    if not is_lesson(notebook):
        return
    for cell, slide_type in zip(notebook.cells, slide_types(notebook), strict=True):
        if slide_type != "-":
            cell.metadata["slideshow"] = {"slide_type": slide_type}
        tags = [name for name in cell.metadata.get("tags", []) if name != NO_CODE]
        if cell.cell_type == "code" and slide_type != "skip" and not shows_code(cell):
            tags.append(NO_CODE)
        if tags:
            cell.metadata["tags"] = tags
        else:
            cell.metadata.pop("tags", None)
