"""What the tests of widgets share."""

import pytest

from asking import cell, nothing_kept  # noqa: F401  fixtures; the second for every test
from browsing import APPS, chromium, open_notebook, served


@pytest.fixture(scope="module", params=APPS)
def page(request, tmp_path_factory):
    """A notebook of the module's CELLS in a browser: the cells that show a widget, SHOWN or all, have run."""
    cells = request.module.CELLS
    with chromium() as browser, served(tmp_path_factory.mktemp(request.param), cells, request.param) as address:
        page = open_notebook(browser, address, getattr(request.module, "SHOWN", len(cells)))
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []
