"""UpSampling of sequences, images and volumes: every element repeated, or pixels interpolated."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..ops.common import constant
from ..ops.spatial import symbolic
from ..utils.naming import unknown_name
from .arguments import data_format_of, positive, sizes_of
from .input_spec import InputSpec
from .layer import Layer


class _UpSampling(Layer):
    _casts_integers = True
    rank = 2

    def __init__(self, size=2, data_format=None, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.size = sizes_of(kind, "size", size, self.rank)
        self.data_format = data_format_of(kind, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        first_axis = 1 if self.data_format == "channels_last" else 2
        for axis, times in enumerate(self.size, first_axis):
            if times > 1:
                inputs = self._grown(inputs, axis, times)
        return inputs

    def _grown(self, x, axis, times):
        return ops.repeat(x, times, axis)


def _interpolated(x, axis, times):
    """Each output between the two inputs whose centres are next to its own; beyond the outermost, their values."""
    shape = list(x.shape)
    size = shape[axis]
    if x._core.is_symbolic:
        shape[axis] = None if size is None else size * times
        return symbolic(shape, x, x._source)
    centre = np.clip((np.arange(size * times) + 0.5) / times - 0.5, 0, size - 1)
    left = np.minimum(centre.astype("int32"), max(size - 2, 0))
    weight = constant((centre - left).reshape(-1, *[1] * (len(shape) - axis - 1)).astype(x.dtype))
    near, far = (ops.take(x, constant(i), axis) for i in (left, np.minimum(left + 1, size - 1)))
    return near + (far - near) * weight


class UpSampling1D(Layer):
    """Every step several times in a row.

    Args:
        size: int, how often.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, steps x size, channels]`.

    Raises:
        ValueError: for a size below 1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.UpSampling1D(3)(lm.ops.zeros((2, 5, 3))).shape
        (2, 15, 3)
    """

    _casts_integers = True

    def __init__(self, size=2, **kwargs):
        super().__init__(**kwargs)
        self.size = positive("UpSampling1D", "size", size)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs):
        return ops.repeat(inputs, self.size, 1)


class UpSampling2D(_UpSampling):
    """Images made larger.

    Args:
        size: int or pair, how many times as many rows and columns.
        data_format: `"channels_last"` or `"channels_first"`.
        interpolation: `"nearest"` (every pixel repeated) or `"bilinear"` (between the nearest pixels' centres).
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: the same with larger height and width.

    Raises:
        ValueError: for a size below 1 or another interpolation.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.reshape(lm.ops.arange(2.0), (1, 1, 2, 1))
        >>> lm.layers.UpSampling2D((1, 2), interpolation="bilinear")(x).numpy().ravel()
        array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """

    rank = 2

    def __init__(self, size=2, data_format=None, interpolation="nearest", **kwargs):
        super().__init__(size, data_format, **kwargs)
        name = interpolation.lower() if isinstance(interpolation, str) else interpolation
        if name not in ("nearest", "bilinear"):
            raise unknown_name("UpSampling2D.interpolation", interpolation, ("nearest", "bilinear"))
        self.interpolation = name

    def _grown(self, x, axis, times):
        return super()._grown(x, axis, times) if self.interpolation == "nearest" else _interpolated(x, axis, times)


class UpSampling3D(_UpSampling):
    """Every voxel several times in a row, along each axis.

    Args:
        size: int or three, how many times as many planes, rows and columns.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: the same with larger axes.

    Raises:
        ValueError: for a size below 1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.UpSampling3D((1, 2, 3))(lm.ops.zeros((2, 5, 4, 4, 3))).shape
        (2, 5, 8, 12, 3)
    """

    rank = 3
