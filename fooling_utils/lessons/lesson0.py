"""Is this computer ready for the course? One line for each thing it needs, and how to get what is missing."""

import importlib.metadata
import platform
import shutil
import sys
from typing import NamedTuple

import torch

from ..arguments import instance, several, usable_device
from ..models import load_model
from ..networks.pretrained import BUNDLED

NEEDED_GB = 2.5


class Finding(NamedTuple):
    """What was examined, whether it will do, what was found, and what to do if it will not."""

    what: str
    ok: bool
    found: str
    advice: str = ""


def examine_machine() -> list[Finding]:
    """Examine everything that a lesson needs, without changing or downloading anything."""
    return [_python(), *map(_package, ("torch", "torchvision", "timm", "matplotlib", "ipywidgets")),
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
    count = torch.get_num_threads()
    return Finding("threads", count >= 2, str(count), "lessons will take twice as long: try torch.set_num_threads(2)")


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
