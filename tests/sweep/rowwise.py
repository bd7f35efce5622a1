"""Reductions, softmax and losses, normalisations, pooling, running sums and sorting."""

import math

import numpy as np

import lamina as lm

from ..ops import rows_normalization as norms
from ..ops import rows_reduce as reduces
from ..ops.rows_pooling import pooled, windows
from ..ops.rows_sorting import argsort
from .check import Case, drawn, rounded
from .sizes import chance, pick, shape, size, sizes, some_axes


def distinct(rng, shape):
    """Multiples of 1/16 in random order: no two compete for a maximum."""
    n = math.prod(shape)
    return (rng.permutation(n).reshape(shape) - n // 2) / 16.0


def near_one(rng, shape):
    return rounded(1 + 0.05 * rng.standard_normal(shape))


def largest(x, k):
    """The k largest of each line, NaN before infinity, and where they are."""
    order = np.lexsort((-np.where(np.isnan(x), 0.0, x), ~np.isnan(x)), axis=-1)[..., :k]
    return np.take_along_axis(x, order, -1), order.astype("int32")


def reduce(rng):
    op = pick(rng, ["sum", "sum", "mean", "prod", "max", "min", "var", "std", "argmax", "argmin", "any", "all"])
    low = 1 if op in ("sum", "prod", "any", "all") else 2
    form = shape(rng, 60_000, low)
    axis, kwargs = some_axes(rng, len(form)), {"keepdims": chance(rng)}
    if op.startswith("arg") and isinstance(axis, tuple):
        axis = axis[0]
    if op in ("any", "all"):
        x = (rng.random(form) < 0.5) * 1.5
    elif op in ("max", "min", "argmax", "argmin"):
        x = distinct(rng, form)
        if "arg" in op and chance(rng):
            x = np.floor(x)  # ties: the first wins
    elif op == "prod":
        x = near_one(rng, form)
    else:
        (x,) = drawn(rng, form, whole=op == "sum" and chance(rng))
    f = getattr(np, op)
    reference = f if not op.startswith("arg") else (lambda x, **kw: f(x, **kw).astype("int32"))
    return Case(
        f"{op} {form}, axis={axis}, {kwargs}",
        lambda x: getattr(lm.ops, op)(x, axis=axis, **kwargs),
        lambda x: reference(x, axis=axis, **kwargs),
        [x],
        terms=x.size,
        linear=op in ("sum", "mean"),
        tolerance=64 + math.sqrt(x.size) * (4 if op == "prod" else 1),
        grad=op not in ("argmax", "argmin", "any", "all"),
    )


def softmax(rng):
    """Softmax, its logarithm and its sum; losses of logits with the labels or probabilities held fixed."""
    op = pick(rng, ["softmax", "log_softmax", "logsumexp", "labels", "labels", "classes", "binary"])
    form = shape(rng, 20_000, 1, (1, 2, 2, 3))
    axis = int(rng.integers(-len(form), len(form)))
    if form[axis] == 0:
        form = tuple(max(n, 1) for n in form)
    logits = rounded(rng.standard_normal(form) * pick(rng, [1, 3, 10]))
    if op == "labels":
        call, reference, kwargs = labels(rng, form, axis)
    elif op in ("classes", "binary"):
        call, reference, kwargs = probabilities(rng, op, form, axis)
    else:
        call, kwargs = getattr(lm.ops, op), {"axis": axis}
        reference = {"softmax": reduces.softmax, "log_softmax": log_softmax, "logsumexp": np.logaddexp.reduce}[op]
    return Case(
        f"{op} {form}, {kwargs}",
        lambda x: call(x, **kwargs),
        lambda x: reference(x, axis),
        [logits],
        tolerance=256 if op == "classes" else 64,
        floor=1e-3 if op == "softmax" else 1.0,  # the logarithm of 1 + a little
    )


def log_softmax(x, axis):
    return x - reduces.logsumexp(x, axis, True)


def labels(rng, form, axis):
    kept = tuple(n for i, n in enumerate(form) if i != axis % len(form))
    target = rng.integers(0, form[axis], kept).astype(pick(rng, ["int32", "int64", "uint8"]))
    kwargs = {"from_logits": True, "axis": axis, "ignore_class": pick(rng, [None, None, 0])}

    def reference(x, axis):
        own = np.take_along_axis(x, np.expand_dims(target, axis).astype(int), axis).squeeze(axis)
        ignored = (target == 0) & (kwargs["ignore_class"] == 0)
        return np.where(ignored, 0.0, reduces.logsumexp(x, axis) - own)

    return lambda x, **kw: lm.ops.sparse_categorical_crossentropy(target, x, **kw), reference, kwargs


def probabilities(rng, op, form, axis):
    target = rounded(rng.random(form))
    held = lambda x: lm.convert_to_tensor(target.astype(x.dtype))  # noqa: E731
    if op == "classes":
        return (
            lambda x, **kw: lm.ops.categorical_crossentropy(held(x), x, **kw),
            lambda x, axis: -(target * log_softmax(x, axis)).sum(axis),
            {"from_logits": True, "axis": axis},
        )
    return (
        lambda x, **kw: lm.ops.binary_crossentropy(held(x), x, **kw),
        lambda x, axis: np.maximum(x, 0) - x * target + np.log1p(np.exp(-np.abs(x))),
        {"from_logits": True},
    )


def norm(rng):
    op = pick(rng, ["batch", "given", "layer", "layer", "rms", "group"])
    form = shape(rng, 40_000, 4, (2, 2, 3, 4))  # fewer values may have hardly any variance
    axis = int(rng.integers(-len(form), len(form)))
    kwargs = {"axis": axis, "epsilon": pick(rng, [1e-2, 0.1, 0.3])}
    if op in ("layer", "rms") and chance(rng, 0.3):
        kwargs["axis"] = tuple(int(a) for a in rng.permutation(len(form))[: int(rng.integers(1, len(form) + 1))])
    along = [form[i] for i in norms.rows_of(np.empty(form), kwargs["axis"])[0]]
    if op == "group":
        axis = int(rng.integers(1, len(form)))
        groups = pick(rng, [g for g in range(1, form[axis] + 1) if form[axis] % g == 0] or [1])
        kwargs["axis"] = axis
    count = int(rng.integers(0, 2 if op == "rms" else 3))
    (x,), weights = (
        drawn(rng, form),
        drawn(rng, *[[form[axis]] if op in ("batch", "given", "group") else along] * count),
    )
    x = x + rounded(pick(rng, [0.0, 0.0, 3.0]))
    x, text, tolerance = rounded(x), f"{op} norm {form}, {count} weights, {kwargs}", 256 + 4 * math.sqrt(x.size)
    if op == "batch":
        return Case(
            text,
            lambda x, *w: lm.ops.batch_norm(x, None, None, *w, **kwargs),
            lambda x, *w: norms.by_batch(x, None, None, *w, **kwargs),
            [x, *weights],
            tolerance=tolerance,
        )
    if op == "given":
        (mean,), variance = drawn(rng, form[axis]), rounded(rng.random(form[axis]) + 0.5)
        kwargs.pop("axis")
        return Case(
            text,
            lambda x, m, v, *w: lm.ops.batch_normalization(x, m, v, axis, *w, **kwargs),
            lambda x, m, v, *w: norms.normalized(x, m, v, axis, *w, **kwargs),
            [x, mean, variance, *weights],
            tolerance=tolerance,
        )
    if op == "group":
        return Case(
            f"{text}, groups={groups}",
            lambda x, *w: lm.ops.group_norm(x, groups, *w, **kwargs),
            lambda x, *w: norms.grouped(x, groups, *w, **kwargs),
            [x, *weights],
            tolerance=tolerance,
        )
    call, reference = (
        (lm.ops.rms_normalization, norms.rms) if op == "rms" else (lm.ops.layer_normalization, norms.layer)
    )
    return Case(
        text, lambda *xs: call(*xs, **kwargs), lambda *xs: reference(*xs, **kwargs), [x, *weights], tolerance=tolerance
    )


def pool(rng):
    rank = pick(rng, [1, 2, 2, 2, 3])
    image = sizes(rng, rank, {1: 70, 2: 400, 3: 300}[rank], empty=0)
    form = (pick(rng, [1, 1, 2, 3]) if chance(rng, 0.98) else 0, *image, size(rng) if chance(rng, 0.98) else 0)
    op = pick(rng, ["max_pool", "average_pool", "adaptive_max_pool", "adaptive_average_pool"])
    reduce = np.max if "max" in op else np.mean
    x = distinct(rng, form) if "max" in op else drawn(rng, form)[0]
    if op.startswith("adaptive"):
        counts = tuple(int(rng.integers(1, min(n, 9) + 1)) for n in image)
        kwargs, reference = {"output_size": counts}, lambda x: windows(x, counts, reduce)
    else:
        padding = pick(rng, ["valid", "same"])
        window = tuple(int(rng.integers(1, min(n, 6) + 1)) for n in image)
        kwargs = {"pool_size": window, "padding": padding, "strides": tuple(int(n) for n in rng.integers(1, 4, rank))}
        if chance(rng, 0.3):
            kwargs["strides"] = window
        reference = lambda x: pooled(x, **_numpy(kwargs), reduce=reduce)  # noqa: E731
    return Case(
        f"{op} {form}, {kwargs}",
        lambda x: getattr(lm.ops, op)(x, **kwargs),
        reference,
        [x],
        terms=math.prod(image),
        linear="average" in op,
        tolerance=8,
    )


def _numpy(kwargs):
    return {"pool": kwargs["pool_size"], "strides": kwargs["strides"], "padding": kwargs["padding"]}


def order(rng):
    op = pick(rng, ["sort", "argsort", "top_k", "cumsum", "cumsum", "cumprod"])
    form = shape(rng, 20_000, 1, (1, 2, 2, 3))
    if chance(rng, 0.1) and op != "cumprod":
        form = (int(rng.integers(1, 3000)), pick(rng, [1, 3]))
    axis = int(rng.integers(-len(form), len(form)))
    if op == "cumsum":
        (x,) = drawn(rng, form, whole=chance(rng))
        return Case(
            f"cumsum {form}, axis={axis}",
            lambda x: lm.ops.cumsum(x, axis),
            lambda x: np.cumsum(x, axis),
            [x],
            terms=x.size,
            linear=True,
        )
    if op == "cumprod":
        x = near_one(rng, form)
        text, tolerance = f"cumprod {form}, axis={axis}", 64 + 8 * form[axis]
        return Case(text, lambda x: lm.ops.cumprod(x, axis), lambda x: np.cumprod(x, axis), [x], tolerance=tolerance)
    x = distinct(rng, form)
    if op == "top_k":
        k = int(rng.integers(0, form[-1] + 1))
        return Case(f"top_k {form}, k={k}", lambda x: lm.ops.top_k(x, k), lambda x: largest(x, k), [x], tolerance=0)
    if op == "argsort":
        ties = np.floor(x)
        return Case(
            f"argsort {form}, axis={axis}",
            lambda x: lm.ops.argsort(x, axis),
            lambda x: argsort(x, axis),
            [ties],
            grad=False,
        )
    return Case(
        f"sort {form}, axis={axis}", lambda x: lm.ops.sort(x, axis), lambda x: np.sort(x, axis), [x], tolerance=0
    )
