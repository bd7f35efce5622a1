import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize(
    "name, kwargs, input_shape, output_shape",
    [
        ("UpSampling1D", {}, (2, 4, 3), (2, 8, 3)),
        ("UpSampling1D", {"size": 3}, (2, 1, 3), (2, 3, 3)),
        ("UpSampling2D", {}, (2, 4, 3, 1), (2, 8, 6, 1)),
        ("UpSampling2D", {"size": (1, 3), "data_format": "channels_first"}, (2, 1, 4, 3), (2, 1, 4, 9)),
        ("UpSampling2D", {"interpolation": "bilinear"}, (2, 4, 3, 1), (2, 8, 6, 1)),
        (
            "UpSampling2D",
            {"size": 3, "interpolation": "BILINEAR", "data_format": "channels_first"},
            (1, 2, 1, 2),
            (1, 2, 3, 6),
        ),
        ("UpSampling3D", {}, (1, 2, 3, 1, 2), (1, 4, 6, 2, 2)),
        ("UpSampling3D", {"size": (2, 1, 3), "data_format": "channels_first"}, (1, 2, 2, 3, 1), (1, 2, 4, 3, 3)),
    ],
)
def test_contract(name, kwargs, input_shape, output_shape, tmp_path):
    check_layer(getattr(layers, name), kwargs, input_shape, output_shape, tmp_path)


def test_nearest_repeats():
    x = np.random.default_rng(0).standard_normal((2, 2, 3, 2, 2)).astype("float32")
    want = x.repeat(2, 1).repeat(3, 2).repeat(4, 3)
    np.testing.assert_array_equal(layers.UpSampling3D((2, 3, 4))(x).numpy(), want)


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_bilinear_is_linear_between_centres(times, size):
    values = np.random.default_rng(0).standard_normal(size)
    centres = (np.arange(size * times) + 0.5) / times - 0.5
    want = np.interp(centres, np.arange(size), values)
    layer = layers.UpSampling2D((times, 1), interpolation="bilinear", dtype="float64")
    np.testing.assert_allclose(layer(values.reshape(1, size, 1, 1)).numpy().ravel(), want, rtol=1e-12)


def test_unknown_sizes_stay_unknown():
    for layer in (layers.UpSampling1D(), layers.UpSampling2D(), layers.UpSampling3D()):
        shape = (None, *[None] * (layer.input_spec.ndim - 2), 3)
        assert tuple(layer.compute_output_shape(shape)) == shape
    layer = layers.UpSampling2D(interpolation="bilinear")
    assert tuple(layer.compute_output_shape((None, None, 5, 3))) == (None, None, 10, 3)


def test_errors():
    with pytest.raises(ValueError, match=r"\[UpSampling1D\] size must be a positive integer. Received: size=0"):
        layers.UpSampling1D(0)
    with pytest.raises(ValueError, match=r"\[UpSampling2D\] size must be an integer or two of them"):
        layers.UpSampling2D((1, 2, 3))
    with pytest.raises(ValueError, match=r"\[UpSampling2D.interpolation\] is unknown.*'bicubic'"):
        layers.UpSampling2D(interpolation="bicubic")
