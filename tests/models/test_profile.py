"""Model.profile: its numbers, its table, and that it changes nothing. Plans of whole models: operations and memory."""

import gc

import numpy as np
import pytest

import lamina as lm
from lamina import _core, layers
from lamina.training.replay import step_function
from lamina.zoo import lenet

X = np.random.default_rng(0).normal(size=(32, 12)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 32)


def net(*more, **compiled):
    model = lm.Sequential(
        [lm.Input((12,)), layers.Dense(7, activation="relu", name="hidden"), *more, layers.Dense(3, name="scores")],
        name="net",
    )
    if compiled:
        model.compile(**compiled)
    return model


LOSS = lm.losses.SparseCategoricalCrossentropy(from_logits=True)


def silent(text):
    pass


def by_layer(profile):
    return {row.layer: row.flops for row in profile.layers}


def test_operations_of_a_dense_net():
    m, a, b, c = 32, 12, 7, 3
    assert by_layer(net().profile(X, print_fn=silent)) == {
        "net/hidden": 2 * m * a * b + 2 * m * b,  # product, bias and activation
        "net/scores": 2 * m * b * c + m * c,
    }
    flops = by_layer(net(optimizer="adam", loss=LOSS).profile(X, Y, print_fn=silent))
    assert flops["net/hidden"] == 2 * m * a * b + 2 * m * b
    # The gradients of weights and inputs; the bias's sum, the activation's derivative.
    assert flops["net/scores gradient"] == 2 * (2 * m * b * c) + m * c
    assert flops["net/hidden gradient"] == 2 * m * a * b + 2 * m * b  # none of the data
    assert flops["adam"] == 12 * (a * b + b + b * c + c)


