"""Captured steps have the bits of eager ones: optimizers, schedules, layers with state, several outputs."""

import numpy as np
import pytest

import lamina as lm
from lamina import constraints, layers, ops, optimizers, regularizers
from lamina.optimizers import schedules
from lamina.random_state import SeedGenerator

from .twice import check_twice, groups

STEPS = 100


def batches(n, shape, classes=3, seed=0, sizes=(8,)):
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        size = sizes[i % len(sizes)]
        made.append((rng.standard_normal((size, *shape)).astype("float32"), rng.integers(0, classes, size)))
    return [(lm.convert_to_tensor(x), lm.convert_to_tensor(y)) for x, y in made]


class OpsDecay(schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.05 * ops.exp(-0.01 * ops.cast(step, "float32"))


class PythonDecay(schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.05 / (1 + int(step))


OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "clipnorm": lambda: optimizers.SGD(0.1, clipnorm=0.5),
    "global_clipnorm": lambda: optimizers.Adam(0.01, global_clipnorm=0.5),
    "clipvalue": lambda: optimizers.Adam(0.01, clipvalue=0.01),
    "adam": lambda: optimizers.Adam(0.01),
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.01),
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "centered": lambda: optimizers.RMSprop(0.01, momentum=0.9, centered=True, clipnorm=0.5),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adadelta": lambda: optimizers.Adadelta(1.0, global_clipnorm=0.5),
    "adamax": lambda: optimizers.Adamax(0.01),
    "nadam": lambda: optimizers.Nadam(0.01, weight_decay=0.01),
    "lion": lambda: optimizers.Lion(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    "ftrl_power": lambda: optimizers.Ftrl(0.1, learning_rate_power=-0.7),
    "lamb": lambda: optimizers.Lamb(0.01, weight_decay=0.01),
    "adafactor": lambda: optimizers.Adafactor(0.01, global_clipnorm=0.5),
    "averages": lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=7),
    "accumulation": lambda: optimizers.Nadam(0.01, gradient_accumulation_steps=3, clipnorm=0.5),
    "accumulation_schedule": lambda: optimizers.Adafactor(
        schedules.ExponentialDecay(0.1, 10, 0.5), gradient_accumulation_steps=4, use_ema=True
    ),
    "loss_scale": lambda: optimizers.Lamb(0.01, loss_scale_factor=4.0, clipnorm=0.5),
    "exponential": lambda: optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5)),
    "cosine": lambda: optimizers.Adam(schedules.CosineDecay(0.0, 50, warmup_target=0.1, warmup_steps=10)),
    "piecewise": lambda: optimizers.SGD(schedules.PiecewiseConstantDecay([5, 50], [0.1, 0.05, 0.01])),
    "ops": lambda: optimizers.SGD(OpsDecay()),
    "python": lambda: optimizers.SGD(PythonDecay()),
    "lambda": lambda: optimizers.SGD(iter(np.linspace(0.1, 0.01, 200)).__next__),
}


def small_model():
    return lm.Sequential(
        [
            layers.Dense(
                9,
                activation="tanh",
                kernel_regularizer=regularizers.L2(1e-3),
                kernel_constraint=constraints.MaxNorm(1.0),
                input_shape=(5,),
            ),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3, kernel_regularizer="l1"),
        ]
    )


def train_step(model, optimizer, metrics=()):
    def step(x, y):
        with lm.GradientTape() as tape:
            logits = model(x, training=True)
            loss = ops.mean(ops.sparse_categorical_crossentropy(y, logits, from_logits=True))
            for penalty in model.losses:
                loss = loss + penalty
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        for metric in metrics:
            metric.update_state(y, logits)
        return {"loss": loss, "logits": logits, **{m.name: m.result() for m in metrics}}

    def variables():
        return [*model.variables, *optimizer.variables, *[v for m in metrics for v in m.variables]]

    return step, variables


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_and_schedules(name):
    function = check_twice(lambda: train_step(small_model(), OPTIMIZERS[name]()), batches(STEPS, (5,)))
    assert all(launch.op != "full" for launch in function.plans[0].launches)  # constants are computed once


