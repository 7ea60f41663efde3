"""What all widgets share."""

import os

import pytest
from jupyter_client import KernelManager

from asking import Page
from browsing import HELPERS
from fooling_utils.widgets import BlinkComparator, FoolingPlayer, GuessFirst, PlaneCanvas, kit, tally
from fooling_utils.widgets.kit import fingerprint
from nets import random_images


def test_a_fingerprint_tells_images_apart():
    one = random_images()
    assert fingerprint(one) == fingerprint(one.clone())
    other = one.clone()
    other[0, 2, 3, 3] += 1e-6
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one.transpose(2, 3)) != fingerprint(one)
    assert fingerprint(one.reshape(1, 3, 2, 8)) != fingerprint(one)


def test_no_picture_is_drawn_where_every_reader_has_a_kernel(monkeypatch):
    monkeypatch.setenv(kit.NO_TWINS, "1")
    (only,) = BlinkComparator(*random_images(2).split(1)).outputs()
    assert [*only] == ["text/plain", kit.VIEW]


def test_rgb_takes_one_image():
    with pytest.raises(ValueError, match=r"one image .*got \(2, 3, 4, 4\)"):
        kit.rgb(random_images(2))


# ------------------------------------------------------------------------------------------------------- in a notebook

START = """
import gc
import torch
from torch import rand
from fooling_utils import Classifier, cppn, widgets
from nets import ChannelMeans

def network():
    return Classifier(ChannelMeans(30.0).eval(), ["a", "b", "c"], (3, 16, 16))

def alive():
    gc.collect()
    return sum(type(one) is Classifier for one in gc.get_objects())
"""
MAKES = {
    "FoolingPlayer": "widgets.FoolingPlayer(m, 'grey', 'a')",
    "PriorExplorer": "widgets.PriorExplorer([rand(1, 3, 16, 16)] * 2, ['x', 'y'], {'one': m})",
    "BlinkComparator": "widgets.BlinkComparator(*rand(2, 3, 16, 16).split(1), model=m)",
    "PlaneExplorer": "widgets.PlaneExplorer.through(m, *rand(3, 3, 16, 16).split(1))",
    "EpsilonExplorer": "widgets.EpsilonExplorer(m, rand(1, 3, 16, 16), 0.1 * rand(1, 3, 16, 16), target='b', own='a')",
    "ChampionsWall": "widgets.ChampionsWall(m, cppn(16))",
}


class Kernel:
    """A kernel as a notebook has it: every cell has an id of its own."""

    def __init__(self):
        self.manager = KernelManager()
        self.manager.start_kernel(env={**os.environ, "PYTHONPATH": HELPERS})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(60)

    def run(self, code, cell):
        """What the cell prints."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
        self.client.shell_channel.send(message)
        printed = []
        while True:
            reply = self.client.get_iopub_msg(timeout=60)
            if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if reply["msg_type"] == "stream" and reply["content"]["name"] == "stdout":
                printed.append(reply["content"]["text"])
            elif reply["msg_type"] == "error":
                raise AssertionError("\n".join(reply["content"]["traceback"]))
            elif reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                return "".join(printed).strip()


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel()
    kernel.run(START, "start")
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


@pytest.fixture
def fresh(kernel):
    kernel.run("widgets.forget(); m = None", "fresh")
    return kernel


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_of_the_networks_of_a_cell_that_is_run_again_only_the_last_is_alive(fresh, make):
    assert fresh.run("print(alive())", "count") == "0"
    for _ in range(3):
        fresh.run(f"m = network()\n{make}", "cell")
    assert fresh.run("print(alive())", "count") == "1"
    fresh.run("del m; widgets.forget()", "forget")
    assert fresh.run("print(alive())", "count") == "0"


def test_without_ids_cells_of_equal_code_are_apart_and_only_a_few_networks_are_alive(fresh):
    make = "m = network()\np = widgets.FoolingPlayer(m, 'grey', 'a')\np.step()\nmade.append(p)"
    fresh.run("made = []", None)
    for _ in range(kit.EQUAL_CELLS):
        fresh.run(make, None)
    fresh.run("made[0].step()", None)
    assert fresh.run("print([p.frame.index for p in made])", None) == str([2] + [1] * (kit.EQUAL_CELLS - 1))
    for _ in range(3):
        fresh.run(make, None)
    assert fresh.run("print(alive())", "count") == str(kit.EQUAL_CELLS)


def test_widgets_of_equal_calls_are_independent_outside_a_notebook(three_classes):
    one, other = (FoolingPlayer(three_classes, "grey", 2) for _ in range(2))
    one.step()
    assert (one.frame.index, other.frame.index) == (1, 0)
    one, other = (GuessFirst("?", ["a", "b"], 0) for _ in range(2))
    one.commit(0)
    assert other.guess is None and tally() == (1, 1)


def test_a_cell_that_is_run_again_goes_on_and_its_copy_begins_anew(fresh):
    fresh.run("m = network()", "network")
    make = "p = widgets.FoolingPlayer(m, 'grey', 'a')\nprint(p.frame.index)\np.step()"
    assert [fresh.run(make, "one"), fresh.run(make, "one"), fresh.run(make, "copy")] == ["0", "1", "0"]


def test_two_widgets_of_one_cell_are_two(fresh):
    make = "two = [widgets.FoolingPlayer(m, 'grey', 'a') for _ in range(2)]\nprint([p.frame.index for p in two])"
    fresh.run("m = network()", "network")
    fresh.run(make, "cell")
    fresh.run("two[0].step()", "other")
    assert fresh.run(make, "cell") == "[1, 0]"


def test_a_widget_that_was_let_go_of_says_what_to_do(fresh):
    fresh.run("m = network()\nold = widgets.FoolingPlayer(m, 'grey', 'a')", "cell")
    fresh.run("m = network()\nnew = widgets.FoolingPlayer(m, 'grey', 'a')", "cell")
    ask = "old.send = lambda facts, *_: print(facts['error'])\nold._receive(old, {'id': 1, 'ask': 'frame'})"
    assert fresh.run(ask, "ask").endswith("run its cell again")
    assert fresh.run("print(new.frame.index)", "other") == "0"


# ------------------------------------------------------------------------------------------ what a page asks first


def test_a_widget_brings_the_answers_to_the_first_questions_until_it_is_asked():
    widget = PlaneCanvas("moons")
    widget._ipython_display_()
    (one,) = widget.opening["answers"]
    page = Page(widget)
    facts, buffers = page.ask("begin")
    assert (one["ask"], one["with"]) == ("begin", {})
    assert (one["facts"], one["buffers"]) == (facts, buffers)
    assert widget.opening == {}
    widget.add(0.5, 0.5, "robin")
    widget._ipython_display_()
    assert len(widget.opening["answers"][0]["facts"]["points"]) == len(facts["points"]) + 1


def test_a_widget_that_cannot_answer_yet_is_shown_all_the_same(monkeypatch):
    widget = PlaneCanvas("moons")
    monkeypatch.setattr(widget, "_seen", lambda: 1 / 0)
    widget._ipython_display_()
    assert widget.opening["answers"] == []
