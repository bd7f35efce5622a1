"""Metrics against NumPy, batch by batch."""

import numpy as np
import pytest

import lamina as lm
from lamina import losses, metrics
from lamina.metrics.registry import accuracy_for

rng = np.random.default_rng(1)
SCORES = rng.random((12, 4)).astype(np.float32)
IDS = rng.integers(0, 4, 12)
ONE_HOT = np.eye(4, dtype=np.float32)[IDS]
RIGHT = SCORES.argmax(1) == IDS
RANKS = (SCORES > SCORES[range(12), IDS][:, None]).sum(1)
BITS, YES = rng.integers(0, 2, (12, 1)).astype(np.float32), rng.random((12, 1)).astype(np.float32)
A, B = rng.normal(size=(12, 2)).astype(np.float32), rng.normal(size=(12, 2)).astype(np.float32)

ROWS = [
    (metrics.Accuracy, {}, IDS, SCORES.argmax(1), RIGHT),
    (metrics.SparseCategoricalAccuracy, {}, IDS, SCORES, RIGHT),
    (metrics.SparseCategoricalAccuracy, {}, IDS[:, None], SCORES, RIGHT),
    (metrics.SparseCategoricalAccuracy, {}, IDS, SCORES.argmax(1), RIGHT),
    (metrics.SparseCategoricalAccuracy, {}, IDS.astype("float32"), SCORES.argmax(1), RIGHT),
    (metrics.CategoricalAccuracy, {}, ONE_HOT, SCORES, RIGHT),
    (metrics.TopKCategoricalAccuracy, {"k": 2}, ONE_HOT, SCORES, RANKS < 2),
    (metrics.SparseTopKCategoricalAccuracy, {"k": 3}, IDS, SCORES, RANKS < 3),
    (metrics.BinaryAccuracy, {}, BITS, YES, (YES > 0.5) == BITS),
    (metrics.BinaryAccuracy, {"threshold": 0.2}, BITS[:, 0], YES, (YES > 0.2) == BITS),
    (metrics.MeanSquaredError, {}, A, B, ((A - B) ** 2).mean(1)),
    (metrics.MeanAbsoluteError, {}, A, B, np.abs(A - B).mean(1)),
]


@pytest.mark.parametrize("cls, settings, y_true, y_pred, values", ROWS)
def test_rows(cls, settings, y_true, y_pred, values):
    values = np.asarray(values, np.float64).reshape(12)
    metric = cls(**settings)
    for part in (slice(0, 5), slice(5, 6), slice(6, 12)):
        metric.update_state(y_true[part], y_pred[part])
    assert float(metric.result()) == pytest.approx(values.mean(), rel=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0.0
    weight = rng.random(12)
    metric.update_state(y_true, y_pred, weight)
    assert float(metric.result()) == pytest.approx((values * weight).sum() / weight.sum(), rel=1e-6)
    again = cls.from_config(metric.get_config())
    assert again.name == metric.name
    assert float(again(y_true, y_pred)) == pytest.approx(values.mean(), rel=1e-6)


def test_root_mean_squared_error_takes_the_root_last():
    metric = metrics.RootMeanSquaredError()
    metric.update_state(A[:3], B[:3])
    metric.update_state(A[3:], B[3:])
    assert float(metric.result()) == pytest.approx(np.sqrt(((A - B) ** 2).mean()), rel=1e-6)


def test_means_and_sums():
    mean, total = metrics.Mean(), metrics.Sum()
    for values, weight in (([1.0, 2.0], None), (5.0, 3), ([[1.0], [4.0]], [1.0, 0.5])):
        mean.update_state(values, weight)
    assert float(mean.result()) == pytest.approx((1 + 2 + 15 + 1 + 2) / (2 + 3 + 1.5))
    total.update_state([1.0, 2.0])
    total.update_state([3.0], [2.0])
    assert float(total.result()) == 9.0


def test_long_sums_stay_exact():
    mean = metrics.Mean()
    for _ in range(3000):
        mean.update_state(np.full(10000, 0.1, np.float32))
    assert float(mean.result()) == pytest.approx(float(np.float32(0.1)), rel=1e-6)
    assert mean.total.dtype == "float64"


@pytest.mark.parametrize(
    "loss, y, y_pred, cls",
    [
        ("binary_crossentropy", (8, 1), (8, 1), metrics.BinaryAccuracy),
        ("binary_crossentropy", (8, 3), (8, 3), metrics.BinaryAccuracy),
        ("mse", (8,), (8, 1), metrics.BinaryAccuracy),
        ("sparse_categorical_crossentropy", (8,), (8, 3), metrics.SparseCategoricalAccuracy),
        ("sparse_categorical_crossentropy", (8, 1), (8, 3), metrics.SparseCategoricalAccuracy),
        ("categorical_crossentropy", (8, 3), (8, 3), metrics.CategoricalAccuracy),
    ],
)
def test_accuracy_by_loss_and_shape(loss, y, y_pred, cls):
    made = accuracy_for("acc", losses.get(loss), lm.ops.zeros(y), lm.ops.zeros(y_pred))
    assert type(made) is cls and made.name == "acc"


def test_accuracy_of_logits_splits_at_zero():
    loss = losses.BinaryCrossentropy(from_logits=True)
    made = accuracy_for("accuracy", loss, lm.ops.zeros((2, 1)), lm.ops.zeros((2, 1)))
    assert float(made([[1.0], [0.0]], [[0.2], [-0.2]])) == 1.0


def test_by_name():
    assert metrics.get("mae").name == "mean_absolute_error"
    assert metrics.get("binary_crossentropy").name == "binary_crossentropy"
    own = metrics.get(lambda t, p: p)
    assert float(own([0.0], [2.0])) == 2.0
    with pytest.raises(ValueError, match=r"\[metric\] is unknown.*Did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match=r"\[metric\] is no metric"):
        metrics.get(3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.categorical_accuracy(IDS, SCORES), r"\[categorical_accuracy\].*\(12,\).*\(12, 4\)"),
        (lambda: metrics.sparse_categorical_accuracy(IDS[:5], SCORES), r"\(5,\).*\(12, 4\)"),
        (lambda: metrics.binary_accuracy(np.zeros(12), SCORES), r"\[binary_accuracy\].*\(12,\).*\(12, 4\)"),
        (lambda: metrics.Accuracy()(IDS, SCORES), r"\[accuracy\].*\(12,\).*\(12, 4\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
