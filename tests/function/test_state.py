"""State: born once, kept where it is, freed when dropped."""

import gc
import weakref

import numpy as np
import pytest

import lamina as lm
from lamina import _core, layers, metrics, ops, optimizers
from lamina.random_state import SeedGenerator

from .twice import check_twice


def x32(*values):
    return lm.convert_to_tensor(np.array(values, "float32"))


def roles(function):
    return [buffer.role for buffer in function.plans[-1].buffers]


def test_an_unbuilt_model_and_a_new_optimizer_are_made_by_the_first_call():
    def make():
        model = lm.Sequential([layers.Dense(5, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5)])
        made = {}

        def step(x):
            optimizer = made.setdefault("optimizer", None) or optimizers.Adam(0.1, clipnorm=1.0)
            made["optimizer"] = optimizer
            generator = made["generator"] = made.get("generator") or SeedGenerator(3)
            mean = made["mean"] = made.get("mean") or metrics.Mean()
            with lm.GradientTape() as tape:
                loss = ops.mean(ops.square(model(x, training=True) - ops.random.normal((), seed=generator)))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            mean.update_state(loss)
            return loss, mean.result()

        def variables():
            return [*model.variables, *made["optimizer"].variables, *made["mean"].variables, made["generator"].state]

        return step, variables

    rng = np.random.default_rng(0)
    check_twice(make, [(lm.convert_to_tensor(rng.standard_normal((4, 3)).astype("float32")),) for _ in range(10)])


def test_the_learning_rate_of_an_optimizer_made_inside_can_be_set_later():
    made = []

    @lm.function
    def step(x):
        if not made:
            made.append((optimizers.SGD(0.5), lm.Variable([1.0])))
        optimizer, v = made[0]
        optimizer.apply([x], [v])
        return v * 1.0

    assert float(step(x32(1.0))[0]) == 0.5
    made[0][0].learning_rate = 0.25
    assert float(step(x32(1.0))[0]) == 0.25


def test_a_variable_made_inside_and_only_read_can_be_written_later():
    made = []

    @lm.function
    def step(x):
        if not made:
            made.append(lm.Variable([2.0]))
        return x * (made[0] + 1.0)

    for value in (2.0, 5.0, -3.0):
        x = x32(1.0)
        step(x)
        made[0].assign([value])
        assert step(x).numpy().tolist() == [value + 1]


def test_a_variable_is_assigned_a_view_of_itself():
    def make():
        v = lm.Variable(np.arange(9000, dtype="float32").reshape(90, 100))
        w = lm.Variable(np.arange(8100, dtype="float32").reshape(90, 90))

        def step(x):
            v.assign(v[::-1, ::-1])
            w.assign(ops.transpose(w))
            v.assign(v[:1] * 1.0 + v)
            w.assign_add(w[:, :1])
            return v * x

        return step, lambda: [v, w]

    check_twice(make, [(x32(i),) for i in range(4)])
    v = lm.Variable(np.arange(6.0))
    v.assign(v[::-1])
    assert v.numpy().tolist() == [5, 4, 3, 2, 1, 0]


def test_variables_written_read_and_written_again():
    def make():
        v, w = lm.Variable(np.ones(5000, "float32")), lm.Variable(np.zeros(5000, "float32"))

        def step(x):
            a = v * x
            v.assign_add(x)
            b = v * a
            w.assign(v + b)
            v.assign(w - a)
            w.assign_sub(v)
            return a, b, v * 1.0, w[::7] * 2.0

        return step, lambda: [v, w]

    check_twice(make, [(lm.convert_to_tensor(np.linspace(i, 1, 5000, dtype="float32")),) for i in range(6)])


def test_what_python_still_holds_is_overwritten_and_stays_in_place():
    kept = []

    @lm.function
    def f(x):
        y = x * 2.0
        if not kept:
            kept.append(y)
        return y + 1.0

    f(x32(1.0, 2.0))
    where = kept[0]._core.address
    assert "kept" in roles(f)
    f(x32(5.0, 6.0))
    assert kept[0].numpy().tolist() == [10, 12] and kept[0]._core.address == where
    assert f(kept[0]).numpy().tolist() == [21, 25]


def test_losses_added_by_layers_are_those_of_the_last_step():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(ops.sum(x))
            return x * 2.0

    layer = Penalty()
    f = lm.function(lambda x: layer(x))
    for i in range(3):
        f(x32(i, 1.0))
        assert float(layer.losses[0]) == i + 1


def test_a_gradient_whose_values_a_replay_wrote_over_is_an_error():
    v = lm.Variable([1.0, 2.0])
    f = lm.function(lambda x: (v.assign_add(x), None)[1])
    f(x32(1.0, 1.0))
    with lm.GradientTape() as tape:
        y = ops.sum(v * v)
    f(x32(1.0, 1.0))
    with pytest.raises(RuntimeError, match=r"written in place since"):
        tape.gradient(y, v)


