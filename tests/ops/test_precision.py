"""The levels of `set_matmul_precision`: "high" must err no more than chains of fma do, on any kind of data."""

import numpy as np
import pytest

import lamina as lm
from lamina import _core, ops

SPLITS = _core.isa() == "amx"


@pytest.fixture(autouse=True)
def default_precision():
    yield
    lm.set_matmul_precision("high")


def product(a, b, precision):
    lm.set_matmul_precision(precision)
    return ops.matmul(a, b).numpy()


def normal(rng, m, n, k):
    return rng.standard_normal((m, k)), rng.standard_normal((k, n))


def badly_scaled(rng, m, n, k):
    a, b = normal(rng, m, n, k)
    return a * 10 ** rng.uniform(-20, 20, (m, 1)), b


def scaled_columns(rng, m, n, k):
    a, b = normal(rng, m, n, k)
    return a * 10 ** rng.uniform(-10, 6, (m, 1)), b * 10 ** rng.uniform(-10, 6, (1, n))


def cancelling(rng, m, n, k):
    a, b = normal(rng, m, n, k // 2)
    return np.hstack([a, -a + 1e-4 * rng.standard_normal(a.shape)]), np.vstack([b, b])


def tiny(rng, m, n, k):
    a, b = normal(rng, m, n, k)
    return a * 1e-25, b * 1e-8


def positive(rng, m, n, k):
    return tuple(np.abs(x) for x in normal(rng, m, n, k))


@pytest.mark.parametrize("data", [normal, badly_scaled, scaled_columns, cancelling, tiny, positive])
@pytest.mark.parametrize(
    "shape", [(128, 96, 64), (200, 130, 300), (96, 256, 1030), (16, 512, 256), (32, 70, 784), (100, 500, 96)]
)
def test_high_errs_no_more_than_fma(data, shape):
    rng = np.random.default_rng(0)
    a, b = (x.astype(np.float32) for x in data(rng, *shape))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    norm = np.linalg.norm(exact, axis=1)
    errors = {}
    for level in ("highest", "high"):
        difference = product(a, b, level) - exact
        errors[level] = np.mean(np.linalg.norm(difference, axis=1) / norm), np.max(np.abs(difference) / bound)
    assert errors["high"][0] <= 1.001 * errors["highest"][0]  # relative Frobenius, row by row
    assert errors["high"][1] <= 1.001 * errors["highest"][1]  # worst element against the a-priori bound


@pytest.mark.parametrize("level, bound", [("medium", 2**-14), ("low", 2**-7)])
def test_lower_levels_keep_their_promise(level, bound):
    a, b = (x.astype(np.float32) for x in normal(np.random.default_rng(1), 128, 128, 256))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    error = np.max(np.abs(product(a, b, level) - exact) / (np.abs(a) @ np.abs(b)))
    assert error < bound
    assert not SPLITS or error > bound / 256


@pytest.mark.parametrize("level", ["high", "medium", "low"])
@pytest.mark.parametrize("shape", [(128, 128, 256), (72, 300, 256)])
def test_infinities_and_nans_are_those_of_ieee(level, shape):
    a, b = (x.astype(np.float32) for x in normal(np.random.default_rng(2), *shape))
    a[3, 5], a[70, 200], b[9, 100] = np.inf, np.nan, 3e38
    want, y = product(a, b, "highest"), product(a, b, level)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(want))
    np.testing.assert_array_equal(np.isneginf(y), np.isneginf(want))


@pytest.mark.parametrize("shape", [(300, 520, 270), (64, 40, 5000), (1000, 33, 65), (16, 600, 300), (50, 300, 500)])
def test_bits_do_not_depend_on_threads(shape):
    a, b = (x.astype(np.float32) for x in normal(np.random.default_rng(3), *shape))
    results, before = set(), lm.get_num_threads()
    try:
        for threads in (1, 2, 3, 4, 7):
            lm.set_num_threads(threads)
            results.add(product(a, b, "high").tobytes())
    finally:
        lm.set_num_threads(before)
    assert len(results) == 1


def test_gradients_follow_the_level():
    a, b = (lm.convert_to_tensor(x.astype(np.float32)) for x in normal(np.random.default_rng(4), 128, 128, 128))

    def gradient(level):
        lm.set_matmul_precision(level)
        with lm.GradientTape() as tape:
            tape.watch(a)
            y = ops.matmul(a, b)
        return tape.gradient(y, a, ops.ones_like(y)).numpy()

    exact = np.ones((128, 128)) @ b.numpy().astype(np.float64).T
    high, low = (np.abs(gradient(level) - exact).max() for level in ("high", "low"))
    assert high < 1e-4
    assert low > 100 * high if SPLITS else low == high


