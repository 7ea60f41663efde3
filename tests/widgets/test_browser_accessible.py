"""Every widget before axe-core, light and dark, and before readers whose system has colours or contrasts of its own."""

import numpy as np
import pytest

from driving import PLAYER, Player, Widget
from looking import pixels, prefer_in

CELLS = [
    PLAYER,
    "pictures = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).split(1)\n"
    "widgets.BlinkComparator(*pictures[:2], model=model, presets=[{'title': 'x 5', 'times': 5}])",
    "widgets.PriorExplorer(pictures, ['x', 'y', 'z'], {'one': model})",
    "widgets.EpsilonExplorer(model, pictures[0], 0.1 * pictures[1], target='green frog', own='red robin')",
    "widgets.GuessFirst('Which?', ['a', 'b'], 0)",
    "widgets.GuessFirst.which('Which picture?', list(pictures), 0, explanation='the first')",
    "widgets.GuessFirst.number('How much?', 0.1, 100, 10, unit='grey levels', log=True, explanation='ten')",
    "from fooling_utils import cppn\nwidgets.ChampionsWall(model, cppn(16), second=model)",
    "widgets.PlaneExplorer.through(model, *pictures, size=17)",
    "widgets.PlaneCanvas('moons')",
]
SYSTEMS = ["light", "dark"]
COLOUR = "one => getComputedStyle(one).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
FAINT = """root => [...root.querySelectorAll("*")].filter((one) => {
  const [ink, hint] = [getComputedStyle(one), getComputedStyle(one, "::placeholder")];
  const words = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) || one.placeholder;
  const clear = (colour) => !/rgba|\\//.test(colour);
  return words && one.checkVisibility() && !(ink.opacity === "1" && hint.opacity === "1" && clear(ink.color));
}).map((one) => one.outerHTML.slice(0, 100))"""


def use(page):
    """Leave every widget with something pressed, answered, marked or told; returns the widgets' elements."""
    player = Player(page)
    if not player.state().get("settings") or player.state()["settings"]["target"] != "green frog":
        player.root.get_by_role("combobox", name="target").fill("frog")
        player.press("Enter")
        player.until("s.settings.target === 'green frog'")
        player.focus().press("n")  # nothing to compare with, which it says
        assert "Nothing has changed yet" in player.problem()
        Widget(page, ".fool.blink").button("answer").click()
        for place, name in enumerate(["2 b", "2 B", "commit"]):
            guess = Widget(page, ".fool.guess", place)
            guess.button(name).click()
            guess.until("s.answer")
        Widget(page, ".fool.wall").focus().press("s")
        Widget(page, ".fool.wall").until("s.looked")
        Widget(page, ".fool.plane-explorer").until("!s.running && s.done")
    return [Widget(page, ".fool", place).root for place in range(len(CELLS))]


@pytest.mark.parametrize("theme", SYSTEMS)
def test_axe_finds_nothing(page, axe, theme):
    prefer_in(page, theme)
    for place, root in enumerate(use(page)):
        root.scroll_into_view_if_needed()
        root.evaluate("(root, name) => root.setAttribute('data-axe', name)", str(place))
        assert axe(page, f"[data-axe='{place}']") == []
    player = Player(page)
    target = player.root.get_by_role("combobox", name="target")
    for words in ("r", "no such thing"):
        target.fill(words)
        assert player.root.get_by_text('nothing is called "no such thing"').count() == (words != "r")
        assert axe(page, "[data-axe='0']") == []
    player.press("Escape")


@pytest.mark.parametrize("theme", SYSTEMS)
def test_with_forced_colours_marks_and_pressed_buttons_are_told_apart(page, theme):
    prefer_in(page, theme, forced_colors="active")
    use(page)
    own, target, other = (
        {tuple(colour) for colour in pixels(Player(page).root.locator(f".bars .{one}"))[-4, 5:40]}
        for one in ("own", "target", "name:not(.own, .target)")
    )
    assert len(own) == len(other) == 1 and len(target) > 1, "solid, and striped"
    assert own != other
    for widget in (".blink", ".plane", ".guess"):
        buttons = page.locator(f".fool{widget} button[aria-pressed]")
        buttons = [one for one in buttons.all() if one.is_visible()]
        shown = {one.get_attribute("aria-pressed"): pixels(one)[6, 6] for one in buttons}
        assert np.abs(shown["true"] - shown["false"]).max() > 60, widget


@pytest.mark.parametrize("theme", SYSTEMS)
def test_with_forced_colours_a_legend_keeps_its_own(page, theme):
    prefer_in(page, theme, forced_colors="active")
    use(page)
    for square in Widget(page, ".fool.plane-explorer").root.locator(".legend i").all():
        shown = pixels(square)
        assert shown[len(shown) // 2, len(shown) // 2].tolist() == square.evaluate(COLOUR)
    shapes = Widget(page, ".fool.plane").root.locator("button:visible svg").all()
    middles = [pixels(shape)[7, 7].tolist() for shape in shapes]
    assert middles == [[int(shape.get_attribute("fill")[k : k + 2], 16) for k in (1, 3, 5)] for shape in shapes]


@pytest.mark.parametrize("theme", SYSTEMS)
def test_with_more_contrast_no_ink_is_faint_and_lines_are_strong(page, theme):
    prefer_in(page, theme, prefers_contrast="more")
    for root in use(page):
        assert root.evaluate(FAINT) == []
        assert (
            root.evaluate("root => getComputedStyle(root).color")
            == {
                "light": "rgb(0, 0, 0)",
                "dark": "rgb(255, 255, 255)",
            }[theme]
        )
        borders = "buttons => buttons.map(one => parseFloat(getComputedStyle(one).borderTopWidth))"
        assert min(root.get_by_role("button").evaluate_all(borders) or [2]) >= 2
