"""Dense: every output sees every input."""

from __future__ import annotations

from .. import activations, regularizers
from ..ops.linalg import dense
from .arguments import positive
from .fusion import FUSED
from .input_spec import InputSpec
from .layer import Layer


class Dense(Layer):
    """activation(inputs @ kernel + bias) over the last axis.

    Args:
        units: int, size of the output's last axis.
        activation: function or its name; none by default.
        use_bias: whether there is a bias.
        kernel_initializer: initialiser of the kernel `[inputs, units]`.
        bias_initializer: initialiser of the bias `[units]`.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: function applied to the kernel after each update.
        bias_constraint: function applied to the bias after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, ..., inputs]`. Output: `[batch, ..., units]`.

    Raises:
        ValueError: if units is not a positive integer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Dense(4, activation="relu")(lm.ops.zeros((2, 3))).shape
        (2, 4)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(
        self,
        units,
        activation=None,
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
        self.units = positive("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.bias = None
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape):
        size = input_shape[-1]
        if size is None:
            raise ValueError(
                f"[{self.path}] the last axis of the inputs must be known. Received: input_shape={input_shape}."
            )
        self.kernel = self._add("kernel", (size, self.units))
        if self.use_bias:
            self.bias = self._add("bias", (self.units,))
        self.input_spec = InputSpec(min_ndim=2, axes={-1: size})

    def call(self, inputs):
        activation = self.activation
        if activation in FUSED:
            outputs = dense(inputs, self.kernel, self.bias, FUSED[activation])
        else:
            outputs = activation(dense(inputs, self.kernel, self.bias))
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer(outputs))
        return outputs

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)
