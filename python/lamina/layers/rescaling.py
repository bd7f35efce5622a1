"""Rescaling: pixels to small numbers, inside the model."""

from __future__ import annotations

from .. import ops
from ..ops.common import constant
from .layer import Layer


class Rescaling(Layer):
    """inputs * scale + offset, as floats.

    Args:
        scale: number, or one per channel.
        offset: number, or one per channel.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Rescaling(1 / 255)(lm.convert_to_tensor([[0, 255]])).numpy()
        array([[0., 1.]], dtype=float32)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.built = True

    def call(self, inputs):
        scale, offset = (ops.cast(constant(v), self.dtype) for v in (self.scale, self.offset))
        return ops.add(ops.multiply(inputs, scale), offset)

    def compute_output_shape(self, input_shape):
        return input_shape
