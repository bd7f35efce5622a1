"""Rows of lamina.ops.elementwise, arithmetic and shape."""

import math

import numpy as np

from .rows import Row, pairs, positive, shapes_of

erf = np.vectorize(math.erf, otypes=[float])


def away_from_zero(rng):
    return [((np.sign(x) * (np.abs(x) + 0.1),), k) for (x,), k in shapes_of()(rng)]


def between(low, high):
    return lambda rng: [((rng.random(x.shape) * (high - low) + low,), k) for (x,), k in shapes_of()(rng)]


def stepped(rng):
    """Values away from the integers and halves, where the rounding functions jump."""
    return [((np.floor(x * 4) + rng.random(x.shape) * 0.3 + 0.1,), k) for (x,), k in shapes_of()(rng)]


def gelu(x, approximate=True):
    inside = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)) if approximate else erf(x / np.sqrt(2))
    return 0.5 * x * (1 + inside)


def both_forms(rng):
    return [(x, {"approximate": form}) for form in (True, False) for x, _ in shapes_of()(rng)]


TEXT = [((["a"],), {}, TypeError, r"\[convert_to_tensor\] needs numbers")]


def unary(op, samples, reference, **kw):
    return Row(op, samples, reference, errors=TEXT, **kw)


ROWS = [
    unary("abs", away_from_zero, np.abs),
    unary("ceil", stepped, np.ceil),
    unary("cos", shapes_of(), np.cos),
    unary("elu", away_from_zero, lambda x: np.where(x > 0, x, np.expm1(x))),
    unary("erf", shapes_of(), erf),
    unary("exp", shapes_of(100), np.exp),
    unary("expm1", shapes_of(), np.expm1),
    unary("floor", stepped, np.floor),
    unary("gelu", both_forms, gelu),
    unary("hard_sigmoid", between(-2.5, 2.5), lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    unary("leaky_relu", away_from_zero, lambda x: np.where(x > 0, x, 0.2 * x)),
    unary("log", positive, np.log),
    unary("log1p", positive, np.log1p),
    unary("log_sigmoid", shapes_of(), lambda x: -np.log1p(np.exp(-x))),
    unary("negative", shapes_of(), np.negative),
    unary("reciprocal", positive, np.reciprocal),
    unary("relu", away_from_zero, lambda x: np.maximum(x, 0)),
    unary("relu6", away_from_zero, lambda x: np.clip(x, 0, 6)),
    unary("round", stepped, np.round),
    unary("rsqrt", positive, lambda x: 1 / np.sqrt(x)),
    unary("selu", away_from_zero, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    unary("sigmoid", shapes_of(), lambda x: 1 / (1 + np.exp(-x))),
    unary("sign", away_from_zero, np.sign),
    unary("silu", shapes_of(), lambda x: x / (1 + np.exp(-x))),
    unary("sin", shapes_of(), np.sin),
    unary("softplus", shapes_of(), lambda x: np.logaddexp(x, 0)),
    unary("softsign", away_from_zero, lambda x: x / (1 + np.abs(x))),
    unary("sqrt", positive, np.sqrt),
    unary("square", shapes_of(), np.square),
    unary("tanh", shapes_of(), np.tanh),
    unary("isnan", shapes_of(), np.isnan, grad=False),
    unary("isinf", shapes_of(), np.isinf, grad=False),
    unary("isfinite", shapes_of(), np.isfinite, grad=False),
    unary("logical_not", shapes_of(), np.logical_not, grad=False),
    Row("clip", lambda rng: [((x, -0.51, 0.51), {}) for (x,), _ in shapes_of()(rng)], np.clip),
]

MISMATCH = [
    (
        (np.ones((2, 3)), np.ones((4,))),
        {},
        ValueError,
        r"\[{op}\] shapes do not broadcast.*x1.shape=\(2, 3\), x2.shape=\(4,\)",
    )
]


def binary(op, samples, reference, **kw):
    errors = [(a, k, e, m.replace("{op}", kw.pop("tag", op))) for a, k, e, m in MISMATCH]
    return Row(op, samples, reference, errors=errors, **kw)


ROWS += [
    binary("add", pairs(), np.add),
    binary("subtract", pairs(), np.subtract),
    binary("multiply", pairs(), np.multiply),
    binary("divide", pairs(0.5, 2), np.divide),
    binary("floor_divide", pairs(0.5, 9), np.floor_divide, grad=False),
    binary("mod", pairs(0.5, 9), np.mod),
    binary("power", pairs(0.5, 2), np.power),
    binary("maximum", pairs(), np.maximum),
    binary("minimum", pairs(), np.minimum),
    binary("equal", pairs(), np.equal, grad=False),
    binary("not_equal", pairs(), np.not_equal, grad=False),
    binary("less", pairs(), np.less, grad=False),
    binary("less_equal", pairs(), np.less_equal, grad=False),
    binary("greater", pairs(), np.greater, grad=False),
    binary("greater_equal", pairs(), np.greater_equal, grad=False),
    binary("logical_and", pairs(), np.logical_and, grad=False, tag="multiply"),
    binary("logical_or", pairs(), np.logical_or, grad=False, tag="add"),
    binary("logical_xor", pairs(), np.logical_xor, grad=False, tag="not_equal"),
    Row(
        "where",
        lambda rng: [((rng.random(b.shape) > 0.5, a, b), {}) for (a, b), _ in pairs()(rng)],
        np.where,
        errors=[((True, np.ones(2), np.ones(3)), {}, ValueError, r"\[where\] shapes do not broadcast")],
    ),
    Row(
        "cast",
        lambda rng: [((x, "float32"), {}) for (x,), _ in shapes_of()(rng)],
        lambda x, dtype: x.astype("float32"),
        grad=False,
        errors=[((np.ones(2), "float99"), {}, ValueError, r"\[dtype\] is unknown.*float99")],
    ),
]


def of_shape(*calls):
    """Samples: one (shape, args..., kwargs) per call."""
    return lambda rng: [((rng.standard_normal(shape), *args), kw) for shape, args, kw in calls]


ROWS += [
    Row(
        "reshape",
        of_shape(((2, 6), ((3, 4),), {}), ((2, 6), ((-1,),), {}), ((0, 3), ((3, 0),), {}), ((), ((1, 1),), {})),
        lambda x, s: x.reshape(s),
        errors=[
            ((np.ones((2, 3)), (4,)), {}, ValueError, r"\[reshape\] needs as many elements.*\(2, 3\)"),
            ((np.ones((2, 3)), (-1, -1)), {}, ValueError, r"\[reshape\] only one size can be inferred"),
            ((np.ones((2, 3)), (4, -1)), {}, ValueError, r"\[reshape\] the sizes do not divide"),
        ],
    ),
    Row(
        "transpose",
        of_shape(((2, 3), (), {}), ((2, 3, 4), ((1, 2, 0),), {}), ((), (), {}), ((0, 3), (), {})),
        np.transpose,
        errors=[
            ((np.ones((2, 3)), (0, 0)), {}, ValueError, r"\[transpose\] axes must name every axis once"),
            ((np.ones((2, 3)), (0, 2)), {}, IndexError, r"\[transpose\] axis is out of range"),
        ],
    ),
    Row("swapaxes", of_shape(((2, 3, 4), (0, -1), {})), np.swapaxes),
    Row("moveaxis", of_shape(((2, 3, 4), (0, -1), {}), ((2, 3, 4), (2, 0), {})), np.moveaxis),
    Row("expand_dims", of_shape(((2, 3), (0,), {}), ((2, 3), (-1,), {}), ((), (0,), {})), np.expand_dims),
    Row(
        "squeeze",
        of_shape(((1, 3, 1), (), {}), ((1, 3, 1), (0,), {}), ((1, 3, 1), (-1,), {})),
        np.squeeze,
        errors=[((np.ones((2, 3)), 0), {}, ValueError, r"\[squeeze\] only axes of size 1.*\(2, 3\)")],
    ),
    Row("flatten", of_shape(((2, 3), (), {}), ((), (), {})), lambda x: x.reshape(-1)),
    Row(
        "broadcast_to",
        of_shape(((3, 1), ((2, 3, 4),), {}), ((), ((2,),), {}), ((1,), ((0,),), {})),
        np.broadcast_to,
        errors=[((np.ones((2, 3)), (2, 4)), {}, ValueError, r"\[broadcast_to\] only axes of size 1 can grow")],
    ),
    Row(
        "getitem",
        of_shape(
            ((4, 5), (1,), {}),
            ((4, 5), (-1,), {}),
            ((4, 5), (slice(1, 3),), {}),
            ((4, 5), ((slice(None), 2),), {}),
            ((4, 5), ((slice(None, None, -1), slice(None, None, 2)),), {}),
            ((4, 5), ((Ellipsis, None),), {}),
            ((4, 5), ((None, 0, Ellipsis),), {}),
            ((4, 5), (slice(3, 1),), {}),
            ((2, 3, 4), ((1, Ellipsis, slice(-2, None)),), {}),
        ),
        lambda x, i: x[i],
        errors=[
            ((np.ones((2, 3)), 2), {}, IndexError, r"\[getitem\] index is out of range.*index=2.*size 2"),
            ((np.ones((2, 3)), (0, 0, 0)), {}, IndexError, r"\[getitem\] has too many indices"),
        ],
    ),
    Row("zeros_like", of_shape(((2, 3), (), {})), np.zeros_like, grad=False),
    Row("ones_like", of_shape(((2, 3), (), {})), np.ones_like, grad=False),
    Row("stop_gradient", of_shape(((2, 3), (), {})), lambda x: x, grad=False),
]
