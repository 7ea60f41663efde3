"""The lessons as pages to read: the stored notebooks, prepared for Sphinx; its pages, made strict."""

import ast
import base64
import hashlib
import html
import inspect
import io
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from PIL import Image

from ..widgets import FoolingPlayer, PlaneCanvas
from . import HERE

REPOSITORY = HERE.parent.parent
OWN = HERE / "book_pages"  # styles, scripts and templates
TITLE = "Fooling deep convolutional networks"
PICTURE_TEXT = "**In the picture:**"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'"
)
FOLDED = {  # by tag: what is folded, and the words on it
    "predicted": ("hide-output", "Show the answer", "Hide the answer"),
    "claims": ("hide-input", "Show the checks of this lesson", "Hide the checks"),
}
COVER = "The answer:"  # JupyterLab shows it in place of a folded output
WIDGET = "application/vnd.jupyter.widget-view+json"
EXPERIMENTS = {FoolingPlayer: ("fool.html", "Fool it yourself"), PlaneCanvas: ("plane.html", "Karpathy's plane")}
TIGHT = 'stretchy="false" lspace="0" rspace="0"'
_TAG = re.compile(r"<[a-zA-Z][^<>]*>")
_HANDLER = re.compile(r"""\son[a-z]+\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""")
_SCRIPT = re.compile(r"(?s)<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>")


# ---------------------------------------------------------------------------------------------------- the notebooks


def find_lessons(folder: Path) -> list[Path]:
    """The lessons in a folder, in their order. FileNotFoundError where the package came without the repository."""
    lessons = sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))
    if not lessons:
        raise FileNotFoundError(
            f"there are no lessons in {folder}: build the pages in the folder of the repository, which has them"
        )
    return lessons


def repository_address(project: str) -> str | None:
    """The address that the text of a pyproject.toml names as the repository, without a slash at the end."""
    found = re.search(r'(?m)^(?:Repository|"Repository")\s*=\s*"(https://[^"]+?)/?"', project)
    return found and found[1]


