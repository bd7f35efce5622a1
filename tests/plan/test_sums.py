"""Sums that become a part of the launch that writes one of their operands: which do, and with what bits."""

import numpy as np
import pytest

import lamina as lm
from lamina import layers, ops
from lamina.ops.linalg import dense

from ..function.twice import check_twice

SIZES = {  # rows, inputs: outputs are as many as inputs
    "one": (1, 1),
    "tiles in place": (20, 40),
    "tiles packed": (130, 100),
    "few rows": (7, 300),
    "few terms": (1100, 1000),
    "parts": (300, 257),
    "K in slices": (33, 2100),
}


def drawn(*shape, dtype="float32", seed=0):
    return lm.convert_to_tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def launches_of(step, *args):
    """Names of the launches of a captured step, whose bits are those of the step in Python."""
    function = check_twice(lambda: (step, list), [args, args])
    return [launch.op for launch in function.plans[0].launches]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "units"), SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("count", [1, 2])
def test_a_dense_layer_adds_its_input(rows, units, dtype, count, threads):
    threads(count)
    x, w, b = (drawn(*shape, dtype=dtype, seed=i) for i, shape in enumerate([(rows, units), (units, units), (units,)]))
    assert launches_of(lambda x: x + dense(x, w, b, "tanh"), x) == ["dense"]
    assert launches_of(lambda x: dense(x, w) + x, x) == ["dense"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_few_terms_and_none(dtype):
    a, b, r = drawn(1100, 5, dtype=dtype), drawn(5, 1000, dtype=dtype), drawn(1100, 1000, dtype=dtype)
    assert launches_of(lambda a: r + ops.matmul(a, b), a) == ["matmul"]
    assert launches_of(lambda a: dense(a[:, :0], b[:0], r[0], "relu") + r, a) == ["dense"]
    assert launches_of(lambda a: dense(a[:0], b) + r[:0], a) == ["dense"]


@pytest.mark.parametrize("turned", [False, True])
def test_dot_products(turned):
    few, many = drawn(3, 200), drawn(90, 200, seed=1)
    a, b = (many, few) if turned else (few, many)
    r = drawn(a.shape[0], b.shape[0])
    assert launches_of(lambda a: ops.matmul(a, ops.transpose(b)) + r, a) == ["matmul"]


def test_values_that_are_not_finite():
    x, w = drawn(300, 257), drawn(257, 257, seed=1)
    special = np.array(x.numpy())
    special[3, 5], special[40, :] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        want = special.astype("float64") @ w.numpy().astype("float64") + x.numpy()
    y = lm.function(lambda a, r: ops.matmul(a, w) + r)
    for _ in range(2):
        got = y(lm.convert_to_tensor(special), x).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_all_axes_of_a_batch():
    x, w = drawn(4, 9, 30), drawn(30, 30, seed=1)
    assert launches_of(lambda x: x + ops.reshape(dense(x, w), (4, 9, 30)), x) == ["dense"]


def test_a_sum_of_products_is_taken_into_the_later_ones():
    x, v, w, u = (drawn(50, 50, seed=i) for i in range(4))
    assert launches_of(lambda x: dense(x, u) + dense(x, v) + dense(x, w), x) == ["dense"] * 3
    assert launches_of(lambda x: dense(x, u) + (x + dense(x, w)) + x, x) == ["dense", "dense", "add", "add"]


@pytest.mark.parametrize(
    ("step", "launches"),
    [
        (lambda x, w: ops.exp(y := dense(x, w)) + y, ["dense", "exp", "add"]),  # read twice
        (lambda x, w: (y := dense(x, w), y + x)[::-1], ["dense", "add"]),  # a result
        (lambda x, w: dense(x, w) + ops.exp(x * 2.0), ["dense", "multiply", "exp", "add"]),  # not there yet
        (lambda x, w: dense(x, w) + x[0], ["dense", "add"]),  # a row for all
        (lambda x, w: dense(x, w) + ops.transpose(x), ["dense", "add"]),
        (lambda x, w: dense(x, w)[:25] + x[:25], ["dense", "add"]),  # a part of it
        (lambda x, w: (y := dense(x, w)) + y, ["dense", "add"]),
        (lambda x, w: dense(x, w) - x, ["dense", "subtract"]),
        (lambda x, w: ops.sum(dense(x, w), axis=0) + x[0], ["dense", "sum", "add"]),
    ],
)
def test_what_stays_a_sum(step, launches):
    w = drawn(50, 50, seed=1)
    assert launches_of(lambda x: step(x, w), drawn(50, 50)) == launches


def test_what_changes_in_between_is_not_read_early():
    w = drawn(50, 50, seed=1)

    def make():
        v = lm.Variable(np.ones((50, 50), "float32"))

        def step(x):
            y = dense(x, w)
            v.assign(x)
            z = y + v
            v.assign(z)
            return z

        return step, lambda: [v]

    function = check_twice(make, [(drawn(50, 50, seed=i),) for i in range(3)])
    assert "add" in [launch.op for launch in function.plans[0].launches]


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 33), (130, 64), (9, 20_000)])
def test_the_gradient_of_a_normalisation_adds_the_way_around(shape, dtype, rms):
    x, c = lm.Variable(drawn(*shape, dtype=dtype)), drawn(*shape, dtype=dtype, seed=1)
    gamma, beta = lm.Variable(drawn(shape[1], dtype=dtype)), lm.Variable(drawn(shape[1], dtype=dtype))

    def step(c):
        with lm.GradientTape() as tape:
            inner = ops.rms_normalization(x, gamma) if rms else ops.layer_normalization(x, gamma, beta)
            loss = ops.sum((x + ops.tanh(inner)) * c)
        return tape.gradient(loss, [x, gamma] if rms else [x, gamma, beta])

    assert "add" not in launches_of(step, c)


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_transformer_block_has_no_sums_left(normalize_first, training):
    block = layers.TransformerEncoder(64, 4, activation="gelu", normalize_first=normalize_first)
    x = drawn(2, 24, 32)
    block(x)
    assert "add" not in launches_of(lambda x: block(x, training=training), x)


def test_dropout_that_does_nothing_is_nowhere():
    block = layers.TransformerDecoder(64, 4, dropout=0.3, normalize_first=True)
    x = drawn(2, 24, 32)
    block(x)
    assert "add" not in launches_of(lambda x: block(x, training=False), x)
