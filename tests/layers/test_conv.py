import numpy as np
import pytest

import lamina as lm
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


@pytest.mark.parametrize(
    "kwargs, input_shape, output_shape",
    [
        ({"kernel_size": 3}, (2, 7, 2), (2, 5, 4)),
        ({"kernel_size": 3, "padding": "causal", "dilation_rate": 2}, (2, 7, 2), (2, 7, 4)),
        ({"kernel_size": 2, "padding": "CAUSAL", "strides": 3, "activation": "relu"}, (2, 7, 2), (2, 3, 4)),
        ({"kernel_size": 3, "groups": 2, "padding": "same", "strides": 2}, (1, 7, 4), (1, 4, 4)),
        ({"kernel_size": 2, "data_format": "channels_first", "padding": "causal"}, (1, 3, 5), (1, 4, 5)),
        ({"kernel_size": 2, "activation": "softmax", "use_bias": False}, (1, 5, 3), (1, 4, 4)),
    ],
)
def test_contract_of_sequences(kwargs, input_shape, output_shape, tmp_path):
    weights = 1 if kwargs.get("use_bias") is False else 2
    check_layer(layers.Conv1D, {"filters": 4, **kwargs}, input_shape, output_shape, tmp_path, trainable=weights)


@pytest.mark.parametrize(
    "kwargs, input_shape, output_shape",
    [
        ({"kernel_size": 3}, (2, 4, 3, 5, 2), (2, 2, 1, 3, 4)),
        ({"kernel_size": (2, 3, 1), "padding": "same", "strides": 2}, (1, 5, 3, 4, 2), (1, 3, 2, 2, 4)),
        ({"kernel_size": 2, "dilation_rate": (2, 1, 2), "activation": "tanh"}, (1, 4, 3, 3, 2), (1, 2, 2, 1, 4)),
        ({"kernel_size": 2, "groups": 2, "activation": "relu"}, (1, 3, 3, 3, 4), (1, 2, 2, 2, 4)),
        ({"kernel_size": 2, "data_format": "channels_first"}, (1, 3, 2, 3, 4), (1, 4, 1, 2, 3)),
    ],
)
def test_contract_of_volumes(kwargs, input_shape, output_shape, tmp_path):
    check_layer(layers.Conv3D, {"filters": 4, **kwargs}, input_shape, output_shape, tmp_path, trainable=2)


@pytest.mark.parametrize("dilation", [1, 3])
def test_causal_outputs_see_no_later_step(dilation):
    layer = layers.Conv1D(3, 3, padding="causal", dilation_rate=dilation)
    x = np.random.default_rng(0).standard_normal((1, 12, 2)).astype("float32")
    before = layer(x).numpy()
    x[0, 7:] = 100.0
    np.testing.assert_array_equal(layer(x).numpy()[0, :7], before[0, :7])
    assert (layer(x).numpy()[0, 7:] != before[0, 7:]).all()


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_unknown_sizes_stay_unknown(padding):
    for rank, cls in enumerate((layers.Conv1D, layers.Conv2D, layers.Conv3D), 1):
        layer = cls(4, 3, padding=padding)
        assert tuple(layer.compute_output_shape((None, *[None] * rank, 2))) == (None, *[None] * rank, 4)
        assert layer(np.zeros((1, *[5] * rank, 2))).shape == (1, *[3 if padding == "valid" else 5] * rank, 4)


def test_functional_model():
    x = lm.Input((None, 2))
    y = layers.Conv1D(4, 3, padding="causal", activation="relu")(x)
    y = layers.GlobalAveragePooling1D()(layers.MaxPooling1D(2)(y))
    model = lm.Model(x, layers.Dense(1)(y))
    for steps in (6, 9):
        assert model(np.zeros((3, steps, 2))).shape == (3, 1)


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
        ({"padding": "causal"}, "padding='causal'"),
        ({"padding": "sme"}, "padding='sme'. Did you mean 'same'"),
        ({"data_format": "channel_last"}, "Did you mean 'channels_last'"),
        ({"groups": 3}, "groups must divide the filters. Received: filters=4, groups=3"),
        ({"strides": 2, "dilation_rate": 2}, "cannot both exceed 1"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Conv2D(**{"filters": 4, "kernel_size": 3, **kwargs})


@pytest.mark.parametrize(
    "cls, arguments, message",
    [
        (layers.Conv1D, (4, (3, 3)), r"\[Conv1D\] kernel_size must be an integer or a tuple of one.*\(3, 3\)"),
        (layers.Conv1D, (4, 3, 2, "full"), r"\[Conv1D.padding\] is unknown"),
        (layers.Conv3D, (4, (3, 3)), r"\[Conv3D\] kernel_size must be an integer or three of them.*\(3, 3\)"),
        (layers.Conv3D, (4, 3, 0), r"\[Conv3D\] strides must be a positive integer. Received: strides=0"),
    ],
)
def test_bad_arguments_of_other_ranks(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(*arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"\[conv\] the groups must divide the channels. Received: channels=3"):
        layers.Conv1D(4, 3, groups=2, name="conv")(np.zeros((1, 5, 3)))
    with pytest.raises(ValueError, match=r"\[conv\] the number of channels must be known"):
        layers.Conv1D(4, 3, name="conv").build((None, 5, None))
    layer = layers.Conv2D(4, 3, name="conv")
    layer.build((None, 28, 28, 1))
    with pytest.raises(
        ValueError, match=r"\[conv\] expects inputs of 4 axes, but got 3. Received: input.shape=\(2, 28, 28\)"
    ):
        layer(np.zeros((2, 28, 28)))
    with pytest.raises(ValueError, match=r"\[conv\] expects inputs whose last axis is 1"):
        layer(np.zeros((2, 28, 28, 3)))
    with pytest.raises(
        ValueError, match=r"\[conv\] the kernel must fit into the padded input. Received: kernel height=3"
    ):
        layer(np.zeros((2, 2, 2, 1)))
