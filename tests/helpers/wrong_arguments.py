"""Call a function with one or two wrong arguments, and say what is wrong with what it does then.

A right call is a function and a way to make its arguments (`Right`). Arguments are replaced by odd values (`ODD`). The
call may work, and give a result of the same kind, or raise an error *of ours*: of a type that is documented, by a
`raise` of the library, with a message that names the argument or the value.
"""

import contextlib
import dis
import math
import os
import random
import re
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import fooling_utils

LIBRARY = str(Path(fooling_utils.__file__).parent)
ALLOWED = (ValueError, TypeError, FileNotFoundError, ConnectionError, FloatingPointError, OSError)
SECONDS = 4  # for one call
GIGABYTES = 3  # more than the process has when the calls begin
HUGE = 10**9
# what a message may call an argument instead
ALSO = {
    "count": ["images"],
    "input_shape": ["channels"],
    "label": ["class"],
    "labels": ["class", "target"],
    "model": ["net"],
    "names": ["photograph"],
    "net": ["model"],
    "size": ["height"],
    "target": ["class"],
    "targets": ["class"],
}
# counts of rounds: a billion of them takes long, as one would think
ROUNDS = {"steps", "draws", "rounds", "evaluations", "generations", "epochs", "halvings", "tries"}


class Planted(Exception):
    """Raised by a function that is passed as an argument: the error of whoever wrote it."""


class Anything:
    """A type that can be made of anything, and is nothing."""

    def __init__(self, *_arguments, **_options):
        pass


def _raises(*_arguments, **_options):
    raise Planted("raised by the function that was passed")


def _image(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 + 0.4 * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


ODD: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "True": lambda: True,
    "'224'": lambda: "224",
    "''": lambda: "",
    "a lone surrogate": lambda: "\ud800",
    "a null byte": lambda: "a\0b",
    "an unknown name": lambda: "no such thing",
    "'cuda:99'": lambda: "cuda:99",
    "'tpu'": lambda: "tpu",
    "a file that is not there": lambda: Path("nothing") / "here.png",
    "bytes": lambda: b"abc",
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "7": lambda: 7,
    "1.5": lambda: 1.5,
    "-0.5": lambda: -0.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "1e300": lambda: 1e300,
    "10**9": lambda: HUGE,
    "10**30": lambda: 10**30,
    "10**400": lambda: 10**400,
    "2j": lambda: 2j,
    "[]": list,
    "[None]": lambda: [None],
    "['x']": lambda: ["x"],
    "[0.5]": lambda: [0.5],
    "[nan, 1, 2, 3]": lambda: [math.nan, 1, 2, 3],
    "[10**9, 10**9]": lambda: [HUGE, HUGE],
    "[[1], [1, 2]]": lambda: [[1], [1, 2]],
    "(1, 2)": lambda: (1, 2),
    "{}": dict,
    "{'a': 1}": lambda: {"a": 1},
    "{1}": lambda: {1},
    "an iterator": lambda: iter([1]),
    "an object": object,
    "a type": lambda: Anything,
    "float32": lambda: np.float32(0.5),
    "int64": lambda: np.int64(2),
    "an array of text": lambda: np.array(["a", "b"]),
    "an empty array": lambda: np.zeros(0),
    "an array": lambda: np.full((1, 3, 8, 8), 0.5, np.float32),
    "a tensor of a number": lambda: torch.tensor(0.5),
    "a tensor of labels": lambda: torch.tensor([1]),
    "a tensor of wrong labels": lambda: torch.tensor([-7]),
    "a tensor of trues": lambda: torch.ones(1, 3, 8, 8, dtype=torch.bool),
    "an empty tensor": lambda: torch.zeros(0, 3, 8, 8),
    "an image": lambda: _image(1, 3, 8, 8),
    "two images": lambda: _image(2, 3, 8, 8),
    "an image without batch": lambda: _image(3, 8, 8),
    "a grey image": lambda: _image(1, 1, 8, 8),
    "a larger image": lambda: _image(1, 3, 9, 11),
    "a vector": lambda: _image(5),
    "an image of uint8": lambda: torch.full((1, 3, 8, 8), 128, dtype=torch.uint8),
    "an image of float64": lambda: _image(1, 3, 8, 8).double(),
    "an image of half": lambda: _image(1, 3, 8, 8).half(),
    "a complex image": lambda: _image(1, 3, 8, 8) * 1j,
    "an image times 255": lambda: 255 * _image(1, 3, 8, 8),
    "an image of NaN": lambda: torch.full((1, 3, 8, 8), math.nan),
    "an image with a gradient": lambda: _image(1, 3, 8, 8).requires_grad_(),
    "an image on meta": lambda: torch.zeros(1, 3, 8, 8, device="meta"),
    "a sparse image": lambda: _image(1, 3, 8, 8).to_sparse(),
    "a network in training": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).train(),
    "a network": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval(),
    "a function that raises": lambda: _raises,
    "a function that gives None": lambda: lambda *_arguments, **_options: None,
    "a function that gives text": lambda: lambda *_arguments, **_options: "text",
    "a generator of numbers": lambda: torch.Generator(),
    "the device meta": lambda: torch.device("meta"),
}


