"""Losses against their formulas in NumPy."""

import numpy as np
import pytest

import lamina as lm
from lamina import losses

rng = np.random.default_rng(0)
SCORES = rng.normal(size=(4, 3)).astype(np.float32)
PROBABILITIES = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
IDS = np.array([2, 0, 1, 1])
ONE_HOT = np.eye(3, dtype=np.float32)[IDS]
TRUE, PRED = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
BITS = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]], np.float32)
SIGMOID = 1 / (1 + np.exp(-SCORES))
NLL = -np.log(PROBABILITIES[range(4), IDS])


def smoothed(t, s, base):
    return t * (1 - s) + s * base


def huber(e, d):
    return np.where(np.abs(e) <= d, e * e / 2, d * np.abs(e) - d * d / 2)


def binary(t, p):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


ROWS = [
    (losses.MeanSquaredError(), TRUE, PRED, ((TRUE - PRED) ** 2).mean(1)),
    (losses.MeanAbsoluteError(), TRUE, PRED, np.abs(TRUE - PRED).mean(1)),
    (losses.Huber(), TRUE, PRED, huber(TRUE - PRED, 1.0).mean(1)),
    (losses.Huber(delta=0.3), TRUE, PRED, huber(TRUE - PRED, 0.3).mean(1)),
    (losses.KLDivergence(), ONE_HOT, PROBABILITIES, NLL),
    (losses.BinaryCrossentropy(), BITS, SIGMOID, binary(BITS, SIGMOID).mean(1)),
    (losses.BinaryCrossentropy(from_logits=True), BITS, SCORES, binary(BITS, SIGMOID).mean(1)),
    (
        losses.BinaryCrossentropy(label_smoothing=0.2),
        BITS,
        SIGMOID,
        binary(smoothed(BITS, 0.2, 0.5), SIGMOID).mean(1),
    ),
    (losses.CategoricalCrossentropy(), ONE_HOT, PROBABILITIES, NLL),
    (losses.CategoricalCrossentropy(from_logits=True), ONE_HOT, SCORES, NLL),
    (
        losses.CategoricalCrossentropy(label_smoothing=0.3),
        ONE_HOT,
        PROBABILITIES,
        -(smoothed(ONE_HOT, 0.3, 1 / 3) * np.log(PROBABILITIES)).sum(1),
    ),
    (losses.SparseCategoricalCrossentropy(), IDS, PROBABILITIES, NLL),
    (losses.SparseCategoricalCrossentropy(from_logits=True), IDS, SCORES, NLL),
    # Of 27 paths 112 122 012 102 120 spell 1 2, six spell 1, one spells 2 2 and one nothing.
    (
        losses.CTC(),
        np.array([[1, 2], [1, 0], [2, 2], [0, 0]]),
        np.zeros((4, 3, 3)),
        np.log(27 / np.array([5, 6, 1, 1])),
    ),
]


@pytest.mark.parametrize("loss, y_true, y_pred, values", ROWS, ids=lambda v: getattr(v, "name", ""))
class TestRows:
    def test_reductions(self, loss, y_true, y_pred, values):
        weight = np.array([1.0, 0.0, 2.0, 0.5], np.float32)
        config = loss.get_config()
        for reduction, plain, weighted in [
            ("none", values, values * weight),
            (None, values, values * weight),
            ("sum", values.sum(), (values * weight).sum()),
            ("sum_over_batch_size", values.mean(), (values * weight).mean()),
            ("mean", values.mean(), (values * weight).mean()),
            ("mean_with_sample_weight", values.mean(), (values * weight).sum() / weight.sum()),
        ]:
            made = type(loss).from_config(config | {"reduction": reduction})
            np.testing.assert_allclose(made(y_true, y_pred).numpy(), plain, rtol=1e-5, atol=2e-6)
            np.testing.assert_allclose(made(y_true, y_pred, weight).numpy(), weighted, rtol=1e-5, atol=2e-6)

    def test_serialized(self, loss, y_true, y_pred, values):
        again = losses.deserialize(losses.serialize(loss))
        assert again.get_config() == loss.get_config()
        assert float(again(y_true, y_pred)) == float(loss(y_true, y_pred))

    def test_gradient_reaches_predictions(self, loss, y_true, y_pred, values):
        v = lm.Variable(y_pred.astype(np.float32))
        with lm.GradientTape() as tape:
            value = loss(y_true, v)
        gradient = tape.gradient(value, v)
        assert gradient.shape == v.shape and np.abs(gradient.numpy()).sum() > 0


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_class_ids_of_any_type_and_with_a_last_axis(dtype, shape):
    value = losses.sparse_categorical_crossentropy(IDS.astype(dtype).reshape(shape), PROBABILITIES)
    np.testing.assert_allclose(value.numpy(), NLL, rtol=1e-5)


