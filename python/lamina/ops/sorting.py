"""Sorting, searching and counting: values with their gradients, indices without."""

from __future__ import annotations

import builtins

from .. import _core
from ..autograd import record
from ..tensor import FLOATING, Tensor
from .arguments import choice, flag, in_range, integer, integers, one_axis
from .arithmetic import greater, greater_equal, less, logical_and, where
from .common import cast, tensor
from .elementwise import isfinite
from .indexing import _take_along_axis_grad, take_along_axis
from .reduce import all, sum
from .shape import expand_dims, reshape


def sort(x, axis=-1):
    """The elements along an axis in ascending order; NaN last, as in NumPy.

    Args:
        x: tensor.
        axis: axis to sort along; None sorts all elements in one line.

    Returns:
        Tensor of x's shape.

    Raises:
        IndexError: if the axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.sort([3, 1, 2]).numpy()
        array([1, 2, 3], dtype=int32)
    """
    x, axis = _line("sort", x, axis)
    values, order = _core.sort(x._core, axis)
    return _picked("sort", values, order, x, axis)


def argsort(x, axis=-1):
    """int32 indices that sort the elements along an axis; equal elements stay in their order, NaN comes last.

    Args:
        x: tensor.
        axis: axis to sort along; None sorts all elements in one line.

    Returns:
        Tensor of x's shape: `take_along_axis(x, argsort(x, axis), axis)` is `sort(x, axis)`.

    Raises:
        IndexError: if the axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.argsort([3, 1, 2, 1]).numpy()
        array([1, 3, 2, 0], dtype=int32)
    """
    x, axis = _line("argsort", x, axis)
    return Tensor(_core.argsort(x._core, axis))


def argpartition(x, kth, axis=-1):
    """int32 indices that bring the k-th smallest element of a line to its place, smaller ones before it.

    The whole line is sorted, stably, so the elements on both sides of it are in order too.

    Args:
        x: tensor.
        kth: int, or a sequence of them, from -n to n - 1 for lines of n elements.
        axis: axis of the lines; None takes all elements as one.

    Returns:
        Tensor of x's shape, or of one axis.

    Raises:
        ValueError: if kth is out of range.
        IndexError: if the axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.argpartition([7, 1, 5], 0).numpy()
        array([1, 2, 0], dtype=int32)
    """
    x, axis = _line("argpartition", x, axis)
    in_range("argpartition", (axis,), x.ndim)
    places, size = integers("argpartition", "kth", kth), x.shape[axis]
    if size is not None and not builtins.all(-size <= k < size for k in places):
        raise ValueError(
            f"[argpartition] kth must be from {-size} to {size - 1}. Received: kth={kth}, x.shape={x.shape}."
        )
    return Tensor(_core.argsort(x._core, axis))


def top_k(x, k, sorted=True):
    """The k largest elements along the last axis, largest first, and where they are.

    Of equal elements the first comes first; NaN counts as largest.

    Args:
        x: tensor.
        k: int from 0 to the size of the last axis.
        sorted: whether the order matters to the caller; they come sorted in any case.

    Returns:
        Tuple (values, int32 indices).

    Raises:
        ValueError: if k is out of range.

    Example:
        >>> import lamina as lm
        >>> values, indices = lm.ops.top_k([5, 2, 7, 1, 9, 3], k=3)
        >>> values.numpy(), indices.numpy()
        (array([9, 7, 5], dtype=int32), array([4, 2, 0], dtype=int32))
    """
    flag("top_k", "sorted", sorted)
    x = tensor(x)
    values, order = _core.top_k(x._core, integer("top_k", "k", k))
    return _picked("top_k", values, order, x, -1), Tensor(order)


def _line(op, x, axis):
    """x and the axis to work along; all elements as one line for None."""
    x = tensor(x)
    return (reshape(x, (-1,)), 0) if axis is None else (x, one_axis(op, axis))


def _picked(op, values, order, x, axis):
    """Elements of x at `order`, whose gradient goes back to their places."""
    if x._source is None or x.dtype not in FLOATING:
        return Tensor(values)
    places = Tensor(order)

    def grad(dy, shape=x.shape):
        return _take_along_axis_grad(dy, places, shape, axis)

    return record(op, values, (x,), grad, saved=(places,))


