"""A thousand random configurations on every instruction set, and that the sweep would find what it looks for."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lamina as lm

from ..isas import runnable
from .families import FAMILIES, configuration

COUNT = 72 * len(FAMILIES)


def sweep(*args, **env):
    command = [sys.executable, "-m", "tests.sweep", "--count", str(COUNT), "--digests", *args]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("isa", runnable())
def test_random_configurations(isa):
    split = sweep(LAMINA_ISA=isa, LAMINA_GRAIN="1")
    assert split.returncode == 0, split.stdout.replace("python -m", "\npython -m") + split.stderr
    plain = sweep("--unchecked", LAMINA_ISA=isa, LAMINA_NUM_THREADS="1")
    assert plain.returncode == 0, plain.stderr
    assert split.stdout.splitlines() == plain.stdout.splitlines()
    assert len(plain.stdout.splitlines()) == COUNT


def spoiled(family, change):
    """A case whose call makes change(results) of its results."""
    seed = next(s for s in range(100) if np.size(configuration(family, s)[0].inputs[0]) > 100)
    case, rng = configuration(family, seed)
    whole = case.call

    def call(*tensors):
        return change(whole(*tensors), tensors)

    case.call = call
    return case, rng


@pytest.mark.parametrize("family", ["matmul", "conv", "norm", "softmax"])
def test_a_wrong_element_is_found(family):
    def change(y, tensors):
        y = y[0] if isinstance(y, tuple) else y
        bump = np.zeros(y.shape, y.dtype)
        bump.flat[-1] = 1e-3 * float(lm.ops.max(lm.ops.abs(y))) + 1e-3
        return y + bump

    case, rng = spoiled(family, change)
    with pytest.raises(AssertionError, match="float64 result 0"):
        case.check(rng)


def test_a_wrong_gradient_is_found():
    case, rng = spoiled("matmul", lambda y, tensors: lm.ops.stop_gradient(y) + (y - lm.ops.stop_gradient(y)) * 1.001)
    with pytest.raises(AssertionError, match="float64 gradient along a line"):
        case.check(rng)


def test_other_bits_on_more_threads_are_found():
    case, rng = spoiled("matmul", lambda y, tensors: y * (1.0 if lm.get_num_threads() < 7 else 1.0000001))
    with pytest.raises(AssertionError, match="other bits on 7 threads"):
        case.check(rng)


@pytest.mark.parametrize("at_end", [True, False])
def test_reading_outside_of_an_operand_crashes(at_end):
    code = (
        "import ctypes, numpy as np\n"
        "from tests.sweep.place import guarded\n"
        f"x = guarded(5, np.float32, {at_end})\n"
        f"ctypes.string_at(x.ctypes.data + {20 if at_end else -4}, 4)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode < 0
