import numpy as np
import pytest

import lamina as lm
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


@pytest.mark.parametrize("kind", ["MaxPooling", "AveragePooling"])
@pytest.mark.parametrize(
    "rank, kwargs, input_shape, output_shape",
    [
        (1, {}, (2, 5, 3), (2, 2, 3)),
        (1, {"pool_size": 3, "strides": 2, "padding": "same"}, (2, 6, 3), (2, 3, 3)),
        (1, {"data_format": "channels_first"}, (2, 3, 5), (2, 3, 2)),
        (3, {}, (2, 4, 5, 2, 3), (2, 2, 2, 1, 3)),
        (3, {"pool_size": (1, 2, 3), "strides": 2, "padding": "same"}, (1, 3, 4, 5, 2), (1, 2, 2, 3, 2)),
        (3, {"data_format": "channels_first"}, (2, 3, 2, 4, 5), (2, 3, 1, 2, 2)),
    ],
)
def test_contract_of_other_ranks(kind, rank, kwargs, input_shape, output_shape, tmp_path):
    check_layer(getattr(layers, f"{kind}{rank}D"), kwargs, input_shape, output_shape, tmp_path)


@pytest.mark.parametrize("kind", ["MaxPooling", "AveragePooling"])
def test_unknown_sizes_stay_unknown(kind):
    for rank in (1, 2, 3):
        shape = (None, *[None] * rank, 3)
        assert tuple(getattr(layers, f"{kind}{rank}D")(2).compute_output_shape(shape)) == shape


def test_of_equal_maxima_the_first_gets_the_gradient():
    x = lm.Variable(np.zeros((1, 2, 2, 2, 1), "float32"))
    lm.ops.sum(layers.MaxPooling3D(2)(x)).backward()
    assert x.grad.numpy().ravel().tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


def test_values():
    x = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(layers.MaxPooling2D()(x).numpy().ravel(), [5, 7, 13, 15])
    np.testing.assert_array_equal(layers.AveragePooling2D()(x).numpy().ravel(), [2.5, 4.5, 10.5, 12.5])


def test_padding_is_not_averaged():
    x = np.ones((1, 3, 3, 1), "float32")
    np.testing.assert_array_equal(layers.AveragePooling2D(2, padding="same")(x).numpy(), np.ones((1, 2, 2, 1)))


def test_short_names():
    for rank in (1, 2, 3):
        assert getattr(layers, f"MaxPool{rank}D") is getattr(layers, f"MaxPooling{rank}D")
        assert getattr(layers, f"AvgPool{rank}D") is getattr(layers, f"AveragePooling{rank}D")


def test_bad_arguments():
    with pytest.raises(ValueError, match="pool_size must be a positive integer. Received: pool_size=0"):
        layers.MaxPooling2D(0)
    with pytest.raises(ValueError, match=r"\[MaxPooling2D.padding\] is unknown"):
        layers.MaxPooling2D(2, padding="full")
    with pytest.raises(ValueError, match=r"\[MaxPooling3D\] pool_size must be an integer or three of them"):
        layers.MaxPooling3D((2, 2))
    with pytest.raises(ValueError, match="the pool is larger than the input.*depth=2, pool_size=3"):
        layers.AveragePooling3D(3)(np.zeros((1, 2, 3, 3, 1)))
    with pytest.raises(ValueError, match="expects inputs of 4 axes, but got 2"):
        layers.MaxPooling2D()(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="max_pool"):
        layers.MaxPooling2D(5)(np.zeros((1, 3, 3, 1)))
