"""A small Deep Speech 2 (Amodei et al. 2015): convolution, recurrent layers in both directions, CTC."""

import numpy as np

import lamina as lm
from lamina import layers

TONES, FRAMES, BANDS, LONGEST = 4, 32, 8, 3


def recordings(count, seed):
    """Spectrograms [count, FRAMES, BANDS, 1] of one to three tones, and their numbers from 1 on, 0 behind the end."""
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.standard_normal((count, FRAMES, BANDS, 1)).astype("float32")
    labels = np.zeros((count, LONGEST), "int32")
    for i in range(count):
        at = rng.integers(0, 4)
        for k in range(rng.integers(1, LONGEST + 1)):
            tone, length = rng.integers(1, TONES + 1), rng.integers(4, 7)
            x[i, at : at + length, 2 * tone - 2 : 2 * tone, 0] += 1.5
            labels[i, k] = tone
            at += length + rng.integers(2, 4)
    return x, labels


def deep_speech():
    x = lm.Input((FRAMES, BANDS, 1))
    h = layers.Conv2D(8, 5, strides=2, padding="same", use_bias=False)(x)
    h = layers.Activation("relu")(layers.BatchNormalization()(h))
    h = layers.Reshape((FRAMES // 2, BANDS // 2 * 8))(h)
    for _ in range(2):
        h = layers.Bidirectional(layers.GRU(16, return_sequences=True))(h)
    return lm.Model(x, layers.Dense(TONES + 1)(h))


def texts(labels):
    return [[int(c) for c in row if c > 0] for row in labels]


def test_learns_to_transcribe(tmp_path):
    lm.utils.set_random_seed(0)
    model = deep_speech()
    model.compile(lm.optimizers.Adam(0.01), lm.losses.CTC())
    x, y = recordings(256, 1)
    history = model.fit(x, y, batch_size=32, epochs=20, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < 0.1
    unheard, want = recordings(64, 2)
    model.save(tmp_path / "speech.safetensors")
    loaded = lm.saving.load_model(tmp_path / "speech.safetensors")
    frames = np.full(64, FRAMES // 2)
    for strategy in ("greedy", "beam_search"):
        found, _ = lm.ops.ctc_decode(loaded.predict(unheard, verbose=0), frames, strategy, beam_width=8)
        right = [a == b for a, b in zip(texts(found.numpy()[0]), texts(want))]
        assert np.mean(right) > 0.95
