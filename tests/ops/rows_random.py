"""Rows of lamina.ops.random: what is a function of inputs given the seed. Draws are in test_random.py."""

import numpy as np

import lamina as lm

from .rows import SIMD_SIZES, Row


def keep(shape, rate):
    return lm.ops.random.bernoulli(shape, 1 - rate, seed=3).numpy()


def dropped(x, rate, noise_shape=None, seed=None):
    shape = x.shape if noise_shape is None else tuple(n or m for n, m in zip(noise_shape, x.shape))
    return np.where(keep(shape, rate), x / (1 - rate), 0.0)


def dropouts(rng):
    return [((rng.standard_normal(n), 0.25), {"seed": 3}) for n in (*SIMD_SIZES, 200)] + [
        ((rng.standard_normal((4, 5)), 0.0), {"seed": 3}),
        ((rng.standard_normal((4, 5, 3)), 0.5), {"seed": 3, "noise_shape": (None, 1, 3)}),
    ]


ROWS = [
    Row(
        "random.dropout",
        dropouts,
        dropped,
        errors=[((np.ones(3), 1.5), {}, ValueError, r"\[dropout\] rate must be from 0 to 1.*rate=1.5")],
    ),
    Row(
        "random.shuffle",
        lambda rng: [
            ((rng.standard_normal((7, 3)),), {"seed": 3}),
            ((rng.standard_normal((2, 9)), 1), {"seed": 3}),
        ],
        lambda x, axis=0, seed=None: np.take(x, lm.ops.random.permutation(x.shape[axis], 3).numpy(), axis),
    ),
]
