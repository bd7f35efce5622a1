import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer

PAIRS = ((1, 0), (0, 2))


@pytest.mark.parametrize(
    "name, kwargs, input_shape, output_shape",
    [
        ("ZeroPadding1D", {}, (2, 4, 3), (2, 6, 3)),
        ("ZeroPadding1D", {"padding": (0, 3)}, (2, 4, 3), (2, 7, 3)),
        ("ZeroPadding1D", {"data_format": "channels_first"}, (2, 3, 4), (2, 3, 6)),
        ("ZeroPadding2D", {}, (2, 4, 3, 1), (2, 6, 5, 1)),
        ("ZeroPadding2D", {"padding": (0, 2)}, (2, 4, 3, 1), (2, 4, 7, 1)),
        ("ZeroPadding2D", {"padding": PAIRS, "data_format": "channels_first"}, (2, 1, 4, 3), (2, 1, 5, 5)),
        ("ZeroPadding3D", {}, (1, 2, 3, 1, 2), (1, 4, 5, 3, 2)),
        ("ZeroPadding3D", {"padding": ((1, 0), (0, 2), (0, 0))}, (1, 2, 3, 1, 2), (1, 3, 5, 1, 2)),
        ("Cropping1D", {}, (2, 4, 3), (2, 2, 3)),
        ("Cropping1D", {"cropping": (0, 3)}, (2, 4, 3), (2, 1, 3)),
        ("Cropping2D", {}, (2, 4, 3, 1), (2, 4, 3, 1)),
        ("Cropping2D", {"cropping": (0, 1)}, (2, 4, 3, 1), (2, 4, 1, 1)),
        ("Cropping2D", {"cropping": PAIRS, "data_format": "channels_first"}, (2, 1, 4, 3), (2, 1, 3, 1)),
        ("Cropping3D", {}, (1, 4, 3, 5, 2), (1, 2, 1, 3, 2)),
        ("Cropping3D", {"cropping": ((1, 0), (0, 2), (0, 0))}, (1, 2, 3, 1, 2), (1, 1, 1, 1, 2)),
    ],
)
def test_contract(name, kwargs, input_shape, output_shape, tmp_path):
    check_layer(getattr(layers, name), kwargs, input_shape, output_shape, tmp_path)


def test_cropping_undoes_padding():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5, 2)).astype("float32")
    sides = ((1, 0), (2, 3), (0, 4))
    padded = layers.ZeroPadding3D(sides)(x)
    assert np.count_nonzero(padded.numpy()) == x.size
    np.testing.assert_array_equal(layers.Cropping3D(sides)(padded).numpy(), x)


def test_unknown_sizes_stay_unknown():
    for rank in (1, 2, 3):
        shape = (None, *[None] * rank, 3)
        assert tuple(getattr(layers, f"ZeroPadding{rank}D")(1).compute_output_shape(shape)) == shape
        assert tuple(getattr(layers, f"Cropping{rank}D")(1).compute_output_shape(shape)) == shape


def test_empty_batches_pass():
    assert layers.Cropping1D(1)(np.zeros((0, 4, 3))).shape == (0, 2, 3)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("ZeroPadding1D", -1, r"\[ZeroPadding1D\] padding must be an integer >= 0. Received: padding=-1"),
        ("ZeroPadding1D", (1, 2, 3), r"\[ZeroPadding1D\] padding must be an integer or two of them.*\(1, 2, 3\)"),
        ("ZeroPadding2D", (1, 2, 3), r"\[ZeroPadding2D\] padding must be an integer, or 2 integers or pairs"),
        ("ZeroPadding2D", "same", r"\[ZeroPadding2D\] padding must be an integer, or 2 integers or pairs.*'same'"),
        ("Cropping3D", (1, (1, 2), 0.5), r"\[Cropping3D\] cropping must be an integer or two of them.*=0.5"),
        ("Cropping2D", ((1, 2), (3, -4)), r"\[Cropping2D\] cropping must be an integer >= 0. Received: cropping=-4"),
    ],
)
def test_bad_arguments(name, value, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(value)


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"\[crop\] nothing is left of an axis.*input.shape=\(1, 4, 3\), cropping"):
        layers.Cropping1D((2, 2), name="crop")(np.zeros((1, 4, 3)))
    with pytest.raises(ValueError, match="expects inputs of 5 axes, but got 4"):
        layers.ZeroPadding3D()(np.zeros((1, 2, 3, 4)))
