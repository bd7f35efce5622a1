import numpy as np
import pytest

from lamina import constraints

W = np.array([[3.0, 0.3, -1.0], [4.0, 0.4, 0.0]], "float32")


def lengths(w):
    return np.sqrt((np.asarray(w.numpy()) ** 2).sum(0))


@pytest.mark.parametrize(
    "constraint, expected",
    [
        (constraints.MaxNorm(2.0), [2.0, 0.5, 1.0]),
        (constraints.UnitNorm(), [1.0, 1.0, 1.0]),
        (constraints.MinMaxNorm(0.8, 2.0), [2.0, 0.8, 1.0]),
        (constraints.MinMaxNorm(0.8, 2.0, rate=0.5), [3.5, 0.65, 1.0]),
    ],
)
def test_lengths(constraint, expected):
    np.testing.assert_allclose(lengths(constraint(W)), expected, rtol=1e-5)


def test_non_neg():
    np.testing.assert_array_equal(constraints.NonNeg()(W).numpy(), np.maximum(W, 0))


def test_axes():
    w = np.ones((2, 2, 3, 4), "float32")
    y = constraints.UnitNorm(axis=[0, 1, 2])(w).numpy()
    np.testing.assert_allclose((y**2).sum((0, 1, 2)), np.ones(4), rtol=1e-5)


@pytest.mark.parametrize(
    "constraint", [constraints.MaxNorm(3), constraints.UnitNorm(1), constraints.MinMaxNorm(rate=0.5)]
)
def test_config_round_trip(constraint):
    again = constraints.deserialize(constraints.serialize(constraint))
    assert type(again) is type(constraint) and again.get_config() == constraint.get_config()


def test_names():
    assert isinstance(constraints.get("max_norm"), constraints.MaxNorm)
    with pytest.raises(ValueError, match="constraint='max_nrm'. Did you mean 'max_norm'"):
        constraints.get("max_nrm")
