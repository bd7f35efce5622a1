"""Products of bfloat16 and int8: on tiles where the CPU has them, else through wider types; the same promises."""

import numpy as np
import pytest

import lamina as lm
from lamina import ops

# Around a tile's 16 rows and columns, its 32 or 64 terms, the panels of 32, and the blocks of K and of columns.
SHAPES = [
    (1, 1, 1),
    (3, 5, 7),
    (16, 32, 16),
    (17, 33, 18),
    (31, 65, 33),
    (1, 300, 50),
    (300, 64, 1),
    (70, 1030, 600),
    (40, 2500, 90),
    (2100, 40, 30),
    (48, 1056, 1120),  # A's rows are whole lines, read in place; more blocks of columns than threads
    (600, 64, 70),  # blocks of rows
]
FORMS = ["rows", "columns", "strided"]


def stored(rng, rows, cols, form, dtype):
    """A matrix whose elements lie along its rows, along its columns, or apart."""
    shape = {"rows": (rows, cols), "columns": (cols, rows), "strided": (2 * rows, 3 * cols)}[form]
    if dtype == "int8":
        x = lm.convert_to_tensor(rng.integers(-128, 128, shape).astype(np.int8))
    else:
        x = ops.cast(rng.standard_normal(shape).astype(np.float32), dtype)
    return {"rows": x, "columns": ops.transpose(x), "strided": x[::2, ::3]}[form]


def exact(x):
    return ops.cast(x, "float64").numpy()


def assert_rounded_once(y, a, b):
    """Within half a unit of bfloat16 of the product, and what sums in float32 may lose."""
    want, size = a @ b, np.abs(a) @ np.abs(b)
    bound = np.abs(want) * 2**-8 + size * (a.shape[-1] + 1) ** 0.5 * 2**-22 + 1e-30
    assert (np.abs(exact(y) - want) <= bound).all()


@pytest.mark.parametrize("second", FORMS)
@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_bfloat16_is_rounded_once(m, k, n, first, second):
    rng = np.random.default_rng(0)
    a, b = stored(rng, m, k, first, "bfloat16"), stored(rng, k, n, second, "bfloat16")
    y = ops.matmul(a, b)
    assert y.dtype == "bfloat16"
    assert_rounded_once(y, exact(a), exact(b))


@pytest.mark.parametrize("second", FORMS)
@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_int8_is_exact(m, k, n, first, second):
    rng = np.random.default_rng(0)
    a, b = stored(rng, m, k, first, "int8"), stored(rng, k, n, second, "int8")
    y = ops.matmul(a, b)
    assert y.dtype == "int32"
    np.testing.assert_array_equal(y.numpy(), a.numpy().astype(np.int64) @ b.numpy().astype(np.int64))


def test_int8_sums_wrap_in_32_bits():
    x = ops.full((1, 140_000), -128, dtype="int8")
    want = np.array(128 * 128 * 140_000).astype(np.int32)
    assert ops.matmul(x, ops.transpose(x)).numpy() == want


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize(
    "first, second",
    [((4,), (4,)), ((4,), (4, 2)), ((5, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((4, 3), (2, 3, 5))]
    + [((0, 3), (3, 2)), ((2, 0), (0, 3))],
)
def test_shapes_follow_numpy(first, second, dtype):
    rng = np.random.default_rng(1)
    a, b = (ops.cast(rng.integers(-9, 10, shape).astype(np.float32), dtype) for shape in (first, second))
    y = ops.matmul(a, b)
    want = exact(a) @ exact(b)
    assert y.shape == want.shape
    np.testing.assert_allclose(exact(y), want, rtol=2**-8)


@pytest.mark.parametrize(
    "first, second", [((40, 70), (70, 33)), ((7, 5), (3, 5, 4)), ((6,), (6, 3)), ((2, 3, 4), (4, 5))]
)
def test_bfloat16_gradients(first, second):
    rng = np.random.default_rng(2)
    a, b = (ops.cast(rng.standard_normal(shape).astype(np.float32), "bfloat16") for shape in (first, second))
    with lm.GradientTape() as tape:
        tape.watch([a, b])
        y = ops.matmul(a, b)
    dy = ops.cast(rng.standard_normal(y.shape).astype(np.float32), "bfloat16")
    narrow = tape.gradient(y, [a, b], output_gradients=dy)
    a, b = ops.cast(a, "float64"), ops.cast(b, "float64")
    with lm.GradientTape() as tape:
        tape.watch([a, b])
        y = ops.matmul(a, b)
    for got, want in zip(narrow, tape.gradient(y, [a, b], output_gradients=ops.cast(dy, "float64"))):
        assert got.dtype == "bfloat16"
        assert got.shape == want.shape
        # Broadcast operands sum products that were rounded already.
        assert np.abs(exact(got) - want.numpy()).max() <= 2**-7 * np.abs(want.numpy()).max()


def test_bfloat16_infinities_and_nans_stay_in_their_rows():
    a, b = np.ones((40, 70), np.float32), np.ones((70, 50), np.float32)
    a[3, 5], a[33, 69] = np.inf, np.nan
    y = exact(ops.matmul(ops.cast(a, "bfloat16"), ops.cast(b, "bfloat16")))
    assert (y[3] == np.inf).all()
    assert np.isnan(y[33]).all()
    assert (np.delete(y, [3, 33], axis=0) == 70).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("form", ["rows", "columns"])
@pytest.mark.parametrize("shape", [(300, 270, 520), (64, 5000, 40), (20, 700, 1000), (48, 1056, 1120), (600, 96, 70)])
def test_bits_do_not_depend_on_threads(shape, form, dtype):
    rng = np.random.default_rng(3)
    a, b = stored(rng, *shape[:2], form, dtype), stored(rng, *shape[1:], "rows", dtype)
    results, before = set(), lm.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            lm.set_num_threads(threads)
            results.add(exact(ops.matmul(a, b)).tobytes())
    finally:
        lm.set_num_threads(before)
    assert len(results) == 1
