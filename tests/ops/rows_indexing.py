"""Rows of lamina.ops.indexing and joining."""

import numpy as np

from .rows import Row
from .rows_elementwise import of_shape


def one_hot(x, n, axis=-1, dtype="float32"):
    x = np.asarray(x)
    shape = [1] * (x.ndim + 1)
    shape[axis] = n
    return (np.expand_dims(x, axis) == np.arange(n).reshape(shape)).astype(dtype)


def take_along_axis(x, indices, axis=None):
    shape = list(
        np.broadcast_shapes(*[[n if i != axis % x.ndim else 1 for i, n in enumerate(a.shape)] for a in (x, indices)])
    )
    wide = [list(shape), list(shape)]
    for s, a in zip(wide, (x, indices)):
        s[axis] = a.shape[axis]
    return np.take_along_axis(np.broadcast_to(x, wide[0]), np.broadcast_to(indices, wide[1]), axis)


def lists(*calls):
    return lambda rng: [(([rng.standard_normal(s) for s in shapes], *args), {}) for shapes, *args in calls]


RANGE = r"\[{}\] index is out of range of the axis; expected -size <= index < size.*value=-?4 at element 1"
ONES = np.ones((2, 3))

ROWS = [
    Row(
        "take",
        of_shape(
            ((5, 3), (np.array([4, -5, 0, 0]), 0), {}),
            ((5, 3), (np.array([[2, -1], [0, 2]]), 1), {}),
            ((2, 4, 3), (np.array([3, 1, 3, 3, 3]),), {"axis": 1}),
            ((2, 3), (np.array([5, -6]),), {}),
            ((4,), (np.array(2), 0), {}),
            ((4, 17), (np.array([], int), 0), {}),
            ((40, 300), (np.arange(80) % 7, 0), {}),
        ),
        np.take,
        errors=[
            ((ONES, np.array([0, 4]), 1), {}, ValueError, RANGE.format("take")),
            ((ONES, np.array([0, -4]), 1), {}, ValueError, RANGE.format("take")),
            ((ONES, np.array([0.5]), 1), {}, TypeError, r"\[take\] indices must be integers.*float"),
            ((ONES, np.array([0]), 2), {}, IndexError, r"\[take\] axis is out of range"),
        ],
    ),
    Row(
        "take_along_axis",
        of_shape(
            ((3, 4), (np.array([[0, -1, 2, 2]] * 3), 1), {}),
            ((3, 4), (np.array([[1, 1, 0, 2]]), 0), {}),
            ((3, 1), (np.zeros((3, 5), int), 0), {}),
            ((2, 3, 4), (np.ones((2, 2, 4), int), 1), {}),
        ),
        take_along_axis,
        errors=[
            ((ONES, np.array([[0, 4]] * 2), 1), {}, ValueError, RANGE.format("take_along_axis")),
            (
                (ONES, np.array([0]), 1),
                {},
                ValueError,
                r"\[take_along_axis\] indices must have x's shape.*\(1,\)",
            ),
        ],
    ),
    Row(
        "one_hot",
        lambda rng: [
            ((np.array([0, 2, -1, 3, 9]), 4), {}),
            ((np.array([[0, 1], [2, 0]]), 3), {"axis": 1}),
            ((np.array([1.0, 0.0], "float32"), 2), {"dtype": "int32"}),
            ((np.zeros(0, int), 2), {}),
        ],
        one_hot,
        grad=False,
        errors=[((np.array([1]), 0), {}, ValueError, r"\[one_hot\] num_classes must be positive.*num_classes=0")],
    ),
    Row(
        "boolean_mask",
        of_shape(
            ((4, 3), (np.array([True, False, True, True]),), {}),
            ((2, 2), (np.array([[True, False]] * 2),), {}),
        ),
        lambda x, m: x[m],
        errors=[
            (
                (ONES, np.array([True])),
                {},
                IndexError,
                r"\[boolean_mask\] the mask must have.*mask.shape=\(1,\)",
            )
        ],
    ),
    Row(
        "concatenate",
        lists(
            ([(2,), (3,), (0,)],),
            ([(2, 3), (2, 1)], 1),
            ([(2, 3), (2, 1)], -1),
            ([(3, 2)], 0),
            ([(1, 2)] * 70,),
        ),
        lambda xs, axis=0: np.concatenate(xs, axis),
        errors=[
            (([],), {}, ValueError, r"\[concatenate\] needs at least one tensor"),
            (
                ([np.ones((2, 3)), np.ones((3, 2))],),
                {},
                ValueError,
                r"\[concatenate\] shapes must be equal but for axis 0.*\(2, 3\).*\(3, 2\) of tensor 1",
            ),
        ],
    ),
    Row(
        "stack",
        lists(([(3,), (3,)],), ([(2, 3), (2, 3)], 1), ([(2, 3), (2, 3)], -1)),
        lambda xs, axis=0: np.stack(xs, axis),
        errors=[(([np.ones(2), np.ones(3)],), {}, ValueError, r"\[concatenate\] shapes must be equal")],
    ),
    Row(
        "split",
        of_shape(((6,), (3,), {}), ((2, 5), ([1, 3],), {"axis": 1}), ((2, 4), (2,), {"axis": -1})),
        lambda x, n, axis=0: tuple(np.split(x, n, axis)),
        errors=[((np.ones(5), 2), {}, ValueError, r"\[split\] the axis does not divide.*axis=0 of size 5")],
    ),
    Row(
        "pad",
        of_shape(
            ((3,), (1,), {}),
            ((3,), ((1, 2),), {}),
            ((2, 3), (((0, 1), (2, 0)),), {"constant_values": 7.0}),
            ((0, 3), (1,), {}),
        ),
        lambda x, w, **kw: np.pad(x, w, **kw),
        errors=[
            ((ONES, 1, "reflect"), {}, ValueError, r"\[pad\] mode must be \"constant\".*reflect"),
            ((ONES, (-1, 0)), {}, ValueError, r"\[pad\] widths must not be negative.*\(-1, 0\)"),
            ((ONES, ((1, 1),) * 3), {}, ValueError, r"\[pad\] pad_width needs one pair per axis.*3 pairs"),
        ],
    ),
    Row(
        "flip",
        of_shape(((5,), (), {}), ((2, 3), (), {}), ((2, 3), (1,), {}), ((2, 3), ((0, -1),), {})),
        np.flip,
    ),
    Row(
        "tile",
        of_shape(((3,), (2,), {}), ((2, 3), ((2, 3),), {}), ((3,), ((2, 1),), {}), ((2, 3), (2,), {})),
        np.tile,
    ),
    Row(
        "repeat",
        of_shape(
            ((3,), (2,), {}),
            ((2, 3), (2,), {}),
            ((2, 3), (3,), {"axis": 1}),
            ((3,), ([1, 0, 2],), {"axis": 0}),
        ),
        np.repeat,
    ),
]
