"""Recurrent layers: contracts, states, masks, custom cells, errors. tests/keras_parity has Keras' values."""

import numpy as np
import pytest

import lamina as lm
from lamina import layers
from lamina.masked_tensor import mask_of

from .check_layer import check_layer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 6, 3)).astype("float32")
LAYERS = {"SimpleRNN": (layers.SimpleRNN, 1), "LSTM": (layers.LSTM, 2), "GRU": (layers.GRU, 1)}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("sequences", [False, True])
def test_contract(name, sequences, tmp_path):
    cls, _ = LAYERS[name]
    shape = (2, 4, 5) if sequences else (2, 5)
    check_layer(cls, {"units": 5, "return_sequences": sequences}, (2, 4, 3), shape, tmp_path, trainable=3)


@pytest.mark.parametrize("name", LAYERS)
def test_contract_with_dropout(name, tmp_path):
    kwargs = {"units": 3, "dropout": 0.3, "recurrent_dropout": 0.4, "seed": 5, "activity_regularizer": "l2"}
    check_layer(LAYERS[name][0], kwargs, (2, 4, 3), (2, 3), tmp_path, trainable=3, generators=1, gradients=False)


@pytest.mark.parametrize("merge, size", [("concat", 6), ("sum", 3), ("ave", 3), ("mul", 3)])
def test_contract_of_both_directions(merge, size, tmp_path):
    kwargs = {"layer": layers.GRU(3, return_sequences=True), "merge_mode": merge}
    check_layer(layers.Bidirectional, kwargs, (2, 4, 3), (2, 4, size), tmp_path, trainable=6, gradients=False)


def test_contract_of_rnn_and_time_distributed(tmp_path):
    cells = [layers.LSTMCell(3), layers.GRUCell(2)]
    check_layer(layers.RNN, {"cell": cells}, (2, 4, 3), (2, 2), tmp_path, trainable=6, gradients=False)
    inner = {"layer": layers.Dense(5, activation="tanh")}
    check_layer(layers.TimeDistributed, inner, (2, 4, 3), (2, 4, 5), tmp_path, trainable=2, gradients=False)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_cell_step_by_step(name):
    cls, count = LAYERS[name]
    layer = cls(5, return_sequences=True, return_state=True)
    outputs, *states = layer(X)
    assert len(states) == count == len(layer.state_size)
    before = layer.cell.get_initial_state(4)
    for t in range(6):
        output, before = layer.cell(lm.convert_to_tensor(X[:, t]), before)
        np.testing.assert_allclose(outputs.numpy()[:, t], output.numpy(), rtol=1e-5, atol=1e-6)
    for state, want in zip(states, before):
        np.testing.assert_allclose(state.numpy(), want.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_padding_changes_nothing(name):
    cls, _ = LAYERS[name]
    layer = cls(5, return_state=True)
    short = layer(X[:, :4])
    padded = np.concatenate([X[:, :4], np.full((4, 3, 3), 9.0, "float32")], 1)
    mask = np.arange(7) < 4
    long = layer(padded, mask=np.broadcast_to(mask, (4, 7)).copy())
    for a, b in zip(long, short):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_masks_go_on_with_sequences_alone():
    x = layers.Masking()(X)
    assert mask_of(layers.GRU(2, return_sequences=True)(x)) is not None
    assert mask_of(layers.GRU(2)(x)) is None
    outputs = layers.GRU(2, return_sequences=True, return_state=True)(x)
    assert [mask_of(y) is not None for y in outputs] == [True, False]


def test_dropout_is_the_same_at_all_steps():
    layer = layers.SimpleRNN(3, dropout=0.5, recurrent_initializer="zeros", activation="linear", return_sequences=True)
    ones = np.ones((64, 5, 4), "float32")
    y = layer(ones, training=True).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y[:, 0, 0])) > 1
    assert (layer(ones).numpy() == layer(ones).numpy()).all()


def test_a_custom_cell():
    class Sum:
        state_size = output_size = 3

        def __call__(self, inputs, states):
            total = states[0] + inputs
            return total, [total]

    outputs, last = layers.RNN(Sum(), return_sequences=True, return_state=True)(X)
    np.testing.assert_allclose(outputs.numpy(), np.cumsum(X, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(last.numpy(), outputs.numpy()[:, -1])


def test_stateful_training_captured_as_eager():
    y = RNG.standard_normal((4, 2)).astype("float32")

    def run(eager):
        lm.utils.set_random_seed(1)
        x = lm.Input(batch_shape=(4, 6, 3))
        model = lm.Model(x, layers.Dense(2)(layers.LSTM(5, stateful=True)(x)))
        model.compile("adam", "mse", run_eagerly=eager)
        losses = [model.train_on_batch(X, y) for _ in range(5)]
        model.layers[0].reset_state()
        return losses, [w.tobytes() for w in model.get_weights()], model.predict(X, verbose=0).tobytes()

    assert run(True) == run(False)


def test_initial_states_of_a_functional_model():
    """Sequence to sequence: the decoder begins where the encoder ended."""
    source, target = lm.Input((None, 3)), lm.Input((None, 2))
    _, h, c = layers.LSTM(5, return_state=True)(source)
    outputs = layers.LSTM(5, return_sequences=True)(target, initial_state=[h, c])
    model = lm.Model([source, target], layers.TimeDistributed(layers.Dense(2))(outputs))
    model.compile("adam", "mse")
    inputs, y = (X, RNG.standard_normal((4, 7, 2)).astype("float32")), np.zeros((4, 7, 2), "float32")
    history = model.fit(inputs, y, epochs=30, batch_size=2, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    other = model.predict((2 * X, inputs[1]), verbose=0)
    assert np.abs(other - model.predict(inputs, verbose=0)).max() > 1e-3


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: layers.LSTM(0), r"\[LSTMCell\] units must be a positive integer. Received: units=0"),
        (lambda: layers.GRU(3, dropout=1.5), r"\[GRUCell\] dropout must be a number from 0 to 1"),
        (lambda: layers.RNN(layers.Dense(3)), r"\[RNN\] a cell is called on \(inputs, states\) and has a state_size"),
        (lambda: layers.LSTM(3)(np.zeros((2, 3))), r"expected 3 axes|ndim|axes"),
        (lambda: layers.LSTM(3)(np.zeros((2, 0, 3))), r"needs at least one step. Received: inputs.shape=\(2, 0, 3\)"),
        (lambda: layers.LSTM(3, stateful=True)(lm.Input((4, 3))), r"needs the size of its batches.*\(None, 4, 3\)"),
        (lambda: layers.Bidirectional(layers.Dense(3)), r"\[Bidirectional\] needs a recurrent layer"),
        (lambda: layers.Bidirectional(layers.GRU(3), "max"), r"merge_mode"),
        (lambda: layers.Bidirectional(layers.GRU(3), backward_layer=layers.GRU(3)), "go in different directions"),
        (lambda: layers.TimeDistributed(3), r"\[TimeDistributed\] needs a layer"),
        (lambda: layers.TimeDistributed(layers.Dense(3))(np.zeros((2, 3))), r"needs inputs \[batch, steps, ...\]"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_stateful_layer_keeps_its_batch_size():
    layer = layers.GRU(3, stateful=True)
    layer(X)
    with pytest.raises(ValueError, match=r"of the size it was built for, 4. Received: inputs.shape=\(2, 6, 3\)"):
        layer(X[:2])
