"""The lecture of INSTRUCTOR.md, walked through key by key in a browser: what its tables promise is on the screen."""

import time

import pytest

from browsing import SECONDS, chromium
from driving import STATE
from fooling_utils import lecture

pytest.importorskip("voila", reason="Voila is not installed: pip install -r requirements.txt")

from lecturing import KEYS, lecture_of, open_page, table

ANSWER, OUTCOME, MOST_PRESSES = 15 * SECONDS, 120 * SECONDS, 60
# What a promise can speak of: the widget of the scene, its state, all that can be read, and the bars by their class.
SEEN = """(promise) => {
  const now = [...document.querySelectorAll(".now")];
  const root = now.map((cell) => cell.querySelector(".fool")).find(Boolean);
  const s = STATE;
  const text = now.map((cell) => cell.innerText).join(" ");
  const lists = [...root.querySelectorAll(".bars")].filter((list) => list.checkVisibility());
  const names = (list) => [...lists[list].querySelectorAll(".name")];
  const share = (name) => parseFloat(name.style.getPropertyValue("--share"));
  const bar = (label, list = 0) => Math.max(0, ...names(list).filter((one) => one.textContent === label).map(share));
  const top = (list = 0) => names(list)[0].textContent;
  const preset = root.querySelector(".presets [aria-pressed=true]")?.textContent.slice(3);
  const caption = (figure) => root.querySelectorAll("figcaption")[figure].textContent;
  const guess = () => parseFloat(root.querySelector("output").textContent);
  const told = root.querySelector(".verdict")?.textContent || "";
  const corners = () => [[2, 2], [2, -3], [-3, 2], [-3, -3]].map(([x, y]) => { // the class with the nearest colour
    const canvas = root.querySelector(".ground canvas");
    const from = (at, size) => (at < 0 ? size + at : at);
    const at = [from(x, canvas.width), from(y, canvas.height)];
    const [r, g, b] = canvas.getContext("2d").getImageData(...at, 1, 1).data;
    const off = (one) => {
      const colour = one.querySelector("svg").getAttribute("fill");
      const sure = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16) * 0.72 + 255 * 0.28);
      return [r, g, b].reduce((sum, value, k) => sum + (value - sure[k]) ** 2, 0);
    };
    const classes = [...root.querySelectorAll("button")].filter((one) => one.querySelector("svg"));
    const best = classes.reduce((best, one) => (off(one) < off(best) ? one : best));
    return off(best) < CLOSE ? best.textContent : ""; // pale: it is not sure
  });
  try {
    return eval(promise);
  } catch (error) {
    if (error instanceof TypeError) return false; // a part that it names is not there yet
    throw error;
  }
}""".replace("STATE", STATE).replace("CLOSE", "4000")

PLAYS = "s.playing && s.index > 0"
BUS_IS_OSTRICH = "!s.playing && bar('ostrich') > 99 && s.index > 5 && s.index < 60"
ANSWERED = "told && text.includes('%s')"


def to_class(words):
    """The steps of a class that the room calls out: typed, chosen, and climbed to."""
    found = f"s.settings.target.split(/[ -]/).includes('{words}')"
    return [
        ("/", "document.activeElement.matches('[role=combobox]')", None),
        (words, f"text.includes('{words}')", None),
        ("Enter", f"{found} && s.index === 0 && caption(2).includes('{words}')", None),
        ("Space", PLAYS, f"!s.playing && {found} && bar(s.settings.target) > 99"),
    ]


def to_guess(first, far, second, back, answer):
    """The steps to a guess of a number, there and back, and to its answer."""
    end = {"Right": "guess() >= {}", "Left": "guess() <= {}"}
    return [
        (f"{first} ...", end[first].format(far), None),
        (f"{second} ...", end[second].format(back), None),
        ("Enter", ANSWERED % answer, None),
    ]


