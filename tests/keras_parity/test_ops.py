"""Ops under Keras' names: values, element types and gradients."""

import numpy as np
import pytest

import lamina as lm

from .both import close, gradients_of, keras, keras_gradients_of

RNG = np.random.default_rng(5)
A = RNG.standard_normal((3, 4)).astype("float32")
B = RNG.standard_normal((4, 5)).astype("float32")
C = RNG.standard_normal((2, 3, 4)).astype("float32")
P = np.abs(A) + 0.2
IMAGE = RNG.standard_normal((2, 7, 8, 4)).astype("float32")
W = RNG.standard_normal((3, 3, 4, 6)).astype("float32")
TIES = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], "float32")
I32 = np.array([[1, -5, 2], [7, 7, 0]], "int32")
U8 = np.array([[250, 10, 3], [7, 7, 0]], "uint8")
BOOL = I32 > 0
ODD = np.array([[np.nan, np.inf, -np.inf], [1.0, -0.0, 2.0]], "float32")

UNARY = "abs ceil cos elu erf exp expm1 floor gelu hard_sigmoid leaky_relu log_sigmoid negative relu relu6 round selu"
UNARY += " sigmoid sign silu sin softplus softsign square tanh softmax log_softmax"
INTEGER = "abs ceil cos exp expm1 floor leaky_relu negative relu relu6 round sign sin square tanh"  # TensorFlow's
BINARY = "add subtract multiply divide maximum minimum power equal not_equal less less_equal greater greater_equal"
REDUCTIONS = "sum mean prod max min all any argmax argmin var std logsumexp"

NOT_OF_BOOL = ("max", "min", "logsumexp")  # in Keras over TensorFlow

