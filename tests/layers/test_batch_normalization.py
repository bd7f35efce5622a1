import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "kwargs, input_shape, trainable",
    [
        ({}, (6, 3), 2),
        ({}, (2, 4, 4, 3), 2),
        ({"axis": 1}, (2, 3, 4), 2),
        ({"center": False}, (6, 3), 1),
        ({"scale": False, "center": False}, (6, 3), 0),
    ],
)
def test_contract(kwargs, input_shape, trainable, tmp_path):
    check_layer(
        layers.BatchNormalization, kwargs, input_shape, input_shape, tmp_path, trainable=trainable, non_trainable=2
    )


def test_training_uses_the_batch_and_keeps_moving_averages(rng):
    x = rng.normal(3.0, 2.0, (50, 4)).astype("float32")
    layer = layers.BatchNormalization()
    y = layer(x, training=True).numpy()
    mean, variance = x.mean(0), x.var(0)  # biased, as Keras'
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-3), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.01 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.99 + 0.01 * variance, rtol=1e-5)


def test_inference_uses_the_moving_averages(rng):
    x = rng.normal(size=(5, 2)).astype("float32")
    layer = layers.BatchNormalization(
        moving_mean_initializer=lm.initializers.Constant(1.0), moving_variance_initializer=lm.initializers.Constant(4.0)
    )
    np.testing.assert_allclose(layer(x).numpy(), (x - 1) / np.sqrt(4 + 1e-3), atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), [1, 1])


def test_frozen_runs_as_in_inference(rng):
    layer = layers.BatchNormalization()
    x = rng.normal(size=(5, 2)).astype("float32")
    expected = layer(x).numpy()
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True).numpy(), expected)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), [0, 0])


def test_training_gradient(rng):
    layer = layers.BatchNormalization(dtype="float64")
    weights = rng.normal(size=(6, 3))

    def loss(x):
        return lm.ops.sum(layer(x, training=True) * lm.convert_to_tensor(weights))

    lm.check_gradients(loss, rng.normal(size=(6, 3)))


def test_weights_have_kerasses_names_and_order():
    layer = layers.BatchNormalization(name="bn")
    layer.build((None, 3))
    assert [v.path for v in layer.weights] == ["bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"]


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"axis": 1.0}, "axis must be an integer"),
        ({"momentum": 2}, "momentum must be"),
        ({"epsilon": 0}, "epsilon must"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=rf"\[BatchNormalization\] {message}"):
        layers.BatchNormalization(**kwargs)


def test_bad_inputs():
    layer = layers.BatchNormalization(axis=3, name="bn")
    with pytest.raises(ValueError, match=r"\[bn\] axis is out of range. Received: axis=3, input_shape=\(2, 3\)"):
        layer(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="number of channels must be known"):
        layers.BatchNormalization().build((2, None))
