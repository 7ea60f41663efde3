"""The tests are shared out among as many workers as the machine has room for, which leave each other their cores."""

import importlib.util
import os
from types import SimpleNamespace

import pytest
import torch
from test_project_files import ROOT

from fooling_utils import web

GIB = 2**30


@pytest.fixture
def sharing(monkeypatch):
    """The conftest of the root, as on a machine with these cores and this free memory in bytes."""
    spec = importlib.util.spec_from_file_location("sharing", ROOT / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def on(cores=4, free=16 * GIB):
        monkeypatch.setattr(module, "CORES", cores)
        monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
        return module

    return on


def asked(*paths, keyword="", capture="fd"):
    """What pytest keeps of a command line."""
    return SimpleNamespace(option=SimpleNamespace(file_or_dir=list(paths), keyword=keyword, capture=capture))


@pytest.mark.parametrize(
    ("cores", "gib", "workers"), [(2, 16, 2), (2, 7, 0), (2, 9, 2), (1, 16, 0), (16, 15, 3), (16, 70, 16)]
)
def test_a_machine_gets_as_many_workers_as_it_has_room_for(sharing, cores, gib, workers):
    assert sharing(cores, gib * GIB).pytest_xdist_auto_num_workers(asked()) == workers


@pytest.mark.parametrize(
    ("config", "workers"),
    [
        (asked(str(ROOT / "tests")), 4),
        (asked(str(ROOT / "tests"), str(ROOT / "notebooks")), 4),
        (asked(str(ROOT / "tests/test_steps.py")), 0),
        (asked(str(ROOT / "tests"), str(ROOT / "tests/test_steps.py") + "::test_one"), 0),
        (asked(keyword="one"), 0),
        (asked(capture="no"), 0),
    ],
)
def test_what_is_named_or_watched_runs_in_one_process(sharing, config, workers):
    assert sharing().pytest_xdist_auto_num_workers(config) == workers


@pytest.mark.parametrize(("cores", "workers", "threads"), [(2, 2, "1"), (16, 2, "8"), (2, 4, "1")])
def test_workers_share_the_cores(sharing, monkeypatch, cores, workers, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", "16")  # as tests/conftest.py has set it
    installed = []
    monkeypatch.setattr(web, "libraries", lambda: installed.append(1))
    sharing(cores).pytest_xdist_setupnodes(range(workers))
    assert installed == [1]
    assert os.environ["OMP_NUM_THREADS"] == threads


def test_a_worker_keeps_to_its_cores(sharing):
    workers, cores = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)), os.cpu_count()
    assert torch.get_num_threads() * workers <= max(cores, workers)


@pytest.mark.parametrize(
    ("test", "on_two", "on_four"),
    [
        ("tests/lecture/test_stage.py::test_one[a::b]", "browsers", "tests/lecture/"),
        ("tests/web/test_book.py::test_one", "browsers", "tests/web/"),
        ("tests/widgets/test_browser_wall.py::test_one", "browsers", "tests/widgets/test_browser_"),
        ("tests/widgets/test_kit.py::test_one", "tests/widgets/test_kit.py", "tests/widgets/test_kit.py"),
        ("notebooks/lecture/00_a.ipynb::Cell 0", "notebooks/lecture/00_a.ipynb", "notebooks/lecture/00_a.ipynb"),
    ],
)
def test_a_file_stays_together_and_on_few_cores_everything_in_a_browser(sharing, test, on_two, on_four):
    for cores, unit in ((2, on_two), (4, on_four)):
        assert sharing(cores).ByFile._split_scope(None, test) == unit
