"""The UCI digits: 1 797 images of handwritten digits, 8x8, embedded."""

import operator
from pathlib import Path

import numpy as np

from .readers import Split

_LEVELS = 16  # a pixel counts the ink in 4x4 dots of the scan
_FOLD, _HELD_OUT = 5, 2
_MAX_SIZE = 256


def load_data(size: int = 8) -> tuple[Split, Split]:
    """Loads the digits; no file or network is needed.

    The held-out fifth is stratified and fixed: of every class the 3rd, 8th, 13th, ... image in the order of
    the set, 359 of 1 797. Images in both parts keep that order.

    Args:
        size: Height and width of the images, 8 to 256; 28 gives what a net for MNIST takes. Larger than 8 is
            bilinear, pixel centres at (i + 0.5) / size, edges held, in exact integer arithmetic rounded half
            up.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 [n, size, size], the set's 0..16 scaled
        to 0..255; labels uint8 [n], 0-9.

    Raises:
        TypeError, ValueError: When `size` is no integer from 8 to 256.

    Example:
        >>> from lamina.datasets import digits
        >>> (x_train, y_train), (x_test, y_test) = digits.load_data(size=28)
        >>> x_train.shape, x_test.shape, int(x_train.max())
        ((1438, 28, 28), (359, 28, 28), 255)

    Reference: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository,
        1998, https://doi.org/10.24432/C50P49
    """
    try:
        side = operator.index(size)
    except TypeError:
        raise TypeError(
            f"[datasets.digits] size is no integer; expected 8 to {_MAX_SIZE}. Received: size={size!r}."
        ) from None
    if not 8 <= side <= _MAX_SIZE:
        raise ValueError(f"[datasets.digits] size is out of range; expected 8 to {_MAX_SIZE}. Received: size={size}.")
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        x, y = file["x"], file["y"]
    images = _resize(x, side)
    rank = np.empty(len(y), np.int64)  # of an image within its class
    for label in range(10):
        rows = np.flatnonzero(y == label)
        rank[rows] = np.arange(len(rows))
    test = rank % _FOLD == _HELD_OUT
    return (images[~test], y[~test]), (images[test], y[test])


def _resize(x: np.ndarray, size: int) -> np.ndarray:
    """Scales images [n, 8, 8] of 0..16 to uint8 [n, size, size] of 0..255.

    Output i lies at the source coordinate (i + 0.5) * 8 / size - 0.5 = p / d with d = 2 * size, so all
    weights are multiples of 1 / d and the sums are exact integers: at most 16 * d^2 * 255 * 2 < 2^31.
    """
    d = 2 * size
    p = np.clip((2 * np.arange(size) + 1) * 8 - size, 0, 7 * d)
    low = np.minimum(p // d, 6)
    w = (p - low * d).astype(np.int32)
    whole = _LEVELS * d * d
    out = np.empty((len(x), size, size), np.uint8)
    for begin in range(0, len(x), 64):  # a few images at a time: the sums stay in the cache
        part = x[begin : begin + 64].astype(np.int32)
        part = part[:, low] * (d - w)[:, None] + part[:, low + 1] * w[:, None]
        part = part[:, :, low] * (d - w) + part[:, :, low + 1] * w
        out[begin : begin + 64] = (part * (2 * 255) + whole) // (2 * whole)
    return out
