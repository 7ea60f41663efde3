"""Can you see it? Original and fooled image alternate in one place, and a slider amplifies their difference."""

from collections.abc import Mapping, Sequence

import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ..figures import amplify, grid_of_images, natural_amplification
from ..images import check_images, round_to_8bit
from ..models import Classifier
from .base import Answer, AskedWidget, rgb, script

FASTEST = 3.0  # images a second: faster flashing can trigger seizures (WCAG 2.1, criterion 2.3.1)
PRESETS = (
    {"title": "A", "show": 0},
    {"title": "B", "show": 1},
    {"title": "alternate", "rate": 1.0},
    {"title": "faster", "rate": FASTEST},
    {"title": "× 20", "times": 20},
    {"title": "× 200", "times": 200},
)


class BlinkComparator(AskedWidget):
    """Two images (1, 3, H, W) that alternate in one place, paused at first, and their amplified difference.

    model: if given, its answers to both can be revealed. rate: images a second, 0.25 to 3.
    Both are rounded to 8 bit first. Raises ValueError where the images do not fit each other, or for another rate.
    """

    _esm = script("blink")
    rate = traitlets.Float().tag(sync=True)

    def __init__(
        self,
        original: Tensor,
        fooled: Tensor,
        *,
        model: Classifier | None = None,
        rate: float = 1.0,
        presets: Sequence[Mapping] = PRESETS,
    ):
        check_images(original, name="original")
        check_images(fooled, name="fooled")
        if original.shape != fooled.shape or len(original) != 1:
            raise ValueError(
                f"a comparison needs two images of one shape (1, 3, H, W), got {tuple(original.shape)} and "
                f"{tuple(fooled.shape)}"
            )
        if not 0.25 <= rate <= FASTEST:
            raise ValueError(f"rate must be from 0.25 to {FASTEST:g} images a second, got {rate}")
        self.original, self.fooled, self.model = round_to_8bit(original), round_to_8bit(fooled), model
        super().__init__(rate=rate, presets=[dict(preset) for preset in presets])

    def answer_begin(self) -> Answer:
        """Both images, and how far they are apart."""
        change = self.fooled - self.original
        facts = {
            "l2": change.norm().item(),
            "rms": 255 * change.square().mean().sqrt().item(),
            "largest": 255 * change.abs().max().item(),
            "natural": natural_amplification(change),
            "has_model": self.model is not None,
        }
        return facts, [rgb(self.original), rgb(self.fooled)]

    def answer_verdicts(self) -> dict:
        """The network's top class of both."""
        if self.model is None:
            raise ValueError("there is no network to ask: use BlinkComparator(original, fooled, model=model)")
        tops = [self.model.top(image)[0] for image in (self.original, self.fooled)]
        return {"verdicts": [{"label": top.label, "probability": top.probability} for top in tops]}

    def twin(self) -> Figure:
        """Both images and their difference, side by side."""
        change = self.fooled - self.original
        times = natural_amplification(change)
        titles = ["A", "B", f"B − A, times {times}"]
        return grid_of_images([self.original, self.fooled, amplify(change, times)], titles, columns=3)
