"""fit, evaluate, predict and calls replay captured steps with the bits that eager steps give."""

import signal
import threading
import time

import numpy as np
import pytest

import lamina as lm


def weights_after(make, fit, run_eagerly, seed=0):
    """(weights and optimizer state as bytes, history) of one training run."""
    lm.utils.set_random_seed(seed)
    model = make()
    model.run_eagerly = run_eagerly
    history = fit(model)
    state = [v.numpy().tobytes() for v in (*model.weights, *model.optimizer.variables)]
    return state, getattr(history, "history", None), model


def assert_same(make, fit, captured=True):
    """The run is the same captured and eager; returns the captured model."""
    eager, eager_history, _ = weights_after(make, fit, True)
    replayed, history, model = weights_after(make, fit, False)
    assert replayed == eager
    assert history == eager_history
    assert bool(model._functions["train"].plans) is captured
    return model


def dense(**compile_args):
    def make():
        model = lm.Sequential([lm.layers.Dense(8, activation="relu"), lm.layers.Dense(3)])
        loss = lm.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **compile_args})
        return model

    return make


def data(samples=70, features=5, classes=3, dtype="float32"):
    rng = np.random.default_rng(0)
    return rng.standard_normal((samples, features)).astype(dtype), rng.integers(0, classes, samples)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("labels", ["int64", "int32", "uint8", "float32"])
def test_arrays_shuffled_with_a_short_last_batch(dtype, labels):
    x, y = data(dtype=dtype)
    assert_same(dense(), lambda m: m.fit(x, y.astype(labels), batch_size=16, epochs=3, verbose=0))


def test_unshuffled_strided_and_wide_arrays():
    x, y = data(features=10)
    assert_same(dense(), lambda m: m.fit(x[:, ::2], y[::-1], batch_size=16, epochs=2, verbose=0, shuffle=False))
    assert_same(dense(), lambda m: m.fit(x, y.astype("uint16"), batch_size=16, epochs=2, verbose=0))


def test_weights_of_samples_and_classes():
    x, y = data()
    weight = np.linspace(0, 1, len(x)).astype("float32")
    assert_same(dense(), lambda m: m.fit(x, y, sample_weight=weight, epochs=2, verbose=0))
    assert_same(dense(), lambda m: m.fit(x, y, class_weight={0: 2.0, 1: 0.5}, epochs=2, verbose=0))
    batches = lm.data.Dataset.from_tensor_slices((x, y)).batch(16)
    assert_same(dense(), lambda m: m.fit(batches, class_weight={0: 2.0}, epochs=2, verbose=0))


def test_datasets_generators_and_steps_per_epoch():
    x, y = data(96)
    assert_same(
        dense(),
        lambda m: m.fit(lm.data.Dataset.from_tensor_slices((x, y)).shuffle(50, seed=1).batch(20), epochs=3, verbose=0),
    )
    assert_same(dense(), lambda m: m.fit(x, y, steps_per_epoch=2, epochs=4, verbose=0))

    def endless():
        while True:
            for i in range(0, 96, 24):
                yield x[i : i + 24], y[i : i + 24]

    assert_same(dense(), lambda m: m.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0))


def test_validation_and_evaluate():
    x, y = data(100)
    model = assert_same(dense(), lambda m: m.fit(x, y, validation_split=0.3, epochs=3, verbose=0))
    assert model._functions["test"].plans
    replayed = model.evaluate(x, y, batch_size=33, verbose=0)
    model.run_eagerly = True
    assert model.evaluate(x, y, batch_size=33, verbose=0) == replayed


def several_outputs():
    a, b = lm.Input((4,), name="a"), lm.Input((3,), name="b")
    hidden = lm.layers.Dense(6, activation="tanh")(a)
    joined = lm.layers.Concatenate()([hidden, lm.layers.Dense(6)(b)])
    added = lm.layers.Add()([hidden, lm.layers.Dense(6)(b)])
    model = lm.Model([a, b], {"class": lm.layers.Dense(3)(joined), "value": lm.layers.Dense(1)(added)})
    model.compile(
        lm.optimizers.SGD(0.1, momentum=0.9),
        {"class": lm.losses.SparseCategoricalCrossentropy(from_logits=True), "value": "mse"},
        loss_weights={"class": 1.0, "value": 0.5},
        metrics={"class": ["accuracy"], "value": ["mae"]},
    )
    return model


def test_several_inputs_and_outputs():
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((50, n)).astype("float32") for n in (4, 3)]
    y = {"class": rng.integers(0, 3, 50), "value": rng.standard_normal((50, 1)).astype("float32")}
    model = assert_same(several_outputs, lambda m: m.fit(x, y, epochs=3, verbose=0))
    out = model.predict(x, verbose=0)
    model.run_eagerly = True
    eager = model.predict(x, verbose=0)
    assert all((out[k] == eager[k]).all() for k in ("class", "value")) and out["value"].shape == (50, 1)


