"""All champions as small pictures."""

from dataclasses import replace

import torch

from fooling_utils.evolution.evolve import Archive, Encoding
from fooling_utils.evolution.wall import Wall


def archive_of(shades: list[float], confidence: list[float], labels: int = 5) -> Archive:
    return Archive(
        labels=tuple(f"class {i}" for i in range(labels)), indices=tuple(range(labels)),
        genomes=tuple(torch.full((3, 2, 2), shade) for shade in shades), confidence=torch.tensor(confidence),
        born=torch.ones(labels), reach=torch.ones(labels), generations=1, evaluations=2, encoding="grey",
        random_state=torch.zeros(1), fingerprint=torch.zeros(labels),
    )  # fmt: skip


def test_the_wall_has_a_place_per_class_as_bright_as_the_confidence():
    painted = []

    def render(genomes):
        painted.append(len(genomes))
        return genomes

    wall = Wall(Encoding("grey", None, None, render), columns=3)
    shades, confidence = [0.2, 0.4, 0.6, 0.8, 1.0], [1.0, 0.5, 0.0, 1.0, 0.25]
    first = archive_of(shades, confidence)
    drawn = wall.draw(first)
    assert drawn.shape == (1, 3, 4, 6)
    expected = [[0.2, 0.2, 0], [0.8, 0.25, 0]]  # shade times confidence; the last place is empty
    torch.testing.assert_close(drawn[0, 0, ::2, ::2], torch.tensor(expected))
    second = replace(first, genomes=(*first.genomes[:4], torch.zeros(3, 2, 2)))
    assert wall.draw(second)[0, :, 2:, 2:4].max() == 0
    assert sum(painted) == 5 + 1, "only new champions are painted"
