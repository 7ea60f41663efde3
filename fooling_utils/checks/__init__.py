"""Checks for the exercises: each takes a student's answer and says that it is right, or what is wrong with it.

Read `core.py` for what all checks share; `lesson1.py` and so on hold one short function per exercise.
"""

from . import lesson0, lesson1, lesson2, lesson3, lesson4, lesson5, lesson6
from .core import EXERCISES, Exercise, Verdict, check, judge, summary

__all__ = [
    "EXERCISES",
    "Exercise",
    "Verdict",
    "check",
    "judge",
    "lesson0",
    "lesson1",
    "lesson2",
    "lesson3",
    "lesson4",
    "lesson5",
    "lesson6",
    "summary",
]
