"""Rows of lamina.ops.normalization and layer_norm, against the formulas."""

import numpy as np

from .rows import SIMD_SIZES, Row

SHAPES = [
    ((4, 3), -1),
    ((2, 3, 5), -1),
    ((5, 16), -1),
    ((130, 17), 1),
    ((2, 3, 4, 5), 1),
    ((6, 65), -1),
    ((257, 2), -1),
]


def per_channel(x, axis):
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    return others, [n if i == axis % x.ndim else 1 for i, n in enumerate(x.shape)]


def normalized(x, mean, variance, axis=-1, offset=None, scale=None, epsilon=1e-3):
    _, shape = per_channel(x, axis)
    y = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + epsilon)
    y = y if scale is None else y * scale.reshape(shape)
    return y if offset is None else y + offset.reshape(shape)


def by_batch(x, _mean, _variance, gamma=None, beta=None, axis=-1, epsilon=1e-3):
    others, _ = per_channel(x, axis)
    return normalized(x, x.mean(others), x.var(others), axis, beta, gamma, epsilon)


def given(rng):
    samples = []
    for shape, axis in [*SHAPES, ((0, 3), -1)]:
        x, (mean, offset, scale) = rng.standard_normal(shape), rng.standard_normal((3, shape[axis]))
        samples.append(((x, mean, rng.random(shape[axis]) + 0.5, axis, offset, scale), {}))
    samples.append(((*samples[0][0][:4],), {"epsilon": 0.1}))
    return samples


def training(rng):
    samples = []
    for shape, axis in SHAPES:
        gamma, beta = rng.standard_normal((2, shape[axis]))
        samples.append(((rng.standard_normal(shape), None, None, gamma, beta), {"axis": axis}))
    samples.append(((rng.standard_normal((5, 3)), None, None), {"epsilon": 0.1}))
    samples.append(((rng.standard_normal((5, 3)), None, None, rng.standard_normal(3)), {}))
    return samples


def rows_of(x, axis):
    axes = tuple(sorted(a % x.ndim for a in np.atleast_1d(axis)))
    return axes, [n if i in axes else 1 for i, n in enumerate(x.shape)]


def layer(x, gamma=None, beta=None, axis=-1, epsilon=1e-7):
    axes, shape = rows_of(x, axis)
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def rms(x, scale=None, axis=-1, epsilon=1e-7):
    axes, shape = rows_of(x, axis)
    y = x / np.sqrt(np.square(x).mean(axes, keepdims=True) + epsilon)
    return y if scale is None else y * scale.reshape(shape)


def weighed(count):
    """Samples with `count` weights: rows around the vector widths, four rows and fewer, several axes."""

    def samples(rng):
        drawn = []
        shapes = [((rows, n), -1) for rows, n in zip((5, 4, 1, 6, 3) * 3, SIMD_SIZES[2:])]
        shapes += [((2, 3, 5), 1), ((2, 3, 5), (-1, 0)), ((2, 3, 4), (1, 2)), ((3, 4), (0, 1)), ((0, 3), -1)]
        shapes += [((129, 257), -1), ((5, 9000), -1), ((3, 40000), -1)]
        for shape, axis in shapes:
            x = rng.standard_normal(shape)
            along = [shape[i] for i in rows_of(x, axis)[0]]
            drawn.append(((x, *rng.standard_normal((count, *along))), {"axis": axis, "epsilon": 1e-2}))
        drawn.append(((rng.standard_normal((5, 7)),), {}))
        drawn.append(((rng.standard_normal((5, 7)), rng.standard_normal(7)), {"epsilon": 0.1}))
        return drawn

    return samples


