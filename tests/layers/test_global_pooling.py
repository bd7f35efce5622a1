import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize("kind", ["Average", "Max"])
@pytest.mark.parametrize("rank, shape", [(1, (2, 5, 3)), (2, (2, 5, 6, 3)), (3, (2, 3, 4, 2, 5))])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_contract(kind, rank, shape, keepdims, first, tmp_path):
    kwargs = {"keepdims": keepdims, "data_format": "channels_first" if first else "channels_last"}
    channels, ones = shape[1 if first else -1], [1] * rank * keepdims
    output_shape = (2, channels, *ones) if first else (2, *ones, channels)
    check_layer(getattr(layers, f"Global{kind}Pooling{rank}D"), kwargs, shape, output_shape, tmp_path)


def test_values():
    x = np.arange(16.0, dtype="float32")
    for rank, shape in [(1, (1, 16, 1)), (2, (1, 4, 4, 1)), (3, (1, 2, 4, 2, 1))]:
        assert getattr(layers, f"GlobalAveragePooling{rank}D")()(x.reshape(shape)).item() == 7.5
        assert getattr(layers, f"GlobalMaxPooling{rank}D")()(x.reshape(shape)).item() == 15.0


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("keepdims", [False, True])
def test_masked_steps_are_not_averaged(first, keepdims):
    x = np.random.default_rng(0).standard_normal((2, 4, 3)).astype("float32")
    mask = np.array([[True, True, False, False], [True, False, True, True]])
    want = np.stack([row[keep].mean(0) for row, keep in zip(x, mask)])
    x[~mask] = np.nan
    layer = layers.GlobalAveragePooling1D("channels_first" if first else None, keepdims)
    got = layer(x.transpose(0, 2, 1) if first else x, mask=mask).numpy()
    assert got.shape == ((2, 3, 1) if first else (2, 1, 3)) if keepdims else (2, 3)
    np.testing.assert_allclose(got.reshape(2, 3), want, rtol=1e-6)


def test_short_names():
    for rank in (1, 2, 3):
        assert getattr(layers, f"GlobalMaxPool{rank}D") is getattr(layers, f"GlobalMaxPooling{rank}D")
        assert getattr(layers, f"GlobalAvgPool{rank}D") is getattr(layers, f"GlobalAveragePooling{rank}D")


def test_errors():
    with pytest.raises(ValueError, match=r"\[GlobalMaxPooling3D.data_format\] is unknown.*'NCHW'"):
        layers.GlobalMaxPooling3D("NCHW")
    with pytest.raises(ValueError, match="expects inputs of 3 axes, but got 4"):
        layers.GlobalAveragePooling1D()(np.zeros((1, 2, 3, 4)))
