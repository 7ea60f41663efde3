import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fooling_utils import adam_step, optimize_pixels, round_to_8bit, toward
from fooling_utils.evolution.evolve import evolve
from fooling_utils.evolution.painters import (
    FUNCTIONS,
    INPUTS,
    OUTPUTS,
    cppn,
    cppn_decode,
    cppn_weights,
    layered_genome,
    paint,
)
from nets import random_linear

SINE, SIGMOID, GAUSSIAN, LINEAR = range(4)


def genome_of(hidden: int, rows: dict[int, tuple[int, dict[int, float]]]) -> torch.Tensor:
    """A genome from {row: (function, {source: weight})}."""
    genome = torch.zeros(hidden + OUTPUTS, 1 + INPUTS + hidden)
    for row, (function, weights) in rows.items():
        genome[row, 0] = function
        for source, weight in weights.items():
            genome[row, 1 + source] = weight
    return genome


X, Y, DISTANCE, ONE, FIRST, SECOND = range(6)
KNOWN = genome_of(3, {
    0: (SINE, {X: 2.0, DISTANCE: -1.5}),
    1: (GAUSSIAN, {Y: 1.0, FIRST: 0.5}),
    2: (SINE, {X: 9.0}),  # nothing listens to it
    3: (LINEAR, {FIRST: 3.0, ONE: 0.2}),  # hue goes round more than once
    4: (SIGMOID, {SECOND: 1.5, Y: -0.5}),
    5: (LINEAR, {X: 1.7, ONE: 0.1}),  # saturation is cut off
})  # fmt: skip


def painted_by_hand(size: int) -> np.ndarray:
    """The picture of KNOWN, pixel by pixel, with Python's own colours: (3, size, size)."""
    picture = np.zeros((3, size, size))
    for row in range(size):
        for column in range(size):
            x, y = 2 * column / (size - 1) - 1, 2 * row / (size - 1) - 1
            first = math.sin(2.0 * x - 1.5 * math.hypot(x, y))
            second = math.exp(-((y + 0.5 * first) ** 2))
            hue = 3.0 * first + 0.2
            lightness = math.tanh(1.5 * second - 0.5 * y)
            saturation = 1.7 * x + 0.1
            hls = [0.5 + 0.5 * value for value in (hue, lightness, saturation)]
            picture[:, row, column] = colorsys.hls_to_rgb(hls[0], *(min(max(value, 0), 1) for value in hls[1:]))
    return picture


@pytest.mark.parametrize("size", [2, 5, 16])
def test_a_known_genome_is_painted_as_by_hand(size):
    np.testing.assert_allclose(paint(KNOWN[None], size)[0].numpy(), painted_by_hand(size), atol=2e-6)


def test_a_batch_is_painted_one_by_one():
    genomes = torch.stack([KNOWN, KNOWN * torch.tensor([1.0, *[0.5] * 7])])
    images = cppn(8, hidden=3).render(genomes)
    assert images.shape == (2, 3, 8, 8)
    for image, genome in zip(images, genomes, strict=True):
        assert torch.equal(image, paint(genome[None], 8)[0])


@pytest.mark.parametrize("gradient", [False, True])
def test_a_whole_generation_is_painted_one_by_one(gradient):
    """Grown painters of many structures, in a batch, alone, and on the way that gradients take."""
    encoding, generator = cppn(32, hidden=30), torch.Generator().manual_seed(0)
    genomes = encoding.start(6, generator)
    for _ in range(10):
        genomes = encoding.mutate(genomes, generator)
    genomes[:, :, 1:].clamp_(-2, 2)  # sines of sines of large numbers would make much of the last digit
    together = encoding.render(genomes)
    for image, genome in zip(together, genomes, strict=True):
        alone = encoding.render(genome[None].requires_grad_(gradient))[0].detach()
        torch.testing.assert_close(alone, image, atol=1e-4 if gradient else 0, rtol=0)
        assert torch.equal(round_to_8bit(alone[None]), round_to_8bit(image[None])) or gradient


def test_what_sees_one_coordinate_is_computed_for_one_line():
    from fooling_utils.evolution import painters

    links = [{X: 2.0, ONE: 1.0}, {Y: 1.0}, {FIRST: 1.0, SECOND: 1.0}, {FIRST: 1.0}, {SECOND: 1.0}, {}]
    genome = genome_of(3, {row: (SINE, links[row]) for row in range(6)})
    outputs = painters._outputs(genome[None], links, 7)
    assert [tuple(output.shape) for output in outputs] == [(1, 1, 7), (1, 7, 1), (1, 1, 1)]
    assert cppn(7, hidden=3).render(genome[None]).shape == (1, 3, 7, 7)


