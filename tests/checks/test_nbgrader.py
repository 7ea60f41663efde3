"""nbgrader itself, from the solved notebook to the feedback. The extra `dev` installs it, from Python 3.11 on."""

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader, which needs Python 3.11")

import nbgrader_run


def test_nbgrader_gives_the_points_that_the_checks_give():
    assert nbgrader_run.main(["00"]) == 0
