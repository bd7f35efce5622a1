"""What batch_norm does besides its result: the moving statistics, and statistics of difficult data."""

import numpy as np
import pytest

import lamina as lm


@pytest.mark.parametrize("axis", [-1, 1])
def test_moving_statistics_follow_the_batch(axis, rng):
    x = rng.standard_normal((6, 4, 4)) * 2 + 1
    others = tuple(i for i in range(3) if i != axis % 3)
    mean, variance = lm.Variable(np.ones(4), trainable=False), lm.Variable(np.full(4, 2.0), trainable=False)
    lm.ops.batch_norm(x, mean, variance, axis=axis, momentum=0.9)
    np.testing.assert_allclose(mean.numpy(), 0.9 + 0.1 * x.mean(others), rtol=1e-12)
    np.testing.assert_allclose(variance.numpy(), 1.8 + 0.1 * x.var(others), rtol=1e-12)


def test_an_empty_batch_leaves_the_moving_statistics():
    mean, variance = lm.Variable(np.ones(4, np.float32)), lm.Variable(np.ones(4, np.float32))
    assert lm.ops.batch_norm(np.zeros((0, 4), np.float32), mean, variance).shape == (0, 4)
    assert mean.numpy().tolist() == variance.numpy().tolist() == [1] * 4


def test_variance_beside_a_large_mean(rng):
    x = (rng.standard_normal((50_000, 8)) * 0.1 + 1000).astype(np.float32)
    variance = lm.Variable(np.zeros(8, np.float32))
    lm.ops.batch_norm(x, lm.Variable(np.zeros(8, np.float32)), variance, momentum=0.0)
    np.testing.assert_allclose(variance.numpy(), x.astype(np.float64).var(0), rtol=1e-4)


def test_strided_moving_statistics_are_refused():
    wide = lm.ops.zeros((8,))
    with pytest.raises(ValueError, match=r"\[batch_norm\] moving statistics are written in place"):
        lm.ops.batch_norm(np.zeros((2, 4), np.float32), wide[::2], wide[1::2])
