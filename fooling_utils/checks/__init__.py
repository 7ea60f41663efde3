"""Checks for the exercises: each takes a student's answer and says that it is right, or what is wrong with it.

`exercises.py` lists them. Read `core.py` for what all checks share; `lesson1.py` and so on hold one short function per
exercise, called like the answer. `__init__.pyi` says which names are here, each imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
