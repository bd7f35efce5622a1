"""What rows cannot say of convolution: NaN, unknown sizes, gradients that are not asked for."""

import numpy as np
import pytest

import lamina as lm
from lamina import ops

from . import rows_conv as reference


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


@pytest.mark.parametrize("groups, activation", [(1, "relu"), (4, "relu"), (4, None)])
def test_frozen_filters_and_images_get_no_gradient(rng, groups, activation):
    shapes = (2, 5, 5, 4), (3, 3, 4 // groups, 4), (4,)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    variables = [lm.Variable(v) for v in (x, w, b)]
    lm.ops.sum(lm.ops.conv2d(*variables, groups=groups, activation=activation)).backward()
    for i in range(3):
        mixed = [lm.Variable(v) if i == k else lm.convert_to_tensor(v) for k, v in enumerate((x, w, b))]
        lm.ops.sum(lm.ops.conv2d(*mixed, groups=groups, activation=activation)).backward()
        np.testing.assert_allclose(mixed[i].grad.numpy(), variables[i].grad.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "n, h, w, c, f, kernel, strides, dilation, padding",
    [
        (40, 12, 12, 6, 16, 5, 1, 1, "valid"),
        (3, 9, 11, 3, 7, 4, 2, 1, "same"),
        (2, 10, 8, 1, 7, 5, 1, 2, "same"),
        (1, 7, 30, 8, 17, 3, 3, 1, "valid"),
        (2, 6, 5, 5, 11, 6, 1, 1, "same"),
        (5, 12, 11, 3, 32, 5, 1, 1, "same"),
        (2, 15, 13, 3, 40, 4, 2, 1, "same"),
        (1, 21, 19, 8, 33, 3, 3, 1, "valid"),
        (2, 10, 12, 2, 64, 3, 1, 2, "same"),
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


@pytest.mark.parametrize(
    "n, h, w, c, f, stride",
    [
        (17, 13, 13, 32, 64, 1),
        (9, 32, 32, 64, 64, 1),
        (11, 9, 7, 96, 40, 1),
        (8, 16, 16, 64, 128, 2),
        (6, 4, 4, 128, 256, 1),
    ],
)
def test_shares_of_the_images(n, h, w, c, f, stride):
    """Threads that take images for themselves: the same bits for any number, also of a step captured with another."""
    rng = np.random.default_rng(0)
    x, filters, bias = (rng.standard_normal(s).astype(np.float32) for s in ((n, h, w, c), (3, 3, c, f), (f,)))
    sources = [lm.convert_to_tensor(v) for v in (x, filters / 16, bias)]

    def layer(x, filters, bias, dy=None):
        with lm.GradientTape() as tape:
            for source in (x, filters, bias):
                tape.watch(source)
            y = ops.conv2d(x, filters, bias, strides=stride, padding="same", activation="tanh")
        return (y, *tape.gradient(y, [x, filters, bias], y if dy is None else dy))

    def results(run):
        return b"".join(v.numpy().tobytes() for v in run(*sources))

    before, bits, captured = lm.get_num_threads(), set(), lm.function(layer)
    try:
        for threads in (3, 1, 2, 4, 7):
            lm.set_num_threads(threads)
            bits |= {results(layer), results(captured)}
    finally:
        lm.set_num_threads(before)
    assert len(bits) == 1
    got = layer(*sources)
    precision = lm.get_matmul_precision()
    try:
        lm.set_matmul_precision("highest")
        want = layer(*sources, dy=got[0])
    finally:
        lm.set_matmul_precision(precision)
    for value, expected in zip(got, want):
        scale = np.abs(expected.numpy()).max()
        np.testing.assert_allclose(value.numpy(), expected.numpy(), rtol=0, atol=1e-5 * scale)


def windows(x, kernel, dilation, oh, ow):
    """The (n, oh, ow, kernel, kernel, c) pixels that outputs of stride 1 see; x is padded already."""
    taps = [[x[:, p * dilation :, q * dilation :][:, :oh, :ow] for q in range(kernel)] for p in range(kernel)]
    return np.stack([np.stack(row, 3) for row in taps], 3)


@pytest.mark.parametrize(
    "n, h, w, c, f, kernel, dilation, padding, activation",
    [
        (37, 28, 28, 1, 6, 5, 1, "valid", "relu"),
        (3, 13, 17, 3, 8, 3, 1, "same", "tanh"),
        (2, 9, 40, 17, 1, 3, 2, "same", "sigmoid"),
        (1, 150, 61, 12, 3, 4, 1, "valid", None),  # bands of rows
        (20, 5, 4, 9, 2, 3, 1, "same", "relu"),
        (2, 7, 21, 2, 5, 2, 3, "valid", None),
        (1, 6, 6, 33, 7, 5, 1, "same", None),
        (5, 1, 19, 1, 4, 4, 1, "same", "relu"),
        (160, 4, 4, 64, 2, 3, 1, "same", None),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_filters(rng, n, h, w, c, f, kernel, dilation, padding, activation, dtype):
    """Against sums over windows in float64, and the same bits for any number of threads."""
    x = rng.standard_normal((n, h, w, c)).astype(dtype)
    filters, bias = rng.standard_normal((kernel, kernel, c, f)).astype(dtype), rng.standard_normal(f).astype(dtype)
    xt, wt, bt = (lm.convert_to_tensor(v) for v in (x, filters, bias))
    before, results, dy = lm.get_num_threads(), set(), None
    try:
        for threads in (1, 2, 3):
            lm.set_num_threads(threads)
            with lm.GradientTape() as tape:
                for source in (xt, wt, bt):
                    tape.watch(source)
                y = ops.conv2d(xt, wt, bt, padding=padding, dilation_rate=dilation, activation=activation)
            dy = rng.standard_normal(y.shape).astype(dtype) if dy is None else dy
            got = [y.numpy()] + [g.numpy() for g in tape.gradient(y, [wt, bt], lm.convert_to_tensor(dy))]
            results.add(b"".join(v.tobytes() for v in got))
    finally:
        lm.set_num_threads(before)
    assert len(results) == 1

    total = (kernel - 1) * dilation if padding == "same" else 0
    sides = (total // 2, total - total // 2)
    seen = windows(np.pad(x.astype("float64"), ((0, 0), sides, sides, (0, 0))), kernel, dilation, *y.shape[1:3])
    z = np.einsum("nhwpqc,pqcf->nhwf", seen, filters.astype("float64")) + bias
    f_z, slope = {
        None: (z, np.ones_like(z)),
        "relu": (np.maximum(z, 0), z > 0),
        "tanh": (np.tanh(z), 1 - np.tanh(z) ** 2),
        "sigmoid": (1 / (1 + np.exp(-z)), np.exp(-z) / (1 + np.exp(-z)) ** 2),
    }[activation]
    dz = dy * slope
    for value, want in zip(got, (f_z, np.einsum("nhwpqc,nhwf->pqcf", seen, dz), dz.sum((0, 1, 2)))):
        tolerance = 2e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(value, want, rtol=0, atol=tolerance * np.abs(want).max())


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_few_filters_spread_infinities_to_the_weights_that_see_them_only(rng, bad):
    x = rng.standard_normal((2, 8, 9, 1)).astype(np.float32)
    x[1, 3, 0, 0] = bad  # column 0 is seen by the taps of column 0 alone
    filters = lm.Variable(rng.standard_normal((3, 3, 1, 4)).astype(np.float32))
    lm.ops.sum(lm.ops.conv2d(x, filters)).backward()
    want = np.zeros((3, 3, 1, 4), bool)
    want[:, 0] = True
    np.testing.assert_array_equal(~np.isfinite(filters.grad.numpy()), want)


@pytest.mark.parametrize(
    "shape, stride, padding",
    [
        ((3, 11, 9, 40), 1, (1, 1, 1, 1)),
        ((2, 14, 15, 35), 2, (1, 1, 1, 1)),
        ((1, 5, 1100, 48), 1, (1, 1, 1, 1)),  # one row is several tiles
        ((1, 6, 1300, 33), 2, (0, 1, 0, 1)),
        ((5, 3, 3, 7), 1, (3, 0, 4, 2)),  # outputs that see nothing but padding
    ],
)
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_depthwise_gradients_come_together(rng, shape, stride, padding, activation):
    """All gradients of a layer against the sums over taps in float64, with the same bits for any number of threads."""
    window = {"strides": stride, "padding": padding, "groups": shape[-1]}
    x, w, b = (rng.standard_normal(s) for s in (shape, (3, 3, 1, shape[-1]), shape[-1:]))
    y = reference.conv2d(x, w, b, activation, **window)
    dy = rng.standard_normal(y.shape)
    dz = dy * (1 - y**2) if activation else dy
    want = (
        reference.conv2d_input_grad(dz, w, x.shape, **window),
        reference.conv2d_weight_grad(x, dz, w.shape, **window),
        dz.sum((0, 1, 2)),
    )
    sources = [lm.convert_to_tensor(a.astype(np.float32)) for a in (x, w, b)]
    before, results = lm.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            lm.set_num_threads(threads)
            with lm.GradientTape() as tape:
                for source in sources:
                    tape.watch(source)
                out = lm.ops.conv2d(*sources, activation=activation, **window)
            grads = tape.gradient(out, sources, lm.convert_to_tensor(dy.astype(np.float32)))
            results.add(b"".join(g.numpy().tobytes() for g in (out, *grads)))
    finally:
        lm.set_num_threads(before)
    assert len(results) == 1
    for got, expected in zip((out, *grads), (y, *want)):
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(got.numpy() / scale, expected / scale, atol=2e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_infinity_at_the_border_meets_only_taps_inside(rng, stride):
    """Of x: the taps that see it. Of dy: the pixels and taps that it saw. Padding multiplies nothing."""
    w = rng.uniform(1, 2, (3, 3, 1, 5)).astype(np.float32)
    x, dy = np.ones((1, 6, 6, 5), np.float32), np.ones((1, 6 // stride, 6 // stride, 5), np.float32)

    def gradients(x, dy):
        sources = [lm.convert_to_tensor(x), lm.convert_to_tensor(w)]
        with lm.GradientTape() as tape:
            for source in sources:
                tape.watch(source)
            y = lm.ops.conv2d(*sources, strides=stride, padding=(1, 1, 1, 1), groups=5)
        return [np.isfinite(g.numpy()) for g in tape.gradient(y, sources, lm.convert_to_tensor(dy))]

    corner = x.copy()
    corner[0, 0, 0] = np.inf
    dx, dw = gradients(corner, dy)
    # Tap (p, q) of output (i, j) sees pixel (stride i + p - 1, stride j + q - 1).
    taps = np.array([[p <= 1 and q <= 1 and (stride == 1 or p == q == 1) for q in range(3)] for p in range(3)])
    assert dx.all() and (dw == ~taps[:, :, None, None]).all()
    edge = dy.copy()
    edge[0, 0, 0] = np.inf
    dx, dw = gradients(x, edge)
    met = np.zeros((6, 6), bool)
    met[:2, :2] = True
    taps = np.array([[p >= 1 and q >= 1 for q in range(3)] for p in range(3)])
    assert (dx == ~met[None, :, :, None]).all() and (dw == ~taps[:, :, None, None]).all()


@pytest.mark.parametrize(
    ("channels", "kernel", "bias", "activation"),
    [(32, 1, False, None), (64, 1, True, "relu"), (3, 3, False, None), (3, 3, True, "relu"), (3, 3, True, "tanh")],
)
def test_results_written_past_the_caches(rng, channels, kernel, bias, activation):
    # 20 MB are; each image by itself is not.
    x = rng.standard_normal((2, 200, 200, channels)).astype(np.float32)
    w = rng.standard_normal((kernel, kernel, channels, 64)).astype(np.float32)
    b = rng.standard_normal(64).astype(np.float32) if bias else None

    def call(images):
        return lm.ops.conv2d(images, w, b, padding="same", activation=activation).numpy()

    np.testing.assert_array_equal(call(x), np.concatenate([call(x[:1]), call(x[1:])]))
