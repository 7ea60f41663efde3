"""Widgets while Python is busy with another cell, and after the kernel was restarted, in a browser."""

from browsing import chromium, open_notebook, served
from driving import PLAYER, Widget

BUSY = "import os, time\nwhile not os.path.exists('enough'): time.sleep(0.1)"  # nothing is answered until then
CELLS = [
    PLAYER,
    "widgets.PlaneCanvas('moons')",
    "widgets.BlinkComparator(*torch.rand(2, 3, 16, 16).split(1), model=model)",
    BUSY,
]
PICTURES = {".fool.player": 3, ".fool.plane": 1, ".fool.blink": 1}  # canvases that are seen, at least
PAINTED = """[...root.querySelectorAll("canvas")].filter(one => one.width && one.checkVisibility()
  && one.getContext("2d").getImageData(0, 0, one.width, one.height).data.some(value => value)).length"""
RESTARTED = "root.querySelector('.problem').textContent === 'The kernel was restarted: run this cell again.'"


def test_every_picture_is_there_while_python_is_busy_and_a_restart_is_told(tmp_path):
    with chromium() as browser, served(tmp_path, CELLS) as address:
        page = open_notebook(browser, address, 0)
        for _ in CELLS:
            page.keyboard.press("Shift+Enter")
        asleep = page.locator(".jp-CodeCell").nth(3).get_by_text("[*]")
        asleep.wait_for()
        for selector, least in PICTURES.items():
            page.locator(selector).wait_for(timeout=60_000)
            widget = Widget(page, selector)
            widget.wait(f"{PAINTED} >= {least}")
            assert widget.says() == ""
        assert asleep.count()

        player = Widget(page, ".fool.player")
        player.focus().press("ArrowRight")
        page.set_default_timeout(60_000)
        assert "Python is busy, perhaps with another cell" in player.problem()
        assert asleep.count()
        (tmp_path / "work/enough").touch()
        player.until("s.index === 1")
        assert player.says() == ""

        player.press(" ")
        player.until("s.playing && s.index > 1")
        page.set_default_timeout(20_000)
        page.get_by_role("menuitem", name="Kernel").click()
        page.get_by_role("menuitem", name="Restart Kernel…").first.click()
        page.locator(".jp-Dialog .jp-mod-accept").click()
        player.wait(RESTARTED)
        player.until("!s.playing")
        assert player.button("▶ play").is_visible()
        canvas = Widget(page, ".fool.plane")
        canvas.focus().press(" ")
        canvas.wait(RESTARTED)
        canvas.until("!s.playing")