def test_operations_of_a_convolutional_net():
    n = 4
    model = lm.Sequential(
        [
            lm.Input((10, 10, 2)),
            layers.Conv2D(5, 3, name="one"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(6, 3, padding="same", strides=2, use_bias=False, activation="relu", name="two"),
            layers.Flatten(),
            layers.Dense(3, name="scores"),
        ],
        name="net",
    )
    model.compile("sgd", LOSS)
    flops = by_layer(model.profile(np.zeros((n, 10, 10, 2), np.float32), Y[:n], print_fn=silent))
    one, two, scores = 2 * n * 8 * 8 * 5 * 3 * 3 * 2, 2 * n * 2 * 2 * 6 * 3 * 3 * 5, 2 * n * 24 * 3
    assert flops["net/one"] == one + n * 8 * 8 * 5
    assert flops["net/pool"] == n * 4 * 4 * 5 * 4
    assert flops["net/two"] == two + n * 2 * 2 * 6
    assert flops["net/one gradient"] == one + n * 8 * 8 * 5  # none of the images
    assert flops["net/two gradient"] == 2 * two + 2 * n * 2 * 2 * 6  # the kernel sums for a bias in any case
    assert flops["net/scores gradient"] == 2 * scores + n * 3
    assert flops["SGD"] == 2 * model.count_params()


def state_of(model):
    """Every byte that a step may change, versions aside."""
    found = [*model.variables, *model.optimizer.variables, *(v for m in model.metrics for v in m.variables)]
    return [(v.path, v.numpy().tobytes()) for v in found]


def every_kind(seed=0):
    lm.utils.set_random_seed(seed)
    return net(
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        optimizer=lm.optimizers.Adam(lm.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
        loss=LOSS,
        metrics=["accuracy"],
    )


@pytest.mark.parametrize("data", [(X,), (X, Y), (X, Y, np.ones(32, np.float32))])
def test_the_model_stays_as_it_was(data):
    model = every_kind()
    model.fit(X, Y, epochs=2, verbose=0)
    before, parts = state_of(model), model._compiled.heads
    profile = model.profile(*data, repeats=3, print_fn=silent)
    assert state_of(model) == before and model._compiled.heads is parts
    assert any("dropout" in row.layer for row in profile) == (len(data) > 1)


def test_training_goes_on_as_if_nothing_was(rng):
    plain, profiled = every_kind(), every_kind()
    profiled.profile(X, Y, repeats=2, print_fn=silent)  # before the first step: nothing is bound, no slot is built
    profiled.profile(X, repeats=2, print_fn=silent)
    histories = []
    for model in (plain, profiled):
        lm.utils.set_random_seed(5)
        histories.append([model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history for _ in range(2)])
    assert histories[0] == histories[1]
    assert [v.numpy().tobytes() for v in plain.variables] == [v.numpy().tobytes() for v in profiled.variables]


def test_a_failing_step_changes_nothing():
    model = every_kind()
    model.fit(X, Y, epochs=1, verbose=0)
    before = state_of(model)
    with pytest.raises(ValueError, match=r"\[profile\] the step failed.*label is out of range"):
        model.profile(X, Y + 3, print_fn=silent)
    assert state_of(model) == before


def test_global_random_numbers_are_not_used_up():
    class Noisy(lm.Model):
        def call(self, inputs):
            return inputs + lm.ops.random.normal((32, 12))

    model = Noisy()
    model(X)
    draws = []
    for profiles in (False, True):
        lm.utils.set_random_seed(1)
        lm.ops.random.normal(())
        if profiles:
            model.profile(X, repeats=2, print_fn=silent)
        draws.append(float(lm.ops.random.normal(())))
    assert draws[0] == draws[1]


def test_table():
    texts = []
    model = net(optimizer="adam", loss=LOSS, metrics=["accuracy"])
    profile = model.profile(X, Y, repeats=2, print_fn=texts.append)
    assert texts == [str(profile)]
    lines = texts[0].splitlines()
    assert lines[0] == 'Profile of "net": training step, batch of 32'
    layers_table, launches_table = "\n".join(lines[1:]).split("\n\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in launches_table.splitlines() if "|" in line]
    assert rows[0] == ["Layer", "Launch", "Time us", "Time %", "MFLOP", "KB", "GFLOP/s", "Floor %"]
    assert len(rows) == 1 + len(profile.plan.launches) + 1 and rows[-1][0] == "total"
    assert [row[1] for row in rows[1:-1]] == [launch.op for launch in profile.plan.launches]
    assert {row[0] for row in rows[1:-1]} >= {"hidden", "scores", "hidden gradient", "loss", "metrics", "adam"}
    assert len([line for line in layers_table.splitlines() if "|" in line]) == 1 + len(profile.layers) + 1
    for table in (layers_table, launches_table):
        assert len({len(line) for line in table.splitlines() if line[0] in "|+"}) == 1  # aligned
    assert max(map(len, lines)) <= 110
    assert f"with {profile.threads} thread" in lines[-2] and "GFLOP/s" in lines[-2] and "GB/s" in lines[-2]
    assert lines[-1].startswith("Floor %:")
    assert sum(float(row[3]) for row in rows[1:-1]) == pytest.approx(100, abs=0.06 * len(rows))


def test_long_names_are_cut(capsys):
    model = lm.Sequential([lm.Input((12,)), layers.Dense(3, name="a" * 150), layers.Dense(3, name="b" * 150)])
    model.profile(X, repeats=1)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 110 and any("...aaaa" in line for line in lines)


def test_kinds_of_models_and_inputs():
    a, b = lm.Input((12,), name="a"), lm.Input((12,), name="b")
    model = lm.Model([a, b], layers.Dense(3, name="scores")(layers.Concatenate(name="joined")([a, b])))
    ops = [row.op for row in model.profile((X, X), print_fn=silent)]
    assert ops == ["concatenate", "dense"]
    model = net()
    assert len(model.profile(lm.convert_to_tensor(X), print_fn=silent)) == 2
    assert len(model.profile(X.astype(np.float64), print_fn=silent).plan.launches) >= 2


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: lm.Sequential([layers.Dense(3)]).profile(X), ValueError, r"\[profile\].*not built"),
        (lambda: net().profile(X, Y), ValueError, r"\[profile\].*not compiled"),
        (lambda: net(loss=LOSS, optimizer=None).profile(X, Y), ValueError, r"\[profile\].*optimizer"),
        (lambda: net().profile(X[:, :5]), ValueError, r"\[profile\] the step failed.*\(32, 5\).*net.*hidden"),
        (lambda: net(loss=LOSS, optimizer="sgd").profile(X, Y[:5]), ValueError, r"\[profile\].*32.*5"),
        (lambda: net().profile(X, repeats=0), ValueError, r"\[profile\] repeats.*Received: repeats=0"),
        (lambda: net().profile(3.0), TypeError, r"\[profile\] needs inputs.*float"),
        (lambda: net().profile(X[:0]), ValueError, r"\[profile\] the data are empty"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_step_that_reads_values_is_named():
    class Reader(lm.Model):
        def call(self, inputs):
            return inputs * float(lm.ops.sum(inputs))

    model = Reader()
    model(X)
    with pytest.raises(lm.CaptureError, match=r"test_profile\.py:\d+"):
        model.profile(X)


SHAPES = {
    "mlp": (lambda: [layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)], 32, (28, 28, 1), "adam"),
    "lenet": (lambda: [*lenet().layers[:-1], layers.Dense(10)], 100, (28, 28, 1), "sgd"),
    "autoenc": (
        lambda: [*(layers.Dense(n, activation="relu") for n in (256, 32, 256)), layers.Dense(784)],
        128,
        (784,),
        "adam",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_memory_is_what_the_allocator_sees(name):
    make, batch, shape, optimizer = SHAPES[name]
    lm.ops.random.normal(())  # the global generator lives on
    gc.collect()
    alive = _core.allocator_stats()["in_use"]
    model = lm.Sequential([lm.Input(shape), *make()])
    model.compile(optimizer, "mse" if name == "autoenc" else LOSS)
    x = lm.convert_to_tensor(np.zeros((batch, *shape), np.float32))
    y = lm.convert_to_tensor(np.zeros((batch, *shape) if name == "autoenc" else batch, x.dtype))
    step = step_function(model, "train")
    for _ in range(3):
        step(x, y)
    gc.collect()
    _core.reset_peak()
    for _ in range(3):
        step(x, y)
    high = _core.allocator_stats()["peak"] - alive
    assert step.plans[0].memory()["peak"] == pytest.approx(high, rel=0.01)
