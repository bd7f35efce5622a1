"""RotaryEmbedding: positions as rotations of queries and keys."""

from __future__ import annotations

import functools

import numpy as np

from .. import _core, ops
from ..ops.common import constant
from ..tensor import Tensor
from .arguments import positive_number
from .layer import Layer


class RotaryEmbedding(Layer):
    """Turns the pair of features i and i + d/2 of step t by the angle t / w^(2i/d).

    Products of a query and a key so turned depend on the distance of their steps alone.

    Args:
        max_wavelength: number w, whose multiple by 2 pi the longest waves come near.
        scaling_factor: number that positions are divided by, for sequences longer than those of the training.
        sequence_axis: axis of the steps.
        feature_axis: axis of the d features, an even number of them.
        **kwargs: `name`, `dtype`, as in Layer.

    Input: queries or keys, `[batch, steps, heads, d]` say, and of `call` `start_index`, the int or integer tensor that
    is the first step's position, or `positions`, numbers `[steps]` or `[batch, steps]`. Output: the same shape.

    Raises:
        ValueError: if d is odd, or the two axes are one.

    Example:
        >>> import lamina as lm
        >>> lm.layers.RotaryEmbedding()(lm.ops.ones((1, 2, 2))).numpy().round(2)
        array([[[ 1.  ,  1.  ],
                [-0.3 ,  1.38]]], dtype=float32)

    Reference: J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, arXiv:2104.09864.
    """

    supports_masking = True

    def __init__(self, max_wavelength=10000, scaling_factor=1.0, sequence_axis=1, feature_axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = positive_number("RotaryEmbedding", "max_wavelength", max_wavelength)
        self.scaling_factor = positive_number("RotaryEmbedding", "scaling_factor", scaling_factor)
        self.sequence_axis, self.feature_axis = int(sequence_axis), int(feature_axis)

    def build(self, input_shape):
        step_axis, axis = self._axes(len(input_shape))
        if step_axis == axis or input_shape[axis] is None or input_shape[axis] % 2:
            raise ValueError(
                f"[{self.path}] turns pairs of features; expected an even number along feature_axis, which is not "
                f"sequence_axis. Received: input_shape={tuple(input_shape)}, feature_axis={self.feature_axis}, "
                f"sequence_axis={self.sequence_axis}."
            )

    def _axes(self, rank):
        for name in ("sequence_axis", "feature_axis"):
            if not -rank <= getattr(self, name) < rank:
                raise ValueError(
                    f"[{self.path}] {name} is an axis of the inputs. Received: {name}={getattr(self, name)}, "
                    f"inputs of {rank} axes."
                )
        return self.sequence_axis % rank, self.feature_axis % rank

    def call(self, inputs, start_index=0, positions=None):
        if inputs._core.is_symbolic:
            return Tensor(_core.symbolic(inputs.shape, inputs.dtype))
        step_axis, axis = self._axes(inputs.ndim)
        steps, half = inputs.shape[step_axis], inputs.shape[axis] // 2
        if positions is None and isinstance(start_index, int):
            turns = _turns(self.max_wavelength, self.scaling_factor, start_index, steps, half)
            cos, sin = (constant(turn, inputs.dtype) for turn in turns)
        else:
            if positions is None:
                positions = constant(np.arange(steps)) + start_index
            angles = ops.expand_dims(ops.cast(positions, "float32") / self.scaling_factor, -1)
            angles = angles * constant(_rates(self.max_wavelength, half))
            cos, sin = ops.cast(ops.cos(angles), inputs.dtype), ops.cast(ops.sin(angles), inputs.dtype)
        shape = [1] * inputs.ndim
        shape[step_axis], shape[axis] = steps, half
        if cos.ndim == 3:
            shape[0] = cos.shape[0]
        if step_axis > axis:
            cos, sin = ops.swapaxes(cos, -1, -2), ops.swapaxes(sin, -1, -2)
        cos, sin = ops.reshape(cos, shape), ops.reshape(sin, shape)
        first, second = ops.split(inputs, 2, axis=axis)
        return ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=axis)

    def compute_output_shape(self, input_shape):
        return input_shape


def _rates(wavelength, half):
    return float(wavelength) ** -(np.arange(half) / half)


@functools.lru_cache(maxsize=16)
def _turns(wavelength, scale, start, steps, half):
    angles = np.arange(start, start + steps)[:, None] / scale * _rates(wavelength, half)
    return np.cos(angles), np.sin(angles)
