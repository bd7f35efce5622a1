"""KeyValueCache: what attention has seen so far, for decoding step by step."""

from __future__ import annotations

from .. import _core
from ..autograd import no_grad
from ..ops.shape import transpose, zeros
from ..tensor import Tensor, Variable
from ..thread_state import init_scope
from .arguments import positive


class KeyValueCache:
    """Keys and values of up to `capacity` places, to which attention layers append.

    One cache belongs to one attention layer and one batch. Its memory is made at the first `append` and written in
    place; how much of it counts is a tensor, so a captured step goes on from place to place without being captured
    again. Gradients do not pass through it.

    Args:
        capacity: int, places it can hold.

    Attributes:
        length: int64 Variable, places held.

    Raises:
        ValueError: for a capacity that is not positive; from `append`, where more would be held.

    Example:
        >>> import lamina as lm
        >>> layer, cache = lm.layers.MultiHeadAttention(2, 4), lm.layers.KeyValueCache(16)
        >>> x = lm.ops.ones((1, 3, 8))
        >>> layer(x, x, cache=cache).shape  # a prompt of three places
        (1, 3, 8)
        >>> layer(x[:, :1], x[:, :1], cache=cache).shape, int(cache.length)  # and one more
        ((1, 1, 8), 4)
    """

    def __init__(self, capacity):
        self.capacity = positive("KeyValueCache", "capacity", capacity)
        self.key = self.value = None
        self.length = Variable(0, dtype="int64", trainable=False, name="length")

    def append(self, key, value):
        """Adds places.

        Args:
            key: `[batch, places, heads, size]`.
            value: `[batch, places, heads, value_size]`.

        Returns:
            (all keys `[batch, capacity, heads, size]`, all values, the place of the first one added, a tensor): what
            `dot_product_attention` takes as key, value and `first`, with `is_causal=True`.
        """
        with no_grad():
            if self.key is None:
                with init_scope():
                    self.key, self.value = (self._room(x) for x in (key, value))
            first = Tensor(_core.copy(self.length._core))
            for room, x in ((self.key, key), (self.value, value)):
                _core.slice_assign(room._core, transpose(x, (0, 2, 1, 3))._core, 2, first._core)
            self.length.assign(first + key.shape[1])
        return transpose(self.key, (0, 2, 1, 3)), transpose(self.value, (0, 2, 1, 3)), first

    def reset(self):
        """Forgets all places."""
        self.length.assign(0)

    def _room(self, x):
        batch, _, heads, size = x.shape
        return Variable(zeros((batch, heads, self.capacity, size), x.dtype), trainable=False, name="cache")
