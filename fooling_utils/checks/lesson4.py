"""Checks of lesson 4: pairs of seeds, a straight walk, bisection, and the law of 1/sqrt(d)."""

import math

import torch

from ..models import Classifier
from .core import Answer, Wrong, compare, is_close, normal, number, random, tensor


def pair_agreement(answer: Answer, seed: int, device: torch.device) -> None:
    for networks, points in ((4, 200), (2, 50)):
        generator = torch.Generator().manual_seed(seed + networks)
        answers = torch.randint(3, (networks, points), generator=generator)
        answers[:, : points // 3] = answers[0, : points // 3]  # here they agree
        answers = answers.to(device)
        same = (answers[:, None] == answers[None]).float().mean(2)
        pairs = same[torch.triu_indices(networks, networks, 1).unbind()]
        right = pairs.mean().item()
        mistakes = {
            "this is the share at which two *dis*agree": 1 - right,
            "this is a percentage: return a share from 0 to 1": 100 * right,
            "a network always agrees with itself: leave these pairs out": same.mean().item(),
            "this is where *all* networks agree: compare two at a time": (answers == answers[0])
            .all(0)
            .float()
            .mean()
            .item(),
            "this is where *any* network disagrees: compare two at a time": (answers != answers[0])
            .any(0)
            .float()
            .mean()
            .item(),
            "this compares each network with the first one only: take all pairs": same[0, 1:].mean().item(),
            "this compares each network with the next one only: take all pairs": same.diagonal(1).mean().item(),
            "this is a sum over the pairs: divide by their number": pairs.sum().item(),
            "this is a number of points: divide by how many there are": right * points,
        }
        mistakes = {text: value for text, value in mistakes.items() if not is_close(value, right)}
        compare(number(answer(answers)), right, mistakes)


def first_size(answer: Answer, seed: int, device: torch.device) -> None:
    net = _Leads(seed, device).eval()
    model = Classifier(net, input_shape=(3, 4, 4), prepare=False)
    sizes = [0.1 * 1.2**k for k in range(36)]
    for target, middle in ((1, 0.5), (2, 0.5), (1, 0.6)):
        image = random((1, 3, 4, 4), seed + target, device, middle - 0.1, middle + 0.1)
        direction = 7 * net.along.view_as(image)

        def found(
            unit: torch.Tensor, low: float = 0, high: float = 1, image: torch.Tensor = image, target: int = target
        ) -> list[float]:
            moved = torch.cat([image + size * unit for size in sizes]).clamp(low, high)
            tops = model(moved).argmax(1).tolist()
            return [size for size, top in zip(sizes, tops, strict=True) if top == target]

        hits = found(direction / direction.norm())
        right = hits[0] if hits else math.inf
        unclamped, long = found(direction / direction.norm(), -math.inf, math.inf), found(direction)
        moved = torch.cat([image + size * direction / direction.norm() for size in sizes]).clamp(0, 1)
        other = [size for size, top in zip(sizes, model(moved).argmax(1).tolist(), strict=True) if top != 0]
        mistakes = {
            "the direction has a length of its own: divide it by its norm first": (long or [math.inf])[0],
            "without `clamp` the pixels leave [0, 1]": (unclamped or [math.inf])[0],
            "this is the last size at which it is the target: return the first": (hits or [math.inf])[-1],
            "this is the first size with *another* class: it has to be the target": (other or [math.inf])[0],
            "this is a place in the list: return the size": float(sizes.index(hits[0])) if hits else math.inf,
        }
        result = number(answer(model, image, direction, sizes, target))
        if right == math.inf:
            if result != math.inf:
                raise Wrong('no size reaches the target here, so return infinity, float("inf")')
            continue
        if result == math.inf:
            raise Wrong(f"the target is reached at {right:.2f}, but it returns infinity")
        known = {text: value for text, value in mistakes.items() if value not in (right, math.inf)}
        compare(result, right, known, f"it should be {right:.2f}")
    image = random((1, 3, 4, 4), seed, device, 0.4, 0.6)
    if number(answer(model, image, -net.along.view_as(image), sizes, 1)) != math.inf:
        raise Wrong('no size reaches the target here, so return infinity, float("inf")')


class _Leads(torch.nn.Module):
    """Three classes on 48 values: along one direction first the third class leads, and then the second."""

    def __init__(self, seed: int, device: torch.device):
        super().__init__()
        self.along = torch.nn.functional.normalize(normal((48,), seed, device), dim=0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        far = (images - 0.5).flatten(1) @ self.along / 3.2
        second = far - 2 * (far - 1.4).clamp(min=0)  # both regions end again
        third = 2 * far - 0.2 - 6 * (far - 0.6).clamp(min=0)
        return torch.stack([torch.full_like(far, 0.6), second, third], 1)


def smallest_epsilon(answer: Answer, seed: int, device: torch.device) -> None:
    edges = [0.3, 0.999, 0.0004, *random((5,), seed, torch.device("cpu")).tolist()]
    for high, tolerance in ((1.0, 0.01), (8.0, 0.001)):
        for edge in edges:
            edge *= high
            calls: list[float] = []
            most = math.ceil(math.log2(high / tolerance)) + 3

            def fools(epsilon: float, edge: float = edge, calls: list[float] = calls, most: int = most) -> bool:
                calls.append(float(epsilon))
                if len(calls) > 50 * most:
                    raise RuntimeError(f"`fools` was called {len(calls)} times: does the loop ever end?")
                return epsilon >= edge

            found = number(answer(fools, high, tolerance))
            where = f"when every epsilon from {edge:.4f} up fools, it gives {found:.4f}"
            if found > high or found < 0:
                raise Wrong(f"{where}, which is outside 0 to {high}")
            if found < edge:
                raise Wrong(f"{where}, which does not fool: return the end of the interval that does")
            if found - edge > tolerance:
                raise Wrong(f"{where}, which is more than {tolerance} too large")
            if not calls:
                raise Wrong("it never calls `fools`")
            if len(calls) > most:
                raise Wrong(
                    f"it calls `fools` {len(calls)} times, but {most} are enough if every call halves the interval"
                )
            if max(calls) > high or min(calls) < 0:
                raise Wrong(f"it tries an epsilon of {max(calls):.3f}: stay between 0 and {high}")


def even_change(answer: Answer, seed: int, device: torch.device) -> None:
    for size, gap in ((50, 3.0), (7, 0.5)):
        w = normal((size,), seed + size, device)
        right = gap / w.abs().sum() * w.sign()
        mistakes = {
            "the sign is reversed: this lowers the score": -right,
            "this is the shortest change, along w: here all values should change by the *same* amount": gap
            * w / w.square().sum(),
            "off by the length of w: the score w · r should rise by the gap, whatever the length of w": gap
            / size**0.5 * w.sign(),
            "every value rises: where w is negative, it must fall": (gap / w.abs().sum()).expand(size),
            "every value rises: where w is negative, it must fall, and less is enough": (gap / w.sum()).expand(size),
            "the sum of the *absolute values* in w counts, not the root of the sum of their squares": gap
            / w.norm() * w.sign(),
        }  # fmt: skip
        result = tensor(answer(w, gap), (size,))
        rise = (w * result).sum().item()
        compare(result, right, mistakes, f"the score should rise by {gap:g}, but it rises by {rise:.3g}")
    for size in (100, 10_000):
        w = normal((size,), seed, device).sign() / size**0.5
        found = tensor(answer(w, 2.0), (size,)).abs()
        if not is_close(found, torch.full_like(found, 2 / size**0.5)):
            raise Wrong(f"in {size} dimensions each value should change by {2 / size**0.5:.4f}, not {found[0]:.4f}")
