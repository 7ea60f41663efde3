"""The lecture with --phones: the folder beside it, the address, the QR code on the contents page and in the scenes."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from browsing import chromium, write_notebook, write_notebooks
from driving import PLAYER, Player, Widget
from fooling_utils import lecture, web
from fooling_utils.lecture import phones

pytest.importorskip("voila", reason="Voila is not installed: pip install -r requirements.txt")
pytest.importorskip("segno", reason='segno is not installed: pip install -e ".[web]"')

import segno

from lecturing import lecture_of, open_page

PAGES = {
    "01_player.ipynb": [
        "# The player\n\nPress 1.",
        "import fooling_utils as fu\nfrom fooling_utils.widgets import FoolingPlayer\n"
        "FoolingPlayer(fu.load_model())",
        "# Words only",
        "# The canvas",
        "from fooling_utils.widgets import PlaneCanvas\nPlaneCanvas()",
    ],
    "02_small.ipynb": ["# Small", PLAYER, "# Not on a phone", "other = widgets.FoolingPlayer(model)\n"
                       "other.add_class('no-phones')\nother"],
}  # fmt: skip
SCREENS = [(1280, 720), (1024, 768), (1920, 1080), (1280, 577), (820, 1180)]
COVERED = """box => {
    const b = document.querySelector(box).getBoundingClientRect();
    const meets = a => a.width && a.left < b.right - 1 && a.right > b.left + 1 && a.top < b.bottom - 1 && a.bottom > b.top + 1;
    const marked = e => e.matches("canvas, img, svg, button, input, select, h1, figcaption, output, a")
      || [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    return [...document.querySelectorAll(".now *, #bar *, body.contents main > :not(figure) *")]
      .filter(e => marked(e) && e.checkVisibility() && !e.closest(".heard, ul[role=listbox]") && meets(e.getBoundingClientRect()))
      .map(e => `${e.tagName} ${e.textContent.slice(0, 30)}`);
}"""  # noqa: E501
CUT_OFF = """() => [...document.querySelectorAll('.now :is(button, canvas, img, input, select, svg, p, h1, output), #phones *, .phones *')]
    .filter(e => e.checkVisibility() && !e.closest('.heard, .tools, ul[role=listbox]'))
    .map(e => [e, e.getBoundingClientRect(), e.closest('.now > *, .now')?.getBoundingClientRect().bottom ?? innerHeight])
    .filter(([, b, end]) => b.width && (b.bottom > innerHeight + 1 || b.right > innerWidth + 1))
    .map(([e, b]) => `${e.tagName} ${e.textContent.slice(0, 30)} ${Math.round(b.right)} ${Math.round(b.bottom)}`)"""  # noqa: E501


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a build leaves, in short."""
    folder = tmp_path_factory.mktemp("phones") / "site"
    folder.mkdir()
    for name in (web.MARK, "index.html", "fool.html", "plane.html"):
        (folder / name).write_text(f"<title>{name}</title>")
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return write_notebooks(tmp_path_factory.mktemp("lecture"), PAGES)


@pytest.fixture(scope="module")
def served(pages, folder):
    options = ("--port", "8940", "--phones", str(folder), "--phones-port", "8950", "--phones-address", "192.168.178.23")
    with lecture_of(pages, *options) as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def address_of(served):
    (found,) = re.findall(r"(?m)^For phones: (\S+)$", "\n".join(served.lines))
    return found


def fetch(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def modules(page, selector):
    """The modules of a QR code as they are on the screen, with the four around them: rows of True for dark."""
    image = page.locator(selector)
    page.wait_for_function("selector => document.querySelector(selector).naturalWidth", arg=selector)
    size = int(re.search(r'viewBox="0 0 (\d+)', fetch_inside(page, image.get_attribute("src")))[1])
    picture = Image.open(io.BytesIO(image.screenshot())).convert("L")
    step = [side / size for side in picture.size]
    levels = [
        [picture.getpixel((int((x + 0.5) * step[0]), int((y + 0.5) * step[1]))) for x in range(size)]
        for y in range(size)
    ]
    assert {level for row in levels for level in row} <= {
        *range(30),
        *range(226, 256),
    }  # black and white in both themes
    return [[level < 128 for level in row] for row in levels]


def fetch_inside(page, address):
    return page.evaluate("async address => (await fetch(address)).text()", address)


def expected(address):
    """The modules of the QR code of an address, with the four around them."""
    made = segno.make(address, error="m", micro=False)
    return [[bool(module) for module in row] for row in made.matrix_iter(border=4)]


# ---------------------------------------------------------------------------------------------------- what is served


def test_phones_get_the_folder_and_nothing_of_the_lecture(served):
    port = urlsplit(address_of(served)).port
    assert fetch(f"http://127.0.0.1:{port}/fool.html?picture=cat") == "<title>fool.html</title>"
    for path in ("voila/render/01_player.ipynb", "api/kernels", "phones/code.svg"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"http://127.0.0.1:{port}/{path}")


def test_the_lecture_itself_stays_on_this_machine(served):
    assert served.address.startswith("http://127.0.0.1:")
    for address in phones.addresses():
        with pytest.raises(OSError), socket.create_connection((address, urlsplit(served.address).port), timeout=5):
            pass
        with socket.create_connection((address, urlsplit(address_of(served)).port), timeout=5):
            pass


@pytest.mark.parametrize("path", ["phones/code.svg", "phones/code.svg?page=fool.html"])
def test_the_code_is_for_the_lecturer(served, path):
    assert served.ask(path, token=None)[0] in (302, 401, 403)
    assert served.ask(path)[1].startswith("<svg")


@pytest.mark.parametrize("query", ["page=../x", "page=http://elsewhere/", f"page=fool.html&target={'a' * 200}"])
def test_a_code_leads_to_our_pages_only(served, query):
    assert served.ask(f"phones/code.svg?{query}")[0] == 404


def end_and_wait(process, port, sign):
    process.send_signal(sign)
    process.wait(20)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("sign", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_the_server_for_phones_ends_with_the_lecture(tmp_path, folder, sign):
    write_notebook(tmp_path / "01_one.ipynb", ["# One", "1"])
    with lecture_of(tmp_path, "--port", "8960", "--phones", str(folder), "--phones-port", "8970") as served:
        port = urlsplit(address_of(served)).port
        assert fetch(f"http://127.0.0.1:{port}/") == "<title>index.html</title>"
        assert end_and_wait(served.process, port, getattr(signal, sign))


# ------------------------------------------------------------------------------------------------------ the QR codes


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_contents_page_shows_the_code_and_the_address(browser, served, theme):
    page = open_page(browser, served, theme=theme)
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        assert modules(page, ".phones img") == expected("http://192.168.178.23:8950/")
        assert page.locator(".phones b").inner_text() == "192.168.178.23:8950"
        box = page.locator(".phones img").bounding_box()
        assert box["width"] == pytest.approx(box["height"])
        assert box["height"] > 0.2 * height
        assert page.evaluate(COVERED, ".phones") == [], f"at {width} x {height}"
        assert page.evaluate(CUT_OFF) == []
    letters = "e => parseFloat(getComputedStyle(e).fontSize) / Math.min(innerWidth / 1280, innerHeight / 720)"
    assert page.locator(".phones b").evaluate(letters) >= 30
    assert page.broken == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("place", "query"),
    [(1, "fool.html?picture=school_bus&target=ostrich"), (3, "plane.html")],
    ids=["player", "canvas"],
)
def test_a_scene_shows_the_code_of_its_page_and_covers_nothing(browser, served, place, query, theme):
    page = open_page(browser, served, f"01_player.ipynb?theme={theme}#{place}", theme)
    button = page.get_by_role("button", name="QR code for phones")
    assert button.is_visible()
    assert page.locator("#phones").count() == 0
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        page.keyboard.press("q")
        page.wait_for_timeout(300)
        assert modules(page, "#phones img") == expected(f"http://192.168.178.23:8950/{query}")
        assert page.locator("#phones img").bounding_box()["height"] >= 0.2 * height
        for part in ("img", "figcaption"):
            assert page.evaluate(COVERED, f"#phones {part}") == []
        assert page.evaluate(CUT_OFF) == []
        assert "192.168.178.23:8950" in page.locator("#phones").inner_text()
        page.keyboard.press("q")
        assert page.locator("#phones").count() == 0
        assert page.evaluate("document.documentElement.dataset.phones") is None
    button.click()
    assert page.locator("#phones img").is_visible()
    assert page.broken == []


def test_the_code_follows_the_scene(browser, served):
    page = open_page(browser, served, "02_small.ipynb")
    player, address = Player(page), "http://192.168.178.23:8950/fool.html"
    asked = {"picture": ["grey"], "target": ["red robin"], "size": ["0.1"]}
    page.keyboard.press("q")
    source = page.locator("#phones img")
    shown = parse_qs(urlsplit(source.get_attribute("src")).query)
    assert {name: shown[name] for name in asked} == asked
    page.keyboard.press("1")
    player.until("s.settings.picture === 'coffee'")
    page.wait_for_function("document.querySelector('#phones img').src.includes('coffee')")
    page.keyboard.press("Space")
    assert modules(page, "#phones img") == expected(f"{address}?picture=coffee&target=green%20frog")
    page.keyboard.press("PageDown")  # a player that no phone has
    assert page.locator("#phones").count() == 0
    page.keyboard.press("q")
    assert page.locator("#phones, #open-phones:not([hidden])").count() == 0
    assert page.broken == []


def test_the_code_fills_the_screen_for_the_last_row(browser, served):
    page = open_page(browser, served, "01_player.ipynb")
    page.keyboard.press("Q")
    assert page.locator("#phones img").bounding_box()["height"] == pytest.approx(0.8 * 720, abs=1)
    assert modules(page, "#phones img") == expected(
        "http://192.168.178.23:8950/fool.html?picture=school_bus&target=ostrich"
    )
    assert page.evaluate(CUT_OFF) == []
    page.keyboard.press("Escape")
    assert page.locator("#phones").count() == 0
    page.keyboard.press("?")
    assert "the QR code for phones" in page.get_by_role("dialog").inner_text()


def test_axe_finds_nothing_beside_a_code(browser, served, axe):
    assert axe(open_page(browser, served)) == []
    page = open_page(browser, served, "01_player.ipynb")
    for key in ("q", "Q"):
        page.keyboard.press(key)
        assert page.locator("#phones").is_visible()
        assert axe(page) == []


def test_a_scene_without_an_experiment_has_no_code(browser, served):
    page = open_page(browser, served, "01_player.ipynb#2")
    page.keyboard.press("q")
    assert page.locator("#phones, #open-phones:not([hidden])").count() == 0
    page.keyboard.press("PageUp")
    page.keyboard.press("q")
    assert page.locator("#phones").count() == 1
    page.keyboard.press("PageDown")
    assert page.locator("#phones").count() == 0


def test_typing_a_q_opens_nothing(browser, served):
    page = open_page(browser, served, "01_player.ipynb")
    page.keyboard.press("/")
    page.keyboard.type("quill")
    assert page.locator("#phones").count() == 0
    assert Player(page).root.get_by_role("combobox", name="target").input_value() == "quill"


def test_a_scene_is_as_it_was_when_the_code_is_away(browser, served):
    page = open_page(browser, served, "01_player.ipynb#3")
    canvas = Widget(page, ".plane")
    measured = "e => [getComputedStyle(e).fontSize, e.querySelector('canvas').getBoundingClientRect().width]"
    before = canvas.root.evaluate(measured)
    page.keyboard.press("q")
    assert canvas.root.evaluate(measured) != before
    page.keyboard.press("q")
    assert canvas.root.evaluate(measured) == before


def test_without_phones_there_is_no_code(browser, tmp_path):
    write_notebook(tmp_path / "01_one.ipynb", ["# One", "from fooling_utils.widgets import PlaneCanvas\nPlaneCanvas()"])
    with lecture_of(tmp_path, "--port", "8980") as served:
        assert "phones" not in "\n".join(served.lines)
        assert served.ask("phones/code.svg")[0] == 404
        page = open_page(browser, served)
        assert page.locator("figure, img").count() == 0
        page.goto(f"{served.address}voila/render/01_one.ipynb")
        page.wait_for_selector("html[data-ready]")
        page.keyboard.press("q")
        assert page.locator("#phones, #open-phones:not([hidden])").count() == 0
        page.keyboard.press("?")
        assert "phones" not in page.get_by_role("dialog").inner_text()
        assert page.broken == []


def test_without_phones_the_contents_page_is_the_same():
    pages = [lecture.Page("01_a.ipynb", "A", "b")]
    assert "<figure" not in lecture.contents(pages, "/")
    with_phones = lecture.contents(pages, "/", "http://192.168.0.2:8080/")
    assert re.sub(r"<figure.*?</figure>", "", with_phones) == lecture.contents(pages, "/")


def test_an_address_is_not_html():
    text = lecture.contents([lecture.Page("01_a.ipynb", "A", "b")], "/", 'http://<b onclick="x">/')
    assert "<b onclick" not in text


def test_dark_modules_on_a_white_ground_with_four_around():
    drawn = phones.code("http://192.168.0.2:8080/")
    assert '<path fill="#fff" d="M0 0h33v33h-33z"/>' in drawn
    assert 'stroke="#000"' in drawn
    assert 'd="M4 4.5' in drawn


# ------------------------------------------------------------------------------------------------------- the address


@pytest.mark.parametrize(
    ("scene", "query"),
    [
        ({"picture": "cat", "target": "pizza", "method": "unit step", "size": "0.3"}, "picture=cat&target=pizza"),
        ({"picture": "noise", "target": "robin", "method": "unit step", "size": "1"},
         "picture=noise&target=robin&size=1"),
        ({"picture": "grey", "target": "king penguin", "method": "Adam", "size": "0.25"},
         "picture=grey&target=king%20penguin&method=Adam"),
        ({"picture": "holiday.jpg", "target": "ostrich", "method": "", "size": ""}, "target=ostrich"),
        ({"picture": "cat&x=1", "target": "a&b#c", "method": "none", "size": ""}, "target=a%26b%23c"),
    ],
)  # fmt: skip
def test_the_address_has_what_the_page_can_show(scene, query):
    assert phones.link("http://a:1/", "fool.html", **scene) == f"http://a:1/fool.html?{query}"


def test_the_address_is_one_of_this_machine():
    for address in phones.addresses():
        with socket.socket() as one:
            one.bind((address, 0))
        assert not address.startswith(("127.", "169.254."))


def interfaces(monkeypatch, found, routed):
    """This machine has these interfaces, and the system would send from `routed`, or has no way out."""
    import psutil

    class Socket(socket.socket):
        def connect(self, _address):
            if routed is None:
                raise OSError("Network is unreachable")

        def getsockname(self):
            return routed, 1

    state = SimpleNamespace(isup=True)
    addresses = {name: [SimpleNamespace(family=socket.AF_INET, address=one)] for name, one in found.items()}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: dict.fromkeys(addresses, state))
    monkeypatch.setattr(phones.socket, "socket", Socket)


def test_the_address_of_the_way_out_comes_first(monkeypatch):
    found = {"lo": "127.0.0.1", "docker0": "172.17.0.1", "eth0": "10.0.0.7", "wlan0": "192.168.1.5"}
    interfaces(monkeypatch, found, "192.168.1.5")
    assert phones.addresses() == ["192.168.1.5", "10.0.0.7", "172.17.0.1"]
    assert phones.address_for(None, 8080) == "http://192.168.1.5:8080/"
    assert phones.doubts(None) == [
        "If phones don't get there, start with another of this machine's addresses: --phones-address 10.0.0.7 "
        "--phones-address 172.17.0.1"
    ]
    assert phones.doubts("10.0.0.7") == []


def test_a_hotspot_of_this_machine_has_no_way_out(monkeypatch):
    interfaces(monkeypatch, {"lo": "127.0.0.1", "docker0": "172.17.0.1", "ap0": "10.42.0.1"}, None)
    assert phones.address_for(None, 8080) == "http://10.42.0.1:8080/"


def test_alone_it_warns(monkeypatch):
    interfaces(monkeypatch, {"lo": "127.0.0.1", "en0": "169.254.3.4"}, None)
    assert phones.address_for(None, 8080) == "http://127.0.0.1:8080/"
    (line,) = phones.doubts(None)
    assert line.startswith("WARNING: this machine is in no network, so no phone can open that address.")


@pytest.mark.parametrize("given", ["https://example.org/course", "http://example.org/course/"])
def test_a_whole_address_is_kept(given):
    assert phones.address_for(given, 1) == given.rstrip("/") + "/"


@pytest.mark.parametrize("given", ["my laptop", "192.168.0.2/x", "ftp://a/", "http://", "https://a/?b=1", "a@b"])
def test_no_address(given):
    with pytest.raises(ValueError, match=re.escape(f"got {given!r}")):
        phones.address_for(given, 8080)


def test_pages_of_another_server_are_neither_built_nor_served(monkeypatch, pages, capsys):
    seen = {}
    monkeypatch.setattr("fooling_utils.lecture.server.serve", lambda *_, **choices: seen.update(choices))
    monkeypatch.setattr(phones, "site", lambda folder: pytest.fail("it is built"))
    lecture.main(["--folder", str(pages), "--no-browser", "--phones-address", "https://example.org/course"])
    assert seen["phones"] == "https://example.org/course/"


# -------------------------------------------------------------------------------------------------------- the folder


def building(monkeypatch, error=""):
    """Replaces the build by one that takes no time; gives the folders that were built."""
    built = []

    def run(command, **_settings):
        out = phones.Path(command[-1])
        built.append(out)
        if not error:
            out.mkdir(parents=True, exist_ok=True)
            for name in (web.MARK, "fool.html", "plane.html"):
                (out / name).write_text("")
            (out / phones.KEY).unlink(missing_ok=True)  # a build replaces the folder
        return subprocess.CompletedProcess(command, int(bool(error)), stderr=error)

    monkeypatch.setattr(phones.subprocess, "run", run)
    return built


def test_a_folder_is_built_once(monkeypatch, tmp_path, capsys):
    built = building(monkeypatch)
    assert phones.site(tmp_path / "site") == tmp_path / "site"
    assert re.search(r"This takes about a minute, once \.\.\.\nBuilt in \d+ s\.\n", capsys.readouterr().out)
    phones.site(tmp_path / "site")
    assert built == [tmp_path / "site"]
    assert capsys.readouterr().out == ""


def test_the_kept_folder_is_built_again_when_the_course_changes(monkeypatch, tmp_path):
    built = building(monkeypatch)
    monkeypatch.setattr(phones, "CACHE", tmp_path / "kept")
    phones.site(None)
    phones.site(None)
    assert len(built) == 1
    monkeypatch.setattr(phones, "fingerprint", lambda: "another")
    phones.site(None)
    phones.site(None)
    assert len(built) == 2


def test_the_fingerprint_is_the_courses(monkeypatch, tmp_path):
    course = tmp_path / "fooling_utils"
    course.mkdir()
    monkeypatch.setattr(phones, "COURSE", course)
    (course / "a.py").write_text("1")
    first = phones.fingerprint()
    assert phones.fingerprint() == first
    (course / "__pycache__").mkdir()
    (course / "__pycache__/a.pyc").write_text("compiled")
    assert phones.fingerprint() == first
    (course / "a.py").write_text("2")
    assert phones.fingerprint() != first


def test_what_cannot_be_built_ends_with_the_reason(monkeypatch, tmp_path, pages):
    building(monkeypatch, 'onnx is not installed: python -m pip install -e ".[web]"')
    with pytest.raises(SystemExit, match="the pages for phones cannot be built: onnx is not installed: python -m pip"):
        lecture.main(["--folder", str(pages), "--no-browser", "--phones", str(tmp_path / "site")])


def test_without_segno_it_says_what_to_install(monkeypatch, tmp_path, pages):
    monkeypatch.setattr(phones, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r'phones need the extra "web": python -m pip install -e "\.\[web\]"'):
        lecture.main(["--folder", str(pages), "--no-browser", "--phones", str(tmp_path / "site")])


def test_a_build_of_long_ago_is_named(monkeypatch, tmp_path):
    (tmp_path / web.MARK).write_text("")
    with pytest.raises(ValueError, match=r"has no fool\.html: build it again with python -m fooling_utils\.web"):
        phones.site(tmp_path)


def test_a_folder_with_other_files_is_left_alone(tmp_path, pages):
    (tmp_path / "thesis.txt").write_text("two years of work")
    with pytest.raises(SystemExit, match="has other files, which would be lost: name a new folder"):
        lecture.main(["--folder", str(pages), "--no-browser", "--phones", str(tmp_path)])
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_taken_port_is_named(monkeypatch, folder, pages):
    monkeypatch.setattr(lecture, "free_port", lambda ip, port: 8990 if ip == "127.0.0.1" else fail(port))

    def fail(port):
        raise OSError(f"all ports from {port} are in use: choose another with --port")

    with pytest.raises(SystemExit, match="all ports from 8080 are in use: choose another with --phones-port"):
        lecture.main(["--folder", str(pages), "--no-browser", "--phones", str(folder)])
