"""Models with Keras' first weights: fit, evaluate, predict and single batches give Keras' numbers."""

import re

import numpy as np
import pytest

import lamina as lm

from .both import close, keras

RNG = np.random.default_rng(11)
X = RNG.standard_normal((50, 6)).astype("float32")
IMAGES = RNG.random((40, 10, 10, 1)).astype("float32")
IDS = (np.abs(X[:, 0] * 2).astype("int32")) % 3
YES = (X[:, 1] > 0).astype("float32")
WEIGHTS = (RNG.random(50) * 2).astype("float32")


def _net(library, units, last, normal):
    layers = library.layers
    return library.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, activation="tanh", kernel_regularizer=library.regularizers.L2(0.01)),
            *([layers.BatchNormalization()] if normal else []),
            layers.Dense(units, activation=last),
        ]
    )


def _cnn(library):
    layers = library.layers
    return library.Sequential(
        [
            layers.Input((10, 10, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def _pair(units=3, last="softmax", normal=False, **compile):
    return _same(_net(lm, units, last, normal), _net(keras, units, last, normal), **compile)


def _same(ours, theirs, optimizer=("Adam", dict(learning_rate=0.02)), **compile):
    ours.set_weights(theirs.get_weights())
    for library, model in ((lm, ours), (keras, theirs)):
        loss = compile["loss"](library) if callable(compile["loss"]) else compile["loss"]
        model.compile(getattr(library.optimizers, optimizer[0])(**optimizer[1]), **{**compile, "loss": loss})
    return ours, theirs


def _alike(ours, theirs):
    assert sorted(ours) == sorted(theirs)
    for name in theirs:
        close(ours[name], theirs[name], rtol=1e-4)


SPARSE = dict(loss="sparse_categorical_crossentropy")
LOGITS = dict(loss=lambda library: library.losses.SparseCategoricalCrossentropy(from_logits=True), last=None)
RUNS = {  # what _pair takes, targets, what fit takes
    "sparse": (dict(SPARSE, metrics=["accuracy"]), IDS, {}),
    "sparse_column": (dict(SPARSE, metrics=["acc"]), IDS[:, None], {}),
    "logits": (dict(LOGITS, metrics=["accuracy"]), IDS, dict(batch_size=7)),
    "one_hot": (dict(loss="categorical_crossentropy", metrics=["accuracy"]), np.eye(3, dtype="float32")[IDS], {}),
    "binary": (dict(loss="binary_crossentropy", metrics=["accuracy"], units=1, last="sigmoid"), YES, {}),
    "binary_column": (
        dict(loss="binary_crossentropy", metrics=["accuracy"], units=1, last="sigmoid"),
        YES[:, None],
        {},
    ),
    "numbers": (dict(loss="mse", metrics=["mae", "mse"], units=1, last=None), X[:, :1] * 2, {}),
    "huber": (dict(loss="huber", metrics=["RootMeanSquaredError"], units=2, last=None), X[:, :2], {}),
    "normalized": (dict(SPARSE, metrics=["accuracy"], normal=True), IDS, {}),
    "split": (dict(SPARSE, metrics=["accuracy"]), IDS, dict(validation_split=0.3)),
    "validation_data": (dict(SPARSE, metrics=["accuracy"]), IDS, dict(validation_data=(X[:20], IDS[:20]))),
    "validation_freq": (dict(SPARSE), IDS, dict(validation_data=(X[:20], IDS[:20]), validation_freq=2)),
    "sample_weight": (
        dict(SPARSE, metrics=["accuracy"], weighted_metrics=["acc"]),
        IDS,
        dict(sample_weight=WEIGHTS),
    ),
    "sample_weight_split": (dict(SPARSE), IDS, dict(sample_weight=WEIGHTS, validation_split=0.2)),
    "class_weight": (
        dict(SPARSE, metrics=["accuracy"], weighted_metrics=["acc"]),
        IDS,
        dict(class_weight={0: 1.0, 1: 3.0, 2: 0.5}),
    ),
    "class_weight_one_hot": (
        dict(loss="categorical_crossentropy"),
        np.eye(3, dtype="float32")[IDS],
        dict(class_weight={0: 1.0, 1: 3.0, 2: 0.5}),
    ),
    "steps": (dict(SPARSE), IDS, dict(steps_per_epoch=1, batch_size=25)),
}


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", RUNS)
def test_fit(name, eager):
    settings, y, arguments = RUNS[name]
    ours, theirs = _pair(**settings, run_eagerly=eager)
    theirs.run_eagerly = True  # quicker for so few steps
    given = dict(epochs=4, batch_size=16, shuffle=False, verbose=0) | arguments
    a, b = ours.fit(X, y, **given), theirs.fit(X, y, **given)
    assert a.epoch == b.epoch
    _alike(a.history, b.history)
    for w, o in zip(ours.get_weights(), theirs.get_weights()):
        close(w, o, rtol=1e-3)
    _alike(*(m.evaluate(X, y, verbose=0, return_dict=True) for m in (ours, theirs)))
    close(ours.evaluate(X, y, verbose=0), theirs.evaluate(X, y, verbose=0), rtol=1e-4)
    close(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-3)


def test_fit_of_images():
    ours, theirs = _same(_cnn(lm), _cnn(keras), ("SGD", dict(momentum=0.9)), loss=LOGITS["loss"], metrics=["accuracy"])
    given = dict(epochs=3, batch_size=16, shuffle=False, verbose=0, validation_split=0.25)
    _alike(*(m.fit(IMAGES, IDS[:40], **given).history for m in (ours, theirs)))


@pytest.mark.parametrize("metrics", [None, ["accuracy"]])
def test_single_batches(metrics):
    ours, theirs = _pair(**SPARSE, metrics=metrics)
    for call in ("train_on_batch", "train_on_batch", "test_on_batch"):
        a, b = getattr(ours, call)(X, IDS), getattr(theirs, call)(X, IDS)
        assert isinstance(a, list) == isinstance(b, list)
        close(a, b, rtol=1e-4)
    _alike(*(m.train_on_batch(X, IDS, sample_weight=WEIGHTS, return_dict=True) for m in (ours, theirs)))
    _alike(*(m.train_on_batch(X, IDS, class_weight={0: 1, 1: 2, 2: 3}, return_dict=True) for m in (ours, theirs)))
    close(ours.predict_on_batch(X), theirs.predict_on_batch(X), rtol=1e-4)


def test_summary_has_the_same_numbers():
    texts = []
    for library in (lm, keras):
        lines = []
        _cnn(library).summary(print_fn=lambda line, *_, lines=lines, **__: lines.append(line))
        texts.append("\n".join(lines))
    rows = [re.findall(r"(\([\w, ]*\d\)) *[|│] *([\d,]+)", text) for text in texts]
    assert rows[0] == rows[1] and len(rows[0]) == 6
    totals = [re.findall(r"(\w+) params: ([\d,]+)", text) for text in texts]
    assert [t for t in totals[1] if t[0] != "Optimizer"] == totals[0]


def test_weight_names_of_a_model():
    ours, theirs = _cnn(lm), _cnn(keras)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    assert ours.input_shape == theirs.input_shape and ours.output_shape == theirs.output_shape
