"""What makes a new kind of call, and what does not."""

import enum
import math
import warnings
from typing import NamedTuple

import numpy as np
import pytest

import lamina as lm
from lamina import layers, ops, optimizers
from lamina.optimizers import schedules


def counted(f):
    """f captured, with `.count()`: how often Python ran."""
    runs = []

    def run(*args, **kwargs):
        runs.append(1)
        return f(*args, **kwargs)

    function = lm.function(run)
    function.count = lambda: len(runs)
    return function


class Pair(NamedTuple):
    left: object
    right: object


class Colour(enum.Enum):
    red = 1


def x32(*shape):
    return lm.convert_to_tensor(np.arange(math.prod(shape), dtype="float32").reshape(shape))


def test_shapes_dtypes_and_strides():
    f = counted(lambda x: x * 2)
    kinds = [
        x32(2, 3),
        x32(3, 2),
        x32(6),
        x32(),
        x32(0, 3),
        ops.cast(x32(2, 3), "float64"),
        ops.cast(x32(2, 3), "int32"),
    ]
    kinds += [x32(3, 2).__class__(x32(3, 2)._core.transpose((1, 0))), x32(2, 6)[:, ::2], x32(2, 3)[:, ::-1]]
    for _ in range(3):
        for x in kinds:
            np.testing.assert_array_equal(f(x).numpy(), x.numpy() * 2)
    assert f.count() == len(kinds) == len(f.plans)


SAME = [
    [1, 1],
    [0.5, 0.5],
    [math.nan, math.nan],
    [np.float32("nan"), np.float32("nan")],
    [complex(1, math.nan), complex(1, math.nan)],
    ["a", "".join(["", "a"])],
    [None, None],
    [range(3), range(3)],
    [np.dtype("float32"), np.dtype("float32")],
    [Colour.red, Colour.red],
    [(1, "a"), (1, "a")],
    [{"p": 1, "q": [2]}, {"p": 1, "q": [2]}],
    [len, len],
    [10**30, 10**30],
]
DIFFERENT = [
    [1, True, 1.0, np.int64(1), np.int32(1), np.float64(1), "1", b"1", complex(1), (1,), [1], {1: 1}],
    [0.0, -0.0],
    [np.float32(0.0), np.float32(-0.0), np.float64(0.0), np.float64(-0.0)],
    [complex(0.0, 0.0), complex(0.0, -0.0), complex(-0.0, 0.0)],
    [None, ..., False, 0],
    [(1, 2), ((1,), 2), ((1, 2),), Pair(1, 2), [1, 2], (1, 2, 3)],
    [{"a": 1}, {"b": 1}, {"a": {"b": 1}}, {1: 1}, {True: 1}, {"a": 1, "b": 1}],
    [("a", 1), {"a": 1}, (("a", 1),)],
    [object(), object(), int, float, len, max],
]


@pytest.mark.parametrize("values", SAME, ids=lambda v: repr(v[0])[:20])
def test_equal_values_are_one_kind(values):
    f = counted(lambda x, value: x + 1.0)
    for value in values * 3:
        f(x32(2), value)
    assert f.count() == 1


@pytest.mark.parametrize("values", DIFFERENT, ids=lambda v: repr(v[0])[:20])
def test_different_values_are_different_kinds(values):
    f = lm.function(lambda x, value: (x + 1.0, [repr(value), type(value).__name__]))
    for value in values * 3:
        assert f(x32(2), value)[1] == [repr(value), type(value).__name__]
    assert len(f.plans) == len(values)


def test_signed_zeros_and_signs_reach_the_values():
    f = lm.function(lambda x, sign: ops.where(x > 0.0, x * sign, x * sign))
    for sign in (0.0, -0.0, np.float32(0.0), np.float32(-0.0)) * 2:
        assert math.copysign(1, float(f(lm.convert_to_tensor(1.0), sign))) == math.copysign(1, sign)


def test_structures_with_the_same_tensors_are_told_apart():
    """The short way of a call like the last one must not take one structure for another."""
    a, b = x32(3), x32(3) * 10.0
    f = lm.function(lambda *args, **kwargs: sum_of(args, 1.0) + sum_of(kwargs, 100.0))
    obj = object()
    calls = [
        ((a, b), {}),
        ((obj, [a, b]), {}),
        (([a, b],), {}),
        (((a, b),), {}),
        ((a,), {"b": b}),
        ((), {"a": a, "b": b}),
    ]
    calls += [(({"k": a, "l": b},), {}), ((Pair(a, b),), {}), ((Pair(b, a),), {}), ((obj, a, b), {}), ((a, b, obj), {})]
    for args, kwargs in calls + calls[::-1] + [c for c in calls for _ in range(2)]:
        want = sum_of(args, 1.0) + sum_of(kwargs, 100.0)
        for _ in range(2):
            np.testing.assert_array_equal(f(*args, **kwargs).numpy(), want.numpy())


