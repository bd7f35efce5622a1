"""Each layer with Keras' weights: outputs, gradients, weight names and order, configuration."""

import numpy as np
import pytest

import lamina as lm

from .both import close, gradients_of, keras, keras_gradients_of

IMAGE, WIDE, ROW = (3, 7, 9, 4), (2, 11, 8, 4), (5, 6)

# layer, arguments, input shape
CASES = [
    ("Dense", dict(units=3), ROW),
    ("Dense", dict(units=3, activation="relu", use_bias=False), ROW),
    ("Dense", dict(units=3, activation="gelu", kernel_regularizer="l2"), (2, 3, 6)),
    *[("Dense", dict(units=3, activation=a), ROW) for a in ("softmax", "elu", "selu", "silu", "tanh", "softplus")],
    *[
        ("Conv2D", dict(filters=6, kernel_size=k, strides=s, padding=p, activation="tanh"), IMAGE)
        for k in (1, 2, 3, (3, 2), 5)
        for s in (1, 2, (3, 1))
        for p in ("valid", "same")
    ],
    ("Conv2D", dict(filters=6, kernel_size=3, dilation_rate=2), WIDE),
    ("Conv2D", dict(filters=6, kernel_size=3, dilation_rate=(1, 3), padding="same"), WIDE),
    ("Conv2D", dict(filters=6, kernel_size=3, groups=2), WIDE),
    ("Conv2D", dict(filters=6, kernel_size=3, use_bias=False, activation="relu"), WIDE),
    *[
        (name, dict(pool_size=k, strides=s, padding=p), IMAGE)
        for name in ("MaxPooling2D", "AveragePooling2D")
        for k in (2, 3, (1, 4))
        for s in (None, 1, (2, 3))
        for p in ("valid", "same")
    ],
    ("GlobalAveragePooling2D", {}, IMAGE),
    ("GlobalAveragePooling2D", dict(keepdims=True), IMAGE),
    ("GlobalMaxPooling2D", {}, IMAGE),
    ("GlobalMaxPooling2D", dict(data_format="channels_first"), IMAGE),
    ("BatchNormalization", {}, ROW),
    ("BatchNormalization", {}, IMAGE),
    ("BatchNormalization", dict(axis=1, momentum=0.8, epsilon=0.1), IMAGE),
    ("BatchNormalization", dict(center=False), IMAGE),
    ("BatchNormalization", dict(scale=False), ROW),
    ("LayerNormalization", {}, ROW),
    ("LayerNormalization", dict(axis=[1, 2], epsilon=0.1), IMAGE),
    ("LayerNormalization", dict(axis=1, center=False), IMAGE),
    ("LayerNormalization", dict(scale=False), IMAGE),
    ("RMSNormalization", {}, ROW),
    ("RMSNormalization", dict(axis=[2, 3], epsilon=0.1), IMAGE),
    ("GroupNormalization", dict(groups=2), IMAGE),
    ("GroupNormalization", dict(groups=3, center=False), ROW),
    ("GroupNormalization", dict(groups=7, axis=1, epsilon=0.1), IMAGE),
    ("GroupNormalization", dict(groups=1, scale=False), IMAGE),
    ("UnitNormalization", {}, ROW),
    ("UnitNormalization", dict(axis=[1, 2]), IMAGE),
    ("Flatten", {}, IMAGE),
    ("Flatten", dict(data_format="channels_first"), IMAGE),
    ("Reshape", dict(target_shape=(-1, 4)), IMAGE),
    ("Permute", dict(dims=(3, 1, 2)), IMAGE),
    ("Rescaling", dict(scale=0.5, offset=1.0), IMAGE),
    ("Dropout", dict(rate=0.0), ROW),
    ("Dropout", dict(rate=0.4), ROW),
    ("Activation", dict(activation="sigmoid"), ROW),
    ("Softmax", {}, ROW),
    ("Softmax", dict(axis=1), IMAGE),
    ("Softmax", dict(axis=(1, 2)), IMAGE),
    ("ReLU", {}, ROW),
    ("ReLU", dict(max_value=1.0, negative_slope=0.1, threshold=0.2), ROW),
    ("LeakyReLU", {}, ROW),
    ("LeakyReLU", dict(negative_slope=0.05), ROW),
    ("ELU", dict(alpha=0.7), ROW),
]


