"""Encoder and decoder blocks against Vaswani et al. 2017 in float64; torch's blocks give the same numbers."""

import math

import numpy as np
import pytest

import lamina as lm
from lamina import layers
from lamina.masked_tensor import mask_of

from .check_layer import check_layer

WIDTH, HEADS, UNITS = 6, 2, 11
SETTINGS = {"intermediate_dim": UNITS, "num_heads": HEADS, "layer_norm_epsilon": 1e-3}


def weights_of(layer):
    """{path below the layer: values}, made uneven: fresh biases and scales hide faults."""
    rng = np.random.default_rng(2)
    for v in layer.weights:
        v.assign(v.numpy() + 0.3 * rng.standard_normal(v.shape).astype("float32"))
    return {v.path.removeprefix(f"{layer.path}/"): v.numpy().astype("float64") for v in layer.weights}


def norm(w, name, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + SETTINGS["layer_norm_epsilon"])
    return scaled * w[f"{name}/gamma"] + w[f"{name}/beta"]


def attention(w, name, x, source, seen):
    q, k, v = (
        np.einsum("btf,fhd->bhtd", s, w[f"{name}/{part}/kernel"]) + w[f"{name}/{part}/bias"][:, None]
        for part, s in (("query", x), ("key", source), ("value", source))
    )
    scores = np.where(seen[:, None], q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]), -np.inf)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    out = np.einsum("bhtd,hdf->btf", scores @ v, w[f"{name}/attention_output/kernel"])
    return out + w[f"{name}/attention_output/bias"], scores


def network(w, x, activation):
    inner = x @ w["feedforward_intermediate_dense/kernel"] + w["feedforward_intermediate_dense/bias"]
    return activation(inner) @ w["feedforward_output_dense/kernel"] + w["feedforward_output_dense/bias"]


def around(w, name, x, branch, first):
    return x + branch(norm(w, name, x)) if first else norm(w, name, x + branch(x))


def encoder(w, x, seen, first, activation):
    x = around(
        w,
        "self_attention_layer_norm",
        x,
        lambda x: attention(w, "self_attention_layer", x, x, seen)[0],
        first,
    )
    return around(w, "feedforward_layer_norm", x, lambda x: network(w, x, activation), first)


def decoder(w, x, source, seen, source_seen, first, activation):
    x = around(w, "self_attention_layer_norm", x, lambda x: attention(w, "self_attention", x, x, seen)[0], first)
    if source is not None:
        x = around(
            w,
            "cross_attention_layer_norm",
            x,
            lambda x: attention(w, "cross_attention", x, source, source_seen)[0],
            first,
        )
    return around(w, "feedforward_layer_norm", x, lambda x: network(w, x, activation), first)


def relu(x):
    return np.maximum(x, 0)


def close(got, want):
    np.testing.assert_allclose(got.numpy(), want, rtol=2e-5, atol=2e-5)


@pytest.fixture
def data(rng):
    """(x [3, 5, WIDTH], its padding, pairs seen), likewise of a source [3, 4, WIDTH]."""
    x, source = (rng.standard_normal((3, steps, WIDTH)).astype("float32") for steps in (5, 4))
    padding, source_padding = (np.arange(n)[None] < np.array([[n], [2], [3]]) for n in (5, 4))
    pairs, source_pairs = rng.random((3, 5, 5)) < 0.5, rng.random((3, 5, 4)) < 0.5
    pairs[:, :, 0] = source_pairs[:, :, 0] = True  # something to see
    return (x, padding, pairs), (source, source_padding, source_pairs)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("masks", ["none", "padding", "pairs", "both", "of the inputs"])
