"""Where random numbers come from: the global seed, and generators with a state of their own.

A draw is a pure function of (seed, stream, counter, element). Streams are numbered as generators are made, never
by name; the counter is a tensor that moves on with each draw, so replayed steps draw anew and a saved state
resumes.
"""

from __future__ import annotations

import itertools
import os
import threading

import numpy as np

from .tensor import Variable
from .thread_state import init_scope

_lock = threading.Lock()
_seed: int | None = None  # drawn from the system when first needed
_streams = itertools.count(1)  # 0 is the stream of explicit seeds
_DEFAULT_STREAM = 2**32 - 1
_default: SeedGenerator | None = None


def set_random_seed(seed):
    """Makes later draws without a seed of their own a function of `seed` and of what was drawn and built since.

    Args:
        seed: int; its low 64 bits count.

    Raises:
        TypeError: if it is not an integer.

    Example:
        >>> from lamina.ops import random
        >>> from lamina.random_state import set_random_seed
        >>> set_random_seed(1); first = random.uniform((2,)).numpy()
        >>> set_random_seed(1); bool((random.uniform((2,)).numpy() == first).all())
        True
    """
    global _seed, _streams
    words = _state(seed, _DEFAULT_STREAM)
    with _lock:
        _seed, _streams = seed, itertools.count(1)
        if _default is not None:
            _default.state.assign(words)


class SeedGenerator:
    """A source of random numbers with a state of its own, to be kept by a layer.

    Args:
        seed: int, or None for the global seed and a stream of this generator's own.

    Attributes:
        state: Variable, int64 [seed, stream, counter]; each draw adds 1 to the counter.

    Raises:
        TypeError: if seed is neither an integer nor None.

    Example:
        >>> import lamina as lm
        >>> from lamina.random_state import SeedGenerator
        >>> a, b = SeedGenerator(7), SeedGenerator(7)
        >>> float(lm.ops.random.normal((), seed=a)) == float(lm.ops.random.normal((), seed=b))
        True
    """

    def __init__(self, seed=None):
        self.seed = seed
        words = _state(_global_seed(), next(_streams)) if seed is None else _state(seed, 0)
        self.state = Variable(words, trainable=False, name="seed_generator_state")

    def get_config(self):
        """The constructor's arguments."""
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config):
        """The generator that `get_config` described, at its beginning."""
        return cls(**config)


def generator_of(seed):
    """The generator behind a `seed` argument: itself, the global one for None, a fresh one for an integer."""
    global _default
    if isinstance(seed, SeedGenerator):
        return seed
    if seed is not None:
        return SeedGenerator(seed)
    if _default is None:
        words = _state(_global_seed(), _DEFAULT_STREAM)
        with _lock, init_scope():
            if _default is None:
                _default = SeedGenerator(0)
                _default.state.assign(words)
    return _default


def _global_seed():
    global _seed
    with _lock:
        if _seed is None:
            _seed = int.from_bytes(os.urandom(8), "little")
        return _seed


def _state(seed, stream):
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or getattr(seed, "ndim", 0):
        raise TypeError(f"[SeedGenerator] seed must be an integer, a SeedGenerator or None. Received: seed={seed!r}.")
    low = seed.__index__() & 0xFFFF_FFFF_FFFF_FFFF
    return np.array([low - (low >> 63 << 64), stream, 0], np.int64)