class Right(NamedTuple):
    """A call that works: the function, its arguments, made anew for each call, and what to do with the result.

    use: from the result to what is compared; by default, the first two of an iterator, the rest as it is.
    free: arguments that may be anything. changes: arguments that the function is there to change.
    """

    function: Callable
    arguments: Callable[[], dict]
    use: Callable | None = None
    free: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()


class Fault(NamedTuple):
    """What a function does wrong: kind is one of a few words."""

    kind: str
    message: str


class TimeUp(BaseException):
    """A call took longer than `SECONDS`; nothing in the library catches this."""


# ------------------------------------------------------------------------------------------------------- one call


def result_of(right: Right, arguments: dict):
    result = right.function(**arguments)
    if isinstance(result, Iterator):
        result = list(islice(result, 2))
    return right.use(result) if right.use else result


def fault(right: Right, kind: type | None, wrong: Mapping[str, str]) -> Fault | None:
    """What is wrong with the call whose arguments are replaced by the `wrong` ones, {argument: name in `ODD`}.

    kind: the type of the right call's result; `None` where the right call raises.
    """
    arguments = right.arguments() | {name: ODD[odd]() for name, odd in wrong.items()}
    kept = {name: _copy(value) for name, value in arguments.items() if name not in right.changes}
    state = _global_state()
    found = None
    try:
        with _time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            inside = _filters()
            found = _fault_of_result(result_of(right, arguments), kind)
            if _filters() != inside:
                found = Fault("changes the state", "warnings")
    except TimeUp:
        return Fault("takes for ever", f"more than {SECONDS} s")
    except Exception as error:
        found = _fault_of_error(error, arguments, wrong, kind is None)
    if found is None:
        changed = [name for name, value in kept.items() if not _same(value, arguments[name])]
        if changed:
            return Fault("changes an argument", ", ".join(changed))
        after = _global_state()
        changed = [name for name in state if state[name] != after[name]]
        if changed:
            return Fault("changes the state", ", ".join(changed))
    return found


def _fault_of_result(result: object, kind: type | None) -> Fault | None:
    # by name, since each widget has a class of its own
    if kind is not None and kind.__name__ not in [one.__name__ for one in type(result).__mro__]:
        return Fault("another kind of result", f"{type(result).__name__}, not {kind.__name__}")
    if any(part.isnan().any() for part in _floats(result)):
        return Fault("silent NaN", "a result with values that are NaN")
    return None


def _floats(result: object, depth: int = 3) -> Iterator[Tensor]:
    if isinstance(result, (float, np.floating)):
        yield torch.tensor(float(result))
    elif isinstance(result, np.ndarray) and result.dtype.kind == "f":
        yield torch.from_numpy(result)
    elif isinstance(result, Tensor) and result.is_floating_point() and result.device.type != "meta":
        yield result.detach()
    elif isinstance(result, (list, tuple)) and depth:
        for part in result:
            yield from _floats(part, depth - 1)
    elif isinstance(result, dict) and depth:
        yield from _floats(list(result.values()), depth - 1)


def _fault_of_error(error: Exception, arguments: dict, wrong: Mapping[str, str], right_raises: bool) -> Fault | None:
    chain = error
    while chain is not None:
        if isinstance(chain, Planted):
            return None
        chain = chain.__cause__ or chain.__context__
    given = [arguments[name] for name in wrong]
    given = [one for one in given if isinstance(one, nn.Module)]
    inside = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(type(here) is type(one) for here in inside for one in given):
        return None  # inside the network, or its copy, that was passed where it does not belong
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:140]}"
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return Fault("fills the memory", text)
    if not isinstance(error, ALLOWED):
        return Fault("another type of error", text)
    if right_raises and isinstance(error, (ConnectionError, FileNotFoundError)):
        return None
    if isinstance(error, OSError) and error.filename is not None:
        return None
    if not _raised_by_us(error):
        return Fault("not an error of ours", text)
    if not any(_names(str(error), name, arguments[name]) for name in wrong):
        return Fault("names neither argument nor value", text)
    return None


