"""Attention layers with Keras' weights: outputs, scores and gradients, under every kind of mask."""

import itertools

import numpy as np
import pytest

import lamina as lm

from .both import close, cotangent, keras, tf

RNG = np.random.default_rng(0)
QUERY = RNG.standard_normal((3, 5, 6)).astype("float32")
VALUE = RNG.standard_normal((3, 7, 6)).astype("float32")
KEY = RNG.standard_normal((3, 7, 6)).astype("float32")
QUERY_MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 0, 1]], bool)
VALUE_MASK = np.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0, 0]], bool)
ATTENTION_MASK = RNG.random((3, 5, 7)) > 0.4


def tensor_of(k, x):
    return (tf if k is keras else lm).convert_to_tensor(x)


def leaves(tree):
    return list(tree) if isinstance(tree, (list, tuple)) else [tree]


def both(make, arrays, call, rtol=2e-5):
    """Outputs, and gradients of a fixed combination of them in inputs and weights, from both sides."""
    theirs, ours = make(keras), make(lm)
    call(keras, theirs, arrays), call(lm, ours, arrays)
    for w in theirs.weights:
        w.assign(RNG.standard_normal(w.shape).astype("float32") * 0.5)
    ours.set_weights([np.asarray(w) for w in theirs.weights])
    assert [tuple(v.shape) for v in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [v.path.split("/", 1)[1] for v in ours.weights] == [w.path.split("/", 1)[1] for w in theirs.weights]
    found = []
    for k, layer, tape, variable, weights in (
        (keras, theirs, tf.GradientTape(), tf.Variable, [w.value for w in theirs.trainable_weights]),
        (lm, ours, lm.GradientTape(), lm.Variable, ours.trainable_weights),
    ):
        inputs = [variable(x) for x in arrays]
        with tape:
            outputs = leaves(call(k, layer, [k.ops.multiply(x, 1.0) for x in inputs]))
            total = sum(k.ops.sum(y * cotangent(y.shape)) for y in outputs)
        gradients = tape.gradient(total, [*inputs, *weights])
        found.append([np.asarray(v.numpy()) for v in (*outputs, *gradients)])
    for a, b in zip(found[1], found[0]):
        close(a, b, rtol=rtol, atol=5e-6)  # a key's bias has no gradient but rounding


def multi_head(**options):
    return lambda k: k.layers.MultiHeadAttention(2, 4, **options)


def grouped(**options):
    return lambda k: k.layers.GroupQueryAttention(4, 4, 2, **options)


MASKS = {
    "none": {},
    "query": {"query_mask": QUERY_MASK},
    "value": {"value_mask": VALUE_MASK},
    "padding": {"query_mask": QUERY_MASK, "value_mask": VALUE_MASK},
    "attention": {"attention_mask": ATTENTION_MASK},
    "all": {"query_mask": QUERY_MASK, "value_mask": VALUE_MASK, "attention_mask": ATTENTION_MASK},
}


@pytest.mark.parametrize(
    "make", [multi_head(), multi_head(dropout=0.3), grouped()], ids=["multi", "dropout", "grouped"]
)
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("causal, scores", list(itertools.product([False, True], repeat=2)))
def test_masks(make, masks, causal, scores):
    def call(k, layer, xs):
        options = {"use_causal_mask": causal, "return_attention_scores": scores, "training": False}
        given = {name: tensor_of(k, m) for name, m in MASKS[masks].items()}
        if (
            type(layer) is keras.layers.MultiHeadAttention and "query_mask" in given
        ):  # Keras' MultiHeadAttention reads this one from the tensor alone
            xs = [tensor_of(k, x) for x in xs]
            xs[0]._keras_mask = given.pop("query_mask")
        return layer(*xs, **given, **options)

    both(make, [QUERY, VALUE], call)


@pytest.mark.parametrize(
    "make",
    [
        multi_head(value_dim=3),
        multi_head(use_bias=False, output_shape=5),
        multi_head(output_shape=(2, 3)),
        multi_head(use_gate=True),
        multi_head(sliding_window=2),
        multi_head(attention_axes=1),
        grouped(use_gate=True),
        grouped(use_bias=False, sliding_window=3),
    ],
)
@pytest.mark.parametrize("causal", [False, True])
def test_variants(make, causal):
    both(make, [QUERY, VALUE, KEY], lambda k, layer, xs: layer(*xs, use_causal_mask=causal))


def test_images_are_one_sequence():
    x = RNG.standard_normal((2, 3, 4, 6)).astype("float32")
    mask = RNG.random((2, 3, 4, 3, 4)) > 0.4
    both(multi_head(), [x, x], lambda k, layer, xs: layer(*xs))
    both(multi_head(), [x, x], lambda k, layer, xs: layer(*xs, attention_mask=tensor_of(k, mask)))


@pytest.mark.parametrize(
    "name, options",
    [
        ("Attention", {}),
        ("Attention", {"use_scale": True}),
        ("Attention", {"score_mode": "concat"}),
        ("Attention", {"score_mode": "concat", "use_scale": True}),
        ("AdditiveAttention", {}),
        ("AdditiveAttention", {"use_scale": False}),
    ],
)
@pytest.mark.parametrize("masked, causal, scores", list(itertools.product([False, True], repeat=3)))
def test_attention(name, options, masked, causal, scores):
    def call(k, layer, xs):
        seen = VALUE_MASK | (np.arange(7) == 0)  # where no key is seen, Keras has a gradient of the scores' rounding
        mask = [tensor_of(k, m) for m in (QUERY_MASK, seen)] if masked else None
        return layer(xs, mask=mask, use_causal_mask=causal, return_attention_scores=scores)

    both(lambda k: getattr(k.layers, name)(**options), [QUERY, VALUE, KEY], call)


@pytest.mark.parametrize("heads", [4, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_op(heads, causal):
    shapes = (2, 9, 4, 8), (2, 11, heads, 8), (2, 11, heads, 8)
    arrays = [RNG.standard_normal(s).astype("float32") for s in shapes]
    bias, mask = RNG.standard_normal((4, 9, 11)).astype("float32"), RNG.random((2, 1, 9, 11)) > 0.3
    for more in ({}, {"bias": bias, "scale": 0.3}, {"mask": mask}, {"bias": bias, "mask": mask}):
        theirs = keras.ops.dot_product_attention(*arrays, **more, is_causal=causal)
        close(lm.ops.dot_product_attention(*arrays, **more, is_causal=causal).numpy(), np.asarray(theirs))


def test_model_with_embedded_padding():
    ids, models = RNG.integers(0, 4, (6, 7)), []
    for k in (keras, lm):
        x = k.Input((None,), dtype="int32")
        h = k.layers.Embedding(4, 8, mask_zero=True)(x)
        h = k.layers.MultiHeadAttention(2, 4, name="attention")(h, h, use_causal_mask=True)
        h = k.layers.LSTM(5)(k.layers.Dense(3)(h))
        models.append(k.Model(x, h))
    models[1].set_weights(models[0].get_weights())
    close(models[1](ids).numpy(), models[0](ids).numpy())
