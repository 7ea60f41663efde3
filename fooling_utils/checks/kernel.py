"""A separate kernel that runs what a student wrote, cell by cell, with limits of time and memory, and judges it."""

import inspect
import queue
import re
import secrets
import subprocess
import time
from typing import Any

from jupyter_client import KernelManager

HANGS, CRASHES, TAMPERED, ABSENT = "hangs", "crashes", "tampered", "absent"
WAKE = 3.0  # seconds that an interrupted kernel has to answer
START = 120.0  # seconds for importing the course
LONGEST = 5000  # characters that are kept of an answer in words
PLACE = re.compile(r"Cell In\[\d+\], line (\d+)")


# ----------------------------------------------------------------------------------------------- inside the kernel


def everything() -> None:
    """Import all that the doors offer, so that `snapshot` sees it before a notebook can replace it."""
    import torchvision  # noqa: F401  it replaces functions of torch

    import fooling_utils.checks

    for door in (fooling_utils, fooling_utils.checks):
        for name in door.__all__:
            vars(door)[name] = getattr(door, name)


def snapshot() -> dict:
    """What a notebook must not change: the functions of the checks, the library and torch, as they are now."""
    import builtins
    import sys
    import types

    import torch

    import fooling_utils.checks

    functions = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)
    owners = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "fooling_utils"}
    owners |= {"torch": torch, "torch.Tensor": torch.Tensor, "builtins": builtins}
    kept = {("modules", name): id(sys.modules.get(name)) for name in owners}
    classes = {
        f"{name}.{key}": value
        for name, owner in owners.items()
        if name.startswith("fooling_utils")
        for key, value in vars(owner).items()
        if isinstance(value, type) and value.__module__.startswith("fooling_utils")
    }
    for name, owner in (owners | classes).items():
        for key, value in vars(owner).items():
            if isinstance(value, (*functions, type)) and (name, key) != ("torch", "Storage"):  # set_default_dtype
                kept[name, key] = (id(value), id(getattr(value, "__code__", None)))
    exercises = fooling_utils.checks.EXERCISES
    return kept | {("exercises", number): (id(type(entry)), *entry) for number, entry in exercises.items()}


def changes(then: dict) -> list[str]:
    """The names of what is no longer as it was, such as "torch.Tensor.clamp"."""
    import torch

    now = snapshot()
    # A new method of tensors is no harm, unless it hides one that they inherit.
    new = [key for key in now if key[0] == "torch.Tensor" and key not in then]
    new = [key for key in new if any(key[1] in vars(base) for base in torch.Tensor.__mro__[1:])]
    return sorted(".".join(key) for key in [*then, *new] if now.get(key) != then.get(key))


def begin(memory: int) -> None:
    """Limit the memory to so many bytes (0: no limit), and make `exit()` end the cell instead of the kernel.

    To load a module of the course again changes nothing, so that it does not look like tampering.
    """
    import importlib

    from IPython import get_ipython

    load = importlib.reload

    def reload(module: Any) -> Any:
        return module if module.__name__.partition(".")[0] == "fooling_utils" else load(module)

    importlib.reload = reload

    def leave(*code: object) -> None:
        raise SystemExit("it calls exit() or quit(), which ends the program")

    get_ipython().user_ns.update(exit=leave, quit=leave)
    get_ipython().ask_exit = leave  # what they call, and what `%reset` puts back
    if memory:
        import resource

        for limit in (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE):
            resource.setrlimit(limit, (memory, memory))


def verdict(number: str, function: str, longest: int) -> dict[str, Any]:
    """Judge one exercise: result, message, and whether the answer is at least of the right kind."""
    from IPython import get_ipython

    from fooling_utils.checks import judge

    space = get_ipython().user_ns
    if function not in space:
        return {"result": "absent", "message": f"the notebook defines no {function}", "fits": False}
    answer = space[function]
    try:
        _, result, message = judge(number, answer)
    except BaseException as error:
        result, message = "wrong", f"it stops with {type(error).__name__}"
    if result == "answered":  # for the person who reads it
        message = answer.strip()
        if len(message) > longest:
            message = f"{message[:longest]} ... (cut after {longest} characters)"
    message = message.encode("utf-8", "replace").decode()
    return {"result": result, "message": message, "fits": callable(answer) or isinstance(answer, str)}


def grade(kind: str, number: str, function: str, longest: int, then: dict) -> None:
    """Show the verdict on one exercise, as data of type `kind`."""
    from IPython.display import display

    found = verdict(number, function, longest)
    if changed := changes(then):
        found |= {"result": "tampered", "message": "it replaces " + ", ".join(changed[:3])}
    display({kind: found}, raw=True)


