"""An image on the page that is redrawn while a loop runs."""

import ipywidgets
from torch import Tensor

from ..arguments import instance
from .kit import WithTwin, png


class LiveImage(WithTwin, ipywidgets.Image):
    """An image on the page that is replaced without flicker: `display(screen)` once, then `screen.show(image)`."""

    def __init__(self, width: str = "100%"):
        instance(str, width=width)
        super().__init__(format="png", layout=ipywidgets.Layout(width=width, min_height="40px"))
        self.add_class("fool-live")

    def show(self, image: Tensor) -> None:
        """Show one image (1, 3, H, W)."""
        self.value = png(image)