def plain(markdown: str) -> str:
    """A piece of markdown without its marks, for places that hold only text."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\\(?:text|mathrm|log)\b\s?", lambda found: "log " * (found[0].strip() == r"\log"), text)
    return " ".join(re.sub(r"[*`$]|\\[,;: ]", "", text).split())


def picture_text(following: str) -> str | None:
    """What a text says about the picture above it: the rest of the paragraph after the mark, without markdown."""
    if PICTURE_TEXT not in following:
        return None
    return plain(following.split(PICTURE_TEXT, 1)[1].split("\n\n", 1)[0])


def experiment(source: str) -> str | None:
    """The HTML of an experiment alive, if a cell shows its widget: the settings of the call go with its address."""
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:  # a command of IPython
        return None
    for call in calls:
        for kind, (page, title) in EXPERIMENTS.items():
            if ast.unparse(call.func).split(".")[-1] != kind.__name__:
                continue
            named = {word.arg: word.value for word in call.keywords if word.arg}
            given = inspect.signature(kind).bind_partial(*call.args, **named).arguments
            settings = {name: node.value for name, node in given.items() if isinstance(node, ast.Constant)}
            query = "&".join(filter(None, ["embedded", urlencode(settings)]))
            return (
                f'<figure class="experiment"><iframe loading="lazy" title="{title}" class="{page.split(".")[0]}" '
                f'src="../{page}?{html.escape(query)}"></iframe><figcaption>Here it is, alive. '
                f'<a href="../{page}?{html.escape(urlencode(settings))}">Open it on a page of its own.</a>'
                "</figcaption></figure>"
            )
    return None


def relinked(markdown: str, known: Callable[[str], bool], repository: str | None, folder: str = "notebooks/") -> str:
    """The links of a text: those to `known` files stay, others lead to the repository, or are only text without it."""

    def link(found: re.Match) -> str:
        text, target = found[1], found[2]
        if re.match(r"[a-z]+:|#", target) or known(target.split("#")[0]):
            return found[0]
        path = str(Path("/", folder, target).resolve().relative_to(Path("/").resolve()).as_posix())
        return f"[{text}]({repository}/blob/main/{path})" if repository else text

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", link, markdown)


def _table(text: str) -> str:
    # pandas brings styles of its own, and empty headings, which a screen reader would announce
    text = re.sub(r"(?s)<style.*?</style>\s*", "", text)
    text = re.sub(r"<th>\s*</th>", "<td></td>", text).replace(' border="1"', "")
    text = text.replace(' style="text-align: right;"', "")
    return f'<div class="wide">{text}</div>'


def _output(output: NotebookNode, covered: bool) -> NotebookNode | None:
    if output.output_type == "stream":
        output.text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output.text)
        return None if output.name == "stderr" else output
    data = output.get("data", {})
    data.pop(WIDGET, None)
    if any(kind.startswith("image/") for kind in data):  # a widget's picture of itself, with its style, or a figure
        for kind in [kind for kind in data if not kind.startswith("image/")]:
            del data[kind]
    elif data.get("text/html", "").startswith("<style"):
        return None
    elif "text/html" in data:
        data["text/html"] = _table(data["text/html"])
    elif covered and data.get("text/plain") == COVER:
        return None
    return output if data else None


def prepared(
    notebook: NotebookNode, top: str = "", known: Callable[[str], bool] = bool, repository: str | None = None
) -> NotebookNode:
    """A copy of a lesson as myst-nb understands it.

    What its tags fold is folded, pictures have their alternative text, and what only serves a kernel is gone. `top`
    is put under its heading, and an experiment that a cell shows is alive below the text about its picture.
    """
    notebook = nbformat.from_dict(notebook)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    cells, alive = [], None
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        cells.append(cell)
        tags = cell.metadata.get("tags", [])
        cell.metadata = NotebookNode()
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, known, repository)
            if len(cells) > 1:  # a page has one title
                cell.source = re.sub(r"(?m)\A# ", "## ", cell.source)
            elif top:
                heading, _, rest = cell.source.partition("\n")
                cell.source = f"{heading}\n\n{top}\n{rest}"
        elif cell.cell_type == "code":
            outputs = (_output(output, "predicted" in tags) for output in cell.outputs)
            cell.outputs = [output for output in outputs if output]
            told = following and following.cell_type == "markdown" and picture_text(following.source)
            render = {"image": {"alt": told}} if told else {}
            for name, show, hide in (FOLDED[tag] for tag in tags if tag in FOLDED):
                cell.metadata.tags = [name]
                render |= {"code_prompt_show": show, "code_prompt_hide": hide}
            if render:
                cell.metadata.mystnb = render
            alive = experiment(cell.source)
            if alive and told:
                continue
        if alive:
            cells.append(new_markdown_cell(alive))
            alive = None
    notebook.cells = cells
    return notebook


# ----------------------------------------------------------------------------------------------------- the first page


def lessons_of(readme: str) -> list[tuple[str, str, str, list[str]]]:
    """Of each lesson in README's table: its file, name, claim, and minutes: core, further, exercises."""
    rows = re.findall(r"(?m)^\| \[([^\]]+)\]\(notebooks/([^)]+)\) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", readme)
    return [(file, name, claim, minutes) for name, file, claim, *minutes in rows]


def section(readme: str, heading: str) -> str:
    """The text below a heading of README, up to the next one."""
    found = re.search(rf"(?ms)^## {re.escape(heading)}\n+(.*?)(?=^## |\Z)", readme)
    if not found:
        raise ValueError(f"README.md has no section {heading!r}, which the first page shows")
    return found[1].strip()


def _minutes(core: str, more: str, exercises: str) -> str:
    parts = [f"{core} minutes", *([f"{more} for <i>Going further</i>"] if more.isdigit() else [])]
    return ", ".join([*parts, f"{exercises} for the exercises"])


def first_page(readme: str, pictures: Mapping[str, tuple[str, str]], repository: str | None) -> str:
    """The markdown of the first page. `pictures`: by page of an experiment, its picture and what is in it."""
    told = {
        "fool.html": ("Fool it yourself", "Choose a picture, your own if you like, and one of 1000 classes. Watch the "
                      "network change its mind."),
        "plane.html": ("Karpathy's plane", "Train a tiny network on points that you can move. See where it is sure of "
                       "things that it has never seen."),
    }  # fmt: skip
    cards = "".join(
        f'<li><a href="{page}"><img src="{pictures[page][0]}" alt="{html.escape(pictures[page][1])}">'
        f"<b>{title}</b><span>{text}</span></a></li>"
        for page, (title, text) in told.items()
    )
    lessons = "".join(
        f'<li><a href="lessons/{Path(file).stem}.html">{name}</a><span>{html.escape(plain(claim))}</span>'
        f"<small>{_minutes(*minutes)}</small></li>"
        for file, name, claim, minutes in lessons_of(readme)
    )
    contents = "\n".join(f"{name} <lessons/{Path(file).stem}>" for file, name, *_ in lessons_of(readme))
    install = relinked(section(readme, "Open the course"), lambda target: False, repository, "")
    needs = relinked(section(readme, "What it needs"), lambda target: False, repository, "")
    return (
        f"# {TITLE}\n\nA real network is sure that a picture of a school bus is an ostrich, and you can hardly see "
        "what was changed. In this course you find the change yourself, measure how small it is, and work out why it "
        "exists."
        f'\n\n## Try it now, in this tab\n\n<ul class="experiments">{cards}</ul>\n\n'
        "Both run in your browser. Nothing is installed, and no picture leaves your device.\n\n"
        f'## Read the lessons\n\n<ol class="lessons">{lessons}</ol>\n\n'
        "The minutes are for a slow reader who stops to think. Read lesson 2 before lesson 4. Lesson 6 fits in at any "
        "time after lesson 2.\n\n"
        f"## Install the course\n\nOn your own computer, every cell runs and every exercise checks your answer.\n\n"
        f"{install}\n\n### What it needs\n\n{needs}\n\n"
        f"```{{toctree}}\n:hidden:\n:caption: Lessons\n\n{contents}\n```\n"
    )


