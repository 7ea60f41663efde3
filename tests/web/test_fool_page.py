"""fool.html as its readers have it: on a phone and a desk, by touch, keys and a screen reader, online and offline."""

import html.parser

import numpy as np
import pytest
from PIL import Image

from browsing import SECONDS
from driving import give
from fooling_utils import load_image
from looking import contrast
from pixels import as_file, levels
from tabbing import DESKTOP, LYING, MISPLACED, PHONE, SMALL_TARGETS, SMALL_TEXT, TABLET, Fool, opened, wait

PATIENCE = 120  # seconds: the network has to arrive first
NASTY = "<img src=x onerror=document.title=1>.png"


@pytest.fixture(scope="module")
def loaded(contexts):
    """fool.html on a phone, loaded once for many tests."""
    return opened(contexts(**PHONE).new_page())


@pytest.fixture
def fool(loaded):
    """The player at frame 0 of the bus, on a phone."""
    loaded.page.set_viewport_size(PHONE["viewport"])
    loaded.focus().press("1")
    loaded.until("s.settings.picture === 'school_bus' && s.playing")
    loaded.press("r")
    loaded.until("!root.dataset.busy && s.index === 0 && !s.playing && s.settings.target === 'ostrich'")
    loaded.page.evaluate("scrollTo(0, 0)")
    return loaded


# ---------------------------------------------------------------------------------------------------- what it can do


@pytest.mark.parametrize(("picture", "target"), [("school_bus", "teapot"), ("noise", "robin"), (None, "banana")])
def test_any_picture_becomes_a_class_of_choice_and_its_png_is_called_the_same(fool, model, tmp_path, picture, target):
    if picture:
        fool.choose("picture", picture)
    else:
        photograph = Image.fromarray(levels(load_image("coffee", 300))).convert("RGB")
        fool.upload("my cup.jpg", as_file(photograph, "JPEG", quality=95))
    fool.until(f"s.settings.picture === {picture or 'my cup.jpg'!r}")
    fool.choose_target(target)
    own = fool.state()["settings"]["own"]
    state = fool.play()
    assert state["top"][0]["label"] == target and state["saved"]["survives"]
    path = fool.save(tmp_path)
    assert path.name == f"{picture or 'my cup'} as {target}.png"
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (224, 224, 3) and pixels[100, 50].tolist() == fool.pixel(2, 50, 100)
    assert abs(model.top(load_image(str(path)))[0].probability - state["saved"]["probability"]) < 1e-3
    assert model.top(load_image(str(path)))[0].label == target != own
    fool.upload(path.name, path.read_bytes())
    again = fool.until(f"s.settings.picture === {path.name[:40]!r}")
    assert again["settings"]["own"] == target
    assert fool.pixel(0, 50, 100) == pixels[100, 50].tolist()


def test_random_noise_of_the_same_size_changes_nothing(fool):
    fool.press("n")
    assert "Nothing has changed yet" in fool.problem()
    fooled = fool.play()
    shown = fool.pixel(2, 100, 100), fool.pixel(1, 100, 100)
    fool.focus().press("n")
    state = fool.until("s.control")
    assert state["control"]["top"][0]["label"] == "school bus" and state["control"]["probability"] < 0.01
    assert 0.9 * fooled["l2"] < state["control"]["l2"] < fooled["l2"] + 0.01
    assert fool.caption(2) == "random noise of the same size"
    assert fool.button("random noise").get_attribute("aria-pressed") == "true"
    assert fool.root.locator(".bars .name").first.inner_text() == "school bus"
    assert fool.heard().startswith("random noise of the same size: school bus")
    assert (fool.pixel(2, 100, 100), fool.pixel(1, 100, 100)) != shown
    fool.press("n")
    fool.until("!s.control")
    assert (fool.pixel(2, 100, 100), fool.pixel(1, 100, 100)) == shown
    assert fool.caption(2) == "result, toward ostrich"
    fool.button("random noise").click()
    fool.until("s.control")
    fool.button("one step").click()
    fool.until("!s.control && s.index > 0")


def test_grey_is_a_start_one_key_away(fool):
    fool.press("6")
    state = fool.until("s.settings.picture === 'grey' && !s.playing && s.saved && s.saved.index === s.index && s.index")
    assert state["top"][0]["label"] == "goldfish" and state["saved"]["survives"]
    assert fool.pixel(0) == [128, 128, 128]


