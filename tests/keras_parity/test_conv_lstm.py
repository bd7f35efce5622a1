"""ConvLSTM with Keras' weights: outputs, states and gradients; masks, initial states, both directions."""

import numpy as np
import pytest

import lamina as lm

from .both import close, keras
from .test_recurrent import both

RNG = np.random.default_rng(0)
SHAPES = {1: (2, 3, 7, 2), 2: (2, 3, 5, 6, 2), 3: (2, 2, 4, 3, 5, 2)}
MASK = np.array([[True, False, True], [False, True, False]])


def draw(shape):
    return RNG.standard_normal(shape).astype("float32")


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "strides": 2},
        {"dilation_rate": 2, "padding": "same", "go_backwards": True},
        {"use_bias": False, "activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"unit_forget_bias": False, "stateful": True},
    ],
    ids=str,
)
def test_layers(rank, options):
    for sequences in (False, True):
        options = {"return_sequences": sequences, "return_state": True, **options}
        both(lambda k, options=options: getattr(k.layers, f"ConvLSTM{rank}D")(3, 2, **options), draw(SHAPES[rank]))


@pytest.mark.parametrize("masked, given", [(True, False), (False, True), (True, True)])
def test_masks_and_first_states(masked, given):
    states = [draw((2, 5, 6, 3)) for _ in range(2)] if given else None
    for sequences in (False, True):
        options = {"return_sequences": sequences, "return_state": True, "padding": "same"}
        both(
            lambda k, options=options: k.layers.ConvLSTM2D(3, 3, **options),
            draw(SHAPES[2]),
            MASK if masked else None,
            states,
        )


@pytest.mark.parametrize("sequences", [False, True])
def test_both_directions(sequences):
    def make(k):
        return k.layers.Bidirectional(k.layers.ConvLSTM2D(3, 3, return_sequences=sequences))

    both(make, draw(SHAPES[2]))


def test_initial_weights_and_their_names():
    layers = [k.layers.ConvLSTM2D(3, (3, 2), name="c") for k in (keras, lm)]
    for layer in layers:
        layer.build((None, 4, 6, 5, 2))
    assert [w.path for w in layers[1].weights] == [w.path for w in layers[0].weights]
    assert [w.shape for w in layers[1].weights] == [tuple(w.shape) for w in layers[0].weights]
    close(layers[1].weights[2].numpy(), np.asarray(layers[0].weights[2]))
    theirs, ours = (np.asarray(layer.weights[1]).reshape(18, 12) for layer in layers)
    close(ours.T @ ours, theirs.T @ theirs)  # orthogonal
