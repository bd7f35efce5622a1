"""Rows of lamina.ops.sorting and cumulative, against NumPy."""

import numpy as np

from .rows import SIMD_SIZES, Row
from .rows_reduce import drawn, near_one, spread, with_zeros

CALLS = [
    ((3, 5), (), {}),
    ((3, 5), (0,), {}),
    ((2, 17, 3), (1,), {}),
    ((2, 3, 4), (None,), {}),
    ((0, 3), (), {}),
    ((3, 0), (1,), {}),
    ((40, 70), (), {}),
]
LONG = [((3000,), (), {}), ((1000, 3), (0,), {}), ((100, 900), (), {})]
ONES = np.ones((2, 3))


def argsort(x, axis=-1):
    return np.argsort(x, axis, kind="stable").astype("int32")


def rounded(rng, shape):
    """Few distinct values, so many ties."""
    return np.round(rng.standard_normal(shape))


def top_k(x, k, sorted=True):
    order = np.argsort(-x, -1, kind="stable")[..., :k].astype("int32")
    return np.take_along_axis(x, order, -1), order


def tops(rng):
    shapes = [((n,), n // 2) for n in SIMD_SIZES] + [((3, 5), 5), ((3, 5), 0), ((2, 3, 17), 2), ((0, 3), 1)]
    shapes += [((4, 1000), 3), ((4, 1000), 900), ((70, 40), 1)]
    return [((spread(rng, shape), k), {}) for shape, k in shapes] + [((spread(rng, (3, 5)), 2), {"sorted": False})]


def in_top_k(targets, predictions, k):
    known = (targets >= 0) & (targets < predictions.shape[1])
    own = predictions[np.arange(len(targets)), np.where(known, targets, 0)]
    return known & ((predictions > own[:, None]).sum(1) < k) & np.isfinite(predictions).all(1)


def ranked(rng):
    draws = [((rng.integers(-1, 6, 30), rng.integers(0, 4, (30, 5)).astype("float32"), k), {}) for k in range(7)]
    odd = np.array([[1.0, np.nan, 2.0], [np.inf, 0.0, 1.0], [1.0, 2.0, 3.0]], "float32")
    return [*draws, ((np.array([2, 1, 2]), odd, 1), {}), ((np.zeros(0, int), np.zeros((0, 3), "float32"), 1), {})]


def places(rng):
    odd = np.array([-np.inf, -1.0, 0.0, 0.0, 2.0, np.inf, np.nan, np.nan])
    draws = [
        ((np.sort(rounded(rng, n)), rounded(rng, (3, 7))), {"side": s}) for n in (0, 1, 17) for s in ("left", "right")
    ]
    draws += [((odd, odd), {}), ((odd, odd[::-1].copy()), {"side": "right"})]
    draws += [((np.array([1, 3, 5]), np.array([[0, 3], [4, 9]])), {}), ((np.arange(4), np.array([0.5, 3.0])), {})]
    return [*draws, ((np.sort(rng.standard_normal(5000)), rng.standard_normal(20000)), {})]


def cumulative(f):
    return lambda x, axis=None, dtype=None: f(x if dtype is None else x.astype(dtype), axis, dtype)


RUNNING = [
    ((3, 5), (0,), {}),
    ((3, 5), (-1,), {}),
    ((3, 5), (), {}),
    ((2, 17, 3), (1,), {}),
    ((2, 3, 70), (1,), {}),
    ((0, 3), (1,), {}),
    ((3, 0), (1,), {}),
]


def counted(x, weights=None, minlength=0):
    x, length = np.asarray(x), max(int(x.max()) + 1 if x.size else 0, minlength)
    rows = x if x.ndim == 2 else x[None]
    w = [None] * len(rows) if weights is None else weights.reshape(rows.shape)
    y = [np.bincount(r, v, length) for r, v in zip(rows, w)]
    return np.array(y).reshape(*x.shape[:-1], length).astype("int32" if weights is None else "float64")


def counts(rng):
    draws = [((rng.integers(0, 9, n),), {"minlength": m}) for n, m in ((0, 0), (0, 4), (1, 0), (33, 0), (5000, 20))]
    draws += [((rng.integers(0, 9, (3, 7)),), {}), ((np.array([3, 1], "uint8"),), {})]
    draws += [((rng.integers(0, 9, (3, 7)), rng.standard_normal((3, 7))), {})]
    return [*draws, ((rng.integers(0, 9, 17), rng.standard_normal(17)), {"minlength": 12})]


def axis_error(op):
    return ((ONES, 2), {}, IndexError, rf"\[{op}\] axis is out of range.*axis=2")


axis_error_of_diff = ((ONES, 1, 2), {}, IndexError, r"\[diff\] axis is out of range.*axis=2")


ROWS = [
    Row("sort", drawn(CALLS, draw=spread), np.sort, errors=[axis_error("sort")]),
    Row("sort", drawn(LONG, False), np.sort, id="sort_long"),
    Row("argsort", drawn([*CALLS, *LONG], draw=rounded), argsort, grad=False, errors=[axis_error("argsort")]),
    Row(
        "argpartition",
        drawn([((3, 5), (1,), {}), ((3, 5), ([0, -1], 0), {}), ((2, 3, 4), (7, None), {})], False, draw=rounded),
        lambda x, kth, axis=-1: argsort(x, axis),
        grad=False,
        errors=[
            ((ONES, 3), {}, ValueError, r"\[argpartition\] kth must be from -3 to 2.*kth=3, x.shape=\(2, 3\)"),
            ((ONES, 0, 2), {}, IndexError, r"\[argpartition\] axis is out of range.*axis=2"),
            ((ONES, 0.5), {}, TypeError, r"\[argpartition\] kth must be an integer.*0.5"),
        ],
    ),
    Row(
        "top_k",
        tops,
        top_k,
        errors=[
            ((ONES, 4), {}, ValueError, r"\[top_k\] k must be from 0 to the size.*k=4, x.shape=\(2, 3\)"),
            ((ONES, -1), {}, ValueError, r"\[top_k\] k must be from 0.*k=-1"),
            ((ONES, 1.0), {}, TypeError, r"\[top_k\] k must be an integer.*1.0"),
            ((np.float32(1), 1), {}, ValueError, r"\[top_k\] needs at least one axis"),
        ],
    ),
    Row(
        "in_top_k",
        ranked,
        in_top_k,
        grad=False,
        errors=[
            ((np.zeros(3, int), ONES, 1), {}, ValueError, r"\[in_top_k\] expects targets.*targets.shape=\(3,\)"),
            ((np.zeros(2), ONES, 1), {}, TypeError, r"\[in_top_k\] targets must be integers.*float64"),
        ],
    ),
    Row(
        "searchsorted",
        places,
        lambda s, v, side="left": np.searchsorted(s, v, side).astype("int32"),
        grad=False,
        errors=[
            ((ONES, 1.0), {}, ValueError, r"\[searchsorted\] the sorted sequence must have one axis.*\(2, 3\)"),
            ((np.ones(2), 1.0), {"side": "middle"}, ValueError, r"\[searchsorted\] side must be .left. or .right."),
        ],
    ),
    Row(
        "digitize",
        lambda rng: [((rounded(rng, (3, 7)), np.array([-1.0, 0.0, 0.5])), {}), ((np.arange(5), np.array([1, 3])), {})],
        lambda x, bins: np.digitize(x, bins).astype("int32"),
        grad=False,
    ),
    Row("cumsum", drawn(RUNNING), np.cumsum, errors=[axis_error("cumsum")]),
    Row("cumsum", drawn([((30000,), (), {}), ((200, 300), (0,), {})], False), np.cumsum, id="cumsum_long"),
    Row(
        "cumsum",
        lambda rng: [
            ((rng.integers(-5, 5, (3, 4)).astype("int32"), 1), {}),
            ((np.array([True, True, False]),), {}),
            ((np.array([1.5, 2.5], "float32"),), {"dtype": "int32"}),
        ],
        lambda x, axis=None, dtype="int32": np.cumsum(x.astype(dtype), axis, dtype),
        grad=False,
        id="cumsum_integers",
    ),
    Row(
        "diff",
        drawn([((3, 5), (), {}), ((3, 5), (2, 0), {}), ((2, 3, 4), (9, 1), {}), ((3, 0), (), {}), ((3,), (0,), {})]),
        np.diff,
        errors=[
            axis_error_of_diff,
            ((ONES, -1), {}, ValueError, r"\[diff\] n must not be negative.*n=-1"),
            ((np.float32(1),), {}, ValueError, r"\[diff\] needs at least one axis.*a.shape=\(\)"),
            ((ONES, 0.5), {}, TypeError, r"\[diff\] n must be an integer.*0.5"),
        ],
    ),
    Row(
        "diff",
        lambda rng: [((rng.integers(0, 9, (3, 7)).astype("int32"),), {}), ((rng.random(9) < 0.5,), {})],
        np.diff,
        grad=False,
        id="diff_of_integers",
    ),
    Row("cumprod", drawn(RUNNING, draw=near_one), np.cumprod, rtol32=4e-6, errors=[axis_error("cumprod")]),
    Row("cumprod", drawn(RUNNING[:4], False, with_zeros), np.cumprod, id="cumprod_zeros"),
    Row(
        "bincount",
        counts,
        counted,
        errors=[
            ((np.array([1, -1]),), {}, ValueError, r"\[bincount\] value is out of range.*value=-1 at element 1"),
            ((ONES,), {}, TypeError, r"\[bincount\] x must hold integers.*float64"),
            ((np.array([1, 2]), np.ones(3)), {}, ValueError, r"\[bincount\] weights must have x's shape.*\(3,\)"),
            ((np.array([1]),), {"minlength": -1}, ValueError, r"\[bincount\] minlength must not be negative"),
            ((np.array([1]),), {"sparse": True}, ValueError, r"\[bincount\] expects sparse=False"),
        ],
    ),
]