def _id(case):
    return f"{case[0]}-{'-'.join(f'{k}={v}' for k, v in case[1].items())}-{len(case[2])}"


def _pair(name, arguments, shape):
    ours, theirs = getattr(lm.layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    ours.build(shape)
    theirs.build(shape)
    rng = np.random.default_rng(1)
    values = [np.abs(rng.standard_normal(w.shape)).astype("float32") + 0.1 for w in theirs.get_weights()]
    theirs.set_weights(values)
    ours.set_weights(values)
    return ours, theirs


def _weights(layer):
    return [(w.name, tuple(w.shape), w.trainable) for w in layer.weights]


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_outputs_and_gradients(case, rng):
    ours, theirs = _pair(*case)
    assert _weights(ours) == _weights(theirs)
    x = rng.standard_normal(case[2]).astype("float32")
    for training in [False] if case[1].get("rate") else [False, True]:
        y, grads = gradients_of(lambda x, mode=training: ours(x, training=mode), [x], ours.trainable_weights)
        other, other_grads = keras_gradients_of(
            lambda x, mode=training: theirs(x, training=mode) if theirs._call_has_training_arg else theirs(x),
            [x],
            theirs.trainable_weights,
        )
        close(y, other)
        for g, o in zip(grads, other_grads):
            close(g, o, rtol=2e-5, atol=1e-5)
    with lm.no_grad():
        close(ours(x).numpy(), np.asarray(theirs(x)))
    assert ours.compute_output_shape(case[2]) == theirs.compute_output_shape(case[2])


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_config(case):
    ours, theirs = _pair(*case)
    ours, theirs = ours.get_config(), theirs.get_config()
    lacking = {"dtype", "renorm", "renorm_clipping", "renorm_momentum", "synchronized", "rms_scaling"}
    lacking |= {"lora_rank", "lora_alpha", "quantization_config"}
    assert set(theirs) - set(ours) <= lacking
    for key in set(ours) & set(theirs) - {"name", "dtype"}:
        if not isinstance(theirs[key], dict):
            assert _plain(ours[key]) == _plain(theirs[key]), key


def _plain(value):
    """Tuples as lists; one axis as a number: Keras' normalisations make it a list when they are built."""
    value = list(value) if isinstance(value, tuple) else value
    return value[0] if isinstance(value, list) and len(value) == 1 else value


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("trainable", [True, False])
def test_moving_statistics_after_three_steps(axis, trainable, rng):
    ours, theirs = _pair("BatchNormalization", dict(axis=axis, momentum=0.9), IMAGE)
    ours.trainable = theirs.trainable = trainable
    for _ in range(3):
        x = (3 * rng.standard_normal(IMAGE) + 2).astype("float32")
        close(ours(x, training=True).numpy(), np.asarray(theirs(x, training=True)))
    for w, o in zip(ours.get_weights(), theirs.get_weights()):
        close(w, o)


@pytest.mark.parametrize("name", ["Add", "Concatenate"])
def test_merging(name, rng):
    a, b = rng.standard_normal((2, 3, 4)).astype("float32"), rng.standard_normal((2, 3, 4)).astype("float32")
    close(getattr(lm.layers, name)()([a, b]).numpy(), np.asarray(getattr(keras.layers, name)()([a, b])))


@pytest.mark.parametrize("name", ["Dense", "Conv2D"])
def test_default_initializers(name):
    arguments = dict(Dense=dict(units=3), Conv2D=dict(filters=3, kernel_size=3))[name]
    ours, theirs = getattr(lm.layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    for key in ("kernel_initializer", "bias_initializer"):
        assert type(getattr(ours, key)).__name__ == type(getattr(theirs, key)).__name__
