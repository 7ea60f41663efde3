"""A map of classes on a plane through images, and the image of each place on it."""

import io
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor

from ..figures import paint_regions, region_colours
from ..models import Classifier
from ..regions import RegionMap
from ..surveys import Survey, grey_levels
from .base import png


class PlaneExplorer(anywidget.AnyWidget):
    """A map beside the image of the place under the pointer, or of the cross that the arrow keys move.

    The front end asks for one place at a time and Python answers with its image and top five.
    survey: the plane, where it is mapped, and its named images. found: a map of it.
    """

    _esm = Path(__file__).with_name("plane_explorer.js")
    map = traitlets.Bytes().tag(sync=True)
    marks = traitlets.List().tag(sync=True)

    def __init__(self, model: Classifier, survey: Survey, found: RegionMap):
        self.model, self.survey = model, survey
        left, right, bottom, top = survey.extent
        self._corner, self._size = torch.tensor([left, bottom]), torch.tensor([right - left, top - bottom])
        names = list(survey.images)
        places = survey.plane.coordinates(torch.cat([survey.images[name] for name in names])).cpu()
        shares = ((places - self._corner) / self._size).tolist()
        inside = [(name, x, y) for name, (x, y) in zip(names, shares, strict=True) if 0 <= x <= 1 and 0 <= y <= 1]
        marks = [{"name": name, "x": x, "y": y} for name, x, y in inside]
        super().__init__(map=_map_png(found), marks=marks)
        self.on_msg(self._answer)

    def image_at(self, x: float, y: float) -> Tensor:
        """The image (1, 3, H, W) at a place given in shares of the map, from 0 at the left and at the bottom to 1."""
        if not (isinstance(x, (int, float)) and isinstance(y, (int, float)) and 0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError(f"x and y must be between 0 and 1, got {x!r} and {y!r}")
        place = self._corner + torch.tensor([x, y]) * self._size
        return self.survey.plane.images(place[None]).clamp(*self.model.bounds)

    def _answer(self, _widget: object, content: object, _buffers: object) -> None:
        try:
            x, y = content["x"], content["y"]
            image = self.image_at(x, y)
            across, up = ((self._corner + torch.tensor([x, y]) * self._size) * grey_levels(image)).tolist()
            top = [{"label": p.label, "probability": p.probability} for p in self.model.top(image)]
            self.send({"top": top, "place": f"{across:.1f} across, {up:.1f} up (grey levels)"}, [png(image)])
        except Exception as error:  # an error in a callback would vanish; here it is shown
            self.send({"error": f"{type(error).__name__}: {error}"})


def _map_png(found: RegionMap) -> bytes:
    pixels = np.round(255 * paint_regions(found, region_colours([found.labels]))[::-1]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
