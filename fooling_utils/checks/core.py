"""What all checks share: calling a student's function, comparing what it returns, following a loop step by step.

A check never raises: whatever the answer does, there is a verdict. It uses small images and a small network, so it
takes less than a second. Its messages say what is wrong in the student's terms, and never what the right answer is.
"""

import dis
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..models import Classifier
from ..objectives import Label, Objective
from ..optimize import last, optimize_pixels
from ..steps import Step, sign_step, unit_step


class Wrong(Exception):
    """What is wrong with an answer, in the student's terms."""


class NotAttempted(Exception):
    """The answer is still the stub."""


class Answer:
    """A student's function. An error in a call, a changed argument or a missing result becomes a message."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function; raise NotAttempted for a stub, and Wrong for an error, a changed argument or no result."""
        before = [argument.detach().clone() if isinstance(argument, Tensor) else argument for argument in arguments]
        tracked = [isinstance(argument, Tensor) and argument.requires_grad for argument in arguments]
        try:
            result = self.function(*arguments)
        except (Exception, SystemExit) as error:
            if self._has_a_gap() or (isinstance(error, NotImplementedError) and self._is_the_stub_of_nbgrader()):
                raise NotAttempted from None
            raise Wrong(f"it stops with {type(error).__name__}: {first_line(error)}{self._place(error)}") from None
        if result is Ellipsis or (isinstance(result, tuple) and any(part is Ellipsis for part in result)):
            raise NotAttempted
        for number, (old, new) in enumerate(zip(before, arguments, strict=True)):
            if not isinstance(old, Tensor):
                continue
            if not torch.equal(old, new.detach()):
                raise Wrong(
                    f"it changes {self._name(number)}, which belongs to the caller, in place: make a new tensor"
                )
            if new.requires_grad and not tracked[number]:
                raise Wrong(
                    f"it switches on gradients for {self._name(number)}, which belongs to the caller: use a copy"
                )
        if result is None:
            raise Wrong("it returns nothing: is there a `return` at its end?")
        return result

    def _has_a_gap(self) -> bool:
        """Whether a `...` is kept or returned. As an index, as in `image[..., 0:2]`, it is no gap."""
        code = getattr(self.function, "__code__", None)
        steps = list(dis.get_instructions(code)) if code else []
        at = [i for i, step in enumerate(steps) if step.argval is Ellipsis]
        uses = [steps[i].opname if steps[i].opname == "RETURN_CONST" else steps[i + 1].opname for i in at]
        return any(use.startswith(("STORE_FAST", "STORE_DEREF", "STORE_GLOBAL", "UNPACK_", "RETURN_")) for use in uses)

    def _is_the_stub_of_nbgrader(self) -> bool:
        # It raises the error by name; torch and input() have errors of that kind, too.
        return "NotImplementedError" in getattr(getattr(self.function, "__code__", None), "co_names", ())

    def _name(self, number: int) -> str:
        code = getattr(self.function, "__code__", None)
        names = code.co_varnames[: code.co_argcount] if code else ()
        return f"its argument `{names[number]}`" if number < len(names) else f"its argument number {number + 1}"

    def _place(self, error: BaseException) -> str:
        # The deepest line of the student's own function, counted from its `def`, as they see it.
        code = getattr(self.function, "__code__", None)
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame in frames]
        return f" (in line {lines[-1] - code.co_firstlineno + 1} of your function)" if lines else ""


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).strip().splitlines()), "no message")[:200]


# ------------------------------------------------------------------------------------------------ what checks ask


def shape_of(images: Tensor | Sequence[int]) -> tuple[int, ...]:
    """The shape as a plain tuple, for messages."""
    return tuple(images.shape) if isinstance(images, Tensor) else tuple(images)


def tensor(result: Any, shape: Sequence[int], name: str = "your result") -> Tensor:
    """Return `result` if it is a finite float tensor of this shape, or say what it is instead."""
    if not isinstance(result, Tensor):
        raise Wrong(f"{name} should be a tensor of shape {tuple(shape)}, but it is of type {type(result).__name__}")
    if shape_of(result) != tuple(shape):
        batch = " (the first dimension is the batch: one result per image)" if len(result.shape) < len(shape) else ""
        raise Wrong(f"{name} should have the shape {tuple(shape)}, but it has {shape_of(result)}{batch}")
    if not result.is_floating_point():
        raise Wrong(f"{name} should hold floats, but it holds {str(result.dtype).removeprefix('torch.')}")
    if not result.isfinite().all():
        raise Wrong(f"{name} holds nan or infinity: do you divide by zero, or take the logarithm of zero?")
    if result.grad_fn is not None:
        raise Wrong(f"{name} is still attached to its graph, which keeps every step in memory: `detach()` it")
    if result.requires_grad:
        raise Wrong(f"{name} still asks for a gradient (its `requires_grad` is True): `detach()` it")
    return result.detach()


