"""The command that makes what is stored: a long evolution goes on where it stopped; the stored one is its result."""

import numpy as np
import pytest
import torch

from fooling_utils import data, direct, evolve, last, load_archive
from fooling_utils.data import make
from nets import SHAPE, random_linear


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "CHAMPIONS", tmp_path / "champions.npz")
    monkeypatch.setattr(make, "CHAMPIONS_CURVE", tmp_path / "champions_curve.csv")
    monkeypatch.setattr(make, "load_model", lambda device: random_linear(3))
    monkeypatch.setattr(make, "cppn", lambda: direct(SHAPE))
    return tmp_path


def after(evaluations, folder, monkeypatch):
    monkeypatch.setattr(make, "CHAMPION_EVALUATIONS", evaluations)
    make.champions()
    return load_archive(folder / "champions.npz"), (folder / "champions_curve.csv").read_text().splitlines()


def test_a_long_evolution_begins_from_nothing_and_goes_on_where_it_stopped(small, monkeypatch):
    _, curve = after(4000, small, monkeypatch)
    assert [line.split(",")[:2] for line in curve] == [["wall", "4000"]]
    resumed, curve = after(8000, small, monkeypatch)
    assert [line.split(",")[:2] for line in curve] == [["wall", "4000"], ["wall", "8000"]]
    assert after(8000, small, monkeypatch)[1] == curve  # it is there already

    at_once = last(evolve(random_linear(3), direct(SHAPE), generations=500))
    assert torch.equal(at_once.confidence, resumed.confidence) and at_once.evaluations == 8000


def test_the_stored_curve_ends_at_the_stored_champions():
    archive, curves = load_archive(data.path("champions")), data.read("champions_curve")
    runs = {name: rows.drop(columns="run") for name, rows in curves.groupby("run")}
    end, confidence = runs["wall"].iloc[-1], archive.confidence
    assert end["evaluations"] == archive.evaluations
    assert np.allclose([end["median"], end["mean"]], [confidence.median(), confidence.mean()], atol=1e-4)
    assert end[["50 %", "90 %", "99 %"]].tolist() == [(confidence >= share).sum() for share in (0.5, 0.9, 0.99)]
    for rows in runs.values():
        assert (rows.diff().iloc[1:] >= 0).all(axis=None) and rows["evaluations"].is_unique
