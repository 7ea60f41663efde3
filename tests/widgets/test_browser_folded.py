"""What a lesson folds away: the answer to a prediction, until a click or a run, and the code that checks its claims."""

import nbformat
import pytest

from browsing import APPS, KERNEL_IS_THERE, SECONDS, chromium, served, write_notebook
from refresh_notebooks import FOLDED, clean, to_text


@pytest.mark.parametrize("app", APPS)
def test_an_answer_is_folded_until_a_click_or_a_run(app, tmp_path):
    file = tmp_path / "work/plane.ipynb"
    write_notebook(
        file, ["# How much is two and two?", "print('fo' + 'ur')", "print('again fo' + 'ur')", "assert True\n7"]
    )
    lesson = nbformat.read(file, as_version=4)
    for cell, text in zip(lesson.cells[1:3], ["four\n", "again four\n"], strict=True):
        cell.update(outputs=[nbformat.v4.new_output("stream", text=text)], metadata={"tags": ["predicted"]})
    lesson.cells[3].metadata["tags"] = ["claims"]
    file.write_text(to_text(clean(lesson)))
    with chromium() as browser, served(tmp_path, None, app) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60 * SECONDS)
        page.goto(address)
        page.wait_for_function(KERNEL_IS_THERE)
        clicked, run, claims = (page.locator(".jp-CodeCell").nth(place) for place in range(3))
        for cell in (clicked, run):
            cell.locator(".jp-OutputPlaceholder", has_text=FOLDED).wait_for()
        claims.locator(".jp-InputPlaceholder").wait_for()
        assert "7" not in claims.inner_text()

        clicked.locator(".jp-OutputPlaceholder").click()
        clicked.get_by_text("four").wait_for()
        run.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        run.locator(".jp-OutputArea-output", has_text="again four").wait_for()
        assert run.inner_text().count("again four") == 1
        assert FOLDED not in run.inner_text()
        assert claims.locator(".jp-InputPlaceholder").is_visible()
