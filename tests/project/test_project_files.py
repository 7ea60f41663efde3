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

from notebook_rules import MACHINE_PATH, readable_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARY = ROOT / "fooling_utils"
CORE = ["models", "images", "objectives", "constraints", "steps", "optimize", "fourier", "views", "attacks"]
FRONT = ["figures", "widgets", "lecture", "checks", "grading", "make_data"]  # make_data is a command: nothing calls it
CORE_LINES = 1120
LIBRARY_LINES = 4350  # without what draws and serves pages, and without the checks of the exercises
CHECKS, CHECK_LINES = ["checks", "grading"], 1600
PAGES = ["widgets", "lecture"]
PAGE_LINES, SCRIPT_LINES = 2400, 2400
COMMANDS = ["python -m pip install -r requirements.txt -e .", "python -m pytest"]
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
    assert ">=" in requirement
    assert len(reason) > 10


def test_pyproject_reads_the_requirements():
    project = tomllib.loads(read("pyproject.toml"))
    assert "dependencies" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}


def test_the_installed_package_asks_for_the_same_list():
    asked = [Requirement(text) for text in importlib.metadata.requires("fooling-utils")]
    assert {str(requirement) for requirement in asked if requirement.marker is None} == requirements()


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


def sources(module):
    """Return the files of a module, which may be a folder."""
    return [path for path in [LIBRARY / f"{module}.py", *(LIBRARY / module).rglob("*.py")] if path.exists()]


def line_count(paths):
    """Return the number of lines that are not blank, docstrings and comments included."""
    return sum(bool(line.strip()) for path in paths for line in path.read_text(encoding="utf-8").splitlines())


def test_the_core_is_short():
    assert line_count(path for module in CORE for path in sources(module)) <= CORE_LINES


def test_the_library_is_short():
    pages = {path for module in PAGES for path in sources(module)}
    checks = {path for module in CHECKS for path in sources(module)}
    assert line_count(set(LIBRARY.rglob("*.py")) - pages - checks) <= LIBRARY_LINES
    assert line_count(pages) <= PAGE_LINES
    assert line_count(checks) <= CHECK_LINES
    assert line_count(path for module in PAGES for path in (LIBRARY / module).rglob("*.js")) <= SCRIPT_LINES


def imported_modules(source):
    """Return the names of the library's modules, and of functions in it, that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fooling_utils."))
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").removeprefix("fooling_utils").removeprefix(".")
            if not node.level and not (node.module or "").startswith("fooling_utils"):
                continue
            found.update([module.split(".")[0]] if module else [alias.name for alias in node.names])
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import fooling_utils.figures",
        "import fooling_utils.figures as f",
        "from fooling_utils import models, figures",
        "from fooling_utils.figures import triptych",
        "def later():\n    from . import figures",
        "from .figures import triptych",
        "from ..figures import triptych",
    ],
)
def test_imported_modules_finds(source):
    assert "figures" in imported_modules(source)


def test_imported_modules_ignores_others():
    assert imported_modules("import figures\nfrom matplotlib import figures\nfrom .images import figures") == {"images"}


def test_only_the_front_knows_the_front():
    front = {path for module in FRONT for path in sources(module)} | {LIBRARY / "__init__.py"}
    inner = set(LIBRARY.rglob("*.py")) - front
    wrong = {path.name for path in inner if imported_modules(path.read_text(encoding="utf-8")) & set(FRONT)}
    assert wrong == set()
