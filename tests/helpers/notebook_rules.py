"""What every committed lesson keeps to: each rule takes a notebook and returns its problems, as a list of sentences."""

import ast
import builtins
import re
import symtable
from functools import lru_cache
from statistics import median_high

import nbformat

from fooling_utils.web.book import PICTURE_TEXT as ALT_TEXT
from refresh_notebooks import clean
from slides import QUESTION

MAX_BYTES = 1_500_000
MAX_CODE_LINES = 25
MEDIAN_CODE_LINES = 6
MAX_IMPORT_LINES = 8
MAX_WORDS = 150
MAX_WORDS_SOURCES = 300  # a list of sources is looked up, not read
FURTHER = "Going further"  # in the heading of a section that nothing depends on
WORDS_PER_MINUTE, PICTURES_PER_MINUTE, CELLS_PER_MINUTE = 100, 2, 4  # of somebody who reads slowly, predicts and looks
MAX_CORE_MINUTES = 33  # 30, and what an estimate is worth
TIME = re.compile(
    r"\*\*Time\*\*: (?P<core>\d+) minutes"
    r"(.*?(?P<further>\d+) for \*Going further\*)?(.*?(?P<exercises>\d+) for the exercises)?"
)
NAME_FUNCTIONS = {"toward", "away_from", "logit", "probability", "index"}
FOLDED = re.compile(r"(?s)<details>.*?</details>")  # a hint or a solution, opened on its own
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:(?:home|Users|work|mnt|opt)/|(?:root|tmp)\b)\S*|\b[A-Za-z]:\\+Users\b\S*")


def code_cells(notebook):
    """Return the code cells as pairs of position in the notebook and cell."""
    return [(number, cell) for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def readable_text(notebook):
    """Return pairs of position and text: all sources and outputs, without the bytes of pictures."""
    texts = []
    for number, cell in enumerate(notebook.cells):
        texts.append((number, cell.source))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            parts = [output.get("text", ""), *output.get("traceback", [])]
            parts += [str(data[kind]) for kind in data if kind.startswith("text/") or kind.endswith(("xml", "json"))]
            # In base64 any short path comes up by chance.
            texts += [(number, re.sub(r"data:[\w/+.-]+;base64,[\w+/=]+", "", part)) for part in parts]
    return texts


def _parse(source):
    # Lines for IPython (%timeit, !pip) are no Python; a pass keeps their place.
    return ast.parse(re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source))


def _line_count(source):
    return len(source.strip().splitlines())


# ------------------------------------------------------------------------------------------------------- the file


def is_valid(notebook):
    """The file follows the notebook format."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {str(error).splitlines()[0]}"]
    return []


def is_executed_in_order(notebook):
    """Every code cell was executed once, from top to bottom."""
    counts = [cell.execution_count for _, cell in code_cells(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}, not 1, 2, 3..."]


def has_no_errors(notebook):
    """No cell ended in an error or wrote a warning."""
    return [
        f"cell {number} shows {output.get('ename', 'a message on stderr')}"
        for number, cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def has_no_outputs(notebook):
    """Nothing was run: what a page shows comes from its kernel, and is never older than the code."""
    run = [number for number, cell in code_cells(notebook) if cell.outputs or cell.execution_count is not None]
    return [f"cells {run} have been run"] if run else []


def is_small(notebook):
    """The file is small enough for a page on the web."""
    size = len(nbformat.writes(notebook).encode())
    return [f"{size / 1e6:.2f} MB, more than {MAX_BYTES / 1e6} MB"] if size > MAX_BYTES else []


def has_no_machine_paths(notebook):
    """No source or output names a folder of somebody's machine."""
    found = [(number, path[0]) for number, text in readable_text(notebook) for path in MACHINE_PATH.finditer(text)]
    return [f"cell {number}: {path}" for number, path in found]


def has_no_widget_state(notebook):
    """The metadata holds no state of widgets, which breaks previews on the web."""
    return ["widget state in the metadata"] if "widgets" in notebook.metadata else []


def is_clean(notebook):
    """Nothing is left that the refresh command would remove: timestamps, versions, widgets, other metadata."""
    cleaned = clean(notebook)
    problems = [] if cleaned.metadata == notebook.metadata else [f"metadata of the notebook: {dict(notebook.metadata)}"]
    for number, (cell, kept) in enumerate(zip(notebook.cells, cleaned.cells, strict=True)):
        if cell.metadata != kept.metadata:
            problems.append(f"cell {number}: metadata {dict(cell.metadata)}")
        if cell.get("outputs") != kept.get("outputs"):
            problems.append(f"cell {number}: outputs of widgets, progress bars, or with metadata")
    return problems


# ----------------------------------------------------------------------------------------------------- its reading


