"""softmax and log_softmax, each with its gradient."""

from __future__ import annotations

from .. import _core
from ..autograd import fused_grad, record
from ..tensor import Tensor
from .arguments import axes, in_range, one_axis
from .common import floating
from .elementwise import exp
from .reduce import sum
from .shape import reshape, transpose


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) along an axis, without overflow.

    Args:
        x: tensor.
        axis: axis, tuple of axes, or None for all of them.

    Returns:
        Tensor of x's shape whose elements along the axis are positive and sum to 1.

    Raises:
        IndexError: if the axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.softmax([0.0, 0.0]).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    x = floating(x)
    if type(axis) is not int:
        if axis is None or isinstance(axis, (list, tuple)):
            return _over_axes(softmax, x, axes("softmax", axis))
        axis = one_axis("softmax", axis)

    def grad(dy, y):
        return fused_grad(
            lambda dy, y: _core.softmax_grad(dy, y, axis),
            lambda dy, y: y * (dy - sum(dy * y, axis, keepdims=True)),
            dy,
            y,
        )

    return record("softmax", _core.softmax(x._core, axis), (x,), grad, output=True)


def log_softmax(x, axis=-1):
    """log(softmax(x)), without overflow. Arguments as in `softmax`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.log_softmax([0.0, 0.0]).numpy()
        array([-0.6931472, -0.6931472], dtype=float32)
    """
    x = floating(x)
    if type(axis) is not int:
        if axis is None or isinstance(axis, (list, tuple)):
            return _over_axes(log_softmax, x, axes("log_softmax", axis))
        axis = one_axis("log_softmax", axis)

    def grad(dy, y):
        return fused_grad(
            lambda dy, y: _core.log_softmax_grad(dy, y, axis),
            lambda dy, y: dy - exp(y) * sum(dy, axis, keepdims=True),
            dy,
            y,
        )

    return record("log_softmax", _core.log_softmax(x._core, axis), (x,), grad, output=True)


def _over_axes(f, x, along):
    """f along several axes as along one."""
    in_range(f.__name__, along, x.ndim)
    chosen = range(x.ndim) if along is None else [a % x.ndim for a in along]
    if x._core.is_symbolic:
        return Tensor(x._core, x._source)
    order = [i for i in range(x.ndim) if i not in chosen] + list(chosen)
    shape = [x.shape[i] for i in order]
    lines = reshape(transpose(x, order), (*shape[: x.ndim - len(chosen)], -1))
    return transpose(reshape(f(lines), shape), [order.index(i) for i in range(x.ndim)])
