"""LeNet on real images."""

import numpy as np

import lamina as lm
from lamina.zoo import lenet


def test_reaches_97_percent_on_digits():
    (x, y), (x_test, y_test) = lm.datasets.digits.load_data(size=28)
    x, x_test = np.float32(x[..., None]) / 255, np.float32(x_test[..., None]) / 255
    reached = []
    for seed in range(3):
        lm.utils.set_random_seed(seed)
        model = lenet()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, batch_size=64, epochs=30, verbose=0)
        reached.append(model.evaluate(x_test, y_test, verbose=0)[1])
    assert np.mean(reached) >= 0.97, reached


def test_other_sizes():
    model = lenet((32, 32, 3), classes=4)
    assert model.output_shape == (None, 4)
    assert lenet().count_params() == 44426
