"""SeparableConv1D, SeparableConv2D: every channel by itself, then all channels at each position."""

from __future__ import annotations

from ..ops.convolution_nd import convolve, depthwise
from .arguments import positive
from .base_conv import BaseConv


class _SeparableConv(BaseConv):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
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
        self.depth_multiplier = positive(kind, "depth_multiplier", depth_multiplier)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._keep("pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)

    def _make_kernels(self, channels):
        wide, sizes = channels * self.depth_multiplier, self.kernel_size
        self.depthwise_kernel = self._add("depthwise_kernel", (*sizes, channels, self.depth_multiplier), "depthwise")
        self.pointwise_kernel = self._add("pointwise_kernel", (*[1] * self.rank, wide, self.filters), "pointwise")
        return self.filters

    def _outputs(self, x, fused):
        window = (self.strides, self.padding, self.dilation_rate)
        y = depthwise("separable_conv", x, self.depthwise_kernel, None, *window)
        return convolve(y, self.pointwise_kernel, self.bias, activation=fused)


class SeparableConv1D(_SeparableConv):
    """activation(every channel of sequences convolved by itself, then mixed at each step, + bias).

    Args:
        filters, kernel_size, strides, padding, ...: as in SeparableConv2D, with one number.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, new steps, filters]`.

    Raises:
        ValueError: for sizes below 1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.SeparableConv1D(6, 3)(lm.ops.zeros((2, 10, 4))).shape
        (2, 8, 6)
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """activation(every channel of images convolved by itself, then mixed at each pixel, + bias).

    Args:
        filters: int, channels of the output.
        kernel_size: int or pair, height and width of the window.
        strides: int or pair, how far the window moves.
        padding: `"valid"` or `"same"`, as in Conv2D.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: int or pair, distance of the window's elements.
        depth_multiplier: int, filters for each channel in the first step.
        activation: function or its name; none by default.
        use_bias: whether there is a bias.
        depthwise_initializer: initialiser of the first kernel, `[height, width, channels, depth_multiplier]`.
        pointwise_initializer: initialiser of the second, `[1, 1, channels x depth_multiplier, filters]`.
        bias_initializer: initialiser of the bias `[filters]`.
        depthwise_regularizer: penalty on the first kernel.
        pointwise_regularizer: penalty on the second.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        depthwise_constraint: function applied to the first kernel after each update.
        pointwise_constraint: function applied to the second after each update.
        bias_constraint: function applied to the bias after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, new height, new width, filters]`.

    Raises:
        ValueError: for sizes below 1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.SeparableConv2D(6, 3)(lm.ops.zeros((2, 8, 8, 4))).shape
        (2, 6, 6, 6)
    """

    rank = 2
