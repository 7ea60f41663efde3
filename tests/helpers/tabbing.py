"""A page of the browser tab, under its own policy: no string of JavaScript is evaluated in it, so a test asks again."""

import time

from driving import Player

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
LYING = {"viewport": {"width": 740, "height": 360}, "is_mobile": True, "has_touch": True}
TABLET = {"viewport": {"width": 820, "height": 1180}}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}

# what stands out of its parent or of the page, what lies on something else, and what is too small; in an element, or
# on the whole page. A map is cut off by its ground, and its marks lie on it.
MISPLACED = """(root) => {
  const box = e => e.getBoundingClientRect();
  const hidden = ".heard, .skip, .skip *, option, .fool style, [hidden]";
  const within = root || document.body;
  const all = [within, ...within.querySelectorAll("*")].filter(e => e.checkVisibility() && box(e).width > 1
    && !e.closest(hidden) && getComputedStyle(e).display !== "contents");
  const name = e => `${e.tagName}.${e.getAttribute("class") || ""} ${e.textContent.trim().slice(0, 30)}`;
  const around = e => { let one = e.parentElement;
    while (getComputedStyle(one).display === "contents") one = one.parentElement; return one; };
  const found = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(`the page is ${wide} wide`);
  const isLoose = e => e === document.body || e.closest(".search > :is(ul, .none), .ground > *, .scale > span");
  for (const e of all.filter(e => !isLoose(e))) {
    const [mine, outer] = [box(e), box(around(e))];
    const inside = [mine.left - outer.left, outer.right - mine.right, mine.top - outer.top, outer.bottom - mine.bottom];
    if (Math.min(...inside) < -1) found.push(`${name(e)} leaves ${name(around(e))}`);
  }
  const isLeaf = e => !e.matches(".ground figure > *, .ground canvas, .spot, .cross, .cursor")
    && (e.matches("select, text") || (!e.children.length && getComputedStyle(e).display !== "inline"));
  const leaves = all.filter(isLeaf).map(e => [e, box(e)]);
  leaves.forEach(([one, a], k) => leaves.slice(k + 1).forEach(([other, b]) => {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) found.push(`${name(one)} lies on ${name(other)}`);
  }));
  return found;
}"""
SMALL_TEXT = """() => [...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && !e.closest(".heard")
    && ([...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.matches("input, select"))
    && parseFloat(getComputedStyle(e).fontSize) < 16).map(e => `${e.tagName} ${e.textContent.slice(0, 30)}`)"""
SMALL_TARGETS = """() => [...document.querySelectorAll("button, select, input, summary, header a, [role=option]")]
    .filter(e => e.checkVisibility()).map(e => [e, e.getBoundingClientRect()])
    .filter(([, { width, height }]) => width < 44 || height < 44)
    .map(([e, { width, height }]) => `${e.tagName} ${e.textContent.slice(0, 30)}: ${width} x ${height}`)"""


def wait(page, function, argument=None, seconds=120):
    """Wait until a function, in JavaScript, is true."""
    end = time.monotonic() + seconds
    while not page.evaluate(function, argument):
        if time.monotonic() > end:
            raise TimeoutError(function)
        page.wait_for_timeout(50)


class Fool(Player):
    """The player of fool.html."""

    def wait(self, condition):
        wait(self.page, f"root => {condition}", self.root.element_handle())

    def choose_target(self, name):
        self.root.get_by_role("combobox", name="target").fill(name)
        self.root.get_by_role("listbox").get_by_role("option", name=name, exact=True).click()
        self.until(f"s.settings.target === {name!r}")

    def play(self):
        """Press play, and wait until it has stopped at the target and judged the PNG."""
        self.root.get_by_role("button", name="play").click()
        return self.until("!s.playing && s.saved && s.saved.index === s.index && s.probability > 0.99")

    def save(self, path):
        """Save what is shown as a file in a folder, under the name that it gets."""
        with self.page.expect_download() as download:
            self.button("save as PNG").click()
        path = path / download.value.suggested_filename
        download.value.save_as(path)
        return path


def opened(page, address="fool.html"):
    """The player of a page, once its network has answered."""
    page.goto(address)
    page.locator(".fool.player[data-drawn]").wait_for()
    return Fool(page)
