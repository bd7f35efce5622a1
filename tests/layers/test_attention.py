"""Attention layers: contracts, dropout, masks, caches, memory, bits, errors. tests/keras_parity has Keras' values."""

import numpy as np
import pytest

import lamina as lm
from lamina import _core, layers
from lamina.masked_tensor import mask_of

from .check_layer import check_layer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 9, 8)).astype("float32")
HEADED = {
    "MultiHeadAttention": lambda **options: layers.MultiHeadAttention(4, 2, **options),
    "GroupQueryAttention": lambda **options: layers.GroupQueryAttention(2, 4, 2, **options),
}


@pytest.mark.parametrize("kwargs, weights", [({}, 0), ({"use_scale": True}, 1), ({"score_mode": "concat"}, 1)])
def test_contract(kwargs, weights, tmp_path):
    check_layer(layers.Attention, kwargs, [(2, 3, 4), (2, 5, 4)], (2, 3, 4), tmp_path, trainable=weights)


def test_contract_of_additive(tmp_path):
    shapes = [(2, 3, 4), (2, 5, 6), (2, 5, 4)]
    check_layer(layers.AdditiveAttention, {}, shapes, (2, 3, 6), tmp_path, trainable=1)
    options = {"use_scale": False, "dropout": 0.3, "seed": 5}
    check_layer(layers.AdditiveAttention, options, shapes, (2, 3, 6), tmp_path, generators=1, gradients=False)


def model_of(layer):
    inputs = layers.Input((None, 8))
    return lm.Model(inputs, layer(inputs, inputs, use_causal_mask=True))


@pytest.mark.parametrize("name", HEADED)
def test_headed_layers_in_models(name, tmp_path):
    layer = HEADED[name](dropout=0.2, seed=3, use_gate=True, kernel_regularizer="l2")
    model = model_of(layer)
    assert [w.path.split("/")[-2:] for w in layer.weights] == [
        [part, kind] for part in ("query", "key", "gate", "value", "attention_output") for kind in ("kernel", "bias")
    ]
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    model.save(tmp_path / "model.safetensors")
    loaded = lm.saving.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded(X).numpy(), model(X).numpy())
    np.testing.assert_array_equal(layer(X, X, use_causal_mask=True).numpy(), model(X).numpy())
    assert layer.compute_output_shape((None, 3, 8), (None, 5, 8)) == (None, 3, 8)
    assert len(layer.losses) == 5


@pytest.mark.parametrize("name", HEADED)
def test_captured_training_has_eager_bits(name):
    outcomes = []
    for capture in (False, True):
        lm.utils.set_random_seed(7)
        layer, optimizer = HEADED[name](dropout=0.3), lm.optimizers.Adam(0.01)

        def step(x, layer=layer, optimizer=optimizer):
            with lm.GradientTape() as tape:
                loss = lm.ops.mean(lm.ops.square(layer(x, x, training=True, use_causal_mask=True)))
            optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
            return loss

        layer(X, X)
        run = lm.function(step) if capture else step
        losses = [run(lm.convert_to_tensor(X)).numpy().tobytes() for _ in range(3)]
        outcomes.append((losses, [w.tobytes() for w in layer.get_weights()]))
    assert outcomes[0] == outcomes[1]


def test_dropout_keeps_the_mean_and_its_gradient_is_that_of_the_formula():
    shape = (1, 40, 2, 8)
    q, k, v = (lm.Variable(RNG.standard_normal(shape)) for _ in range(3))
    found = []
    for f in (lm.ops.dot_product_attention, lambda *a, **o: lm.ops.attention.attention_with_scores(*a, **o)[0]):
        with lm.GradientTape() as tape:
            y = f(q, k, v, is_causal=True, dropout=0.25, seed=11)
            loss = lm.ops.sum(y * y)
        found.append([y.numpy(), *(g.numpy() for g in tape.gradient(loss, [q, k, v]))])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    _, weights, kept = lm.ops.attention.attention_with_scores(q, k, v, dropout=0.25, seed=11)
    share = (kept.numpy() == 0).mean()
    assert 0.2 < share < 0.3
    np.testing.assert_allclose(kept.numpy()[kept.numpy() > 0], (weights.numpy() / 0.75)[kept.numpy() > 0])


