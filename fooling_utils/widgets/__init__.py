"""What students slide and instructors project; each widget has a static twin for a reader without a kernel."""

from .base import forget, png
from .plane_canvas import PlaneCanvas
from .planes import PlaneExplorer
from .player import FoolingPlayer
from .simple import LiveImage, slider

__all__ = ["FoolingPlayer", "LiveImage", "PlaneCanvas", "PlaneExplorer", "forget", "png", "slider"]
