"""Cross-entropies of predictions, one value per sample (binary: per element), each with its gradient.

`output` holds logits, or probabilities with `from_logits=False`. Probabilities are handled as in Keras 3:
categorical ones are divided by their sum, all are clipped to [1e-7, 1 - 1e-7]; clipped ones get no gradient.
"""

from __future__ import annotations

from .. import _core
from ..autograd import fused_grad, record
from ..tensor import FLOATING
from .arguments import flag, integer, one_axis
from .arithmetic import not_equal, where
from .common import cast, floating, tensor
from .elementwise import clip, log, sigmoid
from .indexing import one_hot
from .reduce import sum
from .shape import expand_dims, moveaxis, reshape
from .softmax import log_softmax, softmax

_EPSILON = 1e-7


def _is_clipped(p):
    return (p < _EPSILON) | (p > 1.0 - _EPSILON)


def _last(x, axis):
    return x if axis in (-1, x.ndim - 1) else moveaxis(x, axis, -1)


def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1, ignore_class=None):
    """-log of the probability given to the true class.

    Args:
        target: classes 0 <= target < number of classes, integers or whole floats, of output's shape without
            the class axis (or with 1 there).
        output: logits or probabilities, float32 or float64.
        from_logits: whether output holds logits.
        axis: the class axis of output.
        ignore_class: label of samples whose loss and gradient are 0.

    Returns:
        Tensor of output's shape without the class axis.

    Raises:
        ValueError: if the shapes do not fit or a label is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.sparse_categorical_crossentropy([1], [[0.0, 0.0]], from_logits=True).numpy()
        array([0.6931472], dtype=float32)
    """
    target, output = tensor(target), floating(output)
    axis, from_logits = (
        one_axis("sparse_categorical_crossentropy", axis),
        flag("sparse_categorical_crossentropy", "from_logits", from_logits),
    )
    if ignore_class is not None:
        ignore_class = integer("sparse_categorical_crossentropy", "ignore_class", ignore_class)
    if target.ndim == output.ndim and axis not in (-1, output.ndim - 1):
        target = _last(target, axis)
    x = _last(output, axis)
    options = (from_logits, ignore_class)
    loss = _core.sparse_categorical_crossentropy(target._core, x._core, *options)

    def composed(dy, x):
        classes = reshape(target if target.dtype not in FLOATING else cast(target, "int64"), dy.shape)
        if ignore_class is not None:
            valid = not_equal(classes, ignore_class)
            dy, classes = where(valid, dy, 0.0), where(valid, classes, 0)
        truth = one_hot(classes, x.shape[-1], dtype=x.dtype)
        dy = expand_dims(dy, -1)
        if from_logits:
            return dy * (softmax(x) - truth)
        chosen, s = sum(truth * x, -1, keepdims=True), sum(x, -1, keepdims=True)
        return where(_is_clipped(chosen / s), 0.0, dy * (1.0 / s - truth / chosen))

    def grad(dy):
        return fused_grad(
            lambda dy, x: _core.sparse_categorical_crossentropy_grad(dy, target._core, x, *options),
            composed,
            dy,
            x,
        )

    return record("sparse_categorical_crossentropy", loss, (x,), grad, saved=(x, target))


def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-sum(target * log(probability)) along the class axis.

    Args:
        target: weights of the classes (one-hot, or smoothed), of output's shape.
        output: logits or probabilities, float32 or float64.
        from_logits: whether output holds logits.
        axis: the class axis.

    Returns:
        Tensor of output's shape without the class axis.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import lamina as lm
        >>> lm.ops.categorical_crossentropy([[0.0, 1.0]], [[0.0, 0.0]], from_logits=True).numpy()
        array([0.6931472], dtype=float32)
    """
    output, from_logits = floating(output), flag("categorical_crossentropy", "from_logits", from_logits)
    axis = one_axis("categorical_crossentropy", axis)
    t, x = _last(cast(tensor(target), output.dtype), axis), _last(output, axis)
    loss = _core.categorical_crossentropy(t._core, x._core, from_logits)

    def composed(dy, t, x):
        dy = expand_dims(dy, -1)
        if from_logits:
            return dy * (softmax(x) * sum(t, -1, keepdims=True) - t)
        s = sum(x, -1, keepdims=True)
        p = x / s
        clipped = _is_clipped(p)
        g = where(clipped, 0.0, -t / where(clipped, 1.0, p))
        return dy * (g - sum(g * p, -1, keepdims=True)) / s

    def grad(dy):
        dt = None
        if t.requires_grad:
            log_p = log_softmax(x) if from_logits else log(_clip(x / sum(x, -1, keepdims=True)))
            dt = -expand_dims(dy, -1) * log_p
        dx = None
        if x.requires_grad:
            dx = fused_grad(
                lambda dy, t, x: _core.categorical_crossentropy_grad(dy, t, x, from_logits),
                composed,
                dy,
                t,
                x,
            )
        return dt, dx

    return record("categorical_crossentropy", loss, (t, x), grad, saved=(t, x))


def binary_crossentropy(target, output, from_logits=False):
    """-target * log(p) - (1 - target) * log(1 - p), element by element.

    Args:
        target: tensor of output's shape, values in [0, 1].
        output: logits or probabilities p, float32 or float64.
        from_logits: whether output holds logits; then p = sigmoid(output).

    Returns:
        Tensor of output's shape.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import lamina as lm
        >>> lm.ops.binary_crossentropy([1.0], [0.0], from_logits=True).numpy()
        array([0.6931472], dtype=float32)
    """
    x, from_logits = floating(output), flag("binary_crossentropy", "from_logits", from_logits)
    t = cast(tensor(target), x.dtype)
    loss = _core.binary_crossentropy(t._core, x._core, from_logits)

    def composed(dy, t, x):
        if from_logits:
            return dy * (sigmoid(x) - t)
        clipped = _is_clipped(x)
        p = where(clipped, 0.5, x)
        return where(clipped, 0.0, dy * (p - t) / (p * (1.0 - p)))

    def grad(dy):
        dt = None
        if t.requires_grad:
            dt = -dy * x if from_logits else dy * (log(1.0 - _clip(x)) - log(_clip(x)))
        dx = None
        if x.requires_grad:
            dx = fused_grad(lambda dy, t, x: _core.binary_crossentropy_grad(dy, t, x, from_logits), composed, dy, t, x)
        return dt, dx

    return record("binary_crossentropy", loss, (t, x), grad, saved=(t, x))


def _clip(p):
    return clip(p, _EPSILON, 1.0 - _EPSILON)