def test_ignored_class_counts_neither_above_nor_below():
    ids = np.array([2, -1, 1, -1])
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    assert float(loss(ids, PROBABILITIES)) == pytest.approx(NLL[[0, 2]].mean(), rel=1e-5)
    weight = np.array([2.0, 5.0, 1.0, 5.0], np.float32)
    assert float(loss(ids, PROBABILITIES, weight)) == pytest.approx((2 * NLL[0] + NLL[2]) / 2, rel=1e-5)


def test_targets_without_the_last_axis():
    assert float(losses.MeanSquaredError()([1.0, 2.0], [[1.0], [4.0]])) == 2.0
    assert float(losses.MeanSquaredError()([[1.0], [2.0]], [1.0, 4.0])) == 2.0


def test_functions_and_names_find_their_class():
    assert type(losses.get("mse")) is losses.MeanSquaredError
    assert type(losses.get("BinaryCrossentropy")) is losses.BinaryCrossentropy
    assert type(losses.get(losses.sparse_categorical_crossentropy)) is losses.SparseCategoricalCrossentropy
    assert type(losses.get("ctc")) is type(losses.get(losses.ctc)) is losses.CTC
    assert losses.get(None) is None
    own = losses.get(lambda t, p: lm.ops.abs(t - p))
    assert float(own([1.0, 2.0], [2.0, 4.0])) == 1.5


ERRORS = [
    (lambda: losses.get("msee"), ValueError, r"\[loss\] is unknown.*Did you mean 'mse'"),
    (lambda: losses.get(3), TypeError, r"\[loss\] is no loss.*loss=3"),
    (lambda: losses.MeanSquaredError(reduction="avg"), ValueError, r"\[reduction\] is unknown.*'avg'"),
    (lambda: losses.BinaryCrossentropy(label_smoothing=2), ValueError, r"label_smoothing=2"),
    (
        lambda: losses.mean_squared_error(np.zeros(5), np.zeros((5, 5))),
        ValueError,
        r"\[mean_squared_error\] the targets do not fit.*\(5,\).*\(5, 5\)",
    ),
    (
        lambda: losses.sparse_categorical_crossentropy(np.zeros(3, int), np.zeros((3, 28, 28, 10))),
        ValueError,
        r"\[sparse_categorical_crossentropy\].*\(3,\).*\(3, 28, 28, 10\).*Flatten",
    ),
    (
        lambda: losses.sparse_categorical_crossentropy(ONE_HOT, PROBABILITIES),
        ValueError,
        r"one-hot targets use categorical_crossentropy",
    ),
    (
        lambda: losses.categorical_crossentropy(IDS, PROBABILITIES),
        ValueError,
        r"class ids as targets use sparse_categorical_crossentropy",
    ),
    (
        lambda: losses.categorical_crossentropy(np.zeros((4, 5)), PROBABILITIES),
        ValueError,
        r"last layer needs 5 units",
    ),
    (
        lambda: losses.MeanSquaredError()(TRUE, PRED, np.ones(3)),
        ValueError,
        r"sample_weight.shape=\(3, ?\)|sample_weight.shape=\(3,\)",
    ),
    (
        lambda: losses.sparse_categorical_crossentropy([0, 7], PROBABILITIES[:2]),
        ValueError,
        r"\[sparse_categorical_crossentropy\].*7",
    ),
    (
        lambda: losses.sparse_categorical_crossentropy([0.5, 1.0], PROBABILITIES[:2]),
        ValueError,
        r"\[sparse_categorical_crossentropy\]",
    ),
    (
        lambda: losses.ctc(IDS, np.zeros((4, 5, 3))),
        ValueError,
        r"\[ctc\] the targets do not fit .*labels \[batch, length\].*y_true.shape=\(4,\), y_pred.shape=\(4, 5, 3\)",
    ),
    (lambda: losses.ctc([[1, 0, 2]], np.zeros((1, 5, 3))), ValueError, r"\[ctc_loss\] target holds the blank class"),
    (lambda: losses.Loss()([1.0], [1.0]), NotImplementedError, r"\[loss\] a loss defines call"),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_shape_error_names_the_layer():
    dense = lm.layers.Dense(10, name="scores")
    with lm.GradientTape(), pytest.raises(ValueError, match=r"of layer 'scores'"):
        losses.sparse_categorical_crossentropy(np.zeros(3, int), dense(np.zeros((3, 4, 4, 1), np.float32)))


@pytest.mark.parametrize("layer", [lm.layers.Softmax(), lm.layers.Activation("softmax")])
def test_saturated_softmax_still_learns(layer):
    logits = lm.Variable([[200.0, 0.0], [0.0, 300.0]])
    for loss, target in (
        (losses.SparseCategoricalCrossentropy(reduction="sum"), [1, 1]),
        (losses.CategoricalCrossentropy(reduction="sum"), [[0.0, 1.0], [0.0, 1.0]]),
    ):
        with lm.GradientTape() as tape:
            value = loss(target, layer(logits))
        assert float(value) == 200.0
        np.testing.assert_allclose(tape.gradient(value, logits).numpy(), [[1.0, -1.0], [0.0, 0.0]])
