"""What is stored is found by its name and read as what it is."""

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from fooling_utils import data, round_to_8bit
from fooling_utils.data import path, read

STORED = sorted(file for file in data.FOLDER.iterdir() if not file.name.startswith("_") and file.suffix != ".py")


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.name)
def test_every_stored_file_is_found_by_its_name_and_can_be_read(file):
    assert path(file.stem) == file
    kinds = {".csv": pd.DataFrame, ".json": (pd.DataFrame, pd.Series), ".png": Tensor, ".npz": dict}
    found = read(file.stem)
    assert isinstance(found, kinds[file.suffix])
    assert len(found)


def test_no_two_files_have_one_name():
    assert len({file.stem for file in STORED}) == len(STORED)


def test_what_is_not_stored_is_refused_with_a_list_of_what_is():
    for name in ("nothing", "patch.png", "../data/patch", "make", "__init__"):
        with pytest.raises(
            FileNotFoundError, match=f"nothing is stored as {name!r}: choose from .*champions, .*, universal"
        ):
            read(name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "x,name\n1,one\n2,two\n"), ("a.json", '[{"x": 1, "name": "one"}, {"x": 2, "name": "two"}]')],
)
def test_a_table_has_a_row_for_each_entry(folder, name, text):
    (folder / name).write_text(text)
    assert read("a").to_dict("records") == [{"x": 1, "name": "one"}, {"x": 2, "name": "two"}]


def test_a_table_of_one_row_is_a_series(folder):
    (folder / "a.json").write_text('{"steps": 7, "name": "L∞"}', encoding="utf-8")
    found = read("a")
    assert isinstance(found, pd.Series)
    assert (found.steps, found["name"]) == (7, "L∞")


def test_a_picture_is_an_image_on_the_8_bit_grid():
    image = read("patch")
    assert image.shape[:2] == (1, 3)
    assert (image == round_to_8bit(image)).all()


def test_arrays_come_by_name_and_nothing_is_unpickled(folder):
    np.savez(folder / "a.npz", ones=np.ones(3), text=np.array(["x"]))
    found = read("a")
    assert found["ones"].tolist() == [1, 1, 1] and found["text"].tolist() == ["x"]
    np.savez(folder / "b.npz", pickled=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read("b")
