"""The lessons as pages: the notebooks as Sphinx gets them, and every page of the folder as a browser gets it."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fooling_utils.web import HERE, book

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
MARK = "**In the picture:**"
README = """## The lessons

| lesson | what it shows | core | further | exercises |
|---|---|---|---|---|
| [0 Start here](notebooks/00_start_here.ipynb) | your *computer* is ready | 14 | – | 23 |
| [1 Waves](notebooks/01_waves.ipynb) | a & b | 30 | 10 | 75 |

## Open the course

Run `this`. See [how](CONTRIBUTING.md).

## What it needs

A computer.
"""
LESSONS = sorted((HERE.parent.parent / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PICTURES = {"00": 1, "01": 12, "02": 12, "03": 11, "04": 10, "05": 13, "06": 5}  # that cells show


def made(*cells, **settings):
    """Prepared cells."""
    return book.prepared(new_notebook(cells=list(cells)), **settings).cells


def shown(kinds, tags=(), source="show()"):
    cell = new_code_cell(source, outputs=[new_output("execute_result", kinds)])
    cell.metadata["tags"] = list(tags)
    return cell


# ------------------------------------------------------------------------------------------------ the preparation


def test_the_text_after_a_picture_is_what_it_is_to_those_who_cannot_see_it():
    picture = shown({"image/png": "aGk=", "text/plain": "<Figure>"})
    told = new_markdown_cell(f"{MARK} the *bus* and `x`, [lesson 2](02_a.ipynb), $\\sqrt n$ bars.\nAll.\n\nNot this.")
    cell = made(picture, told)[0]
    assert cell.metadata.mystnb.image.alt == "the bus and x, lesson 2, \\sqrt n bars. All."
    assert "mystnb" not in made(picture, new_markdown_cell("No mark."))[0].metadata


@pytest.mark.parametrize(
    ("tag", "folded", "words"),
    [("predicted", "hide-output", "Show the answer"), ("claims", "hide-input", "Show the checks of this lesson")],
)
def test_tags_fold_what_jupyter_folds(tag, folded, words):
    cell = made(shown({"text/plain": "7"}, ["slide-without-code", tag]))[0]
    assert cell.metadata.tags == [folded]
    assert cell.metadata.mystnb.code_prompt_show == words
    assert "tags" not in made(shown({"text/plain": "7"}, ["slide-without-code"]))[0].metadata


def test_a_folded_answer_does_not_say_that_it_is_one():
    cell = shown({"text/plain": "The answer:"}, ["predicted"])
    cell.outputs.append(new_output("stream", name="stdout", text="\x1b[31m7\x1b[0m\n"))
    assert [output.text for output in made(cell)[0].outputs] == ["7\n"]


def test_what_only_a_kernel_needs_is_gone():
    cell = shown({"image/png": "aGk=", "text/html": "<style>x</style>", book.WIDGET: {}, "text/plain": "P()"})
    cell.outputs += [
        new_output("stream", name="stderr", text="50%|"),
        new_output("display_data", {"text/html": "<style>.x {}</style>"}),
        new_output("display_data", {book.WIDGET: {}}),
    ]
    assert [dict(output.data) for output in made(cell)[0].outputs] == [{"image/png": "aGk="}]


def test_a_table_scrolls_and_has_no_style_and_no_empty_heading():
    table = '<div>\n<style scoped>\n.x {}\n</style>\n<table border="1" class="t"><th></th><th>a</th></table></div>'
    html = made(shown({"text/html": table}))[0].outputs[0].data["text/html"]
    assert html == '<div class="wide"><div>\n<table class="t"><td></td><th>a</th></table></div></div>'


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("widgets.FoolingPlayer(model)", "fool.html?embedded"),
        ('p = widgets.FoolingPlayer(model, "noise", target="robin", size=2)\np',
         "fool.html?embedded&amp;picture=noise&amp;target=robin&amp;size=2"),
        ('PlaneCanvas("spiral", hidden=8)', "plane.html?embedded&amp;preset=spiral&amp;hidden=8"),
        ("FoolingPlayer(model, picture=mine)", "fool.html?embedded"),
    ],
)  # fmt: skip
def test_an_experiment_is_alive_with_the_settings_of_its_call(source, address):
    html = book.experiment(source)
    assert f'src="../{address}"' in html
    assert 'loading="lazy"' in html
    assert re.search(r'<iframe[^>]* title="[^"]+"', html)


@pytest.mark.parametrize("source", ["widgets.BlinkComparator(a)", "%pip install x", "# FoolingPlayer(model)"])
def test_other_cells_bring_no_experiment(source):
    assert book.experiment(source) is None


def test_an_experiment_stands_below_the_text_about_its_picture():
    player = shown({"image/png": "aGk="}, source="FoolingPlayer(model)")
    told = new_markdown_cell(f"{MARK} a bus.")
    assert [cell.source[:7] for cell in made(player, told, new_markdown_cell("More."))] == [
        "Fooling", MARK[:7], "<figure", "More."]  # fmt: skip
    assert [cell.source[:7] for cell in made(player, new_markdown_cell("More."))] == ["Fooling", "<figure", "More."]


def test_links_lead_to_what_there_is():
    text = "[a](01_a.ipynb) [b](solutions/01_a.ipynb#x) [c](../README.md) [d](https://e.org) [e](#part) ![f](f.png)"
    known = {"01_a.ipynb"}.__contains__
    assert book.relinked(text, known, None) == (
        "[a](01_a.ipynb) b c [d](https://e.org) [e](#part) ![f](f.png)")  # fmt: skip
    assert "[b](https://h.org/r/blob/main/notebooks/solutions/01_a.ipynb#x)" in book.relinked(
        text, known, "https://h.org/r"
    )
    assert "[c](https://h.org/r/blob/main/README.md)" in book.relinked(text, known, "https://h.org/r")


def test_the_address_of_the_repository_is_that_of_pyproject():
    assert book.repository_address('[project.urls]\nRepository = "https://h.org/r/"\n') == "https://h.org/r"
    assert book.repository_address('[project.urls]\n# Repository = ""\n') is None


def test_a_page_has_one_title_and_below_it_how_to_run_it():
    cells = made(new_markdown_cell("# Title\n\nText."), new_markdown_cell("# Part A\n\n## 1 One"), top="TOP")
    assert cells[0].source == "# Title\n\nTOP\n\nText."
    assert cells[1].source == "## Part A\n\n## 1 One"


def test_a_lesson_says_how_to_run_it_where_there_is_an_address_and_where_not():
    readme = "**Google Colab**: you need a zip file."
    top = book.top("01_a.ipynb", readme, "https://github.com/who/course")
    assert "https://colab.research.google.com/github/who/course/blob/main/notebooks/01_a.ipynb" in top
    assert '<a href="01_a.ipynb" download>' in top
    without = book.top("01_a.ipynb", readme, None)
    assert "colab.research" not in without
    assert "**In Google Colab**: you need a zip file." in without


def test_the_first_page_has_the_lessons_of_the_readme():
    pictures = {"fool.html": ("a.jpg", 'a "bus"'), "plane.html": ("b.jpg", "b")}
    page = book.first_page(README, pictures, None)
    assert "Start here</a><span>your computer is ready</span><small>14 minutes, 23 for the exercises</small>" in page
    assert "<span>a &amp; b</span><small>30 minutes, 10 for <i>Going further</i>, 75 for the exercises</small>" in page
    assert page.index("fool.html") < page.index("lessons/00_start_here.html") < page.index("Run `this`. See how.")
    assert 'alt="a &quot;bus&quot;"' in page


def test_a_readme_without_the_section_ends_the_build():
    with pytest.raises(ValueError, match="no section 'Open the course'"):
        book.section("# Course\n", "Open the course")


def test_without_the_repository_the_error_says_where_to_build(tmp_path):
    with pytest.raises(FileNotFoundError, match="build the pages in the folder of the repository"):
        book.find_lessons(tmp_path)


def test_inline_scripts_and_handlers_move_out():
    page = (
        '<html data-content_root="../"><meta charset="utf-8"><body><script>\n  run();\n</script><script src="a.js">'
        '</script><a href="x" onclick="go(\'a\')" title="on time">one</a></body></html>'
    )
    strict, scripts = book.strict(page)
    assert list(scripts.values()) == ["run();\n"]
    assert f'<script src="../_static/{next(iter(scripts))}"></script><script src="a.js"></script>' in strict
    assert '<a href="x" title="on time">one</a>' in strict
    assert strict.index("Content-Security-Policy") < strict.index("<script")


@pytest.mark.parametrize("charset", ['<meta charset="utf-8">', '<meta charset="utf-8"/>', '<meta charset="utf-8" />'])
def test_a_page_gets_its_policy_however_its_theme_writes_the_head(charset):
    page = f'<html data-content_root="./"><head>{charset}<title>t</title></head></html>'
    assert f"{charset}<meta http-equiv=" in book.strict(page)[0]
    with pytest.raises(ValueError, match="no place for its policy"):
        book.strict(page.replace(charset, ""))


@pytest.mark.parametrize(
    ("formula", "part"),
    [
        (r"\log p_c", '<mspace width="0.167em" />'),
        (r"\arg\max_x z", "<mo>arg</mo>"),
        (r"|x|", 'lspace="0" rspace="0">&#x0007C;</mo><mi>x</mi>'),
        (r"x < y", "&#x0003C;"),
    ],
)
def test_a_formula_is_mathml(formula, part):
    pytest.importorskip("latex2mathml")
    assert part in book.mathml(formula)
    assert 'display="block"' in book.mathml(formula, "block")


def test_a_formula_that_would_show_its_code_ends_the_build():
    pytest.importorskip("latex2mathml")
    with pytest.raises(ValueError, match=r"cannot draw all of this formula: \\nosuch"):
        book.mathml(r"\nosuch{x}")


# ---------------------------------------------------------------------------------------------------- the pages


class Page(HTMLParser):
    """What a test asks about a page: its tags, and its text outside of code."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.open, self.scripts = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while tag in self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts.append(data)
        elif not {"pre", "code", "style", "head", "math"} & set(self.open):
            self.text.append(data)

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]

    def anchors(self):
        return {attributes["id"] for _, attributes in self.tags if "id" in attributes}


