"""Every 1009th float through every function of one argument, against float64."""

import numpy as np
import pytest

import lamina as lm

from .accuracy import BOUND, COMPOSITIONS, KERNELS, worst


@pytest.mark.parametrize("function", [*KERNELS, *COMPOSITIONS])
def test_within_the_bound(function):
    found = worst(function, 1009)
    assert found.error <= BOUND, f"{function}({found.at!r}) is {found.error} units off"


def test_selu_overflows_where_the_truth_does():
    x = np.float32([3.2386218e38, 3.2386226e38, 3.4e38])
    with np.errstate(over="ignore"):
        want = (x * np.float64(1.0507009873554805)).astype(np.float32)
    np.testing.assert_array_equal(lm.ops.selu(x).numpy(), want)


def test_the_least_normal_numbers_are_kept():
    """No intermediate result of theirs may be subnormal, which kernels flush to zero."""
    tiny = np.array([1, 1.25, 1.5, 1.75, 1.9999999, 2, 3], np.float32) * np.finfo(np.float32).tiny
    x = np.concatenate([tiny, -tiny])
    for name in ("elu", "expm1", "log1p", "sin", "tanh"):
        np.testing.assert_array_equal(getattr(lm.ops, name)(x).numpy(), x, err_msg=name)
    assert np.signbit(lm.ops.expm1(np.float32([-0.0])).numpy()).all()
