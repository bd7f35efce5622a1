"""Pooling over windows of sequences, images and volumes: `[batch, 1 to 3 axes, channels]`."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..tensor import Tensor
from .arguments import choice, under
from .common import floating
from .shape import expand_dims, same_elements, squeeze
from .spatial import AXES, channels_first, per_axis, to_first, to_last


def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The maximum of each window.

    Args:
        inputs: float tensor `[batch, 1 to 3 axes, channels]`.
        pool_size: int, or tuple with one int per spatial axis.
        strides: int or tuple, the distance between windows; by default pool_size.
        padding: `"valid"` (whole windows only) or `"same"` (as many windows as strides fit, TensorFlow's rule;
            cells outside the input take no part).
        data_format: `"channels_last"` (the default), or `"channels_first"`: the second axis.

    Returns:
        Tensor with one cell per window. A NaN in a window is its maximum; the gradient goes to the first
        maximum in row-major order.

    Raises:
        ValueError: for an unknown padding or data_format, sizes below 1, or a pool larger than a "valid"
            input.

    Example:
        >>> import lamina as lm
        >>> lm.ops.max_pool(lm.ops.reshape(lm.ops.arange(4.0), (1, 4, 1)), 2).numpy().ravel()
        array([1., 3.], dtype=float32)
    """
    return _pool("max_pool", _max_pool2d, inputs, pool_size, strides, padding, data_format)


def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The mean of each window. Arguments as in `max_pool`; padded cells are left out of the mean.

    Example:
        >>> import lamina as lm
        >>> lm.ops.average_pool(lm.ops.reshape(lm.ops.arange(4.0), (1, 4, 1)), 2).numpy().ravel()
        array([0.5, 2.5], dtype=float32)
    """
    return _pool("average_pool", _average_pool2d, inputs, pool_size, strides, padding, data_format)


def _pool(op, pool2d, inputs, pool_size, strides, padding, data_format):
    x = floating(inputs)
    choice(op, "padding", padding, ("valid", "same"))
    first = channels_first(op, data_format)
    rank = x.ndim - 2
    if rank not in AXES:
        raise ValueError(
            f"[{op}] needs (batch, steps, channels), (batch, height, width, channels) or "
            f"(batch, depth, height, width, channels). Received: inputs.shape={x.shape}."
        )
    size = per_axis(op, "pool_size", pool_size, rank)
    step = size if strides is None else per_axis(op, "strides", strides, rank)
    x, same = to_last(x, first), padding == "same"
    if rank == 1:
        y = squeeze(under(op, pool2d, expand_dims(x, 2), (*size, 1), (*step, 1), same), 2)
    elif rank == 2:
        y = under(op, pool2d, x, size, step, same)
    else:
        y = _pool3d(op, pool2d, x, size, step, same)
    return to_first(y, first)


def _pool3d(op, pool2d, x, size, step, same):
    """Over the images of all depths, then over the depths; of equal maxima the first in row-major order stays."""
    n, depth, height, width, channels = x.shape
    if not same and depth is not None and depth < size[0]:
        raise ValueError(
            f'[{op}] the pool is larger than the input; expected pool_size <= depth with padding="valid". '
            f'Received: depth={depth}, pool_size={size[0]}. Use a smaller pool, or padding="same".'
        )
    images = None if n is None or depth is None else n * depth
    y = under(op, pool2d, same_elements("reshape", x, (images, height, width, channels)), size[1:], step[1:], same)
    height, width = y.shape[1:3]
    area = None if height is None or width is None else height * width
    y = pool2d(same_elements("reshape", y, (n, depth, area, channels)), (size[0], 1), (step[0], 1), same)
    return same_elements("reshape", y, (n, y.shape[1], height, width, channels))


def _max_pool2d(x, *window):
    if x._source is None:
        return Tensor(_core.max_pool2d(x._core, *window))
    y, index = _core.max_pool2d_index(x._core, *window)
    return record("max_pool2d", y, (x,), lambda dy, shape=x.shape: _max_pool2d_grad(dy, index, shape, window))


def _max_pool2d_grad(dy, index, shape, window):
    dx = _core.max_pool2d_grad(dy._core, index, shape, *window)
    return record("max_pool2d_grad", dx, (dy,), lambda ddx: _max_pool2d_pick(ddx, index, window))


def _max_pool2d_pick(x, index, window):
    y = _core.max_pool2d_pick(x._core, index, *window)
    return record("max_pool2d_pick", y, (x,), lambda dy, shape=x.shape: _max_pool2d_grad(dy, index, shape, window))


def _average_pool2d(x, *window):
    y = _core.average_pool2d(x._core, *window)
    return record("average_pool2d", y, (x,), lambda dy, shape=x.shape: _average_pool2d_grad(dy, shape, window))


def _average_pool2d_grad(dy, shape, window):
    dx = _core.average_pool2d_grad(dy._core, shape, *window)
    return record("average_pool2d_grad", dx, (dy,), lambda ddx: _average_pool2d(ddx, *window))
