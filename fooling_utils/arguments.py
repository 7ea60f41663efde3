"""Checks of arguments that many functions share, so that one mistake has one message.

Every error names the argument, the value and what it should be. A check costs microseconds, so it belongs at
the start of a call and not in a loop. torch is imported by the checks that need it: the lecture's server needs others,
and torch takes half a gigabyte.
"""

import math
import operator
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sized
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MOST = 1_000_000_000  # of anything that is counted: what is larger is a mistake
LARGEST = 1e15  # of a size or a factor: its square is still a number in float32


def _is_tensor(value: object) -> bool:
    # where nobody has imported torch, nothing is
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def shown(value: object) -> str:
    """A value as a message shows it: short, on one line, and a tensor or an array by its shape."""
    shape = getattr(value, "shape", None)
    if (type(shape) is tuple or _is_tensor(value)) and len(shape):
        return f"{'a tensor' if _is_tensor(value) else 'an array'} of shape {tuple(shape)} ({value.dtype})"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:60]} ... ({type(value).__name__})"


def whole(least: int = 1, most: float = math.inf, /, **values: object) -> None:
    """Raise ValueError unless every named value is a whole number from `least` to `most`."""
    for name, value in values.items():
        try:
            fits = not isinstance(value, bool) and least <= operator.index(value) <= most
        except (TypeError, RuntimeError):
            fits = False
        if not fits:
            limits = f"and at least {least}" if most == math.inf else f"from {least} to {most}"
            raise ValueError(f"{name} must be a whole number {limits}, got {shown(value)}")
        if most == math.inf and value > MOST:
            raise ValueError(f"{name} must be at most {MOST}, got {shown(value)}")


def _number(value: object) -> float:
    """A value as a float; NaN, which lies in no range, for anything that is not a single number."""
    if isinstance(value, (bool, str, bytes)) or getattr(value, "ndim", 0):
        return math.nan
    try:
        return value.item() if _is_tensor(value) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan


def between(low: float, high: float, /, **values: object) -> None:
    """Raise ValueError unless every named value is a number from `low` to `high`."""
    for name, value in values.items():
        if not low <= _number(value) <= high:
            limits = f"and at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
            raise ValueError(f"{name} must be a number {limits}, got {shown(value)}")


def positive(**values: object) -> None:
    """Raise ValueError unless every named value is a number greater than 0 that a calculation can take."""
    for name, value in values.items():
        if not _number(value) > 0:
            raise ValueError(f"{name} must be greater than 0, got {shown(value)}")
        finite(**{name: value})


def finite(**values: object) -> None:
    """Raise ValueError unless every named value is a number that a calculation can take: finite, and not huge."""
    for name, value in values.items():
        if not abs(_number(value)) <= LARGEST:
            raise ValueError(f"{name} must be a finite number, got {shown(value)}")


def flag(**values: object) -> None:
    """Raise ValueError unless every named value is true or false; 1 and 0 will do."""
    for name, value in values.items():
        if not (isinstance(value, (bool, np.bool_)) or (isinstance(value, int) and value in (0, 1))):
            raise ValueError(f"{name} must be True or False, got {shown(value)}")


def one_of(choices: object, /, **values: object) -> None:
    """Raise ValueError unless every named value is one of `choices`."""
    for name, value in values.items():
        if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {shown(value)}")


# where a thing of a kind comes from
FROM = {
    "Archive": "use evolve(...) or load_archive(path)",
    "Classifier": "use load_model() or Classifier(net, labels, input_shape)",
    "Encoding": "use direct(...) or cppn(...)",
    "RegionMap": "use region_map(...) or refine_map(...)",
}


def instance(kind: type | tuple[type, ...], /, **values: object) -> None:
    """Raise TypeError unless every named value is of this kind, or of one of these kinds."""
    for name, value in values.items():
        if not isinstance(value, kind):
            wanted = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
            article = "an" if wanted[0] in "AEIOaeio" else "a"
            way = f": {FROM[wanted]}" if wanted in FROM else ""
            raise TypeError(f"{name} must be {article} {wanted}, got {shown(value)}{way}")


def function(*, optional: bool = False, **values: object) -> None:
    """Raise TypeError unless every named value is a function; `None` passes where it is `optional`."""
    for name, value in values.items():
        if not (callable(value) or (optional and value is None)):
            raise TypeError(f"{name} must be a function{' or None' if optional else ''}, got {shown(value)}")


def several(**values: object) -> None:
    """Raise TypeError unless every named value is a list, a tuple or the like, with at least one member."""
    for name, value in values.items():
        listed = isinstance(value, Sized) and isinstance(value, Iterable) and getattr(value, "ndim", 1)
        if not listed or isinstance(value, (str, bytes, Mapping)):
            raise TypeError(f"{name} must be a list, got {shown(value)}: write [...] around a single one")
        if not len(value):
            raise ValueError(f"{name} is empty: give at least one")


