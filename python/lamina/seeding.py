"""Where seeds come from when the caller gives none."""

import threading

import numpy as np

_lock = threading.Lock()
_default: int | None = None
_drawn = 0


def set_default_seed(seed: int) -> None:
    """Makes every later `next_seed` a function of `seed` and of how many were drawn since.

    Args:
        seed: Any integer; its low 64 bits count.

    Example:
        >>> from lamina import seeding
        >>> seeding.set_default_seed(7); first = seeding.next_seed()
        >>> seeding.set_default_seed(7); first == seeding.next_seed()
        True
    """
    global _default, _drawn
    with _lock:
        _default, _drawn = int(seed) & 0xFFFF_FFFF_FFFF_FFFF, 0


def next_seed() -> int:
    """Returns the next 64-bit seed of the default seed, which the system draws when none was set."""
    global _default, _drawn
    with _lock:
        if _default is None:
            _default = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        words = [_default & 0xFFFF_FFFF, _default >> 32, _drawn]
        _drawn += 1
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])