def noisy():
    model = lm.Sequential(
        [
            lm.layers.Dense(8, kernel_regularizer="l2", kernel_constraint="max_norm"),
            lm.layers.BatchNormalization(),
            lm.layers.Activation("relu"),
            lm.layers.Dropout(0.4),
            lm.layers.Dense(3),
        ]
    )
    model.compile(
        lm.optimizers.AdamW(lm.optimizers.schedules.CosineDecay(0.1, 30), clipnorm=1.0),
        lm.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def test_dropout_batch_statistics_penalties_and_schedules(threads):
    x, y = data(90)

    def fit(model):
        return model.fit(x, y, batch_size=20, epochs=8, verbose=0)

    model = assert_same(noisy, fit)
    assert len(model._functions["train"].plans) == 2
    expected = weights_after(noisy, fit, False)[0]
    for n in (1, 2, 4):
        threads(n)
        assert weights_after(noisy, fit, False)[0] == expected


class OwnStep(lm.Model):
    """The loop of a GAN's or a distiller's author: train_step and test_step by hand."""

    def __init__(self, reads=False):
        super().__init__()
        self.dense = lm.layers.Dense(3)
        self.tracker = lm.metrics.Mean(name="own")
        self.reads, self.calls = reads, []

    def call(self, x):
        return self.dense(x)

    def train_step(self, batch):
        self.calls.append(1)
        x, y = batch
        with lm.GradientTape() as tape:
            loss = lm.ops.mean(lm.ops.sparse_categorical_crossentropy(y, self(x, training=True), from_logits=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.tracker.update_state(loss)
        return {"own": self.tracker.result(), "last": float(loss) if self.reads else loss}

    def test_step(self, batch):
        x, y = batch
        return {"score": lm.ops.mean(self(x)[:, 0])}


def own(reads=False):
    def make():
        model = OwnStep(reads)
        model.compile("adam")
        return model

    return make


def test_own_train_step_is_captured_too():
    x, y = data()
    model = assert_same(own(), lambda m: m.fit(x, y, batch_size=16, epochs=3, verbose=0, validation_data=(x, y)))
    assert len(model.calls) == 2  # one for each size of batch


def test_a_step_that_reads_a_value_stays_eager_and_says_so_once():
    x, y = data()
    eager, history, _ = weights_after(own(reads=True), lambda m: m.fit(x, y, batch_size=16, epochs=2, verbose=0), True)
    with pytest.warns(
        UserWarning, match=r"\[fit\] the step reads a value in Python, at .*test_replay.py:\d+ \(return"
    ) as caught:
        state, replayed, model = weights_after(
            own(reads=True), lambda m: m.fit(x, y, batch_size=16, epochs=2, verbose=0), False
        )
    assert len(caught) == 1 and state == eager and replayed == history
    assert len(model.calls) == 10 and not model._functions["train"].plans


class MakesAMetric(OwnStep):
    """Counts with a metric that lives for one step."""

    def train_step(self, batch):
        counter = lm.metrics.Mean()
        counter.update_state(super().train_step(batch)["last"])
        return {"mean": counter.result()}


def test_a_step_that_drops_what_it_writes_stays_eager_and_says_so():
    x, y = data()

    def make():
        model = MakesAMetric()
        model.compile("adam")
        return model

    def fit(model):
        return model.fit(x, y, batch_size=16, epochs=2, verbose=0)

    eager, history, _ = weights_after(make, fit, True)
    with pytest.warns(UserWarning, match=r"\[fit\] the step writes a variable that it made and dropped.*, at .*:\d+"):
        state, replayed, model = weights_after(make, fit, False)
    assert (state, replayed) == (eager, history) and not model._functions["train"].plans


def test_long_epochs_ask_a_schedule_ahead():
    asked = []

    class Counted(lm.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            asked.append(int(step))
            return 0.1 / (1 + int(step))

    def make():
        model = lm.Sequential([lm.layers.Dense(1)])
        model.compile(lm.optimizers.SGD(Counted()), "mse")
        return model

    x = np.linspace(-1, 1, 3000, dtype="float32").reshape(-1, 2)
    assert_same(make, lambda m: m.fit(x, x[:, :1], batch_size=2, epochs=1, verbose=0))
    assert max(asked) == 749


def test_callbacks_see_every_step_and_may_change_things():
    x, y = data(64)
    seen = []

    class Watch(lm.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))
            if batch == 1:
                self.model.optimizer.learning_rate = 0.01

    model = assert_same(dense(), lambda m: m.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[Watch()]))
    assert [b for b, _ in seen] == [0, 1, 2, 3] * 4 and seen[:8] == seen[8:]
    assert len(model._functions["train"].plans) == 1


def test_an_error_in_a_callback_leaves_the_model_usable():
    x, y = data(64)

    def fail(batch, logs):
        raise KeyError("mine")

    model = dense()()
    model.fit(x, y, verbose=0)
    with pytest.raises(KeyError, match="mine"):
        model.fit(x, y, verbose=0, callbacks=[lm.callbacks.LambdaCallback(on_train_batch_end=fail)])
    before = int(model.optimizer.iterations)
    model.fit(x, y, verbose=0)
    assert int(model.optimizer.iterations) == before + 2


def test_freezing_between_fits_is_noticed():
    x, y = data(64)

    def fit(model):
        model.fit(x, y, epochs=2, verbose=0)
        model.layers[0].trainable = False
        frozen = model.layers[0].kernel.numpy()
        model.compile("adam", lm.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, epochs=2, verbose=0)
        assert (model.layers[0].kernel.numpy() == frozen).all()
        model.layers[1].activation = lm.activations.get("tanh")
        return model.fit(x, y, epochs=2, verbose=0)

    assert_same(dense(), fit)


def test_a_bad_label_in_the_middle_drops_its_step_whole():
    x, y = data(64)
    y[40] = 7
    model = noisy()
    model.fit(x[:16], y[:16], batch_size=8, shuffle=False, verbose=0)
    good = dense()()
    for m in (model, good):
        before = None
        with pytest.raises(ValueError, match=r"label.*Received: value=7"):
            m.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        before = [v.numpy().tobytes() for v in (*m.variables, *m.optimizer.variables)]
        with pytest.raises(ValueError, match="label"):
            m.fit(x[40:48], y[40:48], batch_size=8, shuffle=False, verbose=0)
        assert [v.numpy().tobytes() for v in (*m.variables, *m.optimizer.variables)] == before
    assert int(good.optimizer.iterations) == 5  # the five steps before it


def test_interrupt_in_the_middle_of_an_epoch():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200_000, 64)).astype("float32"), rng.integers(0, 3, 200_000)
    model = dense()()
    model.fit(x[:64], y[:64], verbose=0)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=4, epochs=50, verbose=0)
    assert time.perf_counter() - start < 2
    assert all(np.isfinite(w).all() for w in model.get_weights())
    before = int(model.optimizer.iterations)
    model.fit(x[:64], y[:64], verbose=0)
    assert int(model.optimizer.iterations) == before + 2


