import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "rank, kwargs, input_shape, output_shape",
    [
        (1, {"kernel_size": 3}, (2, 7, 3), (2, 5, 4)),
        (1, {"kernel_size": 2, "depth_multiplier": 2, "strides": 2, "padding": "same"}, (2, 7, 3), (2, 4, 4)),
        (1, {"kernel_size": 2, "data_format": "channels_first", "dilation_rate": 2}, (2, 3, 5), (2, 4, 3)),
        (2, {"kernel_size": 3, "activation": "relu"}, (2, 5, 4, 3), (2, 3, 2, 4)),
        (
            2,
            {"kernel_size": (2, 3), "depth_multiplier": 2, "padding": "same", "strides": 2},
            (1, 5, 4, 2),
            (1, 3, 2, 4),
        ),
        (2, {"kernel_size": 2, "data_format": "channels_first", "activation": "tanh"}, (1, 3, 5, 4), (1, 4, 4, 3)),
    ],
)
def test_contract(rank, kwargs, input_shape, output_shape, tmp_path):
    cls = getattr(layers, f"SeparableConv{rank}D")
    check_layer(cls, {"filters": 4, **kwargs}, input_shape, output_shape, tmp_path, trainable=3)


def test_weights_have_kerasses_order_and_shapes():
    layer = layers.SeparableConv2D(8, (3, 5), depth_multiplier=2, name="conv")
    layer.build((None, 9, 9, 4))
    assert [(v.path, v.shape) for v in layer.weights] == [
        ("conv/depthwise_kernel", (3, 5, 4, 2)),
        ("conv/pointwise_kernel", (1, 1, 8, 8)),
        ("conv/bias", (8,)),
    ]


def test_is_a_depthwise_and_a_pointwise_convolution():
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 3)).astype("float32")
    layer = layers.SeparableConv2D(5, 3, depth_multiplier=2, padding="same")
    first, second = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False), layers.Conv2D(5, 1)
    y = layer(x).numpy()
    second(first(x))
    weights = layer.get_weights()
    first.set_weights(weights[:1])
    second.set_weights(weights[1:])
    np.testing.assert_array_equal(y, second(first(x)).numpy())


def test_errors():
    with pytest.raises(ValueError, match=r"\[SeparableConv2D\] depth_multiplier must be a positive integer.*=0"):
        layers.SeparableConv2D(4, 3, depth_multiplier=0)
    with pytest.raises(ValueError, match=r"\[SeparableConv1D\] filters must be a positive integer.*-1"):
        layers.SeparableConv1D(-1, 3)
    with pytest.raises(ValueError, match="expects inputs of 3 axes, but got 4"):
        layers.SeparableConv1D(4, 3)(np.zeros((1, 2, 3, 4)))
