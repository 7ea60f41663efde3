"""Cores shared with what else runs: torch's threads wait for each other, so one that finds no core holds up all."""

import math
import os
import time

import psutil
import torch

EVERY = 0.3  # seconds
MARGIN = 0.2  # of a core that must be free beyond what one more thread needs, so that the number does not flicker


class Share:
    """Keeps torch at as many threads as there are free cores, and never above the number that it has now.

    Two notebooks at once would otherwise be ten times slower, not twice: each waits, spinning, on a core that the
    other one needs. It does nothing where somebody else has chosen the number: by `OMP_NUM_THREADS` or
    `torch.set_num_threads`.
    """

    def __init__(self):
        self._most = self._threads = torch.get_num_threads()
        self._cores = psutil.cpu_count()
        self._fixed = self._most == 1 or "OMP_NUM_THREADS" in os.environ
        self._since, self._others = self._clocks()

    def adjust(self) -> None:
        """Look what the other processes need, every 0.3 seconds, and give way or take the cores back."""
        if self._fixed or time.perf_counter() - self._since < EVERY:
            return
        now, others = self._clocks()
        busy = (others - self._others) / (now - self._since)
        self._since, self._others = now, others
        if torch.get_num_threads() == self._threads:
            self._threads = min(self._most, fitting(self._threads, self._cores - busy))
            torch.set_num_threads(self._threads)

    def gives_way(self) -> bool:
        """Whether it leaves cores to other processes now."""
        return torch.get_num_threads() == self._threads < self._most

    @staticmethod
    def _clocks() -> tuple[float, float]:
        """The time, and the seconds of processor time that other processes have had; "nice" ones give way to ours."""
        busy = psutil.cpu_times()
        return time.perf_counter(), busy.user + busy.system - time.process_time()


def fitting(threads: int, free: float) -> int:
    """How many threads to use with so many free cores, where there are `threads` now: at least one."""
    nearest = math.floor(free + 0.5)
    return max(1, nearest if nearest <= threads else max(threads, math.floor(free + 0.5 - MARGIN)))


share = Share()