# For each row its page and scene, and for each of its keys what is seen at once, and what in the end.
LECTURE = [
    ("Targeted fooling", 1, [("2", "told.startsWith('✓') && text.includes('It is B: ostrich, 99 %')", None)]),
    (
        "Targeted fooling",
        2,
        [
            ("Right", "s.shown === 'B' && caption(0) === 'B'", None),
            ("Left", "s.shown === 'A' && caption(0) === 'A'", None),
            ("4", "s.playing && preset === 'blink slowly'", "s.shown === 'B'"),
            ("2", "s.times === 20 && caption(1).endsWith('× 20') && preset === 'change × 20'", None),
            ("3", "s.times === 200 && caption(1).endsWith('× 200') && preset === 'change × 200'", None),
            ("a", "/A: the original\\s+school bus 9/.test(text) && /B: original.*\\s+ostrich 99/.test(text)", None),
        ],
    ),
    (
        "Targeted fooling",
        3,
        [
            ("1", f"{PLAYS} && preset === 'bus → ostrich' && caption(0) === 'original: school bus'", None),
            ("Space", "!s.playing && s.index > 0 && bar('ostrich') < 99", None),
            ("Space", PLAYS, BUS_IS_OSTRICH),
            ("Space", "s.playing && s.index > 0 && bar('ostrich') < 50", BUS_IS_OSTRICH),
            ("r", "s.index === 0 && top() === 'school bus'", None),
            ("Right ...", "!s.playing && s.index === 3", None),
        ],
    ),
    ("Targeted fooling", 3, to_class("dog")),
    ("Targeted fooling", 4, to_guess("Right", 10, "Left", 1, "answer: 1")),
    (
        "Targeted fooling",
        5,
        [
            ("1", "preset === 'no change' && top(0) === 'school bus' && top(1) === 'school bus'", None),
            ("2", "preset === 'just enough' && top(0) === 'ostrich' && top(1) === 'school bus'", None),
            ("4", "preset === 'one grey level RMS' && top(0) === 'ostrich' && top(1) === 'school bus'", None),
            ("Right ...", "s.place === s.sizes.length - 1 && top(1) === 'school bus'", None),
        ],
    ),
    ("Defences", 2, [("Right", "bar('ostrich', 0) > 90 && top(1) === 'school bus'", None)]),
    ("Class visualization", 1, to_guess("Left", 10, "Right", 20, "13 of 100")),
    (
        "Class visualization",
        2,
        [("Right ...", "caption(0).startsWith('none') && top(0) === 'robin' && top(1) !== 'robin'", None)],
    ),
    ("Class visualization", 3, [("3", "told.startsWith('✗') && text.includes('A volcano')", None)]),
    ("Fooling from noise", 1, [("2", "told.startsWith('✓') && text.includes('5 to 26 %')", None)]),
    (
        "Fooling from noise",
        2,
        [("1", f"{PLAYS} && preset === 'noise → robin'", "!s.playing && bar('robin') > 99 && s.index < 100")],
    ),
    (
        "Fooling from noise",
        4,
        [
            ("1", "preset === 'most confident' && caption(0).startsWith(top()) && bar(top()) > 99", None),
            ("Right", "s.place === s.looked.place + 1", None),
            ("Down", "s.place > s.looked.place + 1", None),
            ("Enter", "s.place === s.looked.place && lists.length === 2", None),
            ("2", "preset === 'second agrees most' && caption(0).startsWith(top(0)) && bar(top(0), 1) > 95", None),
        ],
    ),
    (
        "Decision boundaries",
        1,
        [
            ("4", "s.preset === 'blobs' && text.includes('blobs')", None),
            ("5", "s.preset === 'moons'", None),
            ("6", "s.preset === 'rings'", None),
            ("7", "s.preset === 'spiral'", None),
            ("Space", "s.playing && s.steps > 0", "s.right > 0.95"),
            ("- ...", "s.zoom === 20", "corners().every((name) => name && !name.endsWith('nothing'))"),
            ("Space", "!s.playing", None),
        ],
    ),
    (
        "Decision boundaries",
        2,
        [
            ("3", "told.startsWith('✓')", None),
            ("Page Up", "s.zoom === 20 && !s.playing", None),
            ("0", "s.labels.length === 4 && text.includes('points of nothing, up to ±20')", None),
            ("Space", "s.playing && s.steps > 0", "corners().every((name) => name.endsWith('nothing'))"),
        ],
    ),
    (
        "Decision boundaries",
        3,
        [
            ("n", "/The shortest way from this \\w+ to \\w+: 0\\.04/.test(text)", None),
            ("2", "s.steps === 300", None),
            ("g", "/From here to robin/.test(text)", None),
        ],
    ),
    (
        "Decision boundaries",
        4,
        [
            ("1", "top() === 'school bus'", None),
            ("Right ...", "top() === 'ostrich' && /[01]\\.\\d across/.test(text)", None),
            ("Right ...", "top() === 'school bus' && /[67]\\.\\d across/.test(text)", None),
            ("Up ...", "/across, [67]\\.\\d up/.test(text) && top() === 'school bus'", None),
        ],
    ),
    ("Decision boundaries", 5, to_guess("Right", 30, "Left", 10, "answer: 100")),
]
MORE = [
    ("Defences", 1, [("2", "told.startsWith('✗') && text.includes('None survives')", None)]),
    (
        "Defences",
        2,
        [
            (
                "Right",
                "caption(0) === \"lesson 2's ostrich\" && bar('ostrich', 0) > 90 && top(1) === 'school bus'",
                None,
            ),
            ("Right", "caption(0) === 'made for the JPEG' && top(1) === 'ostrich'", None),
        ],
    ),
    (
        "Defences",
        3,
        [
            ("Right", "s.shown === 'B' && caption(0) === 'B'", None),
            ("Left", "s.shown === 'A' && caption(0) === 'A'", None),
            ("4", "s.playing && preset === 'blink slowly'", "s.shown === 'B'"),
            ("a", "/A: the original\\s+school bus/.test(text) && /B: original.*\\s+ostrich/.test(text)", None),
        ],
    ),
    (
        "Defences",
        4,
        [("1", f"{PLAYS} && preset === 'robin → ostrich'", "!s.playing && bar('ostrich') > 99"), *to_class("pizza")],
    ),
    ("Defences", 5, [("1", "told.startsWith('✗') && text.includes('proven radius')", None)]),
    ("Defences", 6, [("Right ...", "s.place === 3 && top() === 'toaster'", None)]),
]


