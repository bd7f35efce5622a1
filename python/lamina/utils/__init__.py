"""Helpers: names and shapes."""

from .naming import auto_name, nearest, reset_names, to_snake_case, unknown_name

__all__ = ["auto_name", "nearest", "reset_names", "to_snake_case", "unknown_name"]
