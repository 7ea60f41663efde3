"""nbgrader itself, from the solved notebook to the feedback, where it is installed: python -m pip install nbgrader."""

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: python -m pip install nbgrader")

import nbgrader_run


def test_nbgrader_gives_the_points_that_the_checks_give():
    assert nbgrader_run.main(["00"]) == 0