def test_a_network_of_the_distance_alone_is_symmetric():
    genome = genome_of(0, {0: (SINE, {DISTANCE: 3.0}), 1: (SINE, {DISTANCE: 5.0}), 2: (SINE, {ONE: 1.0})})
    image = paint(genome[None], 9)[0]
    for other in (image.flip(1), image.flip(2), image.transpose(1, 2)):
        torch.testing.assert_close(other, image)


def assert_valid(genome: torch.Tensor, hidden: int) -> None:
    assert genome.shape == (hidden + OUTPUTS, 1 + INPUTS + hidden)
    assert genome.isfinite().all()
    assert set(genome[:, 0].tolist()) <= set(range(len(FUNCTIONS)))
    for row in range(hidden):
        assert not genome[row, 1 + INPUTS + row :].any(), "a node sees itself or a later one"


@given(hidden=st.integers(0, 8), seed=st.integers(0, 10**6))
def test_mutations_keep_genomes_valid(hidden, seed):
    encoding, generator = cppn(4, hidden=hidden), torch.Generator().manual_seed(seed)
    genomes = encoding.start(2, generator)
    for _ in range(30):
        kept = genomes.clone()
        children = encoding.mutate(genomes, generator)
        assert torch.equal(genomes, kept), "a parent was changed"
        genomes = children
    for genome in genomes:
        assert_valid(genome, hidden)
    images = encoding.render(genomes)
    assert images.min() >= 0
    assert images.max() <= 1


def test_structure_grows_and_every_kind_of_mutation_happens():
    encoding, generator = cppn(4, hidden=16), torch.Generator().manual_seed(0)
    genomes = encoding.start(50, generator)
    changed = {"function": 0, "more": 0, "fewer": 0, "weights": 0}
    for _ in range(20):
        children = encoding.mutate(genomes, generator)
        more = (children[:, :, 1:] != 0).sum((1, 2)) - (genomes[:, :, 1:] != 0).sum((1, 2))
        same_structure = ((children != 0) == (genomes != 0)).flatten(1).all(1)
        changed["more"] += (more > 0).sum().item()
        changed["fewer"] += (more < 0).sum().item()
        changed["function"] += (same_structure & (children[:, :, 0] != genomes[:, :, 0]).any(1)).sum().item()
        changed["weights"] += (same_structure & (children != genomes).flatten(1).any(1)).sum().item()
        genomes = children
    assert min(changed.values()) > 20


def moved(genomes: torch.Tensor, others: torch.Tensor, size: int = 48) -> torch.Tensor:
    """How far apart the pictures of each pair are: root mean square."""
    return (paint(others, size) - paint(genomes, size)).square().mean((1, 2, 3)).sqrt()


@pytest.mark.parametrize("reach", [0.2, 0.02])
def test_reach_is_how_far_the_picture_moves(reach):
    """Between a sixth of it and all of it, however much the weights matter, unless nobody sees them."""
    encoding, generator = cppn(4, hidden=30), torch.Generator().manual_seed(0)
    parents = encoding.start(200, generator)
    for _ in range(5):
        parents = encoding.mutate(parents, generator)
    children = encoding.mutate(parents, generator, torch.full((200,), reach))
    refined = (children[:, :-OUTPUTS] == parents[:, :-OUTPUTS]).flatten(1).all(1)
    distances = moved(parents[refined], children[refined]) / reach
    assert (distances == 0).float().mean() < 0.1, "only pictures that are all black or all white stay"
    distances = distances[distances > 0]
    assert distances.median() == pytest.approx(6**-0.5, rel=0.3)
    assert ((distances > 1 / 12) & (distances < 2)).float().mean() > 0.9


def ways(parents: torch.Tensor, children: torch.Tensor) -> list[str]:
    """How each child was made: by the last nodes, by one connection, by a new node, or by exploring."""
    found = []
    for parent, child in zip(parents, children, strict=True):
        changed = parent != child
        rows = changed[:-OUTPUTS].any(1).nonzero()[:, 0].tolist()
        if not rows:
            found.append("last nodes")
        elif changed.sum() == 1 and not changed[:, 0].any():
            found.append("connection")
        elif len(rows) == 1 and not parent[rows[0], 1:].any() and changed[-OUTPUTS:].sum() == 1:
            assert changed[-OUTPUTS:, 1 + INPUTS + rows[0]].any(), "the new node is not the one that is connected"
            assert not parent[rows[0] :, 1 + INPUTS + rows[0]].any(), "there was a node before"
            assert not child[rows[0], 1 + INPUTS :].any() and child[rows[0], 1:].any(), "a new node sees inputs"
            found.append("new node")
        else:
            found.append("explored")
    return found


