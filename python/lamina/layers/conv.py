"""Conv1D, Conv2D, Conv3D: filters slid over sequences, images and volumes."""

from __future__ import annotations

from ..ops.convolution_nd import convolve
from .arguments import positive
from .base_conv import BaseConv


class _Conv(BaseConv):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
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
        self.filters, self.groups = positive(kind, "filters", filters), positive(kind, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"[{kind}] the groups must divide the filters. Received: filters={filters}, groups={groups}."
            )
        self._one_of_strides_and_dilation()
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def _make_kernels(self, channels):
        if channels % self.groups:
            raise ValueError(
                f"[{self.path}] the groups must divide the channels. "
                f"Received: channels={channels}, groups={self.groups}."
            )
        self.kernel = self._add("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        return self.filters

    def _outputs(self, x, fused):
        padding = self.padding
        if padding == "causal":
            padding = ((self.kernel_size[0] - 1) * self.dilation_rate[0], 0)
        return convolve(x, self.kernel, self.bias, self.strides, padding, self.dilation_rate, self.groups, fused)


class Conv1D(_Conv):
    """activation(convolution of sequences with the kernel + bias).

    Args:
        filters: int, channels of the output.
        kernel_size: int, steps under the window.
        strides: int, how far the window moves.
        padding: `"valid"`, `"same"`, or `"causal"`: zeros before the sequence alone, so that no output sees later
            steps.
        data_format, dilation_rate, groups, activation, use_bias, ...: as in Conv2D; the kernel is
            `[kernel_size, channels / groups, filters]`.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, new steps, filters]`.

    Raises:
        ValueError: as Conv2D.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Conv1D(6, 5, padding="causal")(lm.ops.zeros((2, 28, 3))).shape
        (2, 28, 6)
    """

    rank = 1
    _paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
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

    rank = 2


class Conv3D(_Conv):
    """activation(convolution of volumes with the kernel + bias).

    Args:
        filters: int, channels of the output.
        kernel_size: int or three, depth, height and width of the window.
        strides, padding, data_format, dilation_rate, groups, activation, use_bias, ...: as in Conv2D, with a number
            for all axes or three; the kernel is `[depth, height, width, channels / groups, filters]`.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, new depth, new height, new width, filters]`.

    Raises:
        ValueError: as Conv2D.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Conv3D(6, 3, strides=2)(lm.ops.zeros((2, 5, 9, 9, 1))).shape
        (2, 2, 4, 4, 6)
    """

    rank = 3
