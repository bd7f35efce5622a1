"""Masks: made by Masking and Embedding, handed on by layers, used by losses and metrics."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import lamina as lm
from lamina import layers
from lamina.masked_tensor import mask_of

from .check_layer import check_layer

X = np.array([[[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]], [[0.0, 0.0], [4.0, 4.0], [0.0, 0.0]]], "float32")
SEEN = [[True, False, True], [False, True, False]]


def masked(dtype=None):
    return layers.Masking(dtype=dtype)(X)


def test_contract(tmp_path):
    check_layer(layers.Masking, {"mask_value": 0.5}, (2, 3, 4), (2, 3, 4), tmp_path)


def test_masked_steps_become_zero():
    y = layers.Masking(mask_value=4.0)(X)
    np.testing.assert_array_equal(y.numpy()[1], np.zeros((3, 2)))
    np.testing.assert_array_equal(mask_of(y).numpy(), [[True] * 3, [True, False, True]])


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(3, activation="relu"),
        layers.Dropout(0.5),
        layers.LayerNormalization(),
        layers.BatchNormalization(),
        layers.Activation("tanh"),
        layers.ReLU(),
        layers.Rescaling(2.0),
        lm.Sequential([layers.Dense(3), layers.Dropout(0.1)]),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_that_keep_the_steps_hand_masks_on(layer):
    for training in (False, True):
        np.testing.assert_array_equal(mask_of(layer(masked(), training=training)).numpy(), SEEN)


def test_a_cast_keeps_the_mask():
    y = layers.Dense(2, dtype="float64")(masked())
    assert y.dtype == "float64"
    np.testing.assert_array_equal(mask_of(y).numpy(), SEEN)


def test_a_layer_that_loses_the_mask_says_so_once():
    layer = layers.Reshape((6,), name="flat")
    with pytest.warns(UserWarning, match=r"\[flat\] the inputs have a mask, which Reshape does not hand on"):
        assert mask_of(layer(masked())) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(masked())


def test_call_is_given_the_mask():
    class Last(layers.Layer):
        def call(self, inputs, mask=None):
            return inputs if mask is None else lm.ops.where(mask[:, :, None], inputs, -1.0)

        def compute_mask(self, inputs, previous_mask):
            return lm.ops.logical_not(previous_mask)

    y = Last()(masked())
    np.testing.assert_array_equal(y.numpy()[0, 1], [-1, -1])
    np.testing.assert_array_equal(mask_of(y).numpy(), np.logical_not(SEEN))
    explicit = Last()(X, mask=lm.ops.logical_not(lm.convert_to_tensor(SEEN)))
    np.testing.assert_array_equal(explicit.numpy()[0, 0], [-1, -1])
    np.testing.assert_array_equal(mask_of(explicit).numpy(), SEEN)


def test_masks_of_further_arguments_go_by_name():
    class Pair(layers.Layer):
        def call(self, query, value, query_mask=None, value_mask=None):
            self.found = query_mask, value_mask
            return query

    layer = Pair()
    layer(X, masked())
    assert layer.found[0] is None
    np.testing.assert_array_equal(layer.found[1].numpy(), SEEN)


def test_merging():
    other = layers.Masking(mask_value=1.0)(np.stack([[[1.0, 1.0]] * 3, [[0.0, 1.0]] * 3]))
    summed = mask_of(layers.Add()([masked(), other])).numpy()
    np.testing.assert_array_equal(summed, [[True, False, True], [True, True, True]])  # as in Keras: either
    assert mask_of(layers.Add()([masked(), lm.convert_to_tensor(X)])) is None
    steps = mask_of(layers.Concatenate(axis=1)([masked(), lm.convert_to_tensor(X)])).numpy()
    np.testing.assert_array_equal(steps, np.concatenate([SEEN, np.ones((2, 3), bool)], 1))
    features = mask_of(layers.Concatenate()([masked(), other])).numpy()
    np.testing.assert_array_equal(features, [[True, False, True], [True, True, True]])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
def test_losses_and_metrics_leave_masked_steps_out(reduction):
    y_pred, y_true = masked(), np.arange(12, dtype="float32").reshape(2, 3, 2)
    values = ((y_true - y_pred.numpy()) ** 2).mean(-1)
    count = np.array(SEEN)
    want = {
        "sum_over_batch_size": values[count].mean(),
        "sum": values[count].sum(),
        "mean_with_sample_weight": values[count].mean(),
        "none": values * count,
    }[reduction]
    got = lm.losses.MeanSquaredError(reduction=reduction)(y_true, y_pred)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)
    metric = lm.metrics.MeanSquaredError()
    metric.update_state(y_true, y_pred)
    np.testing.assert_allclose(float(metric.result()), values[count].mean(), rtol=1e-6)
    metric.update_state(y_true, y_pred, sample_weight=[1.0, 0.0])
    rows = values * count * np.array([[2.0], [1.0]])
    np.testing.assert_allclose(float(metric.result()), rows.sum() / (2 * 2 + 1), rtol=1e-6)


def test_a_batch_without_any_step_gives_zero():
    y = layers.Masking()(np.zeros((2, 3, 2), "float32"))
    assert float(lm.losses.MeanSquaredError()(np.ones((2, 3, 2), "float32"), y)) == 0


def test_training_is_the_same_captured_and_eager():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (32, 7)), rng.integers(0, 3, (32, 7))

    def run(eager):
        lm.utils.set_random_seed(3)
        model = lm.Sequential([layers.Embedding(5, 4, mask_zero=True), layers.Dense(3)])
        loss = lm.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], run_eagerly=eager)
        history = model.fit(x, y, batch_size=8, epochs=3, verbose=0).history
        return history, [w.tobytes() for w in model.get_weights()], model

    eager, captured = run(True), run(False)
    assert eager[:2] == captured[:2]
    assert captured[2]._functions["train"].plans
    padding = eager[2].get_weights()[0][0]
    lm.utils.set_random_seed(3)
    fresh = layers.Embedding(5, 4)
    fresh.build()
    np.testing.assert_array_equal(padding, fresh.get_weights()[0][0])  # no gradient reached it


def test_a_captured_call_keeps_the_mask():
    model = lm.Sequential([layers.Masking(), layers.Dense(2)])
    with lm.no_grad():
        for _ in range(3):
            np.testing.assert_array_equal(mask_of(model(X)).numpy(), SEEN)


def test_copies_keep_the_mask():
    for twin in (copy.copy(masked()), copy.deepcopy(masked()), pickle.loads(pickle.dumps(masked()))):
        np.testing.assert_array_equal(mask_of(twin).numpy(), SEEN)
        np.testing.assert_array_equal(twin.numpy(), masked().numpy())


def test_functional_models_hand_masks_on():
    x = lm.Input((3, 2))
    model = lm.Model(x, layers.Dense(2)(layers.Masking()(x)))
    np.testing.assert_array_equal(mask_of(model(X)).numpy(), SEEN)
    y_true = np.ones((2, 3, 2), "float32")
    model.compile("sgd", "mse")
    values = ((model(X).numpy() - 1) ** 2).mean(-1)
    np.testing.assert_allclose(model.evaluate(X, y_true, verbose=0), values[np.array(SEEN)].mean(), rtol=1e-6)
