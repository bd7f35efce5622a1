import numpy as np
import pytest

import lamina as lm
from lamina import layers

from .check_layer import check_layer


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid", "softmax", "gelu"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_contract(activation, use_bias, tmp_path):
    kwargs = {"units": 4, "activation": activation, "use_bias": use_bias, "bias_initializer": "ones"}
    check_layer(layers.Dense, kwargs, (3, 5), (3, 4), tmp_path, trainable=1 + use_bias)


def test_keeps_the_leading_axes(tmp_path):
    check_layer(layers.Dense, {"units": 4}, (2, 3, 5), (2, 3, 4), tmp_path, trainable=2)


def test_values():
    layer = layers.Dense(
        2, activation="relu", kernel_initializer="ones", bias_initializer=lambda s, dtype: lm.ops.full(s, -3.0)
    )
    np.testing.assert_array_equal(layer(np.array([[1.0, 1.0], [2.0, 2.0]])).numpy(), [[0, 0], [1, 1]])


def test_weights_have_kerasses_names_and_order():
    layer = layers.Dense(2, name="fc")
    layer.build((None, 3))
    assert [v.path for v in layer.weights] == ["fc/kernel", "fc/bias"]
    assert [v.shape for v in layer.weights] == [(3, 2), (2,)]


def test_penalties_and_constraints():
    layer = layers.Dense(
        1,
        kernel_initializer="ones",
        kernel_regularizer="l2",
        activity_regularizer=lm.regularizers.L1(1.0),
        kernel_constraint="non_neg",
    )
    layer(np.array([[1.0, 2.0]]))
    assert sorted(float(x) for x in layer.losses) == pytest.approx([0.02, 3.0])
    layer(np.array([[0.0, 2.0]]))
    assert sorted(float(x) for x in layer.losses) == pytest.approx([0.02, 2.0])
    assert isinstance(layer.kernel.constraint, lm.constraints.NonNeg)


def test_integers_are_cast():
    assert layers.Dense(2)(np.zeros((1, 3), np.uint8)).dtype == "float32"


@pytest.mark.parametrize("units", [0, -1, 2.5, True, "3", None])
def test_bad_units(units):
    with pytest.raises(ValueError, match=r"\[Dense\] units must be a positive integer. Received: units="):
        layers.Dense(units)


def test_bad_inputs():
    layer = layers.Dense(2, name="fc")
    layer.build((None, 64))
    with pytest.raises(
        ValueError, match=r"\[fc\] expects inputs whose last axis is 64. Received: input.shape=\(32, 10\)"
    ):
        layer(np.zeros((32, 10)))
    with pytest.raises(ValueError, match=r"at least 2 axes, but got 1"):
        layer(np.zeros(64))
    with pytest.raises(ValueError, match=r"last axis of the inputs must be known"):
        layers.Dense(2).build((3, None))


def test_unknown_names_are_answered_by_the_nearest():
    with pytest.raises(ValueError, match="activation='rleu'. Did you mean 'relu'"):
        layers.Dense(2, activation="rleu")
    with pytest.raises(ValueError, match="Did you mean 'he_normal'"):
        layers.Dense(2, kernel_initializer="he_norml")
    with pytest.raises(ValueError, match="regularizer='l3'"):
        layers.Dense(2, kernel_regularizer="l3")
