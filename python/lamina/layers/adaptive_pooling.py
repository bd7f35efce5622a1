"""Pooling to a given number of windows, whatever the size of the inputs."""

from __future__ import annotations

from .. import ops
from .arguments import data_format_of, sizes_of
from .input_spec import InputSpec
from .layer import Layer


class _AdaptivePooling(Layer):
    _casts_integers = True
    rank = 2

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.output_size = sizes_of(kind, "output_size", output_size, self.rank)
        self.data_format = data_format_of(kind, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)


class _AdaptiveAveragePooling(_AdaptivePooling):
    def call(self, inputs):
        return ops.adaptive_average_pool(inputs, self.output_size, self.data_format)


class _AdaptiveMaxPooling(_AdaptivePooling):
    def call(self, inputs):
        return ops.adaptive_max_pool(inputs, self.output_size, self.data_format)


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The mean of each of so many windows of a sequence.

    Args:
        output_size: int, number of windows; `ops.adaptive_average_pool` says where they lie.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, output_size, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AdaptiveAveragePooling1D(4)(lm.ops.zeros((2, 7, 3))).shape
        (2, 4, 3)
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The mean of each of so many windows of an image.

    Args:
        output_size: int or pair, number of windows; `ops.adaptive_average_pool` says where they lie.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, *output_size, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AdaptiveAveragePooling2D(4)(lm.ops.zeros((2, 7, 9, 3))).shape
        (2, 4, 4, 3)
    """

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The mean of each of so many windows of a volume.

    Args:
        output_size: int or three, number of windows; `ops.adaptive_average_pool` says where they lie.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, *output_size, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AdaptiveAveragePooling3D(4)(lm.ops.zeros((2, 5, 7, 9, 3))).shape
        (2, 4, 4, 4, 3)
    """

    rank = 3


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The maximum of each of so many windows of a sequence.

    Args:
        output_size: int, number of windows; `ops.adaptive_average_pool` says where they lie.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, output_size, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AdaptiveMaxPooling1D(4)(lm.ops.zeros((2, 7, 3))).shape
        (2, 4, 3)
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The maximum of each of so many windows of an image.

    Args:
        output_size: int or pair, number of windows; `ops.adaptive_average_pool` says where they lie.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: `[batch, *output_size, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AdaptiveMaxPooling2D(4)(lm.ops.zeros((2, 7, 9, 3))).shape
        (2, 4, 4, 3)
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """The maximum of each of so many windows of a volume.

    Args:
        output_size: int or three, number of windows; `ops.adaptive_average_pool` says where they lie.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, *output_size, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AdaptiveMaxPooling3D(4)(lm.ops.zeros((2, 5, 7, 9, 3))).shape
        (2, 4, 4, 4, 3)
    """

    rank = 3
