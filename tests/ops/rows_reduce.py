"""Rows of lamina.ops.reduce, softmax and cross_entropy."""

import numpy as np

from .rows import SIMD_SIZES, Row

AXES = [
    ((3, 5), (), {}),
    ((3, 5), (0,), {}),
    ((3, 5), (-1,), {"keepdims": True}),
    ((2, 17, 3), (1,), {}),
    ((2, 17, 3), ((0, 2),), {}),
    ((2, 3, 4, 5), ((0, 1, 2),), {"keepdims": True}),
    ((4, 1), (1,), {}),
    ((3,), ((),), {}),
]
# Long enough for several blocks and threads.
LONG = [((40000,), (), {}), ((1000, 3), (0,), {}), ((300, 65), (0,), {}), ((70, 9), (1,), {})]
EMPTY = [((0, 3), (0,), {}), ((3, 0), (0,), {})]


def drawn(calls, sizes=True, draw=lambda rng, shape: rng.standard_normal(shape)):
    vectors = [((n,), (), {}) for n in SIMD_SIZES if n] if sizes else []
    return lambda rng: [((draw(rng, shape), *args), kw) for shape, args, kw in [*vectors, *calls]]


def errors(op, empty=False):
    rows = [
        (
            (np.ones((2, 3)), 2),
            {},
            IndexError,
            rf"\[{op}\] axis is out of range; expected -2 <= axis < 2.*axis=2",
        ),
        ((np.ones((2, 3)), -3), {}, IndexError, rf"\[{op}\] axis is out of range"),
    ]
    if empty:
        message = rf"\[{op}\] is not defined over no elements.*\(0, 3\)"
        rows.append(((np.ones((0, 3)), 0), {}, ValueError, message))
    return rows


def twice(op):
    return [((np.ones((2, 3)), (0, -2)), {}, ValueError, rf"\[{op}\] an axis is named twice")]


def spread(rng, shape):
    """Distinct values, so that no two compete for a maximum within a finite difference."""
    n = int(np.prod(shape))
    return (rng.permutation(n).reshape(shape) - n / 2) / 10


def near_one(rng, shape):
    return 1 + 0.1 * rng.standard_normal(shape)


def with_zeros(rng, shape):
    x = rng.random(shape) + 0.5
    x.reshape(-1)[:: 4 if x.size > 6 else 2] = 0
    return x


def logsumexp(x, axis=None, keepdims=False):
    m = x.max(axis, keepdims=True)
    y = np.log(np.exp(x - m).sum(axis, keepdims=True)) + m
    return y if keepdims else y.reshape(np.sum(x, axis).shape)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


ROWS = [
    Row("sum", drawn([*AXES, *EMPTY]), np.sum, errors=errors("sum") + twice("sum")),
    Row("sum", drawn(LONG, False), np.sum, rtol32=1e-6, id="sum_long"),
    Row("mean", drawn(AXES), np.mean, errors=errors("mean") + twice("mean")),
    Row("mean", drawn(LONG, False), np.mean, rtol32=1e-6, id="mean_long"),
    Row("prod", drawn([*AXES, *EMPTY], draw=near_one), np.prod, rtol32=1e-5, errors=errors("prod")),
    Row("prod", drawn(AXES[:6], False, with_zeros), np.prod, id="prod_zeros"),
    Row("max", drawn(AXES, draw=spread), np.max, errors=errors("max", True)),
    Row("max", drawn(LONG, False), np.max, id="max_long"),
    Row("min", drawn(AXES, draw=spread), np.min, errors=errors("min", True)),
    Row("any", drawn([*AXES, *EMPTY], draw=with_zeros), np.any, grad=False, errors=errors("any")),
    Row("all", drawn([*AXES, *EMPTY], draw=with_zeros), np.all, grad=False, errors=errors("all")),
    Row(
        "count_nonzero",
        lambda rng: [((with_zeros(rng, (3, 4, 5)), *a), {}) for a in ((), (0,), ((0, 2),), (-1,))],
        lambda x, axis=None: (
            np.count_nonzero(x, axis).astype("int32") if axis is not None else np.int32((x != 0).sum())
        ),
        grad=False,
        errors=errors("count_nonzero"),
    ),
    Row("argmax", drawn([*AXES[:4], *LONG]), np.argmax, grad=False, errors=errors("argmax", True)),
    Row("argmin", drawn([*AXES[:4], *LONG]), np.argmin, grad=False, errors=errors("argmin", True)),
    Row("var", drawn(AXES[:6], False), np.var, errors=errors("var")),
    Row("std", drawn(AXES[:6], False), np.std, rtol32=4e-6, errors=errors("std")),
    Row("logsumexp", drawn(AXES[:6]), logsumexp, errors=errors("logsumexp")),
    Row(
        "softmax",
        drawn(
            [
                ((3, 5), (), {}),
                ((3, 5), (0,), {}),
                ((2, 17, 3), (1,), {}),
                ((2, 9, 2), (-1,), {}),
                ((0, 3), (), {}),
            ]
        ),
        softmax,
        errors=errors("softmax"),
    ),
    Row(
        "softmax",
        drawn([((2, 3, 4), ((0, 2),), {})], False),
        lambda x, axis: softmax(x, axis),
        id="softmax_axes",
    ),
    Row("softmax", drawn([((130, 1000), (), {}), ((7, 40, 70), (1,), {})], False), softmax, id="softmax_long"),
    Row(
        "log_softmax",
        drawn([((3, 5), (), {}), ((3, 5), (0,), {}), ((2, 17, 3), (1,), {})]),
        lambda x, axis=-1: np.log(softmax(x, axis)),
        errors=errors("log_softmax"),
    ),
]