def named(promised):
    """The same from the promises; what is typed is no key."""
    typed = ("dog", "pizza")
    return [(page, scene, [key for key, *_ in steps if key not in typed]) for page, scene, steps in promised]


TABLES = [("The lecture, 50 minutes", LECTURE), ("Twenty minutes more: can it be mended?", MORE)]


@pytest.mark.parametrize(("title", "promised"), TABLES, ids=["lecture", "more"])
def test_every_row_of_the_table_has_its_promises(title, promised):
    assert table(title) == named(promised)


class Lecturer:
    """Somebody with a keyboard, and with INSTRUCTOR.md beside it."""

    def __init__(self, browser, served):
        self.page = open_page(browser, served)
        self.slowest, self.name = (0, "nothing was asked"), None

    def scene(self):
        return int(self.page.evaluate("document.documentElement.dataset.scene"))

    def go(self, name, scene):
        """To a page by its number among the contents, and to a scene by Page Down and Page Up."""
        if name != self.name:
            if self.name:
                self.page.keyboard.press("c")
            titles = self.page.locator("body.contents a b")
            titles.first.wait_for()
            self.page.keyboard.press(str(titles.all_inner_texts().index(name)))
            self.page.wait_for_selector("html[data-ready]")
            self.name = name
        while self.scene() != scene:
            before = self.scene()
            self.page.keyboard.press("PageDown" if before < scene else "PageUp")
            assert self.scene() != before, f"{name} has no scene {scene}"

    def seen(self, promise, limit, where):
        try:
            self.page.wait_for_function(f"(promise) => ({SEEN})(promise)", arg=promise, timeout=limit, polling=50)
        except Exception as error:
            state = self.page.evaluate(SEEN, "JSON.stringify({ text, bars: lists.map((_, k) => top(k)) })")
            raise AssertionError(f"{where}: {promise} is not on the screen: {state}") from error
        problems = self.page.locator(".now .problem").all_inner_texts()
        assert not any(problems), f"{where}: {problems}"

    def press(self, key, at_once, in_the_end, where):
        began = time.monotonic()
        key, again, _ = key.partition(" ...")
        if len(key) > 1 and key.islower():
            self.page.keyboard.type(key)
        else:
            self.page.keyboard.press(KEYS.get(key, key))
        for _ in range(MOST_PRESSES if again else 0):
            self.page.wait_for_timeout(150)
            if self.page.evaluate(SEEN, at_once):
                break
            began = time.monotonic()
            self.page.keyboard.press(KEYS.get(key, key))
        self.seen(at_once, ANSWER, where)
        self.slowest = max(self.slowest, (time.monotonic() - began, where))
        if in_the_end:
            self.seen(in_the_end, OUTCOME, where)


@pytest.fixture(scope="module")
def served():
    with lecture_of(lecture.PAGES, "--port", "8960") as served:
        yield served


@pytest.mark.parametrize(("title", "promised"), TABLES, ids=["lecture", "more"])
def test_the_lecture_by_its_keys(served, title, promised):
    with chromium() as browser:
        lecturer = Lecturer(browser, served)
        for name, scene, steps in promised:
            lecturer.go(name, scene)
            for key, at_once, in_the_end in steps:
                lecturer.press(key, at_once, in_the_end, f"{name} {scene}, {key}")
        print(f"\n{title}: the slowest answer took {lecturer.slowest[0]:.1f} s: {lecturer.slowest[1]}")
        assert lecturer.page.broken == []
