"""Conv1DTranspose, Conv2DTranspose, Conv3DTranspose: convolutions run backward, from small inputs to large outputs."""

from __future__ import annotations

from .. import ops
from .arguments import positive, sizes_of
from .base_conv import BaseConv
from .fusion import FUSED


class _ConvTranspose(BaseConv):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
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
        super().__init__(
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
        )
        kind = type(self).__name__
        self.filters = positive(kind, "filters", filters)
        self.output_padding = output_padding
        if output_padding is not None:
            self.output_padding = sizes_of(kind, "output_padding", output_padding, self.rank, low=0)
            if any(more >= stride for more, stride in zip(self.output_padding, self.strides)):
                raise ValueError(
                    f"[{kind}] output_padding must be below the strides. "
                    f"Received: output_padding={self.output_padding}, strides={self.strides}."
                )
        self._one_of_strides_and_dilation()
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def _make_kernels(self, channels):
        self.kernel = self._add("kernel", (*self.kernel_size, self.filters, channels))
        return self.filters

    def _outputs(self, x, fused):
        y = ops.conv_transpose(
            x, self.kernel, self.strides, self.padding, self.output_padding, None, self.dilation_rate
        )
        if self.bias is not None:
            y = y + self.bias
        return self.activation(y) if self.activation in FUSED else y


class Conv1DTranspose(_ConvTranspose):
    """activation(transposed convolution of sequences + bias).

    Args:
        filters, kernel_size, strides, padding, output_padding, ...: as in Conv2DTranspose, with one number; the kernel
            is `[kernel_size, filters, channels]`.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, new steps, filters]`.

    Raises:
        ValueError: as Conv2DTranspose.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Conv1DTranspose(6, 3, strides=2)(lm.ops.zeros((2, 10, 4))).shape
        (2, 21, 6)
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """activation(transposed convolution of images + bias): what a Conv2D does to gradients, used as a layer.

    Args:
        filters: int, channels of the output.
        kernel_size: int or pair, height and width of what an input pixel is spread over.
        strides: int or pair, output pixels between input pixels.
        padding: `"valid"` (output size = (input size - 1) strides + max(kernel_size, strides)) or `"same"` (output
            size = input size x strides).
        output_padding: int or pair below the strides that sets the size instead: (input size - 1) strides +
            output_padding, plus kernel_size for `"valid"`, plus 1 for `"same"` where kernel_size is odd. None: as
            said above.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: int or pair, distance of the kernel's elements.
        activation: function or its name; none by default.
        use_bias: whether there is a bias.
        kernel_initializer: initialiser of the kernel `[height, width, filters, channels]`.
        bias_initializer: initialiser of the bias `[filters]`.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: function applied to the kernel after each update.
        bias_constraint: function applied to the bias after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, new height, new width, filters]`.

    Raises:
        ValueError: for sizes below 1, an output_padding not below the strides, strides and dilation both above 1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Conv2DTranspose(6, 3, strides=2, padding="same")(lm.ops.zeros((2, 7, 7, 4))).shape
        (2, 14, 14, 6)
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """activation(transposed convolution of volumes + bias).

    Args:
        filters, kernel_size, strides, padding, output_padding, ...: as in Conv2DTranspose, with a number for all axes
            or three; data_format comes before output_padding, as in Keras. The kernel is
            `[depth, height, width, filters, channels]`.
        **kwargs: `kernel_initializer` and so on, `name`, `dtype`, `trainable`, `input_shape`, as in Conv2DTranspose.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, new depth, new height, new width, filters]`.

    Raises:
        ValueError: as Conv2DTranspose.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Conv3DTranspose(6, 2, strides=2)(lm.ops.zeros((2, 3, 4, 5, 4))).shape
        (2, 6, 8, 10, 6)
    """

    rank = 3

    def __init__(
        self, filters, kernel_size, strides=1, padding="valid", data_format=None, output_padding=None, **kwargs
    ):
        super().__init__(filters, kernel_size, strides, padding, output_padding, data_format, **kwargs)
