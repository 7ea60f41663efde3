"""Checks of lesson 4: the sure share, distances to a boundary, bisection, the law of 1/sqrt(d), and a plane."""

import math

import torch

from .core import Answer, Wrong, compare, exercise, is_close, normal, number, one_by_one, question, random, tensor


@exercise("4.1", "How much of the map is sure", "sure_share")
def sure_share(answer: Answer, seed: int, device: torch.device) -> None:
    for threshold, count in ((0.99, 500), (0.6, 300)):
        logits = 6 * normal((count, 3), seed + count, device)
        top = logits.softmax(1).amax(1)
        share = (top >= threshold).float().mean().item()
        mistakes = {
            "this is a count: divide it by the number of points": (top >= threshold).sum().item(),
            "this is a percentage: return a share from 0 to 1": 100 * share,
            "this is the share that is *not* sure": 1 - share,
            "this is the mean probability: count the points that reach the threshold": top.mean().item(),
            "these are logits: turn them into probabilities first": (logits.amax(1) >= threshold).float().mean().item(),
            "no point is sure at all: do the probabilities add up to 1 over the classes, not over the points?": 0.0,
            "it looks at one class only: being sure of *any* class counts": (
                logits.softmax(1)[:, 0] >= threshold).float().mean().item(),
            "this is the share of all numbers in the table: a point counts once, whatever its classes": (
                logits.softmax(1) >= threshold).float().mean().item(),
        }  # fmt: skip
        compare(number(answer(logits, threshold)), share, mistakes)
    edge = torch.tensor([[0.0, 0.0], [0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], device=device)
    if not is_close(number(answer(edge, 0.5)), 1.0):
        raise Wrong("a point at *exactly* the threshold counts as sure: at least 99 %, not more than 99 %")


@exercise("4.2", "Distance to the boundary of a linear classifier", "boundary_distance")
def boundary_distance(answer: Answer, seed: int, device: torch.device) -> None:
    x, bias = normal((6, 10), seed, device), normal((4,), seed + 1, device)
    weight = normal((4, 10), seed + 2, device) * torch.tensor([[0.3], [1.0], [2.0], [4.0]], device=device)
    logits = x @ weight.T + bias
    top, rows = logits.argmax(1), torch.arange(6, device=device)
    lead = logits[rows, top][:, None] - logits
    apart = (weight[top][:, None] - weight[None]).norm(dim=2)
    other = torch.ones_like(lead, dtype=torch.bool)
    other[rows, top] = False

    def nearest(distance: torch.Tensor) -> torch.Tensor:
        return distance.masked_fill(~other, math.inf).amin(1)

    def without_bias() -> torch.Tensor:
        logits = x @ weight.T
        top = logits.argmax(1)
        ratio = (logits[rows, top][:, None] - logits) / (weight[top][:, None] - weight[None]).norm(dim=2)
        return ratio.nan_to_num(math.inf).amin(1)

    right = nearest(lead / apart)
    second = lead.masked_fill(~other, math.inf).argmin(1)
    mistakes = {
        "this is the lead over the next class: divide by how fast the lead shrinks, the norm of the *difference* of "
        "the two rows": nearest(lead),
        "the lead over a class shrinks with the *difference* of two rows, not with the top class's own row": (
            nearest(lead / weight[top].norm(dim=1, keepdim=True).expand_as(lead))
        ),
        "the lead over a class shrinks with the *difference* of two rows, not with the other row alone": nearest(
            lead / weight.norm(dim=1)[None].expand_as(lead)
        ),
        "the class with the second largest logit need not be the nearest one: try all": (lead / apart)[rows, second],
        "divide by the norm, not by its square": nearest(lead / apart.square()),
        "this is the distance to the *farthest* boundary: return the smallest distance": (lead / apart)
        .masked_fill(~other, -math.inf)
        .amax(1),
        "zero everywhere: a point is at no distance from its own class, so leave that class out": torch.zeros(6),
        "the bias is missing": without_bias(),
        "a distance is not negative": -right,
    }
    mistakes = {text: value.to(device) for text, value in mistakes.items()}
    result = tensor(answer(x, weight, bias), (6,))
    compare(result, right, mistakes)
    one_by_one(lambda point: answer(point, weight, bias), result, (x,), "points")
    tie = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], device=device)
    on_boundary = tensor(answer(torch.tensor([[0.0, -3.0]], device=device), tie, torch.zeros(3, device=device)), (1,))
    if not is_close(on_boundary, torch.zeros_like(on_boundary)):
        raise Wrong(
            f"a point on the boundary, where two classes share the largest logit, is at distance 0, not "
            f"{on_boundary.item():.3g}: leave out the top class alone, not every class whose lead is 0"
        )


@exercise("4.3", "The smallest epsilon, by bisection", "smallest_epsilon")
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


@exercise("4.4", "One over the root of d", "even_change")
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


@exercise("4.5", "A plane through three images", "point_on_plane")
def point_on_plane(answer: Answer, seed: int, device: torch.device) -> None:
    a, b, c = (random((1, 3, 5, 5), seed + index, device) for index in range(3))
    u = (b - a) / (b - a).norm()
    rest = (c - a) - ((c - a) * u).sum() * u
    v = rest / rest.norm()
    slanted = (c - a) / (c - a).norm()

    for s, t in ((0.0, 0.0), ((b - a).norm().item(), 0.0), (0.7, -1.3), (-2.0, 0.4)):
        mistakes = {
            "the point (0, 0) should be a: add it": s * u + t * v,
            "the second direction is not at right angles to the first: subtract its part along u": a
            + s * u
            + t * slanted,
            "both directions should have length 1: otherwise the map has no scale": a + s * (b - a) + t * rest,
            "the second direction should have length 1": a + s * u + t * rest,
            "the first direction should have length 1": a + s * (b - a) + t * v,
            "s and t are swapped": a + t * u + s * v,
            "a wrong direction: u leads from a to b": a - s * u + t * v,
            "a wrong direction: v leads from a towards c": a + s * u - t * v,
            "the directions lead from a to the other images: subtract a": a + s * b / b.norm() + t * c / c.norm(),
        }
        too_much = (c - a) - ((c - a) * (b - a)).sum() * (b - a)
        mistakes["the part of x along u is (x · u) u only if u has length 1: divide u by its norm first"] = (
            a + s * u + t * too_much / too_much.norm()
        )
        result = tensor(answer(a, b, c, s, t), a.shape)
        known = {text: value for text, value in mistakes.items() if not is_close(value, a + s * u + t * v)}
        compare(result, a + s * u + t * v, known, f"wrong for s = {s:.2f}, t = {t:.2f}")


question("4.6", "Why is the boundary so near?")
