import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "layer_cls, kwargs",
    [
        (layers.Activation, {"activation": "tanh"}),
        (layers.Activation, {"activation": "swish"}),
        (layers.Softmax, {}),
        (layers.Softmax, {"axis": [1, 2]}),
        (layers.ReLU, {}),
        (layers.ReLU, {"max_value": 1.0, "negative_slope": 0.1}),
        (layers.LeakyReLU, {}),
        (layers.ELU, {"alpha": 0.5}),
    ],
)
def test_contract(layer_cls, kwargs, tmp_path):
    check_layer(layer_cls, kwargs, (2, 3, 4), (2, 3, 4), tmp_path)


@pytest.mark.parametrize(
    "layer, expected",
    [
        (layers.ReLU(), [0, 0, 0, 2, 8]),
        (layers.ReLU(max_value=6), [0, 0, 0, 2, 6]),
        (layers.ReLU(negative_slope=0.5), [-1.5, -0.5, 0, 2, 8]),
        (layers.ReLU(negative_slope=0.5, threshold=1.0), [-2, -1, -0.5, 2, 8]),
        (layers.LeakyReLU(), [-0.9, -0.3, 0, 2, 8]),
        (layers.LeakyReLU(alpha=0.1), [-0.3, -0.1, 0, 2, 8]),
        (layers.ELU(), [np.expm1(-3), np.expm1(-1), 0, 2, 8]),
    ],
)
def test_values(layer, expected):
    x = np.array([[-3.0, -1.0, 0.0, 2.0, 8.0]])
    np.testing.assert_allclose(layer(x).numpy(), [expected], rtol=1e-6)


def test_softmax_mask():
    y = layers.Softmax()(np.zeros((1, 3)), mask=np.array([[True, True, False]]))
    np.testing.assert_array_equal(y.numpy(), [[0.5, 0.5, 0.0]])


def test_a_users_function():
    layer = layers.Activation(lambda x: x * 3.0)
    np.testing.assert_array_equal(layer(np.ones((1, 2))).numpy(), [[3, 3]])


@pytest.mark.parametrize("name", ["max_value", "negative_slope", "threshold"])
def test_bad_relu(name):
    with pytest.raises(ValueError, match=rf"\[ReLU\] {name} must be a number >= 0. Received: {name}=-1"):
        layers.ReLU(**{name: -1})


def test_bad_leaky_relu():
    with pytest.raises(ValueError, match=r"\[LeakyReLU\] negative_slope must be a number >= 0"):
        layers.LeakyReLU(None)
