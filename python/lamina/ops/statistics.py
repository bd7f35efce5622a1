"""Order statistics: medians and quantiles, with their gradients."""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor
from .arguments import axes as axes_of
from .arguments import choice, flag, in_range
from .arithmetic import where
from .common import constant, floating
from .elementwise import isnan
from .indexing import take
from .reduce import _kept_shape, _reduced
from .shape import moveaxis, reshape, transpose
from .sorting import sort

METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(x, q, axis=None, method="linear", keepdims=False):
    """The values below which the fractions q of the elements lie; NaN where one of the elements is NaN.

    Args:
        x: tensor; integers become float32.
        q: fraction in [0, 1], or a sequence of them. A captured step keeps its values.
        axis: axis or axes to reduce; None for all.
        method: between two elements `"linear"` interpolates, `"midpoint"` takes their mean, `"lower"`, `"higher"` and
            `"nearest"` one of them.
        keepdims: whether reduced axes stay, with size 1.

    Returns:
        Tensor of the axes that are left, after an axis of the fractions where q is a sequence.

    Raises:
        ValueError: for a fraction outside [0, 1], an unknown method, or over no elements.
        IndexError: if an axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.quantile([1.0, 2.0, 4.0, 8.0], [0.5, 1.0]).numpy()
        array([3., 8.], dtype=float32)
    """
    return _quantile("quantile", floating(x), q, axes_of("quantile", axis), method, keepdims)


def median(x, axis=None, keepdims=False):
    """The middle element, or the mean of the two middle ones; NaN where one of the elements is NaN.

    Args:
        x: tensor; integers become float32.
        axis: axis or axes to reduce; None for all.
        keepdims: whether reduced axes stay, with size 1.

    Returns:
        Tensor.

    Raises:
        ValueError: over no elements.
        IndexError: if an axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.median([3.0, 9.0, 1.0, 2.0]).numpy()
        array(2.5, dtype=float32)
    """
    return _quantile("median", floating(x), 0.5, axes_of("median", axis), "linear", keepdims)


def _fractions(op, q):
    try:
        fractions = np.asarray(q.numpy() if isinstance(q, Tensor) else q, np.float64)
    except (TypeError, ValueError):
        fractions = np.array([np.nan])
    if fractions.ndim > 1 or not np.all((fractions >= 0) & (fractions <= 1)):
        raise ValueError(f"[{op}] q must be a number from 0 to 1 or a sequence of them. Received: q={q!r}.")
    return fractions


def _quantile(op, x, q, axes, method, keepdims):
    fractions = _fractions(op, q)
    method, keepdims = choice(op, "method", method, METHODS), flag(op, "keepdims", keepdims)
    in_range(op, axes, x.ndim)
    shape = x.shape
    reduced = sorted(_reduced(axes, x.ndim))
    others = [i for i in range(x.ndim) if i not in reduced]
    kept, sizes = [shape[i] for i in others], [shape[i] for i in reduced]
    if None in sizes or 0 in sizes:
        raise ValueError(
            f"[{op}] needs a known number of elements, at least one, along the reduced axes. "
            f"Received: x.shape={shape}, axis={axes}."
        )
    count = int(np.prod(sizes, dtype=np.int64))
    lines = sort(reshape(transpose(x, [*others, *reduced]), [-1 if n is None else n for n in kept] + [count]), -1)
    y = _at(lines, np.atleast_1d(fractions) * (count - 1), method)
    y = where(isnan(lines[..., -1:]), lines[..., -1:], y)
    y = moveaxis(y, -1, 0) if fractions.ndim else y[..., 0]
    if not keepdims:
        return y
    left = [-1 if n is None else n for n in _kept_shape(shape, axes)]
    return reshape(y, [*fractions.shape, *left])


def _at(lines, places, method):
    """Elements of ascending lines at places that may lie between two of them."""
    if method == "nearest":
        places = np.rint(places)
    below, above = np.floor(places).astype("int64"), np.ceil(places).astype("int64")
    if method == "higher":
        return take(lines, constant(above), -1)
    low = take(lines, constant(below), -1)
    part = np.where(above > below, 0.5, 0.0) if method == "midpoint" else places - below
    if method == "lower" or not part.any():
        return low
    # No multiples of a step that is not taken: infinity times 0 is NaN.
    between = low + (take(lines, constant(above), -1) - low) * constant(part.astype(low.dtype))
    return where(constant(part == 0), low, between)
