"""Recurrent layers with Keras' weights: outputs, states and gradients; masks, initial states, both directions."""

import itertools

import numpy as np
import pytest

import lamina as lm

from .both import close, cotangent, keras, tf

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 6, 3)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
STATES = [RNG.standard_normal((4, 5)).astype("float32") for _ in range(4)]


def leaves(tree):
    return [part for branch in tree for part in leaves(branch)] if isinstance(tree, (list, tuple)) else [tree]


def both(make, x, mask=None, states=None):
    """Outputs, and gradients of a fixed combination of them in inputs, weights and states, from both sides."""
    theirs, ours = make(keras), make(lm)
    theirs.build(x.shape), ours.build(x.shape)
    for w in theirs.weights:
        w.assign(RNG.standard_normal(w.shape).astype("float32") * 0.5)
    ours.set_weights(theirs.get_weights())
    assert [tuple(v.shape) for v in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    options = {} if mask is None else {"mask": mask}
    found = []
    for k, tape, variable, weights in (
        (keras, tf.GradientTape(), tf.Variable, [w.value for w in theirs.trainable_weights]),
        (lm, lm.GradientTape(), lm.Variable, ours.trainable_weights),
    ):
        start = None if states is None else [variable(s) for s in states]
        inputs = variable(x)
        with tape:
            layer = theirs if k is keras else ours
            more = options if start is None else {**options, "initial_state": [k.ops.multiply(s, 1.0) for s in start]}
            outputs = leaves(layer(k.ops.multiply(inputs, 1.0), **more))
            total = sum(k.ops.sum(y * cotangent(y.shape)) for y in outputs)
        gradients = tape.gradient(total, [inputs, *weights, *(start or [])])
        found.append([np.asarray(v.numpy()) for v in (*outputs, *gradients)])
    for a, b in zip(found[1], found[0]):
        close(a, b, rtol=2e-5)


@pytest.mark.parametrize("name, count", [("SimpleRNN", 1), ("LSTM", 2), ("GRU", 1)])
@pytest.mark.parametrize("masked, given, backwards", list(itertools.product([False, True], repeat=3)))
def test_layers(name, count, masked, given, backwards):
    for sequences, zero in ((False, False), (True, False), (True, True)):
        options = dict(return_sequences=sequences, return_state=True, go_backwards=backwards, zero_output_for_mask=zero)
        both(
            lambda k, options=options: getattr(k.layers, name)(5, **options),
            X,
            MASK if masked else None,
            STATES[:count] if given else None,
        )


@pytest.mark.parametrize(
    "name, options",
    [
        ("SimpleRNN", dict(activation="relu", use_bias=False)),
        ("LSTM", dict(activation="relu", recurrent_activation="hard_sigmoid", use_bias=False)),
        ("LSTM", dict(unit_forget_bias=False)),
        ("GRU", dict(reset_after=False)),
        ("GRU", dict(reset_after=False, use_bias=False, activation="softsign")),
        ("GRU", dict(use_bias=False)),
    ],
)
def test_variants(name, options):
    both(lambda k: getattr(k.layers, name)(5, return_sequences=True, **options), X)


@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_both_directions(merge, sequences, masked):
    def make(k):
        inner = k.layers.LSTM(5, return_sequences=sequences, return_state=True)
        return k.layers.Bidirectional(inner, merge_mode=merge)

    both(make, X, MASK if masked else None, STATES)


@pytest.mark.parametrize("masked", [False, True])
def test_stacked_cells(masked):
    def make(k):
        cells = [k.layers.LSTMCell(4), k.layers.GRUCell(3), k.layers.SimpleRNNCell(2)]
        return k.layers.RNN(cells, return_sequences=True)

    both(make, X, MASK if masked else None)


def test_forget_bias_and_initial_weights():
    for options in ({}, {"unit_forget_bias": False}):
        bias = [k.layers.LSTMCell(4, **options) for k in (keras, lm)]
        for cell in bias:
            cell.build((2, 3))
        np.testing.assert_array_equal(bias[1].bias.numpy(), np.asarray(bias[0].bias))


def test_stateful_layers_go_on():
    layers = [k.layers.LSTM(5, stateful=True, return_sequences=True) for k in (keras, lm)]
    for layer in layers:
        layer.build(X.shape)
    layers[1].set_weights(layers[0].get_weights())
    for _ in range(3):
        close(layers[1](X).numpy(), layers[0](X).numpy())
    for layer in layers:
        layer.reset_state()
    close(layers[1](X).numpy(), layers[0](X).numpy())


def test_time_distributed():
    both(lambda k: k.layers.TimeDistributed(k.layers.Dense(4, activation="tanh")), X)
    frames = RNG.standard_normal((2, 3, 5, 5, 2)).astype("float32")
    both(lambda k: k.layers.TimeDistributed(k.layers.Conv2D(4, 3)), frames)
    both(lambda k: k.layers.TimeDistributed(k.layers.GRU(4)), frames[..., 0])


def test_models_with_embedded_padding():
    ids = RNG.integers(0, 4, (6, 7))
    models = []
    for k in (keras, lm):
        x = k.Input((None,), dtype="int32")
        h = k.layers.Embedding(4, 3, mask_zero=True)(x)
        h = k.layers.Bidirectional(k.layers.GRU(4, return_sequences=True))(h)
        h, last, cell = k.layers.LSTM(5, return_sequences=True, return_state=True)(h)
        models.append(k.Model(x, [k.layers.Dense(3)(h), k.layers.Concatenate()([last, cell])]))
    models[1].set_weights(models[0].get_weights())
    for ours, theirs in zip(models[1](ids), models[0](ids)):
        close(ours.numpy(), theirs.numpy())
