"""What one sees of a widget: whether its parts lie where they belong, and the colours on the screen."""

import io

import numpy as np
from PIL import Image

from accessible import prefer
from tabbing import MISPLACED

# what is placed by its size is placed again once it is seen
SETTLE = "async () => { for (let k = 0; k < 4; k++) await new Promise(requestAnimationFrame); }"
DARK = "dark => document.body.dataset.jpThemeLight === String(!dark)"
# a map that does not fill its ground, a mark that is not at its coordinates, a picture that is not in the middle of its
# figure, a bar of another length than its share, and words that are longer than their box
ASTRAY = """(root) => {
  const box = e => e.getBoundingClientRect();
  const all = selector => [...root.querySelectorAll(selector)].filter(e => e.checkVisibility() && box(e).width);
  const name = e => `${e.tagName}.${e.getAttribute("class") || ""} ${e.textContent.trim().slice(0, 30)}`;
  const found = [];
  const inner = e => { const { left, top } = box(e);
    return { left: left + e.clientLeft, top: top + e.clientTop, width: e.clientWidth, height: e.clientHeight }; };
  for (const e of all(".ground canvas")) {
    const [mine, ground] = [box(e), inner(e.closest(".ground"))];
    const over = [ground.left - mine.left, mine.right - ground.left - ground.width,
      ground.top - mine.top, mine.bottom - ground.top - ground.height];
    const most = mine.width / e.width / 2 + 1; // half a place of the map
    if (Math.min(...over) < -1 || Math.max(...over) > most) found.push(`${name(e)} does not fill its ground: ${over}`);
  }
  const state = (root.explorer || root.wall || (() => null))();
  const ground = root.querySelector(".ground");
  const marked = [];
  if (root.explorer) {
    const isInside = ({ x, y }) => x >= 0 && x <= 1 && y >= 0 && y <= 1;
    const spots = state.marks.filter(isInside);
    if (spots.length !== all(".spot").length) found.push(`${all(".spot").length} spots, not ${spots.length}`);
    all(".spot").forEach((e, k) => marked.push([e, spots[k].x, 1 - spots[k].y]));
    marked.push([root.querySelector(".cross"), state.here.x, 1 - state.here.y]);
  }
  if (root.wall) {
    const canvas = root.querySelector(".ground canvas");
    const [columns, rows] = ["width", "height"].map(side => canvas[side] / (state[side] + 2));
    marked.push([root.querySelector(".cursor"), (state.place % columns + 0.5) / columns,
      (Math.floor(state.place / columns) + 0.5) / rows]);
  }
  for (const [e, x, y] of marked) {
    const [mine, { left, top, width, height }] = [box(e), inner(ground)];
    const off = [mine.left + mine.width / 2 - left - x * width, mine.top + mine.height / 2 - top - y * height];
    if (Math.max(...off.map(Math.abs)) > 1.5) found.push(`${name(e)} is ${off} pixels from its place`);
  }
  for (const e of all("figure canvas").filter(e => !e.closest(".ground"))) {
    const [mine, figure] = [box(e), box(e.closest("figure"))];
    const off = mine.left + mine.width / 2 - figure.left - figure.width / 2;
    if (Math.abs(off) > 1 || Math.abs(mine.width - mine.height) > 1) found.push(`${name(e)} is askew: ${off}`);
  }
  for (const e of all(".bars .name")) {
    const { left, width } = getComputedStyle(e, "::before");
    const due = (parseFloat(e.style.getPropertyValue("--share")) / 100) * e.clientWidth;
    const isRight = !parseFloat(left) && Math.abs(parseFloat(width) - due) <= 1;
    if (!isRight) found.push(`the bar of ${name(e)}: ${width}, not ${due}`);
  }
  for (const e of all("*").filter(e => !e.children.length && e.clientWidth && !e.matches("select, option, input"))) {
    const cut = getComputedStyle(e).overflowX !== "visible";
    if (!cut && e.scrollWidth > e.clientWidth + 1) found.push(`the words of ${name(e)} are wider than it is`);
  }
  return found;
}"""


def prefer_in(page, theme, **features):
    """Choose the theme of JupyterLab, "light" or "dark", as the reader's system does."""
    prefer(page, prefers_color_scheme=theme, **features)
    page.wait_for_function(DARK, arg=theme == "dark")


def astray(root):
    """What of a widget does not lie where it belongs."""
    root.scroll_into_view_if_needed()
    root.evaluate(SETTLE)
    return root.evaluate(MISPLACED) + root.evaluate(ASTRAY)


def pixels(element):
    """The colours (height, width, 3) of an element on the screen."""
    element.scroll_into_view_if_needed()
    element.evaluate(SETTLE)
    return np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("RGB")).astype(int)


def middles(ground, parts):
    """The colour on the screen at the middle of each of several parts of an element."""
    seen, box = pixels(ground), ground.bounding_box()
    for one in parts.all():
        part = one.bounding_box()
        x, y = (int(part[at] + part[side] / 2 - box[at]) for at, side in (("x", "width"), ("y", "height")))
        yield seen[y, x]


def contrast(one, other):
    """How strongly two colours, "rgb(r, g, b)", differ: 1 to 21. Source: WCAG 2.1."""
    dark, light = sorted(_luminance(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    values = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
