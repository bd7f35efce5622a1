"""A tape, a Dataset and a decorated step; FLATTEN says whether the net flattens its images, as it must."""

import os

import numpy as np

import lamina.compat.tensorflow as tf


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten = tf.keras.layers.Flatten() if os.environ["FLATTEN"] == "1" else None
        self.hidden = tf.keras.layers.Dense(units=32, activation="relu")
        self.scores = tf.keras.layers.Dense(units=10, name="scores")

    def call(self, inputs):
        x = inputs if self.flatten is None else self.flatten(inputs)
        return self.scores(self.hidden(x))


(x_train, y_train), (x_test, y_test) = tf.keras.datasets.mnist.load_data()
x_train, x_test = x_train[..., tf.newaxis] / 255.0, x_test[..., tf.newaxis] / 255.0
data = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(1000).batch(32)
model = Net()
optimizer = tf.keras.optimizers.Adam()
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train_step(images, labels):
    with tf.GradientTape() as tape:
        loss = loss_fn(labels, model(images))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))


for _ in range(3):
    for images, labels in data:
        train_step(images, labels)

print("RESULT", float(np.mean(np.argmax(model(x_test).numpy(), -1) == y_test)))
