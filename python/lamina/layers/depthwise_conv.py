"""DepthwiseConv1D, DepthwiseConv2D: every channel convolved with filters of its own."""

from __future__ import annotations

from ..ops.convolution_nd import depthwise
from .arguments import positive
from .base_conv import BaseConv


class _DepthwiseConv(BaseConv):
    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
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
        self.depth_multiplier = positive(type(self).__name__, "depth_multiplier", depth_multiplier)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)

    def _make_kernels(self, channels):
        self.kernel = self._add("kernel", (*self.kernel_size, channels, self.depth_multiplier), kept="depthwise")
        return channels * self.depth_multiplier

    def _outputs(self, x, fused):
        window = (self.strides, self.padding, self.dilation_rate)
        return depthwise("depthwise_conv", x, self.kernel, self.bias, *window, fused)


class DepthwiseConv1D(_DepthwiseConv):
    """activation(every channel of sequences convolved with its own filters + bias).

    Args:
        kernel_size, strides, padding, depth_multiplier, ...: as in DepthwiseConv2D, with one number; the kernel is
            `[kernel_size, channels, depth_multiplier]`.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, new steps, channels x depth_multiplier]`.

    Raises:
        ValueError: for sizes below 1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.DepthwiseConv1D(3, depth_multiplier=2)(lm.ops.zeros((2, 10, 4))).shape
        (2, 8, 8)
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """activation(every channel of images convolved with its own filters + bias).

    Args:
        kernel_size: int or pair, height and width of the window.
        strides: int or pair, how far the window moves.
        padding: `"valid"` or `"same"`, as in Conv2D.
        depth_multiplier: int, filters for each channel.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: int or pair, distance of the window's elements.
        activation: function or its name; none by default.
        use_bias: whether there is a bias.
        depthwise_initializer: initialiser of the kernel `[height, width, channels, depth_multiplier]`.
        bias_initializer: initialiser of the bias `[channels x depth_multiplier]`.
        depthwise_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        depthwise_constraint: function applied to the kernel after each update.
        bias_constraint: function applied to the bias after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, new height, new width, channels x depth_multiplier]`;
    those of one input channel are neighbours.

    Raises:
        ValueError: for sizes below 1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.DepthwiseConv2D(3, depth_multiplier=2)(lm.ops.zeros((2, 8, 8, 4))).shape
        (2, 6, 6, 8)
    """

    rank = 2
