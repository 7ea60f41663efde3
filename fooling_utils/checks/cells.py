"""What the cells of a notebook give, use and change, as IPython reads them: which exercises it has, and their cells."""

import ast
import builtins
import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

from .exercises import EXERCISES, Exercise

LONGEST_CELL = 1_000_000  # characters; a longer cell is not read
OF_LESSON = re.compile(r"(?![a-f]{8}$)[a-z]{2,}(-([a-z]+|\d{1,2}))*")  # Jupyter's own ids mix letters and digits
OF_EXERCISE = re.compile(r"(exercise|check)-(\d+)-(\d+)")
KNOWN = {
    *dir(builtins),
    "__name__",
    "__file__",
    "__builtins__",
    "get_ipython",
    "display",
    "In",
    "Out",
    "_",
    "__",
    "_ih",
}
OPAQUE = {"exec", "eval", "globals", "locals", "vars", "run_cell", "push", "ex", "run_path"}  # names nobody can see
RUNS_CODE = {"time", "prun", "timeit", "memit", "lprun", "mprun"}  # line magics whose argument is Python
NO_PYTHON = {
    *("bash", "sh", "script", "cmd", "system", "sx", "perl", "ruby", "html", "HTML", "svg", "SVG", "latex"),
    *("javascript", "js", "markdown", "writefile", "file", "sql", "R"),
}
NO_FILE = re.compile(r"FileNotFoundError|ModuleNotFoundError")  # another cell may have written it
CHANGES = {
    *("append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault"),
    *("sort", "update"),
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Cell(NamedTuple):
    """What one code cell does with names at the top level of the notebook."""

    source: str
    id: str = ""
    gives: frozenset[str] = frozenset()  # what it binds
    imports: frozenset[str] = frozenset()  # those among them that are imported
    now: frozenset[str] = frozenset()  # what it needs from above when it runs
    later: frozenset[str] = frozenset()  # what its functions need when they are called
    touches: frozenset[str] = frozenset()  # whose contents it changes
    definitions: tuple[tuple[str, int], ...] = ()  # what it defines without using an earlier definition, with the line
    calls: frozenset[tuple[str, str]] = frozenset()  # function and number of the calls that name an exercise
    opaque: bool = False  # it may give and use names that are not written in it
    error: str = ""  # why it cannot be read

    @property
    def words(self) -> set[str]:
        """Everything in it that could be a name."""
        return set(re.findall(r"\w+", self.source))

    @property
    def of_lesson(self) -> bool:
        """Whether it came with the lesson, as its id tells."""
        return bool(OF_LESSON.fullmatch(self.id))

    @property
    def part(self) -> tuple[str, str]:
        """Its part in an exercise, as its id tells: ("exercise", "5.1") or ("check", "5.1"), or two empty texts."""
        found = OF_EXERCISE.fullmatch(self.id)
        return (found[1], f"{found[2]}.{found[3]}") if found else ("", "")


# ------------------------------------------------------------------------------------------------- reading one cell


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name != "*")
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _bound_in(nodes: Iterable[ast.AST]) -> set[str]:
    # What is bound in a scope itself: not in the functions and classes inside it, nor what it declares as global.
    found, outer, todo = set(), set(), list(nodes)
    while todo:
        node = todo.pop()
        found.update(_bound_by(node))
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            outer.update(node.names)
        elif isinstance(node, COMPREHENSIONS):
            found.update(part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
        elif not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(node))
    return found - outer


def _root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _parsed(code: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(code))


