"""The dense maps of attention: features to heads, and heads back to features."""

from __future__ import annotations

import math

from .. import regularizers
from ..ops.linalg import dense
from ..ops.shape import reshape
from .layer import Layer
from .symbolic import placeholders


def with_last(x, lead, sizes):
    """x as `[*lead, *sizes]`; of symbolic tensors several sizes may be unknown."""
    return placeholders((*lead, *sizes), x.dtype) if x._core.is_symbolic else reshape(x, (*lead, *sizes))


class HeadProjection(Layer):
    """inputs @ kernel + bias over the last axes: Keras' EinsumDense as attention uses it.

    Args:
        inner: tuple of sizes, the axes that are summed over (the last ones of the inputs).
        outer: tuple of sizes that come in their place.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: initialisers of the kernel `[*inner, *outer]` and the bias `[*outer]`.
        kernel_regularizer, bias_regularizer: penalties on them.
        activity_regularizer: penalty on the output.
        kernel_constraint, bias_constraint: functions applied to them after each update.
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> from lamina.layers.head_projection import HeadProjection
        >>> HeadProjection((8,), (2, 4))(lm.ops.ones((3, 5, 8))).shape
        (3, 5, 2, 4)
    """

    def __init__(
        self,
        inner,
        outer,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.inner, self.outer = tuple(inner), tuple(outer)
        self.use_bias = bool(use_bias)
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.bias = None

    def build(self, input_shape):
        self.kernel = self._add("kernel", (*self.inner, *self.outer))
        if self.use_bias:
            self.bias = self._add("bias", self.outer)

    def call(self, inputs):
        sizes, lead = (math.prod(self.inner), math.prod(self.outer)), inputs.shape[: inputs.ndim - len(self.inner)]
        x = inputs if len(self.inner) == 1 else with_last(inputs, lead, sizes[:1])
        outputs = dense(x, reshape(self.kernel, sizes), None if self.bias is None else reshape(self.bias, (-1,)))
        if len(self.outer) > 1:
            outputs = with_last(outputs, lead, self.outer)
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer(outputs))
        return outputs
