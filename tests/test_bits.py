"""One seed, one hash: for any number of threads, any run, captured or not, and however finely work is split."""

import os
import subprocess
import sys

import pytest

from .isas import runnable

CASES = [*[{"LAMINA_NUM_THREADS": str(n)} for n in (1, 2, 3, 4)]] * 3 + [
    {"LAMINA_NUM_THREADS": "3", "LAMINA_GRAIN": "1"}
]


def run(extra, steps, *mode):
    env = {**os.environ, **extra}
    command = [sys.executable, "-m", "tests.bits", str(steps), *mode]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("steps", [200])
def test_training_gives_one_weight_hash(steps):
    hashes = {str(case): run(case, steps) for case in CASES}
    hashes["eager"] = run({}, steps, "eager")
    assert len(set(hashes.values())) == 1, hashes


@pytest.mark.parametrize("isa", runnable())
def test_large_ops_have_one_hash(isa):
    """Every number of threads in each run, and chunks of any size between the two."""
    found = []
    for extra in ({}, {"LAMINA_GRAIN": "1"}):
        env = {**os.environ, "LAMINA_ISA": isa, **extra}
        command = [sys.executable, "-m", "tests.large_bits"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
