"""Reductions over axes: each with its gradient.

`axis` is None (all axes), an integer or a tuple of them, negative from the end; `keepdims` leaves reduced
axes with size 1. float32 and float64 are reduced as they are; integers sum and multiply as integers (bool and
8-bit ones as int32), and their mean is float32.
"""

from __future__ import annotations

from .. import _core
from ..autograd import mode, record
from ..tensor import FLOATING, Tensor
from .arguments import axes as axes_of
from .arguments import flag, in_range, one_axis
from .arithmetic import divide, equal, where
from .common import broadcast_to, cast, floating, tensor
from .elementwise import exp, isfinite, log, sqrt
from .shape import eye, reshape, stop_gradient, transpose


def _reduced(axes, ndim):
    return set(range(ndim)) if axes is None else {a % ndim for a in axes}


def _kept_shape(shape, axes):
    """`shape` with 1 for the reduced axes."""
    reduced = _reduced(axes, len(shape))
    return tuple([1 if i in reduced else n for i, n in enumerate(shape)])


def _count(shape, axes):
    count = 1
    for i in _reduced(axes, len(shape)):
        count *= shape[i]
    return count


def _spread(y, shape, axes):
    """A reduction's result (or its gradient) as wide as what was reduced."""
    return broadcast_to(reshape(y, _kept_shape(shape, axes)), shape)


def sum(x, axis=None, keepdims=False):
    """Sum of elements, pairwise: its rounding error grows with the logarithm of their number.

    Args:
        x: tensor.
        axis: axis or axes to reduce.
        keepdims: whether reduced axes stay, with size 1.

    Returns:
        Tensor; over no elements 0.

    Raises:
        IndexError: if an axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
        array([4., 6.], dtype=float32)
    """
    x, axes = tensor(x), axes_of("sum", axis)
    y = _core.sum(x._core, axes, flag("sum", "keepdims", keepdims))
    return record("sum", y, (x,), lambda dy, shape=x.shape: _spread(dy, shape, axes))


def mean(x, axis=None, keepdims=False):
    """Arithmetic mean. Arguments as in `sum`; over no elements NaN.

    Example:
        >>> import lamina as lm
        >>> lm.ops.mean([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array(2.5, dtype=float32)
    """
    x, axes = tensor(x), axes_of("mean", axis)
    y = _core.mean(x._core, axes, flag("mean", "keepdims", keepdims))
    if x.dtype not in FLOATING:
        return Tensor(y)

    def grad(dy, shape=x.shape):
        return _spread(dy / float(_count(shape, axes)), shape, axes)

    return record("mean", y, (x,), grad)


def prod(x, axis=None, keepdims=False):
    """Product of elements, with exact gradients at zeros. Arguments as in `sum`; over no elements 1.

    Example:
        >>> import lamina as lm
        >>> lm.ops.prod([2.0, 3.0]).numpy()
        array(6., dtype=float32)
    """
    x, axes = tensor(x), axes_of("prod", axis)
    y = _core.prod(x._core, axes, flag("prod", "keepdims", keepdims))

    def grad(dy):
        return _prod_grad_recorded(dy, x, axes) if mode.enabled else _prod_grad(dy, x, axes)

    return record("prod", y, (x,), grad, saved=(x,))


def _prod_grad(dy, x, axes):
    """dx_i = dy times the product of the others: y / x_i without zeros, the rest at a single zero."""
    zero = equal(x, 0.0)
    zeros = sum(cast(zero, "int32"), axes, keepdims=True)
    filled = where(zero, 1.0, x)
    rest = prod(filled, axes, keepdims=True)
    others = where(zero, where(equal(zeros, 1), rest, 0.0), where(equal(zeros, 0), rest / filled, 0.0))
    return _spread(dy, x.shape, axes) * others


def _prod_grad_recorded(dy, x, axes):
    """The same by n products of n elements, whose own gradients hold at zeros too."""
    reduced = sorted(_reduced(axes, x.ndim))
    order = [i for i in range(x.ndim) if i not in reduced] + reduced
    kept, n = [x.shape[i] for i in order[: x.ndim - len(reduced)]], _count(x.shape, axes)
    lines = broadcast_to(reshape(transpose(x, order), (*kept, 1, n)), (*kept, n, n))
    others = prod(where(eye(n, dtype="bool"), 1.0, lines), axis=-1)
    inverse = [order.index(i) for i in range(x.ndim)]
    others = transpose(reshape(others, [x.shape[i] for i in order]), inverse)
    return _spread(dy, x.shape, axes) * others


def _extreme(op, kernel, x, axis, keepdims):
    x, axes = tensor(x), axes_of(op, axis)

    def grad(dy, y):
        # Elements that share the extreme value share its gradient, as in TensorFlow.
        ties = cast(equal(x, reshape(y, _kept_shape(x.shape, axes))), dy.dtype)
        return ties * _spread(divide(dy, reshape(sum(ties, axes), dy.shape)), x.shape, axes)

    return record(op, kernel(x._core, axes, flag(op, "keepdims", keepdims)), (x,), grad, saved=(x,), output=True)


