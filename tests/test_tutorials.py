"""Programs as tutorials write them, slips included, run as their reader would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina.datasets import fashion_mnist

HERE = Path(__file__).parent / "tutorials"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with an mnist.npz made of the embedded images of clothes."""
    folder = tmp_path_factory.mktemp("data")
    (x, y), (x_test, y_test) = fashion_mnist.load_sample()
    order = np.random.default_rng(0).permutation(4 * len(x)) % len(x)  # each image four times
    np.savez(folder / "mnist.npz", x_train=x[order], y_train=y[order], x_test=x_test, y_test=y_test)
    return folder


def run(program, data, **environment):
    """(exit status, standard output, standard error) of a program."""
    path = os.pathsep.join([str(Path(lamina.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "default", str(HERE / program)],
        env=os.environ | {"LAMINA_DATA": str(data), "PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def result(output):
    return float(re.search(r"RESULT (\S+)", output)[1])


def test_conv_sequential(data):
    status, out, err = run("conv_sequential.py", data)
    assert status == 0 and result(out) > 0.5, err
    assert "Warning" not in err


def test_raw_pixels_warn_once(data):
    status, out, err = run("raw_pixels.py", data)
    assert status == 0 and result(out) > 0.5, err
    assert err.count("the inputs span 0 to 255") == 1


def test_tape(data):
    status, out, err = run("tape_without_flatten.py", data, FLATTEN="1")
    assert status == 0 and result(out) > 0.5, err


def test_tape_without_flatten_fails_and_says_why(data):
    status, _, err = run("tape_without_flatten.py", data, FLATTEN="0")
    assert status != 0
    for part in ("'net/scores'", "(32,)", "(32, 28, 28, 10)", "Flatten"):
        assert part in err.splitlines()[-1]


def test_accuracy_of_numbers_warns(data):
    status, out, err = run("targets_of_numbers.py", data)
    assert status == 0 and result(out) < 1, err
    assert err.count("accuracy was asked for targets that are not classes") == 1


def test_vector_loss_warns_and_class_ids_count(data):
    status, out, err = run("vector_loss.py", data)
    assert status == 0 and result(out) > 0.4, err
    assert "the target is not a scalar (shape=(100,))" in err
