"""Helpers: names and shapes."""

from .arrays import normalize, to_categorical
from .naming import auto_name, nearest, reset_names, to_snake_case, unknown_name
from .seed import set_random_seed

__all__ = [
    "auto_name",
    "nearest",
    "normalize",
    "reset_names",
    "set_random_seed",
    "to_categorical",
    "to_snake_case",
    "unknown_name",
]