def in_top_k(targets, predictions, k):
    """Whether each target's prediction is among the k largest of its row; ties with the last of them count.

    Args:
        targets: int tensor `[rows]`, class indices. One out of range is in no top k, as in Keras.
        predictions: float tensor `[rows, classes]`. A row with a prediction that is not finite gives False.
        k: int.

    Returns:
        bool tensor `[rows]`.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if the targets are not integers.

    Example:
        >>> import lamina as lm
        >>> lm.ops.in_top_k([2, 0], [[0.1, 0.4, 0.6], [0.1, 0.7, 0.9]], k=1).numpy()
        array([ True, False])
    """
    targets, predictions, k = tensor(targets), tensor(predictions), integer("in_top_k", "k", k)
    if targets.ndim != 1 or predictions.ndim != 2 or _differ(targets.shape[0], predictions.shape[0]):
        raise ValueError(
            "[in_top_k] expects targets (rows,) and predictions (rows, classes). "
            f"Received: targets.shape={targets.shape}, predictions.shape={predictions.shape}."
        )
    if targets.dtype in FLOATING or targets.dtype == "bool":
        raise TypeError(f"[in_top_k] targets must be integers. Received: targets.dtype={targets.dtype}.")
    known = logical_and(greater_equal(targets, 0), less(targets, predictions.shape[1]))
    if predictions.shape[1] == 0:
        return known
    place = expand_dims(where(known, targets, 0), -1)
    ahead = sum(cast(greater(predictions, take_along_axis(predictions, place, -1)), "int32"), -1)
    usable = logical_and(known, all(isfinite(predictions), -1))
    return logical_and(usable, less(ahead, k))


def _differ(n, m):
    return None not in (n, m) and n != m


def searchsorted(sorted_sequence, values, side="left"):
    """int32 places at which values would keep an ascending sequence sorted.

    Args:
        sorted_sequence: tensor of one axis, ascending, NaN last; this is not checked.
        values: tensor of any shape.
        side: `"left"`, before equal elements, or `"right"`, after them.

    Returns:
        int32 tensor of the values' shape, from 0 to the size of the sequence.

    Raises:
        ValueError: if the sequence has not one axis.

    Example:
        >>> import lamina as lm
        >>> lm.ops.searchsorted([1, 3, 5], [0, 3, 9]).numpy()
        array([0, 1, 3], dtype=int32)
    """
    side = choice("searchsorted", "side", side, ("left", "right"))
    return Tensor(_core.searchsorted(tensor(sorted_sequence)._core, tensor(values)._core, side == "right"))


def digitize(x, bins):
    """int32 index of the bin of each element: `bins[i - 1] <= x < bins[i]`.

    Args:
        x: tensor.
        bins: sequence of ascending edges.

    Returns:
        int32 tensor of x's shape, from 0 to the number of edges.

    Example:
        >>> import lamina as lm
        >>> lm.ops.digitize([0.5, 1.0, 9.0], [1.0, 2.0]).numpy()
        array([0, 1, 2], dtype=int32)
    """
    return searchsorted(bins, x, side="right")


def bincount(x, weights=None, minlength=0, sparse=False):
    """How often each integer occurs, or the sum of its weights. Reads x: a captured step cannot hold it.

    Args:
        x: tensor of integers >= 0 `[n]`, or `[rows, n]`, each row counted by itself.
        weights: tensor of x's shape, what an occurrence counts; None for 1.
        minlength: int, the least size of the result.
        sparse: for Keras' signature; only False.

    Returns:
        Tensor of max(largest + 1, minlength) counts (per row): int32, or the type that x and the weights promote to
        (at least int32).

    Raises:
        ValueError: for a negative value, or weights of another shape.
        TypeError: if x holds no integers.

    Example:
        >>> import lamina as lm
        >>> lm.ops.bincount([1, 3, 1]).numpy()
        array([0, 2, 0, 1], dtype=int32)
    """
    if flag("bincount", "sparse", sparse):
        raise ValueError("[bincount] expects sparse=False: there are no sparse tensors. Received: sparse=True.")
    x, length = tensor(x), integer("bincount", "minlength", minlength)
    weights = None if weights is None else tensor(weights)
    if x.size and x.dtype not in FLOATING and length >= 0:
        length = max(int(x.numpy().max()) + 1, length)
    core = _core.bincount(x._core, None if weights is None else weights._core, length)
    if weights is None or weights.dtype not in FLOATING:
        return Tensor(core)
    return record("bincount", core, (weights,), lambda dy: take_along_axis(dy, x, -1), saved=(x,))