def starts_with_title(notebook):
    """The first cell is the title."""
    first = notebook.cells[0] if notebook.cells else None
    titled = first is not None and first.cell_type == "markdown" and first.source.startswith("# ")
    return [] if titled else ["the first cell is not markdown that starts with '# '"]


def has_short_code(notebook):
    """No code cell is long, and most are very short."""
    shown = [pair for pair in code_cells(notebook) if "claims" not in pair[1].metadata.get("tags", [])]
    lines = {number: _line_count(cell.source) for number, cell in shown}
    long = {number: count for number, count in lines.items() if count > MAX_CODE_LINES}
    problems = [f"cell {number} has {count} lines, more than {MAX_CODE_LINES}" for number, count in long.items()]
    if lines and (middle := median_high(lines.values())) > MEDIAN_CODE_LINES:
        problems.append(f"the median code cell has {middle} lines, more than {MEDIAN_CODE_LINES}")
    return problems


def has_short_imports(notebook):
    """A cell that mostly imports is short."""
    problems = []
    for number, cell in code_cells(notebook):
        try:
            statements = _parse(cell.source).body
        except SyntaxError:
            continue  # is_python reports it
        imports = sum(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements)
        lines = sum(bool(line.strip()) for line in cell.source.splitlines())  # isort wants a blank one between sections
        if imports > len(statements) / 2 and lines > MAX_IMPORT_LINES:
            problems.append(f"cell {number} imports in {lines} lines, more than {MAX_IMPORT_LINES}")
    return problems


def count_words(markdown):
    """Return the number of words of prose, without formulas, fenced code, URLs and tags."""
    fenced, urls = r"```.*?```", r"(?:https?://|attachment:)[^\s)>]+"
    formulas, tags = r"\$\$.*?\$\$|\$[^$\n]+\$", r"</?[a-z][^>]*>|<!--.*?-->"
    for not_prose in (fenced, urls, formulas, tags):
        markdown = re.sub(not_prose, " ", markdown, flags=re.DOTALL)
    return len(re.findall(r"\w[\w'’.,-]*", markdown))


def has_short_texts(notebook):
    """No text is long, for a reader who came to see pictures."""
    problems = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        heading = re.search(r"(?m)^#+ .*", cell.source)
        limit = MAX_WORDS_SOURCES if heading and "Sources" in heading[0] else MAX_WORDS
        words = max(count_words(text) for text in [re.sub(FOLDED, "", cell.source), *re.findall(FOLDED, cell.source)])
        if words > limit:
            problems.append(f"cell {number} has {words} words, more than {limit}")
    return problems


def has_alt_texts(notebook):
    """The text that follows a picture says what is in it, for a reader who cannot see it."""
    problems = []
    for number, cell in code_cells(notebook):
        shown = [item for output in cell.outputs for item in output.get("data", {}).items()]
        if not any(kind.startswith("image/") or (kind == "text/html" and "<img" in data) for kind, data in shown):
            continue
        following = notebook.cells[number + 1] if number + 1 < len(notebook.cells) else None
        if following is None or following.cell_type != "markdown" or ALT_TEXT not in following.source:
            problems.append(f"cell {number} shows a picture, and the next cell has no {ALT_TEXT!r}")
    return problems


def shows_its_widgets(notebook):
    """A widget that a cell ends with has left a picture of itself, for a reader without a kernel."""
    problems = []
    for number, cell in code_cells(notebook):
        kinds = {kind.split("/")[0] for output in cell.outputs for kind in output.get("data", {})}
        if re.search(r"(?m)^widgets\.[A-Z]", cell.source) and "image" not in kinds:
            problems.append(f"cell {number} shows a widget and has no picture of it: run the cell again")
    return problems


def parts(notebook):
    """Return the cells of a lesson by part: "core", "further" (sections marked so), "exercises", "end" (lookup)."""
    found, part = {"core": [], "further": [], "exercises": [], "end": []}, "core"
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (heading := re.search(r"(?m)^## (?:\d+ )?(.+)", cell.source)):
            part = next(
                (part for word, part in PARTS_BY_HEADING.items() if heading[1].startswith(word)),
                "core",
            )
        found[part].append(cell)
    return found


PARTS_BY_HEADING = {FURTHER: "further", "Exercises": "exercises", "Sources": "end", "The claims of this lesson": "end"}


def reading_minutes(cells):
    """Return how long a slow reader needs for these cells, in minutes; the words for a picture count as the picture."""
    words = pictures = 0
    for cell in cells:
        if cell.cell_type == "markdown":
            seen = re.sub(r"(?s)\*\*In the picture:\*\*.*?(\n\n|$)", "", cell.source)
            words += count_words(re.sub(FOLDED, "", seen))
        else:
            pictures += any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {}))
    code = sum(cell.cell_type == "code" for cell in cells)
    return words / WORDS_PER_MINUTE + pictures / PICTURES_PER_MINUTE + code / CELLS_PER_MINUTE


