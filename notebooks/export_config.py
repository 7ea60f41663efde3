"""How a lesson looks as a page or as slides: for `jupyter nbconvert --to html --config notebooks/export_config.py`.

With `--to slides` for slides: which cell is on which one is stored in the lessons, by .ci/slides.py.
"""

import html
import re
from pathlib import Path

import nbformat

from fooling_utils.web.book import picture_text

# reveal.js keeps a margin of 4 %: with this size, a pixel here is a pixel of a projector with 1280 × 720.
WIDTH, HEIGHT = 1228, 690

STYLE = """
.reveal .slides { --jp-content-font-size1: 28px; --jp-code-font-size: 22px; }
.reveal .slides section { padding: 0; }
.reveal .slides .jp-Cell { padding: 0; margin: 0 0 10px; }
.reveal .slides .jp-InputArea, .reveal .slides .jp-OutputArea-child { display: block; }
.reveal .slides .jp-Cell-outputWrapper, .reveal .slides .jp-OutputArea { overflow: visible; }
.reveal .slides .jp-RenderedHTMLCommon { line-height: 1.3; padding: 0; }
.reveal .slides .jp-RenderedHTMLCommon p, .reveal .slides .jp-RenderedHTMLCommon li { margin: 0 0 10px; }
.reveal .slides h1 { font-size: 42px; line-height: 1.1; margin: 0 0 14px; text-transform: none; }
.reveal .slides h2 { font-size: 38px; line-height: 1.1; margin: 0 0 14px; text-transform: none; }
.reveal .slides h3 { font-size: 32px; line-height: 1.1; margin: 0 0 12px; text-transform: none; }
.reveal .slides table { font-size: 24px; line-height: 1.2; margin: 4px 0 12px; }
.reveal .slides table td, .reveal .slides table th { padding: 4px 10px; max-width: none; }
.reveal .slides .jp-RenderedText pre, .reveal .slides div.highlight > pre {
  font-size: 22px; line-height: 1.25; white-space: pre-wrap; overflow: visible; width: auto;
}
.reveal .slides section section:has(table) { --jp-content-font-size1: 26px; }
.reveal .slides section section:has(tr:nth-child(9)) { --jp-content-font-size1: 23px; }
.reveal .slides section section:has(tr:nth-child(9)) table { font-size: 20px; }
.reveal .slides section section:has(td:nth-child(12)) table { font-size: 15px; }
.reveal .slides section section:has(td:nth-child(12)) table :is(td, th) { padding: 2px; }
.reveal .slides .jp-RenderedImage img {
  width: 1200px; max-width: 100%; max-height: 620px; object-fit: contain; margin: 0 auto; display: block;
}
.reveal .slides .jp-RenderedImage { margin: 0; }
.reveal .slides .jp-OutputArea-child + .jp-OutputArea-child img { max-height: 545px; }
.reveal .slides section section:has(> .jp-MarkdownCell) .jp-RenderedImage img { max-height: 440px; }
.reveal .slides .jp-Cell-inputWrapper + .jp-Cell-outputWrapper .jp-RenderedImage img { max-height: 210px; }
.reveal .slides > section:first-child { --jp-content-font-size1: 24px; }
.reveal .slides > section:first-child h1 { font-size: 38px; }
.reveal .slides > section:first-child .jp-RenderedMarkdown img {
  display: block; margin: 30px auto 0; width: 1200px; max-width: 100%; max-height: 550px; object-fit: contain;
}
.reveal .controls { font-size: 6px; }
"""


PAGE = """
body { --jp-cell-prompt-not-active-opacity: 1; }
[data-jp-theme-light="true"] { --jp-mirror-editor-comment-color: #2f6b6b; --jp-mirror-editor-operator-color: #8000d7;
  --jp-mirror-editor-number-color: #006e00; }
.jp-RenderedHTMLCommon a:link { text-decoration: underline; }
summary { padding: 4px 0; }
"""


def make_legible(notebook, resources):
    """Put the style of a page below its title, after every other, and leave no heading of a table empty."""
    notebook.cells[0].source += f"\n\n<style>{PAGE}</style>"
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "text/html" in output.get("data", {}):
            output.data["text/html"] = re.sub(r"<th>\s*</th>", "<td></td>", output.data["text/html"])
    return notebook, resources


def divide_title(notebook, resources):
    """Give the title and its picture a slide of their own, with the style, which then comes after every other."""
    title = notebook.cells[0]
    picture = re.search(r"(?m)^!\[.*\n", title.source)
    if picture:
        below = nbformat.v4.new_markdown_cell(title.source[picture.end() :].strip())
        below.metadata["slideshow"] = {"slide_type": "subslide"}
        title.source = title.source[: picture.end()]
        notebook.cells.insert(1, below)
    title.source += f"\n\n<style>{STYLE}</style>"
    return notebook, resources


def describe(notebook, resources):
    """Give each picture as its alternative text what the cell below it says: nbconvert has no place for one."""
    for cell, below in zip(notebook.cells, notebook.cells[1:], strict=False):
        words = below.cell_type == "markdown" and picture_text(below.source)
        if cell.cell_type != "code" or not words:
            continue
        for output in cell.outputs:
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    image = f'<img alt="{html.escape(words)}" src="data:{kind};base64,{output.data[kind]}">'
                    output.data = {"text/html": f'<div class="jp-RenderedImage">{image}</div>'}
    return notebook, resources


c = get_config()  # noqa: F821
c.HTMLExporter.preprocessors = [describe, make_legible]
c.HTMLExporter.embed_images = True
c.SlidesExporter.preprocessors = [divide_title, describe]
c.SlidesExporter.TagRemovePreprocessor.enabled = True
c.SlidesExporter.TagRemovePreprocessor.remove_input_tags = {"slide-without-code"}
c.SlidesExporter.exclude_input_prompt = True
c.SlidesExporter.exclude_output_prompt = True
c.SlidesExporter.exclude_anchor_links = True
c.SlidesExporter.reveal_width, c.SlidesExporter.reveal_height = str(WIDTH), str(HEIGHT)
c.SlidesExporter.reveal_transition = "none"
c.SlidesExporter.reveal_number = "h.v"

# Slides load reveal.js and its helpers from the web, unless they were put into this folder:
# npm install --no-save --prefix notebooks reveal.js@4.0.2 requirejs@2.3.6 jquery@3 mathjax@2.7.7
if (Path(__file__).parent / "node_modules" / "reveal.js").is_dir():
    c.SlidesExporter.reveal_url_prefix = "node_modules/reveal.js"
    c.SlidesExporter.require_js_url = "node_modules/requirejs/require.js"
    c.SlidesExporter.jquery_url = "node_modules/jquery/dist/jquery.min.js"
    c.SlidesExporter.mathjax_url = "node_modules/mathjax/latest.js?config=TeX-AMS_CHTML-full,Safe"
