"""Pooling over the whole of each sequence, image or volume."""

from __future__ import annotations

from .. import ops
from .arguments import data_format_of
from .input_spec import InputSpec
from .layer import Layer


class _GlobalPooling(Layer):
    _casts_integers = True
    rank = 2

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.keepdims = bool(keepdims)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _axes(self):
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, inputs):
        return ops.mean(inputs, self._axes, keepdims=self.keepdims)


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs):
        return ops.max(inputs, self._axes, keepdims=self.keepdims)


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean of each channel over the whole of a sequence.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        keepdims: whether the steps stay, as an axis of size 1.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, channels]`.

    Called with `mask`, bools `[batch, steps]`, it averages the true steps alone.

    Example:
        >>> import lamina as lm
        >>> lm.layers.GlobalAveragePooling1D()(lm.ops.zeros((2, 4, 3))).shape
        (2, 3)
    """

    rank = 1

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        seen = ops.expand_dims(ops.cast(mask, "bool"), 2 if self.data_format == "channels_last" else 1)
        total = ops.sum(ops.where(seen, inputs, 0.0), self._axes, keepdims=self.keepdims)
        return total / ops.sum(ops.cast(seen, inputs.dtype), self._axes, keepdims=self.keepdims)

    def compute_mask(self, inputs, previous_mask):
        return None  # no steps are left


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean of each channel over the whole of an image.

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

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean of each channel over the whole of a volume.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        keepdims: whether depth, height and width stay, as axes of size 1.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.GlobalAveragePooling3D()(lm.ops.zeros((2, 4, 4, 4, 3))).shape
        (2, 3)
    """

    rank = 3


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The maximum of each channel over the whole of a sequence.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        keepdims: whether the steps stay, as an axis of size 1.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.GlobalMaxPooling1D()(lm.ops.zeros((2, 4, 3))).shape
        (2, 3)
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The maximum of each channel over the whole of an image.

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

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The maximum of each channel over the whole of a volume.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        keepdims: whether depth, height and width stay, as axes of size 1.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: `[batch, channels]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.GlobalMaxPooling3D()(lm.ops.zeros((2, 4, 4, 4, 3))).shape
        (2, 3)
    """

    rank = 3
