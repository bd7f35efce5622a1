"""Checks of optimizers' settings."""

from __future__ import annotations

from math import inf


def number(name, key, value, low=0.0, high=inf, below=inf):
    """`value`, a number from `low` to `high` and under `below`; else a ValueError with the optimizer's name."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not low <= value <= high or (below < inf and value >= below):
        upper = f" and below {below:g}" if below < inf else f" and at most {high:g}" if high < inf else ""
        raise ValueError(f"[{name}] {key} is a number of at least {low:g}{upper}. Received: {key}={value!r}.")
    return value


def optional(name, key, value):
    """The same for a number of at least 0 that may be None."""
    return value if value is None else number(name, key, value)


def count(name, key, value, least):
    """`value`, a whole number of at least `least`, or None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise ValueError(f"[{name}] {key} is a whole number of at least {least}. Received: {key}={value!r}.")
    return value
