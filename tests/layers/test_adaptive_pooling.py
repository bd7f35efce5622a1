import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize("kind", ["Average", "Max"])
@pytest.mark.parametrize(
    "rank, kwargs, input_shape, output_shape",
    [
        (1, {"output_size": 3}, (2, 7, 3), (2, 3, 3)),
        (1, {"output_size": 5, "data_format": "channels_first"}, (2, 3, 3), (2, 3, 5)),
        (2, {"output_size": (2, 3)}, (2, 6, 7, 3), (2, 2, 3, 3)),
        (2, {"output_size": 1}, (2, 4, 5, 3), (2, 1, 1, 3)),
        (3, {"output_size": 2}, (1, 3, 4, 5, 2), (1, 2, 2, 2, 2)),
        (3, {"output_size": (1, 2, 3), "data_format": "channels_first"}, (1, 2, 3, 3, 5), (1, 2, 1, 2, 3)),
    ],
)
def test_contract(kind, rank, kwargs, input_shape, output_shape, tmp_path):
    check_layer(getattr(layers, f"Adaptive{kind}Pooling{rank}D"), kwargs, input_shape, output_shape, tmp_path)


def test_unknown_sizes_become_known():
    layer = layers.AdaptiveAveragePooling2D((2, 3))
    assert tuple(layer.compute_output_shape((None, None, None, 5))) == (None, 2, 3, 5)


def test_values_outside_of_a_window_do_not_reach_it():
    x = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0, np.inf], "float32").reshape(1, 7, 1)
    got = layers.AdaptiveAveragePooling1D(7)(x).numpy().ravel()
    np.testing.assert_array_equal(got, x.ravel())
    got = layers.AdaptiveAveragePooling1D(5)(x).numpy().ravel()  # windows 0-1, 1-2, 2-4, 4-5, 5-6
    np.testing.assert_array_equal(got, [1.5, np.nan, np.nan, 5.5, np.inf])


def test_of_equal_maxima_the_first_gets_the_gradient():
    x = lm.Variable(np.zeros((1, 4, 4, 1), "float32"))
    lm.ops.sum(layers.AdaptiveMaxPooling2D(2)(x)).backward()
    assert np.flatnonzero(x.grad.numpy()).tolist() == [0, 2, 8, 10]


def test_errors():
    with pytest.raises(ValueError, match=r"\[AdaptiveMaxPooling1D\] output_size must be a positive integer.*=0"):
        layers.AdaptiveMaxPooling1D(0)
    with pytest.raises(ValueError, match=r"\[AdaptiveMaxPooling2D\] output_size must be an integer or two of them"):
        layers.AdaptiveMaxPooling2D((1, 2, 3))
    with pytest.raises(ValueError, match="expects inputs of 4 axes, but got 3"):
        layers.AdaptiveAveragePooling2D(2)(np.zeros((1, 2, 3)))
