"""One-hot rows and norms."""

import numpy as np
import pytest

from lamina.utils import normalize, to_categorical


def test_to_categorical():
    assert to_categorical([[1], [0]]).tolist() == [[0, 1], [1, 0]]
    assert to_categorical([[0, 2], [1, 1]], 4).shape == (2, 2, 4)
    assert to_categorical(np.array([1.0, 0.0])).dtype == "float32"
    for wrong, classes in (([3], 3), ([-1], None), ([0.5], None)):
        with pytest.raises(ValueError, match=r"\[to_categorical\]"):
            to_categorical(wrong, classes)


def test_normalize():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert normalize(x).tolist() == [[0.6, 0.8], [0.0, 0.0]]
    assert normalize(x, axis=0, order=1)[0].tolist() == [1.0, 1.0]
