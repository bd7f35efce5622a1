"""Wrong input gets the right answer or an error that names the place and what was received; nothing crashes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina as lm
from lamina import layers, ops

X = np.linspace(-1.0, 1.0, 40, dtype="float32").reshape(10, 4)
Y = np.arange(10) % 3


def net(**options):
    model = lm.Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **options})
    return model


def fit(**options):
    return net().fit(**{"x": X, "y": Y, "verbose": 0, **options})


def tape_gradient(target=None, source=None, **options):
    v = lm.Variable([1.0, 2.0])
    with lm.GradientTape() as tape:
        y = v * v
    return tape.gradient(y if target is None else target, v if source is None else source, **options)


def apply(pairs):
    lm.optimizers.SGD().apply_gradients(pairs)


INTEGER, NUMBER = r"must be an integer.*Received", r"must be a number.*Received"
HUGE = r"more elements than memory can address.*Received"

# id, call, exception, regular expression of the message
ROWS = [
    ("sum over text", lambda: ops.sum(X, "x"), TypeError, r"\[sum\] axis " + INTEGER),
    ("sum over an array", lambda: ops.sum(X, X), TypeError, r"\[sum\] axis " + INTEGER),
    ("sum over axis 2**62", lambda: ops.argmax(X, 2**62), IndexError, r"\[argmax\] axis is out of range.*Received"),
    ("keepdims of text", lambda: ops.sum(X, 0, "x"), TypeError, r"\[sum\] keepdims must be True or False.*Received"),
    ("reshape to floats", lambda: ops.reshape(X, (2.5, 4)), TypeError, r"\[reshape\] newshape " + INTEGER),
    ("reshape beyond 64 bits", lambda: ops.reshape(X, 2**64), ValueError, r"\[reshape\].*fit 64 bits.*Received"),
    ("transpose by text", lambda: ops.transpose(X, "ab"), TypeError, r"\[transpose\] axes " + INTEGER),
    ("squeeze a float", lambda: ops.squeeze(X, 0.5), TypeError, r"\[squeeze\] axis " + INTEGER),
    ("stride of a half", lambda: ops.max_pool(X[None], 1.5), TypeError, r"\[max_pool\] pool_size " + INTEGER),
    ("rows of a pool", lambda: ops.max_pool(np.ones((1, 3, 2)), 5), ValueError, r"\[max_pool\] the pool is larger"),
    ("filters of a row", lambda: ops.conv(np.ones((1, 3, 2)), np.ones((5, 2, 1))), ValueError, r"\[conv\].*Received"),
    ("variance along text", lambda: ops.std(X, "x"), TypeError, r"\[std\] axis " + INTEGER),
    ("moments along axis 7", lambda: ops.moments(X, 7), IndexError, r"\[moments\] axis is out of range.*Received"),
    ("logsumexp along axis 7", lambda: ops.logsumexp(X, 7), IndexError, r"\[logsumexp\] axis is out of.*Received"),
    ("softmax twice along 0", lambda: ops.softmax(X, (0, 0)), ValueError, r"\[softmax\] an axis is named twice.*Rec"),
    ("repeat -1 times", lambda: ops.repeat(X, -1), ValueError, r"\[repeat\] needs one count >= 0.*Received"),
    ("sparse of an array", lambda: ops.bincount([1], sparse=X), TypeError, r"\[bincount\] sparse must be True or"),
    (
        "activation of a recurrence",
        lambda: ops.recurrent.simple_rnn(X, X, X, activation=X),
        ValueError,
        r"\[simple_rnn\] activation must be",
    ),
    ("rows of a recurrence", lambda: ops.recurrent.gru(X[0, 0], X, None, X), ValueError, r"\[gru\] needs projected"),
    ("conv2d strides", lambda: ops.conv2d(X, X, strides="x"), TypeError, r"\[conv2d\] strides " + INTEGER),
    ("elu alpha", lambda: ops.elu(X, "x"), TypeError, r"\[elu\] alpha " + NUMBER),
    ("unhashable activation", lambda: ops.conv2d(X, X, activation=[1]), ValueError, r"\[conv2d\] only.*Received"),
    ("split by a slice", lambda: ops.split(X, slice(2)), TypeError, r"\[split\] indices_or_sections " + INTEGER),
    ("repeat too few", lambda: ops.repeat([1, 2], [1, 2, 3]), ValueError, r"\[repeat\] needs one count.*Received"),
    ("pad by triples", lambda: ops.pad(X, (1, 2, 3)), ValueError, r"\[pad\] pad_width must be.*Received"),
    ("one_hot of halves", lambda: ops.one_hot([0.5], 2), ValueError, r"\[one_hot\].*whole numbers.*Received"),
    ("two ellipses", lambda: lm.convert_to_tensor(X)[..., ...], IndexError, r"\[getitem\].*once.*Received"),
    ("slice step 0", lambda: lm.convert_to_tensor(X)[::0], IndexError, r"\[getitem\] slice step.*Received"),
    ("zeros 2**80", lambda: ops.zeros((2**40, 2**40)), ValueError, HUGE),
    ("zero-size 2**64", lambda: ops.zeros((2**62, 4, 0)), ValueError, HUGE),
    ("tile 2**62", lambda: ops.tile([1.0, 2.0], 2**62), ValueError, HUGE),
    ("broadcast to unknown", lambda: ops.broadcast_to(1.0, (None, 2)), ValueError, r"\[broadcast_to\] needs a known"),
    ("eye 2**80", lambda: ops.eye(2**40), ValueError, HUGE),
    ("arange without end", lambda: ops.arange(float("inf")), ValueError, r"\[arange\] needs fewer.*Received"),
    ("arange step 0", lambda: ops.arange(0, 1, 0), ValueError, r"\[arange\].*Received.*step=0"),
    ("linspace -1", lambda: ops.linspace(0, 1, -1), ValueError, r"\[linspace\] num must be.*Received"),
    ("rank 9", lambda: lm.from_numpy(np.zeros((1,) * 9, "float32")), ValueError, r"at most 8 axes.*Received"),
    ("dates", lambda: lm.from_numpy(np.array(["2020"], "M8[D]")), TypeError, r"\[from_numpy\] needs numbers.*Received"),
    (
        "unaligned",
        lambda: lm.from_numpy(np.zeros(9, "u1")[1:].view("f4")),
        ValueError,
        r"\[from_numpy\] memory must lie",
    ),
    ("no dlpack", lambda: lm.from_dlpack([1]), TypeError, r"\[from_dlpack\].*Received: list"),
    ("uint64 beyond int64", lambda: lm.convert_to_tensor(np.array([2**64 - 1])), ValueError, r"fit int64.*Received"),
    ("number beyond int64", lambda: ops.ones(2, "int32") + 2**64, ValueError, r"fit 64 bits.*Received"),
    ("cast to None", lambda: ops.cast(X, None), ValueError, r"\[dtype\] is unknown.*Received: dtype=None"),
    ("len of a symbol", lambda: len(layers.Input((4,))), TypeError, r"\[len\].*no known size.*Received"),
    ("random integers of text", lambda: ops.random.randint(2, "a", 3), TypeError, r"\[randint\] minval " + INTEGER),
    ("bytes out of range", lambda: ops.random.randint(2, 0, 999, "uint8"), ValueError, r"\[randint\].*uint8.*Received"),
    ("normal integers", lambda: ops.random.normal(2, dtype="int32"), ValueError, r"\[random\] dtype.*Received"),
    ("threads 2**40", lambda: lm.set_num_threads(2**40), ValueError, r"\[set_num_threads\].*Received: n="),
    ("tape of an array", lambda: tape_gradient(source=X), TypeError, r"\[GradientTape.gradient\].*Received: ndarray"),
    (
        "too few output gradients",
        lambda: tape_gradient(output_gradients=[]),
        ValueError,
        r"needs one output gradient for each target.*Received: 0 for 1",
    ),
    (
        "output gradient of another shape",
        lambda: tape_gradient(output_gradients=X),
        ValueError,
        r"\[backward\] a gradient must have the shape.*Received",
    ),
    ("grad argnums", lambda: lm.grad(lambda x: x, 5)(2.0), ValueError, r"\[grad\] argnums.*Received: argnums=5"),
    ("class ids 2.5", lambda: lm.utils.to_categorical([2.5]), ValueError, r"\[to_categorical\].*Received"),
    ("normalize text", lambda: lm.utils.normalize("x"), TypeError, r"\[normalize\] needs numbers.*Received"),
    ("Dense of 2**62 units", lambda: layers.Dense(2**62)(X), (ValueError, MemoryError), r"Received"),
    ("kernel of 2.5", lambda: layers.Conv2D(3, 2.5), ValueError, r"\[Conv2D\] kernel_size must be.*Received"),
    ("Input of 2.5", lambda: layers.Input(2.5), TypeError, r"\[Input\] shape " + INTEGER),
    ("layer of None", lambda: layers.Dense(2)(None), TypeError, r"needs a tensor or array.*Received: inputs=None"),
    ("layer of ragged rows", lambda: layers.Dense(2)([[1], [1, 2]]), ValueError, r"rows must have equal.*Received"),
    ("weights of None", lambda: net().set_weights(None), TypeError, r"\[set_weights\].*Received: NoneType"),
    ("learning rate", lambda: lm.optimizers.SGD("a"), TypeError, r"learning_rate must be a number.*Received"),
    ("label smoothing", lambda: lm.losses.CategoricalCrossentropy(label_smoothing="a"), ValueError, r"label_smoothing"),
    ("pairs of nothing", lambda: apply(5), TypeError, r"takes pairs.*Received: int"),
    ("class_weight list", lambda: fit(class_weight=[1, 1, 1]), ValueError, r"\[fit\] class_weight must.*Received"),
    ("class_weight < 0", lambda: fit(class_weight={-1: 1.0}), ValueError, r"\[fit\] class_weight must.*Received"),
    ("initial_epoch", lambda: fit(initial_epoch="a"), TypeError, r"\[fit\] initial_epoch " + INTEGER),
    (
        "validation_freq",
        lambda: fit(validation_data=(X, Y), validation_freq=0),
        ValueError,
        r"\[fit\] validation_freq.*Received",
    ),
    ("one number", lambda: net().train_on_batch(5, 1), TypeError, r"\[train_on_batch\].*Received: int"),
    ("unknown optimizer", lambda: net(optimizer="adm"), ValueError, r"Did you mean ['\"]adam['\"]"),
    ("path of None", lambda: lm.models.load_model(None), TypeError, r"\[load_model\] needs a path.*Received"),
    ("directory", lambda: lm.models.load_model("."), FileNotFoundError, r"\[load_model\].*but a directory.*Received"),
    (
        "save nowhere",
        lambda: net().save("/nonexistent/x.safetensors"),
        FileNotFoundError,
        r"no such directory.*Received",
    ),
]


@pytest.mark.parametrize(("call", "exception", "message"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_refused(call, exception, message):
    with pytest.raises(exception, match=f"(?s){message}"):
        call()


STRIDES = {
    "Fortran order": np.asfortranarray(X),
    "read-only": np.broadcast_to(X, X.shape),
    "big-endian": X.astype(">f4"),
    "negative strides": X[::-1, ::-1].copy()[::-1, ::-1],
    "unaligned": np.frombuffer(b"\0" + X.tobytes(), "u1")[1:].view("f4").reshape(X.shape),
    "longdouble": X.astype("g"),
    "list": X.tolist(),
}


@pytest.mark.parametrize("x", STRIDES.values(), ids=STRIDES)
def test_any_memory_gives_the_same_answer(x):
    model = net()
    want = model.predict(X, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), want)
    np.testing.assert_array_equal(model(x).numpy(), want)
    assert np.isfinite(model.fit(x, Y, verbose=0).history["loss"]).all()


def test_numbers_that_do_not_fit_a_small_type_widen_it():
    assert (ops.ones(2, "uint8") + 300).numpy().tolist() == [301, 301]
    assert (ops.ones(2, "uint8") == -1).numpy().tolist() == [False, False]
    assert (ops.ones(2, "int32") + 2**40).numpy().tolist() == [2**40 + 1] * 2
    assert ops.arange(2**40, 2**40 + 2).numpy().tolist() == [2**40, 2**40 + 1]


def test_numpy_integers_are_integers():
    one = np.int64(1)
    assert ops.sum(X, one).shape == (10,)
    assert ops.reshape(X, np.int64(40)).shape == (40,)
    assert ops.softmax(X, one).shape == ops.flip(X, one).shape == X.shape
    assert ops.zeros((np.int32(2), one)).shape == (2, 1)


SHAPES = [(), (0,), (1,), (4,), (2, 3), (3, 4), (0, 4), (2, 3, 4), (2, 6, 6, 3), (3, 3, 3, 4), (1,) * 8]
TYPES = ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64", ">f4"]
NASTY = [None, True, 0, 1, -1, 7, 2**31, 2**62, 2**64, 0.5, float("nan"), "same", "x", (), (0, 1), (1, 0), (-1, -1)]
NASTY += [(2**40, 2**40), (2**62, 4, 0), (None, 2), ("a",), [[0, 1], [1, 0]], {}, object(), slice(None, None, 0), X]
CALLS = [getattr(ops, name) for name in sorted(set(vars(ops)) - {"Tensor"}) if name[0] != "_"]
CALLS = [f for f in CALLS if callable(f)]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.sampled_from(CALLS),
    st.sampled_from(SHAPES),
    st.sampled_from(TYPES),
    st.lists(st.sampled_from(NASTY), max_size=3),
)
def test_ops_answer_or_refuse(op, shape, dtype, rest):
    """No crash, no hang, and no exception of another kind than those of the library, whatever the arguments."""
    try:
        op(np.ones(shape, dtype), *rest)
    except (ValueError, TypeError, IndexError, MemoryError) as error:
        if "positional argument" not in str(error):  # Python's own: too few or too many of them
            assert re.match(r"(?s)\[\w+\] .*Received", str(error))