class _Reader(ast.NodeVisitor):
    # Goes through a cell in the order in which Python would, and keeps what it gives, uses and changes.

    def __init__(self) -> None:
        self.gives, self.imports, self.now, self.later, self.touches, self.calls = (set() for _ in range(6))
        self.opaque, self.in_function, self.scopes = False, 0, []

    def is_local(self, name: str) -> bool:
        return any(name in scope for scope in self.scopes)

    def use(self, name: str) -> None:
        if not self.is_local(name):
            if self.in_function:
                self.later.add(name)
            elif name not in self.gives:
                self.now.add(name)

    def bind(self, node: ast.AST) -> None:
        self.gives.update(name for name in _bound_by(node) if not self.is_local(name))

    def touch(self, node: ast.AST) -> None:
        if (name := _root(node)) and not self.is_local(name):
            self.touches.add(name)

    def inside(self, names: set[str], nodes: Iterable[ast.AST], function: bool = False) -> None:
        self.scopes.append(names)
        self.in_function += function
        for node in nodes:
            self.visit(node)
        self.in_function -= function
        self.scopes.pop()

    def read(self, code: str) -> None:
        self.generic_visit(_parsed(code))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.use(node.id)
        else:
            self.bind(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.touch(node)
        self.opaque |= node.attr == "user_ns"
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.touch(node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for part in (node.value, *node.targets):
            self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for part in (node.annotation, node.value, node.target):
            if part is not None and (part is not node.target or node.value is not None):
                self.visit(part)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.use(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        for part in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(part)

    visit_AsyncFor = visit_For

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.bind(node)
        self.imports.update(name for name in _bound_by(node) if not self.is_local(name))
        self.opaque |= any(alias.name == "*" for alias in node.names)

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.bind(node)
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = visit_ExceptHandler

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        every = [argument for argument in every if argument]
        now = [*arguments.defaults, *arguments.kw_defaults, *(argument.annotation for argument in every)]
        now += [*getattr(node, "decorator_list", []), getattr(node, "returns", None)]
        for part in now:
            if part is not None:
                self.visit(part)
        self.bind(node)
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        self.inside({argument.arg for argument in every} | _bound_in(body), body, function=True)

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self.inside(_bound_in(node.body), node.body)
        self.bind(node)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        first, names = node.generators[0], set()
        self.visit(first.iter)
        for generator in node.generators:
            names.update(name for part in ast.walk(generator.target) for name in _bound_by(part))
        inner = [part for one in node.generators for part in (*([] if one is first else [one.iter]), *one.ifs)]
        inner += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self.inside(names, inner)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            self.touch(node.value.func.value)  # `d.update(...)`, whatever it is called: nothing else is done with it
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        numbers = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "number")]
        if isinstance(node.func, ast.Attribute):
            if name in CHANGES or (name.endswith("_") and not name.startswith("_")):
                self.touch(node.func.value)
            if _root(node.func) == "get_ipython":
                self.read_magic(name, [_text(argument) for argument in node.args])
        elif name in ("setattr", "delattr", "next") and node.args:
            self.touch(node.args[0])
        self.opaque |= name in OPAQUE
        self.calls.update((name, _text(number)) for number in numbers if _text(number))
        self.generic_visit(node)

    def read_magic(self, kind: str, texts: list[str]) -> None:
        if kind in ("system", "getoutput"):
            for name in re.findall(r"[{$](\w+)", " ".join(texts)):
                self.use(name)
        elif kind == "run_line_magic":
            self.opaque |= texts[0] in ("run", "pylab", "load", "store", "reset")
            if texts[0] in RUNS_CODE:
                self.read_if_python(texts[1])
        elif kind == "run_cell_magic" and texts[0] not in NO_PYTHON:
            if texts[0] == "capture" and texts[1].strip():
                self.gives.add(texts[1].split()[0])
            self.read_if_python("" if texts[0] == "capture" else texts[1])
            self.read(texts[2])

    def read_if_python(self, text: str) -> None:
        with contextlib.suppress(SyntaxError, ValueError):  # such as options
            self.read(text)


def read_cell(source: str, id: str = "") -> Cell:
    """Read one code cell; what cannot be read says why in `error`, with the line."""
    if len(source) > LONGEST_CELL:
        return Cell(source, id, error=f"longer than {LONGEST_CELL} characters")
    reader = _Reader()
    try:
        tree = _parsed(source)
    except SyntaxError as error:
        return Cell(source, id, error=f"not Python: {error.msg} in line {error.lineno or 1}")
    except (RecursionError, MemoryError):
        return Cell(source, id, error="nested too deeply for Python")
    except Exception as error:
        return Cell(source, id, error=f"not Python: {type(error).__name__}: {error}"[:200])
    try:
        reader.visit(tree)
    except SyntaxError as error:  # below a magic
        return Cell(source, id, error=f"not Python: {error.msg} in line {(error.lineno or 0) + 1}")
    except (RecursionError, MemoryError):  # Python reads deeper than we do
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        reader.gives.update(name for node in ast.walk(tree) for name in _bound_by(node))
        reader.later.update(node.id for node in names)
        reader.opaque = True
    return Cell(
        source,
        id,
        frozenset(reader.gives),
        frozenset(reader.imports),
        frozenset(reader.now),
        frozenset(reader.later - reader.gives),
        frozenset(reader.touches),
        tuple(_definitions(tree)),
        frozenset(reader.calls),
        reader.opaque,
    )


def _definitions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield statement.name, statement.lineno
        elif isinstance(statement, ast.Assign):
            used = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
            for target in statement.targets:
                if isinstance(target, ast.Name) and target.id not in used:
                    yield target.id, statement.lineno


# ------------------------------------------------------------------------------------------------- among all cells


def needed(cells: Sequence[Cell], answers: Iterable[int]) -> set[int]:
    """The positions of the cells that those at `answers` rest on, without these.

    A name that a cell uses when it runs comes from above; what a function uses may also be given below. A cell that
    changes what a needed name holds is needed as well, and where a name is given nowhere, so are cells that may give
    names unseen, such as `from torch import *`.
    """
    answers = set(answers)
    modules = frozenset().union(*(cell.imports for cell in cells))
    own = frozenset().union(*(cells[at].gives for at in answers))
    reach: dict[str, int] = {}  # by name: the position above which a cell has to stand to count
    chosen: set[int] = set()

    def use(at: int) -> None:
        chosen.add(at)
        for name in cells[at].now:
            reach[name] = max(reach.get(name, -1), at)
        for name in cells[at].later - own:
            reach[name] = len(cells)

    for at in answers:
        use(at)
    while True:
        new = [
            at
            for at, cell in enumerate(cells)
            if at not in chosen and any(reach.get(name, -1) > at for name in cell.gives | (cell.touches - modules))
        ]
        if not new and set(reach) - KNOWN - frozenset().union(*(cells[at].gives for at in chosen)):
            new = [at for at, cell in enumerate(cells) if cell.opaque and at not in chosen]
        if not new:
            return chosen - answers
        for at in new:
            use(at)


def needed_cells(sources: Sequence[str], answers: Sequence[str]) -> list[int]:
    """The positions among `sources` of the cells that `answers`, which stand below them, rest on."""
    cells = [read_cell(source) for source in (*sources, *answers)]
    return sorted(needed(cells, range(len(sources), len(cells))))


def exercises_in(cells: Sequence[Cell]) -> list[Exercise]:
    """All exercises of the lessons that a notebook has: those that its cells' ids or its calls of `check` name."""
    numbers = {number for cell in cells for number in [cell.part[1], *checked(cell)]}
    lessons = {EXERCISES[number].lesson for number in numbers if number in EXERCISES}
    return [entry for entry in EXERCISES.values() if entry.lesson in lessons]


def checked(cell: Cell) -> set[str]:
    """The numbers of the exercises that a cell checks."""
    called = {number for name, number in cell.calls if name in ("check", "judge") and number in EXERCISES}
    return called | ({cell.part[1]} if cell.part[0] == "check" else set())


def answer_cells(cells: Sequence[Cell], entry: Exercise) -> list[int]:
    """The positions of the cells that hold the answer to an exercise, including one that is not valid Python."""
    name, own = entry.function, ("exercise", entry.number)
    start = re.compile(rf"(async )?def {name}\b|\b{name}\s*=")
    found = [
        at for at, c in enumerate(cells) if name in c.gives or (c.error and (c.part == own or start.search(c.source)))
    ]
    sure = [at for at in found if cells[at].part == own or re.search(rf"\bdef {name}\b", cells[at].source)]
    last = max((at for at, cell in enumerate(cells) if entry.number in checked(cell)), default=-1)
    # Another lesson may use the name for something else. What stands above the check, or uses the answer, as in
    # f = compile(f), still counts.
    return [at for at in found if not sure or at in sure or sure[0] < at < last or name in cells[at].now]


def check_cell(cells: Sequence[Cell], entry: Exercise) -> int:
    """The position of the last check of an exercise, or the number of cells where there is none."""
    return max((at for at, cell in enumerate(cells) if entry.number in checked(cell)), default=len(cells))


def may_matter(cells: Sequence[Cell], entry: Exercise, run: set[int], failed: set[int], message: str) -> bool:
    """Whether a cell that was not run could change the verdict on an exercise, as far as its names tell.

    run: the positions of the cells that were run, of which those in `failed` stopped with an error. A cell that came
    with the lesson does nothing that its names do not tell.
    """
    answers = answer_cells(cells, entry)
    rests_on = needed(cells, answers)
    modules = frozenset().union(*(cell.imports for cell in cells))
    names = set().union(*(cells[at].now | cells[at].later for at in (*answers, *rests_on)))
    names |= set().union(*(cells[at].gives for at in rests_on))
    names |= set(re.findall(r"name '(\w+)' is not defined", message))
    names -= modules | KNOWN | {entry.function}
    hidden = any(cells[at].opaque for at in answers) or failed & rests_on or NO_FILE.search(message)
    return any(hidden or (names and cell.opaque) or names & cell.words for cell in _left(cells, run))


def may_answer(cells: Sequence[Cell], entry: Exercise, run: set[int]) -> bool:
    """Whether a cell that was not run, as `may_matter` has them, could itself give the answer to an exercise."""
    name = entry.function
    makers = frozenset().union(*(cells[at].gives for at in answer_cells(cells, entry))) - {name}
    return any(
        name in cell.gives or (cell.opaque and name in cell.words) or makers & cell.now for cell in _left(cells, run)
    )


def _left(cells: Sequence[Cell], run: set[int]) -> list[Cell]:
    return [
        cell for at, cell in enumerate(cells) if at not in run and not (cell.error or cell.of_lesson or checked(cell))
    ]
