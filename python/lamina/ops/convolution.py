"""Convolution of images, NHWC, each op with its gradient.

conv2d, conv2d_input_grad and conv2d_weight_grad are linear in two tensors each and each other's gradients.
"""

from __future__ import annotations

from .. import _core
from ..autograd import mode, record
from ..tensor import Tensor
from .arguments import integer, integers
from .common import floating, tensor
from .linalg import FUSED_ACTIVATIONS
from .reduce import sum


def _pair(name, value):
    values = integers("conv2d", name, value)
    if len(values) > 2:
        raise ValueError(f"[conv2d] {name} must be an integer or two of them. Received: {name}={value!r}.")
    return values * 2 if len(values) == 1 else values


def _window(x_shape, w_shape, strides, padding, dilation_rate, groups):
    if not isinstance(padding, str):
        padding = integers("conv2d", "padding", padding)
    steps, gaps = _pair("strides", strides), _pair("dilation_rate", dilation_rate)
    return _core.conv2d_window(x_shape, w_shape, steps, padding, gaps, integer("conv2d", "groups", groups))


def _linear(x, w, window):
    """conv2d without its epilogue."""

    def grad(dy):
        if x._source is not None and w._source is not None and not mode.enabled:
            gx, gw, _ = _core.conv2d_grads(x._core, w._core, dy._core, None, window, None, True)
            return Tensor(gx), Tensor(gw)
        gx = _input_grad(dy, w, x.shape, window) if x._source is not None else None
        return gx, _weight_grad(x, dy, w.shape, window) if w._source is not None else None

    y = _core.conv2d(x._core, w._core, None, window, None)
    return record("conv2d", y, (x, w), grad, saved=(x, w))


def _input_grad(dy, w, x_shape, window):
    def grad(g):
        gy = _linear(g, w, window) if dy._source is not None else None
        return gy, _weight_grad(g, dy, w.shape, window) if w._source is not None else None

    dx = _core.conv2d_input_grad(dy._core, w._core, x_shape, window)
    return record("conv2d_input_grad", dx, (dy, w), grad, saved=(dy, w))


def _weight_grad(x, dy, w_shape, window):
    def grad(g):
        gx = _input_grad(dy, g, x.shape, window) if x._source is not None else None
        return gx, _linear(x, g, window) if dy._source is not None else None

    dw = _core.conv2d_weight_grad(x._core, dy._core, w_shape, window)
    return record("conv2d_weight_grad", dw, (x, dy), grad, saved=(x, dy))


