import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize("kwargs, input_shape", [({}, (6, 3)), ({"axis": 1}, (2, 3, 4)), ({"axis": [1, 2]}, (2, 3, 4))])
def test_contract(kwargs, input_shape, tmp_path):
    check_layer(layers.UnitNormalization, kwargs, input_shape, input_shape, tmp_path)


def test_rows_have_norm_1(rng):
    y = layers.UnitNormalization()(rng.standard_normal((4, 50)).astype("float32")).numpy()
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1, rtol=1e-6)


def test_zeros_stay_with_a_finite_gradient():
    layer = layers.UnitNormalization()
    x = lm.Variable(np.zeros((1, 3), "float32"))
    y = layer(x)
    np.testing.assert_array_equal(y.numpy(), 0)
    lm.ops.sum(y).backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"\[UnitNormalization\] axis must be an integer or a list.*axis='1'"):
        layers.UnitNormalization(axis="1")
    with pytest.raises(ValueError, match=r"\[un\] axis is out of range.*axis=2, input_shape=\(2, 3\)"):
        layers.UnitNormalization(axis=2, name="un").compute_output_shape((2, 3))
