"""Where no browser is found, one line of the summary says which tests were skipped, and how to get them."""

import os
import subprocess
import sys

from test_project_files import ROOT


def test_the_summary_says_what_was_skipped_for_want_of_a_browser(tmp_path):
    nowhere = {"PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/widgets/test_browser_player.py"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True)
    said = [line for line in run.stdout.splitlines() if "for want of a browser" in line]
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(said) == 1
    count, _, text = said[0].partition(" ")
    assert int(count) >= 1
    assert "tests/widgets/test_browser_player.py" in text
    assert 'pip install -e ".[dev]" && python -m playwright install' in text
