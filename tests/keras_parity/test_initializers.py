"""Initialisers: moments and bounds of Keras' draws."""

import numpy as np
import pytest

import lamina as lm

from .both import close, keras

CASES = [
    *[
        (name, {}, shape)
        for name in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal")
        for shape in ((300, 700), (5, 5, 60, 130), (90_000,))
    ],
    *[
        ("VarianceScaling", dict(scale=3.0, mode=m, distribution=d), (3, 3, 90, 250))
        for m in ("fan_in", "fan_out", "fan_avg")
        for d in ("uniform", "truncated_normal", "untruncated_normal")
    ],
    ("RandomNormal", {}, (200_000,)),
    ("RandomNormal", dict(mean=1.0, stddev=2.0), (200_000,)),
    ("RandomUniform", {}, (200_000,)),
    ("TruncatedNormal", dict(mean=1.0, stddev=2.0), (200_000,)),
]


@pytest.mark.parametrize("name, arguments, shape", CASES)
def test_moments_and_bounds(name, arguments, shape):
    ours = getattr(lm.initializers, name)(seed=1, **arguments)(shape).numpy()
    theirs = np.asarray(getattr(keras.initializers, name)(seed=1, **arguments)(shape))
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    spread = theirs.std()
    assert abs(ours.mean() - theirs.mean()) < 0.02 * spread
    assert ours.std() == pytest.approx(spread, rel=0.01)
    if name != "RandomNormal" and arguments.get("distribution") != "untruncated_normal":
        assert ours.max() == pytest.approx(theirs.max(), rel=0.01)
        assert ours.min() == pytest.approx(theirs.min(), rel=0.01)


@pytest.mark.parametrize(
    "name, arguments, shape",
    [
        ("Zeros", {}, (2, 3)),
        ("Ones", {}, (2, 3)),
        ("Constant", dict(value=0.3), (2, 3)),
        ("Identity", dict(gain=2.0), (3, 3)),
        ("Identity", {}, (2, 4)),
    ],
)
def test_constants(name, arguments, shape):
    ours, theirs = getattr(lm.initializers, name)(**arguments), getattr(keras.initializers, name)(**arguments)
    close(ours(shape).numpy(), np.asarray(theirs(shape)))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 5)])
def test_orthogonal(shape):
    for library in (lm, keras):
        q = np.asarray(library.initializers.Orthogonal(gain=2.0, seed=3)(shape)).reshape(-1, shape[-1])
        gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
        close(gram, 4 * np.eye(len(gram), dtype="float32"))
