"""Pooling over windows of sequences, images and volumes."""

from __future__ import annotations

from .. import ops
from .arguments import data_format_of, padding_of, sizes_of
from .input_spec import InputSpec
from .layer import Layer


class _Pooling(Layer):
    _casts_integers = True
    rank = 2

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        kind = type(self).__name__
        self.pool_size = sizes_of(kind, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else sizes_of(kind, "strides", strides, self.rank)
        self.padding = padding_of(kind, padding)
        self.data_format = data_format_of(kind, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)


class _MaxPooling(_Pooling):
    def call(self, inputs):
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class _AveragePooling(_Pooling):
    def call(self, inputs):
        return ops.average_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(_MaxPooling):
    """The maximum of each window of a sequence.

    Args:
        pool_size, strides, padding, data_format, **kwargs: as in MaxPooling2D, with one number.

    Input: `[batch, steps, channels]`. Output: `[batch, new steps, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.MaxPooling1D(2)(lm.ops.zeros((2, 5, 3))).shape
        (2, 2, 3)
    """

    rank = 1


class MaxPooling2D(_MaxPooling):
    """The maximum of each window of an image.

    Args:
        pool_size: int or pair, height and width of the window.
        strides: int or pair, how far the window moves; `pool_size` by default.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, new height, new width, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.MaxPooling2D(2)(lm.ops.zeros((2, 5, 4, 3))).shape
        (2, 2, 2, 3)
    """

    rank = 2


class MaxPooling3D(_MaxPooling):
    """The maximum of each window of a volume.

    Args:
        pool_size, strides, padding, data_format, **kwargs: as in MaxPooling2D, with a number for all axes or three.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, new depth, new height, new width, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.MaxPooling3D(2)(lm.ops.zeros((2, 4, 5, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    rank = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window of a sequence; zeros of the padding are not counted.

    Args:
        pool_size, strides, padding, data_format, **kwargs: as in AveragePooling2D, with one number.

    Input: `[batch, steps, channels]`. Output: `[batch, new steps, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AveragePooling1D(2)(lm.ops.zeros((2, 4, 3))).shape
        (2, 2, 3)
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window of an image; zeros of the padding are not counted.

    Args:
        pool_size: int or pair, height and width of the window.
        strides: int or pair, how far the window moves; `pool_size` by default.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, new height, new width, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AveragePooling2D(2)(lm.ops.zeros((2, 4, 4, 3))).shape
        (2, 2, 2, 3)
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume; zeros of the padding are not counted.

    Args:
        pool_size, strides, padding, data_format, **kwargs: as in AveragePooling2D, with a number for all axes or three.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, new depth, new height, new width, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AveragePooling3D(2)(lm.ops.zeros((2, 4, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    rank = 3
