import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "kwargs, input_shape, trainable",
    [
        ({"groups": 3}, (4, 6), 2),
        ({"groups": 2}, (2, 3, 3, 4), 2),
        ({"groups": -1}, (2, 3, 3, 4), 2),
        ({"groups": 1}, (2, 5, 4), 2),
        ({"groups": 2, "axis": 1}, (2, 4, 3), 2),
        ({"groups": 2, "center": False}, (2, 3, 4), 1),
        ({"groups": 2, "scale": False, "center": False}, (2, 3, 4), 0),
    ],
)
def test_contract(kwargs, input_shape, trainable, tmp_path):
    check_layer(layers.GroupNormalization, kwargs, input_shape, input_shape, tmp_path, trainable=trainable)


def test_one_group_is_layer_normalization_over_the_sample(rng):
    x = rng.standard_normal((3, 4, 5, 6)).astype("float32")
    sample = layers.LayerNormalization(axis=[1, 2, 3], center=False, scale=False)(x).numpy()
    np.testing.assert_allclose(layers.GroupNormalization(groups=1)(x).numpy(), sample, atol=2e-6)


def test_a_group_per_channel_is_instance_normalization(rng):
    x = rng.standard_normal((3, 4, 5, 6)).astype("float32")
    places = layers.LayerNormalization(axis=[1, 2], center=False, scale=False)(x).numpy()
    np.testing.assert_allclose(layers.GroupNormalization(groups=-1)(x).numpy(), places, atol=2e-6)


def test_weights_have_kerasses_names_and_order():
    layer = layers.GroupNormalization(groups=2, name="gn")
    layer.build((None, 3, 4))
    assert [(v.path, v.shape) for v in layer.weights] == [("gn/gamma", (4,)), ("gn/beta", (4,))]


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"groups": 0}, "groups must be a positive integer, or -1.*groups=0"),
        ({"groups": 2.0}, "groups must be a positive integer, or -1.*groups=2.0"),
        ({"axis": [1]}, r"axis must be an integer.*\[1\]"),
        ({"epsilon": -1}, "epsilon must be a positive number"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=rf"\[GroupNormalization\] {message}"):
        layers.GroupNormalization(**kwargs)


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"\[gn\] groups must divide.*groups=32, channels=3"):
        layers.GroupNormalization(name="gn")(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\[gn\] axis must name an axis.*axis=0, input_shape=\(2, 3\)"):
        layers.GroupNormalization(1, axis=0, name="gn")(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="number of channels must be known"):
        layers.GroupNormalization(1).build((2, None))