def exercise_minutes(cells):
    """Return the sum of the minutes that the headings of exercises name."""
    return sum(int(n) for cell in cells for n in re.findall(r"(?m)^###? .*?(\d+) minutes", cell.source))


def names_its_minutes(notebook):
    """The first screen names the minutes for the core, for going further and for the exercises, within a fifth."""
    named = TIME.search(notebook.cells[0].source)
    if not named:
        return ["the first cell has no '**Time**: 30 minutes, 15 for *Going further*, 60 for the exercises'"]
    cells = parts(notebook)
    needed = {"core": reading_minutes(cells["core"]), "further": reading_minutes(cells["further"])}
    needed["exercises"] = exercise_minutes(notebook.cells)
    said = {part: int(named[part] or 0) for part in needed}
    problems = [
        f"{part}: {said[part]} minutes are named, about {minutes:.0f} are needed"
        for part, minutes in needed.items()
        if abs(said[part] - minutes) > max(minutes / 5, 1)
    ]
    if needed["core"] > MAX_CORE_MINUTES:
        problems.append(f"the core takes {needed['core']:.0f} minutes, more than {MAX_CORE_MINUTES}")
    return problems


def hides_what_was_predicted(notebook):
    """After a question, the first output is stored folded away: the tag "predicted", and nothing printed is compared.

    JupyterLab shows the first line of what is folded away, so `clean` puts another line before what a cell prints.
    """
    problems, asked = [], None
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and QUESTION in cell.source:
            asked = number
        elif cell.cell_type == "code" and cell.outputs and asked is not None:
            if "predicted" not in cell.metadata.get("tags", []):
                problems.append(f"cell {number} answers the question of cell {asked}: give it the tag 'predicted'")
            asked = None
        tags = cell.metadata.get("tags", [])
        if {"predicted", "nbval-check-output"} <= {*tags} and cell.outputs and "text" in cell.outputs[0]:
            problems.append(f"cell {number} shows its first line while it is folded: drop the tag 'nbval-check-output'")
    return problems


def keeps_tests_out_of_sight(notebook):
    """No cell only tests: asserts stand in the cell tagged "claims", and outputs are compared by tag."""
    problems = []
    for number, cell in code_cells(notebook):
        if "claims" in cell.metadata.get("tags", []):
            continue
        if re.search(r"NBVAL|# fmt:|# noqa", cell.source):
            problems.append(f"cell {number} speaks to a tool: use the tag 'nbval-check-output', or a shorter line")
        if re.search(r"(?m)^\s*assert\b", cell.source):
            problems.append(f"cell {number} asserts: move it to the cell tagged 'claims'")
        printed = "".join(output.get("text", "") for output in cell.outputs)
        if re.search(r"(?m)\b(True|False)\s*$", printed):
            problems.append(f"cell {number} prints True or False: print the number that a reader wants")
    return problems


def ends_its_bars_well(notebook):
    """No progress bar turns red where its loop ends before the last step, as it should: such a bar has no total."""
    total = re.compile(r"run_until\(tqdm\([^\n]*total=")
    early = [number for number, cell in code_cells(notebook) if total.search(cell.source)]
    return [f"cell {number}: the bar turns red when run_until ends early: leave out its total" for number in early]


# -------------------------------------------------------------------------------------------------------- its code


def _names(cell):
    """Return the names that a code cell needs from elsewhere, and those that it gives to later cells."""
    tree = _parse(cell.source)
    needed, given = set(), set()
    for statement in tree.body:
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        here = {symbol.get_name(): symbol for symbol in table.get_symbols()}
        inner = list(table.get_children())
        used = {name for name, symbol in here.items() if symbol.is_referenced()}
        while inner:
            child = inner.pop()
            inner += child.get_children()
            used |= {symbol.get_name() for symbol in child.get_symbols() if symbol.is_global()}
        assigned = {name for name, symbol in here.items() if symbol.is_assigned() or symbol.is_imported()}
        # A plain assignment reads before it gives; a loop gives its variable before its body reads it.
        plain = isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            used.add(statement.target.id)
        needed |= {name for name in used if name not in given and (plain or name not in assigned)}
        given |= assigned
    return needed - set(dir(builtins)), given


def _names_by_cell(cells):
    for cell in cells:
        if cell.cell_type == "code":
            try:
                yield cell, *_names(cell)
            except SyntaxError:
                continue  # is_python reports it


