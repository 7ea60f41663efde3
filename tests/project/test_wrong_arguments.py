"""A wrong argument gets an error of ours, that names it: for every public function, method and class.

Hypothesis replaces one or two arguments of a right call (tests/helpers/right_calls.py) by odd values
(tests/helpers/wrong_arguments.py). `python tests/helpers/right_calls.py` tries all values, one at a time.
"""

import importlib
import math
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import wrong_arguments as harness
from fooling_utils import figures, fourier, last
from fooling_utils.arguments import whole
from fooling_utils.evolution import painters
from fooling_utils.lessons import lesson2, lesson4, lesson6, shared
from fooling_utils.networks import small
from right_calls import INSIDE, ROWS, public, takes_something
from wrong_arguments import ODD, ROUNDS, Right, fault, kind_of, limits

SLOW = {
    "lessons.lesson5.judged_patch": 3,
    "lessons.lesson5.judged_change": 4,
    "networks.pretrained.build": 4,
}  # fewer tries


def wrong_arguments(right: Right) -> st.SearchStrategy:
    """One or two arguments and the odd values that replace them."""
    names = [name for name in right.arguments() if name not in right.free]
    chosen = st.dictionaries(st.sampled_from(names), st.sampled_from(list(ODD)), min_size=1, max_size=2)
    return chosen.filter(lambda wrong: not any(odd == "10**9" and name in ROUNDS for name, odd in wrong.items()))


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_wrong_argument_gets_an_error_of_ours(name):
    right = ROWS[name]
    with limits():
        kind = kind_of(right)
        assert fault(right, kind, {}) is None

        @settings(max_examples=SLOW.get(name, 12))
        @given(wrong_arguments(right))
        def try_it(wrong):
            assert fault(right, kind, wrong) is None

        try_it()


def row_of(name):
    """The name in the table: that of widgets.player.FoolingPlayer.add is widgets.FoolingPlayer.add."""
    room, _, rest = name.partition(".")
    return name if name in ROWS else f"{room}.{rest.partition('.')[2]}"


def test_every_public_function_has_its_row():
    missing = [name for name in public() if row_of(name) not in ROWS]
    assert [name for name in missing if not name.startswith(tuple(INSIDE))] == []


@pytest.mark.parametrize("room", ["", "attacks", "checks", "widgets"])
def test_every_name_that_a_door_offers_is_tried(room):
    door = importlib.import_module(f"fooling_utils.{room}".rstrip("."))
    tried = [value for name, value in public().items() if row_of(name) in ROWS]
    offered = {name: getattr(door, name) for name in door.__all__}
    functions = {name: value for name, value in offered.items() if isinstance(value, types.FunctionType)}
    assert [name for name, value in functions.items() if value not in tried and takes_something(value)] == []


# --------------------------------------------------------------------------------- the examples, with their sentences


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fourier.fourier_start(size="224"),
            "size must be a whole number of pixels, or a height and a width, got",
        ),
        (
            lambda: fourier.fourier_start(size=10**9),
            "image of size 1000000000 x 1000000000 would take 1.2e.10 GB of mem",
        ),
        (
            lambda: fourier.fourier_start(size=8, device="tpu"),
            "device must be one that this computer has, got 'tpu': use",
        ),
        (
            lambda: fourier.fourier_start(size=8, seed="0"),
            "seed must be a whole number, such as 0, of at most 64 bits, got",
        ),
        (lambda: fourier.fourier_start("1", 8), "count must be a whole number and at least 1, got '1'"),
        (lambda: painters.cppn("224"), "size must be a whole number and at least 2, got '224'"),
        (lambda: painters.cppn_weights(torch.zeros(3, 5) - 1), "first column of genome names functions, 0 to 3, got"),
        (lambda: painters.cppn_weights(torch.zeros(4, 8)), r"a table .hidden . 3, 5 . hidden., got shape \(4, 8\)"),
        (lambda: lesson4.line_ends("corner to corner", 10**9), "count = 1000000000 lines would take"),
        (lambda: shared.load_strip(["lesson 1"]), "lesson must be one of lesson 1, lesson 3, got"),
        (
            lambda: small.plane_net(hidden=10**6),
            "2 layers of hidden = 1000000 units .* GB of memory: choose fewer or smaller ones",
        ),
        (
            lambda: next(small.fit(small.plane_net(classes=2), *small.plane_points())),
            "labels must be from 0 to 1, since",
        ),
        (lambda: small.frozen(small.plane_net()), r"net cannot take images of shape \(1, 1, 8, 8\)"),
        (lambda: figures.with_free_colours({}, [[1]]), r"each of indices must be a whole number .* got \[1\]"),
        (lambda: lesson2.random_changes(torch.rand(5), 1), r"image must have the shape \(N, 3, H, W\), got \(5,\)"),
        (lambda: lesson2.random_changes(torch.rand(1, 3, 8, 8), 1, 10**9), "count = 1000000000 random changes would"),
        (lambda: lesson6.smallest_so_far([1], [torch.ones(2)]), "each of fools must be true or false, got"),
        (
            lambda: lesson6.beside_each_other(torch.zeros(1, 3, 8, 8, device="meta"), {}),
            "image is on the device 'meta'",
        ),
    ],
)
def test_the_sentence_names_the_value_and_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [np.int64, torch.tensor], ids=["numpy", "torch"])
def test_a_whole_number_of_numpy_or_torch_counts_as_one_of_python(kind):
    assert lesson4.crossing(kind(5), kind(9)) == lesson4.crossing(5, 9)
    assert lesson4.rung(kind(4))[2] == lesson4.rung(4)[2]


# ------------------------------------------------------------------------------------------ the harness finds faults


def _endless(value):
    while value == 7:
        pass
    return 1.0


def _zeroes(value):
    if isinstance(value, torch.Tensor):
        value.zero_()
    return 1.0


@pytest.mark.parametrize(
    ("function", "odd", "kind"),
    [
        (lambda value: {1: 1.0}[value], "7", "another type of error"),
        (math.sqrt, "'224'", "not an error of ours"),
        (lambda value: last([]) if value == 7 else 1.0, "7", "names neither argument nor value"),
        (lambda value: value, "'224'", "another kind of result"),
        (lambda value: value, "nan", "silent NaN"),
        (_zeroes, "an image", "changes an argument"),
        (lambda value: torch.rand(()).item(), "7", "changes the state"),
        (_endless, "7", "takes for ever"),
        (lambda value: torch.zeros(10 * int(value))[0].item(), "10**9", "fills the memory"),
        (lambda value: whole(value=value) or 1.0, "1.5", None),
        (lambda value: whole(count=value) or 1.0, "1.5", None),  # it names the value
        (lambda value: value() if callable(value) else 1.0, "a function that raises", None),
        (lambda value: open("nothing").close() if value == 7 else 1.0, "7", None),
    ],
)
def test_each_kind_of_fault_is_found(function, odd, kind, monkeypatch):
    if kind == "fills the memory" and not sys.platform.startswith("linux"):
        pytest.skip("memory can be limited on Linux only")
    monkeypatch.setattr(harness, "SECONDS", 0.5)
    right = Right(function, lambda: {"value": 1.0})
    with limits():
        found = fault(right, float, {"value": odd})
    assert (found and found.kind) == kind
