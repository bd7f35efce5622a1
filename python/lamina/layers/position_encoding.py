"""Where a step stands in its sequence: SinePositionEncoding, PositionEmbedding."""

from __future__ import annotations

import functools

import numpy as np

from .. import _core, initializers, ops
from ..ops.common import constant
from ..tensor import Tensor
from .arguments import positive, positive_number
from .layer import Layer


class SinePositionEncoding(Layer):
    """Sines and cosines of the position: feature 2i of step t is sin(t / w^(2i/d)), feature 2i + 1 its cosine.

    Args:
        max_wavelength: number w, whose multiple by 2 pi the longest waves come near.
        **kwargs: `name`, `dtype`, as in Layer.

    Input: `[..., steps, d]`, of which only the sizes count, and of `call` `start_index`, the int or integer tensor that
    is the first step's position, or `positions`, integers `[steps]` or `[batch, steps]`. Output: the encoding in the
    inputs' shape, to be added to them.

    Example:
        >>> import lamina as lm
        >>> lm.layers.SinePositionEncoding()(lm.ops.zeros((1, 2, 4))).numpy().round(2)
        array([[[0.  , 1.  , 0.  , 1.  ],
                [0.84, 0.54, 0.01, 1.  ]]], dtype=float32)

    Reference: A. Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762.
    """

    supports_masking = True

    def __init__(self, max_wavelength=10000, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = positive_number("SinePositionEncoding", "max_wavelength", max_wavelength)

    def call(self, inputs, start_index=0, positions=None):
        if inputs._core.is_symbolic:
            return Tensor(_core.symbolic(inputs.shape, inputs.dtype))
        steps, width = inputs.shape[-2:]
        if positions is None and isinstance(start_index, int):
            waves = _waves(self.max_wavelength, start_index, steps, width)
            return ops.broadcast_to(constant(waves, inputs.dtype), inputs.shape)
        if positions is None:
            positions = constant(np.arange(steps)) + start_index
        angles = ops.expand_dims(ops.cast(positions, "float32"), -1) * constant(_rates(self.max_wavelength, width))
        even = constant(np.arange(width) % 2 == 0)
        return ops.broadcast_to(ops.cast(ops.where(even, ops.sin(angles), ops.cos(angles)), inputs.dtype), inputs.shape)

    def compute_output_shape(self, input_shape):
        return input_shape


def _rates(wavelength, width):
    return float(wavelength) ** -(2 * (np.arange(width) // 2) / width)


@functools.lru_cache(maxsize=16)
def _waves(wavelength, start, steps, width):
    angles = np.arange(start, start + steps)[:, None] * _rates(wavelength, width)
    return np.where(np.arange(width) % 2 == 0, np.sin(angles), np.cos(angles))


class PositionEmbedding(Layer):
    """A trained vector for each position (Gehring et al. 2017, arXiv:1705.03122).

    Args:
        sequence_length: int, number of positions.
        initializer: initialiser of the table `embeddings`, `[sequence_length, features]`.
        **kwargs: `name`, `dtype`, `trainable`, as in Layer.

    Input: `[..., steps, features]`, of which only the sizes count, and of `call` `start_index`, the int or integer
    tensor that is the first step's position, or `positions`, integers `[steps]` or `[batch, steps]`. Output: the
    positions' vectors in the inputs' shape, to be added to them.

    Raises:
        ValueError: if there are more steps than positions.

    Example:
        >>> import lamina as lm
        >>> lm.layers.PositionEmbedding(8)(lm.ops.zeros((2, 5, 3))).shape
        (2, 5, 3)
    """

    supports_masking = True

    def __init__(self, sequence_length, initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.sequence_length = positive("PositionEmbedding", "sequence_length", sequence_length)
        self.initializer = initializers.get(initializer)

    def build(self, input_shape):
        self.position_embeddings = self.add_weight(
            (self.sequence_length, input_shape[-1]), self.initializer, name="embeddings"
        )

    def call(self, inputs, start_index=0, positions=None):
        steps = inputs.shape[-2]
        if inputs._core.is_symbolic:
            return Tensor(_core.symbolic(inputs.shape, inputs.dtype))
        if positions is not None:
            rows = ops.take(self.position_embeddings, positions, axis=0)
        elif isinstance(start_index, int):
            if not 0 <= start_index <= self.sequence_length - steps:
                raise ValueError(
                    f"[{self.path}] needs a position for each step; expected start_index + steps of at most "
                    f"{self.sequence_length}. Received: start_index={start_index}, inputs.shape={inputs.shape}. "
                    "Raise sequence_length."
                )
            rows = self.position_embeddings[start_index : start_index + steps]
        else:
            rows = ops.take(self.position_embeddings, constant(np.arange(steps)) + start_index, axis=0)
        return ops.broadcast_to(rows, inputs.shape)

    def compute_output_shape(self, input_shape):
        return input_shape
