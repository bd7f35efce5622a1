import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "layer_cls, kwargs, input_shape, output_shape",
    [
        (layers.Flatten, {}, (2, 3, 4, 5), (2, 60)),
        (layers.Flatten, {}, (2, 3), (2, 3)),
        (layers.Flatten, {"data_format": "channels_first"}, (2, 3, 4), (2, 12)),
        (layers.Reshape, {"target_shape": (4, 3)}, (2, 12), (2, 4, 3)),
        (layers.Reshape, {"target_shape": (-1, 2)}, (2, 4, 3), (2, 6, 2)),
        (layers.Reshape, {"target_shape": 12}, (2, 4, 3), (2, 12)),
        (layers.Permute, {"dims": (2, 1)}, (2, 4, 3), (2, 3, 4)),
        (layers.Permute, {"dims": (3, 1, 2)}, (2, 4, 3, 5), (2, 5, 4, 3)),
    ],
)
def test_contract(layer_cls, kwargs, input_shape, output_shape, tmp_path):
    check_layer(layer_cls, kwargs, input_shape, output_shape, tmp_path)


def test_flatten_makes_a_column_of_a_vector():
    assert layers.Flatten()(np.zeros(3)).shape == (3, 1)


def test_flatten_keeps_integers():
    assert layers.Flatten()(np.zeros((2, 3, 3), np.uint8)).dtype == "uint8"


def test_flatten_of_an_empty_batch():
    assert layers.Flatten()(np.zeros((0, 3, 4))).shape == (0, 12)


def test_flatten_channels_first_moves_the_channels_last():
    x = np.arange(6.0).reshape(1, 2, 3)
    np.testing.assert_array_equal(layers.Flatten("channels_first")(x).numpy(), [[0, 3, 1, 4, 2, 5]])


def test_unknown_sizes_stay_unknown():
    assert layers.Flatten().compute_output_shape((None, None, 3)) == (None, None)
    assert layers.Reshape((-1, 2)).compute_output_shape((None, None, 2)) == (None, None, 2)


@pytest.mark.parametrize("target", [(-1, -1), (-2,), (1.5,)])
def test_bad_target_shape(target):
    with pytest.raises(ValueError, match=r"\[Reshape\] target_shape needs sizes"):
        layers.Reshape(target)


def test_reshape_that_does_not_fit():
    with pytest.raises(ValueError, match=r"12 elements do not make the target shape. Received: input.shape=\(2, 12\)"):
        layers.Reshape((5, 2))(np.zeros((2, 12)))


def test_bad_permutation():
    with pytest.raises(ValueError, match=r"\[Permute\] dims must be a permutation of 1 to 2. Received: dims=\(0, 1\)"):
        layers.Permute((0, 1))