# op, arguments, keyword arguments
CASES = [
    *[(name, (A,), {}) for name in UNARY.split()],
    *[(name, (I32,), {}) for name in INTEGER.split()],
    *[(name, (P,), {}) for name in "log log1p reciprocal rsqrt sqrt".split()],
    *[(name, (ODD,), {}) for name in "isfinite isinf isnan relu max min".split()],
    *[(name, (A, x), {}) for name in BINARY.split() if name != "power" for x in (A[0], A[:, :1], 2, 2.0)],
    *[(name, (I32, x), {}) for name in BINARY.split() if name != "power" for x in (I32 + 1, 2.5, np.int64(2), U8)],
    *[("power", (P, x), {}) for x in (2, 0.5, A)],
    ("power", (np.abs(I32), 2), {}),
    *[(name, (BOOL, ~BOOL), {}) for name in "logical_and logical_or logical_xor".split()],
    *[(name, (x, y), {}) for name in ("mod", "floor_divide") for x, y in ((I32, 3), (A, 0.7), (I32, -3))],
    ("logical_not", (BOOL,), {}),
    *[
        (name, (C,), dict(axis=a, keepdims=k))
        for name in REDUCTIONS.split()
        for a in (None, 1, -1)
        for k in (False, True)
    ],
    *[(name, (C,), dict(axis=(0, 2))) for name in REDUCTIONS.split() if name[:3] != "arg"],
    *[(name, (I32,), dict(axis=1)) for name in REDUCTIONS.split() if name != "logsumexp"],
    *[(name, (BOOL,), dict(axis=1)) for name in REDUCTIONS.split() if name not in NOT_OF_BOOL],
    *[(name, (TIES,), dict(axis=a)) for name in ("max", "min") for a in (None, 1)],
    *[(name, (C,), dict(axis=a)) for name in ("softmax", "log_softmax") for a in (0, (1, 2), None)],
    *[("median", (x,), dict(axis=a)) for x in (C, I32) for a in (None, 1)],
    ("median", (C,), dict(axis=(0, 2), keepdims=True)),
    *[
        ("quantile", (C, q), dict(axis=a, method=m))
        for q in (0.3, [0.0, 0.25, 0.9])
        for a in (None, 1)
        for m in ("linear", "lower", "higher")
    ],
    *[("diff", (x,), dict(n=n, axis=a)) for x in (C, I32) for n in (1, 2) for a in (0, -1)],
    *[("count_nonzero", (x,), dict(axis=a)) for x in (I32, BOOL) for a in (None, 0)],
    ("gelu", (A,), dict(approximate=False)),
    ("clip", (A, -0.5, 0.5), {}),
    ("clip", (I32, 0, 3), {}),
    ("where", (BOOL, TIES, 0.0), {}),
    ("where", (BOOL, I32, 1.5), {}),
    ("matmul", (A, B), {}),
    ("matmul", (C, B), {}),
    ("matmul", (I32, I32.T), {}),
    ("dot", (C, B), {}),
    ("outer", (A[0], B[0]), {}),
    ("vdot", (A, A), {}),
    ("reshape", (C, (4, -1)), {}),
    ("transpose", (C,), {}),
    ("transpose", (C, (1, 2, 0)), {}),
    ("moveaxis", (C, 0, -1), {}),
    ("swapaxes", (C, 0, 2), {}),
    ("expand_dims", (A, 1), {}),
    ("squeeze", (C[:1],), {}),
    ("flip", (C, 1), {}),
    ("repeat", (A, 2), dict(axis=1)),
    ("repeat", (A, 2), {}),
    ("tile", (A, (2, 3)), {}),
    ("pad", (A, ((1, 0), (2, 3))), {}),
    ("pad", (A, ((1, 1), (1, 1))), dict(constant_values=2.0)),
    ("take", (A, np.array([0, -1, 1])), dict(axis=1)),
    ("take", (A, np.array([[0, 5]])), {}),
    ("take_along_axis", (A, np.array([[0], [3], [1]])), dict(axis=1)),
    ("one_hot", (np.array([0, 2, 5, -1]), 4), {}),
    ("one_hot", (np.array([0, 2]), 4), dict(axis=0, dtype="int32")),
    ("broadcast_to", (A[:, :1], (3, 4)), {}),
    ("cast", (A * 5, "int32"), {}),
    ("cast", (I32, "bool"), {}),
    ("zeros", ((2, 3),), {}),
    ("ones", (3,), dict(dtype="int32")),
    ("full", ((2,), 7), {}),
    ("zeros_like", (I32,), {}),
    ("ones_like", (A,), {}),
    ("eye", (3, 4), dict(k=1)),
    ("arange", (5,), {}),
    ("arange", (1, 7, 2), {}),
    ("arange", (0.0, 1.0, 0.25), {}),
    ("linspace", (0, 1, 5), {}),
    ("linspace", (0.0, 1.0, 4), dict(endpoint=False)),
    ("average_pool", (C[..., None], 2), dict(padding="same")),
    ("max_pool", (C[..., None], 2), dict(strides=1)),
    ("conv", (C, W[0, :2]), dict(strides=2, padding="same")),
    ("conv", (IMAGE, W[:, :, :2]), {}),
    ("conv", (IMAGE[:, None], W[None]), dict(dilation_rate=2, padding="same")),
    ("conv_transpose", (IMAGE, W.swapaxes(2, 3)), dict(strides=2, padding="same", output_padding=1)),
    ("conv_transpose", (C, W[0].swapaxes(1, 2)), dict(strides=3)),
    ("depthwise_conv", (IMAGE, W), dict(dilation_rate=2)),
    ("depthwise_conv", (IMAGE, W), dict(strides=(1, 2), padding="same")),
    ("separable_conv", (IMAGE, W, W[:1, :1].reshape(1, 1, 24, 1)), dict(strides=2)),
    ("adaptive_max_pool", (IMAGE, 3), dict(data_format="channels_first")),
    ("batch_normalization", (A, A[0], P[0], 1), {}),
    ("layer_normalization", (A, A[0], P[0]), {}),
    ("layer_normalization", (A,), dict(axis=(0, 1), epsilon=0.1)),
    ("rms_normalization", (A, A[0]), {}),
    ("rms_normalization", (A,), dict(axis=0, epsilon=0.1)),
    ("normalize", (A,), {}),
    ("normalize", (A,), dict(axis=0, order=1)),
    ("normalize", (A, 1, 3), {}),
    *[("sort", (x,), dict(axis=axis)) for x in (A, I32, U8, BOOL) for axis in (-1, 0, None)],
    *[("argsort", (x,), dict(axis=axis)) for x in (A, I32, TIES) for axis in (-1, 0, None)],
    *[(name, (x, 1), {}) for name in ("cumsum", "cumprod") for x in (A, C, I32, U8, BOOL)],
    *[(name, (x,), {}) for name in ("cumsum", "cumprod") for x in (A, I32)],
    ("cumsum", (A,), dict(dtype="int32")),
    ("in_top_k", (np.array([2, 5, 0, -1], "int32"), RNG.standard_normal((4, 5)).astype("float32"), 2), {}),
    *[("in_top_k", (np.array([2, 0], "int32"), TIES, k), {}) for k in (1, 2, 3)],
    *[("searchsorted", (np.sort(A[0]), B[0]), dict(side=side)) for side in ("left", "right")],
    ("digitize", (A, np.array([-0.5, 0.0, 0.5], "float32")), {}),
    ("bincount", (np.array([1, 5, 2, 1]),), dict(minlength=8)),
    ("bincount", (np.array([[1, 5, 2], [0, 0, 1]]),), {}),
    ("bincount", (np.array([1, 5, 2, 1]), A[0]), {}),
    ("binary_crossentropy", (BOOL.astype("float32"), TIES), dict(from_logits=True)),
    ("categorical_crossentropy", (np.eye(3, dtype="float32")[:2], TIES), dict(from_logits=True)),
    ("sparse_categorical_crossentropy", (np.array([0, 2]), TIES), dict(from_logits=True)),
]


