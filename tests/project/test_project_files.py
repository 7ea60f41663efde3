"""What must stay true of the project's files: one list of requirements, the documented commands, sizes, imports."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

from notebook_rules import MACHINE_PATH, TIME, readable_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARY = ROOT / "fooling_utils"
# Who may import whom: a module sees those on the lines above its own, and its neighbours in its room. The longest name
# that fits a module counts, so `networks.small` stands after the rest of `networks`.
FLOORS = [
    ["arguments"],
    ["files"],
    ["images"],
    ["data"],
    ["steps", "constraints", "objectives", "views", "fourier", "starts", "networks"],
    ["models"],
    ["optimize"],
    ["networks.small", "attacks", "evolution", "regions"],
    ["figures", "defences"],
    ["lessons"],
    ["widgets", "checks"],
    ["web"],
    ["lecture", "data.make", "data.drawings"],
]
ROOT_FILES = 14
INSTALL = 'python -m pip install -r requirements.txt -e ".[dev]"'
COMMANDS = [INSTALL, "python -m pytest"]
REGISTRY = re.compile(r"pypi\.org|files\.pythonhosted\.org|deb\.debian\.org|registry\.npmjs\.org")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirement_lines():
    return [line for line in read("requirements.txt").splitlines() if line and not line.startswith("#")]


def requirements():
    return {str(Requirement(line.partition(" #")[0].strip())) for line in requirement_lines()}


# -------------------------------------------------------------------------------------------------- requirements


@pytest.mark.parametrize("line", requirement_lines())
def test_each_requirement_has_a_lower_bound_and_a_reason(line):
    requirement, _, reason = line.partition("  # ")
    assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement)
    assert len(reason) > 10


def test_pyproject_reads_the_requirements():
    project = tomllib.loads(read("pyproject.toml"))
    assert "dependencies" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}


def test_the_installed_package_asks_for_the_same_list():
    asked = [Requirement(text) for text in importlib.metadata.requires("fooling-utils")]
    assert {str(requirement) for requirement in asked if requirement.marker is None} == requirements()


def test_a_new_python_is_no_reason_to_stop():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert project["requires-python"] == ">=3.10"
    named = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    tested = {one["python"] for one in jobs["test"]["strategy"]["matrix"]["include"]}
    assert {named[0], named[-1]} <= tested <= set(named)


def test_the_first_command_of_readme_takes_the_small_build_where_no_gpu_is():
    first = next(line for line in read("README.md").splitlines() if line.startswith("python3 -m venv"))
    gpu, small = "nvidia-smi -L || ", "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu"
    assert first.index(gpu) < first.index(small) < first.index("pip install -r requirements.txt")
    assert f"({gpu}python -m {small} || true) && " in first


def test_environment_adds_nothing():
    environment = yaml.safe_load(read("environment.yml"))
    python, *rest = environment["dependencies"]
    assert set(environment) == {"name", "dependencies"}
    assert python.startswith("python=")
    assert rest == ["pip", {"pip": ["-r requirements.txt"]}]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/ci.yml"])
def test_everybody_runs_the_same_commands(name, command):
    assert command in read(name)


LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("name", ["README.md", "notebooks/INSTRUCTOR.md", "notebooks/00_start_here.ipynb"])
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.name)
def test_every_list_of_lessons_names_their_minutes(lesson, name):
    notebook = nbformat.read(lesson, as_version=4)
    named = TIME.search(notebook.cells[0].source)
    minutes = " | ".join(named[part] or "–" for part in ("core", "further", "exercises"))
    is_notebook = name.endswith(".ipynb")
    text = (
        "\n".join(cell.source for cell in nbformat.read(ROOT / name, as_version=4).cells) if is_notebook else read(name)
    )
    (row,) = re.findall(rf"(?m)^\| \[?{int(lesson.name[:2])} [A-Z].*\|$", text)
    assert row.endswith(f"| {minutes} |")
    assert lesson.name in row or ROOT / name == lesson


def test_readme_leads_to_the_pages_for_a_browser_tab():
    address = tomllib.loads(read("pyproject.toml"))["project"].get("urls", {}).get("Pages", "#in-a-browser-tab")
    assert f"]({address})" in read("README.md").partition("\n## ")[0]
    assert "\n## In a browser tab\n" in read("README.md")


@pytest.mark.parametrize("name", ["README.md", "notebooks/INSTRUCTOR.md"])
def test_the_exercises_are_counted(name):
    cells = [cell for lesson in LESSONS for cell in nbformat.read(lesson, as_version=4).cells]
    assert f", {sum(cell.id.startswith('exercise-') for cell in cells)} in all" in read(name)


# ------------------------------------------------------------------------------------------------------ every file


def tracked_files():
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []  # unpacked from an archive
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", tracked_files())
def test_no_file_names_a_machine(name):
    data = (ROOT / name).read_bytes()
    if b"\0" in data:
        return
    text = data.decode()
    if name.endswith(".ipynb"):
        text = "\n".join(text for _, text in readable_text(nbformat.reads(text, as_version=4)))
    if name == ".ci/run":
        text = "\n".join(line for line in text.splitlines() if "mktemp" not in line)
    assert [match[0] for match in MACHINE_PATH.finditer(text)] == []
    assert REGISTRY.findall(text) == []


def test_an_installed_package_has_every_file_of_the_library():
    patterns = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["package-data"]["fooling_utils"]
    inside = {str(path) for pattern in [*patterns, "**/*.py"] for path in LIBRARY.glob(pattern)}
    needed = [ROOT / name for name in tracked_files() if name.startswith("fooling_utils/")]
    assert [str(path) for path in needed if str(path) not in inside] == []


# ----------------------------------------------------------------------------------------------------- the library


def modules():
    """Return every module of the library, as {"attacks.gradient": its file}; the door of a room has the room's name."""
    found = {}
    for path in LIBRARY.rglob("*.py"):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] in ("__init__", "__main__") else parts)] = path
    return found


