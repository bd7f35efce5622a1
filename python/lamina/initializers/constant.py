"""Initialisers that draw nothing."""

from __future__ import annotations

from .. import ops
from ..tensor import convert_to_tensor
from .initializer import Initializer


class Zeros(Initializer):
    """All zeros.

    Example:
        >>> Zeros()((2,)).numpy()
        array([0., 0.], dtype=float32)
    """

    def __call__(self, shape, dtype=None):
        return ops.zeros(shape, dtype or "float32")


class Ones(Initializer):
    """All ones.

    Example:
        >>> Ones()((2,)).numpy()
        array([1., 1.], dtype=float32)
    """

    def __call__(self, shape, dtype=None):
        return ops.ones(shape, dtype or "float32")


class Constant(Initializer):
    """One value everywhere, or an array that broadcasts to the shape.

    Args:
        value: number or array.

    Example:
        >>> Constant(0.5)((2,)).numpy()
        array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        value = convert_to_tensor(self.value, dtype or "float32")
        return ops.broadcast_to(value, shape)


class Identity(Initializer):
    """A matrix with `gain` on its diagonal and zeros elsewhere; it need not be square.

    Args:
        gain: float.

    Example:
        >>> Identity()((2, 2)).numpy()
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        if len(shape) != 2:
            raise ValueError(f"[Identity] makes matrices only. Received: shape={tuple(shape)}.")
        return ops.eye(*shape, dtype=dtype or "float32") * float(self.gain)
