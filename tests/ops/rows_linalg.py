"""Rows of lamina.ops.linalg."""

import numpy as np

from .rows import Row


def of_shapes(*shapes, **kwargs):
    """Samples of several arguments, one per tuple of shapes."""
    return lambda rng: [(tuple(rng.standard_normal(s) for s in group), kwargs) for group in shapes]


MATRICES = [
    ((3,), (3,)),
    ((4,), (4, 2)),
    ((5, 4), (4,)),
    ((1, 1), (1, 1)),
    ((5, 7), (7, 3)),
    ((17, 33), (33, 16)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (3, 4, 2)),
    ((4, 3), (2, 3, 5)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((0, 2, 3), (3, 2)),
]

ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}


def dense(x, w, bias=None, activation=None):
    return ACTIVATIONS[activation](x @ w + (0 if bias is None else bias))


DENSE = [
    ((3, 4), (4, 5), (5,)),
    ((70, 3), (3, 17), (17,)),
    ((2, 3, 4), (4, 2), (2,)),
    ((4,), (4, 3), (3,)),
    ((0, 4), (4, 2), (2,)),
    ((5, 6), (6, 1)),
]

A23, A35, A45 = np.ones((2, 3)), np.ones((3, 5)), np.ones((4, 5))
DENSE_ERRORS = [
    ((A23, A45), {}, ValueError, r"\[dense\] the last axis of x \(3\).*w.shape=\(4, 5\)"),
    ((A23, A35, np.ones(4)), {}, ValueError, r"\[dense\] the bias.*bias.shape=\(4,\)"),
    ((A23, A35), {"activation": "gelu"}, ValueError, r"\[dense\].*activation='gelu'"),
]
MATMUL_ERRORS = [
    ((A23, A45), {}, ValueError, r"\[matmul\].*x1.shape=\(2, 3\), x2.shape=\(4, 5\)"),
    ((np.ones(()), A45), {}, ValueError, r"\[matmul\] needs at least one axis"),
    ((np.ones((2, 3, 4)), np.ones((3, 4, 5))), {}, ValueError, r"\[matmul\].*\(2.*\(3"),
]
VECTOR_ERROR = ((np.ones(3), np.ones(4)), {}, ValueError, r"\[matmul\].*x1.shape=\(3,\), x2.shape=\(4,\)")
TEXT_ERROR = ((["a"], [1.0]), {}, TypeError, r"\[convert_to_tensor\] needs numbers")

DOT = [((3,), (3,)), ((), (3,)), ((2, 3), (3, 4)), ((2, 3), (4, 3, 5)), ((3,), (2, 3, 2))]

ROWS = [
    Row("matmul", of_shapes(*MATRICES), np.matmul, errors=MATMUL_ERRORS),
    *[
        Row("linalg.dense", of_shapes(*DENSE, activation=f), dense, id=f"dense-{f}", errors=DENSE_ERRORS)
        for f in ACTIVATIONS
    ],
    Row("dot", of_shapes(*DOT), np.dot, errors=[VECTOR_ERROR]),
    Row("outer", of_shapes(((3,), (4,)), ((2, 2), (3,)), ((0,), (2,))), np.outer, errors=[TEXT_ERROR]),
    Row("vdot", of_shapes(((3,), (3,)), ((2, 2), (4, 1))), np.vdot, errors=[VECTOR_ERROR]),
]
