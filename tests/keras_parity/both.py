"""Keras beside Lamina: the import, which skips where Keras is missing, gradients on both sides, comparison."""

import os
import warnings

import numpy as np
import pytest

import lamina as lm

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Keras' own imports
    keras = pytest.importorskip("keras", reason="compares with Keras 3: pip install keras tensorflow-cpu")
    tf = pytest.importorskip("tensorflow", reason="takes Keras' gradients with TensorFlow: pip install tensorflow-cpu")
if keras.backend.backend() != "tensorflow":
    pytest.skip("takes Keras' gradients with the TensorFlow backend", allow_module_level=True)


def close(ours, theirs, rtol=1e-5, atol=1e-6):
    """Both equal in shape, and in value up to float32 rounding relative to the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=0) if theirs.dtype.kind == "f" else 0
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol + rtol * scale)


def gradients_of(f, arrays, weights=()):
    """(f(*arrays), gradients of sum(f * c) in arrays and weights), Lamina's."""
    inputs = [lm.Variable(a) for a in arrays]
    with lm.GradientTape() as tape:
        y = f(*inputs)
        total = lm.ops.sum(y * cotangent(y.shape))
    return y.numpy(), [_array(g) for g in tape.gradient(total, [*inputs, *weights])]


def keras_gradients_of(f, arrays, weights=()):
    """The same, Keras'."""
    inputs = [tf.Variable(a) for a in arrays]
    with tf.GradientTape() as tape:
        y = f(*[tf.convert_to_tensor(v) for v in inputs])
        total = tf.reduce_sum(y * cotangent(y.shape))
    found = tape.gradient(total, [*inputs, *[w.value for w in weights]])
    return y.numpy(), [_array(g) for g in found]


def cotangent(shape):
    """Fixed numbers that weigh the outputs."""
    return np.random.default_rng(7).standard_normal(tuple(shape)).astype("float32")


def _array(g):
    return None if g is None else np.asarray(g.numpy())
