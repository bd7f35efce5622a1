"""Arguments: names, order and defaults are Keras'; what Lamina lacks is refused, not ignored."""

import inspect

import pytest

import lamina as lm

from .both import keras

SPACES = ["layers", "initializers", "losses", "metrics", "optimizers", "optimizers.schedules", "ops", "activations"]
OWN = {  # Lamina's own, or wider than Keras' on purpose
    *[f"layers.{n}{r}D.pool_size" for n in ("AveragePooling", "AvgPool") for r in (1, 2, 3)],  # Keras asks for it
    "layers.Layer.input_shape",
    "layers.Layer.input_dim",
    "layers.Embedding.sparse_gradient",
    *[f"optimizers.{n}.name" for n in ("SGD", "Adam", "AdamW")],  # Keras: None, which gives the same
    *[f"ops.dot_product_attention.{n}" for n in ("sliding_window", "first", "zero_unseen", "dropout", "seed")],
    "ops.where.x1",  # Keras: None gives the indices of true elements
    "ops.where.x2",
    "ops.sparse_categorical_crossentropy.ignore_class",
}


def _find(root, path):
    for part in path.split("."):
        root = getattr(root, part)
    return root


def _parameters(f):
    return {
        name: p
        for name, p in inspect.signature(f).parameters.items()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }


def _shared():
    for space in SPACES:
        for name in getattr(_find(lm, space), "__all__", None) or dir(_find(lm, space)):
            ours, theirs = getattr(_find(lm, space), name), getattr(_find(keras, space), name, None)
            if name[0] != "_" and callable(ours) and callable(theirs) and name not in ("serialize", "deserialize"):
                yield f"{space}.{name}"


@pytest.mark.parametrize("path", sorted(_shared()))
def test_arguments_are_keras(path):
    ours, theirs = _parameters(_find(lm, path)), _parameters(_find(keras, path))
    if path == "optimizers.Optimizer":  # Keras': an alias whose signature is hidden
        theirs = ours
    unknown = [n for n in ours if n not in theirs and f"{path}.{n}" not in OWN]
    assert not unknown
    shared = [n for n in ours if n in theirs]
    assert shared == [n for n in theirs if n in ours]
    positions = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in theirs]
    assert positions == list(theirs)[: len(positions)]
    for n in shared:
        if f"{path}.{n}" not in OWN:
            assert repr(_short(ours[n].default)) == repr(_short(theirs[n].default)), n


def _short(default):
    """1 for (1, 1) and ((1, 1), (1, 1)): one number stands for every axis and side."""
    parts = [_short(part) for part in default] if isinstance(default, tuple) else []
    return parts[0] if parts and all(part == parts[0] for part in parts) else default


@pytest.mark.parametrize(
    "make",
    [
        lambda: lm.layers.Dense(2, lora_rank=1),
        lambda: lm.layers.BatchNormalization(synchronized=True),
        lambda: lm.layers.BatchNormalization(renorm=True),
        lambda: lm.layers.Cropping1D(data_format="channels_first"),
        lambda: lm.layers.UpSampling1D(data_format="channels_first"),
        lambda: lm.layers.Input((2,), sparse=True),
        lambda: lm.optimizers.SGD(decay=0.1),
        lambda: lm.ops.linspace(0.0, 1.0, 3, retstep=True),
        lambda: lm.ops.max([1.0], initial=2.0),
    ],
)
def test_missing_arguments_are_refused(make):
    with pytest.raises(TypeError, match="unexpected"):
        make()