def number(result: Any, name: str = "your result") -> float:
    """Return `result` as a float if it is one number, or say what it is instead."""
    if isinstance(result, Tensor) and result.numel() == 1:
        result = result.item()
    if isinstance(result, bool) or not hasattr(result, "__float__") or isinstance(result, Tensor):
        what = f"a tensor of shape {shape_of(result)}" if isinstance(result, Tensor) else type(result).__name__
        raise Wrong(f"{name} should be one number, but it is {what}")
    return float(result)


def legal(image: Tensor) -> Tensor:
    """Return `image` if its values are in [0, 1], or say which are not."""
    low, high = (value.item() for value in image.aminmax())
    if low < -1e-6:
        raise Wrong(f"your result leaves [0, 1]: its smallest value is {low:.3f}")
    if high > 1 + 1e-6:
        raise Wrong(f"your result leaves [0, 1]: its largest value is {high:.3f}")
    return image


def is_close(result: Tensor | float, other: Tensor | float, tolerance: float = 1e-4) -> bool:
    """Whether two results agree to `tolerance`, relative to the larger values of `other`."""
    result, other = torch.as_tensor(result), torch.as_tensor(other)
    if result.shape != other.shape:
        return False
    scale = max(other.abs().max().item(), 1e-6)
    return bool(((result - other).abs() <= tolerance * scale).all())


def compare(
    result: Tensor | float,
    right: Tensor | float,
    mistakes: Mapping[str, Tensor | float] | None = None,
    message: str = "the values are wrong",
    tolerance: float = 1e-4,
) -> None:
    """Raise Wrong unless `result` is `right`, with the message of the known mistake that leads to it, if any."""
    if is_close(result, right, tolerance):
        return
    for text, mistaken in (mistakes or {}).items():
        if is_close(result, mistaken, tolerance):
            raise Wrong(text)
    difference = (torch.as_tensor(result) - torch.as_tensor(right)).abs().max().item()
    raise Wrong(f"{message} (largest difference from the right result: {difference:.2g})")


def one_by_one(answer: Callable[..., Any], batch: Tensor, members: Sequence[Tensor], what: str = "images") -> None:
    """Raise Wrong unless `answer(*member)`, for each member alone, is what `batch` (N, ...) holds for it."""
    for index, alone in enumerate(zip(*members, strict=True)):
        result = answer(*(part[None] for part in alone))
        if not is_close(tensor(result, (1, *batch.shape[1:])), batch[index : index + 1], 1e-3):
            raise Wrong(
                f"right for a batch of {len(batch)}, but wrong for one of its {what} alone: does a result depend on "
                "the others in the batch, or on their number?"
            )


def lets_gradients_through(answer: Answer, source: Tensor, *others: Any) -> Tensor:
    """The gradient of the sum of `answer(source, *others)`, like `source`; raise Wrong if none comes back."""
    leaf = source.clone().requires_grad_()
    result = answer(leaf * 1, *others)  # not the leaf itself, so that a change in place is reported as one
    gradient = None
    if isinstance(result, Tensor) and result.requires_grad:
        (gradient,) = torch.autograd.grad(result.sum(), leaf, allow_unused=True)
    if gradient is None or not gradient.any():
        raise Wrong(
            "the values are right, but no gradient comes back through your function, so no loop can climb through it: "
            "compute with torch all the way, without `detach()`, `item()`, `round()` or tensors made from plain numbers"
        )
    return gradient


