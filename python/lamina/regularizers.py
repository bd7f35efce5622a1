"""Penalties on weights, added to the loss, under Keras 3's names."""

from __future__ import annotations

from . import ops
from .utils.configurable import Configurable
from .utils.lookup import find
from .utils.registry import deserialize, publish, serialize

__all__ = ["L1", "L1L2", "L2", "Regularizer", "deserialize", "get", "serialize"]


class Regularizer(Configurable):
    """A function from a weight to a scalar penalty. Subclass it and define `__call__(self, x)`."""

    def __call__(self, x):
        raise NotImplementedError(f"[{type(self).__name__}] has no __call__(x). Define it.")


class L1(Regularizer):
    """l1 * sum |x|.

    Args:
        l1: float >= 0.

    Example:
        >>> L1(0.5)([1.0, -3.0]).item()
        2.0
    """

    def __init__(self, l1=0.01):
        self.l1 = _factor("L1", "l1", l1)

    def __call__(self, x):
        return ops.sum(ops.abs(x)) * self.l1


class L2(Regularizer):
    """l2 * sum x^2.

    Args:
        l2: float >= 0.

    Example:
        >>> L2(0.5)([1.0, -3.0]).item()
        5.0
    """

    def __init__(self, l2=0.01):
        self.l2 = _factor("L2", "l2", l2)

    def __call__(self, x):
        return ops.sum(ops.square(x)) * self.l2


class L1L2(Regularizer):
    """l1 * sum |x| + l2 * sum x^2.

    Args:
        l1, l2: floats >= 0.

    Example:
        >>> L1L2(l1=1.0, l2=1.0)([1.0, -3.0]).item()
        14.0
    """

    def __init__(self, l1=0.0, l2=0.0):
        self.l1, self.l2 = _factor("L1L2", "l1", l1), _factor("L1L2", "l2", l2)

    def __call__(self, x):
        penalty = ops.sum(ops.abs(x)) * self.l1 if self.l1 else None
        square = ops.sum(ops.square(x)) * self.l2 if self.l2 or penalty is None else None
        return square if penalty is None else penalty if square is None else penalty + square


def _factor(cls, name, value):
    if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError(f"[{cls}] a factor is a finite number >= 0. Received: {name}={value!r}.")
    return float(value)


_classes = {"L1": L1, "L2": L2, "L1L2": L1L2}


def get(identifier):
    """A regulariser by name (`"l2"`), configuration, class, or as it is.

    Raises:
        ValueError: for an unknown name, with the nearest known one.

    Example:
        >>> get("l2").l2
        0.01
    """
    return find("regularizer", identifier, _classes, {"l1_l2": L1L2})


publish(__name__)
