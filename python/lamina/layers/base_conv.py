"""What the convolution layers share, for every rank: window, bias, activation, layout of the channels."""

from __future__ import annotations

from .. import activations, regularizers
from ..ops.spatial import to_first, to_last
from .arguments import data_format_of, padding_of, sizes_of
from .fusion import FUSED
from .input_spec import InputSpec
from .layer import Layer


class BaseConv(Layer):
    """Base of convolutions; a family adds its kernels in `_make_kernels` and computes in `_outputs`, a layer its
    `rank`."""

    _casts_integers = True
    rank = 2
    _paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size,
        strides,
        padding,
        data_format,
        dilation_rate,
        activation,
        use_bias,
        bias_initializer,
        bias_regularizer,
        activity_regularizer,
        bias_constraint,
        **kwargs,
    ):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.kernel_size = sizes_of(kind, "kernel_size", kernel_size, self.rank)
        self.strides = sizes_of(kind, "strides", strides, self.rank)
        self.padding = padding_of(kind, padding, self._paddings)
        self.data_format = data_format_of(kind, data_format)
        self.dilation_rate = sizes_of(kind, "dilation_rate", dilation_rate, self.rank)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.bias = None
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _one_of_strides_and_dilation(self):
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"[{type(self).__name__}] strides and dilation_rate cannot both exceed 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}."
            )

    def build(self, input_shape):
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None:
            raise ValueError(
                f"[{self.path}] the number of channels must be known. Received: input_shape={input_shape}."
            )
        filters = self._make_kernels(channels)
        if self.use_bias:
            self.bias = self._add("bias", (filters,))
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})

    def _make_kernels(self, channels):
        """Makes the kernels for inputs of so many channels; gives the number of output channels."""
        raise NotImplementedError

    def _outputs(self, x, fused):
        """The convolution of x, channels last, with its bias and the activation of that name (or None)."""
        raise NotImplementedError

    def call(self, inputs):
        first = self.data_format == "channels_first"
        activation = self.activation
        outputs = to_first(self._outputs(to_last(inputs, first), FUSED.get(activation)), first)
        if activation not in FUSED:
            outputs = activation(outputs)
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer(outputs))
        return outputs
