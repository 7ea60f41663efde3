"""Fool a frozen network by changing pixels: the small library behind the course.

Almost every picture in the course is made by `optimize_pixels`: you start somewhere, then say what you want
(objective), where you may go (constraint) and how to move (step). The docstring of each folder's `__init__` says what
the folder holds.

`__init__.pyi` says which names are here. Each is imported when it is first used, so that what needs no torch, such as
the lecture's server, does without it.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
