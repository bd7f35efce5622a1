"""Layers that only move axes: Flatten, Reshape, Permute."""

from __future__ import annotations

import math

from .. import ops
from .arguments import data_format_of
from .input_spec import InputSpec
from .layer import Layer


class Flatten(Layer):
    """All axes but the batch made one.

    Args:
        data_format: `"channels_last"`, or `"channels_first"`: then the channels are moved last before.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, ...]`. Output: `[batch, product of the rest]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Flatten()(lm.ops.zeros((2, 4, 4, 3))).shape
        (2, 48)
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format_of("Flatten", data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs):
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        sizes = inputs.shape[1:]
        rest = -1 if None in sizes else math.prod(sizes)
        batch = inputs.shape[0]
        return ops.reshape(inputs, (-1 if batch is None else batch, rest))

    def compute_output_shape(self, input_shape):
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))


class Reshape(Layer):
    """Each sample in another shape.

    Args:
        target_shape: tuple of sizes without the batch; one may be -1 and is inferred.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, ...]`. Output: `[batch, *target_shape]`.

    Raises:
        ValueError: for sizes that are no integers >= 0 or -1, or more than one -1.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Reshape((4, -1))(lm.ops.zeros((2, 12))).shape
        (2, 4, 3)
    """

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        sizes = (target_shape,) if hasattr(target_shape, "__index__") else tuple(target_shape)
        if not all(hasattr(n, "__index__") and n >= -1 for n in sizes) or sizes.count(-1) > 1:
            raise ValueError(
                "[Reshape] target_shape needs sizes >= 0, one of them -1 at most. "
                f"Received: target_shape={target_shape!r}."
            )
        self.target_shape = sizes

    def call(self, inputs):
        return ops.reshape(inputs, self._sizes(inputs.shape, unknown=-1))

    def compute_output_shape(self, input_shape):
        return self._sizes(tuple(input_shape), unknown=None)

    def _sizes(self, input_shape, unknown):
        """The output's shape, -1 worked out where the inputs' sizes are known."""
        batch, known = input_shape[0], input_shape[1:]
        sizes = list(self.target_shape)
        if None not in known:
            count, rest = math.prod(known), math.prod(n for n in sizes if n != -1)
            if -1 in sizes and rest and count % rest == 0:
                sizes[sizes.index(-1)] = count // rest
            elif count != rest or -1 in sizes:
                raise ValueError(
                    f"[{self.path}] a sample's {count} elements do not make the target shape. "
                    f"Received: input.shape={input_shape}, target_shape={self.target_shape}."
                )
        return (unknown if batch is None else batch, *(unknown if n == -1 else n for n in sizes))


class Permute(Layer):
    """The axes of each sample in another order.

    Args:
        dims: permutation of 1, 2, ..., the batch axis 0 left out.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Permute((2, 1))(lm.ops.zeros((2, 3, 5))).shape
        (2, 5, 3)
    """

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"[Permute] dims must be a permutation of 1 to {len(self.dims)}. Received: dims={self.dims}."
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs):
        return ops.transpose(inputs, (0, *self.dims))
