"""What rows cannot say of convolution: NaN, unknown sizes, gradients that are not asked for."""

import numpy as np
import pytest

import lamina as lm
from lamina import ops


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


@pytest.mark.parametrize(
    "n, h, w, c, f, kernel, strides, dilation, padding",
    [
        (40, 12, 12, 6, 16, 5, 1, 1, "valid"),
        (3, 9, 11, 3, 7, 4, 2, 1, "same"),
        (2, 10, 8, 1, 7, 5, 1, 2, "same"),
        (1, 7, 30, 8, 17, 3, 3, 1, "valid"),
        (2, 6, 5, 5, 11, 6, 1, 1, "same"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_input_gradient_toward_few_channels(n, h, w, c, f, kernel, strides, dilation, padding, dtype):
    """Against the sum over taps in float64, and the same bits for any number of threads."""
    rng = np.random.default_rng(0)
    x, filters = (
        rng.standard_normal((n, h, w, c)).astype(dtype),
        rng.standard_normal((kernel, kernel, c, f)).astype(dtype),
    )
    xt, wt = lm.convert_to_tensor(x), lm.convert_to_tensor(filters)
    before, results, dy = lm.get_num_threads(), set(), None
    try:
        for threads in (1, 2, 3):
            lm.set_num_threads(threads)
            with lm.GradientTape() as tape:
                tape.watch(xt)
                y = ops.conv(xt, wt, strides=strides, padding=padding, dilation_rate=dilation)
            dy = rng.standard_normal(y.shape).astype(dtype) if dy is None else dy
            dx = tape.gradient(y, xt, lm.convert_to_tensor(dy)).numpy()
            results.add(dx.tobytes())
    finally:
        lm.set_num_threads(before)
    assert len(results) == 1
    reach = (kernel - 1) * dilation + 1
    total = [max((-(-size // strides) - 1) * strides + reach - size, 0) if padding == "same" else 0 for size in (h, w)]
    padded = np.zeros((n, h + total[0], w + total[1], c))
    oh, ow = y.shape[1:3]
    for p in range(kernel):
        for q in range(kernel):
            rows = slice(p * dilation, p * dilation + (oh - 1) * strides + 1, strides)
            columns = slice(q * dilation, q * dilation + (ow - 1) * strides + 1, strides)
            padded[:, rows, columns] += dy.astype("float64") @ filters[p, q].astype("float64").T
    top, left = total[0] // 2, total[1] // 2
    want = padded[:, top : top + h, left : left + w]
    np.testing.assert_allclose(dx, want, rtol=0, atol=(1e-5 if dtype == "float32" else 1e-12) * np.abs(want).max())