def test_padding_of_queries_and_keys_changes_nothing():
    layer = HEADED["MultiHeadAttention"]()
    short = layer(X[:, :5], X[:, :5], use_causal_mask=True).numpy()
    masked = layers.Masking()(np.concatenate([X[:, :5], np.zeros((2, 4, 8), "float32")], axis=1))
    outputs = layer(masked, masked)
    assert mask_of(outputs) is not None
    plain = layer(X[:, :5], X[:, :5]).numpy()
    np.testing.assert_allclose(outputs.numpy()[:, :5], plain, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer(masked, masked, use_causal_mask=True).numpy()[:, :5], short, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", HEADED)
@pytest.mark.parametrize("window", [None, 3])
def test_decoding_with_a_cache_is_attention_over_all(name, window):
    layer = HEADED[name](sliding_window=window)
    whole = layer(X, X, use_causal_mask=True).numpy()
    cache = layers.KeyValueCache(12)
    step = lm.function(lambda x: layer(x, x, cache=cache))
    outputs = [layer(X[:, :4], X[:, :4], cache=cache).numpy()]
    outputs += [step(lm.convert_to_tensor(X[:, t : t + 1])).numpy() for t in range(4, 9)]
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), whole, rtol=1e-5, atol=1e-6)
    assert len(step.plans) == 1 and int(cache.length) == 9
    with pytest.raises(ValueError, match=r"reaches beyond the tensor.*9"):
        layer(X[:, :4], X[:, :4], cache=cache)
    cache.reset()
    np.testing.assert_allclose(layer(X, X, cache=cache).numpy(), whole, rtol=1e-5, atol=1e-6)


def test_memory_is_linear_in_the_length():
    peaks = []
    for length in (8192, 16384):
        q, k, v = (lm.Variable(RNG.standard_normal((1, length, 1, 8)).astype("float32")) for _ in range(3))
        _core.trim()
        before = _core.allocator_stats()["in_use"]
        _core.reset_peak()
        with lm.GradientTape() as tape:
            y = lm.ops.dot_product_attention(q, k, v, is_causal=True, dropout=0.1, seed=1)
        tape.gradient(y, [q, k, v], output_gradients=y)
        peaks.append(_core.allocator_stats()["peak"] - before)
    assert peaks[0] < 16 * 2**20  # all scores are 256 MB
    assert peaks[1] < 2.2 * peaks[0]


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_threads(threads):
    q = lm.Variable(RNG.standard_normal((1, 1100, 2, 40)).astype("float32"))
    k, v = (lm.Variable(RNG.standard_normal((1, 1300, 1, 40)).astype("float32")) for _ in range(2))
    found = []
    for n in (1, threads):
        before = _core.num_threads()
        lm.set_num_threads(n)
        with lm.GradientTape() as tape:
            y = lm.ops.dot_product_attention(q, k, v, dropout=0.2, seed=3)
        gradients = tape.gradient(y, [q, k, v], output_gradients=y)
        lm.set_num_threads(before)
        found.append([t.numpy().tobytes() for t in (y, *gradients)])
    assert found[0] == found[1]


@pytest.mark.parametrize("precision, bound", [("highest", 2e-6), ("high", 2e-6), ("medium", 2e-4), ("low", 5e-2)])
def test_precision(precision, bound):
    arrays = [RNG.standard_normal((2, 300, 3, 64)) for _ in range(3)]
    before = lm.get_matmul_precision()
    lm.set_matmul_precision(precision)
    try:
        found = []
        for dtype in ("float64", "float32"):
            inputs = [lm.Variable(a.astype(dtype)) for a in arrays]
            with lm.GradientTape() as tape:
                y = lm.ops.dot_product_attention(*inputs)
            found.append([t.numpy() for t in (y, *tape.gradient(y, inputs, output_gradients=y))])
    finally:
        lm.set_matmul_precision(before)
    for exact, single in zip(*found):
        assert np.abs(single - exact).max() < bound * np.abs(exact).max()


def test_values_beyond_the_range_of_splitting():
    q, k, v = (RNG.standard_normal((1, 64, 1, 32)) for _ in range(3))
    v[0, 3] = 1e30
    exact = lm.ops.dot_product_attention(q, k, v).numpy()
    single = lm.ops.dot_product_attention(*(x.astype("float32") for x in (q, k, v))).numpy()
    np.testing.assert_allclose(single, exact, rtol=1e-4)
    v[0, 3] = np.nan
    assert np.isnan(lm.ops.dot_product_attention(*(x.astype("float32") for x in (q, k, v))).numpy()).all()


def test_errors():
    with pytest.raises(ValueError, match=r"\[MultiHeadAttention\] num_heads must be a positive integer.*num_heads=0"):
        layers.MultiHeadAttention(0, 2)
    with pytest.raises(ValueError, match=r"\[GroupQueryAttention\] num_query_heads must be a multiple.*=3"):
        layers.GroupQueryAttention(2, 4, 3)
    with pytest.raises(TypeError, match=r"needs query and value.*value=None"):
        layers.MultiHeadAttention(2, 2)(X)
    with pytest.raises(ValueError, match=r"values and keys of one length.*key.shape=\(2, 4, 8\)"):
        layers.MultiHeadAttention(2, 2)(X, X, X[:, :4])
    with pytest.raises(ValueError, match=r"attention_axes must be None or all axes.*\(2,\)"):
        layers.MultiHeadAttention(2, 2, attention_axes=2)(X[None], X[None])
    with pytest.raises(ValueError, match=r"Attention.score_mode.*'cosine'"):
        layers.Attention(score_mode="cosine")
    with pytest.raises(ValueError, match=r"needs a list \[query, value\].*ndarray"):
        layers.Attention()(X)
    with pytest.raises(ValueError, match=r"\[KeyValueCache\] capacity must be a positive integer"):
        layers.KeyValueCache(0)
