"""Where no browser or no npm is found, one line of the summary says which tests were skipped, and how to get them."""

import os
import subprocess
import sys

from test_project_files import ROOT


def skipped_for(missing, tests, **environment):
    """How many tests the summary says were skipped for want of something, and the rest of its only line on that."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    said = [line for line in run.stdout.splitlines() if f"for want of {missing}" in line]
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(said) == 1
    count, _, text = said[0].partition(" ")
    return int(count), text


def test_the_summary_says_what_was_skipped_for_want_of_a_browser(tmp_path):
    test, nowhere = "tests/widgets/test_browser_player.py", str(tmp_path)
    count, text = skipped_for("a browser", [test], PATH=nowhere, PLAYWRIGHT_BROWSERS_PATH=nowhere)
    assert count >= 1
    assert test in text
    assert 'pip install -e ".[dev]" && python -m playwright install' in text


def test_the_summary_says_what_was_skipped_for_want_of_axe(tmp_path):
    (tmp_path / "nothing_installed.py").write_text(
        "from pathlib import Path\nfrom fooling_utils import web\nweb.HERE = Path(__file__).parent\n"
    )
    test, known = "tests/project/test_exported_pages.py", os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(filter(None, [str(tmp_path), known]))
    count, text = skipped_for(
        "axe-core", ["-p", "nothing_installed", test, "-k", "axe"], PATH=str(tmp_path), PYTHONPATH=paths
    )
    assert count == 7
    assert test in text
    assert "npm, which comes with Node.js, fetches it" in text
