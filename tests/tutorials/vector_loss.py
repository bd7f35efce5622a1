"""A loss per sample given to the tape, and class ids given to an accuracy of scores."""

import lamina.compat.tensorflow as tf


class LeNet(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.conv1 = tf.keras.layers.Conv2D(6, 5, activation="relu")
        self.pool1 = tf.keras.layers.MaxPooling2D(2, 2)
        self.conv2 = tf.keras.layers.Conv2D(16, 5, activation="relu")
        self.pool2 = tf.keras.layers.MaxPooling2D(2, 2)
        self.flatten = tf.keras.layers.Flatten()
        self.scores = tf.keras.layers.Dense(10, activation="softmax")

    def call(self, x):
        return self.scores(self.flatten(self.pool2(self.conv2(self.pool1(self.conv1(x))))))


(x_train, y_train), (x_test, y_test) = tf.keras.datasets.mnist.load_data()
x_train = x_train.reshape((-1, 28, 28, 1)) / 255.0
x_test = x_test.reshape((-1, 28, 28, 1)) / 255.0
model = LeNet()
optimizer = tf.keras.optimizers.SGD(learning_rate=0.001)
for _ in range(4):
    for i in range(0, len(x_train), 100):
        images, labels = x_train[i : i + 100], y_train[i : i + 100]
        with tf.GradientTape() as tape:
            loss = tf.keras.losses.sparse_categorical_crossentropy(labels, model(images))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
chosen = tf.argmax(model(x_test), axis=1)
right = tf.metrics.sparse_categorical_accuracy(y_test, chosen)
assert (right.numpy() == (chosen.numpy() == y_test)).all()
print("RESULT", float(tf.reduce_mean(right)))
