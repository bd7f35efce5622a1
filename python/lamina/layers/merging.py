"""Layers that make one tensor of several: Add, Concatenate."""

from __future__ import annotations

import functools

from .. import ops
from .layer import Layer


class _Merge(Layer):
    def __call__(self, inputs, **kwargs):
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(
                f"[{self.name}] needs a list of at least two inputs. Received: {type(inputs).__name__}"
                + (f" of {len(inputs)}." if isinstance(inputs, (list, tuple)) else ".")
            )
        return super().__call__(list(inputs), **kwargs)

    def compute_mask(self, inputs, previous_mask):
        if previous_mask is None or any(mask is None for mask in previous_mask):
            return None
        return functools.reduce(ops.logical_or, previous_mask)


class Add(_Merge):
    """The sum of a list of tensors whose shapes broadcast.

    Args:
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Add()([lm.ops.ones((1, 2)), lm.ops.ones((1, 2))]).numpy()
        array([[2., 2.]], dtype=float32)
    """

    def call(self, inputs):
        return functools.reduce(ops.add, inputs)


class Concatenate(_Merge):
    """A list of tensors joined along an axis; their other sizes are equal.

    Args:
        axis: int, not the batch axis as a rule.
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Concatenate()([lm.ops.ones((1, 2)), lm.ops.ones((1, 3))]).shape
        (1, 5)
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs, previous_mask):
        if previous_mask is None:
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask):
            if mask is None:
                mask = ops.ones((1,) * x.ndim, "bool")
            mask = ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim)))
            masks.append(ops.broadcast_to(mask, x.shape))
        return ops.any(ops.concatenate(masks, axis=self.axis), axis=-1)
