"""Trains LeNet with dropout, batch normalisation and Adam, and prints a hash of its weights.

python -m tests.bits [steps [eager]]
"""

import hashlib
import sys

import lamina as lm
from lamina import datasets, layers


def weight_hash(steps=200, run_eagerly=False):
    lm.utils.set_random_seed(7)
    (x, y), _ = datasets.digits.load_data(size=28)
    x = (x[..., None] / 255.0).astype("float32")
    model = lm.Sequential(
        [
            layers.Conv2D(6, 5, activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=run_eagerly
    )
    batch = 64
    for i in range(steps):
        at = i * batch % (len(x) - batch)
        model.train_on_batch(x[at : at + batch], y[at : at + batch])
    digest = hashlib.sha256()
    for w in model.get_weights():
        digest.update(w.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print(weight_hash(int(sys.argv[1]) if len(sys.argv) > 1 else 200, "eager" in sys.argv[2:]))
