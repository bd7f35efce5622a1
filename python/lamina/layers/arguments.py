"""Checks of constructor arguments that several layers share."""

from __future__ import annotations

from ..utils.naming import unknown_name


def positive(layer, name, value):
    """A size: an integer >= 1."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 1:
        raise ValueError(f"[{layer}] {name} must be a positive integer. Received: {name}={value!r}.")
    return value.__index__()


_COUNTS = {1: "or a tuple of one", 2: "or two of them", 3: "or three of them"}


def sizes_of(layer, name, value, rank, low=1):
    """One integer >= `low` for each of `rank` axes, from one for all or a tuple or list."""
    values = (value,) * rank if hasattr(value, "__index__") else value
    if not isinstance(values, (tuple, list)) or len(values) != rank:
        raise ValueError(f"[{layer}] {name} must be an integer {_COUNTS[rank]}. Received: {name}={value!r}.")
    return tuple(positive(layer, name, v) if low else _not_negative(layer, name, v) for v in values)


def _not_negative(layer, name, value):
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 0:
        raise ValueError(f"[{layer}] {name} must be an integer >= 0. Received: {name}={value!r}.")
    return value.__index__()


def borders(layer, name, value, rank):
    """(before, after) for each of `rank` axes: from one integer for all, one for each axis, or a pair for each."""
    axes = (value,) * rank if hasattr(value, "__index__") else value
    if not isinstance(axes, (tuple, list)) or len(axes) != rank:
        raise ValueError(
            f"[{layer}] {name} must be an integer, or {rank} integers or pairs (before, after), one per axis. "
            f"Received: {name}={value!r}."
        )
    return tuple(sizes_of(layer, name, axis, 2, low=0) for axis in axes)


def padding_of(layer, padding, names=("valid", "same")):
    """`"valid"` or `"same"` (or another of `names`), in any case."""
    name = padding.lower() if isinstance(padding, str) else padding
    if name not in names:
        raise unknown_name(f"{layer}.padding", padding, names)
    return name


def data_format_of(layer, data_format):
    """`"channels_last"` (None means it) or `"channels_first"`."""
    if data_format is None:
        return "channels_last"
    if data_format not in ("channels_last", "channels_first"):
        raise unknown_name(f"{layer}.data_format", data_format, ("channels_last", "channels_first"))
    return data_format


def fraction(layer, name, value):
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"[{layer}] {name} must be a number from 0 to 1. Received: {name}={value!r}.")
    return value


def positive_number(layer, name, value):
    """A number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValueError(f"[{layer}] {name} must be a positive number. Received: {name}={value!r}.")
    return value


def axes_argument(layer, axis):
    """An axis, or a list of axes, as the configuration keeps them."""
    is_int = [
        isinstance(a, int) and not isinstance(a, bool) for a in (axis if isinstance(axis, (list, tuple)) else [axis])
    ]
    if not is_int or not all(is_int):
        raise TypeError(f"[{layer}] axis must be an integer or a list of integers. Received: axis={axis!r}.")
    return list(axis) if isinstance(axis, (list, tuple)) else axis


def axes_in(layer, axis, input_shape):
    """The axes from the start, in rising order."""
    ndim, axes = len(input_shape), axis if isinstance(axis, list) else [axis]
    if not all(-ndim <= a < ndim for a in axes):
        raise ValueError(f"[{layer}] axis is out of range. Received: axis={axis}, input_shape={input_shape}.")
    found = sorted(a % ndim for a in axes)
    if len(set(found)) < len(found):
        raise ValueError(f"[{layer}] an axis is named twice. Received: axis={axis}, input_shape={input_shape}.")
    return found
