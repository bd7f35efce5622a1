"""Joining, cutting, padding and repeating: each op with its gradient."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..tensor import convert_to_tensor
from .common import broadcast_to, cast, tensor
from .indexing import take
from .shape import expand_dims, getitem, reshape


def concatenate(xs, axis=0):
    """Tensors side by side along an axis.

    Args:
        xs: list of tensors, equal in shape but for the axis.
        axis: the axis to join along.

    Returns:
        Tensor of the types' promoted type.

    Raises:
        ValueError: if the list is empty or the shapes differ.

    Example:
        >>> import lamina as lm
        >>> lm.ops.concatenate([[1, 2], [3]]).numpy()
        array([1, 2, 3], dtype=int32)
    """
    xs = [tensor(x) for x in xs]
    core = _core.concatenate([x._core for x in xs], axis)
    xs = tuple([cast(x, core.dtype) for x in xs])
    at = axis % core.ndim

    sizes = [x.shape[at] for x in xs]
    return record("concatenate", core, xs, lambda dy: _cut(dy, sizes, at))


def _cut(x, sizes, axis):
    """Neighbouring pieces of the given sizes along an axis, as views."""
    pieces, start, before = [], 0, (slice(None),) * axis
    for size in sizes:
        pieces.append(getitem(x, (*before, slice(start, start + size))))
        start += size
    return tuple(pieces)


def stack(x, axis=0):
    """Tensors of one shape along a new axis.

    Args:
        x: list of tensors of one shape.
        axis: where the new axis goes.

    Raises:
        ValueError: if the list is empty or the shapes differ.

    Example:
        >>> import lamina as lm
        >>> lm.ops.stack([[1, 2], [3, 4]], axis=1).numpy()
        array([[1, 3],
               [2, 4]], dtype=int32)
    """
    return concatenate([expand_dims(v, axis) for v in x], axis)


def split(x, indices_or_sections, axis=0):
    """Pieces along an axis, as views.

    Args:
        x: tensor.
        indices_or_sections: number of equal pieces, or the positions where pieces begin (after the first).
        axis: the axis to cut.

    Returns:
        List of tensors.

    Raises:
        ValueError: if the axis does not divide into equal pieces.

    Example:
        >>> import lamina as lm
        >>> [v.shape for v in lm.ops.split(lm.ops.zeros((6,)), 3)]
        [(2,), (2,), (2,)]
    """
    x = tensor(x)
    axis = range(x.ndim)[axis]
    n = x.shape[axis]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or n % indices_or_sections:
            raise ValueError(
                "[split] the axis does not divide into equal pieces. "
                f"Received: indices_or_sections={indices_or_sections}, axis={axis} of size {n}."
            )
        cuts = range(0, n + 1, n // indices_or_sections) if n else [0] * (indices_or_sections + 1)
    else:
        cuts = [0, *[slice(i).indices(n)[1] for i in indices_or_sections], n]
    before = (slice(None),) * axis
    return [getitem(x, (*before, slice(a, b))) for a, b in zip(cuts[:-1], cuts[1:])]


def pad(x, pad_width, mode="constant", constant_values=0):
    """x with a border of one value.

    Args:
        x: tensor.
        pad_width: elements to add: (before, after) for every axis, one pair for all, or one integer for both.
        mode: `"constant"`, the only one so far.
        constant_values: the value of the border.

    Raises:
        ValueError: for another mode, negative widths, or a wrong number of pairs.

    Example:
        >>> import lamina as lm
        >>> lm.ops.pad([1, 2], (1, 2)).numpy()
        array([0, 1, 2, 0, 0], dtype=int32)
    """
    if mode != "constant":
        raise ValueError(f'[pad] mode must be "constant". Received: mode={mode!r}.')
    x = tensor(x)
    if isinstance(pad_width, int):
        pad_width = ((pad_width, pad_width),)
    elif len(pad_width) == 2 and isinstance(pad_width[0], int):
        pad_width = (tuple(pad_width),)
    pairs = list(pad_width) * (x.ndim if len(pad_width) == 1 else 1)
    before, after = tuple([p[0] for p in pairs]), tuple([p[1] for p in pairs])
    core = _core.pad(x._core, before, after, float(constant_values or 0))

    def grad(dy, shape=x.shape):
        return getitem(dy, tuple([slice(b, b + n) for b, n in zip(before, shape)]))

    return record("pad", core, (x,), grad)


def flip(x, axis=None):
    """The elements in reverse order along some axes (all by default), as a view.

    Example:
        >>> import lamina as lm
        >>> lm.ops.flip([1, 2, 3]).numpy()
        array([3, 2, 1], dtype=int32)
    """
    x = tensor(x)
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    chosen = [range(x.ndim)[a] for a in axes]
    return getitem(x, tuple([slice(None, None, -1 if i in chosen else None) for i in range(x.ndim)]))


def tile(x, repeats):
    """Copies of x side by side.

    Args:
        x: tensor.
        repeats: number of copies along each axis; missing ones (or axes of x) on the left count as 1.

    Example:
        >>> import lamina as lm
        >>> lm.ops.tile([1, 2], 2).numpy()
        array([1, 2, 1, 2], dtype=int32)
    """
    x = tensor(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    counts = [1] * (x.ndim - len(counts)) + counts
    if len(counts) > x.ndim:
        x = reshape(x, (*[1] * (len(counts) - x.ndim), *x.shape))
    for axis, count in enumerate(counts):
        if count != 1:
            x = _copies(x, axis, axis, count)
    return x


def repeat(x, repeats, axis=None):
    """Every element (or slice along an axis) several times in a row.

    Args:
        x: tensor.
        repeats: how often, one integer for all or one for each.
        axis: the axis to grow; None takes all elements in row order.

    Example:
        >>> import lamina as lm
        >>> lm.ops.repeat([1, 2], 2).numpy()
        array([1, 1, 2, 2], dtype=int32)
    """
    x = tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = range(x.ndim)[axis]
    if isinstance(repeats, int):
        return _copies(x, axis, axis + 1, repeats)
    import numpy as np

    counts = np.asarray(repeats)
    return take(x, convert_to_tensor(np.repeat(np.arange(x.shape[axis]), counts)), axis)


def _copies(x, axis, at, count):
    """x repeated along a new axis at `at`, which is then merged with the axis beside it."""
    shape = list(x.shape)
    wide = reshape(x, (*shape[:at], 1, *shape[at:]))
    wide = broadcast_to(wide, (*shape[:at], count, *shape[at:]))
    shape[axis] = None if shape[axis] is None else shape[axis] * count
    return reshape(wide, shape)