@pytest.fixture(scope="module")
def pages(site):
    """Every page of the folder, by its path in it."""
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_lesson_is_a_page(pages):
    assert {"index.html", "search.html"} <= set(pages)
    assert [name for name in pages if name.startswith("lessons/")] == [f"lessons/{path.stem}.html" for path in LESSONS]
    assert len(LESSONS) == 7


def test_every_page_is_strict(pages):
    for name, page in pages.items():
        policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
        assert len(policies) == 1, name
        assert policies[0].startswith("default-src 'none'; script-src 'self'"), name
        assert "unsafe-inline" not in policies[0].split("style-src")[0], name
        assert "".join(page.scripts).strip() == "", name
        assert [tag for tag, attributes in page.tags if any(key.startswith("on") for key in attributes)] == [], name


def test_no_page_loads_anything_from_elsewhere(pages):
    for name, page in pages.items():
        loaded = [one["src"] for _, one in page.tags if "src" in one]
        loaded += [one["href"] for one in page.all("link", "use") if "href" in one]
        assert [address for address in loaded if re.match(r"([a-z]+:)?//", address)] == [], name


def test_every_link_of_the_folder_leads_somewhere(pages, site):
    for name, page in pages.items():
        for tag, attributes in page.tags:
            for address in (attributes.get("href"), attributes.get("src")):
                parts = urlsplit(address or "")
                if not address or parts.scheme or parts.netloc:
                    continue
                path = ((site / name).parent / unquote(parts.path)).resolve() if parts.path else site / name
                assert path.is_file(), f"{name}: <{tag}> {address}"
                other = path.relative_to(site.resolve()).as_posix() if parts.path else name
                if parts.fragment and other in pages:
                    assert unquote(parts.fragment) in pages[other].anchors(), f"{name}: {address}"


