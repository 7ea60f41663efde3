"""All champions of an archive as small pictures."""

import torch
from torch import Tensor

from ..arguments import instance, shown, tensors, whole
from ..images import per_image
from .evolve import Archive, Encoding, thumbnails


class Wall:
    """The champions of an archive as small pictures, one per class. Each champion is painted only once.

    size: the longer side of a small picture, in pixels. columns: how many pictures per row.
    """

    def __init__(self, encoding: Encoding, columns: int = 40, size: int = 28):
        instance(Encoding, encoding=encoding)
        whole(1, 10_000, columns=columns, size=size)
        self.encoding, self.columns, self.size = encoding, int(columns), int(size)
        self._small: dict[int, tuple[Tensor, Tensor]] = {}  # by id; the genome is kept, so that its id stays taken

    def small(self, genome: Tensor) -> Tensor:
        """The small picture (3, h, w) of a champion, on the 8-bit grid."""
        if id(genome) not in self._small:
            tensors(genome=genome)
            self._add(genome, self.encoding.thumbnails(genome[None], self.size)[0])
        return self._small[id(genome)][1]

    def keep(self, archive: Archive, children: Tensor, images: Tensor) -> None:
        """Make the small pictures of new champions from the images of the children, and forget those that lost."""
        instance(Archive, archive=archive)
        tensors(children=children, images=images)
        if not children.ndim or not images.ndim or len(children) != len(images):
            raise ValueError(
                f"there must be an image for each of the children (N, ...), got images: {shown(images)} and "
                f"children: {shown(children)}"
            )
        born = [archive.genomes[place] for place in (archive.born == archive.generations).nonzero()[:, 0].tolist()]
        for genome in {id(one): one for one in born}.values():
            there = genome.to(children.device)
            same = next((image for child, image in zip(children, images, strict=True) if _same(child, there)), None)
            if same is not None:
                self._add(genome, thumbnails(same[None], self.size)[0])
        alive = {id(genome) for genome in archive.genomes}
        self._small = {key: pair for key, pair in self._small.items() if key in alive}

    def _add(self, genome: Tensor, picture: Tensor) -> None:
        self._small[id(genome)] = genome, picture.cpu()

    def draw(self, archive: Archive) -> Tensor:
        """The wall as one image (1, 3, height, width); the more confident a champion, the brighter its picture."""
        instance(Archive, archive=archive)
        pictures = torch.stack([self.small(genome) for genome in archive.genomes])
        pictures = pictures * per_image(archive.confidence, pictures)
        missing = -len(pictures) % self.columns
        pictures = torch.cat([pictures, pictures.new_zeros(missing, *pictures.shape[1:])])
        rows = [torch.cat(list(row), 2) for row in pictures.split(self.columns)]
        return torch.cat(rows, 1)[None].clamp(0, 1)


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two genomes are equal. The first genes are compared first, since they tell nearly all of them apart."""
    return torch.equal(one.flatten()[:99], other.flatten()[:99]) and torch.equal(one, other)
