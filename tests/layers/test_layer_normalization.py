import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "kwargs, input_shape, trainable",
    [
        ({}, (6, 3), 2),
        ({}, (2, 4, 5), 2),
        ({"axis": [1, 2]}, (2, 3, 4), 2),
        ({"axis": 1}, (2, 3, 4), 2),
        ({"axis": (-1, 1)}, (2, 3, 4), 2),
        ({"center": False}, (6, 3), 1),
        ({"scale": False, "center": False, "epsilon": 0.1}, (6, 3), 0),
    ],
)
def test_contract(kwargs, input_shape, trainable, tmp_path):
    check_layer(layers.LayerNormalization, kwargs, input_shape, input_shape, tmp_path, trainable=trainable)


@pytest.mark.parametrize(
    "kwargs, input_shape", [({}, (6, 3)), ({"axis": [1, 2]}, (2, 3, 4)), ({"axis": 1, "epsilon": 0.1}, (2, 3, 4))]
)
def test_rms_contract(kwargs, input_shape, tmp_path):
    check_layer(layers.RMSNormalization, kwargs, input_shape, input_shape, tmp_path, trainable=1)


def test_rows_have_mean_0_and_variance_1_far_from_0(rng):
    x = (rng.standard_normal((7, 500)) + 1000).astype("float32")
    y = layers.LayerNormalization(epsilon=1e-7)(x).numpy().astype("float64")
    np.testing.assert_allclose(y.mean(1), 0, atol=2e-4)
    np.testing.assert_allclose(y.std(1), 1, rtol=2e-4)


def test_equal_values_become_beta():
    layer = layers.LayerNormalization(beta_initializer="ones")
    np.testing.assert_allclose(layer(np.full((5, 33), 0.1, "float32")).numpy(), 1, rtol=1e-6)


def test_bits_of_a_row_do_not_depend_on_its_neighbours(rng):
    x = rng.standard_normal((9, 70)).astype("float32")
    layer = layers.LayerNormalization()
    together = layer(x).numpy()
    for i in range(9):
        np.testing.assert_array_equal(layer(x[i : i + 1]).numpy()[0], together[i])


def test_not_a_number_stays_in_its_row(rng):
    x = rng.standard_normal((4, 8)).astype("float32")
    x[1, 2] = np.nan
    y = layers.LayerNormalization()(x).numpy()
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[[0, 2, 3]]).all()


def test_weights_have_kerasses_names_order_and_shapes():
    layer = layers.LayerNormalization(axis=[-1, 1], name="ln")
    layer.build((None, 3, 4))
    assert [(v.path, v.shape) for v in layer.weights] == [("ln/gamma", (3, 4)), ("ln/beta", (3, 4))]
    layer = layers.RMSNormalization(name="rms")
    layer.build((None, 3))
    assert [(v.path, v.shape) for v in layer.weights] == [("rms/scale", (3,))]


@pytest.mark.parametrize("name", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize(
    "kwargs, error, message",
    [
        ({"axis": 1.0}, TypeError, "axis must be an integer or a list of integers.*1.0"),
        ({"axis": []}, TypeError, "axis must be an integer or a list"),
        ({"epsilon": 0}, ValueError, "epsilon must be a positive number.*epsilon=0"),
    ],
)
def test_bad_arguments(name, kwargs, error, message):
    with pytest.raises(error, match=rf"\[{name}\] {message}"):
        getattr(layers, name)(**kwargs)


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"\[ln\] axis is out of range. Received: axis=3, input_shape=\(2, 3\)"):
        layers.LayerNormalization(axis=3, name="ln")(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\[ln\] an axis is named twice"):
        layers.LayerNormalization(axis=[1, -1], name="ln")(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="sizes along the normalised axes must be known"):
        layers.RMSNormalization().build((2, None))


def test_half_precision_is_refused_by_name():
    x = lm.ops.cast(lm.ops.ones((2, 3)), "float16")
    with pytest.raises(TypeError, match=r"\[layer_normalization\] needs float32 or float64"):
        lm.ops.layer_normalization(x)
