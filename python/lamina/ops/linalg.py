"""Products of matrices and vectors, each with its gradient.

Floats multiply in float32 or float64; float16 and bfloat16 have their sums in float32 and are rounded once. Integers
give integers.
"""

from __future__ import annotations

import math

from .. import _core
from ..autograd import mode, record
from ..tensor import Tensor
from .arithmetic import multiply, where
from .common import cast, floating, sum_to, tensor
from .shape import expand_dims, moveaxis, reshape, squeeze, swapaxes


def _rows(x):
    """x with its leading axes made one."""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _weight_grad(x, dy):
    """Gradient of `x w` in the matrix w: x^T dy over all leading axes."""
    return matmul(swapaxes(_rows(x), 0, 1), _rows(dy))


def matmul(x1, x2):
    """Matrix product with NumPy's rules.

    Args:
        x1: tensor `[..., M, K]` or `[K]`.
        x2: tensor `[..., K, N]` or `[K]`. Leading axes of x1 and x2 broadcast.

    Returns:
        Tensor `[..., M, N]`, without M or N where that operand is a vector. int8 times int8 gives int32,
        bfloat16 times bfloat16 bfloat16, from sums in float32; other types meet by Keras' promotion table.

    Raises:
        ValueError: if the inner axes differ, the leading axes do not broadcast, or an operand is a scalar.

    Example:
        >>> import lamina as lm
        >>> lm.ops.matmul([[1.0, 2.0]], [[3.0], [4.0]]).numpy()
        array([[11.]], dtype=float32)
    """
    if not (isinstance(x1, Tensor) and isinstance(x2, Tensor)):
        x1, x2 = tensor(x1), tensor(x2)
    y = _core.matmul(x1._core, x2._core)
    if (x1._source is None and x2._source is None) or not mode.enabled:
        return Tensor(y)
    return _record_matmul(x1, x2, y)


# Apart, because variables that a closure shares make every call slower, recorded or not.
def _record_matmul(x1, x2, y):
    core1, core2 = x1._core, x2._core
    if core1.dtype != core2.dtype:
        return matmul(cast(x1, y.dtype), cast(x2, y.dtype))
    if x1.ndim == 1:
        return squeeze(matmul(expand_dims(x1, 0), x2), -1 if x2.ndim == 1 else -2)
    if x2.ndim == 1:
        return squeeze(matmul(x1, expand_dims(x2, -1)), -1)

    def grad(dy):
        g1 = g2 = None
        if x1._source is not None:
            g1 = sum_to(matmul(dy, swapaxes(x2, -1, -2)), core1.shape)
        if x2._source is not None:
            if x2.ndim == 2:
                g2 = _weight_grad(x1, dy)
            else:
                g2 = sum_to(matmul(swapaxes(x1, -1, -2), dy), core2.shape)
        return g1, g2

    return record("matmul", y, (x1, x2), grad, saved=(x1, x2))


# The activations that dense and conv2d fuse, each with g = dy f'(y) in public ops.
FUSED_ACTIVATIONS = {
    None: lambda dy, y: dy,
    "relu": lambda dy, y: where(y > 0.0, dy, dy * 0.0),
    "sigmoid": lambda dy, y: dy * (y * (1.0 - y)),
    "tanh": lambda dy, y: dy * (1.0 - y * y),
}


def _unstrided(x):
    """x, or a contiguous copy, as the core's dense takes it: bits follow from the strides of a product's operands."""
    return x if x._core.is_contiguous else Tensor(_core.contiguous(x._core))


def dense(x, w, bias=None, activation=None):
    """A fully connected layer in one pass: f(x w + bias).

    Args:
        x: floating tensor `[..., K]`.
        w: tensor `[K, N]` of x's type.
        bias: tensor `[N]`, or None.
        activation: f as a name: `"relu"`, `"sigmoid"`, `"tanh"`, or None.

    Returns:
        Tensor `[..., N]`.

    Raises:
        ValueError: if shapes or types do not fit together, or the activation is another.

    Example:
        >>> import lamina as lm
        >>> lm.ops.linalg.dense([[1.0, 2.0]], [[3.0], [-4.0]], activation="relu").numpy()
        array([[0.]], dtype=float32)
    """
    if not isinstance(activation, (str, type(None))) or activation not in FUSED_ACTIVATIONS:
        raise ValueError(
            '[dense] only "relu", "sigmoid" and "tanh" are fused. '
            f"Received: activation={activation!r}. Apply others to the result."
        )
    x, w = floating(x), tensor(w)
    inputs = (x, w) if bias is None else (x, w, tensor(bias))
    y = _core.dense(x._core, w._core, None if bias is None else inputs[2]._core, activation)

    def grad(dy, y):
        g, g_bias = dy, None
        if mode.enabled:
            g = FUSED_ACTIVATIONS[activation](dy, y)
            g_bias = sum_to(g, inputs[2].shape) if len(inputs) == 3 else None
        elif activation is not None or len(inputs) == 3:
            g, g_bias = map(Tensor, _core.dense_grad(dy._core, y._core, activation))
        xs, ws = (x, w) if mode.enabled else (_unstrided(x), _unstrided(w))
        gx = matmul(g, swapaxes(ws, 0, 1)) if x._source is not None else None
        gw = _weight_grad(expand_dims(xs, 0), expand_dims(g, 0)) if x.ndim == 1 else _weight_grad(xs, g)
        return (gx, gw, g_bias)[: len(inputs)]

    return record("dense", y, inputs, grad, saved=(x, w), output=True)


def dot(x1, x2):
    """Dot product with NumPy's rules: over the last axis of x1 and the second-to-last (or only) axis of x2.

    Args:
        x1, x2: tensors or numbers; a scalar multiplies.

    Returns:
        Tensor of shape `x1.shape[:-1] + x2.shape[:-2] + x2.shape[-1:]`.

    Raises:
        ValueError: if the axes summed over differ.

    Example:
        >>> import lamina as lm
        >>> lm.ops.dot([1.0, 2.0], [3.0, 4.0]).item()
        11.0
    """
    x1, x2 = tensor(x1), tensor(x2)
    if x1.ndim == 0 or x2.ndim == 0:
        return multiply(x1, x2)
    if x2.ndim <= 2:
        return matmul(x1, x2)
    front = moveaxis(x2, -2, 0)
    rest = front.shape[1:]
    y = matmul(x1, reshape(front, (front.shape[0], math.prod(rest))))
    return reshape(y, (*x1.shape[:-1], *rest))


def outer(x1, x2):
    """All products of an element of x1 and one of x2, both flattened.

    Returns:
        Tensor `[x1.size, x2.size]`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.outer([1.0, 2.0], [3.0, 4.0]).numpy()
        array([[3., 4.],
               [6., 8.]], dtype=float32)
    """
    x1, x2 = tensor(x1), tensor(x2)
    return multiply(reshape(x1, (x1.size, 1)), reshape(x2, (1, x2.size)))


def vdot(x1, x2):
    """Sum of the products of corresponding elements, both flattened.

    Returns:
        Scalar tensor.

    Raises:
        ValueError: if the sizes differ.

    Example:
        >>> import lamina as lm
        >>> lm.ops.vdot([[1.0, 2.0]], [[3.0], [4.0]]).item()
        11.0
    """
    x1, x2 = tensor(x1), tensor(x2)
    return matmul(reshape(x1, (x1.size,)), reshape(x2, (x2.size,)))
