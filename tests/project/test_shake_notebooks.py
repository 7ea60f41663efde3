"""The command that looks for claims that hang on the last digits: it finds planted ones, and only those."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

import shake_notebooks

LESSON = """
import torch
from torch import nn
from fooling_utils import Classifier

weights = torch.ones(2, 2, requires_grad=True)
torch.optim.SGD([weights], lr=0.0).step()
model = Classifier(nn.Flatten().eval(), input_shape=(1, 2, 2))
image = torch.ones(1, 1, 2, 2, requires_grad=True)
logits = model(image)
gradient, = torch.autograd.grad(logits.sum(), image)
"""
CLAIMS = """
assert (logits - 1).abs().max() < 1e-5
assert (logits == 1).all()
assert (gradient == 1).all()
assert (gradient - 1).abs().max() < 1e-5
for weight in weights.flatten():
    assert weight == 1
for weight in weights.flatten():
    assert abs(weight - 1) < 1e-5
"""


def test_only_claims_about_last_digits_are_printed_and_the_file_stays(tmp_path):
    tags = {"tags": ["claims"]}
    notebook = new_notebook(cells=[new_code_cell(LESSON), new_code_cell(CLAIMS, metadata=tags)])
    path = tmp_path / "lesson.ipynb"
    nbformat.write(notebook, path)
    before = path.read_bytes()

    failing = shake_notebooks.failing_claims(path, seed=0)

    assert failing == [
        "assert (logits == 1).all()",
        "assert (gradient == 1).all()",
        "for weight in weights.flatten():",
        "    assert weight == 1",
    ]
    assert path.read_bytes() == before


def test_a_cell_that_fails_is_told_of(tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), tmp_path / "lesson.ipynb")
    (failing,) = shake_notebooks.failing_claims(tmp_path / "lesson.ipynb", seed=0)
    assert failing == "a cell failed: ZeroDivisionError: division by zero"


def test_claims_hold_one_by_one_without_printing(capsys):
    claims = "total = 3\nassert total == 4\nassert total == 3\ntotal += 1\nassert total > 4"
    exec(shake_notebooks.one_by_one(claims), names := {})
    assert capsys.readouterr().out.splitlines() == ["assert total == 4", "assert total > 4"] and names["total"] == 4
