"""How `python -m pytest -n auto` shares the tests out: a worker for each core, as far as the memory goes."""

import contextlib
import os
from pathlib import Path

import psutil
from xdist.scheduler import LoadFileScheduling

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
MEMORY = 4 * 2**30  # bytes: the lecture's kernels take 6 GB, and any other test at most 3
BROWSERS = ("tests/lecture/", "tests/web/", "tests/widgets/test_browser_")


def pytest_xdist_auto_num_workers(config):
    """None for what is named on the command line (files, tests, -k) or watched (-s): that runs in this process."""
    asked = config.option
    if asked.keyword or asked.capture == "no" or not all(Path(one).is_dir() for one in asked.file_or_dir):
        return 0
    workers = min(CORES, int(psutil.virtual_memory().available / MEMORY))
    return workers if workers > 1 else 0


def pytest_xdist_setupnodes(specs):
    """What must be done before there are workers.

    Each gets its share of the cores before it loads torch: threads that wait for each other take ten times as long.
    The pages' libraries are installed once, since npm empties their folder first.
    """
    os.environ["OMP_NUM_THREADS"] = str(max(1, CORES // len(specs)))  # over what tests/conftest.py says for one process
    from fooling_utils import web  # not above, where tests/conftest.py has not said yet that there is no GPU

    with contextlib.suppress(web.Missing):
        web.libraries()


class ByFile(LoadFileScheduling):
    """A worker runs whole files, as lessons need it; on few cores, one runs all pages: two are too slow at once."""

    def _split_scope(self, nodeid):
        room = next(filter(nodeid.startswith, BROWSERS), None)
        if room is None:
            return nodeid.split("::", 1)[0]
        return room if CORES >= 4 else "browsers"


def pytest_xdist_make_scheduler(config, log):
    """Instead of the one of --dist."""
    return ByFile(config, log)
