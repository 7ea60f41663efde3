"""Numbers that a function cannot work with, and what is said of them."""

import math
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch

from fooling_utils.arguments import (
    affordable,
    between,
    by_name,
    file_path,
    finite,
    flag,
    function,
    instance,
    interval,
    numbers,
    one_of,
    positive,
    seeded,
    several,
    tensors,
    usable_device,
    whole,
)


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
        lambda: between(0, math.inf, radius=math.inf),
        lambda: positive(rate=torch.tensor(0.5), size=np.float32(2)),
        lambda: flag(squared=True, symmetric=np.False_, percent=1),
        lambda: finite(mean=-0.5, decay=torch.tensor(1.3)),
        lambda: instance((int, str), label="ostrich", index=3),
        lambda: function(decode=math.sin),
        lambda: function(optional=True, view=None, decode=math.sin),
        lambda: several(labels=["ostrich"], places=(1, 2), values=np.zeros(3), classes=torch.zeros(2)),
        lambda: several(names={"a": 1}.keys(), series=pd.Series([1])),
        lambda: by_name(float, marks={"a": 0.5}),
        lambda: interval(bounds=(0, 1), limits=None, both=[-1.5, math.inf]),
        lambda: numbers(values=np.arange(3), others=torch.arange(2), more=[0, 1.5]),
        lambda: tensors(gradient=torch.zeros(1), genome=torch.zeros(2, 2, dtype=torch.float64)),
        lambda: affordable(64 * 3 * 2000 * 2000, "64 images of 2000 x 2000 pixels"),
        lambda: file_path(path="a.png", other=pathlib.Path("b.npz")),
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
        (lambda: one_of(("a", "b"), name=["a"]), "name must be one of a, b, got ['a']"),
        (
            lambda: one_of((1, 2), size=torch.ones(2)),
            "size must be one of 1, 2, got a tensor of shape (2,) (torch.float32)",
        ),
        (
            lambda: whole(steps=torch.ones(2)),
            "steps must be a whole number and at least 1, got a tensor of shape (2,) (torch.float32)",
        ),
        (lambda: whole(steps=10**30), f"steps must be at most 1000000000, got {10**30}"),
        (lambda: between(0, 1, x=np.zeros(2)), "x must be a number from 0 to 1, got an array of shape (2,) (float64)"),
        (lambda: between(0, 1, x=1j), "x must be a number from 0 to 1, got 1j"),
        (lambda: positive(rate="0.1"), "rate must be greater than 0, got '0.1'"),
        (lambda: positive(rate=None), "rate must be greater than 0, got None"),
        (lambda: positive(rate=math.inf), "rate must be a finite number, got inf"),
        (lambda: finite(mean=math.nan), "mean must be a finite number, got nan"),
        (lambda: finite(mean=10**400), f"mean must be a finite number, got {str(10**400)[:60]} ... (int)"),
        (lambda: positive(rate=1e300), "rate must be a finite number, got 1e+300"),
        (lambda: flag(squared="no"), "squared must be True or False, got 'no'"),
        (lambda: flag(squared=None), "squared must be True or False, got None"),
        (lambda: several(labels=[]), "labels is empty: give at least one"),
        (lambda: interval(bounds=(1, 0)), "bounds must be two numbers (low, high), or None for no limits, got (1, 0)"),
        (lambda: interval(bounds=3), "bounds must be two numbers (low, high), or None for no limits, got 3"),
        (lambda: by_name(maps={}), "maps is empty: give at least one"),
        (lambda: numbers(values=["a"]), "each of values must be a finite number, got 'a'"),
        (
            lambda: numbers(values=torch.zeros(1, 2)),
            "each of values must be a finite number, got a tensor of shape (2,) (torch.float32)",
        ),
        (lambda: tensors(gradient=torch.zeros(0)), "gradient is empty: its shape is (0,)"),
        (lambda: tensors(gradient=torch.full((2,), math.nan)), "gradient has values that are NaN or infinite"),
        (
            lambda: tensors(gradient=torch.zeros(2, device="meta")),
            "gradient is on the device 'meta', which holds no numbers: use the CPU or a GPU",
        ),
        (lambda: affordable(10**10, "10 images"), "10 images would take 40 GB of memory: choose fewer or smaller ones"),
        (lambda: file_path(path=""), "path must be the path of a file, got ''"),
        (lambda: file_path(path="a\0b"), r"path must be the path of a file, got 'a\x00b'"),
        (lambda: file_path(path="\ud800"), r"path must be the path of a file, got '\ud800'"),
        (lambda: seeded("0"), "seed must be a whole number, such as 0, of at most 64 bits, got '0'"),
        (lambda: seeded(2**64), f"seed must be a whole number, such as 0, of at most 64 bits, got {2**64}"),
        (
            lambda: usable_device("tpu"),
            "device must be one that this computer has, got 'tpu': use 'cpu', or leave it out",
        ),
        (
            lambda: usable_device("cuda:99"),
            "device must be one that this computer has, got 'cuda:99': use 'cpu', or leave it out",
        ),
        (lambda: usable_device(7), "device must be one that this computer has, got 7: use 'cpu', or leave it out"),
        (
            lambda: usable_device("meta"),
            "device must be one that this computer has, got 'meta': use 'cpu', or leave it out",
        ),
    ],
)
def test_the_first_value_that_is_not_is_named_with_what_it_should_be(check, message):
    with pytest.raises(ValueError) as error:
        check()
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: instance(str, name=3), "name must be a str, got 3"),
        (
            lambda: instance((int, str), label=None),
            "label must be an int or str, got None",
        ),
        (lambda: by_name(maps=[1]), "maps must be a dictionary {name: ...}, got [1]"),
        (lambda: by_name(str, titles={"a": 3}), "titles['a'] must be a str, got 3"),
        (lambda: numbers(values=7), "values must be a list, got 7: write [...] around a single one"),
        (lambda: function(decode="x"), "decode must be a function, got 'x'"),
        (lambda: function(optional=True, view=3), "view must be a function or None, got 3"),
        (lambda: several(labels="robin"), "labels must be a list, got 'robin': write [...] around a single one"),
        (lambda: several(labels=3), "labels must be a list, got 3: write [...] around a single one"),
        (
            lambda: several(labels=torch.tensor(3)),
            "labels must be a list, got tensor(3): write [...] around a single one",
        ),
        (
            lambda: tensors(gradient=[1.0]),
            "gradient must be a tensor of floats, got [1.0]: use torch.tensor(...).float()",
        ),
        (
            lambda: tensors(gradient=torch.ones(2, dtype=torch.int64)),
            "gradient must be a tensor of floats, got a tensor of shape (2,) (torch.int64): "
            "use torch.tensor(...).float()",
        ),
        (lambda: tensors(gradient=torch.ones(2).to_sparse()), "gradient is a sparse tensor: use gradient.to_dense()"),
        (lambda: file_path(path=3), "path must be the path of a file, got 3"),
        (lambda: file_path(path=b"a"), "path must be the path of a file, got b'a'"),
    ],
)
def test_what_is_of_another_kind_is_named_with_what_it_should_be(check, message):
    with pytest.raises(TypeError) as error:
        check()
    assert str(error.value) == message


def test_a_seed_gives_the_generator_of_torch():
    for seed in (0, -1, 7, 2**64 - 1, np.int64(3), torch.tensor(4)):
        assert seeded(seed).get_state().equal(torch.Generator().manual_seed(int(seed)).get_state())


def test_a_device_is_returned_as_torch_names_it():
    assert usable_device() == usable_device("cpu") == usable_device(torch.device("cpu")) == torch.device("cpu")
