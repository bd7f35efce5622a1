"""Functions of elements with broadcasting, and ops that only move elements."""

import itertools
import math

import numpy as np

import lamina as lm

from ..ops import rows_elementwise as elementwise
from .check import Case, drawn, rounded
from .sizes import chance, pick, shape, size

POSITIVE = {"log", "log1p", "reciprocal", "rsqrt", "sqrt", "power", "divide", "floor_divide", "mod"}
STEPS = {"ceil", "floor", "round", "sign", "abs", "relu", "relu6", "leaky_relu", "elu", "selu", "softsign"}
STEPS |= {"hard_sigmoid", "maximum", "minimum", "floor_divide", "mod"}
NAMES = {r.id: r for r in elementwise.ROWS}
UNARY = list(itertools.takewhile(lambda name: name != "clip", NAMES))
BINARY = list(itertools.takewhile(lambda name: name != "where", [*NAMES][len(UNARY) + 1 :]))


def values(rng, op, form):
    if op in STEPS:  # a multiple of 1/2 plus 1/8 to 3/8: far from every kink
        x = rng.integers(-8, 8, form) / 2 + rng.integers(8, 24, form) / 64
        return np.abs(x) + 0.5 if op in POSITIVE else x
    if op in POSITIVE:
        return rounded(rng.random(form) * 2 + 0.125)
    return drawn(rng, form, whole=op.startswith(("log", "is", "equal", "not", "less", "greater")))[0]


def unary(rng):
    op, form = pick(rng, UNARY), shape(rng)
    row = NAMES[op]
    return Case(
        f"{op} {form}", getattr(lm.ops, op), row.reference, [values(rng, op, form)], tolerance=16, grad=row.grad
    )


def binary(rng):
    op, form = pick(rng, [*BINARY, "where"]), shape(rng)
    first, second = ([1 if chance(rng, 0.25) else n for n in form] for _ in range(2))
    second = second[int(rng.integers(0, len(second) + 1)) if chance(rng, 0.4) else 0 :]
    first, second = (first, second) if chance(rng) else (second, first)
    x, y = values(rng, op, tuple(first)), values(rng, op, tuple(second))
    if op in ("maximum", "minimum"):
        y = y + 0.5 / 64
    if op in ("floor_divide", "mod"):
        x, y = np.floor(x * 8) + 0.25, np.floor(y * 4) / 2 + 1.0
    if op == "where":
        condition = rng.random(np.broadcast_shapes(x.shape, y.shape)) < 0.5
        call, reference = (lambda *xs: lm.ops.where(condition, *xs)), (lambda *xs: np.where(condition, *xs))
    else:
        call, reference = getattr(lm.ops, op), NUMPY.get(op) or NAMES[op].reference
    terms = math.prod(form)
    return Case(
        f"{op} {x.shape}, {y.shape}",
        call,
        reference,
        [x, y],
        terms=terms,
        tolerance=16 + math.sqrt(terms),
        linear=op in ("add", "subtract", "multiply", "where"),
        grad=NAMES[op].grad,
        magnitude=np.add if op == "subtract" else None,
    )


def move(rng):
    """One op that moves elements; whole numbers, so results and gradients are exact."""
    form = shape(rng, 10_000)
    rank = len(form)
    axis = int(rng.integers(rank))
    op = pick(rng, ["transpose", "getitem", "pad", "concatenate", "stack", "split", "flip", "tile", "repeat", "take",
                    "take_along_axis", "broadcast_to", "reshape"])  # fmt: skip
    inputs, kwargs, args = drawn(rng, form, whole=True), {}, ()
    if op == "transpose":
        args = (tuple(int(a) for a in rng.permutation(rank)),)
    elif op == "reshape":
        args = ((-1,) if 0 in form else (*form[:axis], -1, *form[axis + 1 :])[::-1] if chance(rng) else (-1,),)
    elif op == "getitem":
        args = (tuple(_cut(rng, n) for n in form[: axis + 1]),)
    elif op == "pad":
        args = (tuple(tuple(int(n) for n in rng.integers(0, 4, 2)) for _ in form),)
    elif op in ("concatenate", "stack"):
        forms = [(*form[:axis], form[axis] if op == "stack" else size(rng), *form[axis + 1 :]) for _ in range(1 + axis)]
        inputs, kwargs = [*inputs, *drawn(rng, *forms, whole=True)], {"axis": axis}
    elif op == "split":
        args, kwargs = (sorted(int(n) for n in rng.integers(0, form[axis] + 1, 2)),), {"axis": axis}
    elif op == "flip":
        args = (tuple(int(a) for a in rng.permutation(rank)[: axis + 1]),)
    elif op == "tile":
        args = (tuple(int(n) for n in rng.integers(1, 4, rank)),)
    elif op == "repeat":
        args, kwargs = (int(rng.integers(1, 4)),), {"axis": axis}
    elif op == "take":
        n = form[axis]
        args = (rng.integers(-n, n, (size(rng), 2)[: int(rng.integers(1, 3))]) if n else np.zeros(0, int), axis)
    elif op == "take_along_axis":
        n = form[axis]
        args = (rng.integers(-n, n, (*form[:axis], size(rng), *form[axis + 1 :])) if n else np.zeros(form, int), axis)
    elif op == "broadcast_to":
        args, form = (form,), tuple(1 if chance(rng) else n for n in form)
        inputs = drawn(rng, form, whole=True)
    call, reference = getattr(lm.ops, op), NUMPY.get(op) or getattr(np, op)
    if op in ("concatenate", "stack"):
        call, reference = (
            (lambda f: lambda *xs: f(list(xs), **kwargs))(call),
            (lambda f: lambda *xs: f(list(xs), **kwargs))(reference),
        )
        return Case(f"{op} {[x.shape for x in inputs]}, {kwargs}", call, reference, inputs, linear=True)
    shown = [a if not isinstance(a, np.ndarray) else f"indices {a.shape}" for a in args]
    return Case(
        f"{op} {form}, {shown}, {kwargs}",
        lambda x: call(x, *args, **kwargs),
        lambda x: reference(x, *args, **kwargs),
        inputs,
        linear=True,
    )


def _cut(rng, n):
    if n and chance(rng, 0.2):
        return int(rng.integers(-n, n))
    ends = sorted(int(e) for e in rng.integers(0, n + 1, 2))
    step = pick(rng, [1, 1, 2, 3, -1, -2])
    return slice(*ends, step) if step > 0 else slice(ends[1] if chance(rng) else None, ends[0], step)


# floor_divide rounds the quotient, where NumPy's subtracts the remainder first: they differ at infinity.
NUMPY = {
    "floor_divide": lambda x, y: np.floor(x / y),
    "getitem": lambda x, i: x[i],
    "reshape": lambda x, s: x.reshape(s),
}
