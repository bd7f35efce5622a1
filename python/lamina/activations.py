"""Activation functions by name, under Keras 3's names. They are ops; `linear` is the identity."""

from __future__ import annotations

from .ops import (
    elu,
    exp,
    hard_sigmoid,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
)
from .ops import gelu as _gelu
from .ops import relu as _relu
from .ops.arithmetic import minimum, where
from .ops.common import floating, tensor
from .probabilities import softmax_with_logits
from .utils.lookup import find
from .utils.registry import publish

__all__ = [
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]


def linear(x):
    """x itself."""
    return tensor(x)


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) along an axis; the result remembers its logits for the cross-entropies.

    Args:
        x: tensor.
        axis: axis, tuple of axes, or None for all of them.

    Example:
        >>> softmax([0.0, 0.0]).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    return softmax_with_logits(floating(x), axis)


def exponential(x):
    """exp(x).

    Example:
        >>> exponential([0.0]).numpy()
        array([1.], dtype=float32)
    """
    return exp(x)


def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """x where x >= threshold, else negative_slope * (x - threshold); at most max_value.

    Args:
        x: tensor.
        negative_slope: float, slope below the threshold.
        max_value: float, or None for no limit.
        threshold: float.

    Example:
        >>> relu([-10.0, 0.5, 9.0], max_value=6.0).numpy()
        array([0. , 0.5, 6. ], dtype=float32)
    """
    x = tensor(x)
    if threshold == 0.0:
        y = leaky_relu(x, negative_slope) if negative_slope else _relu(x)
    else:
        y = where(x >= threshold, x, (x - threshold) * negative_slope)
    return y if max_value is None else minimum(y, max_value)


def gelu(x, approximate=False):
    """x times the normal distribution's share below x. Hendrycks & Gimpel 2016, arXiv:1606.08415.

    Args:
        x: tensor.
        approximate: whether a tanh stands in for the error function; `lamina.ops.gelu` does so by default.

    Example:
        >>> gelu([0.0, 1.0]).numpy().round(3)
        array([0.   , 0.841], dtype=float32)
    """
    return _gelu(x, approximate)


swish = silu


def get(identifier):
    """An activation function by name (`"relu"`), or as it is; None is `linear`.

    Raises:
        ValueError: for an unknown name, with the nearest known one.

    Example:
        >>> get("relu")([-1.0]).numpy()
        array([0.], dtype=float32)
    """
    if identifier is None:
        return linear
    return find("activation", identifier, {}, {name: globals()[name] for name in __all__})


publish(__name__)
