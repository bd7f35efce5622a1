"""Losses and metrics: values, gradients, weights, reductions, shapes."""

import numpy as np
import pytest

import lamina as lm

from .both import close, gradients_of, keras, keras_gradients_of

RNG = np.random.default_rng(3)
SCORES = RNG.standard_normal((6, 4)).astype("float32")
SHARES = (np.exp(SCORES) / np.exp(SCORES).sum(-1, keepdims=True)).astype("float32")
IDS = np.array([0, 3, 1, 2, 2, 0], "int32")
HOT = np.eye(4, dtype="float32")[IDS]
YES = (SCORES > 0.3).astype("float32")
CHANCES = (1 / (1 + np.exp(-SCORES))).astype("float32")
COLUMN = SCORES[:, :1]
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0], "float32")
SPARSE = "SparseCategoricalCrossentropy"

# loss, arguments, y_true, y_pred
LOSSES = [
    ("MeanSquaredError", {}, HOT, SCORES),
    ("MeanSquaredError", {}, IDS, COLUMN),
    ("MeanSquaredError", {}, IDS.astype("float32"), COLUMN[:, 0]),
    ("MeanAbsoluteError", {}, HOT, SCORES),
    ("Huber", {}, 3 * HOT, SCORES),
    ("Huber", dict(delta=0.4), HOT, SCORES),
    ("KLDivergence", {}, SHARES[::-1].copy(), SHARES),
    ("BinaryCrossentropy", {}, YES, CHANCES),
    ("BinaryCrossentropy", dict(from_logits=True), YES, SCORES * 30),
    ("BinaryCrossentropy", dict(label_smoothing=0.2), YES, CHANCES),
    ("BinaryCrossentropy", dict(from_logits=True, label_smoothing=0.2), YES[:, 0], COLUMN),
    ("BinaryCrossentropy", dict(axis=0, from_logits=True), YES, SCORES),
    ("CategoricalCrossentropy", {}, HOT, SHARES),
    ("CategoricalCrossentropy", {}, HOT, 2 * SHARES),
    ("CategoricalCrossentropy", dict(from_logits=True), HOT, SCORES * 30),
    ("CategoricalCrossentropy", dict(label_smoothing=0.1), HOT, SHARES),
    ("CategoricalCrossentropy", dict(from_logits=True, label_smoothing=0.1), SHARES[::-1].copy(), SCORES),
    (SPARSE, {}, IDS, SHARES),
    (SPARSE, {}, IDS[:, None], SHARES),
    (SPARSE, dict(from_logits=True), IDS.astype("float32"), SCORES * 30),
    (SPARSE, dict(from_logits=True, ignore_class=2), IDS, SCORES),
    (SPARSE, dict(ignore_class=0), IDS, SHARES),
    (SPARSE, dict(from_logits=True), np.stack([IDS, IDS[::-1]], 1), np.stack([SCORES, SCORES * 2], 1)),
]
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"]


def _id(case):
    return f"{case[0]}-{case[1]}-{case[2].shape}-{case[3].shape}"


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, None]], ids=["", "weights", "weights_column"])
@pytest.mark.parametrize("case", LOSSES, ids=_id)
def test_classes(case, reduction, weights):
    name, arguments, y_true, y_pred = case
    if weights is not None:
        if y_pred.ndim == 1:
            with pytest.raises(ValueError, match="the sample weights do not fit"):  # of one mean; Keras spreads it
                getattr(lm.losses, name)(reduction=reduction, **arguments)(y_true, y_pred, weights)
            return
        if y_pred.ndim == 3:
            weights = weights.reshape(-1, 1)
        weights = weights[:4] if arguments.get("axis") == 0 else weights
    ours = getattr(lm.losses, name)(reduction=reduction, **arguments)
    theirs = getattr(keras.losses, name)(reduction=reduction, **arguments)
    assert ours.name == theirs.name
    y, (grad,) = gradients_of(lambda p: ours(y_true, p, weights), [y_pred])
    other, (other_grad,) = keras_gradients_of(lambda p: theirs(y_true, p, weights), [y_pred])
    if reduction == "none":  # Keras adds the axis of a column of weights
        other = other.reshape(y.shape)
        return close(y, other)
    close(y, other)
    close(grad, other_grad)


@pytest.mark.parametrize("case", LOSSES, ids=_id)
def test_functions(case):
    name, arguments, y_true, y_pred = case
    function = {"KLDivergence": "kl_divergence", "Huber": "huber"}.get(name) or getattr(lm.losses, name)().name
    if name == "MeanSquaredError" and y_true.ndim < y_pred.ndim:
        y_true = y_true[:, None]  # the classes add the axis, Keras' functions do not
    if function == "binary_crossentropy" and y_true.ndim < y_pred.ndim:
        y_true = y_true[:, None]
    ours, theirs = getattr(lm.losses, function), getattr(keras.losses, function)
    if y_pred.ndim > 1:
        close(ours(y_true, y_pred, **arguments).numpy(), np.asarray(theirs(y_true, y_pred, **arguments)))


# metric, arguments, y_true, y_pred
METRICS = [
    ("Accuracy", {}, IDS, IDS[::-1].copy()),
    ("BinaryAccuracy", {}, YES, CHANCES),
    ("BinaryAccuracy", dict(threshold=0.7), YES[:, 0], CHANCES[:, :1]),
    ("BinaryAccuracy", {}, YES[:, :1], CHANCES[:, :1]),
    ("CategoricalAccuracy", {}, HOT, SCORES),
    ("SparseCategoricalAccuracy", {}, IDS, SCORES),
    ("SparseCategoricalAccuracy", {}, IDS[:, None], SCORES),
    ("TopKCategoricalAccuracy", dict(k=2), HOT, SCORES),
    ("SparseTopKCategoricalAccuracy", dict(k=2), IDS, SCORES),
    ("MeanSquaredError", {}, HOT, SCORES),
    ("MeanAbsoluteError", {}, IDS, COLUMN),
    ("RootMeanSquaredError", {}, HOT, SCORES),
]


@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, None]], ids=["", "weights", "weights_column"])
@pytest.mark.parametrize("case", METRICS, ids=_id)
def test_metrics_over_three_batches(case, weights):
    name, arguments, y_true, y_pred = case
    ours, theirs = getattr(lm.metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    assert ours.name == theirs.name
    for rows in (slice(0, 3), slice(3, 5), slice(5, 6)):
        weight = None if weights is None else weights[rows]
        ours.update_state(y_true[rows], y_pred[rows], weight)
        theirs.update_state(y_true[rows], y_pred[rows], weight)
        close(float(ours.result()), float(theirs.result()))


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize("weight", [None, 0.5, WEIGHTS, WEIGHTS[:, None]], ids=["", "number", "weights", "column"])
def test_mean_and_sum(name, weight):
    ours, theirs = getattr(lm.metrics, name)(), getattr(keras.metrics, name)()
    assert float(ours.result()) == float(theirs.result()) == 0.0
    for values in (SCORES, SHARES):
        close(float(ours(values, weight)), float(theirs(values, weight)))
