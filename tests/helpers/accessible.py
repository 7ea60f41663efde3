"""axe-core, which finds what keeps people from using a page, and the settings of somebody who needs more contrast."""

import pytest

from fooling_utils.web import Missing, libraries

NO_AXE = "no axe-core to test with"  # begins the reason of each test that is skipped for it
FOUND = """async (root) => (await axe.run(root || document, { resultTypes: ["violations"], iframes: false,
  rules: { "label-content-name-mismatch": { enabled: true }, "target-size": { enabled: true } } })).violations
  .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))
"""


@pytest.fixture(scope="session")
def axe():
    """A function that says what axe-core finds on a page, or in the first element that the selector `root` finds."""
    try:
        source = (libraries() / "axe-core/axe.min.js").read_text(encoding="utf-8")
    except Missing as error:
        pytest.skip(f"{NO_AXE}: {error}"[:300])

    def violations(page, root=None):
        if not page.evaluate("'axe' in window"):
            page.evaluate(f"{source}; null")  # not axe itself, which takes seconds to send
        return page.evaluate(FOUND, root)

    return violations


def prefer(page, **features):
    """What the reader's system asks of a page, as prefer(page, forced_colors="active", prefers_contrast="more")."""
    asked = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    if not hasattr(page, "media"):
        page.media = page.context.new_cdp_session(page)
    page.media.send("Emulation.setEmulatedMedia", {"features": asked})