# --------------------------------------------------------------------------------------------- outside, looking at it


class Kernel:
    """A kernel in the folder `folder`, which runs one piece of code after another.

    memory: bytes that it may take, where the system can limit that; 0 for no limit. Raises RuntimeError if the course
    cannot be imported there.
    """

    def __init__(self, folder: str, memory: int = 0):
        self.lost = ""  # why the kernel can no longer be used: "hangs" or "crashes"
        self.kind, self.home = f"application/x-grade-{secrets.token_hex(8)}", f"_grade_{secrets.token_hex(8)}"
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        try:
            self._set_up(memory)
        except BaseException:
            self.close()
            raise

    def _set_up(self, memory: int) -> None:
        # In a module of its own with a name that nobody knows, so that the notebook's names stay as they were.
        code = "\n\n".join(inspect.getsource(part) for part in (everything, snapshot, changes, begin, verdict, grade))
        code = f"from typing import Any\n\n{code}\neverything()\nthen = snapshot()\nbegin({memory})"
        module = f"__import__('sys').modules.setdefault({self.home!r}, __import__('types').ModuleType({self.home!r}))"
        _, problem = self.run(f"exec({code!r}, {module}.__dict__)", START)
        if problem:
            raise RuntimeError(f"the course cannot be imported there: {problem}")

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, source: str, timeout: float) -> tuple[list[dict], str]:
        """Run code for at most `timeout` seconds.

        Returns what it displays for us, and what went wrong: an error's text, "hangs", "crashes" or nothing.
        """
        if self.lost:
            return [], self.lost
        shown, problem, deadline = [], "", time.monotonic() + timeout
        request = self.client.execute(source, store_history=False, allow_stdin=False)
        replied = False
        while time.monotonic() < deadline:
            try:
                message = self.client.get_iopub_msg(timeout=min(1, max(deadline - time.monotonic(), 0.01)))
            except queue.Empty:
                if not self.manager.is_alive():
                    self.lost = CRASHES
                    return shown, CRASHES
                if replied:  # after a flood of output, the message that it is idle may be lost
                    return shown, problem
                replied = self._has_reply(request)
                continue
            if message["parent_header"].get("msg_id") != request:
                continue  # from code that ran earlier
            kind, content = message["msg_type"], message["content"]
            if kind == "display_data" and self.kind in content["data"]:
                shown.append(content["data"][self.kind])
            elif kind == "error":
                problem = _problem(content)
            elif kind == "status" and content["execution_state"] == "idle":
                return shown, problem
        # Most code stops when it is interrupted, and then the exercises after it still count.
        self.manager.interrupt_kernel()
        if timeout != WAKE and self.run("pass", WAKE)[1]:
            self.lost = HANGS
        return shown, HANGS

    def _has_reply(self, request: str) -> bool:
        try:
            while True:
                if self.client.get_shell_msg(timeout=0)["parent_header"].get("msg_id") == request:
                    return True
        except queue.Empty:
            return False

    def judge(self, number: str, function: str, timeout: float) -> dict[str, Any]:
        """The verdict on the answer to exercise `number`, the value of `function`: result, message, fits."""
        code = f"__import__('sys').modules[{self.home!r}].grade({self.kind!r}, {number!r}, {function!r}, {LONGEST}, "
        shown, problem = self.run(f"{code}__import__('sys').modules[{self.home!r}].then)", timeout)
        if problem in (HANGS, CRASHES):
            return {"result": problem, "message": f"it {told(problem, timeout)}", "fits": True}
        if len(shown) > 1:
            return {"result": TAMPERED, "message": f"the check gave {len(shown)} results instead of one", "fits": True}
        if not shown:
            message = f"its check could not be run: {problem or 'it gave no result'}"
            return {"result": CRASHES, "message": message, "fits": True}
        return shown[0]


def told(problem: str, timeout: float) -> str:
    """What went wrong with a piece of code, as the end of a sentence."""
    sentences = {HANGS: f"did not finish within {timeout:g} s", CRASHES: "crashes the kernel"}
    return sentences.get(problem, f"stops with {problem}")


def _problem(content: dict) -> str:
    value = content["evalue"].strip() or "no message"
    if content["ename"] == "StdinNotImplementedError":
        value = "it calls input(), and nobody is there to answer"
    lines = PLACE.findall("\n".join(re.sub(r"\x1b\[[\d;]*m", "", line) for line in content.get("traceback", [])))
    return f"{content['ename']}: {value}" + (f" (in line {lines[0]})" if lines else "")
