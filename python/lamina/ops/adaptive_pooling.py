"""Pooling to a given number of windows, which cut the input as evenly as its size allows."""

from __future__ import annotations

import math

import numpy as np

from .common import constant, floating
from .indexing import take
from .joining import concatenate
from .pooling import average_pool, max_pool
from .shape import reshape
from .spatial import AXES, channels_first, per_axis, symbolic, to_first, to_last


def adaptive_average_pool(inputs, output_size, data_format=None):
    """The mean of each window, for a given number of windows.

    Window i of n along an axis of a given size reaches from floor(i size / n) to ceil((i + 1) size / n); where n
    does not divide the size, neighbours overlap.

    Args:
        inputs: float tensor `[batch, 1 to 3 axes, channels]`.
        output_size: number of windows, for all axes or one per axis.
        data_format: `"channels_last"` (the default), or `"channels_first"`: the second axis.

    Returns:
        Tensor with one cell per window, in the layout of `inputs`.

    Raises:
        ValueError: for inputs of another rank or without elements along an axis, or an output_size below 1.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.reshape(lm.ops.arange(5.0), (1, 5, 1))
        >>> lm.ops.adaptive_average_pool(x, 2).numpy().ravel()
        array([1., 3.], dtype=float32)
    """
    return _adaptive("adaptive_average_pool", average_pool, inputs, output_size, data_format)


def adaptive_max_pool(inputs, output_size, data_format=None):
    """The maximum of each window, for a given number of windows. Arguments as in `adaptive_average_pool`.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.reshape(lm.ops.arange(5.0), (1, 5, 1))
        >>> lm.ops.adaptive_max_pool(x, 2).numpy().ravel()
        array([2., 4.], dtype=float32)
    """
    return _adaptive("adaptive_max_pool", max_pool, inputs, output_size, data_format)


def _adaptive(op, pool, inputs, output_size, data_format):
    x, first = floating(inputs), channels_first(op, data_format)
    if x.ndim - 2 not in AXES:
        raise ValueError(
            f"[{op}] needs inputs of 3 to 5 axes, (batch, 1 to 3 axes, channels). Received: inputs.shape={x.shape}."
        )
    sizes = per_axis(op, "output_size", output_size, x.ndim - 2)
    x = to_last(x, first)
    if min(sizes) < 1 or 0 in x.shape[1:-1]:
        raise ValueError(
            f"[{op}] output_size and the sizes of the inputs' axes must be at least 1. "
            f"Received: output_size={output_size}, inputs.shape={x.shape}."
        )
    if x._core.is_symbolic:
        y = symbolic((x.shape[0], *sizes, x.shape[-1]), x, x._source)
    else:
        y = x
        for axis in range(len(sizes), 0, -1):  # backward: of equal maxima the first in row-major order stays
            y = _along(pool, y, axis, sizes[axis - 1])
    return to_first(y, first)


def _along(pool, x, axis, count):
    """Pools an axis into `count` windows, one pass for each size that windows have."""
    shape = x.shape
    size, channels = shape[axis], shape[-1]
    lines = (math.prod(shape[:axis]), size, math.prod(shape[axis + 1 : -1]), channels)
    images, back = reshape(x, lines), (*shape[:axis], count, *shape[axis + 1 :])
    if size % count == 0:
        return reshape(pool(images, (size // count, 1)), back)
    i = np.arange(count)
    starts = i * size // count
    lengths = -(-(i + 1) * size // count) - starts
    parts, order = [], []
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        windows = pool(images, (int(length), 1), 1)
        parts.append(take(windows, constant(starts[chosen].astype("int32")), 1))
        order.extend(chosen)
    joined = concatenate(parts, 1)
    return reshape(take(joined, constant(np.argsort(order).astype("int32")), 1), back)