def conv2d(x, w, bias=None, strides=1, padding="valid", dilation_rate=1, groups=1, activation=None):
    """Convolution (cross-correlation) of images with its bias and activation in one pass.

    `y[n, i, j, f] = activation(z + bias[f])`, z = the sum over taps p, q and channels c of
    `x[n, i sh + p dh - top, j sw + q dw - left, c] * w[p, q, c, f]`, with zeros outside the image.

    Args:
        x: floating images `[batch, height, width, channels]`.
        w: filters `[kernel height, kernel width, channels / groups, filters]` of x's type.
        bias: tensor `[filters]`, or None.
        strides: pixels between output pixels; a number, or (vertical, horizontal).
        padding: `"valid"`, `"same"` (output size = input size / stride, rounded up; the odd row or column of
            zeros at the bottom or right, as TensorFlow has it), or (top, bottom, left, right) in pixels.
        dilation_rate: input pixels between filter taps; a number, or (vertical, horizontal).
        groups: number of groups of channels and filters that see only each other; divides both.
        activation: `"relu"`, `"sigmoid"`, `"tanh"`, or None.

    Returns:
        Tensor `[batch, output height, output width, filters]`.

    Raises:
        ValueError: if channels do not match the filters, or the kernel does not fit into the padded image.

    Example:
        >>> import lamina as lm
        >>> lm.ops.conv2d(lm.ops.ones((1, 4, 4, 1)), lm.ops.ones((3, 3, 1, 2)), padding="same").shape
        (1, 4, 4, 2)
    """
    if not isinstance(activation, (str, type(None))) or activation not in FUSED_ACTIVATIONS:
        raise ValueError(
            '[conv2d] only "relu", "sigmoid" and "tanh" are fused. '
            f"Received: activation={activation!r}. Apply others to the result."
        )
    x, w = floating(x), tensor(w)
    window = _window(x.shape, w.shape, strides, padding, dilation_rate, groups)
    if bias is None and activation is None:
        return _linear(x, w, window)
    inputs = (x, w) if bias is None else (x, w, tensor(bias))
    y = _core.conv2d(x._core, w._core, None if bias is None else inputs[2]._core, window, activation)

    def grad(dy, y):
        wants, gw, gb = x._source is not None, None, None
        if w._source is not None and not mode.enabled:
            grads = _core.conv2d_grads(x._core, w._core, dy._core, y._core, window, activation, wants)
            return tuple(None if g is None else Tensor(g) for g in grads)[: len(inputs)]
        if mode.enabled:
            g = FUSED_ACTIVATIONS[activation](dy, y)
            gb = sum(g, axis=(0, 1, 2)) if bias is not None else None
            gw = _weight_grad(x, g, w.shape, window) if w._source is not None else None
        else:
            g, gb = map(Tensor, _core.dense_grad(dy._core, y._core, activation))
        gx = _input_grad(g, w, x.shape, window) if wants else None
        return (gx, gw, gb)[: len(inputs)]

    return record("conv2d", y, inputs, grad, saved=(x, w), output=True)


def conv2d_input_grad(dy, w, x_shape, strides=1, padding="valid", dilation_rate=1, groups=1):
    """Gradient of `sum(dy * conv2d(x, w))` with respect to x: the transposed convolution of dy.

    Args:
        dy: tensor of the convolution's output shape.
        w: the convolution's filters.
        x_shape: shape of x.
        strides, padding, dilation_rate, groups: the convolution's, see `conv2d`.

    Returns:
        Tensor of shape x_shape.

    Raises:
        ValueError: if the shapes are not those of one convolution.

    Example:
        >>> import lamina as lm
        >>> dy = lm.ops.ones((1, 2, 2, 1))
        >>> lm.ops.conv2d_input_grad(dy, lm.ops.ones((2, 2, 1, 1)), (1, 4, 4, 1), strides=2).shape
        (1, 4, 4, 1)
    """
    dy, w = floating(dy), tensor(w)
    x_shape = integers("conv2d_input_grad", "x_shape", x_shape, unknown=True)
    return _input_grad(dy, w, x_shape, _window(x_shape, w.shape, strides, padding, dilation_rate, groups))


def conv2d_weight_grad(x, dy, w_shape, strides=1, padding="valid", dilation_rate=1, groups=1):
    """Gradient of `sum(dy * conv2d(x, w))` with respect to w.

    Args:
        x: the convolution's images.
        dy: tensor of the convolution's output shape.
        w_shape: shape of w.
        strides, padding, dilation_rate, groups: the convolution's, see `conv2d`.

    Returns:
        Tensor of shape w_shape.

    Raises:
        ValueError: if the shapes are not those of one convolution.

    Example:
        >>> import lamina as lm
        >>> x, dy = lm.ops.ones((1, 4, 4, 1)), lm.ops.ones((1, 3, 3, 1))
        >>> lm.ops.conv2d_weight_grad(x, dy, (2, 2, 1, 1)).numpy().ravel()
        array([9., 9., 9., 9.], dtype=float32)
    """
    x, dy = floating(x), tensor(dy)
    w_shape = integers("conv2d_weight_grad", "w_shape", w_shape)
    return _weight_grad(x, dy, w_shape, _window(x.shape, w_shape, strides, padding, dilation_rate, groups))
