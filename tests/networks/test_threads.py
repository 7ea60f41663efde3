"""Torch's threads give way to other processes, and never to what somebody has chosen."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from fooling_utils.networks import threads
from fooling_utils.networks.threads import EVERY, Share, fitting


@pytest.mark.parametrize(
    ("now", "free", "expected"),
    [
        (2, 2.0, 2),
        (2, 1.6, 2),  # a browser beside it
        (2, 1.4, 1),
        (2, 0.1, 1),  # at least one
        (2, -3.0, 1),
        (1, 1.6, 1),  # does not flicker at the border
        (1, 1.8, 2),
        (8, 4.0, 4),
        (4, 8.0, 8),
    ],
)
def test_as_many_threads_as_free_cores(now, free, expected):
    assert fitting(now, free) == expected


@pytest.fixture
def machine(monkeypatch):
    """A machine with two cores, two threads and a clock, where `others` processes each use a core whenever it goes on.

    `wait` lets time pass; torch's number of threads is given back after the test.
    """
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    state = SimpleNamespace(time=100.0, ours=5.0, user=50.0, others=0)

    def wait(seconds):
        state.time += seconds
        state.ours += seconds  # of both threads together: it is always under way
        state.user += seconds * (1 + state.others)

    state.wait = wait
    clock = SimpleNamespace(perf_counter=lambda: state.time, process_time=lambda: state.ours)
    monkeypatch.setattr(threads, "time", clock)
    computer = SimpleNamespace(
        cpu_count=lambda: 2, cpu_times=lambda: SimpleNamespace(user=state.user, nice=9 * state.user, system=1.0)
    )
    monkeypatch.setattr(threads, "psutil", computer)
    torch.set_num_threads(2)
    yield state
    torch.set_num_threads(before)


def test_it_gives_way_to_another_process_and_takes_the_core_back(machine):
    share = Share()
    found = []
    for machine.others in (0, 1, 1, 3, 0):
        machine.wait(EVERY + 0.01)
        share.adjust()
        found.append(torch.get_num_threads())
    assert found == [2, 1, 1, 1, 2]


def test_it_looks_only_now_and_then(machine):
    share = Share()
    machine.others = 1
    machine.wait(EVERY / 2)
    share.adjust()
    assert torch.get_num_threads() == 2


def test_a_number_that_somebody_chose_stays(machine):
    share = Share()
    machine.others = 1
    torch.set_num_threads(3)
    machine.wait(1)
    share.adjust()
    assert torch.get_num_threads() == 3
    torch.set_num_threads(2)
    machine.wait(1)
    share.adjust()
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("chosen", [{"OMP_NUM_THREADS": "2"}, {}])
def test_the_network_looks_before_it_computes_unless_the_number_is_given(chosen):
    code = """
import psutil, torch
torch.set_num_threads(2)
psutil.cpu_count = lambda: 2
from fooling_utils import Classifier
from fooling_utils.networks import threads
threads.EVERY = -1
model = Classifier(torch.nn.Linear(2, 2).eval(), input_shape=(2,), bounds=None)
threads.Share._clocks = staticmethod(lambda times=iter(range(100)): (next(times), 1000.0 * next(times)))
model(torch.zeros(1, 2))
model(torch.zeros(1, 2))
print(torch.get_num_threads())
"""
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=inherited | chosen, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == (["2"] if chosen else ["1"])
