"""Widgets for students to use and instructors to show; each has a static twin for a reader without a kernel.

`__init__.pyi` says which names are here. Each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
