"""All champions of an archive in one image."""

import torch
from torch import Tensor

from ..images import per_image
from .evolve import Archive, Encoding


class ChampionWall:
    """All champions of an archive as one image, each the brighter the higher its confidence; 0 % is black.

    encoding: one that paints small images, such as `cppn(28)`. columns: how many stand side by side.
    """

    def __init__(self, encoding: Encoding, columns: int = 40):
        self.encoding, self.columns = encoding, columns
        self._small: dict[int, tuple[Tensor, Tensor]] = {}  # by identity; the genome is kept, so that it stays unique

    def draw(self, archive: Archive) -> Tensor:
        """The wall as it is now, (1, 3, height, width); only champions that are new are painted."""
        new = {id(genome): genome for genome in archive.genomes if id(genome) not in self._small}
        if new:
            images = self.encoding.render(torch.stack(list(new.values())))
            self._small |= {key: (new[key], image) for key, image in zip(new, images, strict=True)}
        images = torch.stack([self._small[id(genome)][1] for genome in archive.genomes])
        images = images * per_image(archive.confidence, images)
        missing = -len(images) % self.columns
        images = torch.cat([images, images.new_zeros(missing, *images.shape[1:])])
        rows = [torch.cat(list(row), 2) for row in images.split(self.columns)]
        return torch.cat(rows, 1)[None].clamp(0, 1)
