"""Picking elements by integer or bool tensors: each with its gradient. Negative ones count from the end."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..row_gradient import RowGradient
from ..tensor import FLOATING, Tensor, Variable, checked_dtype
from ..thread_state import mode
from .arguments import integer, one_axis
from .common import broadcast_to, tensor
from .shape import reshape


def take(x, indices, axis=None):
    """Elements (or slices along an axis) at the given positions.

    Args:
        x: tensor.
        indices: integer tensor of any shape, -size <= index < size.
        axis: axis of x to pick from; None picks from all elements in row order.

    Returns:
        Tensor of x's shape with the axis replaced by indices' shape.

    Raises:
        ValueError: if an index is out of range.
        TypeError: if indices are not integers.

    Example:
        >>> import lamina as lm
        >>> lm.ops.take([10, 20, 30], [2, -3]).numpy()
        array([30, 10], dtype=int32)
    """
    x, indices = tensor(x), tensor(indices)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = one_axis("take", axis)
    y = _core.take(x._core, indices._core, axis)
    by_row = axis == 0 and x.ndim == 2 and isinstance(x, Variable)

    def grad(dy, shape=x.shape):
        return _take_grad(dy, indices, shape, axis, by_row)

    return record("take", y, (x,), grad, saved=(indices,))


def _take_grad(dy, indices, shape, axis, by_row):
    if by_row and not mode.enabled:
        return RowGradient(dy._core, indices._core, shape)
    dx = _core.take_grad(dy._core, indices._core, shape, axis)
    return record("take_grad", dx, (dy,), lambda ddx: take(ddx, indices, axis), saved=(indices,))


def take_along_axis(x, indices, axis=None):
    """For every line of x along an axis, the elements at that line's own positions.

    Args:
        x: tensor.
        indices: integer tensor; its shape broadcasts with x's but for the axis.
        axis: axis of x to pick along; None picks from all elements in row order, with indices of one axis.

    Returns:
        Tensor of the indices' (broadcast) shape.

    Raises:
        ValueError: if an index is out of range or the shapes do not fit.

    Example:
        >>> import lamina as lm
        >>> lm.ops.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1).numpy()
        array([[2],
               [3]], dtype=int32)
    """
    x, indices = tensor(x), tensor(indices)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = one_axis("take_along_axis", axis)
    if x.ndim == indices.ndim and x.ndim:
        x, indices = _broadcast_but(x, indices, axis % x.ndim)
    y = _core.take_along_axis(x._core, indices._core, axis)

    def grad(dy, shape=x.shape):
        return _take_along_axis_grad(dy, indices, shape, axis)

    return record("take_along_axis", y, (x,), grad, saved=(indices,))


def _broadcast_but(a, b, axis):
    """a and b with axes of size 1 grown to the other's, all but one axis."""

    def grown(x, other):
        shape = tuple([m if n == 1 and i != axis else n for i, (n, m) in enumerate(zip(x.shape, other.shape))])
        return x if shape == x.shape else broadcast_to(x, shape)

    return grown(a, b), grown(b, a)


def _take_along_axis_grad(dy, indices, shape, axis):
    dx = _core.take_along_axis_grad(dy._core, indices._core, shape, axis)
    return record("take_along_axis_grad", dx, (dy,), lambda ddx: take_along_axis(ddx, indices, axis), saved=(indices,))


def boolean_mask(x, mask):
    """The elements of x (or slices along its first axes) where the mask is true, in row order.

    Args:
        x: tensor.
        mask: bool tensor of the shape of x's first axes.

    Raises:
        IndexError: if the mask's shape is not that of x's first axes.

    Example:
        >>> import lamina as lm
        >>> lm.ops.boolean_mask([1, 2, 3], [True, False, True]).numpy()
        array([1, 3], dtype=int32)
    """
    x, mask = tensor(x), tensor(mask)
    if mask.shape != x.shape[: mask.ndim]:
        raise IndexError(
            "[boolean_mask] the mask must have the shape of x's first axes. "
            f"Received: mask.shape={mask.shape}, x.shape={x.shape}."
        )
    rows = reshape(x, (mask.size, *x.shape[mask.ndim :]))
    return take(rows, mask.numpy().reshape(-1).nonzero()[0], axis=0)


def one_hot(x, num_classes, axis=-1, dtype=None):
    """1 at each index along a new axis, 0 elsewhere; an index out of range gives only zeros, as in Keras.

    Args:
        x: tensor of indices, integers or whole floats.
        num_classes: size of the new axis.
        axis: where the new axis goes.
        dtype: type of the result, float32 by default.

    Raises:
        ValueError: if num_classes is not positive, or an index is not a whole number.

    Example:
        >>> import lamina as lm
        >>> lm.ops.one_hot([0, 2], 3).numpy()
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    x = tensor(x)
    if x.dtype in FLOATING:
        x = Tensor(_core.one_hot_indices(x._core))
    num_classes, axis = integer("one_hot", "num_classes", num_classes), one_axis("one_hot", axis)
    return Tensor(_core.one_hot(x._core, num_classes, axis, checked_dtype("float32" if dtype is None else dtype)))