def test_encoder(first, masks, data):
    x, padding, pairs = data[0]
    layer = layers.TransformerEncoder(**SETTINGS, normalize_first=first, activation="tanh")
    layer.build(x.shape)
    w = weights_of(layer)
    seen, given, inputs = np.ones((3, 5, 5), bool), {}, x
    if masks in ("padding", "both"):
        given["padding_mask"], seen = padding, seen & padding[:, None]
    if masks in ("pairs", "both"):
        given["attention_mask"], seen = pairs, seen & pairs
    if masks == "of the inputs":
        inputs = layers.Masking()(x * padding[..., None].astype("float32"))
        x, seen = inputs.numpy(), seen & padding[:, None]
    out = layer(inputs, **given)
    close(out, encoder(w, x.astype("float64"), seen, first, np.tanh))
    assert (mask_of(out) is not None) == (masks == "of the inputs")
    again, scores = layer(inputs, **given, return_attention_scores=True)
    np.testing.assert_allclose(again.numpy(), out.numpy(), rtol=1e-5, atol=1e-5)
    normed = norm(w, "self_attention_layer_norm", x.astype("float64")) if first else x.astype("float64")
    close(scores, attention(w, "self_attention_layer", normed, normed, seen)[1])


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("masks", ["causal", "none", "padding", "pairs", "all"])
@pytest.mark.parametrize("crosses", [False, True])
def test_decoder(first, masks, crosses, data):
    (x, padding, pairs), (source, source_padding, source_pairs) = data
    layer = layers.TransformerDecoder(**SETTINGS, normalize_first=first)
    source = source if crosses else None
    layer(x, source)
    w = weights_of(layer)
    seen, source_seen, given = np.tri(5, dtype=bool)[None].repeat(3, 0), np.ones((3, 5, 4), bool), {}
    if masks == "none":
        given["use_causal_mask"], seen = False, np.ones((3, 5, 5), bool)
    if masks in ("padding", "all"):
        given |= {"decoder_padding_mask": padding} | ({"encoder_padding_mask": source_padding} if crosses else {})
        seen, source_seen = seen & padding[:, None], source_seen & source_padding[:, None]
    if masks in ("pairs", "all"):
        given |= {"decoder_attention_mask": pairs} | ({"encoder_attention_mask": source_pairs} if crosses else {})
        seen, source_seen = seen & pairs, source_seen & source_pairs
    double = None if source is None else source.astype("float64")
    close(layer(x, source, **given), decoder(w, x.astype("float64"), double, seen, source_seen, first, relu))


def test_masks_that_come_with_the_sequences(data):
    (x, padding, _), (source, source_padding, _) = data
    x, source = x * padding[..., None].astype("float32"), source * source_padding[..., None].astype("float32")
    layer = layers.TransformerDecoder(**SETTINGS)
    want = layer(x, source, decoder_padding_mask=padding, encoder_padding_mask=source_padding)
    got = layer(layers.Masking()(x), layers.Masking()(source))
    np.testing.assert_array_equal(got.numpy(), want.numpy())
    np.testing.assert_array_equal(mask_of(got).numpy(), padding)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("cls", [layers.TransformerEncoder, layers.TransformerDecoder])
def test_contract(cls, first, tmp_path):
    options = SETTINGS | {"normalize_first": first, "activation": "gelu", "kernel_initializer": "he_normal"}
    layer = check_layer(cls, options, (2, 3, WIDTH), (2, 3, WIDTH), tmp_path, trainable=16)
    kernels = [v.numpy() for v in layer.weights if v.path.endswith(("query/kernel", "key/kernel"))]
    assert (kernels[0] != kernels[1]).any()  # each draws for itself


@pytest.mark.parametrize("cls", [layers.TransformerEncoder, layers.TransformerDecoder])
def test_dropout(cls, tmp_path):
    layer = check_layer(
        cls, SETTINGS | {"dropout": 0.5}, (2, 3, WIDTH), (2, 3, WIDTH), tmp_path, 16, generators=3, gradients=False
    )
    x = lm.ops.ones((2, 3, WIDTH))
    runs = [layer(x, training=training).numpy() for training in (True, True, False, False)]
    assert (runs[0] != runs[1]).any() and (runs[1] != runs[2]).any()
    np.testing.assert_array_equal(runs[2], runs[3])


def test_a_model_of_blocks_is_trained_saved_and_loaded(tmp_path):
    source, target = lm.Input((4,), dtype="int32"), lm.Input((5,), dtype="int32")
    encoded = layers.TokenAndPositionEmbedding(9, 4, WIDTH, mask_zero=True)(source)
    encoded = layers.TransformerEncoder(UNITS, HEADS, normalize_first=True)(encoded)
    decoded = layers.TokenAndPositionEmbedding(9, 5, WIDTH)(target)
    decoded = layers.TransformerDecoder(UNITS, HEADS, normalize_first=True)(decoded, encoded)
    model = lm.Model([source, target], layers.Dense(9)(decoded))
    model.compile(lm.optimizers.Adam(0.02), lm.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (16, 4)), rng.integers(0, 9, (16, 5))
    a[:, 0] = 1
    losses = model.fit([a, b], b, epochs=30, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(tmp_path / "model.safetensors")
    again = lm.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict([a, b], verbose=0), model.predict([a, b], verbose=0))


def test_errors():
    x = lm.ops.ones((2, 3, WIDTH))
    with pytest.raises(ValueError, match=r"one feature for each head. Received: shape=\(2, 3, 6\), num_heads=7"):
        layers.TransformerEncoder(4, 7)(x)
    with pytest.raises(ValueError, match=r"\[TransformerDecoder\] intermediate_dim must be a positive integer"):
        layers.TransformerDecoder(0, 2)
    alone, pair = layers.TransformerDecoder(4, 2), layers.TransformerDecoder(4, 2)
    alone(x), pair(x, x)
    with pytest.raises(ValueError, match="built without an encoder's outputs.*encoder_sequence=given"):
        alone(x, x)
    with pytest.raises(ValueError, match="built with an encoder's outputs.*encoder_sequence=None"):
        pair(x)