def random(shape: Sequence[int], seed: int, device: torch.device, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform random numbers from `low` to `high`, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (low + (high - low) * torch.rand(*shape, generator=generator)).to(device)


def normal(shape: Sequence[int], seed: int, device: torch.device) -> Tensor:
    """Gaussian random numbers of mean 0 and standard deviation 1, the same on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def uses_only(generator: torch.Generator, answer: Answer, *arguments: Any) -> Any:
    """Call `answer(*arguments, generator)`; raise Wrong if it draws from elsewhere, or not at all."""

    def draw(seed: int) -> Any:
        return answer(*arguments, generator.manual_seed(seed))

    torch.manual_seed(1)
    first = draw(1)
    torch.manual_seed(2)
    if not isinstance(first, Tensor):
        return first
    if not first.isfinite().all():
        return first  # `tensor` says what is wrong with it
    if not torch.equal(first, draw(1)):
        raise Wrong("two calls with a generator in the same state differ: take all randomness from `generator`")
    if torch.equal(first, draw(2)):
        raise Wrong("two generators with different seeds give the same result: use `generator`")
    return draw(3)


class _Small(nn.Module):
    def __init__(self, size: int, classes: int):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Linear(8 * size * size, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.tanh(self.second(torch.tanh(self.first(images)))).flatten(1))


def small_network(seed: int, device: torch.device, size: int = 8, classes: int = 5) -> Classifier:
    """A network with random weights for images (N, 3, size, size) in [0, 1]; its layers: first, second, last."""
    generator = torch.Generator().manual_seed(seed)
    net = _Small(size, classes)
    with torch.no_grad():
        for layer in (net.first, net.second, net.last):
            fan_in = layer.weight[0].numel()
            layer.weight.copy_(2 * torch.randn(layer.weight.shape, generator=generator) / fan_in**0.5)
            layer.bias.zero_()
    return Classifier(net.eval().to(device), input_shape=(3, size, size), prepare=False)


def unwrapped(images: Tensor) -> Tensor:
    """A plain copy, even of what `torch.func.grad` has wrapped. Older versions of torch cannot unwrap."""
    unwrap = getattr(torch.func, "debug_unwrap", lambda images: images)
    return unwrap(images).detach().clone()


def watched(model: Classifier, gradients_only: bool = False) -> list[Tensor]:
    """A list that collects the batches that the network is shown from now on, or only those that want a gradient."""
    shown: list[Tensor] = []

    def see(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not gradients_only or inputs[0].requires_grad:
            shown.append(unwrapped(inputs[0]))

    model.register_forward_pre_hook(see)
    return shown


# ---------------------------------------------------------------------------------------------- step after step


class Look(NamedTuple):
    """A point where the answer asked for a gradient: the right gradient there, and wrong ones by what is wrong."""

    point: Tensor
    gradient: Callable[[Tensor], Tensor]
    others: Mapping[str, Callable[[Tensor], Tensor]]


def clamped(image: Tensor) -> Tensor:
    """The values brought back to [0, 1]."""
    return image.clamp(0, 1)


def follow(
    looks: Sequence[Look],
    result: Tensor,
    steps: int,
    length: float,
    constraint: Callable[[Tensor], Tensor] = clamped,
    what: str = "image",
    climbed: str = "the log-probability of the target",
) -> None:
    """Raise Wrong unless each look leads to the next one by a step of this length, and the last one to `result`.

    Each step is judged from where the answer stood, so that rounding does not add up along the way.
    """
    if not looks:
        raise Wrong("no gradient was ever asked of the network")
    stops: list[list[Look]] = []  # looks at the same point, as a loop that also prints something has them
    for look in looks:
        if stops and is_close(look.point, stops[-1][0].point, 1e-6):
            stops[-1].append(look)
        else:
            stops.append([look])
    if len(stops) > 1 and is_close(result, stops[-1][0].point, 1e-6):
        stops.pop()  # a last look at the result
    ends = [stop[0].point for stop in stops[1:]] + [result]
    for number, (stop, end) in enumerate(zip(stops, ends, strict=True), start=1):
        if not any(_leads_to(look.point, look.gradient(look.point), end, length, constraint) for look in stop):
            raise Wrong(_wrong_step(stop[-1], end, number, length, constraint, what, climbed))
    missing = steps - len(stops)
    if missing:
        count = "one step" if abs(missing) == 1 else f"{abs(missing)} steps"
        raise Wrong(
            f"the steps are right, but with `steps` = {steps} you take {count} too "
            + ("few" if missing > 0 else "many")
        )


def _leads_to(
    start: Tensor, direction: Tensor, end: Tensor, length: float, constraint: Callable[[Tensor], Tensor]
) -> bool:
    return is_close(end, constraint(start + length * direction / direction.norm()), 1e-4)


def _wrong_step(
    look: Look,
    end: Tensor,
    number: int,
    length: float,
    constraint: Callable[[Tensor], Tensor],
    what: str,
    climbed: str,
) -> str:
    start, gradient = look.point, look.gradient(look.point)
    for text, other in look.others.items():
        if _leads_to(start, other(start), end, length, constraint):
            return text
    if end.min() < -1e-4 or end.max() > 1 + 1e-4:
        return (
            f"after step {number} the {what} has values outside [0, 1]: clamp after *every* step, not only at the end"
        )
    if is_close(end, start, 1e-6):
        return f"step {number} does not move the {what}"
    most = (end - start).abs().max()
    if is_close(end, constraint(start + most * gradient.sign()), 1e-4):
        return (
            "your step follows the *signs* of the gradient, so that every value moves by the same amount: divide the "
            "gradient by its norm instead"
        )
    direction = gradient / gradient.norm()
    free = (end > 1e-4) & (end < 1 - 1e-4) & (end != start)
    made = ((end - start) * direction)[free].sum() / direction[free].square().sum()
    if is_close(end, constraint(start + made * direction), 1e-4):
        made, natural = made.item(), gradient.norm().item()
        if made < 0:
            return f"step {number} goes down instead of up: the sign is reversed"
        if min(abs(made / natural - 1), abs(made / natural / length - 1)) < 1e-3:
            return "each step is as long as the gradient: divide the gradient by its norm first"
        return f"step {number} points the right way, but its length is {made:.3g}: it should be {length:.3g}"
    return (
        f"step {number} does not lead where it should: {length:.3g} along the gradient of {climbed} with respect to "
        f"the {what}, divided by its norm, then back into [0, 1]"
    )


class Climbed(NamedTuple):
    """What a loop by hand should climb, and what it may climb by mistake."""

    objective: Callable[[Label], Objective]
    score: Callable[[Tensor], Tensor]  # the same, of logits (N, C)
    told: Callable[[Tensor], Tensor]  # what a message says of logits (N, C)
    name: str  # of what it says
    mistake: Callable[[Label], Objective]
    hint: str  # for that mistake


def writes_the_loop(answer: Answer, seed: int, device: torch.device, length: float, climbed: Climbed) -> None:
    """Check a loop by hand, answer(model, image, target, length, steps): the last image of `optimize_pixels`."""
    model = small_network(seed, device)
    image = random((1, 3, 8, 8), seed, device)
    image[:, :, :2] = image[:, :, :2].round()  # black and white, where a step may lead out
    target, steps = int(model(image).argmin()), 5
    goal = climbed.objective(target)

    def after(steps: int, length: float = length, objective: Objective = goal, step: Step | None = None) -> Tensor:
        return last(optimize_pixels(model, image, objective, step=step or unit_step(length), steps=steps)).image

    def unit_gradient(picture: Tensor) -> Tensor:
        leaf = picture.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(climbed.score(model(leaf))[0, target], leaf)
        return gradient / gradient.norm()

    first, straight, free = unit_gradient(image), image, image
    for _ in range(steps):
        straight, free = (straight + length * first).clamp(0, 1), free + length * unit_gradient(free)
    mistakes = {
        "it takes one step too few": after(steps - 1),
        "it takes one step too many": after(steps + 1),
        "it takes only one step": after(1),
        "compute the gradient again in *every* step, at the current image": straight,
        "clamp after *every* step, not only at the end": free.clamp(0, 1),
        climbed.hint: after(steps, objective=climbed.mistake(target)),
        "each step is as long as the gradient is: divide the gradient by its norm first": after(
            steps, step=Step(lambda start: None, lambda gradient, state: (length * gradient, state))
        ),
        "every value moves by `length`: only the step as a whole should have that length": after(
            steps, step=sign_step(length)
        ),
    }
    result = tensor(answer(model, image, target, length, steps), image.shape)
    if is_close(result, image, 1e-6):
        raise Wrong("the image did not move")
    if is_close(result.clamp(0, 1), after(steps, objective=-goal), 1e-3):
        before, reached = (climbed.told(model(one.clamp(0, 1)))[0, target].item() for one in (image, result))
        raise Wrong(f"the sign is reversed: {climbed.name} fell from {before:.3f} to {reached:.3f}")
    legal(result)
    compare(result, after(steps), mistakes, "the image is not where these steps should lead", 1e-3)
    other = tensor(answer(model, image, target, 0.1, 2), image.shape)
    compare(other, after(2, 0.1), {}, "right only for some lengths and numbers of steps", 1e-3)