def test_every_page_has_a_language_one_title_and_words_for_its_pictures(pages):
    for name, page in pages.items():
        assert [one.get("lang") for one in page.all("html")] == ["en"], name
        assert len(page.all("h1")) == 1, name
        assert [one for one in page.all("img") if not one.get("alt", "").strip()] == [], name


def test_every_picture_of_the_lessons_is_there(pages):
    for path in LESSONS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        pictures = sum(any(kind.startswith("image/") for kind in output.get("data", {})) for output in outputs)
        titles = sum("".join(cell["source"]).count("](images/") for cell in cells if cell["cell_type"] == "markdown")
        images = pages[f"lessons/{path.stem}.html"].all("img")
        assert pictures == PICTURES[path.name[:2]]
        assert len(images) == pictures + titles, path.stem
        assert all(len(one["alt"]) > 20 for one in images), path.stem


def test_no_markdown_is_left_over(pages):
    for name, page in pages.items():
        text = "".join(page.text)
        for mark in (r"\$", ":::", r"\{[a-z]", r"\*\*", "```", r"\]\(", "</?details"):
            found = re.search(f".{{0,40}}{mark}.{{0,40}}", text)
            assert not found, f"{name}: {found[0]!r}"


def test_formulas_are_mathml(pages):
    count = {name: len(page.all("math")) for name, page in pages.items() if name.startswith("lessons/")}
    for path in LESSONS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        formulas = sum(len(re.findall(r"(?s)\$\$.+?\$\$|\$[^$\n]+\$", text)) for text in texts)
        assert count[f"lessons/{path.stem}.html"] == formulas, path.stem


