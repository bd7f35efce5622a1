import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize("layer_cls", [layers.MaxPooling2D, layers.AveragePooling2D])
@pytest.mark.parametrize(
    "kwargs, output_shape",
    [
        ({}, (2, 2, 3, 3)),
        ({"pool_size": 3, "strides": 1}, (2, 3, 4, 3)),
        ({"pool_size": (2, 3), "strides": 2, "padding": "same"}, (2, 3, 3, 3)),
    ],
)
def test_contract(layer_cls, kwargs, output_shape, tmp_path):
    check_layer(layer_cls, kwargs, (2, 5, 6, 3), output_shape, tmp_path)


@pytest.mark.parametrize("layer_cls", [layers.MaxPooling2D, layers.AveragePooling2D])
def test_channels_first(layer_cls, tmp_path):
    check_layer(layer_cls, {"data_format": "channels_first"}, (2, 3, 4, 6), (2, 3, 2, 3), tmp_path)


@pytest.mark.parametrize("layer_cls", [layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
@pytest.mark.parametrize(
    "kwargs, output_shape",
    [({}, (2, 3)), ({"keepdims": True}, (2, 1, 1, 3)), ({"data_format": "channels_first"}, (2, 5))],
)
def test_global_contract(layer_cls, kwargs, output_shape, tmp_path):
    check_layer(layer_cls, kwargs, (2, 5, 6, 3), output_shape, tmp_path)


def test_values():
    x = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(layers.MaxPooling2D()(x).numpy().ravel(), [5, 7, 13, 15])
    np.testing.assert_array_equal(layers.AveragePooling2D()(x).numpy().ravel(), [2.5, 4.5, 10.5, 12.5])
    assert layers.GlobalAveragePooling2D()(x).item() == 7.5
    assert layers.GlobalMaxPooling2D()(x).item() == 15.0


def test_padding_is_not_averaged():
    x = np.ones((1, 3, 3, 1), "float32")
    np.testing.assert_array_equal(layers.AveragePooling2D(2, padding="same")(x).numpy(), np.ones((1, 2, 2, 1)))


def test_short_names():
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.AvgPool2D is layers.AveragePooling2D


def test_bad_arguments():
    with pytest.raises(ValueError, match="pool_size must be a positive integer. Received: pool_size=0"):
        layers.MaxPooling2D(0)
    with pytest.raises(ValueError, match=r"\[MaxPooling2D.padding\] is unknown"):
        layers.MaxPooling2D(2, padding="full")
    with pytest.raises(ValueError, match="expects inputs of 4 axes, but got 2"):
        layers.MaxPooling2D()(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="max_pool"):
        layers.MaxPooling2D(5)(np.zeros((1, 3, 3, 1)))