def test_a_large_reach_explores_and_a_small_one_mostly_refines():
    encoding, generator = cppn(4, hidden=30), torch.Generator().manual_seed(0)
    parents = encoding.start(400, generator)
    share = {}
    for reach in (1.0, 0.5, 0.01):
        children = encoding.mutate(parents, generator, torch.full((400,), reach))
        assert (children != parents).flatten(1).any(1).all(), "a child is its parent"
        made = ways(parents, children)
        share[reach] = {way: made.count(way) / 400 for way in ("explored", "last nodes", "connection", "new node")}
    assert share[1.0]["explored"] == 1
    # what doesn't move the picture is drawn again, and exploring moves it most often
    assert 0.45 < share[0.5]["explored"] < 0.65
    assert share[0.5]["last nodes"] > 2 * (share[0.5]["connection"] + share[0.5]["new node"]) > 0
    # a connection of the last nodes looks as if these had been changed
    assert share[0.01]["explored"] == pytest.approx(0.1, abs=0.06)
    assert share[0.01]["connection"] + share[0.01]["last nodes"] == pytest.approx(0.6, abs=0.08)
    assert share[0.01]["new node"] == pytest.approx(0.3, abs=0.08)
    assert share[0.01]["connection"] > 0.1


def test_the_last_nodes_change_by_one_weight_or_by_many():
    from fooling_utils.evolution import painters

    (genome,), generator = cppn(4, hidden=30).start(1, torch.Generator().manual_seed(0)), torch.Generator()
    counts = []
    for seed in range(300):
        change = torch.zeros_like(genome)
        painters._last_nodes(genome, change, generator.manual_seed(seed))
        assert not change[:-OUTPUTS].any() and not change[:, 0].any()
        counts.append(change.count_nonzero().item())
    most = OUTPUTS * (INPUTS + painters._used(genome))
    assert min(counts) == 1 and max(counts) > most / 2
    assert sum(count <= most**0.5 for count in counts) == pytest.approx(150, abs=45)


def test_a_painter_without_a_free_row_gets_no_node():
    from fooling_utils.evolution import painters

    full = genome_of(
        2, {0: (SINE, {X: 1.0}), 1: (SINE, {FIRST: 1.0}), 2: (LINEAR, {SECOND: 1.0}), 3: (LINEAR, {ONE: 1.0})}
    )
    for seed in range(20):
        genome, change = full.clone(), torch.zeros_like(full)
        painters._new_node(genome, change, torch.Generator().manual_seed(seed))
        assert torch.equal(genome, full) and change.count_nonzero() == 1


@pytest.mark.parametrize("distance", [1e-3, 0.01, 0.1])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_a_step_is_as_large_as_its_distance_takes(distance, scale):
    """Grey pictures whose lightness is 0.5 + 0.5 w: a change of w by `scale` moves them by scale / 2."""
    from fooling_utils.evolution import painters

    grey = genome_of(2, {3: (LINEAR, {ONE: -0.5}), 4: (LINEAR, {ONE: -1.0})})
    change = genome_of(2, {3: (0, {ONE: scale})})
    step = painters._step(grey, change, distance)
    assert step == pytest.approx(min(3, distance / (scale / 2)), rel=1e-2)
    assert moved(grey[None], (grey + step * change)[None]).item() == pytest.approx(step * scale / 2, rel=1e-3)


def test_a_change_that_nobody_sees_is_no_step_and_one_that_nobody_can_paint_stays_finite():
    from fooling_utils.evolution import painters

    unseen = genome_of(3, {2: (0, {X: 1.0})})  # nothing listens to this node
    assert painters._step(KNOWN, unseen, 0.1) == 0
    chain = genome_of(30, {0: (LINEAR, {X: 1000.0}), **{i: (LINEAR, {FIRST + i - 1: 1000.0}) for i in range(1, 30)}})
    chain[30:, -1] = 1000.0
    assert math.isfinite(painters._step(chain, 0.1 * chain * (chain.abs() > 5), 0.01))


def test_splitting_a_connection_adds_a_node_and_one_connection():
    from fooling_utils.evolution.painters import _split_connection

    genome = genome_of(4, {4: (LINEAR, {X: 2.0}), 5: (LINEAR, {ONE: 0.5}), 6: (LINEAR, {ONE: 0.5})})
    for connections in (4, 5, 6, 7):
        _split_connection(genome, torch.Generator().manual_seed(connections))
        assert (genome[:, 1:] != 0).sum() == connections
        assert_valid(genome, 4)
    full = genome.clone()
    _split_connection(genome, torch.Generator().manual_seed(0))
    assert torch.equal(genome, full), "there is no row left for a node"