def sparse(target, output, from_logits=False, axis=-1, ignore_class=None):
    x = np.moveaxis(output, axis, -1)
    t = np.asarray(target).astype(int).reshape(x.shape[:-1])
    p = softmax(x) if from_logits else np.clip(x / x.sum(-1, keepdims=True), 1e-7, 1 - 1e-7)
    ignored = t == ignore_class
    t = np.where(ignored, 0, t)
    loss = -np.log(np.take_along_axis(p, t[..., None], -1)[..., 0])
    return np.where(ignored, 0, loss)


def categorical(target, output, from_logits=False, axis=-1):
    p = softmax(output, axis) if from_logits else output / output.sum(axis, keepdims=True)
    return -(target * np.log(p if from_logits else np.clip(p, 1e-7, 1 - 1e-7))).sum(axis)


def binary(target, output, from_logits=False):
    p = 1 / (1 + np.exp(-output)) if from_logits else np.clip(output, 1e-7, 1 - 1e-7)
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


def labelled(rng):
    draws = [((rng.integers(0, n, 4), rng.standard_normal((4, n)) * 2), {"from_logits": True}) for n in SIMD_SIZES if n]
    draws += [((rng.integers(0, n, 4), rng.random((4, n)) + 0.1), {}) for n in (2, 3, 17, 33)]
    draws += [
        ((rng.integers(0, 3, (4, 1)), rng.standard_normal((4, 3))), {"from_logits": True}),
        ((rng.integers(0, 3, 4).astype("float32"), rng.random((4, 3)) + 0.1), {}),
        ((rng.integers(0, 3, (2, 5)), rng.standard_normal((2, 3, 5))), {"from_logits": True, "axis": 1}),
        (
            (np.array([0, 255, 2], "uint8"), rng.standard_normal((3, 3))),
            {"from_logits": True, "ignore_class": 255},
        ),
        ((np.array([0, -1, 2]), rng.random((3, 3)) + 0.1), {"ignore_class": -1}),
        ((np.zeros(0, int), rng.random((0, 3))), {}),
    ]
    return draws


def weighted(rng):
    draws = [
        ((rng.random((4, n)), rng.standard_normal((4, n)) * 2), {"from_logits": True}) for n in (1, 2, 5, 16, 17, 33)
    ]
    draws += [((rng.random((4, n)), rng.random((4, n)) + 0.1), {}) for n in (2, 5, 17)]
    return [*draws, ((rng.random((2, 3, 5)), rng.random((2, 3, 5)) + 0.1), {"axis": 1})]


def bernoulli(rng):
    draws = [((rng.random(n), rng.standard_normal(n) * 3), {"from_logits": True}) for n in SIMD_SIZES]
    return draws + [((rng.random((3, 5)), rng.random((3, 5)) * 0.8 + 0.1), {})]


def label_error(value, text):
    args = (np.array([1, value]), np.ones((2, 10)))
    return (
        args,
        {},
        ValueError,
        rf"\[sparse_categorical_crossentropy\] {text}.*value={value}.* at element 1",
    )


ROWS += [
    Row(
        "sparse_categorical_crossentropy",
        labelled,
        sparse,
        rtol32=4e-6,
        errors=[
            label_error(10, "label is out of range; expected 0 <= label < 10"),
            label_error(-1, "label is out of range; expected 0 <= label < 10"),
            label_error(2.5, "label is not a whole number"),
            (
                (np.zeros((2, 10)), np.ones((2, 10))),
                {},
                ValueError,
                r"target must have the shape of output without its class axis.*\(2, 10\).*categorical_cross",
            ),
        ],
    ),
    Row(
        "categorical_crossentropy",
        weighted,
        categorical,
        rtol32=4e-6,
        errors=[
            (
                (np.zeros(2), np.ones((2, 10))),
                {},
                ValueError,
                r"\[categorical_crossentropy\] target and output must have the same shape.*\(2,\).*\(2, 10\)",
            )
        ],
    ),
    Row(
        "binary_crossentropy",
        bernoulli,
        binary,
        rtol32=4e-6,
        errors=[
            (
                (np.zeros(2), np.ones(3)),
                {},
                ValueError,
                r"\[binary_crossentropy\] target and output must.*\(2,\).*\(3,\)",
            )
        ],
    ),
]
