"""One seed for everything that draws."""

import random

import numpy as np
import pytest

import lamina as lm
from lamina.utils import set_random_seed


def draws():
    order = lm.data.Dataset.range(20).shuffle(20)
    layer = lm.layers.Dense(3)
    layer.build((None, 4))
    return [
        random.random(),
        np.random.rand(),  # noqa: NPY002
        lm.ops.random.normal((3,)).numpy().tolist(),
        layer.get_weights()[0].tolist(),
        [int(i) for i in order],
    ]


def test_everything_repeats():
    set_random_seed(11)
    first = draws()
    assert draws() != first
    set_random_seed(11)
    assert draws() == first
    set_random_seed(12)
    assert all(a != b for a, b in zip(draws(), first))


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (2**32, ValueError), (1.5, TypeError), (True, TypeError)])
def test_errors(seed, error):
    with pytest.raises(error, match=rf"\[set_random_seed\].*seed={seed}"):
        set_random_seed(seed)