def floor(module):
    """Return the place of a module among the floors; ValueError where it has none."""
    named = [(name, place) for place, names in enumerate(FLOORS) for name in names]
    fitting = [(len(name), place) for name, place in named if f"{module}.".startswith(f"{name}.")]
    if not fitting:
        raise ValueError(f"{module} has no place: write it into FLOORS")
    return max(fitting)[1]


def imported(source, module, door=False):
    """Return the modules of the library that a source imports, wherever in it, but for the eyes of a type checker."""
    tree = ast.parse(source)
    hidden = {part for node in ast.walk(tree) if _is_for_types(node) for part in ast.walk(node)}
    found = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("fooling_utils")}
        elif isinstance(node, ast.ImportFrom):
            base = ["fooling_utils", *module.split(".")] if module else ["fooling_utils"]
            base = base[: len(base) - node.level + door] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            if start.split(".")[0] == "fooling_utils":
                known = modules()
                for name in node.names:
                    inner = f"{start}.{name.name}".removeprefix("fooling_utils.")
                    found.add(f"fooling_utils.{inner}" if inner in known else start)
    return {name.removeprefix("fooling_utils").removeprefix(".") for name in found}


def _is_for_types(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING"


def room(module):
    return module.partition(".")[0]


def wrong_imports(module, source, door=False):
    """Return what a module imports from a floor that is not below its own: the neighbours in a room may."""
    seen = imported(source, module, door) - {module, ""}
    beside = {name for name in seen if room(name) == room(module) and floor(name) == floor(module)}
    return sorted(name for name in seen - beside if floor(name) >= floor(module))


@pytest.mark.parametrize(
    ("source", "module", "found"),
    [
        ("import fooling_utils.figures", "images", {"figures"}),
        ("import fooling_utils.figures as f", "images", {"figures"}),
        ("from fooling_utils import models, figures", "images", {"models", "figures"}),
        ("from fooling_utils.figures import triptych", "images", {"figures"}),
        ("def later():\n    from . import figures", "images", {"figures"}),
        ("from .figures import triptych", "images", {"figures"}),
        ("from ..figures import triptych", "attacks.ddn", {"figures"}),
        ("from .. import data", "attacks.ddn", {"data"}),
        ("from ..networks import small", "attacks.ddn", {"networks.small"}),
        ("from .gradient import pgd", "attacks.ddn", {"attacks.gradient"}),
        ("import figures\nfrom matplotlib import figures\nfrom .images import figures", "models", {"images"}),
        ("if TYPE_CHECKING:\n    from .models import Classifier", "objectives", set()),
    ],
)
def test_imported_finds_what_is_imported(source, module, found):
    assert imported(source, module) == found


def test_the_door_of_a_room_looks_into_its_room():
    assert imported("from .gradient import pgd", "attacks", door=True) == {"attacks.gradient"}
    assert imported("from ..images import blank", "data", door=True) == {"images"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("images", "from .models import Classifier"),
        ("objectives", "from .steps import unit_vectors"),
        ("networks.folding", "from ..models import Classifier"),
        ("networks.pretrained", "from . import small"),
        ("attacks.gradient", "def later():\n    from .. import figures"),
        ("figures", "import fooling_utils.lessons.lesson1"),
        ("lessons.lesson1", "from ..widgets.kit import png"),
        ("checks.core", "from ..widgets import kit"),
        ("widgets.kit", "from ..data.make import TASKS"),
        ("lecture.server", "from ..data import make"),
    ],
)
def test_an_import_that_goes_up_is_found(module, source):
    assert wrong_imports(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("models", "from .networks.folding import prepare_for_speed"),
        ("networks.small", "from ..models import Classifier"),
        ("attacks.lbfgs", "from .minimum_norm import Found"),
        ("lessons.lesson1", "from .shared import squares"),
        ("data.make", "from ..lessons import lesson5"),
    ],
)
def test_an_import_that_goes_down_is_allowed(module, source):
    assert wrong_imports(module, source) == []


