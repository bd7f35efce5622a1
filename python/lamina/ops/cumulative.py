"""Running sums and products along an axis, each with its gradient, and differences."""

from __future__ import annotations

from .. import _core
from ..autograd import fused_grad, record
from ..tensor import FLOATING, Tensor
from .arguments import in_range, integer, one_axis
from .arithmetic import not_equal, subtract, where
from .common import broadcast_to, cast, constant, tensor
from .reduce import sum
from .shape import expand_dims, eye, moveaxis, reshape


def cumsum(x, axis=None, dtype=None):
    """y[i] = x[0] + ... + x[i] along an axis.

    Args:
        x: tensor.
        axis: axis to add along; None adds up all elements in row order, to one line.
        dtype: type to add in; None keeps x's (bool: int32). Integers wrap.

    Returns:
        Tensor of x's shape, or of one axis.

    Raises:
        IndexError: if the axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.cumsum([1, 2, 3]).numpy()
        array([1, 3, 6], dtype=int32)
    """
    x, axis = _line("cumsum", x, axis, dtype)
    return _running_sum(x, axis, False)


def _running_sum(x, axis, reverse):
    y = _core.cumsum(x._core, axis, reverse)
    if x.dtype not in FLOATING:
        return Tensor(y)
    return record("cumsum", y, (x,), lambda dy: _running_sum(dy, axis, not reverse))


def diff(a, n=1, axis=-1):
    """Differences of neighbours, a[i + 1] - a[i], along an axis, n times over.

    Args:
        a: tensor of at least one axis; of bools, whether neighbours differ.
        n: int, how often.
        axis: axis to subtract along.

    Returns:
        Tensor with n elements fewer along the axis, none at least.

    Raises:
        ValueError: if n is negative or the tensor has no axis.
        IndexError: if the axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.diff([1, 4, 9, 16]).numpy()
        array([3, 5, 7], dtype=int32)
    """
    x, times, axis = tensor(a), integer("diff", "n", n), one_axis("diff", axis)
    if times < 0:
        raise ValueError(f"[diff] n must not be negative. Received: n={n}.")
    if x.ndim == 0:
        raise ValueError("[diff] needs at least one axis. Received: a.shape=().")
    in_range("diff", (axis,), x.ndim)
    whole, size = (slice(None),) * (axis % x.ndim), x.shape[axis]
    later, earlier = (*whole, slice(1, None)), (*whole, slice(None, -1))
    for _ in range(times if size is None else min(times, size)):
        x = not_equal(x[later], x[earlier]) if x.dtype == "bool" else subtract(x[later], x[earlier])
    return x


def cumprod(x, axis=None, dtype=None):
    """y[i] = x[0] * ... * x[i] along an axis. Arguments as in `cumsum`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.cumprod([1, 2, 3]).numpy()
        array([1, 2, 6], dtype=int32)
    """
    x, axis = _line("cumprod", x, axis, dtype)
    y = _core.cumprod(x._core, axis)
    if x.dtype not in FLOATING:
        return Tensor(y)

    def grad(dy):
        return fused_grad(
            lambda dy, x: _core.cumprod_grad(dy, x, axis), lambda dy, x: _composed_cumprod(dy, x, axis), dy, x
        )

    return record("cumprod", y, (x,), grad, saved=(x,))


def _composed_cumprod(dy, x, axis):
    """dx[i] = sum over j >= i of dy[j] times the product of all x[0..j] but x[i]: holds at zeros too."""
    lines = moveaxis(x, axis, -1)
    n = lines.shape[-1]
    square = broadcast_to(expand_dims(lines, -2), (*lines.shape, n))
    others = cumprod(where(eye(n, dtype="bool"), 1.0, square), axis=-1)
    upper = constant([[float(j >= i) for j in range(n)] for i in range(n)])
    dx = sum(others * cast(upper, x.dtype) * expand_dims(moveaxis(dy, axis, -1), -2), -1)
    return moveaxis(dx, -1, axis)


def _line(op, x, axis, dtype):
    x = tensor(x) if dtype is None else cast(tensor(x), dtype)
    if x.dtype == "bool":
        x = cast(x, "int32")
    return (reshape(x, (-1,)), 0) if axis is None else (x, one_axis(op, axis))
