"""Functions applied to weights after each update, under Keras 3's names."""

from __future__ import annotations

from . import ops
from .utils.configurable import Configurable
from .utils.lookup import find
from .utils.registry import deserialize, publish, serialize

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "serialize"]

_EPSILON = 1e-7


class Constraint(Configurable):
    """A function from a weight to the nearest allowed value. Subclass it and define `__call__(self, w)`."""

    def __call__(self, w):
        raise NotImplementedError(f"[{type(self).__name__}] has no __call__(w). Define it.")


def _norm(w, axis):
    return ops.sqrt(ops.sum(ops.square(w), axis, keepdims=True))


class MaxNorm(Constraint):
    """Scales down vectors longer than `max_value`.

    Args:
        max_value: float.
        axis: axis (or axes) of the vectors; 0, a dense layer's inputs, by default.

    Example:
        >>> MaxNorm(1.0)([[3.0], [4.0]]).numpy().round(3)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, max_value=2, axis=0):
        self.max_value, self.axis = max_value, axis

    def __call__(self, w):
        norm = _norm(w, self.axis)
        return w * (ops.clip(norm, 0.0, float(self.max_value)) / (norm + _EPSILON))


class NonNeg(Constraint):
    """Negative values become 0.

    Example:
        >>> NonNeg()([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """

    def __call__(self, w):
        return ops.relu(w)


class UnitNorm(Constraint):
    """Scales vectors to length 1.

    Args:
        axis: axis (or axes) of the vectors.

    Example:
        >>> UnitNorm()([[3.0], [4.0]]).numpy().round(3)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        return w / (_norm(w, self.axis) + _EPSILON)


class MinMaxNorm(Constraint):
    """Moves vectors' lengths toward [min_value, max_value].

    Args:
        min_value, max_value: floats.
        rate: float in [0, 1], how far they move; 1 enforces the range.
        axis: axis (or axes) of the vectors.

    Example:
        >>> MinMaxNorm(1.0, 2.0)([[0.3], [0.4]]).numpy().round(3)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w):
        norm = _norm(w, self.axis)
        wanted = ops.clip(norm, float(self.min_value), float(self.max_value)) * float(self.rate)
        wanted = wanted + norm * (1.0 - float(self.rate))
        return w * (wanted / (norm + _EPSILON))


_classes = {"MaxNorm": MaxNorm, "MinMaxNorm": MinMaxNorm, "NonNeg": NonNeg, "UnitNorm": UnitNorm}


def get(identifier):
    """A constraint by name (`"non_neg"`), configuration, class, or as it is.

    Raises:
        ValueError: for an unknown name, with the nearest known one.

    Example:
        >>> type(get("non_neg")).__name__
        'NonNeg'
    """
    return find("constraint", identifier, _classes)


publish(__name__)
