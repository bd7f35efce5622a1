"""One seed for everything that draws."""

from __future__ import annotations


def set_random_seed(seed):
    """Seeds Python's `random`, NumPy, Lamina's generators and the order of training data.

    Args:
        seed: integer of 0 to 2**32 - 1.

    Raises:
        TypeError, ValueError: for anything else.

    Example:
        >>> import lamina as lm
        >>> lm.utils.set_random_seed(7)
        >>> a = lm.layers.Dense(2); _ = a.build((None, 3))
        >>> lm.utils.set_random_seed(7)
        >>> b = lm.layers.Dense(2); _ = b.build((None, 3))
        >>> bool((a.get_weights()[0] == b.get_weights()[0]).all())
        True
    """
    import random

    import numpy as np

    from .. import random_state, seeding

    if isinstance(seed, bool) or not hasattr(seed, "__index__") or getattr(seed, "ndim", 0):
        raise TypeError(f"[set_random_seed] seed is an integer. Received: seed={seed!r}.")
    number = seed.__index__()
    if not 0 <= number < 2**32:
        raise ValueError(f"[set_random_seed] seed is from 0 to 2**32 - 1. Received: seed={seed}.")
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - programs that draw with NumPy's global state are meant
    random_state.set_random_seed(number)
    seeding.set_default_seed(number)