def test_the_saved_noise_is_called_noise(fool, tmp_path):
    fool.focus().press("ArrowRight")
    fool.until("s.index === 1")
    fool.press("n")
    fool.until("s.control")
    assert fool.save(tmp_path).name == "school_bus with random noise.png"


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted_anywhere_on_the_page(fool, kind):
    red, place = as_file(Image.new("RGB", (30, 30), (255, 0, 0))), fool.page.locator("main p").first
    assert give(place, "dragover", "red.png", red)
    assert fool.root.get_attribute("data-dropping")
    assert give(place, kind, f"red {kind}.png", red)
    fool.until(f"s.settings.picture === 'red {kind}.png'")
    assert fool.pixel(0) == [255, 0, 0]
    fool.root.evaluate("root => delete root.dataset.dropping")


def test_names_are_never_html(fool):
    fool.upload(NASTY)
    state = fool.until("s.settings.picture.includes('onerror')")
    assert state["settings"]["picture"] == NASTY[:40]
    fool.root.get_by_role("combobox", name="target").fill("<img src=x>")
    assert fool.root.locator(".none").inner_text() == 'nothing is called "<img src=x>"'
    fool.root.get_by_role("combobox", name="target").press("Escape")
    assert fool.page.locator("#player img, #player [onerror]").count() == 0
    assert fool.page.title() == "Fool it yourself"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.png", b"no picture", "notes.png is not a picture that this browser can read"),
        ("IMG_1.HEIC", b"\0\0\0\x18ftypheic", "HEIC photograph"),
        ("large.png", b"0" * 40_000_001, "large.png has 40.0 MB, but the limit is 40 MB: save a smaller copy"),
    ],
)
def test_a_file_that_is_no_picture_gets_a_sentence_and_loses_nothing(fool, tmp_path, name, content, words):
    fool.focus().press("ArrowRight")
    fool.until("s.index === 1")
    (tmp_path / name).write_bytes(content)
    fool.root.locator("input[type=file]").set_input_files(tmp_path / name)  # to send 40 MB takes a minute
    assert words in fool.problem()
    assert fool.root.locator(".problem").bounding_box()["y"] < 400
    fool.focus().press("ArrowRight")
    fool.until("s.index === 2")
    assert fool.state()["settings"]["picture"] == "school_bus"


def test_there_is_no_field_for_addresses(fool):
    assert fool.root.get_by_label("address of a picture").count() == 0


# ----------------------------------------------------------------------------------------------------- how it looks


@pytest.mark.parametrize("screen", [PHONE, LYING, TABLET, DESKTOP], ids=["upright", "lying", "tablet", "desktop"])
def test_everything_has_its_place(fool, screen):
    fool.page.set_viewport_size(screen["viewport"])
    fool.focus().press("ArrowRight")
    fool.until("s.saved && s.saved.index === 1")
    fool.press("n")
    fool.until("s.control")
    fool.page.locator(".keys summary").click()
    try:
        assert fool.page.evaluate(MISPLACED) == []
        assert fool.page.evaluate(SMALL_TEXT) == []
        names, shares = (fool.root.locator(f".bars .{part}").all() for part in ("name", "share"))
        tops = [[one.bounding_box()["y"] for one in part] for part in (names, shares)]
        assert tops[0] == tops[1] == sorted({*tops[0]})
        fool.root.get_by_role("combobox", name="target").fill("a")
        assert fool.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert fool.page.evaluate(SMALL_TARGETS) == []
    finally:
        fool.root.get_by_role("combobox", name="target").press("Escape")
        fool.page.locator(".keys summary").click()


def test_a_phone_shows_the_three_pictures_and_play_at_once(fool):
    bottoms = [one.bounding_box()["y"] + one.bounding_box()["height"] for one in fool.root.locator("canvas").all()]
    play = fool.root.get_by_role("button", name="play").bounding_box()
    assert max(*bottoms, play["y"] + play["height"]) <= 740
    widths = [one.bounding_box()["width"] for one in fool.root.locator("canvas").all()]
    assert widths[2] > 200 > 90 < widths[0] == widths[1]
    fool.page.set_viewport_size(LYING["viewport"])
    fool.root.evaluate("root => root.scrollIntoView()")
    play = fool.root.get_by_role("button", name="play").bounding_box()
    assert all(one.bounding_box()["y"] >= 0 for one in fool.root.locator("canvas").all())
    assert play["y"] + play["height"] <= 360


def test_a_desktop_shows_all_of_the_player_at_once(fool):
    fool.page.set_viewport_size(DESKTOP["viewport"])
    box = fool.root.bounding_box()
    assert box["y"] > 0 and box["y"] + box["height"] <= 800
    assert all(one.bounding_box()["width"] >= 224 for one in fool.root.locator("canvas").all())