def core_stands_alone(notebook):
    """Nothing depends on a section that goes further: no later name comes from one alone."""
    cells = parts(notebook)
    further = {name for _, _, given in _names_by_cell(cells["further"]) for name in given}
    rest = [*cells["core"], *cells["exercises"]]
    further -= {name for _, _, given in _names_by_cell(rest) for name in given}
    return [
        f"a cell needs {sorted(needed & further)}, which only {FURTHER!r} defines: {cell.source.splitlines()[0]!r}"
        for cell, needed, _ in _names_by_cell(rest)
        if needed & further
    ]


def names_keep_their_meaning(notebook):
    """A name that one cell gives and another reads is given once, so that a cell can be run again at any time."""
    givers, readers = {}, set()
    for cell, needed, given in _names_by_cell(notebook.cells):
        readers |= needed
        for name in given:
            givers.setdefault(name, []).append(cell)
    return [
        f"{name!r} is given by {len(cells)} cells, and read by cells that do not give it themselves"
        for name, cells in givers.items()
        if len(cells) > 1 and name in readers
    ]


def is_python(notebook):
    """Every code cell parses, and none asks IPython for help."""
    problems = []
    for number, cell in code_cells(notebook):
        if re.search(r"(?m)^\s*(\?+[\w.]+|%?[\w.]+\?+)\s*$", cell.source):
            problems.append(f"cell {number} asks for help with '?', which opens nothing on a page")
            continue
        try:
            _parse(cell.source)
        except SyntaxError as error:
            problems.append(f"cell {number} is not Python: {error}")
    return problems


@lru_cache
def imagenet_names():
    """Return the names of the 1000 classes, as torchvision spells them."""
    from torchvision.models import EfficientNet_B0_Weights

    return frozenset(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])


def _strings(node):
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.List() | ast.Tuple() | ast.Set():
            for element in node.elts:
                yield from _strings(element)
        case ast.Dict():
            for value in node.values:
                yield from _strings(value)


def _called(call):
    # "probability" for frame.probability(...), "toward" for toward(...)
    return getattr(call.func, "attr", getattr(call.func, "id", None))


def _root(node):
    # "plt" for plt.figure().add_axes, "show" for show
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return getattr(node, "id", None)


def _our_imports(trees):
    return {
        (alias.asname or alias.name).split(".")[0]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).startswith("fooling_utils")
    }


def _own_labels(trees):
    # A network of the lesson's own has its own labels: labels = [...], f(labels=[...]) or Classifier(net, [...]).
    given = []
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Assign) and any(getattr(target, "id", None) == "labels" for target in node.targets):
            given.append(node.value)
        elif isinstance(node, ast.Call):
            given += [keyword.value for keyword in node.keywords if keyword.arg == "labels"]
            given += node.args if _called(node) == "Classifier" else []
    return {text for node in given for text in _strings(node)}


def _used_names(tree, ours):
    tries = [part for node in ast.walk(tree) if isinstance(node, ast.Try) for part in node.body]
    tried = {inner for part in tries for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or node in tried:
            continue
        if _called(node) in NAME_FUNCTIONS:
            for argument in node.args:
                yield from _strings(argument)
        for keyword in node.keywords:
            # Matplotlib's label= is the text of a legend.
            if keyword.arg in ("target", "targets") or (keyword.arg == "label" and _root(node.func) in ours):
                yield from _strings(keyword.value)


def names_real_classes(notebook):
    """Every class that the code names is spelled as ImageNet spells it, unless the lesson shows what an error says."""
    trees = {}
    for number, cell in code_cells(notebook):
        try:
            trees[number] = _parse(cell.source)
        except SyntaxError:
            continue  # is_python reports it
    ours, own_labels = _our_imports(trees.values()), _own_labels(trees.values())
    return [
        f"cell {number}: {name!r} is no class of ImageNet"
        for number, tree in trees.items()
        if "raises-exception" not in notebook.cells[number].metadata.get("tags", [])
        for name in _used_names(tree, ours)
        if name not in own_labels and name not in imagenet_names()
    ]


RULES = [
    is_valid,
    is_executed_in_order,
    has_no_errors,
    is_small,
    has_no_machine_paths,
    has_no_widget_state,
    is_clean,
    starts_with_title,
    has_short_code,
    has_short_imports,
    has_short_texts,
    has_alt_texts,
    shows_its_widgets,
    is_python,
    names_real_classes,
]

# A lesson is read from top to bottom; the solved exercises are looked up.
LESSON_RULES = [
    names_its_minutes,
    hides_what_was_predicted,
    keeps_tests_out_of_sight,
    ends_its_bars_well,
    core_stands_alone,
    names_keep_their_meaning,
]

# A lecture page is shown with a kernel, and never read.
PAGE_RULES = [
    is_valid,
    has_no_outputs,
    has_no_machine_paths,
    has_no_widget_state,
    starts_with_title,
    has_short_imports,
    has_short_texts,
    is_python,
    names_real_classes,
]
