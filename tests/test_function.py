"""The decorator of steps, and TensorFlow's names."""

import numpy as np
import pytest

import lamina as lm
import lamina.compat.tensorflow as tf


def test_with_and_without_arguments_and_on_methods():
    @lm.function
    def plain(x):
        """Twice x."""
        return x * 2.0

    @lm.function(jit_compile=True)
    def configured(x, *, by=3.0):
        return x * by

    class Step:
        factor = 4.0

        @lm.function
        def run(self, x):
            return x * self.factor

    x = lm.convert_to_tensor([1.0])
    assert float(plain(x)) == 2 and float(configured(x, by=5.0)) == 5 and float(Step().run(x)) == 4
    assert plain.__name__ == "plain" and plain.__doc__ == "Twice x." and float(plain.python_function(x)) == 2
    with pytest.raises(TypeError, match=r"\[function\] decorates a function.*3"):
        lm.function(3)


def test_names_are_the_same_objects():
    assert tf.keras.Model is lm.Model and tf.keras.layers is lm.layers and tf.GradientTape is lm.GradientTape
    assert tf.function is lm.function and tf.data.Dataset is lm.data.Dataset and tf.metrics is lm.metrics
    assert all(hasattr(tf, name) for name in tf.__all__)


def test_the_few_that_differ():
    x = tf.constant([[1.0, 5.0], [2.0, 3.0]])
    assert tf.argmax(x).numpy().tolist() == [1, 0]
    assert tf.argmax(x, axis=1, output_type=tf.int32).dtype == "int32"
    assert tf.constant(2.0, shape=(2, 2)).numpy().tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert float(tf.reduce_mean(tf.cast(x, tf.float64))) == 2.75
    assert np.zeros(3)[:, tf.newaxis].shape == (3, 1)
