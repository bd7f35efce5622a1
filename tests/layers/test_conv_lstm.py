"""ConvLSTM: contracts, the recursion step by step, masks, states, errors. tests/keras_parity has Keras' values."""

import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 5, 6, 3)).astype("float32")


@pytest.mark.parametrize("sequences", [False, True])
def test_contract(sequences, tmp_path):
    kwargs = {"filters": 2, "kernel_size": (3, 2), "padding": "same", "return_sequences": sequences}
    shape = (2, 3, 4, 3, 2) if sequences else (2, 4, 3, 2)
    check_layer(layers.ConvLSTM2D, kwargs, (2, 3, 4, 3, 1), shape, tmp_path, trainable=3)


@pytest.mark.parametrize("sequences", [False, True])
def test_contract_channels_first(sequences, tmp_path):
    kwargs = {"filters": 2, "kernel_size": 2, "data_format": "channels_first", "return_sequences": sequences}
    shape = (2, 3, 2, 3, 4) if sequences else (2, 2, 3, 4)
    check_layer(layers.ConvLSTM2D, kwargs, (2, 3, 1, 4, 5), shape, tmp_path, trainable=3, gradients=False)


def test_contract_of_other_ranks(tmp_path):
    check_layer(layers.ConvLSTM1D, {"filters": 2, "kernel_size": 3, "strides": 2}, (2, 3, 7, 2), (2, 3, 2), tmp_path, 3)
    check_layer(layers.ConvLSTM3D, {"filters": 1, "kernel_size": 2}, (2, 2, 3, 2, 3, 1), (2, 2, 1, 2, 1), tmp_path, 3)


def test_contract_with_dropout(tmp_path):
    kwargs = {"filters": 2, "kernel_size": 3, "dropout": 0.3, "recurrent_dropout": 0.4, "seed": 5}
    kwargs["activity_regularizer"] = "l2"
    shapes = (2, 3, 4, 5, 2), (2, 2, 3, 2)
    check_layer(layers.ConvLSTM2D, kwargs, *shapes, tmp_path, trainable=3, generators=1, gradients=False)


def test_the_recursion():
    layer = layers.ConvLSTM2D(2, 3, strides=2, padding="same", return_sequences=True, return_state=True)
    outputs, h, c = (y.numpy() for y in layer(X))
    kernel, recurrent, bias = (w.numpy() for w in layer.weights)
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0])
    state, cell = np.zeros((2, 3, 3, 2), "float32"), np.zeros((2, 3, 3, 2), "float32")
    for t in range(4):
        gates = lm.ops.conv(X[:, t], kernel, 2, "same") + lm.ops.conv(state, recurrent, 1, "same") + bias
        i, f, g, o = np.split(gates.numpy(), 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        cell = f * cell + i * np.tanh(g)
        state = o * np.tanh(cell)
        np.testing.assert_allclose(outputs[:, t], state, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(h, state, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(c, cell, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sequences", [False, True])
def test_channels_first_is_channels_last_moved(sequences):
    kwargs = {"filters": 4, "kernel_size": 2, "return_sequences": sequences, "return_state": True}
    last, first = layers.ConvLSTM2D(**kwargs), layers.ConvLSTM2D(**kwargs, data_format="channels_first")
    moved = np.moveaxis(X, -1, 2).copy()
    last(X), first(moved)
    first.set_weights(last.get_weights())
    start = [RNG.standard_normal((2, 4, 5, 4)).astype("float32") for _ in range(2)]
    assert [s.shape for s in first.get_initial_state(2)] == [(2, 4, 4, 5)] * 2
    got = first(moved, initial_state=[np.moveaxis(s, -1, 1).copy() for s in start])
    for a, b in zip(got, last(X, initial_state=start)):
        np.testing.assert_array_equal(a.numpy(), np.moveaxis(b.numpy(), -1, -3))


def test_padding_changes_nothing():
    layer = layers.ConvLSTM2D(2, 3, return_state=True)
    mask = np.array([[True, True, True, False], [True, False, False, False]])
    long = layer(X, mask=mask)
    for row, steps in ((0, 3), (1, 1)):
        for a, b in zip(long, layer(X[row : row + 1, :steps])):
            np.testing.assert_allclose(a.numpy()[row], b.numpy()[0], rtol=1e-6, atol=1e-7)


def test_stateful_layers_go_on():
    layer = layers.ConvLSTM2D(2, 3, stateful=True, return_sequences=True)
    whole = layers.ConvLSTM2D(2, 3, return_sequences=True)
    parts = [layer(X[:, :2]), layer(X[:, 2:])]
    whole(X)
    whole.set_weights(layer.get_weights())
    np.testing.assert_allclose(np.concatenate([p.numpy() for p in parts], 1), whole(X).numpy(), rtol=1e-5, atol=1e-6)
    layer.reset_state()
    np.testing.assert_array_equal(layer(X[:, :2]).numpy(), parts[0].numpy())


def test_learns_which_way_a_spot_moves():
    lm.utils.set_random_seed(3)
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 64)
    x = np.zeros((64, 4, 5, 8, 1), "float32")
    for i, right in enumerate(y):
        for t in range(4):
            x[i, t, rng.integers(0, 5), 2 + t if right else 5 - t] = 1.0
    model = lm.Sequential([layers.ConvLSTM2D(4, 3, padding="same"), layers.GlobalMaxPooling2D(), layers.Dense(2)])
    loss = lm.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lm.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = model.fit(x, y, batch_size=16, epochs=20, verbose=0).history
    assert history["accuracy"][-1] > 0.95


IMAGES = np.zeros((2, 3, 4, 5, 1), "float32")
ERRORS = [
    (lambda: layers.ConvLSTM2D(0, 3), r"filters must be .*filters=0"),
    (lambda: layers.ConvLSTM2D(2, (3, 3, 3)), r"kernel_size"),
    (lambda: layers.ConvLSTM2D(2, 3, padding="causal"), r"padding"),
    (lambda: layers.ConvLSTM2D(2, 3, strides=2, dilation_rate=2), r"cannot both exceed 1.*strides=\(2, 2\)"),
    (lambda: layers.ConvLSTM2D(2, 3)(IMAGES[:, 0]), r"expects inputs of 5 axes, but got 4"),
    (lambda: layers.ConvLSTM2D(2, 3)(lm.Input((3, None, 5, 1))), r"spatial sizes .* must be known.*None"),
    (lambda: layers.ConvLSTM2D(2, 3, stateful=True)(lm.Input((3, 4, 5, 1))), r"needs the size of its batches"),
    (lambda: layers.ConvLSTM2D(2, 7)(IMAGES), r"the kernel must fit"),
]


@pytest.mark.parametrize("call, message", ERRORS)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
