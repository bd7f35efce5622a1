"""TimeDistributed: a layer on every step of a sequence."""

from __future__ import annotations

from .. import _core, ops
from ..tensor import Tensor
from .layer import Layer
from .symbolic import placeholders


class TimeDistributed(Layer):
    """Calls a layer on each step of a sequence by itself, with the same weights.

    The steps of all samples go through the layer as one batch.

    Args:
        layer: layer of inputs `[batch, ...]`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, ...]`. Output: `[batch, steps, ...]`, each step what the layer makes of it.

    Raises:
        ValueError: for what is no layer, or inputs of fewer than three axes.

    Example:
        >>> import lamina as lm
        >>> frames = lm.ops.ones((2, 5, 8, 8, 3))
        >>> lm.layers.TimeDistributed(lm.layers.Conv2D(4, 3))(frames).shape
        (2, 5, 6, 6, 4)
    """

    supports_masking = True

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ValueError(f"[TimeDistributed] needs a layer. Received: {layer!r}.")
        self.layer = layer

    def build(self, input_shape):
        if len(input_shape) < 3:
            raise ValueError(
                f"[{self.path}] needs inputs [batch, steps, ...]. Received: input_shape={tuple(input_shape)}."
            )
        step = (input_shape[0], *input_shape[2:])
        if not self.layer.built:
            self.layer(placeholders(step, self.dtype))

    def call(self, inputs, training=None, mask=None):
        batch, steps, *rest = inputs.shape
        if inputs._core.is_symbolic:
            shape = self.layer.compute_output_shape((None, *rest))
            return Tensor(_core.symbolic((batch, steps, *shape[1:]), self.layer.dtype))
        options = {}
        if mask is not None and self.layer._takes_mask:
            options["mask"] = ops.reshape(mask, (batch * steps, *mask.shape[2:]))
        outputs = self.layer(ops.reshape(inputs, (batch * steps, *rest)), training=training, **options)
        return ops.reshape(outputs, (batch, steps, *outputs.shape[1:]))
