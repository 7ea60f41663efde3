"""Glue to ipywidgets' own: an image that is drawn again while a loop runs, and a slider through images."""

import html
from collections.abc import Sequence

import ipywidgets
from torch import Tensor

from .base import png


class LiveImage(ipywidgets.Image):
    """An image in the page that is replaced without flicker: `display(screen)` once, then `screen.show(image)`."""

    def __init__(self, width: str = "100%"):
        super().__init__(format="png", layout=ipywidgets.Layout(width=width, min_height="40px"))

    def show(self, image: Tensor) -> None:
        """Show one image (1, 3, H, W)."""
        self.value = png(image)


def slider(
    images: Tensor | Sequence[Tensor], titles: Sequence[str], *, description: str = "", width: str = "400px"
) -> ipywidgets.VBox:
    """A slider through images (N, 3, H, W), or a list of (1, 3, H, W), with a title under each."""
    pictures = [png(image) for image in (images.split(1) if isinstance(images, Tensor) else images)]
    if len(pictures) != len(titles) or not pictures:
        raise ValueError(f"{len(pictures)} images and {len(titles)} titles: there must be one title per image")
    choose = ipywidgets.IntSlider(0, 0, len(pictures) - 1, description=description, readout=False)
    choose.layout.width, choose.style.description_width = width, "initial"
    screen = ipywidgets.Image(format="png", width=width.removesuffix("px"))
    caption = ipywidgets.HTML()

    def show(place: int) -> None:
        screen.value = pictures[place]
        caption.value = f"<b style='font-size: 18px'>{html.escape(titles[place])}</b>"

    show(0)
    choose.observe(lambda change: show(change["new"]), "value")
    return ipywidgets.VBox([choose, screen, caption])
