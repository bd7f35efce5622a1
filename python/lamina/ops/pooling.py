"""Pooling over windows of sequences (batch, steps, channels) and images (batch, height, width, channels)."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..tensor import Tensor
from .arguments import choice, integers
from .common import floating
from .shape import expand_dims, squeeze, transpose


def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The maximum of each window.

    Args:
        inputs: float tensor, (batch, steps, channels) or (batch, height, width, channels).
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
    choice(op, "data_format", data_format, (None, "channels_last", "channels_first"))
    if x.ndim not in (3, 4):
        raise ValueError(
            f"[{op}] needs (batch, steps, channels) or (batch, height, width, channels). "
            f"Received: inputs.shape={x.shape}."
        )
    spatial = x.ndim - 2
    size = _per_axis(op, "pool_size", pool_size, spatial)
    step = size if strides is None else _per_axis(op, "strides", strides, spatial)
    first = data_format == "channels_first"
    if first:
        x = transpose(x, (0, *range(2, x.ndim), 1))
    if spatial == 1:
        y = squeeze(pool2d(expand_dims(x, 2), (*size, 1), (*step, 1), padding == "same"), 2)
    else:
        y = pool2d(x, size, step, padding == "same")
    return transpose(y, (0, y.ndim - 1, *range(1, y.ndim - 1))) if first else y


def _per_axis(op, name, value, spatial):
    values = integers(op, name, value)
    if len(values) == 1:
        values *= spatial
    if len(values) != spatial:
        raise ValueError(f"[{op}] {name} must be an integer or {spatial} of them. Received: {name}={value!r}.")
    return values


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