# Large enough to be worth splitting; batch, height, width, channels, filters, kernel, strides, padding, dilation.
CONVOLUTIONS = {
    "valid": (8, 13, 13, 32, 64, 3, 1, "valid", 1),
    "same": (4, 15, 17, 64, 96, 3, 1, "same", 1),
    "wide": (3, 21, 40, 32, 40, 5, 1, "same", 1),
    "dilated": (4, 20, 20, 32, 64, 3, 1, "same", 2),
    "strided": (8, 17, 17, 96, 128, 3, 2, "same", 1),
    "strides of two kinds": (4, 29, 29, 64, 80, 3, (2, 3), "same", 1),
    "strided and dilated": (4, 33, 33, 64, 64, 3, 2, "same", 3),
    "strided, one tap": (4, 29, 29, 128, 128, 1, 2, "valid", 1),
    "one tap": (4, 14, 14, 256, 128, 1, 1, "valid", 1),
    "many channels": (8, 7, 7, 256, 256, 3, 1, "same", 1),
    "small images": (38, 4, 4, 256, 256, 3, 1, "same", 1),
    "rows of one image": (1, 130, 130, 64, 64, 3, 1, "same", 1),
}


def convolution(case, level, poison=None, of_filters=False):
    """Output and both gradients, float32, or float64 where level is None."""
    n, h, w, c, f, kernel, strides, padding, dilation = case
    rng = np.random.default_rng(5)
    x, filters = rng.standard_normal((n, h, w, c)), rng.standard_normal((kernel, kernel, c, f)) / np.sqrt(kernel**2 * c)
    if poison is not None:
        (filters[0, 0, 5] if of_filters else x[0, 1, 1])[2] = poison
    dtype = "float64" if level is None else "float32"
    lm.set_matmul_precision(level or "high")
    x, filters = (lm.convert_to_tensor(v.astype("float32").astype(dtype)) for v in (x, filters))
    with lm.GradientTape() as tape:
        tape.watch([x, filters])
        y = ops.conv(x, filters, strides=strides, padding=padding, dilation_rate=dilation)
    dy = lm.convert_to_tensor(np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype("float32").astype(dtype))
    return [v.numpy() for v in (y, *tape.gradient(y, [x, filters], dy))]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_err_no_more_than_fma(case):
    exact, highest, high = (convolution(CONVOLUTIONS[case], level) for level in (None, "highest", "high"))
    for want, fma, got in zip(exact, highest, high):
        scale = np.linalg.norm(want)
        assert np.linalg.norm(got - want) / scale <= max(1.1 * np.linalg.norm(fma - want) / scale, 2e-7)


@pytest.mark.skipif(not SPLITS, reason="no tiles")
def test_convolutions_are_made_of_parts():
    for case in CONVOLUTIONS.values():
        high, low = convolution(case, "high"), convolution(case, "low")
        assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(high, low)), case


@pytest.mark.parametrize("case", ["valid", "one tap", "strided", "small images", "rows of one image"])
@pytest.mark.parametrize("poison", [np.inf, np.nan, 3e38, 1e12])
def test_convolutions_of_what_must_not_be_split(case, poison):
    fma, got = (convolution(CONVOLUTIONS[case], level, poison) for level in ("highest", "high"))
    for want, y in zip(fma, got):
        np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
        finite = np.isfinite(want)
        np.testing.assert_allclose(y[finite], want[finite], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("case", ["valid", "many channels", "small images"])
@pytest.mark.parametrize("poison", [np.inf, 1e12])
def test_convolutions_with_filters_that_must_not_be_split(case, poison):
    fma, got = (convolution(CONVOLUTIONS[case], level, poison, of_filters=True) for level in ("highest", "high"))
    for want, y in zip(fma, got):
        np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
        finite = np.isfinite(want)
        np.testing.assert_allclose(y[finite], want[finite], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kernel", [1, 3])
def test_layers_with_bias_and_activation(kernel):
    """Rows that end in dropped positions, and gradients of several stages."""
    rng = np.random.default_rng(5)
    values = [rng.standard_normal(shape) for shape in ((5, 29, 29, 128), (kernel, kernel, 128, 160), (160,))]
    values[1] /= kernel * np.sqrt(128)
    results = []
    for dtype in ("float32", "float64"):
        x, w, b = (lm.convert_to_tensor(v.astype("float32").astype(dtype)) for v in values)
        with lm.GradientTape() as tape:
            tape.watch([x, w, b])
            y = ops.conv2d(x, w, b, padding="same", activation="tanh")
        dy = np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype("float32").astype(dtype)
        results.append([v.numpy() for v in (y, *tape.gradient(y, [x, w, b], lm.convert_to_tensor(dy)))])
    for got, want in zip(*results):
        assert np.linalg.norm(got - want) <= 2e-6 * np.linalg.norm(want)


@pytest.mark.parametrize("case", ["same", "one tap", "many channels", "strided", "small images"])
def test_bits_of_convolutions_do_not_depend_on_threads(case):
    results, before = set(), lm.get_num_threads()
    try:
        for threads in (1, 2, 3, 4, 7):
            lm.set_num_threads(threads)
            results.add(b"".join(v.tobytes() for v in convolution(CONVOLUTIONS[case], "high")))
    finally:
        lm.set_num_threads(before)
    assert len(results) == 1
