"""What a reader sees of a widget in a browser, and does with it."""

import base64

from PIL import Image

from pixels import as_file

# what a widget tells the browser's console of itself, each kind under a name of its own
STATE = "(root.player || root.explorer || root.wall || root.guess || root.blink || root.stops || root.plane)()"
PIXEL = "(figure, [x, y]) => [...figure.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]"


SEND = """(root, [keys, repeat]) => keys.forEach(key => root.dispatchEvent(new KeyboardEvent("keydown",
  { key: key.replace("Shift+", ""), shiftKey: key.startsWith("Shift+"), repeat, bubbles: true, cancelable: true })))"""
GIVE = """(element, [kind, name, content]) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
  data.items.add(new File([bytes], name, {type: "image/png"}));
  const values = {dataTransfer: data, clipboardData: data, bubbles: true, cancelable: true};
  return !element.dispatchEvent(kind === "paste" ? new ClipboardEvent(kind, values) : new DragEvent(kind, values));
}"""


def give(element, kind, name, content):
    """Drag a file over an element, drop it or paste it there; whether the page takes it, and the browser does not."""
    return element.evaluate(GIVE, [kind, name, base64.b64encode(content).decode()])


class Widget:
    """One widget of a page: the one at `place` among all that `selector` finds."""

    def __init__(self, page, selector, place=0):
        self.page, self.root = page, page.locator(selector).nth(place)
        self.keys = page.keyboard
        self.root.scroll_into_view_if_needed()

    def state(self):
        return self.root.evaluate(f"root => {STATE}")

    def wait(self, condition):
        """Wait until a condition on its element `root`, in JavaScript, is true."""
        self.page.wait_for_function(f"root => {condition}", arg=self.root.element_handle())

    def until(self, condition):
        """Wait until a condition on its state `s`, in JavaScript, is true, and return the state."""
        self.wait(f"{{ const s = {STATE}; return {condition}; }}")
        return self.state()

    def idle(self):
        """Wait until Python has answered."""
        self.wait("!root.dataset.busy")

    def press(self, *keys):
        for key in keys:
            self.keys.press(key)

    def send(self, *keys, held=False):
        """Press keys all at once, before Python answers the first; held: as a key that repeats itself."""
        self.root.evaluate(SEND, [keys, held])

    def focus(self):
        self.root.focus()
        return self

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def choose(self, label, option):
        self.root.get_by_label(label, exact=True).select_option(option)

    def drawn(self):
        """How often it was drawn."""
        return int(self.root.get_attribute("data-drawn"))

    def pixel(self, picture, x=3, y=3):
        """The red, green and blue of a picture at a place."""
        return self.root.locator("figure").nth(picture).evaluate(PIXEL, [x, y])[:3]

    def caption(self, picture):
        return self.root.locator("figcaption").nth(picture).inner_text()

    def problem(self):
        """What it says has gone wrong, once it says so."""
        self.wait("root.querySelector('.problem').textContent")
        return self.says()

    def says(self):
        return self.root.locator(".problem").text_content()

    def heard(self):
        """What a screen reader is told."""
        return self.root.locator(".heard").text_content()


PLAYER = """
import torch
from fooling_utils import Classifier, widgets
from nets import ChannelMeans

model = Classifier(ChannelMeans(30.0).eval(), ["red robin", "green frog", "blue whale"], (3, 16, 16))
presets = [{"title": "coffee, green", "picture": "coffee", "target": "green frog"},
           {"title": "grey, blue", "picture": "grey", "target": "blue whale", "size": 0.2}]
player = widgets.FoolingPlayer(model, "grey", "red robin", size=0.1, presets=presets)
player
"""


class Player(Widget):
    """The fooling player of a page."""

    def __init__(self, page):
        super().__init__(page, ".fool.player")

    def upload(self, name, content=None):
        """Choose a file of the reader's; by default a red picture."""
        content = as_file(Image.new("RGB", (40, 40), (255, 0, 0))) if content is None else content
        files = [{"name": name, "mimeType": "image/png", "buffer": content}]
        self.root.locator("input[type=file]").set_input_files(files)