def _id(case):
    kinds = [f"{x.dtype}{list(x.shape)}" if isinstance(x, np.ndarray) else repr(x) for x in case[1]]
    return f"{case[0]}({', '.join(kinds)}, {case[2]})"


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_values_and_types(case):
    name, arguments, keywords = case
    ours, theirs = getattr(lm.ops, name)(*arguments, **keywords), getattr(keras.ops, name)(*arguments, **keywords)
    assert ours.dtype == keras.backend.standardize_dtype(theirs.dtype)
    close(ours.numpy(), np.asarray(theirs))


DIFFERENTIABLE = [
    case
    for case in CASES
    if case[1] and isinstance(case[1][0], np.ndarray) and case[1][0].dtype == "float32" and case[1][0] is not ODD
    if case[0]
    not in "ceil floor round sign all any argmax argmin equal not_equal less less_equal greater cast"
    " greater_equal floor_divide zeros_like ones_like mod batch_normalization binary_crossentropy"
    " argsort searchsorted digitize".split()
    if case[0] != "categorical_crossentropy" and case[2].get("dtype") != "int32"
]


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=_id)
def test_gradients(case):
    name, (x, *rest), keywords = case
    _, (grad,) = gradients_of(lambda v: getattr(lm.ops, name)(v, *rest, **keywords), [x])
    _, (other,) = keras_gradients_of(lambda v: getattr(keras.ops, name)(v, *rest, **keywords), [x])
    close(grad, other, rtol=2e-5)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k(k):
    for x in (A, TIES[:, :2].repeat(2, 1), np.array([[5, 2, 7, 1, 9, 3]], "int32")):
        for got, want in zip(lm.ops.top_k(x, k), keras.ops.top_k(x, k)):
            assert got.dtype == keras.backend.standardize_dtype(want.dtype)
            np.testing.assert_array_equal(got.numpy(), np.asarray(want))
    _, (grad,) = gradients_of(lambda v: lm.ops.top_k(v, k)[0], [A])
    _, (other,) = keras_gradients_of(lambda v: keras.ops.top_k(v, k)[0], [A])
    close(grad, other)


def test_moments():
    for got, want in zip(lm.ops.moments(A, 0, keepdims=True), keras.ops.moments(A, 0, keepdims=True)):
        close(got.numpy(), np.asarray(want))
