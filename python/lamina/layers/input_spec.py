"""What a layer demands of its inputs' shapes, checked at every call."""

from __future__ import annotations


class InputSpec:
    """Demands on one input.

    Args:
        ndim: number of axes, exactly.
        min_ndim: number of axes, at least.
        axes: dict from an axis (may be negative) to the size it must have.

    Example:
        >>> InputSpec(min_ndim=2, axes={-1: 64}).fault((32, 10))
        'expects inputs whose last axis is 64'
    """

    __slots__ = ("ndim", "min_ndim", "axes")

    def __init__(self, *, ndim=None, min_ndim=None, axes=None):
        self.ndim = ndim
        self.min_ndim = min_ndim
        self.axes = dict(axes or {})

    def fault(self, shape):
        """What is wrong with a shape, or None."""
        n = len(shape)
        if self.ndim is not None and n != self.ndim:
            return f"expects inputs of {self.ndim} axes, but got {n}"
        if self.min_ndim is not None and n < self.min_ndim:
            return f"expects inputs of at least {self.min_ndim} axes, but got {n}"
        for axis, size in self.axes.items():
            if shape[axis] is not None and shape[axis] != size:
                place = "last axis" if axis == -1 else f"axis {axis}"
                return f"expects inputs whose {place} is {size}"
        return None
