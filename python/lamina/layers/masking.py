"""Masking: steps of padding are marked, so that the layers behind leave them out."""

from __future__ import annotations

from .. import ops
from .layer import Layer


class Masking(Layer):
    """Gives a sequence a mask: steps whose features are all `mask_value` do not count.

    The values of such steps become 0. The mask, bool `[batch, steps]`, goes with the output through layers that keep
    the steps (Dense, Dropout, normalisation, recurrent layers ...) to recurrent layers and attention, which pass over
    the steps, and to the loss and the metrics, which leave them out.

    Args:
        mask_value: number that stands for padding.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input and output: `[batch, steps, ...]`.

    Example:
        >>> import lamina as lm
        >>> x = [[[1.0], [2.0], [0.0]], [[3.0], [0.0], [0.0]]]
        >>> lm.layers.GlobalAveragePooling1D()(lm.layers.Masking()(x)).numpy()
        array([[1.5],
               [3. ]], dtype=float32)
    """

    _casts_integers = True

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.mask_value = float(mask_value)
        self.built = True

    def call(self, inputs):
        return ops.where(self._counts(inputs, keepdims=True), inputs, ops.zeros((), inputs.dtype))

    def compute_mask(self, inputs, previous_mask):
        return self._counts(inputs)

    def _counts(self, inputs, keepdims=False):
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=keepdims)

    def compute_output_shape(self, input_shape):
        return input_shape
