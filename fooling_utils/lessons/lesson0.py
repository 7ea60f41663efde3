"""Is this computer ready for the course? One line for each thing it needs, and how to get what is missing."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from ..arguments import instance, several, usable_device
from ..models import load_model
from ..networks.pretrained import BUNDLED
from ..networks.threads import share

NEEDED_GB = 2.5
CONTROL_GROUP = Path("/sys/fs/cgroup")


class Finding(NamedTuple):
    """What was examined, whether it will do, what was found, and what to do if it will not."""

    what: str
    ok: bool
    found: str
    advice: str = ""


def examine_machine() -> list[Finding]:
    """Examine everything that a lesson needs, without changing or downloading anything."""
    return [_python(), *map(_package, ("torch", "torchvision", "matplotlib", "ipywidgets")),
            _build(), _device(), _threads(), _memory(), *map(_weights, BUNDLED)]  # fmt: skip


def report(findings: list[Finding]) -> str:
    """The findings as text, one line each, with advice below whatever is missing."""
    several(findings=findings)
    lines = []
    for finding in findings:
        instance(Finding, **{"each of findings": finding})
        lines.append(f"{'ok     ' if finding.ok else 'MISSING'}  {finding.what:<22}{finding.found}")
        if not finding.ok:
            lines.append(f"         -> {finding.advice}")
    return "\n".join(lines)


def _python() -> Finding:
    ok = sys.version_info >= (3, 10)
    return Finding("Python", ok, platform.python_version(), "the course needs Python 3.10 or newer: see the README")


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", f"python -m pip install {name}, then restart the kernel")


def _device() -> Finding:
    device = usable_device()
    if device.type == "cuda":
        return Finding("computes on", True, f"GPU ({torch.cuda.get_device_name(device)})")
    return Finding("computes on", True, "CPU (no GPU is needed)")


def _build() -> Finding:
    if torch.version.cuda:
        return Finding("build of torch", True, f"for CUDA {torch.version.cuda} (the large one)")
    if torch.version.hip:
        return Finding("build of torch", True, f"for ROCm {torch.version.hip} (the large one)")
    unused = ", though there is an NVIDIA GPU: see the README" if shutil.which("nvidia-smi") else ""
    return Finding("build of torch", True, f"for the CPU (the small one){unused}")


def _threads() -> Finding:
    count, cores = torch.get_num_threads(), usable_cores()
    if count >= 2:
        return Finding("threads", True, str(count))
    if share.gives_way():
        return Finding("threads", True, f"{count}, while other programs need the cores")
    if cores < 2:  # as on a hub, where that is a student's share
        return Finding("threads", True, f"{count}, all that this computer gives: lessons take twice as long")
    if os.environ.get("OMP_NUM_THREADS") == "1":
        return Finding("threads", True, "1, as OMP_NUM_THREADS says: lessons take twice as long")
    return Finding("threads", False, str(count), "lessons will take twice as long: try torch.set_num_threads(2)")


def usable_cores() -> float:
    """The processor cores that this process may use at a time: a hub or a container may give it fewer than there are.

    A share of a core counts as a part of one.
    """
    try:
        cores = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        cores = float(os.cpu_count() or 1)
    return min([cores, *_quotas()])


def _quotas() -> Iterator[float]:
    # Linux's control groups, in both versions: a container sees its own at these places
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((CONTROL_GROUP / name).read_text() for name in files).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            pass


def _memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    return Finding("free memory", free >= NEEDED_GB, f"{free:.1f} GB", f"close programs until {NEEDED_GB} GB are free")


def _weights(name: str) -> Finding:
    try:
        parameters = sum(p.numel() for p in load_model(name, device="cpu", prepare=False).parameters())
    except (FileNotFoundError, ValueError) as error:
        return Finding(name, False, "no weights", str(error))
    return Finding(name, True, f"weights verified, {parameters / 1e6:.1f} million numbers")
