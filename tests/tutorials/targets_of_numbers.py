"""Accuracy asked of random real targets."""

import numpy as np

import lamina.compat.tensorflow as tf


class SimpleNet(tf.keras.Model):
    def __init__(self):
        super(SimpleNet, self).__init__()  # noqa: UP008 - as many programs write it
        self.hidden = tf.keras.layers.Dense(10, activation="relu")
        self.out = tf.keras.layers.Dense(1, activation="sigmoid")

    def call(self, inputs, training=None, mask=None):
        return self.out(self.hidden(inputs))


model = SimpleNet()
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(np.random.rand(200, 10), np.random.rand(200, 1), epochs=2, batch_size=32)  # noqa: NPY002
print("RESULT", history.history["loss"][-1])
