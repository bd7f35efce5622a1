import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "kwargs, input_shape, output_shape",
    [
        ({"kernel_size": 3}, (2, 6, 7, 2), (2, 4, 5, 4)),
        ({"kernel_size": (2, 3), "padding": "same", "strides": 2}, (2, 5, 7, 2), (2, 3, 4, 4)),
        ({"kernel_size": 2, "dilation_rate": 2, "activation": "relu"}, (1, 5, 5, 2), (1, 3, 3, 4)),
        ({"kernel_size": 2, "groups": 2, "activation": "tanh"}, (1, 4, 4, 4), (1, 3, 3, 4)),
        ({"kernel_size": 2, "activation": "softmax", "use_bias": False}, (1, 4, 4, 1), (1, 3, 3, 4)),
    ],
)
def test_contract(kwargs, input_shape, output_shape, tmp_path):
    weights = 1 if kwargs.get("use_bias") is False else 2
    check_layer(layers.Conv2D, {"filters": 4, **kwargs}, input_shape, output_shape, tmp_path, trainable=weights)


def test_channels_first(tmp_path):
    kwargs = {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}
    first = check_layer(layers.Conv2D, kwargs, (2, 3, 5, 6), (2, 4, 3, 4), tmp_path, trainable=2)
    last = layers.Conv2D(4, 3)
    last.build((None, 5, 6, 3))
    last.set_weights(first.get_weights())
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6)).astype("float32")
    np.testing.assert_array_equal(first(x).numpy(), last(x.transpose(0, 2, 3, 1)).numpy().transpose(0, 3, 1, 2))


def test_weights_have_kerasses_shapes():
    layer = layers.Conv2D(8, (3, 5), groups=2, name="conv")
    layer.build((None, 9, 9, 4))
    assert [(v.path, v.shape) for v in layer.weights] == [("conv/kernel", (3, 5, 2, 8)), ("conv/bias", (8,))]


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"filters": 0}, "filters must be a positive integer. Received: filters=0"),
        ({"kernel_size": 0}, "kernel_size must be a positive integer. Received: kernel_size=0"),
        (
            {"kernel_size": (1, 2, 3)},
            r"kernel_size must be an integer or two of them. Received: kernel_size=\(1, 2, 3\)",
        ),
        ({"padding": "sme"}, "padding='sme'. Did you mean 'same'"),
        ({"data_format": "channel_last"}, "Did you mean 'channels_last'"),
        ({"groups": 3}, "groups must divide the filters. Received: filters=4, groups=3"),
        ({"strides": 2, "dilation_rate": 2}, "cannot both exceed 1"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Conv2D(**{"filters": 4, "kernel_size": 3, **kwargs})


def test_bad_inputs():
    layer = layers.Conv2D(4, 3, name="conv")
    layer.build((None, 28, 28, 1))
    with pytest.raises(
        ValueError, match=r"\[conv\] expects inputs of 4 axes, but got 3. Received: input.shape=\(2, 28, 28\)"
    ):
        layer(np.zeros((2, 28, 28)))
    with pytest.raises(ValueError, match=r"\[conv\] expects inputs whose last axis is 1"):
        layer(np.zeros((2, 28, 28, 3)))
    with pytest.raises(
        ValueError, match=r"\[conv\] \[conv2d\] the kernel must fit into the padded input. Received: kernel height=3"
    ):
        layer(np.zeros((2, 2, 2, 1)))