def test_the_original_is_the_bus_and_the_result_begins_as_it(fool, site):
    bus = np.asarray(Image.open(site / "app/pictures/school_bus.png"))
    for x, y in ((10, 10), (110, 110), (200, 180)):
        assert fool.pixel(0, x, y) == fool.pixel(2, x, y) == bus[y, x].tolist()
        assert fool.pixel(1, x, y) == [128, 128, 128]


def test_words_on_the_bars_can_be_read(fool):
    """The stripes of the target are the darkest, or brightest, that a word stands on."""
    for theme in ("light", "dark"):
        fool.page.emulate_media(color_scheme=theme)
        wait(fool.page, f"() => document.documentElement.dataset.theme === '{theme}'")
        ink, paper, warm, accent, soft = fool.root.evaluate(
            """root => ["ink", "paper", "warm", "accent", "soft"].map(name => {
              const one = root.appendChild(document.createElement("i"));
              one.style.color = `var(--${name})`;
              const found = getComputedStyle(one).color;
              one.remove();
              return found;
            })"""
        )
        for colour, share in ((warm, 0.5), (accent, 0.45), (soft, 1.0)):
            assert contrast(ink, mixed(colour, paper, share)) > 4.5
        assert contrast(accent, paper) > 4.5 and contrast(warm, paper) > 4.5
    fool.page.emulate_media(color_scheme=None)


def mixed(colour, other, share):
    """`share` of one colour on another, as the browser mixes them."""
    parts = ([int(part) for part in one[one.index("(") + 1 : -1].split(",")[:3]] for one in (colour, other))
    return f"rgb({', '.join(str(round(share * a + (1 - share) * b)) for a, b in zip(*parts, strict=True))})"


# ------------------------------------------------------------------------------------------ keys, and a screen reader


def test_keys_work_wherever_nobody_types_and_their_list_unfolds(fool):
    fool.page.set_viewport_size(DESKTOP["viewport"])
    fool.root.evaluate("root => root.blur()")
    fool.press("ArrowRight")
    fool.until("s.index === 1")
    fool.press("/", *"tabby", "Enter")
    fool.until("s.settings.target === 'tabby'")
    fool.page.locator(".keys summary").focus()
    fool.press("Enter")
    listed = fool.page.locator(".keys dt").all_inner_texts()
    assert {"space", "→", "n", "s", "o", "/"} <= {*listed}
    fool.press("Enter")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(contexts, axe, theme):
    page = contexts(**DESKTOP, bypass_csp=True, color_scheme=theme, reduced_motion="reduce").new_page()
    page.goto("fool.html?embedded")
    page.locator(".poster button").wait_for()
    assert axe(page) == []
    fool = opened(page)
    fool.focus().press("ArrowRight")
    fool.until("s.index === 1")
    page.locator(".keys summary").click()
    for screen in (DESKTOP, PHONE):
        page.set_viewport_size(screen["viewport"])
        assert axe(page) == []
        fool.root.get_by_role("combobox", name="target").fill("dog")
        assert axe(page) == []
        fool.root.get_by_role("combobox", name="target").fill("no such thing")
        assert axe(page) == []
        fool.root.get_by_role("combobox", name="target").press("Escape")


# ------------------------------------------------------------------------------------------ loading, and the address


