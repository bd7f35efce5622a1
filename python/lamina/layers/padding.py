"""ZeroPadding and Cropping of sequences, images and volumes."""

from __future__ import annotations

from .. import ops
from ..ops.spatial import symbolic
from .arguments import borders, data_format_of
from .input_spec import InputSpec
from .layer import Layer


class _Borders(Layer):
    """A layer with (before, after) for each axis."""

    _casts_integers = True
    rank = 2

    def _take(self, name, value, data_format):
        kind = type(self).__name__
        sides = borders(kind, name, (value,) if self.rank == 1 else value, self.rank)
        setattr(self, name, sides[0] if self.rank == 1 else sides)
        self.data_format = data_format_of(kind, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _every_axis(self, sides, other):
        """The sides of every axis of the inputs, `other` for batch and channels."""
        sides = (sides,) if self.rank == 1 else sides
        return (other, other, *sides) if self.data_format == "channels_first" else (other, *sides, other)


class _ZeroPadding(_Borders):
    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self._take("padding", padding, data_format)

    def call(self, inputs):
        return ops.pad(inputs, self._every_axis(self.padding, (0, 0)))


class _Cropping(_Borders):
    def call(self, inputs):
        sides = self._every_axis(self.cropping, (0, 0))
        sizes = [n if n is None or not sum(side) else n - sum(side) for n, side in zip(inputs.shape, sides)]
        if any(n is not None and n < 1 and sum(side) for n, side in zip(sizes, sides)):
            raise ValueError(
                f"[{self.path}] nothing is left of an axis; the cropping must be smaller than the inputs. "
                f"Received: input.shape={inputs.shape}, cropping={self.cropping}."
            )
        if inputs._core.is_symbolic:
            return symbolic(sizes, inputs, inputs._source)
        return inputs[tuple(slice(before, before + n) for (before, _), n in zip(sides, sizes))]


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after each sequence.

    Args:
        padding: int for both ends, or (before, after).
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, before + steps + after, channels]`.

    Raises:
        ValueError: for anything but integers >= 0.

    Example:
        >>> import lamina as lm
        >>> lm.layers.ZeroPadding1D((1, 2))(lm.ops.zeros((2, 5, 3))).shape
        (2, 8, 3)
    """

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around each image.

    Args:
        padding: int for all sides, (vertical, horizontal), or ((top, bottom), (left, right)).
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: the same with larger height and width.

    Raises:
        ValueError: for anything but integers >= 0.

    Example:
        >>> import lamina as lm
        >>> lm.layers.ZeroPadding2D(((1, 0), (2, 2)))(lm.ops.zeros((2, 5, 4, 3))).shape
        (2, 6, 8, 3)
    """

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around each volume.

    Args:
        padding: int for all sides, three of them, one per axis, or three pairs (before, after).
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: the same with larger axes.

    Raises:
        ValueError: for anything but integers >= 0.

    Example:
        >>> import lamina as lm
        >>> lm.layers.ZeroPadding3D((0, 1, 2))(lm.ops.zeros((2, 5, 4, 4, 3))).shape
        (2, 5, 6, 8, 3)
    """

    rank = 3


class Cropping1D(_Cropping):
    """Steps cut off both ends of each sequence.

    Args:
        cropping: int for both ends, or (before, after).
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, channels]`. Output: `[batch, steps - before - after, channels]`.

    Raises:
        ValueError: for anything but integers >= 0, and for inputs of which nothing would be left.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Cropping1D((1, 2))(lm.ops.zeros((2, 5, 3))).shape
        (2, 2, 3)
    """

    rank = 1

    def __init__(self, cropping=1, **kwargs):
        super().__init__(**kwargs)
        self._take("cropping", cropping, None)


class Cropping2D(_Cropping):
    """Pixels cut off the sides of each image.

    Args:
        cropping: int for all sides, (vertical, horizontal), or ((top, bottom), (left, right)).
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, height, width, channels]`. Output: the same with smaller height and width.

    Raises:
        ValueError: for anything but integers >= 0, and for inputs of which nothing would be left.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Cropping2D(((1, 0), (1, 1)))(lm.ops.zeros((2, 5, 4, 3))).shape
        (2, 4, 2, 3)
    """

    rank = 2

    def __init__(self, cropping=0, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self._take("cropping", cropping, data_format)


class Cropping3D(_Cropping):
    """Voxels cut off the sides of each volume.

    Args:
        cropping: int for all sides, three of them, one per axis, or three pairs (before, after).
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, depth, height, width, channels]`. Output: the same with smaller axes.

    Raises:
        ValueError: for anything but integers >= 0, and for inputs of which nothing would be left.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Cropping3D((0, 1, 1))(lm.ops.zeros((2, 5, 4, 4, 3))).shape
        (2, 5, 2, 2, 3)
    """

    rank = 3

    def __init__(self, cropping=1, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self._take("cropping", cropping, data_format)
