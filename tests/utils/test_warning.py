"""Warnings point at the user's line."""

import numpy as np
import pytest

import lamina as lm


def test_line_of_the_caller():
    model = lm.Sequential([lm.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["accuracy"])
    with pytest.warns(UserWarning, match="not classes") as seen:
        model.fit(np.ones((4, 2), "float32"), np.full((4, 1), 0.5), verbose=0)
    assert seen[0].filename == __file__
    v = lm.Variable([1.0]), lm.Variable([1.0])
    with pytest.warns(UserWarning, match="without a gradient") as seen:
        lm.optimizers.SGD().apply_gradients([(lm.ops.ones((1,)), v[0]), (None, v[1])])
    assert seen[0].filename == __file__
