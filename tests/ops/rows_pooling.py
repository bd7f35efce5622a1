"""Rows of lamina.ops.pooling, against loops over windows."""

import itertools

import numpy as np

from .rows import Row


def pooled(x, pool, strides=None, padding="valid", *, reduce):
    spatial = x.ndim - 2
    pool = (pool,) * spatial if isinstance(pool, int) else pool
    strides = pool if strides is None else (strides,) * spatial if isinstance(strides, int) else strides
    out, before = [], []
    for n, k, s in zip(x.shape[1:], pool, strides):
        out.append((n - k) // s + 1 if padding == "valid" else -(-n // s))
        before.append(0 if padding == "valid" else max((out[-1] - 1) * s + k - n, 0) // 2)
    y = np.zeros((x.shape[0], *out, x.shape[-1]))
    for at in itertools.product(*map(range, out)):
        starts = [i * s - b for i, s, b in zip(at, strides, before)]
        window = tuple(slice(max(a, 0), a + k) for a, k in zip(starts, pool))
        y[(slice(None), *at)] = reduce(x[(slice(None), *window)], axis=tuple(range(1, 1 + spatial)))
    return y


def samples(rng):
    images = [
        ((2, 4, 6, 16), dict(pool_size=2)),
        ((1, 7, 5, 3), dict(pool_size=2, padding="same")),
        ((2, 7, 8, 17), dict(pool_size=3, strides=2)),
        ((1, 6, 7, 5), dict(pool_size=3, strides=2, padding="same")),
        ((1, 5, 5, 2), dict(pool_size=3, strides=1, padding="same")),
        ((1, 6, 5, 4), dict(pool_size=(1, 2), strides=(2, 3))),
        ((1, 18, 17, 1), dict(pool_size=17, strides=5, padding="same")),
        # Few channels: whole vectors run into later pixels, but not over gaps, rows' ends or the tensor's.
        ((2, 6, 8, 6), dict(pool_size=2)),
        ((2, 5, 7, 6), dict(pool_size=2)),
        ((5, 1, 1, 3), dict(pool_size=1)),
        ((2, 9, 9, 20), dict(pool_size=(2, 3), strides=3)),
        ((2, 9, 9, 3), dict(pool_size=(2, 2), strides=(2, 3))),
        ((2, 9, 4), dict(pool_size=3)),
        ((1, 5, 33), dict(pool_size=2, strides=1, padding="same")),
        ((2, 5, 4, 6, 3), dict(pool_size=2)),
        ((1, 5, 4, 7, 2), dict(pool_size=(3, 2, 4), strides=2, padding="same")),
        ((1, 4, 3, 3, 17), dict(pool_size=3, strides=(1, 2, 3), padding="same")),
        ((0, 4, 4, 4, 2), dict(pool_size=2)),
        ((0, 4, 4, 2), dict(pool_size=2)),
        ((2, 4, 4, 0), dict(pool_size=2)),
    ]
    return [((rng.standard_normal(shape),), kwargs) for shape, kwargs in images]


def reference(reduce):
    return lambda x, pool_size, **kw: pooled(x, pool_size, **kw, reduce=reduce)


ZEROS = np.zeros((1, 2, 3, 1))


def errors(op):
    return [
        ((ZEROS, 3), {}, ValueError, rf"\[{op}\] the pool is larger than the image.*height=2, pool_size=3"),
        ((ZEROS, 0), {}, ValueError, rf"\[{op}\] pool_size must be two positive integers.*\(0, 0\)"),
        ((ZEROS, 2, -1), {}, ValueError, rf"\[{op}\] strides must be two positive integers.*\(-1, -1\)"),
        ((ZEROS, (2, 2, 2)), {}, ValueError, rf"\[{op}\] pool_size must be an integer or 2 of them"),
        ((ZEROS, 2, 2, "full"), {}, ValueError, rf"\[{op}\] padding must be.*padding='full'"),
        ((ZEROS, 2, 2, "same", "NCHW"), {}, ValueError, rf"\[{op}\] data_format must be.*'NCHW'"),
        ((ZEROS[None], 2), {}, ValueError, rf"\[{op}\] the pool is larger than the input.*depth=1, pool_size=2"),
        ((np.zeros(3), 2), {}, ValueError, rf"\[{op}\] needs \(batch, steps, channels\).*\(3,\)"),
    ]


def windows(x, output_size, reduce):
    """Window i of n: floor(i size / n) to ceil((i + 1) size / n)."""
    spatial = x.ndim - 2
    counts = (output_size,) * spatial if isinstance(output_size, int) else output_size
    y = np.zeros((x.shape[0], *counts, x.shape[-1]))
    for at in itertools.product(*map(range, counts)):
        cut = tuple(slice(i * n // c, -(-(i + 1) * n // c)) for i, c, n in zip(at, counts, x.shape[1:]))
        y[(slice(None), *at)] = reduce(x[(slice(None), *cut)], axis=tuple(range(1, 1 + spatial)))
    return y


def adaptive(reduce):
    def reference(x, output_size, data_format=None):
        if data_format == "channels_first":
            return np.moveaxis(windows(np.moveaxis(x, 1, -1), output_size, reduce), -1, 1)
        return windows(x, output_size, reduce)

    return reference


def adaptive_samples(rng):
    cases = [
        ((2, 7, 3), 3, {}),
        ((2, 8, 3), 4, {}),
        ((1, 3, 2), 5, {}),
        ((2, 6, 9, 5), (4, 3), {}),
        ((1, 11, 7, 17), (1, 5), {}),
        ((1, 4, 5, 7), 3, {"data_format": "channels_first"}),
        ((1, 5, 4, 7, 2), (2, 4, 3), {}),
        ((0, 5, 4, 2), 3, {}),
    ]
    return [((rng.standard_normal(shape), n), kwargs) for shape, n, kwargs in cases]


def adaptive_errors(op):
    return [
        ((ZEROS, 0), {}, ValueError, rf"\[{op}\] output_size and the sizes.*output_size=0"),
        ((np.zeros((1, 0, 2)), 2), {}, ValueError, rf"\[{op}\] output_size and the sizes.*\(1, 0, 2\)"),
        ((ZEROS, (2, 2, 2)), {}, ValueError, rf"\[{op}\] output_size must be an integer or 2 of them"),
        ((np.zeros(3), 2), {}, ValueError, rf"\[{op}\] needs inputs of 3 to 5 axes.*\(3,\)"),
    ]


def channels_first(x, pool_size):
    return np.moveaxis(pooled(np.moveaxis(x, 1, -1), pool_size, reduce=np.max), -1, 1)


ROWS = [
    Row("max_pool", samples, reference(np.max), errors=errors("max_pool")),
    Row("adaptive_max_pool", adaptive_samples, adaptive(np.max), errors=adaptive_errors("adaptive_max_pool")),
    Row(
        "adaptive_average_pool",
        adaptive_samples,
        adaptive(np.mean),
        errors=adaptive_errors("adaptive_average_pool"),
    ),
    Row("average_pool", samples, reference(np.mean), errors=errors("average_pool")),
    Row(
        "max_pool",
        lambda rng: [((rng.standard_normal((2, 3, 4, 6)), 2), {"data_format": "channels_first"})],
        lambda x, pool_size, data_format: channels_first(x, pool_size),
        id="max_pool_channels_first",
    ),
]