def test_a_lesson_can_be_downloaded_as_it_is(site):
    for path in LESSONS:
        assert (site / "lessons" / path.name).read_bytes() == path.read_bytes()


# ------------------------------------------------------------------------------------------------- in a browser


def open_all(page):
    """Unfold everything."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def test_search_finds_a_word(tab):
    tab.goto("index.html")
    tab.get_by_role("searchbox").or_(tab.get_by_placeholder("Search")).first.fill("ostrich")
    tab.keyboard.press("Enter")
    results = tab.locator("#search-results .search li a")
    results.first.wait_for()
    assert any("02_targeted_fooling.html" in one.get_attribute("href") for one in results.all())


def test_answers_hints_and_solutions_unfold_on_a_click(tab):
    tab.goto("lessons/02_targeted_fooling.html")
    for summary, inside in [
        ("Show the answer", "has 99 % after 20"),
        ("Solution", "def climb"),
        ("Hint", "clamp(0, 1)"),
    ]:
        found = (
            tab.locator("details").filter(has=tab.locator("summary", has_text=summary)).filter(has_text=inside).first
        )
        hidden = found.locator(":scope > :not(summary)", has_text=inside).first
        assert not hidden.is_visible()
        found.locator("summary").click()
        assert hidden.is_visible()
    assert tab.locator("details[open] .highlight .k", has_text="def").count()  # code in a solution has its colours


@pytest.mark.parametrize("lesson", ["02_targeted_fooling", "04_decision_boundaries"])
def test_an_experiment_is_as_tall_as_what_is_in_it(tab, lesson):
    tab.goto(f"lessons/{lesson}.html")
    tab.locator("iframe").scroll_into_view_if_needed()
    tab.wait_for_function(
        """() => { const one = document.querySelector("iframe"), inside = one.contentDocument?.documentElement;
        return inside?.dataset.embedded === "" && one.style.height && inside.scrollHeight <= one.clientHeight; }"""
    )
    inside = tab.frame_locator("iframe").locator("main").bounding_box()
    assert tab.locator("iframe").bounding_box()["height"] < inside["height"] + 100


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_every_page_can_be_read_by_everybody(browser, address, pages, theme, width, height):
    axe = HERE / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed: npm ci in fooling_utils/web")
    context = browser.new_context(viewport={"width": width, "height": height}, bypass_csp=True, base_url=address)
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page, found = context.new_page(), []
    rules = {"resultTypes": ["violations"], "iframes": False}
    if theme == "dark":  # only the colours are others
        rules["runOnly"] = ["color-contrast"]
    for name in sorted(set(pages) - {"fool.html", "plane.html"}):  # these have tests of their own
        page.goto(name)
        open_all(page)
        page.wait_for_timeout(100)
        page.add_script_tag(path=axe)
        result = page.evaluate("(rules) => axe.run(document, rules)", rules)
        found += [(name, one["id"], one["nodes"][0]["html"][:200]) for one in result["violations"]]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        small = """[...document.querySelectorAll("article p, article li")].filter((one) => one.checkVisibility()
          && parseFloat(getComputedStyle(one).fontSize) < 16).map((one) => one.outerHTML.slice(0, 120))"""
        assert width > 400 or page.evaluate(small) == [], name
    context.close()
    assert found == []


def test_dark_and_light_is_one_choice_for_all_pages(tab):
    tab.goto("index.html")
    tab.evaluate("localStorage.setItem('theme', 'dark')")
    tab.goto("lessons/00_start_here.html")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.evaluate("localStorage.setItem('theme', 'light')")
    tab.reload()
    assert dark != tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
