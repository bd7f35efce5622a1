import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "layer_cls, kwargs, input_shapes, output_shape",
    [
        (layers.Add, {}, [(2, 3), (2, 3), (2, 3)], (2, 3)),
        (layers.Add, {}, [(2, 4, 3), (2, 1, 3)], (2, 4, 3)),
        (layers.Concatenate, {}, [(2, 3), (2, 5)], (2, 8)),
        (layers.Concatenate, {"axis": 1}, [(2, 3, 4), (2, 5, 4)], (2, 8, 4)),
    ],
)
def test_contract(layer_cls, kwargs, input_shapes, output_shape, tmp_path):
    check_layer(layer_cls, kwargs, input_shapes, output_shape, tmp_path)


def test_needs_a_list():
    with pytest.raises(ValueError, match=r"\[sum\] needs a list of at least two inputs. Received: ndarray"):
        layers.Add(name="sum")(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="list of 1"):
        layers.Add()([np.zeros((2, 3))])


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\[join\] \[concatenate\]"):
        layers.Concatenate(name="join")([np.zeros((2, 3)), np.zeros((3, 3))])
    with pytest.raises(ValueError, match=r"\[sum\] \[add\]"):
        layers.Add(name="sum")([np.zeros((2, 3)), np.zeros((2, 4))])
