"""Random order as a function of (seed, epoch, repetition), and nothing else.

The draws are the raw words of NumPy's Philox, whose stream is fixed across NumPy versions (that of
`Generator.permutation` is not); a permutation is the stable sort order of such draws.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Rows = range | np.ndarray
"""Row numbers of in-memory arrays: a `range` (step 1) where they are contiguous, else an int64 array."""


class Draws:
    """The endless sequence of uniform numbers in [0, 1) that belongs to one (seed, epoch, repetition)."""

    def __init__(self, seed: int, epoch: int = 0, repetition: tuple[int, ...] = ()):
        words = [seed & 0xFFFF_FFFF, seed >> 32 & 0xFFFF_FFFF, epoch, *repetition]
        self._philox = np.random.Philox(np.random.SeedSequence(words))

    def uniform(self, count: int) -> np.ndarray:
        """Returns the next `count` numbers, float64 [count], 53 random bits each."""
        return (self._philox.random_raw(count) >> np.uint64(11)) * 2.0**-53

    def permutation(self, count: int) -> np.ndarray:
        """Returns the numbers 0 .. count-1 in random order, int64 [count], from the next `count` draws."""
        return np.argsort(self.uniform(count), kind="stable")


def indices(rows: Rows) -> np.ndarray:
    """Returns the row numbers as an int64 array."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, range) else rows


def join(parts: list[Rows]) -> Rows:
    """Joins row numbers; ranges that continue each other stay a range."""
    if len(parts) == 1:
        return parts[0]
    joined = parts[0]
    for part in parts[1:]:
        if not (isinstance(joined, range) and isinstance(part, range) and joined.stop == part.start):
            return np.concatenate([indices(part) for part in parts])
        joined = range(joined.start, part.stop)
    return joined


# Buffered shuffle (tf.data): the buffer takes the first `size` elements; then every incoming element replaces
# the one in a random slot, which goes out; at the end what is left goes out in random order. Both functions
# below make the same draws: `size` slots from one draw per incoming element, then one draw per element left.


def shuffle_elements(elements: Iterable[Any], size: int, draws: Draws) -> Iterator[Any]:
    """Buffered shuffle of any elements, one at a time."""
    buffer: list[Any] = []
    for element in elements:
        if len(buffer) < size:
            buffer.append(element)
            continue
        slot = int(draws.uniform(1)[0] * size)
        buffer[slot], element = element, buffer[slot]
        yield element
    for slot in draws.permutation(len(buffer)).tolist():
        yield buffer[slot]


def shuffle_rows(chunks: Iterable[Rows], size: int, draws: Draws) -> Iterator[np.ndarray]:
    """Buffered shuffle of row numbers, a whole chunk at a time."""
    buffer = np.empty(0, np.int64)
    for chunk in chunks:
        incoming = indices(chunk)
        room = size - len(buffer)
        if room > 0:
            buffer, incoming = np.concatenate([buffer, incoming[:room]]), incoming[room:]
        if len(incoming):
            yield _replace(buffer, incoming, (draws.uniform(len(incoming)) * size).astype(np.int64))
    yield buffer[draws.permutation(len(buffer))]


def _replace(buffer: np.ndarray, incoming: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Does `out[t] = buffer[slots[t]]; buffer[slots[t]] = incoming[t]` for t = 0, 1, ... in order.

    What step t finds is what the step before it on the same slot left. Sorted by slot (stable, so by t within
    one), that step is the left neighbour.
    """
    order = np.argsort(slots, kind="stable")
    slot, value = slots[order], incoming[order]
    first = np.concatenate([[True], slot[1:] != slot[:-1]])
    last = np.concatenate([first[1:], [True]])
    out = np.empty_like(incoming)
    out[order] = np.where(first, buffer[slot], np.roll(value, 1))
    buffer[slot[last]] = value[last]
    return out
