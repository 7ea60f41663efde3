"""Checks of arguments that many functions share, so that one mistake has one message."""

import operator


def whole(least: int = 1, most: float = float("inf"), /, **values: object) -> None:
    """Raise ValueError unless every named value is a whole number from `least` to `most`."""
    for name, value in values.items():
        try:
            fits = not isinstance(value, bool) and least <= operator.index(value) <= most
        except TypeError:
            fits = False
        if not fits:
            limits = f"and at least {least}" if most == float("inf") else f"from {least} to {most}"
            raise ValueError(f"{name} must be a whole number {limits}, got {value!r}")


def between(low: float, high: float, /, **values: object) -> None:
    """Raise ValueError unless every named value is a number from `low` to `high`."""
    for name, value in values.items():
        if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or not low <= value <= high:
            limits = f"and at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise ValueError(f"{name} must be a number {limits}, got {value!r}")


def positive(**values: float) -> None:
    """Raise ValueError unless every named value is greater than 0."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be greater than 0, got {value}")


def one_of(choices: object, /, **values: object) -> None:
    """Raise ValueError unless every named value is one of `choices`."""
    for name, value in values.items():
        if value not in list(choices):
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
