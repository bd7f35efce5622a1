"""Nested structures of arrays: tuples and dicts hold structures, everything else is one array.

A list is an array, not a structure, as in tf.data: `[[1, 2], [3, 4]]` is one 2x2 array.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def as_array(value: Any, where: str) -> Any:
    """Returns `value` as a NumPy array or scalar, not copying one that already is; refuses objects."""
    if not isinstance(value, (np.ndarray, np.generic)):
        to_numpy = getattr(value, "numpy", None)
        try:
            value = to_numpy() if callable(to_numpy) else np.asarray(value)
        except ValueError:  # NumPy's word for rows of unequal length
            raise ValueError(
                f"[{where}] a list has rows of different lengths; expected rows of one length. "
                f"Received: type={type(value).__name__}. Pad the rows, or pass several arrays as a tuple."
            ) from None
    if value.dtype == object:
        raise TypeError(
            f"[{where}] a value is no array of numbers or text; expected arrays, lists of numbers, or tuples "
            f"and "
            f"dicts of them. Received: dtype=object, shape={value.shape}. Convert it with np.asarray(value, "
            f"dtype)."
        )
    return value


def map_structure(fn: Callable[[Any], Any], structure: Any) -> Any:
    """Applies `fn` to every leaf and keeps the tuples, named tuples and dicts around them."""
    if isinstance(structure, tuple):
        return _like(structure, [map_structure(fn, item) for item in structure])
    if isinstance(structure, dict):
        return {key: map_structure(fn, item) for key, item in structure.items()}
    return fn(structure)


def leaves(structure: Any) -> list[Any]:
    """Returns the leaves from left to right."""
    found: list[Any] = []
    map_structure(found.append, structure)
    return found


def as_arrays(structure: Any, where: str) -> Any:
    """Returns the structure with every leaf read by `as_array`."""
    return map_structure(lambda leaf: as_array(leaf, where), structure)


def as_columns(structure: Any, where: str) -> tuple[Any, int]:
    """Reads arrays that share their first dimension.

    Args:
        structure: Array, or nested tuples and dicts of arrays; every array has at least one dimension.
        where: Tag of the error messages.

    Returns:
        The structure as read-only views of the arrays, and the common first dimension.
    """

    def column(leaf: Any) -> np.ndarray:
        view = np.asarray(as_array(leaf, where)).view()
        view.flags.writeable = False  # a batch is a view of the caller's data; writing to it would change that
        return view

    columns = map_structure(column, structure)
    shapes = [array.shape for array in leaves(columns)]
    if not shapes:
        raise ValueError(f"[{where}] there is no array; expected at least one. Received: {structure!r}.")
    if () in shapes:
        raise ValueError(
            f"[{where}] a scalar has no rows; expected arrays of one or more dimensions. Received: shapes={shapes}."
        )
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(
            f"[{where}] the arrays differ in their number of samples; expected one first dimension. "
            f"Received: shapes={shapes}. If these are the samples of one array, np.stack makes it."
        )
    return columns, shapes[0][0]


def stack(elements: Sequence[Any], where: str) -> Any:
    """Stacks elements of one structure along a new first axis, leaf by leaf."""
    first = elements[0]
    if isinstance(first, tuple):
        if any(not isinstance(item, tuple) or len(item) != len(first) for item in elements):
            raise _differ(elements, where)
        return _like(first, [stack(column, where) for column in zip(*elements)])
    if isinstance(first, dict):
        if any(not isinstance(item, dict) or item.keys() != first.keys() for item in elements):
            raise _differ(elements, where)
        return {key: stack([item[key] for item in elements], where) for key in first}
    if any(isinstance(item, (tuple, dict)) for item in elements):
        raise _differ(elements, where)
    arrays = [as_array(item, where) for item in elements]
    if len({array.shape for array in arrays}) > 1:
        other = next(array for array in arrays if array.shape != arrays[0].shape)
        raise ValueError(
            f"[{where}] elements of different shapes cannot form one batch; expected equal shapes. Received: "
            f"shapes={arrays[0].shape} and {other.shape}. Crop or pad them in map() first."
        )
    return np.stack(arrays)


def _like(original: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    return type(original)(*items) if hasattr(original, "_fields") else tuple(items)


def _differ(elements: Sequence[Any], where: str) -> ValueError:
    def describe(structure: Any) -> str:
        if isinstance(structure, tuple):
            return f"tuple of {len(structure)}"
        return f"dict of {list(structure)}" if isinstance(structure, dict) else "array"

    kinds = list(dict.fromkeys(describe(item) for item in elements))
    return ValueError(
        f"[{where}] elements of different structure cannot form one batch; expected one structure. "
        f"Received: {' and '.join(kinds[:2])}."
    )
