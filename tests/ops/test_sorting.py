"""Sorting beyond the rows: every element type, NumPy's order of odd values, ties, lines that count by digits."""

import numpy as np
import pytest

import lamina as lm

TYPES = ["bool", "uint8", "int8", "int32", "int64", "float32", "float64"]


def values(rng, dtype, shape):
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith("float"):
        x = (rng.standard_normal(shape) * 10.0 ** rng.integers(-45, 38, shape)).astype(dtype)
        x.reshape(-1)[:: max(x.size // 40, 1)] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42], 1)
        return x
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n", [1, 2, 100, 767, 768, 5000])
def test_every_type_sorts_as_in_numpy(dtype, n, rng):
    for _ in range(6 if n < 768 else 3):
        x = values(rng, dtype, (2, n))
        np.testing.assert_array_equal(lm.ops.argsort(x).numpy(), np.argsort(x, -1, kind="stable"))
        y = lm.ops.sort(x)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.numpy(), np.sort(x, -1))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("k", [1, 30, 2000])
def test_top_k_is_the_end_of_the_order(dtype, k, rng):
    x = values(rng, dtype, 2000)
    # The stable order from the other end: equal elements by rising index.
    want = (1999 - np.argsort(x[::-1], kind="stable"))[::-1][:k]
    top, where = lm.ops.top_k(x, k)
    np.testing.assert_array_equal(where.numpy(), want)
    np.testing.assert_array_equal(top.numpy(), x[want])


def test_digits_that_all_share_are_skipped():
    x = np.tile(np.array([7, 5, 6], "int32"), 400)
    np.testing.assert_array_equal(lm.ops.argsort(x).numpy(), np.argsort(x, kind="stable"))
    same = np.full(1000, 3.0, "float32")
    np.testing.assert_array_equal(lm.ops.argsort(same).numpy(), np.arange(1000))


def test_a_tie_gives_its_gradient_to_the_element_that_was_picked():
    x = lm.Variable(np.array([2.0, 1.0, 2.0], "float32"))
    lm.ops.sum(lm.ops.top_k(x, 1)[0]).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1, 0, 0])


def test_half_precision_is_refused_by_name():
    x = lm.ops.cast(lm.ops.ones(3), "float16")
    for op in ("sort", "cumsum"):
        with pytest.raises(TypeError, match=rf"\[{op}\] needs float32 or float64"):
            getattr(lm.ops, op)(x)


def test_running_sums_of_float32_are_rounded_once(rng):
    x = rng.random(200000).astype("float32")
    np.testing.assert_array_equal(lm.ops.cumsum(x).numpy(), np.cumsum(x.astype("float64")).astype("float32"))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_running_integers_wrap_as_in_numpy(dtype, rng):
    x = values(rng, dtype, (3, 50))
    for op in ("cumsum", "cumprod"):
        with np.errstate(over="ignore"):
            want = getattr(np, op)(x, 1, dtype)
        np.testing.assert_array_equal(getattr(lm.ops, op)(x, 1).numpy(), want)
