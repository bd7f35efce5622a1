"""What rows cannot say of convolution: NaN, unknown sizes, gradients that are not asked for."""

import numpy as np
import pytest

import lamina as lm


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_nan_reaches_exactly_the_windows_that_see_it(rng, activation):
    x = rng.standard_normal((1, 6, 6, 2)).astype(np.float32)
    x[0, 2, 3, 1] = np.nan
    y = lm.ops.conv2d(x, rng.standard_normal((3, 3, 2, 5)).astype(np.float32), padding="same", activation=activation)
    want = np.zeros((6, 6), bool)
    want[1:4, 2:5] = True
    np.testing.assert_array_equal(np.isnan(y.numpy()), np.broadcast_to(want[None, :, :, None], y.shape))


@pytest.mark.parametrize(
    ("shape", "kwargs", "want"),
    [
        ((None, 28, 28, 1), {}, (None, 26, 26, 4)),
        ((2, None, 28, 1), {"padding": "same", "strides": 2}, (2, None, 14, 4)),
        ((None, None, None, None), {"padding": (1, 1, 0, 0)}, (None, None, None, 4)),
    ],
)
def test_unknown_sizes_stay_unknown(shape, kwargs, want):
    x = lm.Tensor(lm._core.symbolic(shape, "float32"))
    assert lm.ops.conv2d(x, np.ones((3, 3, 1, 4), np.float32), np.ones(4, np.float32), **kwargs).shape == want


def test_frozen_filters_and_images_get_no_gradient(rng):
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 5, 3), (3, 3, 3, 4), (4,)))
    variables = [lm.Variable(v) for v in (x, w, b)]
    lm.ops.sum(lm.ops.conv2d(*variables, activation="relu")).backward()
    for i in range(3):
        mixed = [lm.Variable(v) if i == k else lm.convert_to_tensor(v) for k, v in enumerate((x, w, b))]
        lm.ops.sum(lm.ops.conv2d(*mixed, activation="relu")).backward()
        np.testing.assert_allclose(mixed[i].grad.numpy(), variables[i].grad.numpy(), rtol=1e-5, atol=1e-5)