def max(x, axis=None, keepdims=False):
    """Largest element; NaN if there is one. Elements that tie share the gradient. Arguments as in `sum`.

    Raises:
        ValueError: over no elements.

    Example:
        >>> import lamina as lm
        >>> lm.ops.max([[1, 5], [7, 2]], axis=1).numpy()
        array([5, 7], dtype=int32)
    """
    return _extreme("max", _core.max, x, axis, flag("max", "keepdims", keepdims))


def min(x, axis=None, keepdims=False):
    """Smallest element; NaN if there is one. Elements that tie share the gradient. Arguments as in `sum`.

    Raises:
        ValueError: over no elements.

    Example:
        >>> import lamina as lm
        >>> lm.ops.min([[1, 5], [7, 2]], axis=1).numpy()
        array([1, 2], dtype=int32)
    """
    return _extreme("min", _core.min, x, axis, flag("min", "keepdims", keepdims))


amax, amin = max, min


def any(x, axis=None, keepdims=False):
    """Whether some element is not 0; over no elements False.

    Example:
        >>> import lamina as lm
        >>> bool(lm.ops.any([False, True]))
        True
    """
    return Tensor(_core.any(tensor(x)._core, axes_of("any", axis), flag("any", "keepdims", keepdims)))


def all(x, axis=None, keepdims=False):
    """Whether no element is 0; over no elements True.

    Example:
        >>> import lamina as lm
        >>> bool(lm.ops.all([False, True]))
        False
    """
    return Tensor(_core.all(tensor(x)._core, axes_of("all", axis), flag("all", "keepdims", keepdims)))


def count_nonzero(x, axis=None):
    """int32 number of elements that are not 0. Arguments as in `sum`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.count_nonzero([[1, 0], [2, 3]], axis=1).numpy()
        array([1, 2], dtype=int32)
    """
    truth, axes = cast(tensor(x), "bool"), axes_of("count_nonzero", axis)
    in_range("count_nonzero", axes, truth.ndim)
    return Tensor(_core.sum(cast(truth, "int32")._core, axes, False))


def argmax(x, axis=None, keepdims=False):
    """int32 index of the first largest element; NaN counts as largest.

    Args:
        x: tensor.
        axis: the axis to search along; None searches all elements in row order.
        keepdims: whether the axis stays, with size 1.

    Raises:
        ValueError: over no elements.

    Example:
        >>> import lamina as lm
        >>> lm.ops.argmax([[1, 5], [7, 2]], axis=1).numpy()
        array([1, 0], dtype=int32)
    """
    axis = None if axis is None else one_axis("argmax", axis)
    return Tensor(_core.argmax(tensor(x)._core, axis, flag("argmax", "keepdims", keepdims)))


def argmin(x, axis=None, keepdims=False):
    """int32 index of the first smallest element; NaN counts as smallest. Arguments as in `argmax`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.argmin([[1, 5], [7, 2]], axis=1).numpy()
        array([0, 1], dtype=int32)
    """
    axis = None if axis is None else one_axis("argmin", axis)
    return Tensor(_core.argmin(tensor(x)._core, axis, flag("argmin", "keepdims", keepdims)))


def var(x, axis=None, keepdims=False):
    """Mean squared distance from the mean (the population variance). Arguments as in `sum`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.var([1.0, 3.0]).numpy()
        array(1., dtype=float32)
    """
    return _variance("var", x, axis, keepdims)


def std(x, axis=None, keepdims=False):
    """Square root of `var`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.std([1.0, 3.0]).numpy()
        array(1., dtype=float32)
    """
    return sqrt(_variance("std", x, axis, keepdims))


def _variance(op, x, axis, keepdims):
    x, along, keepdims = floating(x), axes_of(op, axis), flag(op, "keepdims", keepdims)
    in_range(op, along, x.ndim)
    distance = x - mean(x, along, keepdims=True)
    return mean(distance * distance, along, keepdims)


def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))) without overflow. Arguments as in `sum`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.logsumexp([1000.0, 1000.0]).numpy()
        array(1000.6932, dtype=float32)
    """
    x, axes = floating(x), axes_of("logsumexp", axis)
    in_range("logsumexp", axes, x.ndim)
    top = max(stop_gradient(x), axes, keepdims=True)
    top = where(isfinite(top), top, 0.0)
    y = log(sum(exp(x - top), axes, keepdims=True)) + top
    return (
        y
        if flag("logsumexp", "keepdims", keepdims)
        else reshape(y, [n for i, n in enumerate(x.shape) if i not in _reduced(axes, x.ndim)])
    )
