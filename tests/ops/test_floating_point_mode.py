"""Kernels run in a floating-point mode of their own and leave the caller's as it was."""

import numpy as np
import pytest

import lamina as lm

from ..sweep.mode import floating_point_mode, set_rounding


def work(x):
    with lm.GradientTape() as tape:
        tape.watch(x)
        y = lm.ops.softmax(lm.ops.matmul(x, x)) + lm.ops.tanh(x)
    return [y.numpy().tobytes(), tape.gradient(y, x, output_gradients=y).numpy().tobytes()]


def bad_label():
    with pytest.raises(ValueError, match="label is out of range"):
        lm.ops.sparse_categorical_crossentropy(np.array([7]), np.ones((1, 3), np.float32))


STEPS = {
    "small": lambda: work(lm.ops.ones((3, 3))),
    "on several threads": lambda: work(lm.ops.ones((300, 300))),
    "that raises": bad_label,
    "captured": lambda: lm.function(lambda x: lm.ops.exp(x) * x)(lm.ops.ones((300, 300))),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("towards_zero", [False, True])
def test_the_mode_is_left_as_it_was(name, towards_zero, threads):
    threads(3)
    try:
        set_rounding(towards_zero)
        before = floating_point_mode()
        for _ in range(3):
            STEPS[name]()
        after = floating_point_mode()
    finally:
        set_rounding(False)
    assert after == before


def test_results_do_not_depend_on_the_callers_rounding(rng):
    x = lm.convert_to_tensor(rng.standard_normal((65, 65)).astype(np.float32))
    want = work(x)
    try:
        set_rounding(True)
        got = work(x)
    finally:
        set_rounding(False)
    assert got == want


def test_numpy_keeps_its_subnormal_numbers():
    x = np.full(64, 1e-40, np.float32)
    lm.ops.exp(x)
    assert (x * np.float32(0.5) > 0).all()
