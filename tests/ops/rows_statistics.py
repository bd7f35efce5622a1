"""Rows of lamina.ops.statistics, against NumPy."""

import numpy as np

from .rows import SIMD_SIZES, Row
from .rows_reduce import drawn, spread

ONES = np.ones((2, 3))
CALLS = [((3, 5), (0,)), ((3, 5), (-1,)), ((3, 5), ((0, 1),)), ((2, 17, 3), (1,)), ((4, 2, 3), ((0, 2),))]
FRACTIONS = (0.0, 0.3, 0.5, 1.0, [0.25, 0.5, 0.9], [0.0])
METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def fractions(rng):
    vectors = [((spread(rng, n), q), {}) for n in SIMD_SIZES if n for q in (0.5, [0.1, 0.77])]
    axes = [((spread(rng, s), q, *a), {"keepdims": k}) for s, a in CALLS for q in FRACTIONS[1:5:3] for k in (0, 1)]
    methods = [((spread(rng, (3, 7)), q, 1), {"method": m}) for q in FRACTIONS for m in METHODS]
    return [*vectors, *axes, *methods]


def odd(rng):
    x = rng.standard_normal((6, 5)).astype("float32")
    x[1, 2], x[2, :2], x[3, 0], x[4] = np.nan, np.inf, -np.inf, np.inf
    return [((x, q, 1), {}) for q in (0.0, 0.25, 0.5, 1.0)]


def of_places(x, q, axis):
    """Quantiles that are elements; NumPy's own interpolate between them and infinity."""
    y = np.sort(x, axis)[:, int(q * (x.shape[1] - 1))]
    return np.where(np.isnan(x).any(axis), np.nan, y)


def quantile(x, q, axis=None, method="linear", keepdims=False):
    return np.quantile(x, q, axis, method=method, keepdims=bool(keepdims))


ROWS = [
    Row(
        "median",
        drawn([(s, a, {"keepdims": k}) for s, a in CALLS for k in (False, True)], draw=spread),
        np.median,
        errors=[
            ((ONES, 2), {}, IndexError, r"\[median\] axis is out of range.*axis=2"),
            ((ONES, (0, 0)), {}, ValueError, r"\[median\] an axis is named twice.*\(0, 0\)"),
            ((np.ones((0, 3)), 0), {}, ValueError, r"\[median\] needs a known number of elements.*\(0, 3\)"),
        ],
    ),
    Row(
        "quantile",
        fractions,
        quantile,
        errors=[
            ((ONES, 1.5), {}, ValueError, r"\[quantile\] q must be a number from 0 to 1.*q=1.5"),
            ((ONES, "a"), {}, ValueError, r"\[quantile\] q must be a number.*q='a'"),
            ((ONES, [[0.5]]), {}, ValueError, r"\[quantile\] q must be a number.*q=\[\[0.5\]\]"),
            ((ONES, 0.5), {"method": "mean"}, ValueError, r"\[quantile\] method must be .linear. or.*'mean'"),
        ],
    ),
    Row("quantile", odd, of_places, grad=False, id="quantile_odd"),
]
