"""Masks: where they come from, how layers hand them on, and what losses and metrics make of them, as Keras."""

import numpy as np
import pytest

import lamina as lm
from lamina.masked_tensor import mask_of

from .both import close, keras

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 4, (6, 5))
STEPS = RNG.standard_normal((6, 5, 3)).astype("float32") * (RNG.random((6, 5, 1)) > 0.4)
WEIGHTS = RNG.random((6, 10)).astype("float32")


def embedded(k, merge=None):
    ids, steps = k.Input((5,), dtype="int32"), k.Input((5, 3))
    words = k.layers.Embedding(4, 3, mask_zero=True)(ids)
    seen = k.layers.Masking()(steps)
    joined = words if merge is None else merge(k)([words, seen])
    hidden = k.layers.LayerNormalization()(k.layers.Dense(4, activation="tanh")(joined))
    return k.Model([ids, steps], k.layers.Dense(3, activation="softmax")(k.layers.Dropout(0.5)(hidden)))


MERGES = {
    "none": None,
    "add": lambda k: k.layers.Add(),
    "features": lambda k: k.layers.Concatenate(),
    "steps": lambda k: k.layers.Concatenate(axis=1),
}


@pytest.mark.parametrize("merge", MERGES)
def test_mask_and_losses(merge):
    theirs, ours = embedded(keras, MERGES[merge]), embedded(lm, MERGES[merge])
    ours.set_weights(theirs.get_weights())
    y, p = theirs([IDS, STEPS]), ours([IDS, STEPS])
    close(p.numpy(), y.numpy())
    np.testing.assert_array_equal(mask_of(p).numpy(), np.asarray(y._keras_mask))

    targets = RNG.integers(0, 3, p.shape[:2])
    weights = WEIGHTS[:, : p.shape[1]]
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        for weight in (None, weights):
            loss = [k.losses.SparseCategoricalCrossentropy(reduction=reduction) for k in (keras, lm)]
            close(loss[1](targets, p, weight).numpy(), loss[0](targets, y, weight).numpy())
    found = []
    for k, outputs in ((keras, y), (lm, p)):
        metric = k.metrics.SparseCategoricalAccuracy()
        metric.update_state(targets, outputs)
        metric.update_state(targets, outputs, sample_weight=weights)
        found.append(float(metric.result()))
    close(found[1], found[0])


def test_pooling_over_the_steps_that_count():
    model = [k.Sequential([k.layers.Masking(), k.layers.GlobalAveragePooling1D()]) for k in (lm, keras)]
    close(model[0](STEPS).numpy(), model[1](STEPS).numpy())


def test_ignored_classes_are_masked():
    targets, logits = RNG.integers(-1, 3, (6, 5)), RNG.standard_normal((6, 5, 3)).astype("float32")
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        options = {"from_logits": True, "ignore_class": -1, "reduction": reduction}
        loss = [k.losses.SparseCategoricalCrossentropy(**options) for k in (keras, lm)]
        close(loss[1](targets, logits, WEIGHTS[:, :5]).numpy(), loss[0](targets, logits, WEIGHTS[:, :5]).numpy())
