"""What convolutions and pools over 1, 2 and 3 axes share: numbers per axis, layouts, sizes of windows."""

from __future__ import annotations

from .. import _core
from ..tensor import Tensor
from .arguments import choice, integers
from .shape import transpose

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def per_axis(op, name, value, rank):
    """One number for each of `rank` axes, from one for all or a tuple."""
    values = integers(op, name, value)
    if len(values) == 1:
        values *= rank
    if len(values) != rank:
        raise ValueError(f"[{op}] {name} must be an integer or {rank} of them. Received: {name}={value!r}.")
    return values


def channels_first(op, data_format):
    """Whether the second axis holds the channels; None means the last one does."""
    choice(op, "data_format", data_format, (None, "channels_last", "channels_first"))
    return data_format == "channels_first"


def to_last(x, first=True):
    """x with the channels of axis 1 moved last, as a view; x itself where they are last already."""
    return transpose(x, (0, *range(2, x.ndim), 1)) if first else x


def to_first(x, first=True):
    """The way back from `to_last`."""
    return transpose(x, (0, x.ndim - 1, *range(1, x.ndim - 1))) if first else x


def same_padding(size, reach, stride):
    """(before, after) of TensorFlow's "same": output size = size / stride rounded up, the odd element after."""
    if size is None:
        return 0, 0  # symbolic outputs need none
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def symbolic(shape, like, source=None):
    """A symbolic tensor of `like`'s type."""
    return Tensor(_core.symbolic(tuple(shape), like.dtype), source)
