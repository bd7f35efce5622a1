"""Elements held to a signature: dtypes cast, shapes checked."""

from typing import Any

import numpy as np

from .nested import as_array


def conform(item: Any, signature: Any) -> Any:
    """Returns `item` cast to `signature`.

    Args:
        item: Array, or nested tuples and dicts of arrays.
        signature: The same structure with, for each array, a dtype or an object with `dtype` and `shape`
            (None for any size, in the shape or for all of it).

    Raises:
        ValueError: When structure or shape differ.
    """
    where = "Dataset.from_generator"
    if isinstance(signature, tuple):
        if not isinstance(item, tuple) or len(item) != len(signature):
            raise _mismatch(f"tuple of {len(signature)}", item, where)
        return tuple(conform(part, spec) for part, spec in zip(item, signature))
    if isinstance(signature, dict):
        if not isinstance(item, dict) or item.keys() != signature.keys():
            raise _mismatch(f"dict of {list(signature)}", item, where)
        return {key: conform(item[key], spec) for key, spec in signature.items()}
    if isinstance(item, (tuple, dict)):
        raise _mismatch("one array", item, where)
    has_shape = hasattr(signature, "shape") and not isinstance(signature, (np.dtype, type))
    dtype = signature.dtype if has_shape else signature
    array = np.asarray(
        as_array(item, where), np.dtype(dtype if isinstance(dtype, type) else getattr(dtype, "name", dtype))
    )
    if has_shape and signature.shape is not None:
        sizes = tuple(signature.shape)
        if len(sizes) != array.ndim or any(n is not None and n != m for n, m in zip(sizes, array.shape)):
            raise ValueError(
                f"[{where}] an element does not have the shape of output_signature; expected {sizes}. "
                f"Received: shape={array.shape}."
            )
    return array


def _mismatch(expected: str, item: Any, where: str) -> ValueError:
    kind = f"{type(item).__name__} of {len(item)}" if isinstance(item, (tuple, dict)) else "one array"
    return ValueError(
        f"[{where}] an element does not have the structure of output_signature; expected {expected}. Received: {kind}."
    )
