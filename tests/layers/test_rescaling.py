import numpy as np
import pytest

from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize("kwargs", [{"scale": 0.5}, {"scale": [1.0, 2.0, 3.0], "offset": -1.0}])
def test_contract(kwargs, tmp_path):
    check_layer(layers.Rescaling, kwargs, (2, 4, 3), (2, 4, 3), tmp_path)


def test_pixels():
    y = layers.Rescaling(1 / 127.5, offset=-1)(np.array([[0, 255]], np.uint8))
    assert y.dtype == "float32"
    np.testing.assert_allclose(y.numpy(), [[-1, 1]], atol=1e-6)
