"""Pictures painted by small networks (CPPNs), which turn the place of a pixel into its colour.

A compositional pattern-producing network takes x, y, the distance from the centre and a constant 1, and gives hue,
lightness and saturation, so its pictures are regular and often symmetric. Evolution changes weights *and* structure.

A genome is a table (hidden + 3, 5 + hidden), one row per node in the order in which they are computed: first the
hidden nodes, then hue, lightness and saturation. The first number of a row is the index of its function in `FUNCTIONS`;
the others are the weights of its inputs: x, y, distance, 1, and the hidden nodes. A zero means no
connection, and a node sees only the nodes before it.

Source: Stanley 2007, doi 10.1007/s10710-007-9028-8; as used by Nguyen, Yosinski, Clune 2014, arXiv 1412.1897.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ..arguments import affordable, flag, seeded, shown, tensors, whole
from .evolve import Encoding

INPUTS = 4
OUTPUTS = 3
MOST = 3.0  # how often a change is added, at most
TRIES = 5  # at most, for a change that moves the picture
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sine": torch.sin,
    "sigmoid": torch.tanh,  # a sigmoid from -1 to 1
    "Gaussian": lambda v: (v * v).neg_().clamp_min_(-80).exp_(),  # numbers below e-80 are slow on many processors
    "linear": lambda v: v,
}


def cppn(size: int = 224, *, hidden: int = 40) -> Encoding:
    """Images (N, 3, size, size) painted by networks that begin with 16 hidden nodes and grow to at most `hidden`."""
    whole(0, 10_000, hidden=hidden)
    size, hidden = _size(size), int(hidden)

    def start(count: int, generator: torch.Generator) -> Tensor:
        return torch.stack([_random_genome(hidden, generator) for _ in range(count)])

    def mutate(genomes: Tensor, generator: torch.Generator, reach: Tensor | None = None) -> Tensor:
        sizes = [1.0] * len(genomes) if reach is None else reach.tolist()
        return torch.stack([_mutated(genome, size, generator) for genome, size in zip(genomes, sizes, strict=True)])

    def render(genomes: Tensor, most: int = size) -> Tensor:
        return paint(genomes, min(most, size))

    return Encoding(f"CPPN {size}, {hidden} hidden", start, mutate, render, render)


def _size(size: int) -> int:
    whole(2, size=size)
    affordable(100 * int(size) ** 2, f"painting {size} x {size} pixels")  # of the nodes that are kept at once
    return int(size)


def _is_genome(genome: Tensor) -> None:
    """Raise unless this is a genome: a table of nodes and their functions."""
    tensors(genome=genome)
    rows, columns = genome.shape if genome.ndim == 2 else (0, 0)
    if rows < OUTPUTS or columns != 1 + INPUTS + rows - OUTPUTS:
        raise ValueError(
            f"genome must be a table (hidden + 3, 5 + hidden), got shape {tuple(genome.shape)}: "
            "use layered_genome() or one genome of cppn()"
        )
    functions = genome[:, 0].detach()
    if not ((functions >= 0) & (functions < len(FUNCTIONS))).all():
        raise ValueError(
            f"the first column of genome names functions, 0 to {len(FUNCTIONS) - 1}, got {functions.tolist()}"
        )
    later = genome[:, 1 + INPUTS :].detach().triu()
    if later[: rows - OUTPUTS].any():
        raise ValueError("genome has a connection from a later node to an earlier one: a node sees those before it")


def cppn_decode(genome: Tensor, size: int = 224) -> Callable[[Tensor], Tensor]:
    """A `decode` for `optimize_pixels`: from weights (N, connections) to images (N, 3, size, size).

    The structure and the functions are those of `genome`, and do not change. Start at `cppn_weights(genome)`.
    """
    _is_genome(genome)
    with torch.inference_mode(False):  # gradients pass by it
        size, connected = _size(size), _connected(genome)
    count = int(connected.sum())

    def decode(weights: Tensor) -> Tensor:
        if tuple(getattr(weights, "shape", ())[1:]) != (count,) or weights.dtype != genome.dtype:
            raise ValueError(
                f"the decoder expects the weights (N, {count}) of the connections, got {shown(weights)}: "
                "use cppn_weights(genome)"
            )
        return paint(torch.stack([genome.masked_scatter(connected, one) for one in weights]), size)

    return decode


def cppn_weights(genome: Tensor) -> Tensor:
    """The weights of the connections of one genome, (1, connections)."""
    _is_genome(genome)
    return genome[_connected(genome)][None]


def layered_genome(width: int = 24, layers: int = 3, *, symmetric: bool = True, seed: int = 0) -> Tensor:
    """A random genome for `cppn_decode`: full layers, so that the gradient has enough weights to work with.

    width, layers: of the hidden nodes. symmetric: left and right are mirror images, because no node sees x.
    """
    whole(OUTPUTS, 10_000, width=width)
    whole(1, 1000, layers=layers)
    flag(symmetric=symmetric)
    width, layers, generator = int(width), int(layers), seeded(seed)
    hidden = width * layers
    affordable(hidden**2, f"a genome of {layers} layers of width {width}")
    genome = torch.zeros(hidden + OUTPUTS, 1 + INPUTS + hidden)
    genome[:hidden, 0] = torch.arange(hidden) % 3  # sine, sigmoid, Gaussian
    genome[hidden:, 0] = list(FUNCTIONS).index("sigmoid")  # never beyond its range, where the gradient would be 0
    genome[:width, 1 : 1 + INPUTS] = 6 * torch.randn(width, INPUTS, generator=generator)
    if symmetric:
        genome[:, 1] = 0
    for begin in range(width, hidden + OUTPUTS, width):
        rows = genome[begin : begin + width]
        rows[:, 1 + INPUTS + begin - width : 1 + INPUTS + begin] = (
            1.5 * torch.randn(len(rows), width, generator=generator) / width**0.5
        )
    return genome


def _connected(genome: Tensor) -> Tensor:
    connected = genome != 0
    connected[:, 0] = False  # the functions
    return connected


@lru_cache(maxsize=8)
def _inputs(size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """x, y, distance and 1, (1, 1 or size, 1 or size): a node that sees no y is computed for one line only."""
    with torch.inference_mode(False):  # they are kept, and gradients pass by them
        line = torch.linspace(-1, 1, size, device=device, dtype=dtype)
        x, y = line[None], line[:, None]
        return tuple(one[None] for one in (x, y, torch.hypot(x, y), torch.ones_like(line[:1, None])))


def paint(genomes: Tensor, size: int) -> Tensor:
    """The pictures (N, 3, size, size) of genomes; x and y go from -1 to 1, from left to right and from top to bottom.

    The outputs, from -1 to 1, become hue (a circle that starts again at 1), lightness and saturation from 0 to 1.
    """
    images = genomes.new_empty(len(genomes), OUTPUTS, size, size)
    for i, (genome, links) in enumerate(zip(genomes, _links(genomes), strict=True)):
        for channel, picture in enumerate(_rgb(*_outputs(genome[None], links, size))):
            images[i, channel] = picture[0]
    return images


def _links(genomes: Tensor) -> list[list[dict[int, float]]]:
    """{source: weight} for each row of each genome."""
    links: list[list[dict[int, float]]] = [[{} for _ in genome] for genome in genomes]
    places = genomes[:, :, 1:].nonzero(as_tuple=True)
    weights = genomes[:, :, 1:].detach()[places]
    for i, row, source, weight in zip(*(part.tolist() for part in (*places, weights)), strict=True):
        links[i][row][source] = weight
    return links


def _outputs(family: Tensor, links: Sequence[dict[int, float | Tensor]], size: int) -> list[Tensor]:
    """Hue, lightness and saturation, each (1 or N, 1 or size, 1 or size), before they are cut to their range.

    family: genomes (N, rows, columns) that differ in their weights only. links: {source: weight} for each row, the
    weight a number, or (N, 1, 1) where they differ.
    """
    hidden = family.shape[1] - OUTPUTS
    values = dict(enumerate(_inputs(size, family.device, family.dtype)))
    functions, chosen = tuple(FUNCTIONS.values()), family[0, :, 0].tolist()
    for level in _levels(links, hidden):
        # one by one for few links, as one matrix product for many, and where a gradient is to pass
        if family.requires_grad or sum(len(links[row]) for row in level) > 100:
            totals = _product(family, level, sorted({k for row in level for k in links[row]} or {0}), values)
        else:
            totals = [_total(links[row], values) for row in level]
        for row, total in zip(level, totals, strict=True):
            values[INPUTS + row] = functions[int(chosen[row])](total)
    return [0.5 + 0.5 * values[INPUTS + hidden + i] for i in range(OUTPUTS)]


def _product(family: Tensor, level: list[int], seen: list[int], values: dict[int, Tensor]) -> Sequence[Tensor]:
    pictures = torch.stack(torch.broadcast_tensors(*(values[k] for k in seen)))
    return torch.einsum("nrk,knyx->rnyx", family[:, level][:, :, [1 + k for k in seen]], pictures).unbind()


def _total(links: dict[int, float | Tensor], values: dict[int, Tensor]) -> Tensor:
    """The sum of the inputs of a node. Small inputs come first: as long as the sum is small, too, it costs nothing."""
    total = None
    for k in sorted(links, key=lambda k: values[k].numel()):
        if total is None:
            total = values[k] * links[k]
        elif isinstance(links[k], Tensor):
            total = torch.addcmul(total, values[k], links[k])
        elif all(map(int.__ge__, total.shape, values[k].shape)):
            total.add_(values[k], alpha=links[k])
        else:
            total = torch.add(total, values[k], alpha=links[k])
    return torch.zeros_like(values[INPUTS - 1]) if total is None else total


def _levels(sources: Sequence[Collection[int]], hidden: int) -> list[list[int]]:
    """The rows that affect the picture, in groups; a group needs only the groups before it."""
    needed = set(range(hidden, hidden + OUTPUTS))
    for row in reversed(range(hidden + OUTPUTS)):
        if row in needed:
            needed.update(k - INPUTS for k in sources[row] if k >= INPUTS)
    depth: dict[int, int] = {}
    for row in sorted(needed):
        depth[row] = 1 + max((depth[k - INPUTS] for k in sources[row] if k >= INPUTS), default=0)
    return [[row for row in depth if depth[row] == level] for level in sorted(set(depth.values()))]


def _rgb(hue: Tensor, lightness: Tensor, saturation: Tensor) -> Iterator[Tensor]:
    # HSL, as in CSS Color 3: red, green and blue are at 0, 8/12 and 4/12 of the circle of hues
    lightness = lightness.clamp(0, 1)
    strength = saturation.clamp(0, 1) * torch.minimum(lightness, 1 - lightness)
    for place in (0, 8 / 12, 4 / 12):  # one after the other: three at once do not fit into a processor's fast memory
        turn = hue + place
        wave = turn.sub_(turn.floor()).sub_(0.5).abs_().mul_(-12).add_(3).clamp_(-1, 1)
        yield torch.addcmul(lightness, strength, wave, value=-1)


# ------------------------------------------------------------------------------------- random genomes and mutations


def _chance(generator: torch.Generator) -> float:
    return torch.rand((), generator=generator).item()


def _one_of(choices: list, generator: torch.Generator):
    return choices[torch.randint(len(choices), (), generator=generator).item()]


def _normal(generator: torch.Generator) -> float:
    return torch.randn((), generator=generator).item()


def _random_genome(hidden: int, generator: torch.Generator) -> Tensor:
    genome = torch.zeros(hidden + OUTPUTS, 1 + INPUTS + hidden)
    genome[hidden:, 1 : 1 + INPUTS] = 3 * torch.randn(OUTPUTS, INPUTS, generator=generator)
    genome[hidden:, 0] = torch.randint(len(FUNCTIONS), (OUTPUTS,), generator=generator).float()
    for _ in range(16):
        _split_connection(genome, generator)
        _add_connection(genome, generator)
    return genome


def _used(genome: Tensor) -> int:
    """How many hidden rows are in use: all up to the last one that has a connection."""
    hidden = len(genome) - OUTPUTS
    touched = (genome[:hidden, 1:] != 0).any(1) | (genome[:, 1 + INPUTS :] != 0).any(0)
    return max(touched.nonzero()[:, 0].tolist(), default=-1) + 1


def _rows(genome: Tensor) -> list[int]:
    return [*range(_used(genome)), *range(len(genome) - OUTPUTS, len(genome))]


def _connections(genome: Tensor) -> list[list[int]]:
    return (genome[:, 1:] != 0).nonzero().tolist()


def _mutated(parent: Tensor, reach: float, generator: torch.Generator) -> Tensor:
    """A copy with different weights, and sometimes a different structure.

    A large reach explores: structure changes, and half of all weights. A small one mostly refines, in one of three
    ways: some weights of the last three nodes, one connection anywhere, or one new node that feeds an output. (With the
    first alone, evolution stood nearly still after 180 000 evaluations.) What a weight means for the picture differs a
    thousandfold, so what is drawn is how far the *picture* moves, and the change is made as large as that takes.
    Source: Lehman, Chen, Clune, Stanley 2018, arXiv 1712.06563, safe mutations by rescaling.
    """
    for _ in range(TRIES):
        genome, change = parent.clone(), torch.zeros_like(parent)
        if _chance(generator) < max(0.1, reach):
            _explore(genome, change, generator)
        elif _chance(generator) < max(1 / 3, reach**0.5):
            _last_nodes(genome, change, generator)
        else:
            _one_of((_connection, _new_node), generator)(genome, change, generator)
        step = _step(genome, change, reach * 6 ** -_chance(generator))
        if step:
            break  # otherwise next to nothing of the picture depends on what was changed
    genome += (step or MOST) * change
    genome[:, 1:].clamp_(-1000, 1000)  # 1000 gives waves as fine as pixels; beyond it, large steps would overflow
    return genome


def _explore(genome: Tensor, change: Tensor, generator: torch.Generator) -> None:
    if _chance(generator) < 0.4:
        _split_connection(genome, generator)
    if _chance(generator) < 0.5:
        _add_connection(genome, generator)
    if _chance(generator) < 0.3:
        genome[_one_of(_rows(genome), generator), 0] = _one_of(range(len(FUNCTIONS)), generator)
    if _chance(generator) < 0.1 and len(connections := _connections(genome)) > OUTPUTS:
        row, source = _one_of(connections, generator)
        genome[row, 1 + source] = 0
    weights = genome[:, 1:]
    chosen = (weights != 0) & (torch.rand(weights.shape, generator=generator) < 0.5)
    change[:, 1:] = chosen * (0.3 + weights.abs()) * torch.randn(weights.shape, generator=generator)


def _last_nodes(genome: Tensor, change: Tensor, generator: torch.Generator) -> None:
    """A random share of the weights of the last three nodes, from one to all of them."""
    sources = INPUTS + _used(genome)
    weights = 30 * torch.randn(OUTPUTS, sources, generator=generator)
    order = torch.rand(OUTPUTS, sources, generator=generator)
    share = max(order.numel() ** -_chance(generator), order.min().item())
    change[-OUTPUTS:, 1 : 1 + sources] = weights * (order <= share)


def _connection(genome: Tensor, change: Tensor, generator: torch.Generator) -> None:
    row = _one_of(_rows(genome), generator)
    change[row, 1 + _a_source(genome, row, generator)] = 30 * _normal(generator)


def _new_node(genome: Tensor, change: Tensor, generator: torch.Generator) -> None:
    """A new node of up to three inputs, which feeds an output; or one connection, if no row is free.

    It adds anything from one slow change across the picture to a texture of a few pixels.
    """
    new = _used(genome)
    if new == len(genome) - OUTPUTS:
        return _connection(genome, change, generator)
    genome[new, 0] = _one_of(range(len(FUNCTIONS)), generator)
    scale = 3 * 40 ** _chance(generator)
    for _ in range(3):
        genome[new, 1 + _one_of(range(INPUTS), generator)] = scale * _normal(generator)
    change[_one_of(range(-OUTPUTS, 0), generator), 1 + INPUTS + new] = 30 * _normal(generator)


def _step(genome: Tensor, change: Tensor, distance: float) -> float:
    """How often to add `change` so that the picture moves by `distance` (root mean square); at most `MOST` times.

    0 if even these move it by less than a tenth of that. Measured on small pictures at six steps; between them, the
    distance is taken for a power of the step.
    """
    steps = MOST / 10 ** torch.arange(5.0, -1, -1)
    family = torch.cat((genome[None], genome + steps[:, None, None] * change))
    (links,) = _links(genome[None])
    rows, columns = change.nonzero(as_tuple=True)
    weights = family[:, rows, columns].T[:, :, None, None].unbind()
    for row, column, weight in zip(rows.tolist(), columns.tolist(), weights, strict=True):
        links[row][column - 1] = weight
    pictures = torch.stack(list(_rgb(*_outputs(family, links, 24))), 1).expand(len(family), -1, -1, -1)
    moved = (pictures[1:] - pictures[0]).square().mean((1, 2, 3)).sqrt().tolist()
    far = next((place for place, one in enumerate(moved) if one > distance), None)
    if far is None:
        return MOST if moved[-1] > distance / 10 else 0.0
    if far == 0 or not moved[far - 1] > 0:  # NaN, too: weights can be too large to paint
        return steps[far].item() * distance / moved[far]
    between = math.log(distance / moved[far - 1]) / math.log(moved[far] / moved[far - 1])
    return steps[far - 1].item() * 10**between


def _a_source(genome: Tensor, row: int, generator: torch.Generator) -> int:
    return _one_of(range(INPUTS + min(row, _used(genome))), generator)


def _add_connection(genome: Tensor, generator: torch.Generator) -> None:
    row = _one_of(_rows(genome), generator)
    source = _a_source(genome, row, generator)
    genome[row, 1 + source] = (3 if source < INPUTS else 1) * _normal(generator)


def _split_connection(genome: Tensor, generator: torch.Generator) -> None:
    """Insert a new node into a connection, if a row is free."""
    hidden, used = len(genome) - OUTPUTS, _used(genome)
    connections = _connections(genome)
    if used == hidden or not connections:
        return
    row, source = _one_of(connections, generator)
    weight = genome[row, 1 + source].item()
    new = min(row, used)  # its row: just before the node that it feeds, which moves down with all later ones
    row_moved = row + (row < hidden)
    genome[new + 1 : hidden] = genome[new : hidden - 1].clone()
    genome[:, 1 + INPUTS + new + 1 :] = genome[:, 1 + INPUTS + new : -1].clone()
    genome[new] = 0
    genome[:, 1 + INPUTS + new] = 0
    genome[row_moved, 1 + source] = 0
    genome[new, 0] = _one_of(range(len(FUNCTIONS)), generator)
    genome[new, 1 + source] = weight
    genome[row_moved, 1 + INPUTS + new] = 1 + 0.5 * _normal(generator)
