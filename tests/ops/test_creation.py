"""Ops that make tensors from nothing."""

import numpy as np
import pytest

from lamina import ops


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_fills(dtype):
    for op, value in ((ops.zeros, 0), (ops.ones, 1)):
        y = op((2, 3), dtype=dtype)
        assert (y.shape, y.dtype) == ((2, 3), dtype)
        np.testing.assert_array_equal(y.numpy(), np.full((2, 3), value, dtype))
    assert ops.full(3, 2.5).numpy().tolist() == [2.5] * 3
    assert ops.zeros(()).numpy() == 0 and ops.zeros((0, 2)).shape == (0, 2)


def test_ranges():
    np.testing.assert_array_equal(ops.arange(5).numpy(), np.arange(5))
    np.testing.assert_array_equal(ops.arange(1, 7, 2).numpy(), [1, 3, 5])
    assert ops.arange(3).dtype == "int32" and ops.arange(0.0, 1.0, 0.25).dtype == "float32"
    assert ops.arange(3, dtype="int64").dtype == "int64"
    np.testing.assert_allclose(ops.linspace(0, 1, 5).numpy(), np.linspace(0, 1, 5))
    np.testing.assert_allclose(ops.linspace(0, 1, 4, endpoint=False).numpy(), [0, 0.25, 0.5, 0.75])
    np.testing.assert_array_equal(ops.eye(2, 3).numpy(), np.eye(2, 3))
    np.testing.assert_array_equal(ops.eye(3, k=-1).numpy(), np.eye(3, k=-1))


def test_shape_is_a_tuple():
    assert ops.shape(ops.zeros((2, 3))) == (2, 3)


def test_aliases_are_the_same_functions():
    assert ops.absolute is ops.abs and ops.true_divide is ops.divide
    assert ops.amax is ops.max and ops.amin is ops.min


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: ops.zeros((-1, 2)), ValueError, r"\[full\] shape must hold integers >= 0"),
        (lambda: ops.zeros((2,), dtype="float99"), ValueError, r"\[dtype\] is unknown.*float99"),
        (lambda: ops.full((2,), "a"), ValueError, r"\[full\] fill_value"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