def top(lesson: str, readme: str, repository: str | None) -> str:
    """The line under the heading of a lesson: how to open it where its cells run."""
    links = [f'<a href="{lesson}" download>Download this lesson</a>']
    if repository and repository.startswith("https://github.com/"):
        place = repository.removeprefix("https://github.com/")
        colab = f"https://colab.research.google.com/github/{place}/blob/main/notebooks/{quote(lesson)}"
        links.append(f'<a href="{colab}">Open it in Colab</a>')
    sentence = re.search(r"(?m)^\*\*Google Colab\*\*: (.+)$", readme)
    in_colab = f"**In Google Colab**: {sentence[1]}\n\n" if sentence else ""
    return (
        f'<div class="open">\n\n{" · ".join(links)}\n\n<details><summary>How to run it</summary>\n\n'
        "**In Jupyter**: [install the course](../index.md#install-the-course), and run `jupyter lab "
        f"notebooks/{lesson}` in its folder.\n\n{in_colab}</details>\n</div>\n"
    )


# ------------------------------------------------------------------------------------------------------- Sphinx


def mathml(formula: str, display: str = "inline") -> str:
    """A formula of LaTeX as MathML; `display` is "inline" or "block". ValueError for a command that is not known."""
    import latex2mathml.converter

    spaced = re.sub(r"\\log(?=\s*[a-zA-Z\\])", r"\\log\\,", formula).replace(r"\arg", r"\operatorname{arg}\,")
    made = latex2mathml.converter.convert(spaced, display=display)
    made = re.sub(r"<mo[^>]*>(&#x0007C;|&#x02016;|&#x0002F;)</mo>", rf"<mo {TIGHT}>\1</mo>", made)
    made = re.sub(r"(<mo>&#x0003D;</mo>)<mo>&#x02212;</mo>", rf"\1<mo {TIGHT}>&#x02212;</mo>", made)
    if "\\" in made:
        raise ValueError(f"a browser cannot draw all of this formula: {formula}")
    return made


def setup(app) -> None:
    """Sphinx writes formulas as MathML, which browsers draw without a script."""
    from docutils.nodes import SkipNode

    def inline(page, node):
        page.body.append(mathml(node.astext()))
        raise SkipNode

    def block(page, node):
        page.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>\n')
        raise SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))


def strict(page: str, policy: str = POLICY) -> tuple[str, dict[str, str]]:
    """A page that a strict policy lets run, and the files to put beside its styles: its inline scripts.

    The page names its root in `data-content_root`, as Sphinx writes it.
    """
    root = re.search(r'data-content_root="([^"]*)"', page)[1]
    scripts = {}

    def moved(found: re.Match) -> str:
        name = f"inline-{hashlib.sha256(found[1].encode()).hexdigest()[:12]}.js"
        scripts[name] = found[1].strip() + "\n"
        return f'<script src="{root}_static/{name}"></script>'

    page = _TAG.sub(lambda tag: _HANDLER.sub("", tag[0]), _SCRIPT.sub(moved, page))
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    icon = "" if 'rel="icon"' in page else '<link rel="icon" href="data:,">'
    page, count = re.subn(r'<meta charset="utf-8"\s*/?>', rf"\g<0>{meta}{icon}", page, count=1)
    if not count:
        raise ValueError("a page of the book has no place for its policy: this version of the theme is not supported")
    return page, scripts