def _raised_by_us(error: Exception) -> bool:
    """Whether the innermost frame is in the library, and at a `raise` rather than at a call into torch."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return code.co_filename.startswith(LIBRARY) and code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _names(message: str, name: str, value: object) -> bool:
    """Whether a message names the argument, in the singular or plural, or the value, its type or its shape."""
    hints = {name, name.rstrip("s"), *name.split("_"), type(value).__name__, *_shapes(value), *ALSO.get(name, [])}
    if len(text := repr(value)) > 1:
        hints |= {text[:40], str(value)[:40]} if "\ud800" not in str(value) else {text}
    elif re.search(rf"(?<![\w.]){re.escape(text)}(?![\w.])", message):
        return True
    if len(name) == 1 and re.search(rf"\b{name}\b", message):
        return True
    return any(len(hint) > 1 and hint.lower() in message.lower() for hint in hints)


def _shapes(value: object) -> list[str]:
    if not isinstance(value, (Tensor, np.ndarray)):
        return [repr(value[0])] if isinstance(value, (list, tuple)) and len(value) and value[0] is not None else []
    return [str(tuple(value.shape)), str(tuple(value.shape[1:])), str(value.dtype), "NaN", "image"]


# --------------------------------------------------------------------------------------- what must stay as it was


def _copy(value: object) -> object:
    if isinstance(value, nn.Module):
        state = {name: part.detach().clone() for name, part in value.state_dict().items() if isinstance(part, Tensor)}
        return state, [module.training for module in value.modules()]
    if isinstance(value, Tensor):
        return value.detach().clone(), value.requires_grad, value.grad is None
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple)):
        return [_copy(part) for part in value]
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return None


def _same(kept: object, value: object) -> bool:
    now = _copy(value)
    if isinstance(kept, dict) and isinstance(now, dict):
        return kept.keys() == now.keys() and all(_equal(kept[key], now[key]) for key in kept)
    return _equal(kept, now)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        if one.device.type == "meta" or one.layout != torch.strided:
            return True
        return one.shape == other.shape and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return one == other


def _filters() -> int:
    return len(warnings.filters)


def _global_state() -> dict[str, object]:
    return {
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "random numbers of torch": hash(torch.get_rng_state().numpy().tobytes()),
        "random numbers of numpy": hash(np.random.get_state()[1].tobytes()),  # noqa: NPY002
        "random numbers of python": hash(random.getstate()),
        "default type": torch.get_default_dtype(),
        "default device": str(torch.get_default_device()) if hasattr(torch, "get_default_device") else "",
        "threads": torch.get_num_threads(),
        "folder": os.getcwd(),
    }


# ------------------------------------------------------------------------------------------------------- limits


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def stop(*_signal) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """An empty folder to work in, and little memory, where the system can limit it (Linux)."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, _memory_limit():
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)


@contextlib.contextmanager
def _memory_limit() -> Iterator[None]:
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + GIGABYTES * 10**9, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


# ---------------------------------------------------------------------------------------------------- many calls


def kind_of(right: Right) -> type | None:
    """The type of what the right call gives; `None` if it raises one of the allowed errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = result_of(right, right.arguments())
        except (ConnectionError, FileNotFoundError):
            return None
    return type(result)


def singles(right: Right) -> list[dict[str, str]]:
    """Every way to replace one argument."""
    return [
        {name: odd}
        for name in right.arguments()
        if name not in right.free
        for odd in ODD
        if not (odd == "10**9" and name in ROUNDS)
    ]


def pairs(right: Right, count: int, seed: int = 0) -> list[dict[str, str]]:
    """Some ways to replace two arguments at once."""
    single, source = singles(right), random.Random(seed)
    two = [source.choice(single) | source.choice(single) for _ in range(count if single else 0)]
    return [wrong for wrong in two if len(wrong) == 2]


def _surely(right: Right, kind: type | None, wrong: Mapping[str, str]) -> Fault | None:
    """`fault`, asked again where the time was up: another program may have had the processor."""
    found = fault(right, kind, wrong)
    return fault(right, kind, wrong) if found and found.kind == "takes for ever" else found


def faults(right: Right, tries: Sequence[dict[str, str]]) -> list[tuple[dict[str, str], Fault]]:
    """The faults of a function among these tries."""
    with limits():
        kind = kind_of(right)
        found = [(wrong, _surely(right, kind, wrong)) for wrong in tries]
    return [(wrong, one) for wrong, one in found if one]