class Tags(html.parser.HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_policy_is_strict_and_no_script_is_inline(site):
    tags = Tags()
    tags.feed((site / "fool.html").read_text(encoding="utf-8"))
    (policy,) = (one["content"] for _, one in tags.found if one.get("http-equiv") == "Content-Security-Policy")
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'" and rules["connect-src"] == "'self'"
    assert all("src" in one for tag, one in tags.found if tag == "script")
    assert not any(name.startswith("on") for _, one in tags.found for name in one)
    addresses = [one[name] for _, one in tags.found for name in ("src", "href") if name in one]
    assert not any(one.startswith(("http", "/")) for one in addresses)


@pytest.mark.parametrize("missing", ["network.onnx", "player_worker.js", "player.json", "ort.wasm.min.mjs"])
def test_offline_in_the_middle_of_loading_is_told_and_can_be_tried_again(browser, address, missing):
    context = browser.new_context(base_url=address, **PHONE)
    context.set_default_timeout(PATIENCE * SECONDS)
    context.route(f"**/{missing}*", lambda route: route.abort())
    page = context.new_page()
    page.goto("fool.html")
    page.get_by_role("button", name="Try again").wait_for()
    assert "offline" in page.locator(".poster [role=status]").inner_text()
    assert not page.locator(".fool").is_visible()
    assert page.evaluate(MISPLACED) == []
    context.unroute(f"**/{missing}*")
    page.get_by_role("button", name="Try again").click()
    page.locator(".fool.player[data-drawn]").wait_for()
    fool = Fool(page)
    fool.focus().press("ArrowRight")
    fool.until("s.index === 1")
    assert not page.locator(".poster").count() and fool.says() == ""
    context.close()


def test_it_shows_the_picture_at_once_and_says_how_far_it_has_loaded(contexts):
    context = contexts(**PHONE)
    waiting, go = [], []
    context.route("**/ort-wasm-simd-threaded.wasm", lambda route: route.continue_() if go else waiting.append(route))
    page = context.new_page()
    page.clock.install()
    page.goto("fool.html")
    image = page.locator(".poster img")
    wait(page, "() => document.querySelector('.poster img').naturalWidth === 224")
    assert image.is_visible() and page.locator(".poster progress").is_visible()
    assert page.locator(".loading").inner_text().startswith("Loading the ")
    assert page.evaluate(MISPLACED) == [] and page.evaluate(SMALL_TEXT) == []
    page.clock.fast_forward(60 * SECONDS)
    assert page.locator(".fool .problem").text_content() == ""  # it does load, only slowly
    seen = page.evaluate_handle("""() => {
      const seen = [];
      new MutationObserver(() => seen.push(document.querySelector(".loading")?.textContent))
        .observe(document.querySelector(".loading"), {subtree: true, childList: true, characterData: true});
      return seen;
    }""")
    go.append(True)
    for route in waiting:
        route.continue_()
    page.locator(".fool.player[data-drawn]").wait_for()
    assert "Loading the network: 19 of 19 MB" in seen.json_value()


def test_embedded_it_loads_the_network_only_after_a_click(contexts):
    page = contexts(**PHONE).new_page()
    asked = []
    page.on("request", lambda one: asked.append(one.url))
    page.goto("fool.html?embedded&picture=noise&target=robin&size=1&method=unit+step")
    start = page.get_by_role("button", name="Start the network")
    start.wait_for()
    wait(page, "() => document.querySelector('.poster img').naturalWidth === 224")
    page.wait_for_timeout(500)
    assert not any(part in one for one in asked for part in ("onnx", "wasm", "player_worker"))
    assert page.locator("header, .lead:visible, .words:visible").count() == 0
    assert page.evaluate(MISPLACED) == [] and page.evaluate(SMALL_TARGETS) == []
    start.click()
    page.locator(".fool.player[data-drawn]").wait_for()
    settings = Fool(page).state()["settings"]
    assert [settings[name] for name in ("picture", "target", "size", "method")] == ["noise", "robin", 1, "unit step"]
    assert page.evaluate(MISPLACED) == []


def test_nobody_asks_the_network_while_nothing_happens(contexts):
    context = contexts(**PHONE)
    context.add_init_script("""(() => {
      const post = Worker.prototype.postMessage;
      window.asked = 0;
      Worker.prototype.postMessage = function (...given) { window.asked++; return post.apply(this, given); };
    })()""")
    fool = opened(context.new_page())
    fool.focus().press("ArrowRight")
    fool.until("s.saved && s.saved.index === 1")
    asked = fool.page.evaluate("window.asked")
    fool.page.wait_for_timeout(3 * SECONDS)
    assert fool.page.evaluate("window.asked") == asked == 3  # begin, frame, saved


def test_an_address_that_asks_for_what_there_is_not_gets_the_bus(contexts):
    fool = opened(contexts(**DESKTOP).new_page(), f"fool.html?picture={NASTY}&target=unicorn&size=-1&method=magic")
    settings = fool.state()["settings"]
    assert (settings["picture"], settings["target"], settings["size"]) == ("school_bus", "ostrich", 0.3)


def test_dark_and_light_are_chosen_and_kept_for_the_lessons_too(contexts):
    context = contexts(**DESKTOP, color_scheme="light")
    page, other = context.new_page(), context.new_page()
    for one in (page, other):
        one.goto("fool.html?embedded" if one is other else "fool.html")
    theme = "() => [document.documentElement.dataset.theme, localStorage.getItem('theme')]"
    assert page.evaluate(theme) == ["light", None]
    page.get_by_role("button", name="dark").click()
    assert page.evaluate(theme) == ["dark", "dark"]
    wait(other, "() => document.documentElement.dataset.theme === 'dark'")
    page.reload()
    assert page.evaluate(theme) == ["dark", "dark"]
    page.get_by_role("button", name="light").click()
    assert page.evaluate(theme) == ["light", "auto"]
    page.emulate_media(color_scheme="dark")
    wait(page, "() => document.documentElement.dataset.theme === 'dark'")
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
