"""Checks of the plain arguments of `lamina.data`."""

import operator
from typing import Any


def integer(value: Any, name: str, where: str, minimum: int | None = None) -> int:
    """Returns `value` as an int; a bool, a fraction or anything below `minimum` is refused."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    bound = "" if minimum is None else f" of at least {minimum}"
    if number is None:
        raise TypeError(
            f"[{where}] {name} is no integer; expected an integer{bound}. Received: {name}={value!r} "
            f"(type {type(value).__name__})."
        )
    if minimum is not None and number < minimum:
        raise ValueError(f"[{where}] {name} is too small; expected an integer{bound}. Received: {name}={number}.")
    return number


def function(value: Any, name: str, where: str) -> None:
    """Refuses a value that cannot be called."""
    if not callable(value):
        raise TypeError(
            f"[{where}] {name} cannot be called; expected a function. Received: {name}={value!r} "
            f"(type {type(value).__name__})."
        )
