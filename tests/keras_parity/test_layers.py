"""Each layer with Keras' weights: outputs, gradients, weight names and order, configuration."""

import numpy as np
import pytest

import lamina as lm

from .both import close, gradients_of, keras, keras_gradients_of

IMAGE, WIDE, ROW = (3, 7, 9, 4), (2, 11, 8, 4), (5, 6)
STEPS, VOLUME = (3, 11, 4), (2, 6, 7, 5, 4)
SPATIAL = {1: STEPS, 2: IMAGE, 3: VOLUME}

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
        ("Conv1D", dict(filters=6, kernel_size=k, padding=p, activation="tanh", **more), STEPS)
        for k in (1, 2, 3, 5)
        for p in ("valid", "same", "causal")
        for more in ({}, dict(strides=2), dict(strides=3), dict(dilation_rate=2), dict(groups=2))
    ],
    *[
        ("Conv3D", dict(filters=6, kernel_size=k, strides=s, padding=p, activation="relu"), VOLUME)
        for k in (1, 2, 3, (3, 1, 2))
        for s in (1, 2, (3, 1, 2))
        for p in ("valid", "same")
    ],
    ("Conv3D", dict(filters=6, kernel_size=2, dilation_rate=2), VOLUME),
    ("Conv3D", dict(filters=6, kernel_size=3, dilation_rate=(2, 1, 3), padding="same", use_bias=False), VOLUME),
    *[
        (f"Conv{r}DTranspose", dict(filters=3, kernel_size=k, strides=s, padding=p, **more), SPATIAL[r])
        for r in (1, 2, 3)
        for k in (1, 2, 3, 5)
        for s in (1, 2, 3)
        for p in ("valid", "same")
        for more in ({}, dict(output_padding=s - 1, activation="relu"))
        if (k % 2 or s > 1 or not more or p == "valid") and (r < 3 or k in (2, 3))
        if k >= s or r == 1  # TensorFlow 2.21 crashes
    ],
    ("Conv2DTranspose", dict(filters=3, kernel_size=(3, 2), strides=(2, 3), output_padding=(0, 1)), IMAGE),
    *[
        (f"DepthwiseConv{r}D", dict(kernel_size=k, strides=s, padding=p, depth_multiplier=m), SPATIAL[r])
        for r in (1, 2)
        for k in (1, 2, 3)
        for s in (1, 2)
        for p in ("valid", "same")
        for m in (1, 3)
    ],
    ("DepthwiseConv1D", dict(kernel_size=3, dilation_rate=2, activation="relu"), STEPS),
    ("DepthwiseConv2D", dict(kernel_size=(3, 2), dilation_rate=2, padding="same", use_bias=False), IMAGE),
    *[
        (f"SeparableConv{r}D", dict(filters=5, kernel_size=k, strides=s, padding=p, depth_multiplier=m), SPATIAL[r])
        for r in (1, 2)
        for k in (2, 3)
        for s in (1, 2)
        for p in ("valid", "same")
        for m in (1, 2)
    ],
    ("SeparableConv2D", dict(filters=5, kernel_size=3, dilation_rate=2, activation="relu"), IMAGE),
    *[
        (f"{name}Pooling{r}D", dict(pool_size=k, strides=s, padding=p), SPATIAL[r])
        for name in ("Max", "Average")
        for r in (1, 3)
        for k in (2, 3)
        for s in (None, 1, 3)
        for p in ("valid", "same")
    ],
    *[
        (f"Global{name}Pooling{r}D", dict(data_format=f, keepdims=k), SPATIAL[r])
        for name in ("Max", "Average")
        for r in (1, 2, 3)
        for k in (False, True)
        for f in ("channels_last", "channels_first")
    ],
    *[
        (f"Adaptive{name}Pooling{r}D", dict(output_size=n, data_format=f), SPATIAL[r])
        for name in ("Max", "Average")
        for r in (1, 2, 3)
        for n in (2, 3, 4)  # of one window TensorFlow 2.21 crashes
        for f in ("channels_last", "channels_first")
    ],
    *[
        (name, dict(data_format="channels_first", **arguments), (2, 4, 9, 6, 7)[: 2 + int(name[-2])])
        for name, arguments in [
            ("ZeroPadding1D", dict(padding=(1, 2))),
            ("ZeroPadding2D", dict(padding=((0, 1), (2, 3)))),
            ("ZeroPadding3D", {}),
            ("Cropping2D", dict(cropping=(1, 2))),
            ("Cropping3D", {}),
            ("UpSampling2D", dict(size=(2, 3), interpolation="bilinear")),
            ("UpSampling3D", {}),
        ]
    ],
    ("ZeroPadding1D", {}, STEPS),
    ("ZeroPadding1D", dict(padding=(0, 3)), STEPS),
    *[("ZeroPadding2D", dict(padding=p), IMAGE) for p in (2, (1, 3), ((0, 1), (2, 3)))],
    *[("ZeroPadding3D", dict(padding=p), VOLUME) for p in (1, (1, 0, 2), ((0, 1), (2, 3), (1, 0)))],
    *[("Cropping1D", dict(cropping=c), STEPS) for c in (2, (0, 3), (3, 0))],
    *[("Cropping2D", dict(cropping=c), IMAGE) for c in (0, 2, (1, 3), ((0, 1), (2, 3)))],
    *[("Cropping3D", dict(cropping=c), VOLUME) for c in (1, (1, 0, 2), ((0, 1), (2, 3), (1, 0)))],
    *[("UpSampling1D", dict(size=n), STEPS) for n in (1, 2, 3)],
    *[
        ("UpSampling2D", dict(size=n, interpolation=i), IMAGE)
        for n in (1, 2, 3, (4, 1))
        for i in ("nearest", "bilinear")
    ],
    ("UpSampling2D", dict(size=3, interpolation="bilinear"), (2, 1, 2, 3)),
    ("UpSampling3D", dict(size=(1, 2, 3)), VOLUME),
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
    assert ours.compute_output_shape(case[2]) == tuple(theirs.compute_output_shape(case[2]))


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
    value = [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
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


@pytest.mark.parametrize("name", "Add Average Concatenate Maximum Minimum Multiply Subtract".split())
def test_merging(name, rng):
    a, b = rng.standard_normal((2, 3, 4)).astype("float32"), rng.standard_normal((2, 3, 4)).astype("float32")
    for inputs in [[a, b]] if name == "Concatenate" else [[a, b], [a, b[:, 0]]]:
        close(getattr(lm.layers, name)()(inputs).numpy(), np.asarray(getattr(keras.layers, name)()(inputs)))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    "axes, shapes",
    [(1, (4, 4)), (-1, (4, 4)), ((1, 2), ((3, 5), (4, 3))), ((2, 1), ((4, 3), 3)), ((1, 1), (3, (3, 4)))]
    + [((2, 3), ((4, 3, 2), (5, 2, 3))), (2, ((4, 3), (5, 3)))],
)
def test_dot(axes, shapes, normalize, rng):
    draws = [rng.standard_normal((2, *np.atleast_1d(s))).astype("float32") for s in shapes]
    ours, theirs = [k.layers.Dot(axes, normalize=normalize) for k in (lm, keras)]
    close(ours(draws).numpy(), np.asarray(theirs(draws)))
    assert np.ravel(ours.get_config()["axes"]).tolist() == np.ravel(axes).tolist()


@pytest.mark.parametrize("name", ["Dense", "Conv2D"])
def test_default_initializers(name):
    arguments = dict(Dense=dict(units=3), Conv2D=dict(filters=3, kernel_size=3))[name]
    ours, theirs = getattr(lm.layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    for key in ("kernel_initializer", "bias_initializer"):
        assert type(getattr(ours, key)).__name__ == type(getattr(theirs, key)).__name__
