"""Numbers that a function cannot work with, and what is said of them."""

import math

import numpy as np
import pytest
import torch

from fooling_utils.arguments import between, one_of, positive, whole


@pytest.mark.parametrize(
    "check",
    [
        lambda: whole(steps=1, size=np.int64(7)),
        lambda: whole(0, steps=0),
        lambda: whole(2, 3, steps=2, size=torch.tensor(3)),
        lambda: between(0, 1, share=0, x=1, y=0.5),
        lambda: between(1, math.inf, scale=1e9),
        lambda: positive(rate=1e-9, size=3),
        lambda: one_of((17, 33), size=33, wide=17),
        lambda: one_of({"a": 1, "b": 2}, name="b"),
    ],
)
def test_what_is_as_asked_passes(check):
    assert check() is None


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: whole(steps=0), "steps must be a whole number and at least 1, got 0"),
        (lambda: whole(steps=1, count=-3), "count must be a whole number and at least 1, got -3"),
        (lambda: whole(0, steps=2.5), "steps must be a whole number and at least 0, got 2.5"),
        (lambda: whole(1, 9, steps=10), "steps must be a whole number from 1 to 9, got 10"),
        (lambda: whole(steps=True), "steps must be a whole number and at least 1, got True"),
        (lambda: whole(steps="3"), "steps must be a whole number and at least 1, got '3'"),
        (lambda: whole(steps=None), "steps must be a whole number and at least 1, got None"),
        (lambda: between(0, 1, x=0.5, y=1.01), "y must be a number from 0 to 1, got 1.01"),
        (lambda: between(0, 1, x=math.nan), "x must be a number from 0 to 1, got nan"),
        (lambda: between(0, math.inf, x=-1), "x must be a number and at least 0, got -1"),
        (lambda: between(0, 1, x=True), "x must be a number from 0 to 1, got True"),
        (lambda: between(0, 1, x="0.5"), "x must be a number from 0 to 1, got '0.5'"),
        (lambda: positive(rate=0), "rate must be greater than 0, got 0"),
        (lambda: positive(rate=math.nan), "rate must be greater than 0, got nan"),
        (lambda: positive(rate=1, size=-0.1), "size must be greater than 0, got -0.1"),
        (lambda: one_of((17, 33), size=18), "size must be one of 17, 33, got 18"),
        (lambda: one_of({"a": 1, "b": 2}, name="c"), "name must be one of a, b, got 'c'"),
    ],
)
def test_the_first_value_that_is_not_is_named_with_what_it_should_be(check, message):
    with pytest.raises(ValueError) as error:
        check()
    assert str(error.value) == message
