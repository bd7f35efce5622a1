"""One seed, one hash: for any number of threads, any run, captured or not, and however finely work is split."""

import os
import subprocess
import sys

import pytest

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