def grouped(x, groups, gamma=None, beta=None, axis=-1, epsilon=1e-3):
    v = np.moveaxis(x, axis, -1)
    split = v.reshape(len(v), int(np.prod(v.shape[1:-1])), groups, -1 if v.size else v.shape[-1] // groups)
    y = layer(split, axis=(1, 3), epsilon=epsilon).reshape(v.shape)
    y = y if gamma is None else y * gamma
    return np.moveaxis(y if beta is None else y + beta, -1, axis)


def in_groups(rng):
    shapes = [
        ((3, 6), 2, -1),
        ((2, 5, 6), 3, -1),
        ((2, 3, 4, 8), 1, -1),
        ((2, 3, 4, 5), 5, 3),
        ((2, 6, 5), 2, 1),
        ((2, 6, 3, 3), 6, -3),
        ((2, 300, 70), 7, -1),
        ((40, 9, 130), 2, -1),
        ((0, 4, 2), 2, -1),
    ]
    drawn = []
    for shape, groups, axis in shapes:
        gamma, beta = rng.standard_normal((2, shape[axis]))
        drawn.append(((rng.standard_normal(shape), groups, gamma, beta), {"axis": axis}))
    drawn.append(((rng.standard_normal((2, 5, 6)), 3), {"epsilon": 0.1}))
    drawn.append(((rng.standard_normal((2, 5, 6)), 3, rng.standard_normal(6)), {}))
    return drawn


def by_norm(x, axis=-1, order=2, epsilon=1e-7):
    axis = tuple(axis) if isinstance(axis, list) else axis
    return x / np.maximum((np.abs(x) ** order).sum(axis, keepdims=True) ** (1 / order), epsilon)


def lines(rng):
    calls = [
        ((3, 5), {}),
        ((3, 5), {"axis": 0}),
        ((2, 3, 4), {"axis": (0, 2)}),
        ((2, 3), {"axis": None}),
        ((2, 5), {"order": 1}),
        ((2, 5), {"order": 3}),
        ((2, 5), {"epsilon": 10.0}),
        ((0, 3), {}),
    ]
    return [((rng.standard_normal(shape),), kwargs) for shape, kwargs in calls]


TWO = np.zeros((4, 2))

ROWS = [
    Row(
        "batch_normalization",
        given,
        normalized,
        errors=[
            (
                (TWO, np.zeros(3), np.ones(2), -1),
                {},
                ValueError,
                r"\[batch_norm\] moving_mean must hold.*shape \(2,\)",
            ),
            ((TWO, np.zeros(2), np.ones(2), 2), {}, IndexError, r"\[batch_norm\].*axis=2"),
        ],
    ),
    Row(
        "batch_norm",
        training,
        by_batch,
        rtol32=5e-6,
        errors=[
            (
                (TWO, None, None, np.zeros(3)),
                {},
                ValueError,
                r"\[batch_norm\] gamma must hold.*gamma.shape=\(3,\)",
            )
        ],
    ),
    Row(
        "layer_normalization",
        weighed(2),
        layer,
        rtol32=4e-6,
        errors=[
            (
                (TWO, np.zeros(3)),
                {},
                ValueError,
                r"\[layer_normalization\] gamma must hold one float64.*shape \(2,\).*gamma.shape=\(3,\)",
            ),
            ((TWO, None, np.zeros((1, 2))), {}, ValueError, r"beta must hold.*beta.shape=\(1, 2\)"),
            ((TWO,), {"axis": 2}, IndexError, r"\[layer_normalization\] axis is out of range.*axis=2"),
            ((TWO,), {"axis": (1, -1)}, ValueError, r"\[layer_normalization\] an axis is named twice.*\(1, 1\)"),
            ((TWO,), {"axis": ()}, ValueError, r"\[layer_normalization\] needs at least one axis"),
            ((TWO,), {"axis": 1.0}, TypeError, r"\[layer_normalization\] axis must be an integer.*1.0"),
            ((TWO,), {"epsilon": "x"}, TypeError, r"\[layer_normalization\] epsilon must be a number"),
        ],
    ),
    Row(
        "rms_normalization",
        weighed(1),
        rms,
        rtol32=4e-6,
        errors=[
            ((TWO, np.zeros(3)), {}, ValueError, r"\[rms_normalization\] scale must hold.*scale.shape=\(3,\)"),
            ((TWO,), {"axis": -3}, IndexError, r"\[rms_normalization\] axis is out of range.*axis=-3"),
        ],
    ),
    Row(
        "group_norm",
        in_groups,
        grouped,
        rtol32=4e-6,
        errors=[
            ((np.zeros((2, 6)), 4), {}, ValueError, r"\[group_norm\] the number of groups must divide.*groups=4"),
            ((np.zeros((2, 6)), 0), {}, ValueError, r"\[group_norm\] the number of groups must divide.*groups=0"),
            ((np.zeros((2, 6)), 2), {"axis": 0}, ValueError, r"\[group_norm\] axis 0 holds the samples"),
            ((np.zeros((2, 6)), 2, np.zeros(5)), {}, ValueError, r"\[group_norm\] gamma must.*gamma.shape=\(5,\)"),
        ],
    ),
    Row(
        "normalize",
        lines,
        by_norm,
        rtol32=4e-6,
        errors=[
            ((TWO,), {"order": 0}, ValueError, r"\[normalize\] order must be at least 1.*order=0"),
            ((TWO,), {"axis": 2}, IndexError, r"axis is out of range"),
        ],
    ),
    Row(
        "moments",
        lambda rng: [
            ((rng.standard_normal((3, 5)), 1), {}),
            ((rng.standard_normal((2, 3, 4)), (0, 2)), {"keepdims": True}),
        ],
        lambda x, axes, keepdims=False: (x.mean(axes, keepdims=keepdims), x.var(axes, keepdims=keepdims)),
        errors=[((TWO, 0), {"synchronized": True}, ValueError, r"\[moments\] expects synchronized=False")],
    ),
]
