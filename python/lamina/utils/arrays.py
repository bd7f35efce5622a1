"""Small conversions of NumPy arrays."""

from __future__ import annotations

import numpy as np

from ..ops import one_hot
from ..ops.arguments import integer, number
from ..ops.shape import axis_of
from ..tensor import convert_to_tensor


def to_categorical(x, num_classes=None):
    """Class ids as one-hot rows.

    Args:
        x: integers [...] (a last axis of 1 is dropped).
        num_classes: length of a row; by default the highest id + 1.

    Returns:
        float32 array [..., num_classes].

    Raises:
        ValueError: for an id out of range.

    Example:
        >>> import lamina as lm
        >>> lm.utils.to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    ids = convert_to_tensor(x).numpy()
    if ids.ndim > 1 and ids.shape[-1] == 1:
        ids = ids.reshape(ids.shape[:-1])
    whole = ids.astype(np.int64)
    if (whole != ids).any():
        raise ValueError(f"[to_categorical] class ids are whole numbers. Received: dtype={ids.dtype}.")
    count = (
        int(whole.max(initial=-1)) + 1 if num_classes is None else integer("to_categorical", "num_classes", num_classes)
    )
    if whole.size and not (0 <= whole.min() and whole.max() < count):
        raise ValueError(
            f"[to_categorical] class ids are from 0 to num_classes - 1. Received: ids from {whole.min()} to "
            f"{whole.max()}, num_classes={count}."
        )
    return one_hot(whole, max(count, 1)).numpy()[..., :count].copy()


def normalize(x, axis=-1, order=2):
    """x divided by its norm along an axis; rows of zeros stay zeros.

    Args:
        x: array.
        axis: the axis of the norm.
        order: order of the norm, 2 for Euclid's.

    Returns:
        Array of x's shape.

    Example:
        >>> import lamina as lm
        >>> lm.utils.normalize([[3.0, 4.0]])
        array([[0.6, 0.8]])
    """
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"[normalize] needs numbers. Received: dtype={x.dtype}.")
    axis, order = axis_of("normalize", axis, x.ndim), number("normalize", "order", order)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)