def sum_of(tree, weight):
    """A sum in which every tensor's place in the structure has its own weight."""
    if isinstance(tree, lm.Tensor):
        return tree * weight
    if isinstance(tree, dict):
        return sum((sum_of(v, weight * 3.0 + i) for i, v in enumerate(tree.values())), 0.0)
    if isinstance(tree, (list, tuple)):
        scale = {list: 5.0, tuple: 7.0}.get(type(tree), 11.0)
        return sum((sum_of(v, weight * scale + i) for i, v in enumerate(tree)), 0.0)
    return 0.0


def test_keyword_order_does_not_matter():
    f = counted(lambda x, **kwargs: x * kwargs["a"] + kwargs["b"])
    assert float(f(x32(), a=2.0, b=3.0)) == float(f(x32(), b=3.0, a=2.0)) == 3.0
    assert f.count() == 1


def test_numpy_arrays_of_any_kind():
    f = counted(lambda x: ops.cast(x, "float64") * 2.0)
    wide = np.arange(24).reshape(4, 6)
    arrays = [
        wide.astype(kind) for kind in ("uint8", "int8", "int16", "uint16", "uint32", "float16", "bool", ">f4", "<i8")
    ]
    arrays += [
        wide.astype("f4")[::2, ::-1],
        np.asfortranarray(wide.astype("f4")),
        np.broadcast_to(np.float32(2), (4, 6)),
    ]
    arrays += [np.frombuffer(b"\0" + wide.astype("f4").tobytes(), "f4", offset=1), np.longdouble(wide)]
    for _ in range(2):
        for array in arrays:
            np.testing.assert_array_equal(f(array).numpy(), 2 * array.astype("f8"))
    read_only = wide.astype("f4")
    read_only.flags.writeable = False
    np.testing.assert_array_equal(f(read_only).numpy(), 2 * read_only)


def test_arrays_that_are_no_numbers_run_in_python():
    f = counted(lambda x, names: x * float(len(names[0])))
    names = np.array(["aa", "b"], dtype=object)
    assert float(f(x32() + 1.0, names)) == 2
    names[0] = "aaa"
    assert float(f(x32() + 1.0, names)) == 3
    assert f.count() == 2 and not f.plans


def test_arrays_are_read_at_each_call():
    array = np.ones(3, "float32")
    f = counted(lambda x: x * 2.0)
    assert f(array).numpy().tolist() == [2, 2, 2]
    array[:] = 5
    assert f(array).numpy().tolist() == [10, 10, 10]
    assert f.count() == 1


def test_bound_methods_and_objects_by_identity():
    class Scale:
        def __init__(self, by):
            self.by = by

        def __call__(self, x):
            return x * self.by

        def run(self, x):
            return x * self.by

    two, three = Scale(2.0), Scale(3.0)
    f = counted(lambda f, x: f(x))
    for _ in range(3):
        assert float(f(two.run, x32() + 1.0)) == 2 and float(f(three.run, x32() + 1.0)) == 3
        assert float(f(two, x32() + 1.0)) == 2 and float(f(three, x32() + 1.0)) == 3
    assert f.count() == 4


def test_variables_are_arguments_by_identity():
    v, w = lm.Variable(1.0), lm.Variable(2.0)
    f = counted(lambda v, x: v.assign_add(x) * 1.0)
    for i in range(3):
        assert float(f(v, x32() + 1.0)) == 2 + i and float(f(w, x32() + 1.0)) == 3 + i
    assert f.count() == 2


def test_tensors_with_gradients_are_not_captured():
    v = lm.Variable([1.0, 2.0])
    f = counted(lambda x: x * x)
    ops.sum(f(v * 3.0)).backward()
    assert v.grad.numpy().tolist() == [18, 36] and not f.plans
    with lm.GradientTape() as tape:
        y = ops.sum(f(v))
    assert tape.gradient(y, v).numpy().tolist() == [2, 4]


def test_many_batch_sizes_give_no_warning_and_many_kinds_give_one():
    f = counted(lambda x, n: x + float(n))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for n in range(200):
            f(x32(n + 1), 0)
        assert not seen
        for n in range(1, 200):
            f(x32(1), n)
    assert len(seen) == 1 and "more than 256 kinds" in str(seen[0].message) and seen[0].filename == __file__
    assert len(f.plans) == 256
    assert float(f(x32(1), 7)[0]) == 7


