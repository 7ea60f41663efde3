from .blink import BlinkComparator
from .guess import GuessFirst, tally
from .kit import forget, png
from .live import LiveImage
from .plane_canvas import PlaneCanvas
from .plane_explorer import PlaneExplorer
from .player import FoolingPlayer
from .stops import EpsilonExplorer, PriorExplorer
from .wall import ChampionsWall

__all__ = [
    "BlinkComparator",
    "ChampionsWall",
    "EpsilonExplorer",
    "FoolingPlayer",
    "GuessFirst",
    "LiveImage",
    "PlaneCanvas",
    "PlaneExplorer",
    "PriorExplorer",
    "forget",
    "png",
    "tally",
]
