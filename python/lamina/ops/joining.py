"""Joining, cutting, padding and repeating: each op with its gradient."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..tensor import Tensor
from .arguments import choice, integer, integers, number, one_axis
from .common import broadcast_to, cast, constant, tensor
from .indexing import take
from .shape import axis_of, expand_dims, getitem, reshape, same_elements


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
    if not isinstance(xs, (list, tuple, Tensor)):
        raise TypeError(f"[concatenate] needs a list of tensors. Received: xs of type {type(xs).__name__}.")
    xs, axis = [tensor(x) for x in xs], one_axis("concatenate", axis)
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
    if not isinstance(x, (list, tuple, Tensor)):
        raise TypeError(f"[stack] needs a list of tensors. Received: x of type {type(x).__name__}.")
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
    axis = axis_of("split", axis, x.ndim)
    n = x.shape[axis]
    if n is None:
        raise ValueError(f"[split] cannot cut an axis of unknown size. Received: axis={axis}, x.shape={x.shape}.")
    if hasattr(indices_or_sections, "__index__") and not getattr(indices_or_sections, "ndim", 0):
        indices_or_sections = integer("split", "indices_or_sections", indices_or_sections)
        if indices_or_sections < 1 or n % indices_or_sections:
            raise ValueError(
                "[split] the axis does not divide into equal pieces. "
                f"Received: indices_or_sections={indices_or_sections}, axis={axis} of size {n}."
            )
        cuts = range(0, n + 1, n // indices_or_sections) if n else [0] * (indices_or_sections + 1)
    else:
        cuts = [0, *[slice(i).indices(n)[1] for i in integers("split", "indices_or_sections", indices_or_sections)], n]
    before = (slice(None),) * axis
    return [getitem(x, (*before, slice(a, b))) for a, b in zip(cuts[:-1], cuts[1:])]


def pad(x, pad_width, mode="constant", constant_values=None):
    """x with a border of one value.

    Args:
        x: tensor.
        pad_width: elements to add: (before, after) for every axis, one pair for all, or one integer for both.
        mode: `"constant"`, the only one so far.
        constant_values: the value of the border, 0 by default.

    Raises:
        ValueError: for another mode, negative widths, or a wrong number of pairs.

    Example:
        >>> import lamina as lm
        >>> lm.ops.pad([1, 2], (1, 2)).numpy()
        array([0, 1, 2, 0, 0], dtype=int32)
    """
    choice("pad", "mode", mode, ("constant",))
    x = tensor(x)
    pairs = _pairs(pad_width)
    pairs *= x.ndim if len(pairs) == 1 else 1
    before, after = tuple([p[0] for p in pairs]), tuple([p[1] for p in pairs])
    core = _core.pad(x._core, before, after, number("pad", "constant_values", constant_values or 0))

    def grad(dy, shape=x.shape):
        return getitem(dy, tuple([slice(b, b + n) for b, n in zip(before, shape)]))

    return record("pad", core, (x,), grad)


def _pairs(pad_width):
    """pad_width as a list of (before, after)."""
    try:
        flat = integers("pad", "pad_width", pad_width)
        pairs = [flat * 2 if len(flat) == 1 else flat]
    except TypeError:
        if not isinstance(pad_width, (list, tuple)) and not getattr(pad_width, "ndim", 0):
            raise
        pairs = [integers("pad", "pad_width", p) for p in pad_width]
    if any(len(p) != 2 for p in pairs):
        raise ValueError(
            "[pad] pad_width must be an integer, one pair, or a pair for every axis. "
            f"Received: pad_width={pad_width!r}."
        )
    return pairs


def flip(x, axis=None):
    """The elements in reverse order along some axes (all by default), as a view.

    Example:
        >>> import lamina as lm
        >>> lm.ops.flip([1, 2, 3]).numpy()
        array([3, 2, 1], dtype=int32)
    """
    x = tensor(x)
    axes = range(x.ndim) if axis is None else integers("flip", "axis", axis)
    chosen = [axis_of("flip", a, x.ndim) for a in axes]
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
    counts = list(integers("tile", "repeats", repeats))
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
    axis, n = axis_of("repeat", axis, x.ndim), x.shape[axis]
    counts = integers("repeat", "repeats", repeats)
    if len(counts) == 1 and counts[0] >= 0:
        return _copies(x, axis, axis + 1, counts[0])
    if len(counts) != n or min(counts, default=0) < 0 or sum(counts) >= 2**31:
        raise ValueError(
            "[repeat] needs one count >= 0 for each element of the axis, fewer than 2^31 in all. "
            f"Received: repeats={repeats!r}, axis={axis}, x.shape={x.shape}."
        )
    import numpy as np

    positions = np.repeat(np.arange(n), counts)
    return take(x, constant(positions), axis)


def _copies(x, axis, at, count):
    """x repeated along a new axis at `at`, which is then merged with the axis beside it."""
    shape = list(x.shape)
    wide = expand_dims(x, at)
    wide = broadcast_to(wide, (*shape[:at], count, *shape[at:]))
    shape[axis] = None if shape[axis] is None else shape[axis] * count
    return same_elements("reshape", wide, shape)
