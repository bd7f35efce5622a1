import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "layer_cls, kwargs, input_shapes, output_shape",
    [
        (layers.Add, {}, [(2, 3), (2, 3), (2, 3)], (2, 3)),
        (layers.Add, {}, [(2, 4, 3), (2, 1, 3)], (2, 4, 3)),
        (layers.Add, {}, [(2, 3), (2, 4, 3)], (2, 4, 3)),
        (layers.Subtract, {}, [(2, 3), (2, 3)], (2, 3)),
        (layers.Multiply, {}, [(2, 3), (2, 3), (2, 1)], (2, 3)),
        (layers.Average, {}, [(2, 3), (2, 3), (2, 3)], (2, 3)),
        (layers.Maximum, {}, [(2, 3), (2, 3), (2, 3)], (2, 3)),
        (layers.Minimum, {}, [(2, 4, 3), (2, 1, 3)], (2, 4, 3)),
        (layers.Dot, {"axes": 1}, [(2, 3), (2, 3)], (2, 1)),
        (layers.Dot, {"axes": (1, 2)}, [(2, 3, 5), (2, 4, 3)], (2, 5, 4)),
        (layers.Dot, {"axes": -1, "normalize": True}, [(2, 4, 6, 3), (2, 3)], (2, 4, 6)),
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


def test_two_inputs_only():
    with pytest.raises(ValueError, match=r"\[less\] needs a list of exactly two inputs. Received: list of 3"):
        layers.Subtract(name="less")([np.zeros((2, 3))] * 3)


def test_axes_of_dot():
    for axes in (0, (1, 0), (1,), 1.5, "x"):
        with pytest.raises(ValueError, match=r"\[Dot\] axes must be an integer or two of them.*Received: axes="):
            layers.Dot(axes)
    with pytest.raises(ValueError, match=r"\[dot\] the two axes must have equal sizes.*\(2, 3\) and \(2, 4\)"):
        layers.Dot(1, name="dot")([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match=r"\[dot\] axes must be axes of the inputs.*axes=2.*\(2, 3\)"):
        layers.Dot(2, name="dot")([np.zeros((2, 3)), np.zeros((2, 3))])


def test_functions_are_the_layers():
    a, b = np.array([[1.0, 5.0]], "float32"), np.array([[3.0, 2.0]], "float32")
    for f, want in {
        "add": a + b,
        "subtract": a - b,
        "multiply": a * b,
        "average": (a + b) / 2,
        "maximum": np.maximum(a, b),
        "minimum": np.minimum(a, b),
        "dot": np.array([[13.0]]),
        "concatenate": np.array([[1.0, 5.0, 3.0, 2.0]]),
    }.items():
        np.testing.assert_array_equal(getattr(layers, f)([a, b]).numpy(), want)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\[join\] \[concatenate\]"):
        layers.Concatenate(name="join")([np.zeros((2, 3)), np.zeros((3, 3))])
    with pytest.raises(ValueError, match=r"\[sum\] \[add\]"):
        layers.Add(name="sum")([np.zeros((2, 3)), np.zeros((2, 4))])
