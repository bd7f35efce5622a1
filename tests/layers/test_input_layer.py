import copy
import pickle

import pytest

from lamina import layers


def test_input_is_symbolic():
    x = layers.Input((3, None), batch_size=2, dtype="int32")
    assert (x.shape, x.dtype) == ((2, 3, None), "int32")
    assert isinstance(x.history[0], layers.InputLayer) and x.history[1] == ()
    with pytest.raises(ValueError, match="symbolic tensor has a shape"):
        x.numpy()


def test_calls_note_their_layer_and_inputs():
    x = layers.Input((3,))
    dense = layers.Dense(2)
    y = dense(x)
    assert y.history.layer is dense and y.history.args[0] is x


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda y: pickle.loads(pickle.dumps(y))])
def test_the_note_survives_copies(copied):
    y = copied(layers.Dense(2, name="fc")(layers.Input((3,), name="in")))
    assert y.shape == (None, 2)
    assert [y.history.layer.name, y.history.args[0].history.layer.name] == ["fc", "in"]


def test_config():
    layer = layers.InputLayer((3,), name="in")
    assert layers.InputLayer.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({}, "needs either shape or batch_shape"),
        ({"shape": (1,), "batch_shape": (2, 1)}, "needs either shape or batch_shape"),
        ({"shape": (-1,)}, "sizes are integers >= 0 or None"),
        ({"shape": (3,), "dtype": "flot32"}, "dtype='flot32'"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Input(**kwargs)
