"""What a test row is. The rows themselves are in cases.py, one or more per op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

# Sizes around the vector widths (4, 8, 16 lanes) and a few that split over threads.
SIMD_SIZES = (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65)


@dataclass
class Row:
    """One op under test.

    op: name in lamina.ops (a dotted path below it works).
    samples: f(rng) -> list of (args, kwargs); float64 arrays in args are inputs that are also run as float32,
        non-contiguous, recorded and differentiated; everything else is passed through.
    reference: f(*args, **kwargs) on float64 NumPy arrays; array or tuple of arrays.
    grad: whether first derivatives are checked against finite differences; second: second derivatives too.
    rtol32: relative error allowed in float32 against float64, in units of the largest magnitude of the result.
    errors: list of (args, kwargs, exception, regular expression of the message).
    """

    op: str
    samples: Callable
    reference: Callable
    grad: bool = True
    second: bool = True
    rtol32: float = 2e-6
    errors: list = field(default_factory=list)
    id: str = ""

    def __post_init__(self):
        self.id = self.id or self.op


def is_input(x):
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def shapes_of(*sizes):
    """Samples of one argument: vectors of every SIMD size and one matrix, drawn from a standard normal."""

    def samples(rng):
        return [((rng.standard_normal(n),), {}) for n in (*SIMD_SIZES, *sizes)] + [((rng.standard_normal((3, 5)),), {})]

    return samples


def positive(rng):
    """As shapes_of(), in (0.1, 2.1)."""
    return [((rng.random(n) * 2 + 0.1,), {}) for n in SIMD_SIZES] + [((rng.random((3, 5)) + 0.1,), {})]


def pairs(low=-2.0, high=2.0):
    """Samples of two arguments over the broadcasting patterns."""

    def samples(rng):
        shapes = [((n,), (n,)) for n in SIMD_SIZES] + [
            ((3, 5), (5,)),
            ((3, 1), (1, 5)),
            ((), (4,)),
            ((2, 3, 17), (3, 1)),
            ((2, 0), (1,)),
        ]
        draw = lambda s: rng.random(s) * (high - low) + low  # noqa: E731
        return [((draw(a), draw(b)), {}) for a, b in shapes]

    return samples