def _mended(page: str) -> str:
    # what the theme and myst-nb leave for a screen reader to stumble over; book.css replaces the style of myst-nb
    for old, new in {
        '<summary aria-label="Toggle hidden content">': "<summary>",
        '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
        '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Contents and search">',
        '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    }.items():
        page = page.replace(old, new)
    page = re.sub(r'<th class="head[^"]*">(?:<p></p>)?</th>', "<td></td>", page)
    return re.sub(r"<link[^>]*/mystnb\.[^>]*>\s*", "", page)


def _settings() -> dict:
    return {
        "project": TITLE,
        "html_title": TITLE,
        "language": "en",
        "extensions": ["myst_nb", __name__],
        "root_doc": "index",
        "html_theme": "furo",
        "html_math_renderer": "mathml",
        "templates_path": [str(OWN / "templates")],
        "html_css_files": ["book.css"],
        "html_js_files": ["book.js"],
        "html_sidebars": {"**": [f"sidebar/{name}.html" for name in (
            "brand", "search", "scroll-start", "experiments", "navigation", "scroll-end")]},
        "html_copy_source": False,
        "html_use_index": False,
        "html_show_copyright": False,
        "html_permalinks_icon": "#",
        "smartquotes": False,
        "highlight_language": "none",
        "myst_enable_extensions": ["dollarmath"],
        "myst_heading_anchors": 3,
        "nb_execution_mode": "off",
        "nb_merge_streams": True,
    }  # fmt: skip


def _card_pictures(lessons: Path, static: Path) -> dict[str, tuple[str, str]]:
    """Write the pictures of the two experiments for the first page, and return where they are and what is in them."""
    cards = static / "cards"
    cards.mkdir(parents=True)
    player = nbformat.read(lessons / "02_targeted_fooling.ipynb", as_version=4)
    alt, title = re.search(r"!\[([^\]]+)\]\(([^)]+)\)", player.cells[0].source).groups()
    with Image.open(lessons / title) as picture:
        picture.convert("RGB").save(cards / "fool.jpg", quality=85)
    plane = nbformat.read(lessons / "04_decision_boundaries.ipynb", as_version=4)
    shown = next(cell for cell in plane.cells if "image/jpeg" in str(cell.get("outputs")))
    told = picture_text(plane.cells[plane.cells.index(shown) + 1].source)
    (cards / "plane.jpg").write_bytes(base64.b64decode(shown.outputs[-1].data["image/jpeg"]))
    return {"fool.html": ("_static/cards/fool.jpg", alt), "plane.html": ("_static/cards/plane.jpg", told)}


def _sources(folder: Path, notebooks: Path, readme: str, repository: str | None) -> None:
    """Write what Sphinx reads: the first page, the lessons, and the pictures that they name."""
    lessons = find_lessons(notebooks)
    names = {path.name for path in lessons}
    shutil.copytree(notebooks / "images", folder / "lessons" / "images")
    for path in lessons:
        notebook = nbformat.read(path, as_version=4)
        made = prepared(notebook, top(path.name, readme, repository), names.__contains__, repository)
        nbformat.write(made, folder / "lessons" / path.name)
    pictures = _card_pictures(notebooks, folder / "static")
    (folder / "index.md").write_text(first_page(readme, pictures, repository), encoding="utf-8")


def _sphinx(sources: Path, out: Path, states: Path) -> None:
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    said, warned = io.StringIO(), io.StringIO()
    settings = _settings() | {"html_static_path": [str(OWN / "static"), str(sources / "static")]}
    with patch_docutils(), docutils_namespace():
        app = Sphinx(sources, None, out, states, "html", settings, said, warned, freshenv=True)
        app.build()
    if warned.getvalue().strip():
        raise RuntimeError(f"Sphinx complains about the lessons:\n{warned.getvalue()}")


def build_book(site: Path) -> None:
    """Write the first page, the lessons as pages and their search into the folder of a site.

    The notebooks are read as they are stored, and not run. Raises FileNotFoundError where the package was installed
    without the repository, and RuntimeError for what Sphinx would only warn about.
    """
    notebooks = REPOSITORY / "notebooks"
    lessons = find_lessons(notebooks)
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    repository = repository_address((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="fooling-book-") as made:
        sources, out = Path(made) / "sources", Path(made) / "out"
        sources.mkdir()
        _sources(sources, notebooks, readme, repository)
        _sphinx(sources, out, Path(made) / "states")
        for path in sorted(out.rglob("*.html")):
            page, scripts = strict(_mended(path.read_text(encoding="utf-8")))
            path.write_text(page, encoding="utf-8")
            for name, script in scripts.items():
                (out / "_static" / name).write_text(script, encoding="utf-8")
        for path in lessons:
            shutil.copy(path, out / "lessons")
        for name in (".buildinfo", "objects.inv"):
            (out / name).unlink(missing_ok=True)
        shutil.copytree(out, site, dirs_exist_ok=True)
