"""What an import brings along, in a new interpreter: a server or a grader without torch, a picture without its room."""

import ast
import importlib
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest
from test_project_files import imported, modules

import fooling_utils

DOORS = ["fooling_utils", "fooling_utils.checks", "fooling_utils.widgets"]
# Processes that live beside kernels: each would keep half a gigabyte for nothing.
WITHOUT_TORCH = {
    "the library": "import fooling_utils",
    "the lecture": "import fooling_utils.lecture",
    "its server": "import fooling_utils.lecture.server",
    "a code for phones": "from fooling_utils.lecture import phones; phones.link('http://a/', picture='cat')",
    "the server for phones": "import fooling_utils.web.serve",
    "the build's command": "import fooling_utils.web",
    "the grader": "import fooling_utils.checks.grade",
}
FIRST_PICTURE = """
from fooling_utils import load_image, load_model, optimize_pixels, toward
model = load_model(device="cpu")
next(optimize_pixels(model, load_image("school_bus", device="cpu"), toward("ostrich"))).probability("ostrich")
"""
NOT_FOR_A_PICTURE = {"torchvision", "timm", "pandas", "matplotlib", "scipy", "skimage", "sklearn", "ipywidgets"}
ANY_ORDER = """
import importlib, sys
for name in {names}:
    for known in [known for known in sys.modules if known.partition(".")[0] == "fooling_utils"]:
        del sys.modules[known]
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.startswith("fooling_utils"):
            raise
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def loaded(code):
    """Return the names of the packages that are there after some code."""
    return set(run(f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})").split())


@pytest.mark.parametrize("process", WITHOUT_TORCH)
def test_what_computes_nothing_does_not_import_torch(process):
    assert loaded(WITHOUT_TORCH[process]) & {"torch", "matplotlib", "pandas"} == set()


def test_the_first_picture_needs_the_network_alone():
    found = loaded(FIRST_PICTURE)
    assert "torch" in found
    assert found & NOT_FOR_A_PICTURE == set()


def test_torch_is_noticed():
    assert loaded("import torch") >= {"torch", "numpy"}


def test_every_module_can_be_the_first():
    names = [f"fooling_utils.{name}".rstrip(".") for name in modules()]
    assert len(names) > 60
    run(ANY_ORDER.format(names=names))


# ------------------------------------------------------------------------------------------------------- the doors


@pytest.mark.parametrize("name", DOORS)
def test_a_door_offers_what_its_stub_says(name):
    door = importlib.import_module(name)
    tree = ast.parse(Path(door.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    (listed,) = (ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    assert sorted(listed) == sorted(door.__all__)
    assert set(door.__all__) <= set(dir(door))
    space = {}
    exec(f"from {name} import *", space)
    for key in listed:
        assert getattr(door, key) is space[key]


@pytest.mark.parametrize("name", DOORS)
def test_help_knows_the_names_of_a_door(name):
    text = pydoc.plain(pydoc.render_doc(importlib.import_module(name)))
    assert all(key in text for key in importlib.import_module(name).__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="load_modle"):
        fooling_utils.load_modle  # noqa: B018
    with pytest.raises(ImportError, match="load_modle"):
        from fooling_utils import load_modle  # noqa: F401


@pytest.mark.parametrize("module", sorted(set(modules()) - {""}))
def test_the_library_does_not_import_through_its_own_door(module):
    path = modules()[module]
    found = imported(path.read_text(encoding="utf-8"), module, door=path.stem in ("__init__", "__main__"))
    assert "" not in found  # a cycle would be hidden there, until a name is used
