"""Rows of lamina.ops.normalization, against the formulas."""

import numpy as np

from .rows import Row

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
]
