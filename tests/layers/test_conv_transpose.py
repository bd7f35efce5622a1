import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "rank, kwargs, input_shape, output_shape",
    [
        (1, {"kernel_size": 3}, (2, 4, 2), (2, 6, 3)),
        (1, {"kernel_size": 2, "strides": 3, "activation": "relu"}, (2, 4, 2), (2, 12, 3)),
        (
            1,
            {"kernel_size": 3, "strides": 2, "output_padding": 0, "data_format": "channels_first"},
            (1, 2, 4),
            (1, 3, 9),
        ),
        (2, {"kernel_size": 3, "strides": 2, "padding": "same"}, (2, 3, 2, 2), (2, 6, 4, 3)),
        (2, {"kernel_size": (2, 3), "strides": 2, "output_padding": (1, 0)}, (1, 3, 2, 2), (1, 7, 5, 3)),
        (2, {"kernel_size": 2, "dilation_rate": 2, "activation": "softmax"}, (1, 3, 2, 2), (1, 5, 4, 3)),
        (2, {"kernel_size": 2, "data_format": "channels_first", "activation": "tanh"}, (1, 2, 3, 2), (1, 3, 4, 3)),
        (3, {"kernel_size": 2, "strides": (2, 1, 2)}, (1, 2, 3, 2, 2), (1, 4, 4, 4, 3)),
        (3, {"kernel_size": (3, 1, 2), "strides": 2, "padding": "same"}, (1, 2, 2, 2, 2), (1, 4, 4, 4, 3)),
        (3, {"kernel_size": 2, "data_format": "channels_first"}, (1, 2, 2, 2, 1), (1, 3, 3, 3, 2)),
    ],
)
def test_contract(rank, kwargs, input_shape, output_shape, tmp_path):
    cls = getattr(layers, f"Conv{rank}DTranspose")
    check_layer(cls, {"filters": 3, **kwargs}, input_shape, output_shape, tmp_path, trainable=2)


@pytest.mark.parametrize("rank, strides, padding", [(1, 2, "same"), (2, 3, "valid"), (2, 2, "same"), (3, 2, "valid")])
def test_is_the_gradient_of_the_convolution(rank, strides, padding):
    rng = np.random.default_rng(0)
    x = lm.Variable(rng.standard_normal((2, *[6] * rank, 3)))
    w = rng.standard_normal((*[3] * rank, 3, 4))
    y = lm.ops.conv(x, w, strides, padding)
    dy = rng.standard_normal(y.shape)
    lm.ops.sum(y * dy).backward()
    layer = getattr(layers, f"Conv{rank}DTranspose")(3, 3, strides, padding, use_bias=False, dtype="float64")
    layer.build(y.shape)
    layer.set_weights([w])
    got = layer(dy).numpy()
    cut = tuple(slice(n) for n in got.shape)  # inputs that no window saw are not made
    np.testing.assert_allclose(got, x.grad.numpy()[cut], rtol=1e-12, atol=1e-12)


def test_weights_have_kerasses_shapes():
    layer = layers.Conv2DTranspose(8, (3, 5), name="up")
    layer.build((None, 9, 9, 4))
    assert [(v.path, v.shape) for v in layer.weights] == [("up/kernel", (3, 5, 8, 4)), ("up/bias", (8,))]


def test_unknown_sizes_stay_unknown():
    for rank in (1, 2, 3):
        layer = getattr(layers, f"Conv{rank}DTranspose")(4, 3, strides=2)
        assert tuple(layer.compute_output_shape((None, *[None] * rank, 2))) == (None, *[None] * rank, 4)


def test_errors():
    with pytest.raises(ValueError, match=r"\[Conv2DTranspose\] output_padding must be below the strides.*\(2, 2\)"):
        layers.Conv2DTranspose(4, 3, strides=2, output_padding=2)
    with pytest.raises(ValueError, match=r"\[Conv1DTranspose\] output_padding must be an integer >= 0.*-1"):
        layers.Conv1DTranspose(4, 3, strides=2, output_padding=-1)
    with pytest.raises(ValueError, match=r"\[Conv3DTranspose\] strides and dilation_rate cannot both exceed 1"):
        layers.Conv3DTranspose(4, 3, strides=2, dilation_rate=2)
    with pytest.raises(ValueError, match=r"\[Conv1DTranspose.padding\] is unknown"):
        layers.Conv1DTranspose(4, 3, padding="causal")
    with pytest.raises(ValueError, match="expects inputs of 4 axes, but got 3"):
        layers.Conv2DTranspose(4, 3)(np.zeros((1, 2, 3)))
