from . import lesson0, lesson1, lesson2, lesson3, lesson4, lesson5, lesson6
from .exercises import EXERCISES, Exercise
from .judging import Verdict, check, judge, summary

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