@pytest.mark.parametrize("module", sorted(set(modules()) - {""}))
def test_imports_run_one_way(module):
    path = modules()[module]
    assert wrong_imports(module, path.read_text(encoding="utf-8"), door=path.stem in ("__init__", "__main__")) == []


def test_nothing_imports_the_makers_of_the_stored_files():
    seen = {
        module: imported(path.read_text(encoding="utf-8"), module, door=path.stem == "__init__")
        for module, path in modules().items()
    }
    assert [module for module, names in seen.items() if "data.make" in names] == []


def test_the_root_shows_the_one_idea():
    assert len(list(LIBRARY.glob("*.py"))) <= ROOT_FILES


@pytest.mark.parametrize("door", sorted(LIBRARY.glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_a_room_has_a_sentence_at_its_door(door):
    assert ast.get_docstring(ast.parse(door.read_text(encoding="utf-8")))


def private_imports(source):
    """Return the private names that a source imports from another module."""
    imports = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    names = {alias.name for node in imports for alias in node.names}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def test_a_private_import_is_found():
    assert private_imports("from .figures import _draw, triptych\nfrom . import __version__") == {"_draw"}


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY)))
def test_no_module_imports_the_private_names_of_another(path):
    assert private_imports(path.read_text(encoding="utf-8")) == set()


def test_a_widget_has_one_name():
    folder = LIBRARY / "widgets"
    assert {path.stem for path in folder.glob("*.js")} <= {path.stem for path in folder.glob("*.py")}


LESSONS = sorted((ROOT / "notebooks").glob("0*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_imports_at_most_seven_modules_and_the_checks(path):
    cells = nbformat.read(path, as_version=4).cells
    source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    python = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source)
    assert 1 <= len(imported(python, "") - {"", "checks"}) <= 7
