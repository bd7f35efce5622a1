"""The embedded digits."""

import numpy as np
import pytest

from lamina.datasets import digits


def test_split_is_stratified_and_fixed():
    (x, y), (xt, yt) = digits.load_data()
    assert x.shape == (1438, 8, 8) and xt.shape == (359, 8, 8)
    assert x.dtype == xt.dtype == y.dtype == yt.dtype == np.uint8
    assert np.bincount(y).tolist() == [142, 146, 142, 146, 145, 146, 145, 143, 139, 144]
    assert np.bincount(yt).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert y[:10].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert np.unique(np.concatenate([x, xt])).tolist() == [(v * 255 + 8) // 16 for v in range(17)]


def test_nearest_centroid():
    (x, y), (xt, yt) = digits.load_data(size=28)
    centroids = np.stack([x[y == c].mean(0).ravel() for c in range(10)])
    distance = ((xt.reshape(-1, 1, 784) - centroids) ** 2).sum(-1)
    assert (distance.argmin(1) == yt).mean() > 0.88


@pytest.mark.parametrize("size", [9, 16, 28, 61])
def test_upscale_is_bilinear(size):
    (x, _), _ = digits.load_data()
    (big, _), _ = digits.load_data(size=size)
    p = np.clip((np.arange(size) + 0.5) * 8 / size - 0.5, 0, 7)
    weights = np.maximum(1 - abs(p[:, None] - np.arange(8)), 0)  # the hat function
    expected = weights @ (x[:20] * 1.0) @ weights.T
    assert big.shape == (1438, size, size) and big.dtype == np.uint8
    assert abs(big[:20] - expected).max() <= 1.01  # both are rounded, x before the sum
    assert big.max() <= 255


def test_largest_upscale_does_not_overflow():
    assert (digits._resize(np.full((1, 8, 8), 16, np.uint8), 256) == 255).all()


def test_calls_do_not_share_memory():
    (x, _), _ = digits.load_data()
    x[:] = 0
    assert digits.load_data()[0][0].any()


@pytest.mark.parametrize(("size", "error"), [(7, ValueError), (257, ValueError), (2**70, ValueError), (8.5, TypeError)])
def test_errors(size, error):
    with pytest.raises(error, match=rf"\[datasets.digits\] size.*expected 8 to 256. Received: size={size}"):
        digits.load_data(size=size)
