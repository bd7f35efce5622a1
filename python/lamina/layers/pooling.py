"""Pooling of images: over windows, and over the whole image."""

from __future__ import annotations

from .. import ops
from .arguments import data_format_of, padding_of, pair
from .input_spec import InputSpec
from .layer import Layer


class _Pooling2D(Layer):
    _casts_integers = True

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        kind = type(self).__name__
        self.pool_size = pair(kind, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(kind, "strides", strides)
        self.padding = padding_of(kind, padding)
        self.data_format = data_format_of(kind, data_format)
        self.input_spec = InputSpec(ndim=4)


class MaxPooling2D(_Pooling2D):
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

    def call(self, inputs):
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class AveragePooling2D(_Pooling2D):
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

    def call(self, inputs):
        return ops.average_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class _GlobalPooling2D(Layer):
    _casts_integers = True

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.keepdims = bool(keepdims)
        self.input_spec = InputSpec(ndim=4)

    @property
    def _image_axes(self):
        return (1, 2) if self.data_format == "channels_last" else (2, 3)


class GlobalAveragePooling2D(_GlobalPooling2D):
    """The mean of each channel over the whole image.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        keepdims: whether height and width stay, as axes of size 1.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.GlobalAveragePooling2D()(lm.ops.zeros((2, 4, 4, 3))).shape
        (2, 3)
    """

    def call(self, inputs):
        return ops.mean(inputs, self._image_axes, keepdims=self.keepdims)


class GlobalMaxPooling2D(_GlobalPooling2D):
    """The maximum of each channel over the whole image.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        keepdims: whether height and width stay, as axes of size 1.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.GlobalMaxPooling2D()(lm.ops.zeros((2, 4, 4, 3))).shape
        (2, 3)
    """

    def call(self, inputs):
        return ops.max(inputs, self._image_axes, keepdims=self.keepdims)
