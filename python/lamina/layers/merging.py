"""Layers that make one tensor of several, element by element or side by side."""

from __future__ import annotations

import functools

from .. import ops
from .layer import Layer


class _Merge(Layer):
    most: int | None = None  # inputs, where there is a limit

    def __call__(self, inputs, **kwargs):
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2 or len(inputs) > (self.most or len(inputs)):
            expected = "exactly" if self.most else "at least"
            raise ValueError(
                f"[{self.name}] needs a list of {expected} two inputs. Received: {type(inputs).__name__}"
                + (f" of {len(inputs)}." if isinstance(inputs, (list, tuple)) else ".")
            )
        return super().__call__(list(inputs), **kwargs)

    def compute_mask(self, inputs, previous_mask):
        if previous_mask is None or any(mask is None for mask in previous_mask):
            return None
        return functools.reduce(ops.logical_or, previous_mask)


def _aligned(inputs):
    """Inputs of one number of axes: what fewer have lacks comes after the batch axis."""
    most = max([x.ndim for x in inputs])
    return [ops.reshape(x, _widened(x.shape, most)) if 0 < x.ndim < most else x for x in inputs]


def _widened(shape, ndim):
    batch, *rest = [-1 if n is None else n for n in shape]
    return (batch, *(1,) * (ndim - len(shape)), *rest)


class Add(_Merge):
    """The sum of a list of tensors whose shapes broadcast; those with fewer axes get more after the batch axis.

    Args:
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Add()([lm.ops.ones((1, 2)), lm.ops.ones((1, 2))]).numpy()
        array([[2., 2.]], dtype=float32)
    """

    def call(self, inputs):
        return functools.reduce(ops.add, _aligned(inputs))


class Subtract(_Merge):
    """The first of two tensors minus the second. Shapes as in `Add`.

    Args:
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Subtract()([lm.ops.ones((1, 2)), lm.ops.zeros((1, 2))]).numpy()
        array([[1., 1.]], dtype=float32)
    """

    most = 2

    def call(self, inputs):
        return ops.subtract(*_aligned(inputs))


class Multiply(_Merge):
    """The product of a list of tensors, element by element. Shapes as in `Add`.

    Args:
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Multiply()([lm.ops.full((1, 2), 3.0), lm.ops.full((1, 2), 2.0)]).numpy()
        array([[6., 6.]], dtype=float32)
    """

    def call(self, inputs):
        return functools.reduce(ops.multiply, _aligned(inputs))


class Average(_Merge):
    """The mean of a list of tensors, element by element. Shapes as in `Add`.

    Args:
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Average()([lm.ops.ones((1, 2)), lm.ops.zeros((1, 2))]).numpy()
        array([[0.5, 0.5]], dtype=float32)
    """

    def call(self, inputs):
        return ops.divide(functools.reduce(ops.add, _aligned(inputs)), len(inputs))


class Maximum(_Merge):
    """The largest of a list of tensors, element by element. Shapes as in `Add`.

    Args:
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Maximum()([lm.ops.ones((1, 2)), lm.ops.zeros((1, 2))]).numpy()
        array([[1., 1.]], dtype=float32)
    """

    def call(self, inputs):
        return functools.reduce(ops.maximum, _aligned(inputs))


class Minimum(_Merge):
    """The smallest of a list of tensors, element by element. Shapes as in `Add`.

    Args:
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Minimum()([lm.ops.ones((1, 2)), lm.ops.zeros((1, 2))]).numpy()
        array([[0., 0.]], dtype=float32)
    """

    def call(self, inputs):
        return functools.reduce(ops.minimum, _aligned(inputs))


class Dot(_Merge):
    """Products of two tensors, summed along an axis of each, sample by sample.

    Args:
        axes: int, or two of them: the axis of each tensor, not the batch axis.
        normalize: whether vectors along these axes are made of length 1 first, so that results are cosines.
        **kwargs: `name`, `dtype`, as in Layer.

    Returns:
        Tensor of the batch axis, what is left of the first and what is left of the second; `(batch, 1)` at least.

    Raises:
        ValueError: if `axes` are not one or two axes other than the batch axis, or their sizes differ.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Dot(axes=(1, 2))([lm.ops.ones((2, 3, 5)), lm.ops.ones((2, 4, 3))]).shape
        (2, 5, 4)
    """

    most = 2

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else axes
        if (
            not isinstance(pair, (list, tuple))
            or len(pair) != 2
            or not all([isinstance(a, int) and a != 0 for a in pair])
        ):
            raise ValueError(
                f"[Dot] axes must be an integer or two of them, not 0, the batch axis. Received: axes={axes!r}."
            )
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize

    def call(self, inputs):
        x, y = inputs
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        a, b = [self._axis(axis, t) for axis, t in zip(pair, inputs)]
        if None not in (x.shape[a], y.shape[b]) and x.shape[a] != y.shape[b]:
            raise ValueError(
                f"[{self.name}] the two axes must have equal sizes. "
                f"Received: inputs of shape {x.shape} and {y.shape}, axes={self.axes}."
            )
        if self.normalize:
            x, y = ops.normalize(x, axis=a), ops.normalize(y, axis=b)
        left, right = [_sizes(t, axis) for t, axis in ((x, a), (y, b))]
        rows = _matrices(ops.moveaxis(x, a, -1), (left, x.shape[a]))
        columns = _matrices(ops.moveaxis(y, b, 1), (y.shape[b], right))
        return ops.reshape(ops.matmul(rows, columns), (-1, *(left + right or (1,))))

    def _axis(self, axis, x):
        if x.ndim < 2 or not -x.ndim < axis < x.ndim:
            raise ValueError(
                f"[{self.name}] axes must be axes of the inputs, not the batch axis. "
                f"Received: axes={self.axes}, an input of shape {x.shape}."
            )
        return axis % x.ndim

    def compute_mask(self, inputs, previous_mask):
        return None


class Concatenate(_Merge):
    """A list of tensors joined along an axis; their other sizes are equal.

    Args:
        axis: int, not the batch axis as a rule.
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Concatenate()([lm.ops.ones((1, 2)), lm.ops.ones((1, 3))]).shape
        (1, 5)
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs, previous_mask):
        if previous_mask is None:
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask):
            if mask is None:
                mask = ops.ones((1,) * x.ndim, "bool")
            mask = ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim)))
            masks.append(ops.broadcast_to(mask, x.shape))
        return ops.any(ops.concatenate(masks, axis=self.axis), axis=-1)


def _sizes(x, axis):
    """Those of the axes but the batch axis and one more."""
    return tuple([n for i, n in enumerate(x.shape) if i not in (0, axis)])


def _matrices(x, sizes):
    """x as [batch, rows, columns]; each of `sizes` is the size of an axis, or those of several that become one."""
    flat = [functools.reduce(lambda n, m: n * m, s, 1) if isinstance(s, tuple) else s for s in sizes]
    return ops.reshape(x, (-1, *flat))


def add(inputs, **kwargs):
    """The sum of a list of tensors: `Add(**kwargs)(inputs)`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.add([lm.ops.ones((1, 2)), lm.ops.ones((1, 2))]).numpy()
        array([[2., 2.]], dtype=float32)
    """
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """The difference of two tensors: `Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """The product of a list of tensors: `Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """The mean of a list of tensors: `Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """The largest of a list of tensors: `Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """The smallest of a list of tensors: `Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """Products of two tensors summed along an axis of each: `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes, **kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """A list of tensors joined along an axis: `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)
