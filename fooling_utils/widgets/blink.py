"""Two images that take turns in one place, where the eye finds a change that it misses side by side."""

import weakref
from collections.abc import Mapping, Sequence

import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ..arguments import between, dictionaries, instance
from ..figures import amplify, grid_of_images, natural_amplification, triptych
from ..images import round_to_8bit, validate_images
from ..models import Classifier
from .kit import AskedWidget, Kept, Reply, change_sizes, rgb, script

RATES = (0.25, 3.0)  # images per second: below the three flashes a second that can provoke seizures (WCAG 2.1, 2.3.1)
TIMES = (1.0, 200.0)  # how much the change can be magnified
PRESETS = (
    {"title": "change × 1", "times": 1},
    {"title": "change × 20", "times": 20},
    {"title": "change × 200", "times": 200},
    {"title": "blink slowly", "rate": 0.5},
    {"title": "blink 3 times a second", "rate": 3},
)


class BlinkComparator(AskedWidget):
    """An original A and a fooled image B in turn, next to their difference, magnified 1 to 200 times.

    original, fooled: (1, 3, H, W), or (1, 1, H, W) in grey, compared after rounding to 8 bit.
    rate: images per second, from 0.25 to 3.
    model: a network, whose answers can then be revealed. Without one, a reader can reveal which image is which.
    presets: dictionaries with a title and any of times, 1 to 200, and rate.
    It starts paused. For readers who prefer reduced motion, an image stays for at least 2 seconds, and only the start
    button and the space bar start it.
    Raises ValueError for images of different shapes, and for a rate or an amplification that is out of range.
    """

    _esm = script("blink")
    rate = traitlets.Float().tag(sync=True)
    rates = traitlets.List(RATES).tag(sync=True)

    def __init__(
        self,
        original: Tensor,
        fooled: Tensor,
        *,
        model: Classifier | None = None,
        rate: float = 1.0,
        presets: Sequence[Mapping] = PRESETS,
    ):
        if model is not None:
            instance(Classifier, model=model)
        dictionaries(presets=presets)
        for name, image in {"original": original, "fooled": fooled}.items():
            validate_images(image, name=name)
            if model:
                model.validate(image, name)
        if original.shape != fooled.shape or original.shape[:2] not in ((1, 3), (1, 1)):
            raise ValueError(
                "original and fooled must be single images of the same shape (1, 3 or 1, H, W), got "
                f"{tuple(original.shape)} and {tuple(fooled.shape)}"
            )
        for settings in [{"rate": rate}, *presets]:
            between(*RATES, rate=settings.get("rate", rate))
            between(*TIMES, times=settings.get("times", 1))
        self.original, self.fooled = round_to_8bit(original), round_to_8bit(fooled)
        self._keep(model and weakref.ref(model), lambda: Kept(model=model))
        super().__init__(rate=float(rate), presets=[dict(preset) for preset in presets])

    def first_questions(self) -> list[tuple[str, dict]]:
        """Everything at once."""
        return [("start", {})]

    def answer_start(self) -> Reply:
        """Everything that the page needs: both images, how far apart they are, and what the network says about them."""
        change = self.fooled - self.original
        judged = (self.original, self.fooled) if self.model else ()
        facts = {
            "width": self.original.shape[3],
            **change_sizes(change),
            "times": min(natural_amplification(change), TIMES[1]),
            "top": [self.model.top(image, 1)[0]._asdict() for image in judged],
        }
        return facts, [rgb(self.original), rgb(self.fooled)]

    def twin(self) -> Figure:
        """Original, change and result side by side."""
        if self.model:
            before, after = (self.model.top(image, 1)[0].index for image in (self.original, self.fooled))
            figure = triptych(self.model, self.original, self.fooled, None if after == before else after)
            for place, name in ((0, "A"), (2, "B")):
                figure.axes[place].set_title(name)
            return figure
        change = self.fooled - self.original
        times = natural_amplification(change)
        images = [self.original, amplify(change, times), self.fooled]
        return grid_of_images(images, ["A", f"B − A, times {times}", "B"], columns=3)
