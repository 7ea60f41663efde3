"""Every widget as it looks in JupyterLab, on a laptop and on a phone, light and dark: its parts and its colours."""

import numpy as np
import pytest

from browsing import chromium, keep_shot, open_notebook, served
from driving import Widget
from looking import astray, middles, pixels, prefer_in

SIZES = {"laptop": (1280, 720), "hall": (1920, 1080), "phone": (390, 844)}
RED, GREEN, BLUE = COLOURS = (200, 40, 40), (40, 180, 60), (30, 60, 220)
NAMES = ["red robin", "flat-coated retriever", "blue whale"]
POINTS = [(x, y, k) for k, x in enumerate((-0.8, 0.0, 0.8)) for y in (-0.6, 0.4, 0.8)]
START = f"""
import torch
from fooling_utils import Classifier, cppn, widgets
from nets import ChannelMeans

def colour(levels):
    return (torch.tensor(levels) / 255)[None, :, None, None].expand(1, 3, 16, 16).contiguous()

model = Classifier(ChannelMeans(30.0).eval(), {NAMES}, (3, 16, 16))
red, green, blue = map(colour, {COLOURS})
"""
WALL = """
likes = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 60)).eval()
with torch.no_grad():
    likes[2].weight.copy_(60 * torch.rand(60, 3, generator=torch.Generator().manual_seed(0)))
    likes[2].bias.copy_(-likes[2].weight.square().sum(1) / 120)
many = Classifier(likes, [f"animal of the kind {k}" for k in range(60)], (3, 16, 16))
wall = widgets.ChampionsWall(many, cppn(16), second=many, population=16)
for _ in range(8):
    wall.generation()
wall
"""
CANVAS = f"""
canvas = widgets.PlaneCanvas("blobs")
places = torch.tensor({POINTS})
canvas.points = places[:, :2], places[:, 2].long()
canvas.step(300)
canvas
"""
MAKES = {
    "player": "widgets.FoolingPlayer(model, 'grey', 'blue whale', size=1)",
    "blink": "widgets.BlinkComparator(red, green, model=model)",
    "sizes": "widgets.EpsilonExplorer(model, red, 0.4 * (green - red), target='flat-coated retriever')",
    "priors": "widgets.PriorExplorer([red, green, blue], ['red', 'green', 'blue'], {'one': model, 'two': model})",
    "which": "widgets.GuessFirst.which('Which one is it?', [red, green, blue], 0, explanation='It is the first.')",
    "one of": "widgets.GuessFirst.one_of('Which animal?', ['cat', 'dog', 'frog'], 2, pictures=[blue])",
    "number": "widgets.GuessFirst.number('How much?', 0.1, 100, 10, unit='grey levels', log=True)",
    "wall": WALL,
    "explorer": "widgets.PlaneExplorer.through(model, red, green, blue, size=33)",
    "canvas": CANVAS,
}
CELLS = [f"{START if kind == 'player' else ''}{make}" for kind, make in MAKES.items()]
LIES_ON_A_MAP = ".spot, .mark, .region, .cross, canvas.marks"
SHOW = "(all, seen) => all.forEach(one => { one.style.opacity = seen; })"
FILL = """one => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d");
  pen.fillStyle = getComputedStyle(one).fill;
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
CLASS_COLOURS = "root => [...root.querySelectorAll('button svg')].map(one => one.getAttribute('fill'))"
WRITE = "(style, css) => { style.textContent = css; }"
SIZE = "canvas => [canvas.width, canvas.height]"


def use(page):
    """Every widget, by its kind, with something answered, marked or told."""
    found = {kind: Widget(page, ".fool", place) for place, kind in enumerate(MAKES)}
    player = found["player"].focus()
    player.press("ArrowRight", "ArrowRight", "n", "n", *["ArrowDown"] * 9)
    player.until("s.index === 2 && s.saved && s.saved.index === 2 && s.times === 1 && !s.control")
    found["blink"].button("answer").click()
    found["sizes"].focus().until("s.row && s.rows.length === s.sizes.length")
    for kind, name in (("which", "2 B"), ("one of", "2  dog"), ("number", "commit")):
        found[kind].button(name).click()
        found[kind].until("s.answer")
    found["wall"].focus().until("s.looked")
    found["explorer"].focus().until("s.done && s.seen")
    found["canvas"].focus().press("g")
    found["canvas"].until("s.result")
    return found


@pytest.fixture(scope="module")
def widgets(tmp_path_factory):
    """All of them in one notebook of JupyterLab, with the sidebar closed."""
    with chromium() as browser, served(tmp_path_factory.mktemp("looks"), CELLS) as address:
        page = open_notebook(browser, address, len(CELLS))
        page.keyboard.press("Control+b")
        yield use(page)


@pytest.fixture(scope="module", params=[(size, theme) for size in SIZES for theme in ("light", "dark")], ids="-".join)
def seen(request, widgets):
    """The same widgets in a size and a theme."""
    size, theme = request.param
    show(widgets, size, theme)
    for kind, widget in widgets.items():
        keep_shot(widget.root, f"{kind} {size} {theme}")
    return widgets


def show(widgets, size, theme):
    page = widgets["player"].page
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    prefer_in(page, theme)


def near(seen, expected, by=3):
    return np.abs(np.subtract(seen, expected)).max() <= by


# ------------------------------------------------------------------------------------------ the colours on the screen


def figures(widget):
    """The colour at the middle of each picture."""
    pictures = widget.root.locator("figure:not(.ground figure) canvas")
    return [colour for one in pictures.all() for colour in middles(one, one)]


def marks_have_their_colours(widget, svg, marks):
    svg, marks = widget.root.locator(svg), widget.root.locator(marks)
    assert marks.count() == 2
    for seen, mark in zip(middles(svg, marks), marks.all(), strict=True):
        assert near(seen, mark.evaluate(FILL), 9)  # a colour may let the paper through a little


def player(widget):
    original, change, result = figures(widget)
    assert near(original, [128] * 3)
    assert near(change, 127.5 + (result - original)) and result[2] > 140 > 125 > result[0]


def blink(widget):
    assert all(map(near, figures(widget), (RED, np.clip(127.5 + np.subtract(GREEN, RED), 0, 255))))


def sizes(widget):
    widget.focus().press("Home")
    widget.until("s.place === 0")
    assert all(near(one, RED) for one in figures(widget))
    marks_have_their_colours(widget, ".plot > svg", ".change .mark.chosen")


def priors(widget):
    for key, colour in zip(("End", "Home"), (BLUE, RED), strict=True):
        widget.focus().press(key)
        widget.until(f"s.place === {2 if key == 'End' else 0}")
        assert near(figures(widget)[0], colour)


def which(widget):
    assert all(map(near, figures(widget), COLOURS))


def one_of(widget):
    assert near(figures(widget)[0], BLUE)


def number(widget):
    marks_have_their_colours(widget, "svg", "svg :is(.true, .yours)")


def wall(widget):
    ground, state = widget.root.locator(".ground"), widget.state()
    columns, rows = (side // 18 for side in ground.locator("canvas").evaluate(SIZE))
    large = inner(pixels(widget.root.locator("figure canvas")))
    seen = pixels(ground)
    row, column = divmod(state["place"], columns)
    top, bottom = (len(seen) * k // rows for k in (row, row + 1))
    left, right = (seen.shape[1] * k // columns for k in (column, column + 1))
    assert near(inner(seen[top:bottom, left:right]), state["confidence"][state["place"]] * large, 6)


def inner(picture):
    """The mean colour, without the edges."""
    height, width = (side // 4 for side in picture.shape[:2])
    return picture[height:-height, width:-width].mean((0, 1))


def on_map(widget, places):
    """The colours of the map at places, in shares from its top left, without what lies on it."""
    marks = widget.root.locator(f".ground :is({LIES_ON_A_MAP})")
    marks.evaluate_all(SHOW, 0)
    seen = pixels(widget.root.locator(".ground"))
    marks.evaluate_all(SHOW, 1)
    return [at(seen, *place) for place in places]


def at(picture, x, y):
    return picture[int(y * len(picture)), int(x * picture.shape[1])]


def from_hex(colour):
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def explorer(widget):
    state = widget.state()
    legend = {one["label"]: from_hex(one["colour"]) for one in state["regions"]}
    at_marks = on_map(widget, [(one["x"], 1 - one["y"]) for one in state["marks"]])
    assert len(at_marks) == len({*map(str, legend.values())}) == 3
    assert all(near(seen, legend[name], 8) for seen, name in zip(at_marks, NAMES, strict=True))
    assert near(figures(widget)[-1], RED)


def canvas(widget):
    state = widget.state()
    places = [((x / state["zoom"] + 1) / 2, (1 - y / state["zoom"]) / 2) for x, y, _ in state["points"]]
    colours = [from_hex(one) for one in widget.root.evaluate(CLASS_COLOURS)]
    seen = pixels(widget.root.locator(".ground"))
    for place, (_, _, kind), region in zip(places, state["points"], on_map(widget, places), strict=True):
        assert near(at(seen, *place), colours[kind])
        faint = [255 - 0.72 * (255 - np.array(one)) for one in colours]
        assert np.argmin([np.abs(one - region).sum() for one in faint]) == kind


PROBES = dict(zip(MAKES, (player, blink, sizes, priors, which, one_of, number, wall, explorer, canvas), strict=True))


# ------------------------------------------------------------------------------------------------------------ the tests


@pytest.mark.parametrize("kind", MAKES)
def test_everything_lies_where_it_belongs(seen, kind):
    assert astray(seen[kind].root) == []


@pytest.mark.parametrize("kind", MAKES)
def test_the_colours_on_the_screen_are_those_that_were_given(seen, kind):
    PROBES[kind](seen[kind])


FAULTS = [
    ("explorer", ".ground figure { contain: layout style }", "does not fill its ground", True),  # it was so, once
    ("explorer", ".spot { transform: translate(0, 0) translateX(30px) }", "pixels from its place", False),
    ("canvas", ".ground .marks { width: 90% }", "does not fill its ground", True),
    ("wall", ".ground canvas { width: 80% }", "does not fill its ground", True),
    ("wall", ".cursor { margin: 1em }", "pixels from its place", False),
    ("blink", "figcaption { margin-top: -1.5em }", "lies on", False),
    ("which", "figure { width: 130% }", "leaves", False),
    ("player", "figure canvas { width: 60% }", "is askew", False),
    ("priors", ".bars .name::before { width: 100% }", "the bar of", False),
    ("sizes", ".plot svg text { font-size: 3em }", "lies on", False),
    ("one of", "canvas { filter: invert(1) }", None, True),
    ("which", ".choice { opacity: 0.5 }", None, True),
]


@pytest.mark.parametrize(("kind", "fault", "complaint", "in_colours"), FAULTS)
def test_a_planted_fault_is_found(widgets, kind, fault, complaint, in_colours):
    show(widgets, "laptop", "light")
    widget = widgets[kind]
    style = widget.root.locator("style").first
    before = style.text_content()
    style.evaluate(WRITE, f"{before}\n.fool.fool.fool.fool {fault}")
    try:
        found = astray(widget.root)
        assert not complaint or any(complaint in one for one in found), found
        if in_colours:
            with pytest.raises(AssertionError):
                PROBES[kind](widget)
    finally:
        style.evaluate(WRITE, before)