@pytest.fixture
def model():
    model = lm.Sequential([layers.Dense(4, input_shape=(3,)), layers.Dropout(0.5), layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def changes_of(model):
    first, dropout, last = model.layers
    more = layers.Dense(3)
    return {
        "trainable": lambda: setattr(first, "trainable", False),
        "variable": lambda: setattr(last.kernel, "trainable", False),
        "rate": lambda: setattr(dropout, "rate", 0.25),
        "activation": lambda: setattr(last, "activation", ops.tanh),
        "compile": lambda: model.compile("adam", "mae"),
        "momentum": lambda: setattr(model.optimizer, "momentum", 0.5),
        "weight_decay": lambda: setattr(model.optimizer, "weight_decay", 0.1),
        "schedule": lambda: setattr(model.optimizer, "learning_rate", schedules.ExponentialDecay(0.1, 2, 0.5)),
        "exclude": lambda: model.optimizer.exclude_from_weight_decay(var_names=["bias"]),
        "precision": lambda: lm.set_matmul_precision("highest"),
        "add": lambda: model.add(more),
        "pop": lambda: model.pop(),
    }


@pytest.mark.parametrize(
    "name",
    [*"trainable variable rate activation compile momentum weight_decay schedule exclude precision add pop".split()],
)
def test_what_a_step_has_baked_in_is_noticed_once(model, name):
    f = counted(lambda x: model(x, training=True))
    x, change = x32(5, 3), changes_of(model)[name]
    for _ in range(3):
        f(x)
    assert f.count() == 1
    try:
        change()
        for _ in range(3):
            y = f(x)
        assert f.count() == 2 and len(f.plans) == (2 if name == "precision" else 1)
        assert y.shape == model(x).shape
    finally:
        lm.set_matmul_precision("high")


def test_values_and_equal_settings_are_not_changes(model):
    f = counted(lambda x: model(x, training=True))
    x = x32(5, 3)
    f(x)
    model.optimizer.learning_rate = 0.5
    model.optimizer.learning_rate.assign(0.25)
    model.layers[1].rate = 0.5
    model.layers[0].trainable = True
    model.set_weights([w * 0 + 1 for w in model.get_weights()])
    lm.set_num_threads(lm.get_num_threads())
    lm.utils.set_random_seed(1)
    assert f(x).shape == (5, 2)
    assert f.count() == 1


def test_changed_settings_give_what_python_gives(model):
    optimizer = optimizers.SGD(0.1, momentum=0.5)
    function = lm.function(lambda x: (optimizer.apply([x], [v]), v * 1.0)[1])
    v, x = lm.Variable([1.0]), lm.convert_to_tensor([1.0])
    seen = [function(x).numpy()[0]]
    seen.append(function(x).numpy()[0])
    optimizer.learning_rate = 1.0
    seen.append(function(x).numpy()[0])
    optimizer.momentum = 0.0
    seen.append(function(x).numpy()[0])
    np.testing.assert_allclose(seen, [0.9, 0.75, -0.325, -1.325], rtol=1e-6)


def test_grad_mode_is_part_of_the_kind():
    v = lm.Variable(2.0)
    f = counted(lambda: (v * v).requires_grad)
    assert f() is True
    with lm.no_grad():
        assert f() is False
    assert f() is True and f.count() == 2


def test_training_of_the_layer_around_is_part_of_the_kind():
    dropout = layers.Dropout(0.9)
    inner = counted(lambda x: dropout(x))

    class Outer(layers.Layer):
        def call(self, x):
            return inner(x)

    outer, x = Outer(), x32(4, 5) + 1.0
    for _ in range(2):
        assert (outer(x, training=True).numpy() == 0).any()
        assert (outer(x, training=False).numpy() == x.numpy()).all()
    assert inner.count() == 2


def test_running_eagerly_for_debugging():
    f = counted(lambda x: x * 2.0)
    for _ in range(3):
        f(x32(2))
    lm.run_functions_eagerly(True)
    try:
        f(x32(2))
        assert f.count() == 2
    finally:
        lm.run_functions_eagerly(False)
    f(x32(2))
    assert f.count() == 2


def test_input_signature_holds_wherever_the_function_runs():
    f = lm.function(lambda x: ops.sum(x) * 2.0, input_signature=[lm.TensorSpec((None, 2), "float32")])
    outer = lm.function(lambda x: f(x))
    rows = [[1, 2], [3, 4]]
    assert float(f(rows)) == 20 and float(f([[1, 2]])) == 6
    assert float(outer(lm.convert_to_tensor(rows))) == 20
    with lm.GradientTape():
        assert f(rows).dtype == "float32"
    with pytest.raises(
        ValueError, match=r"\[function\] argument 0 does not fit.*shape=\(None, 2\).*Received: shape=\(3,\)"
    ):
        f([1, 2, 3])
    with pytest.raises(TypeError, match="names 1 arguments. Received: 0"):
        f()
    with pytest.raises(TypeError, match="input_signature is a list of TensorSpec"):
        lm.function(lambda x: x, input_signature=[3])