def diverging():
    model = lm.Sequential([lm.layers.Dense(1)])
    model.compile(lm.optimizers.SGD(1e6), "mse")
    return model


@pytest.mark.parametrize("stepwise", [False, True])
def test_terminate_on_nan_ends_after_the_step(stepwise):
    x = np.linspace(1, 2, 6400, dtype="float32").reshape(-1, 4)

    def fit(model):
        callbacks = [lm.callbacks.TerminateOnNaN()]
        if stepwise:
            callbacks.append(lm.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None))
        return model.fit(x, x[:, :1], batch_size=16, epochs=5, verbose=0, callbacks=callbacks)

    model = assert_same(diverging, fit)
    assert 1 < int(model.optimizer.iterations) < 100 and model.stop_training


def test_models_called_without_gradients_replay():
    model = noisy()
    x = data()[0]
    calls = []
    model.layers[0].call = lambda inputs, own=model.layers[0].call: calls.append(1) or own(inputs)
    expected = model(x).numpy()
    calls.clear()
    with lm.no_grad():
        results = [model(x).numpy() for _ in range(4)]
        trained = model(x, training=True)
        assert not np.array_equal(trained.numpy(), model(x, training=True).numpy())  # dropout draws anew
    assert all((r == expected).all() for r in results)
    assert len(calls) == 2  # captured, captured for training
    lm.run_functions_eagerly(True)
    with lm.no_grad():
        model(x)
    lm.run_functions_eagerly(False)
    assert len(calls) == 3


def test_train_and_test_on_batch():
    x, y = data(32)
    runs = []
    for eager in (True, False):
        lm.utils.set_random_seed(0)
        model = dense()()
        model.run_eagerly = eager
        runs.append([model.train_on_batch(x, y) for _ in range(4)] + [model.test_on_batch(x, y)])
        runs[-1].append(model.predict_on_batch(x).tolist())
    assert runs[0] == runs[1]


def test_progress_counts_every_step_while_steps_replay(capsys, monkeypatch):
    advance, steps = lm.callbacks.ProgressBar.advance, []

    def counted(self, what, n):
        steps.append(n)
        advance(self, what, n)

    monkeypatch.setattr(lm.callbacks.ProgressBar, "advance", counted)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    x, y = data(6401)
    dense()().fit(x, y, batch_size=4, epochs=2, verbose=1)
    out = capsys.readouterr().out
    assert sum(steps) == 2 * 1601 and len(steps) < 100
    assert "Epoch 2/2: " in out and "0/1601" in out and "Epoch 2/2 - " in out and "loss: " in out


def test_copies_and_saved_models_capture_their_own_steps(tmp_path):
    import copy

    x, y = data()
    model = dense()()
    model.fit(x, y, verbose=0)
    twin = copy.deepcopy(model)
    twin.fit(x, y, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = lm.models.load_model(tmp_path / "m.safetensors")
    before = model.get_weights()
    again.fit(x, y, verbose=0)
    assert all((a == b).all() for a, b in zip(model.get_weights(), before))


def test_weights_set_between_fits_are_used():
    x, y = data()

    def fit(model):
        model.fit(x, y, verbose=0)
        model.set_weights([np.ones_like(w) for w in model.get_weights()])
        return model.fit(x, y, verbose=0)

    assert_same(dense(), fit)
