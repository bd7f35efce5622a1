import math

import numpy as np
import pytest

import lamina as lm
from lamina import activations

X = np.array([[-4.0, -1.0, -0.3, 0.0, 0.7, 2.0, 7.0]])
SIGMOID = 1 / (1 + np.exp(-X))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("linear", X),
        ("relu", np.maximum(X, 0)),
        ("relu6", np.clip(X, 0, 6)),
        ("leaky_relu", np.where(X > 0, X, 0.2 * X)),
        ("elu", np.where(X > 0, X, np.expm1(X))),
        ("selu", 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X))),
        ("gelu", X * 0.5 * (1 + np.vectorize(math.erf)(X / math.sqrt(2)))),
        ("sigmoid", SIGMOID),
        ("hard_sigmoid", np.clip(X / 6 + 0.5, 0, 1)),
        ("tanh", np.tanh(X)),
        ("softmax", np.exp(X) / np.exp(X).sum()),
        ("log_softmax", X - np.log(np.exp(X).sum())),
        ("softplus", np.log1p(np.exp(X))),
        ("softsign", X / (1 + np.abs(X))),
        ("silu", X * SIGMOID),
        ("swish", X * SIGMOID),
        ("exponential", np.exp(X)),
        ("log_sigmoid", np.log(SIGMOID)),
    ],
)
def test_values(name, expected):
    y = activations.get(name)(lm.convert_to_tensor(X))
    tolerance = 1e-6 if name == "gelu" else 1e-7
    np.testing.assert_allclose(y.numpy(), expected, rtol=tolerance, atol=tolerance)


def test_every_name_is_found():
    for name in activations.__all__:
        if name not in ("get", "serialize", "deserialize"):
            assert activations.get(name) is getattr(activations, name)


def test_get():
    assert activations.get(None) is activations.linear
    f = lambda x: x  # noqa: E731
    assert activations.get(f) is f


@pytest.mark.parametrize("name", ["relux", "sigmoyd", "tahn"])
def test_unknown_name(name):
    with pytest.raises(ValueError, match=rf"\[activation\] is unknown.*activation='{name}'. Did you mean"):
        activations.get(name)


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"negative_slope": 0.1}, {"max_value": 1.5}, {"threshold": 0.5}, {"negative_slope": 0.2, "threshold": -0.5}],
)
def test_relu(kwargs):
    slope, top, threshold = kwargs.get("negative_slope", 0), kwargs.get("max_value", np.inf), kwargs.get("threshold", 0)
    expected = np.minimum(np.where(X >= threshold, X, slope * (X - threshold)), top)
    np.testing.assert_allclose(activations.relu(X, **kwargs).numpy(), expected)
    lm.check_gradients(lambda x: lm.ops.sum(activations.relu(x, **kwargs) * x), X + 0.05)
