"""Random sizes: around multiples of the vector widths, small, none, or anything up to 70."""

import math

WIDTHS = (4, 8, 16, 32)
LARGEST = 70


def size(rng, low=1, high=LARGEST):
    kind = rng.random()
    if kind < 0.5:
        width = int(rng.choice(WIDTHS))
        n = width * int(rng.integers(1, LARGEST // width + 1)) + int(rng.integers(-1, 2))
    elif kind < 0.8:
        n = int(rng.integers(1, 7))
    else:
        n = int(rng.integers(0, LARGEST + 1))
    return min(max(n, low), high)


def sizes(rng, rank, most=20_000, empty=0.02, low=1):
    """`rank` sizes whose product is at most `most`; now and then one of them is 0."""
    found = [size(rng, low) for _ in range(rank)]
    while math.prod(found) > most:
        i = max(range(rank), key=found.__getitem__)
        if found[i] <= low:
            break
        found[i] = int(rng.integers(low, found[i]))
    if rank and low < 2 and rng.random() < empty:
        found[int(rng.integers(rank))] = 0
    return tuple(found)


def shape(rng, most=20_000, low=1, ranks=(1, 2, 2, 3, 3, 4)):
    return sizes(rng, int(rng.choice(ranks)), most, low=low)


def chance(rng, p=0.5):
    return bool(rng.random() < p)


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


def some_axes(rng, rank):
    """None, one axis, or several, counted from either end."""
    if chance(rng, 0.2):
        return None
    axes = [int(a) for a in rng.permutation(rank)[: int(rng.integers(1, rank + 1))]]
    axes = [a - rank if chance(rng, 0.3) else a for a in axes]
    return axes[0] if len(axes) == 1 else tuple(axes)
