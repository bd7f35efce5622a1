"""Draws: distributions, the state's life, and the same bits whatever runs them."""

import numpy as np
import pytest

import lamina as lm
from lamina.ops import random
from lamina.random_state import SeedGenerator, set_random_seed

N = 100_000
DRAWS = {
    "uniform": lambda dtype, seed: random.uniform((N,), -1.0, 3.0, dtype, seed),
    "normal": lambda dtype, seed: random.normal((N,), 1.0, 2.0, dtype, seed),
    "truncated_normal": lambda dtype, seed: random.truncated_normal((N,), 1.0, 2.0, dtype, seed),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments(dtype):
    mean, std = 1.0, {"uniform": 4 / np.sqrt(12), "normal": 2.0, "truncated_normal": 2 * 0.8796257}
    for name, draw in DRAWS.items():
        x = draw(dtype, 1).numpy().astype(np.float64)
        assert abs(x.mean() - mean) < 5 * std[name] / np.sqrt(N), name
        assert abs(x.std() / std[name] - 1) < 0.01, name
    assert np.abs(DRAWS["truncated_normal"](dtype, 1).numpy() - 1).max() <= 4
    x = DRAWS["uniform"](dtype, 1).numpy()
    assert x.min() >= -1 and x.max() < 3


def test_uniform_stays_below_its_bound_where_rounding_would_reach_it():
    x = random.uniform((N,), 1.0, np.nextafter(np.float32(1), np.float32(2)), seed=0).numpy()
    assert (x == 1).all()


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers_fill_their_range_evenly(dtype):
    x = random.randint((N,), 2, 9, dtype, seed=0).numpy()
    assert x.dtype == dtype
    np.testing.assert_allclose(np.bincount(x), [0, 0, *[N / 7] * 7], atol=5 * np.sqrt(N / 7))


def test_integers_of_the_widest_range():
    x = random.randint((N,), -(2**63), 2**63 - 1, "int64", seed=0).numpy()
    assert x.min() < -(2**62) and x.max() > 2**62


def test_bernoulli_and_categorical_frequencies():
    assert abs(random.bernoulli((N,), 0.3, seed=0).numpy().mean() - 0.3) < 0.01
    drawn = random.categorical(np.log([[0.5, 0.3, 0.2]]), N, seed=0).numpy()
    np.testing.assert_allclose(np.bincount(drawn[0]) / N, [0.5, 0.3, 0.2], atol=0.01)


def test_permutation():
    for n in (0, 1, 2, 1000):
        assert sorted(random.permutation(n, seed=0).numpy()) == list(range(n))
    first = [random.permutation(3, SeedGenerator(s)).numpy()[0] for s in range(300)]
    np.testing.assert_allclose(np.bincount(first), [100] * 3, atol=45)


def test_same_bits_for_any_number_of_threads(threads):
    for name, draw in DRAWS.items():
        results = set()
        for n in (1, 3):
            threads(n)
            results.add(draw("float32", 1).numpy().tobytes())
        assert len(results) == 1, name


def test_known_bits():
    """Draws are part of what a seed means: these never change."""
    assert random.randint((4,), 0, 1000, seed=42).numpy().tolist() == [468, 340, 327, 454]
    normals = [-0.9701898097991943, 0.19401895999908447, -1.2356207370758057]
    assert random.normal((3,), seed=42).numpy().tolist() == normals


def test_a_generator_moves_on_and_an_integer_does_not():
    generator = SeedGenerator(5)
    a, b = (random.uniform((4,), seed=generator).numpy() for _ in range(2))
    assert not (a == b).any()
    assert generator.state.numpy().tolist() == [5, 0, 2]
    np.testing.assert_array_equal(random.uniform((4,), seed=5).numpy(), a)
    np.testing.assert_array_equal(random.uniform((4,), seed=5).numpy(), a)


def test_generators_without_a_seed_have_streams_of_their_own():
    def build():
        set_random_seed(11)
        parts = [SeedGenerator(), SeedGenerator(), None]
        return [random.normal((5,), seed=part).numpy() for part in parts]

    first, second = build(), build()
    np.testing.assert_array_equal(first, second)
    assert len({x.tobytes() for x in first}) == 3


def test_configuration_round_trip():
    copy = SeedGenerator.from_config(SeedGenerator(-3).get_config())
    np.testing.assert_array_equal(random.uniform((4,), seed=copy).numpy(), random.uniform((4,), seed=-3).numpy())


def test_dropout_gradient_sees_the_mask_of_its_forward():
    generator = SeedGenerator(1)
    x = lm.Variable(np.ones(1000, np.float32))
    y = random.dropout(x, 0.4, seed=generator)
    random.dropout(x, 0.4, seed=generator)
    lm.ops.sum(y).backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert (random.dropout(x, 1.0).numpy() == 0).all()


def test_errors():
    for call, exception, message in [
        (lambda: random.uniform((2,), 1.0, 0.0), ValueError, r"\[random_uniform\].*minval=1, maxval=0"),
        (lambda: random.randint((2,), 3, 3), ValueError, r"\[random_integers\].*minval=3, maxval=3"),
        (lambda: random.randint((2,), 0, 2**40), ValueError, r"\[random_integers\] bounds must fit int32"),
        (lambda: random.bernoulli((2,), 2.0), ValueError, r"\[random_bernoulli\].*p=2"),
        (lambda: random.categorical([0.0], 2), ValueError, r"\[categorical\].*shape=\(1,\)"),
        (lambda: SeedGenerator("a"), TypeError, r"\[SeedGenerator\] seed must be.*seed='a'"),
        (lambda: set_random_seed(1.5), TypeError, r"\[SeedGenerator\] seed must be.*seed=1.5"),
    ]:
        with pytest.raises(exception, match=message):
            call()
