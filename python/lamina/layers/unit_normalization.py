"""UnitNormalization."""

from __future__ import annotations

from ..ops.layer_norm import normalize
from .arguments import axes_argument, axes_in
from .layer import Layer


class UnitNormalization(Layer):
    """Divides each row by its Euclidean norm; a row of zeros stays.

    Args:
        axis: int or list of ints, the axes normalised together.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.UnitNormalization()(lm.convert_to_tensor([[3.0, 4.0]])).numpy()
        array([[0.6, 0.8]], dtype=float32)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axes_argument("UnitNormalization", axis)

    def call(self, inputs):
        return normalize(inputs, axis=self.axis, order=2, epsilon=1e-12)

    def compute_output_shape(self, input_shape):
        axes_in(self.path, self.axis, input_shape)
        return input_shape
