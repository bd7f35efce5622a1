import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize("rate, generators", [(0.5, 1), (0.0, 0)])
def test_contract(rate, generators, tmp_path):
    check_layer(layers.Dropout, {"rate": rate}, (2, 3), (2, 3), tmp_path, generators=generators)


def test_only_in_training():
    x = np.ones((100, 100), "float32")
    layer = layers.Dropout(0.25, seed=1)
    np.testing.assert_array_equal(layer(x).numpy(), x)
    y = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02


def test_draws_differ_from_call_to_call_and_repeat_by_seed():
    x = np.ones((10, 10), "float32")
    a, b = layers.Dropout(0.5, seed=7), layers.Dropout(0.5, seed=7)
    first, second = a(x, training=True).numpy(), a(x, training=True).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(first, b(x, training=True).numpy())
    np.testing.assert_array_equal(second, b(x, training=True).numpy())


def test_prediction_does_not_move_the_generator():
    layer = layers.Dropout(0.5, seed=7)
    before = layer.variables[0].numpy()
    layer(np.ones((2, 2)))
    layer(layers.Input((2,)), training=True)
    np.testing.assert_array_equal(layer.variables[0].numpy(), before)


def test_noise_shape():
    y = layers.Dropout(0.5, noise_shape=(None, 1), seed=3)(np.ones((50, 4)), training=True).numpy()
    assert (y == y[:, :1]).all() and len(np.unique(y)) == 2


def test_the_gradient_uses_the_forward_mask():
    x = lm.Variable(np.ones((5, 5), "float32"))
    with lm.GradientTape() as tape:
        y = layers.Dropout(0.5, seed=1)(x, training=True)
        loss = lm.ops.sum(y)
    np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), y.numpy())


@pytest.mark.parametrize("rate", [-0.1, 1.5, "half", None, True])
def test_bad_rate(rate):
    with pytest.raises(ValueError, match=r"\[Dropout\] rate must be a number from 0 to 1. Received: rate="):
        layers.Dropout(rate)