def test_decode_with_the_own_weights_gives_the_picture():
    decode = cppn_decode(KNOWN, 8)
    assert cppn_weights(KNOWN).shape == (1, 11)
    assert torch.equal(decode(cppn_weights(KNOWN))[0], paint(KNOWN[None], 8)[0])


def test_the_gradient_through_a_network_is_that_of_finite_differences():
    decode = cppn_decode(KNOWN.double(), 4)
    weights = cppn_weights(KNOWN.double())
    share = torch.linspace(0, 1, 48, dtype=torch.float64)

    def score(z):
        return decode(z)[0].flatten() @ share

    leaf = weights.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(leaf), leaf)
    for i in range(weights.shape[1]):
        step = torch.zeros_like(weights)
        step[0, i] = 1e-6
        assert (score(weights + step) - score(weights - step)).item() / 2e-6 == pytest.approx(
            gradient[0, i].item(), rel=1e-3, abs=1e-6
        )


def test_the_loop_climbs_through_a_network():
    model = random_linear(3)
    frames = list(
        optimize_pixels(
            model, cppn_weights(KNOWN).repeat(2, 1), toward([1, 2]), decode=cppn_decode(KNOWN, 4),
            step=adam_step(0.05), steps=100,
        )
    )  # fmt: skip
    assert (frames[-1].score > frames[0].score + 0.01).all()
    assert frames[-1].image.shape == (2, 3, 4, 4)


def test_evolution_of_networks_finds_every_class():
    *_, archive = evolve(random_linear(3), cppn(4, hidden=6), generations=60, population=8)
    assert (archive.confidence > 0.5).all()
    for genome in archive.genomes:
        assert_valid(genome, 6)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_layered_genome_is_valid_full_and_symmetric_if_wanted(symmetric):
    genome = layered_genome(5, 3, symmetric=symmetric, seed=1)
    assert_valid(genome, 15)
    inputs = 3 if symmetric else 4
    assert cppn_weights(genome).shape[1] == 5 * inputs + 2 * 5 * 5 + OUTPUTS * 5
    image = paint(genome[None], 16)[0]
    assert torch.allclose(image, image.flip(2), atol=1e-5) is symmetric
    assert torch.equal(genome, layered_genome(5, 3, symmetric=symmetric, seed=1))
    assert not torch.equal(genome, layered_genome(5, 3, symmetric=symmetric, seed=2))


@pytest.mark.parametrize(
    ("width", "layers", "message"),
    [(2, 3, "width must be a whole number from 3 to 10000, got 2"), (5, 0, "layers must be .* from 1 to 1000, got 0")],
)
def test_a_layered_genome_names_a_bad_setting(width, layers, message):
    with pytest.raises(ValueError, match=message):
        layered_genome(width, layers)


def test_many_links_and_few_give_the_same_picture():
    """Nodes are added up link by link or as one matrix product; a link of almost no weight changes the way only."""
    first = {row: (SINE, {X: 1.0 + row % 4, Y: 2.0 - row % 3}) for row in range(40)}
    few = genome_of(40, {
        **first, 40: (SINE, {FIRST: 1.0}), 41: (SINE, {SECOND: 1.0}), 42: (SINE, {SECOND + 1: 1.0, SECOND + 2: 1.0}),
    })  # fmt: skip
    many = few.clone()
    many[:40, 1 + INPUTS - 2 : 1 + INPUTS] = 1e-9
    many[40:, 1 + INPUTS :] += 1e-9
    torch.testing.assert_close(paint(many[None], 9), paint(few[None], 9), atol=1e-5, rtol=0)


def test_weights_stay_small_however_long_the_line():
    encoding, generator = cppn(4, hidden=4), torch.Generator().manual_seed(0)
    genomes = 900 * encoding.start(4, generator)
    genomes[:, :, 0] = SINE
    for _ in range(50):
        genomes = encoding.mutate(genomes, generator)
        assert genomes.abs().max() <= 1000
    assert encoding.render(genomes).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1}, "size must be a whole number and at least 2, got 1"),
        ({"hidden": -1}, "hidden must be a whole number from 0 to 10000, got -1"),
    ],
)
def test_cppn_names_a_bad_setting(settings, message):
    with pytest.raises(ValueError, match=message):
        cppn(**settings)
