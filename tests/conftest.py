"""What several tests share. Everything runs on the CPU, so that the numbers are the same with and without a GPU."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # before torch looks for a GPU
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
import torch

os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # no giving way: the same bits whatever runs

from hypothesis import settings

from accessible import NO_AXE, axe  # noqa: F401  a fixture for every test
from browsing import NO_BROWSER
from fooling_utils import Classifier, load_image, load_model
from nets import ConvNorm, linear, random_linear

# the same examples in every run, and no limit on the time of one, which depends on what else the machine does
settings.register_profile("course", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("course")


WANTED = {  # by the reason of a test that is skipped: what is missing, and how to get it
    NO_BROWSER: (
        "a browser",
        'python -m pip install -e ".[dev]" && python -m playwright install --with-deps chromium',
    ),
    NO_AXE: ("axe-core", "npm, which comes with Node.js, fetches it: https://nodejs.org"),
}


def pytest_terminal_summary(terminalreporter):
    """Say in one line each which tests had no browser, or no axe-core, and how to get it."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason, (missing, remedy) in WANTED.items():
        reports = [report for report in skipped if reason in str(report.longrepr)]
        if reports:
            files = ", ".join(sorted({report.nodeid.partition("::")[0] for report in reports}))
            terminalreporter.write_line(
                f"{len(reports)} tests were skipped for want of {missing} ({files}): {remedy}", yellow=True
            )


@pytest.fixture(scope="session")
def model():
    """The network of the course."""
    return load_model()


@pytest.fixture(scope="session")
def coffee():
    """A photograph that the network knows as an espresso."""
    return load_image("coffee")


@pytest.fixture(scope="session")
def three_classes():
    """A linear network with three classes on images (1, 3, 4, 4)."""
    return random_linear(3)


@pytest.fixture
def conv_net():
    """A network with the layers "first" and "second", on images (1, 3, 12, 12)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classifier(ConvNorm().eval(), input_shape=(3, 12, 12))


@pytest.fixture
def plane():
    """Two classes on the plane, divided by the first coordinate, without bounds."""
    return linear(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), shape=(2,), bounds=None)