@pytest.mark.parametrize("n", [1, 2, 4])
def test_convolutions_metrics_and_item_wise_groups(n, threads):
    threads(n)

    def make():
        model = lm.Sequential(
            [
                layers.Conv2D(4, 3, padding="same", activation="relu", input_shape=(9, 10, 2)),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.MaxPooling2D(2),
                layers.Conv2D(5, 3, padding="same"),
                layers.AveragePooling2D(2),
                layers.Flatten(),
                layers.Dropout(0.2),
                layers.Dense(3),
            ]
        )
        metrics = [
            lm.metrics.SparseCategoricalAccuracy(),
            lm.metrics.SparseTopKCategoricalAccuracy(2),
            lm.metrics.MeanMetricWrapper(lm.losses.sparse_categorical_crossentropy, "ce", from_logits=True),
        ]
        return train_step(model, optimizers.Adam(0.01), metrics)

    check_twice(make, batches(20, (9, 10, 2), sizes=(16,)))


def test_groups_of_item_wise_launches(threads):
    """Swish and its gradient by public ops over 16 x 700 items, several passes over the same memory."""

    def make():
        w = lm.Variable(np.linspace(-1, 1, 700, dtype="float32"), name="w")
        kept = lm.Variable(np.zeros((16, 700), "float32"), trainable=False)
        optimizer = optimizers.SGD(0.01, momentum=0.9)

        def step(x):
            with lm.GradientTape() as tape:
                a = x * w
                b = a * ops.sigmoid(a) + ops.where(a > 0.0, a, ops.exp(a) - 1.0)
                loss = ops.mean(ops.square(b + ops.tanh(b) - 0.5))
            optimizer.apply_gradients([(tape.gradient(loss, w), w)])
            kept.assign_add(b)
            kept.assign(kept * 0.5 - b)
            return loss, b, ops.cast(b, "float64") * 2.0

        return step, lambda: [w, kept, *optimizer.variables]

    calls = [(x,) for x, _ in batches(10, (700,), sizes=(16,))]
    for n in (1, 2, 4):
        threads(n)
        function = check_twice(make, calls)
        assert max(groups(function)) >= 4


def test_short_last_batch_and_two_kinds_of_step():
    def make():
        model = small_model()
        step, variables = train_step(model, optimizers.Adam(0.01))

        def both(x, y, training):
            return step(x, y) if training else {"logits": model(x, training=False)}

        return both, variables

    calls = [(x, y, i % 4 != 3) for i, (x, y) in enumerate(batches(24, (5,), sizes=(8, 8, 3)))]
    check_twice(make, calls, plans=4)


def test_gradient_accumulation():
    def make():
        model, optimizer = small_model(), optimizers.Adam(0.01)
        sums = [lm.Variable(np.zeros(v.shape, "float32"), trainable=False) for v in model.trainable_variables]

        def step(x, y, apply):
            with lm.GradientTape() as tape:
                loss = ops.mean(ops.sparse_categorical_crossentropy(y, model(x, training=True), from_logits=True))
            for total, g in zip(sums, tape.gradient(loss, model.trainable_variables)):
                total.assign_add(g / 3.0)
            if apply:
                optimizer.apply(sums, model.trainable_variables)
                for total in sums:
                    total.assign(ops.zeros_like(total))
            return loss

        return step, lambda: [*model.variables, *optimizer.variables, *sums]

    check_twice(make, [(x, y, i % 3 == 2) for i, (x, y) in enumerate(batches(30, (5,)))], plans=2)


def test_two_optimizers_and_several_steps_in_one_call():
    """Each application follows its own schedule's next step."""

    def make():
        model = small_model()
        first = optimizers.SGD(schedules.ExponentialDecay(0.1, 3, 0.5))
        second = optimizers.SGD(OpsDecay())
        rates = iter(np.linspace(0.1, 0.01, 200))
        third = optimizers.SGD(lambda: next(rates))

        def step(x, y):
            for optimizer in (first, second, first, third, second, third):
                with lm.GradientTape() as tape:
                    loss = ops.mean(ops.sparse_categorical_crossentropy(y, model(x, training=True), from_logits=True))
                optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return loss, first.learning_rate * 1.0

        return step, lambda: [*model.variables, *first.variables, *second.variables, *third.variables]

    function = check_twice(make, batches(12, (5,)))
    (captured,) = function._plans.values()
    assert captured.host_steps and not any(captured.host_steps)  # rates of later steps are not known ahead