def by_name(kind: type | tuple[type, ...] = object, /, **values: object) -> None:
    """Raise unless every named value is a dictionary with at least one entry, and its values are of this kind."""
    for name, value in values.items():
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a dictionary {{name: ...}}, got {shown(value)}")
        if not value:
            raise ValueError(f"{name} is empty: give at least one")
        instance(kind, **{f"{name}[{key!r}]": one for key, one in value.items()})


def dictionaries(**values: object) -> None:
    """Raise TypeError unless every named value is a list of dictionaries, such as the presets of a widget."""
    for name, value in values.items():
        instance((list, tuple), **{name: value})
        for one in value:
            instance(Mapping, **{f"each of {name}": one})


def interval(**values: object) -> None:
    """Raise ValueError unless every named value is two numbers, the first smaller, or `None` for no limits."""
    for name, value in values.items():
        pair = list(value) if isinstance(value, (tuple, list)) and len(value) == 2 else [math.nan]
        low, high = _number(pair[0]), _number(pair[-1])
        if value is not None and not low < high:
            raise ValueError(f"{name} must be two numbers (low, high), or None for no limits, got {shown(value)}")


def numbers(**values: object) -> None:
    """Raise ValueError unless every named value is a list of finite numbers, with at least one."""
    for name, value in values.items():
        several(**{name: value})
        for one in value:
            finite(**{f"each of {name}": one})


def tensors(**values: object) -> None:
    """Raise TypeError unless every named value is a tensor of floats; ValueError if it is empty, NaN or infinite."""
    import torch

    for name, value in values.items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            raise TypeError(f"{name} must be a tensor of floats, got {shown(value)}: use torch.tensor(...).float()")
        if value.layout != torch.strided:
            raise TypeError(f"{name} is a sparse tensor: use {name}.to_dense()")
        if value.device.type == "meta":
            raise ValueError(f"{name} is on the device 'meta', which holds no numbers: use the CPU or a GPU")
        if not value.numel():
            raise ValueError(f"{name} is empty: its shape is {tuple(value.shape)}")
        if not value.isfinite().all():
            raise ValueError(f"{name} has values that are NaN or infinite")


def affordable(numbers: int, what: str) -> None:
    """Raise ValueError if so many numbers (float32) would fill the memory of a computer with 8 GB."""
    if numbers > 2**31:
        raise ValueError(f"{what} would take {4 * numbers / 1e9:.3g} GB of memory: choose fewer or smaller ones")


def file_path(**values: object) -> None:
    """Raise TypeError unless every named value can be the path of a file, and ValueError if it cannot be written."""
    for name, value in values.items():
        if not isinstance(value, (str, os.PathLike)):
            raise TypeError(f"{name} must be the path of a file, got {shown(value)}")
        try:
            fits = bool(os.fspath(value)) and b"\0" not in os.fsencode(value)
        except (UnicodeEncodeError, TypeError):
            fits = False
        if not fits:
            raise ValueError(f"{name} must be the path of a file, got {shown(value)}")


def seeded(seed: object, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A generator with this seed, on a device; ValueError for anything but a whole number of at most 64 bits."""
    import torch

    try:
        fits = not isinstance(seed, bool) and -(2**63) <= operator.index(seed) < 2**64
    except (TypeError, RuntimeError):
        fits = False
    if not fits:
        raise ValueError(f"seed must be a whole number, such as 0, of at most 64 bits, got {shown(seed)}")
    return torch.Generator(device).manual_seed(operator.index(seed))


def usable_device(device: object = None) -> "torch.device":
    """This device, if tensors can be put on it; by default a CUDA GPU if there is one, else the CPU."""
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.empty(0, device=device if isinstance(device, (str, torch.device)) else "unknown").device
    except (RuntimeError, AssertionError, ImportError, ValueError, TypeError):  # torch raises many kinds
        found = torch.device("meta")
    if found.type == "meta":  # its tensors hold no numbers
        raise ValueError(f"device must be one that this computer has, got {shown(device)}: use 'cpu', or leave it out")
    return found


def evaluating(**values: object) -> None:
    """Raise TypeError unless every named value is a network, and ValueError if a part of it is in training mode."""
    from torch import nn

    for name, value in values.items():
        if not isinstance(value, nn.Module):
            raise TypeError(f"{name} must be a network (nn.Module), got {shown(value)}")
        modes = ((part, module) for part, module in value.named_modules() if getattr(module, "training", False))
        for part, module in modes:
            where = f": its part {part!r} ({type(module).__name__})" if part else ""
            raise ValueError(
                f"{name} is in training mode{where}, where its output changes from call to call: "
                f"call {name}.eval() first"
            )


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the caller that is not ours, however deep inside the library this is found."""
    frame, depth = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("fooling_utils"):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, category, stacklevel=depth)
