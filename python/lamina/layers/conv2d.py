"""Conv2D: filters slid over images."""

from __future__ import annotations

from .. import activations, constraints, initializers, ops, regularizers
from ..ops.convolution import conv2d
from .arguments import data_format_of, padding_of, pair, positive
from .fusion import FUSED
from .input_spec import InputSpec
from .layer import Layer


class Conv2D(Layer):
    """activation(convolution of the inputs with the kernel + bias). No kernel flip, as everywhere in deep
    learning.

    Args:
        filters: int, channels of the output.
        kernel_size: int or pair, height and width of the window.
        strides: int or pair, how far the window moves.
        padding: `"valid"` (windows inside the image) or `"same"` (output size = input size / strides,
            rounded up; zeros around the image, the odd one below and to the right).
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: int or pair, distance of the window's elements.
        groups: int, into which channels and filters are divided; each group of filters sees its channels
            only.
        activation: function or its name; none by default.
        use_bias: whether there is a bias.
        kernel_initializer: initialiser of the kernel `[height, width, channels / groups, filters]`.
        bias_initializer: initialiser of the bias `[filters]`.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: function applied to the kernel after each update.
        bias_constraint: function applied to the bias after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, new height, new width, filters]`.

    Raises:
        ValueError: for sizes below 1, filters that the groups do not divide, strides and dilation both above
            1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Conv2D(6, 5, activation="relu")(lm.ops.zeros((2, 28, 28, 1))).shape
        (2, 24, 24, 6)
    """

    _casts_integers = True

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        groups=1,
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
        self.filters = positive("Conv2D", "filters", filters)
        self.kernel_size = pair("Conv2D", "kernel_size", kernel_size)
        self.strides = pair("Conv2D", "strides", strides)
        self.padding = padding_of("Conv2D", padding)
        self.data_format = data_format_of("Conv2D", data_format)
        self.dilation_rate = pair("Conv2D", "dilation_rate", dilation_rate)
        self.groups = positive("Conv2D", "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"[Conv2D] the groups must divide the filters. Received: filters={filters}, groups={groups}."
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "[Conv2D] strides and dilation_rate cannot both exceed 1. "
                f"Received: strides={strides}, dilation_rate={dilation_rate}."
            )
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias = None
        self.input_spec = InputSpec(ndim=4)

    def build(self, input_shape):
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None or channels % self.groups:
            raise ValueError(
                f"[{self.path}] the number of channels must be known and a multiple of the groups. "
                f"Received: input_shape={input_shape}, groups={self.groups}."
            )
        self.kernel = self.add_weight(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,),
                self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(ndim=4, axes={axis: channels})

    def call(self, inputs):
        first = self.data_format == "channels_first"
        x = ops.transpose(inputs, (0, 2, 3, 1)) if first else inputs
        activation = self.activation
        fused = FUSED.get(activation)
        outputs = conv2d(x, self.kernel, self.bias, self.strides, self.padding, self.dilation_rate, self.groups, fused)
        if first:
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        if activation not in FUSED:
            outputs = activation(outputs)
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer(outputs))
        return outputs