def test_learning_rate_written_by_the_step():
    def make():
        v, optimizer = lm.Variable([1.0, 2.0]), optimizers.SGD(0.5)

        def step(x):
            optimizer.learning_rate.assign(ops.mean(x))
            optimizer.apply([x], [v])
            optimizer.learning_rate = 0.25
            optimizer.apply([x], [v])
            return v * 2.0

        return step, lambda: [v, *optimizer.variables]

    check_twice(make, [(lm.convert_to_tensor([i, 0.5]),) for i in (1.0, 2.0, 3.0)])


def test_second_derivatives_persistent_tapes_and_grad():
    def make():
        w = lm.Variable(np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3))

        def step(x, y):
            x = x * 1.0  # watching marks a tensor for good: not the caller's
            with lm.GradientTape(persistent=True) as outer:
                with lm.GradientTape() as inner:
                    inner.watch(x)
                    value = ops.sum(ops.tanh(x @ w) * y)
                slope = inner.gradient(value, x)
                penalty = ops.sum(slope * slope)
            first, second = outer.gradient(value, w), outer.gradient(penalty, w)
            cube = lm.grad(lambda t: ops.sum(t * t * t * x))
            again = lm.grad(lambda t: ops.sum(cube(t) * t))(x)
            w.assign_sub(0.01 * (first + second))
            return value, slope, {"penalty": penalty, "again": again}

        return step, lambda: [w]

    rng = np.random.default_rng(0)

    def draw(*shape):
        return lm.convert_to_tensor(rng.standard_normal(shape).astype("float32"))

    check_twice(make, [(draw(2, 4), draw(2, 3)) for _ in range(20)])


def test_backward_with_gradients_left_for_the_next_use():
    def make():
        v = lm.Variable([1.0, 2.0, 3.0])

        def step(x):
            v.grad = None
            ops.sum(v * v * x).backward()
            v.assign_sub(0.1 * v.grad)
            return v.grad * 1.0

        return step, lambda: [v, v.grad]

    check_twice(make, [(lm.convert_to_tensor([float(i), 2.0, -1.0]),) for i in range(5)])


def test_random_numbers():
    """Draws with the global generator, generators of their own, and numbers as seeds, which repeat."""

    def make():
        own = SeedGenerator(5)
        shared = layers.Dropout(0.5)

        def step(x):
            fixed = ops.random.uniform((3,), seed=1) + ops.random.normal((3,), seed=1)
            mine = ops.random.normal((5000,), seed=own) + ops.random.truncated_normal((5000,), seed=own)
            free = ops.random.uniform((7,)), ops.random.randint((7,), 0, 9), ops.random.bernoulli((7,))
            mixed = ops.random.shuffle(x), ops.random.permutation(5), ops.random.categorical(x, 4)
            return fixed, mine, free, mixed, shared(x, training=True), shared(x, training=True)

        return step, lambda: [own.state, *shared.variables]

    check_twice(make, [(x,) for x, _ in batches(20, (6,))])


def test_layers_called_twice_and_several_inputs_and_outputs():
    def make():
        a, b = lm.Input((6,)), lm.Input((6,))
        dense, norm = layers.Dense(6, activation="relu"), layers.BatchNormalization()
        left, right = norm(dense(a)), norm(dense(b))
        joined = layers.Concatenate()([layers.Add()([left, right]), layers.Add()([left, b])])
        model = lm.Model([a, b], [layers.Dense(2)(joined), layers.Dense(1)(left)])
        optimizer = optimizers.Adam(0.01)

        def step(pair):
            with lm.GradientTape() as tape:
                first, second = model([pair["a"], pair["b"]], training=True)
                loss = ops.mean(ops.square(first)) + ops.mean(ops.abs(second - 1.0))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return [first, (second, {"loss": loss})]

        return step, lambda: [*model.variables, *optimizer.variables]

    rows = batches(40, (6,))
    check_twice(make, [({"a": x, "b": z},) for (x, _), (z, _) in zip(rows[::2], rows[1::2])])
