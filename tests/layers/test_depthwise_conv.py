import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "rank, kwargs, input_shape, output_shape",
    [
        (1, {"kernel_size": 3}, (2, 7, 3), (2, 5, 3)),
        (1, {"kernel_size": 2, "depth_multiplier": 2, "strides": 2, "padding": "same"}, (2, 7, 3), (2, 4, 6)),
        (1, {"kernel_size": 2, "data_format": "channels_first", "dilation_rate": 2}, (2, 3, 5), (2, 3, 3)),
        (2, {"kernel_size": 3, "activation": "relu"}, (2, 5, 4, 3), (2, 3, 2, 3)),
        (
            2,
            {"kernel_size": (2, 3), "depth_multiplier": 3, "padding": "same", "strides": (2, 1)},
            (1, 5, 4, 2),
            (1, 3, 4, 6),
        ),
        (
            2,
            {"kernel_size": 2, "dilation_rate": 2, "activation": "softmax", "depth_multiplier": 2},
            (1, 5, 4, 2),
            (1, 3, 2, 4),
        ),
        (2, {"kernel_size": 2, "data_format": "channels_first"}, (1, 3, 5, 4), (1, 3, 4, 3)),
    ],
)
def test_contract(rank, kwargs, input_shape, output_shape, tmp_path):
    cls = getattr(layers, f"DepthwiseConv{rank}D")
    check_layer(cls, kwargs, input_shape, output_shape, tmp_path, trainable=2)


def test_weights_have_kerasses_shapes():
    layer = layers.DepthwiseConv2D((3, 5), depth_multiplier=2, name="conv")
    layer.build((None, 9, 9, 4))
    assert [(v.path, v.shape) for v in layer.weights] == [("conv/kernel", (3, 5, 4, 2)), ("conv/bias", (8,))]


def test_channels_do_not_mix():
    x = np.random.default_rng(0).standard_normal((1, 6, 3)).astype("float32")
    layer = layers.DepthwiseConv1D(2, depth_multiplier=2)
    before = layer(x).numpy()
    x[..., 1] += 1.0
    changed = (layer(x).numpy() != before).any((0, 1))
    assert changed.tolist() == [False, False, True, True, False, False]


def test_penalties_and_constraints_reach_the_kernel():
    layer = layers.DepthwiseConv1D(2, depthwise_regularizer="l2", depthwise_constraint="non_neg")
    layer(np.ones((1, 4, 3)))
    assert len(layer.losses) == 1
    assert layer.kernel.constraint is layer.depthwise_constraint


def test_errors():
    with pytest.raises(ValueError, match=r"\[DepthwiseConv2D\] depth_multiplier must be a positive integer.*=0"):
        layers.DepthwiseConv2D(3, depth_multiplier=0)
    with pytest.raises(ValueError, match=r"\[DepthwiseConv1D.padding\] is unknown"):
        layers.DepthwiseConv1D(3, padding="causal")
    with pytest.raises(ValueError, match=r"\[thin\] the number of channels must be known"):
        layers.DepthwiseConv1D(3, name="thin").build((None, 5, None))