def test_nested_functions_are_one_plan():
    inner = lm.function(lambda x: x * 3.0)
    outer = lm.function(lambda x: inner(x) + inner(x + 1.0))
    for i in range(3):
        assert float(outer(x32(i))[0]) == 6 * i + 3
    assert len(outer.plans) == 1 and not inner.plans
    assert float(inner(x32(2.0))[0]) == 6


def test_a_function_inside_an_open_tape_gives_gradients():
    w = lm.Variable([2.0, 3.0])
    f = lm.function(lambda x: ops.sum(w * w * x))
    x = x32(1.0, 2.0)
    for _ in range(3):
        assert float(f(x)) == 22
        with lm.GradientTape() as tape:
            loss = f(x)
        assert tape.gradient(loss, w).numpy().tolist() == [4, 12]
    assert lm.grad(f)(x).numpy().tolist() == [4, 9]


def test_a_variable_made_and_dropped_by_the_step_is_an_error():
    @lm.function
    def total(x):
        v = lm.Variable(0.0)
        v.assign_add(ops.sum(x))
        return v * 1.0

    @lm.function
    def mean(x):
        return metrics.Mean()(x)

    with pytest.raises(lm.CaptureError, match=r"test_state.py:\d+ \(v = lm.Variable\(0.0\)\)"):
        total(x32(1.0))
    with pytest.raises(lm.CaptureError, match=r"test_state.py:\d+ \(return metrics.Mean\(\)\(x\)\)"):
        mean(x32(1.0))
    read_only = lm.function(lambda x: x * lm.Variable(2.0))
    assert float(read_only(x32(3.0))[0]) == float(read_only(x32(3.0))[0]) == 6


def test_functions_models_and_instances_are_freed():
    class Step:
        def __init__(self):
            self.v = lm.Variable(np.zeros(20000, "float32"))
            self.optimizer = optimizers.SGD(lambda: 0.5)

        @lm.function
        def run(self, x):
            self.v.assign_add(x)
            return self.v * 1.0

        @lm.function
        def learn(self, x):
            self.optimizer.apply([self.v * 1.0], [self.v])
            return x * 1.0

    before = _core.allocator_stats()["in_use"]
    x = lm.convert_to_tensor(np.ones(20000, "float32"))
    for _ in range(3):
        step = Step()
        for _ in range(3):
            step.run(x)
            step.learn(x)
        alive, variable = weakref.ref(step), weakref.ref(step.v)
        del step
        assert alive() is None and variable() is None
    assert not Step.run.plans and not Step.learn.plans
    del Step
    gc.collect()
    del x
    assert _core.allocator_stats()["in_use"] - before <= 64 * 1024  # less than one of the variables


def test_a_function_over_a_model_is_freed_with_it():
    def made():
        model = lm.Sequential([layers.Dense(3, input_shape=(2,))])
        f = lm.function(lambda x: model(x))
        f(x32([1.0, 2.0]))
        f(x32([1.0, 2.0]))
        return weakref.ref(f), weakref.ref(model)

    refs = made()
    gc.collect()
    assert [r() for r in refs] == [None, None]


def test_methods_of_two_instances_and_decorated_calls():
    class Scale(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight((shape[-1],), "ones")

        @lm.function
        def call(self, x, training=False):
            return x * self.w * (2.0 if training else 1.0)

    a, b = Scale(), Scale()
    x = x32([1.0, 2.0])
    for layer, value in ((a, 1.0), (b, 5.0)):
        layer(x)
        layer.w.assign([value, value])
    for _ in range(2):
        for layer, value in ((a, 1.0), (b, 5.0)):
            for training in (False, True):
                assert layer(x, training=training).numpy().tolist() == [
                    [value * (1 + training), 2 * value * (1 + training)]
                ]
    assert len(Scale.call.plans) == 4


def test_host_data_warns_once_for_its_line():
    table = np.arange(3.0, dtype="float32")
    f = lm.function(lambda x: x + table)
    with pytest.warns(
        UserWarning, match=r"ndarray data became a constant.*test_state.py:\d+ \(f = lm.function"
    ) as seen:
        f(x32(1.0, 2.0, 3.0))
        f(x32(1.0))
    assert len(seen) == 1 and seen[0].filename == __file__
    # None of these is data of the host's (warnings are errors here).
    quiet = lm.function(
        lambda x: (
            x * 2.0 + 1 - np.float32(3),
            ops.arange(3) + ops.cast(ops.eye(3), "int32"),
            ops.ones((3,)) * ops.zeros((3,)) + ops.full((3,), 2.0) + ops.linspace(0.0, 1.0, 3),
            ops.random.uniform((3,), seed=3),
            ops.one_hot(ops.cast(x, "int32"), 3),
            ops.pad(x, [[1, 1]]),
            ops.where(x > 1, x, 0.0),
            x[lm.convert_to_tensor(0)],
        )
    )
    for _ in range(2):
        quiet(x32(1.0, 2.0, 0.0))
