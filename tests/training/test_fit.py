"""fit, evaluate and predict: what they compute, show, warn of and refuse."""

import io
import sys

import numpy as np
import pytest

import lamina as lm
from lamina import layers

rng = np.random.default_rng(3)
X = rng.normal(size=(70, 4)).astype(np.float32)
IDS = (X @ rng.normal(size=(4, 3))).argmax(1)
LINE = X.sum(1, keepdims=True)


def classifier(**compile):
    lm.utils.set_random_seed(5)
    model = lm.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", **{"metrics": ["accuracy"], **compile})
    return model


def line(**compile):
    lm.utils.set_random_seed(5)
    model = lm.Sequential([layers.Dense(1, input_shape=(4,))])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile})
    return model


class TestNumbers:
    def test_fit_learns(self):
        model = classifier()
        model.optimizer.learning_rate = 0.01
        logs = model.fit(X, IDS, epochs=60, verbose=0).history
        assert list(logs) == ["loss", "accuracy"] and len(logs["loss"]) == 60
        assert logs["loss"][-1] < 0.6 * logs["loss"][0]

    def test_one_step_of_sgd_by_hand(self):
        model = line(optimizer=lm.optimizers.SGD(0.1))
        w, b = model.get_weights()
        e = X @ w + b - LINE
        logs = model.fit(X, LINE, batch_size=70, shuffle=False, verbose=0).history
        assert logs["loss"][0] == pytest.approx((e**2).mean(), rel=1e-5)
        np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * 2 * X.T @ e / 70, rtol=1e-4, atol=1e-6)

    def test_epoch_loss_weighs_batches_by_their_size(self):
        model = line(optimizer=lm.optimizers.SGD(0.0))
        w, b = model.get_weights()
        want = ((X @ w + b - LINE) ** 2).mean()
        assert model.fit(X, LINE, verbose=0).history["loss"][0] == pytest.approx(want, rel=1e-5)
        assert model.evaluate(X, LINE, verbose=0) == pytest.approx(want, rel=1e-5)

    def test_weights_of_samples_and_classes(self):
        weight = rng.random(70).astype(np.float32)
        model = line(optimizer=lm.optimizers.SGD(0.0), weighted_metrics=["mae"], metrics=["mae"])
        w, b = model.get_weights()
        e = (X @ w + b - LINE)[:, 0]
        loss, mae, weighted = model.evaluate(X, LINE, sample_weight=weight, verbose=0)
        assert loss == pytest.approx((e**2 * weight).mean(), rel=1e-4)
        assert mae == pytest.approx(np.abs(e).mean(), rel=1e-4)
        assert weighted == pytest.approx((np.abs(e) * weight).sum() / weight.sum(), rel=1e-4)
        model = classifier()
        by_class = model.fit(X, IDS, class_weight={0: 2.0, 2: 0.0}, verbose=0, shuffle=False).history["loss"]
        model = classifier()
        by_sample = np.array([2.0, 1.0, 0.0])[IDS]
        assert by_class == model.fit(X, IDS, sample_weight=by_sample, verbose=0, shuffle=False).history["loss"]

    def test_penalties_of_regularizers_count(self):
        model = lm.Sequential([layers.Dense(1, input_shape=(4,), kernel_regularizer=lm.regularizers.L2(0.5))])
        model.compile(lm.optimizers.SGD(0.0), "mse")
        w, b = model.get_weights()
        want = ((X @ w + b - LINE) ** 2).mean() + 0.5 * (w**2).sum()
        assert model.evaluate(X, LINE, verbose=0) == pytest.approx(want, rel=1e-5)
        assert model.train_on_batch(X, LINE) == pytest.approx(want, rel=1e-5)

    def test_single_batches(self):
        model = classifier()
        loss, accuracy = model.train_on_batch(X, IDS)
        again = model.test_on_batch(X, IDS, return_dict=True)
        assert set(again) == {"loss", "accuracy"} and loss > 0 and 0 <= accuracy <= 1
        assert model.test_on_batch(X, IDS, return_dict=True) == again  # of the batch, not of all so far
        assert list(again.values()) == pytest.approx(model.evaluate(X, IDS, batch_size=70, verbose=0), rel=1e-5)
        assert (model.predict_on_batch(X) == model.predict(X, batch_size=70, verbose=0)).all()

    def test_predict_joins_batches(self):
        model = classifier()
        whole = model.predict(X, batch_size=70, verbose=0)
        parts = model.predict(X, batch_size=16, verbose=0)
        assert whole.shape == (70, 3) and np.allclose(whole, parts, atol=1e-6)
        parts[0] = 0  # the caller's own

    def test_same_seed_same_weights(self):
        def run():
            model = classifier()
            model.fit(X, IDS, epochs=3, verbose=0)
            return model.get_weights()

        assert all((a == b).all() for a, b in zip(run(), run()))

    def test_trainable_false_keeps_the_weights(self):
        model = classifier()
        model(X)
        model.layers[0].trainable = False
        before = model.layers[0].get_weights()
        model.fit(X, IDS, verbose=0)
        assert all((a == b).all() for a, b in zip(before, model.layers[0].get_weights()))


class TestData:
    @pytest.mark.parametrize("dtype", ["float64", "float16", ">f4", "int64"])
    def test_inputs_of_any_type(self, dtype):
        assert np.isfinite(classifier().fit(X.astype(dtype), IDS, verbose=0).history["loss"][0])

    def test_strides_and_read_only(self):
        x = np.asfortranarray(X[::-1])
        x.flags.writeable = False
        logs = classifier().fit(x, IDS[::-1], verbose=0, shuffle=False).history
        want = classifier().fit(x.copy(), IDS[::-1].copy(), verbose=0, shuffle=False).history
        assert logs == want

    def test_dataset(self):
        data = lm.data.Dataset.from_tensor_slices((X, IDS)).batch(16)
        logs = classifier().fit(data, epochs=2, verbose=0).history
        want = classifier().fit(X, IDS, batch_size=16, epochs=2, shuffle=False, verbose=0).history
        assert logs == want

    def test_validation_split_takes_the_last(self):
        logs = classifier().fit(X, IDS, validation_split=0.5, verbose=0, shuffle=False).history
        model = classifier()
        other = model.fit(X[:35], IDS[:35], validation_data=(X[35:], IDS[35:]), verbose=0, shuffle=False).history
        assert logs == other and set(logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}

    def test_steps_per_epoch_go_on_in_the_data(self):
        seen = []
        note = lm.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
        logs = classifier().fit(X, IDS, steps_per_epoch=2, epochs=3, verbose=0, callbacks=[note]).history
        assert seen == [0, 1] * 3 and len(logs["loss"]) == 3

    def test_initial_epoch_and_validation_frequency(self):
        history = classifier().fit(
            X, IDS, epochs=5, initial_epoch=1, validation_data=(X, IDS), validation_freq=2, verbose=0
        )
        assert history.epoch == [1, 2, 3, 4] and len(history.history["val_loss"]) == 2


class TestOutput:
    def test_lines_where_there_is_no_terminal(self, capsys):
        classifier().fit(X, IDS, epochs=2, validation_split=0.2)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2 and lines[0].startswith("Epoch 1/2 - ")
        assert all(word in lines[1] for word in ("loss: ", "accuracy: ", "val_loss: ", "val_accuracy: "))
        classifier().evaluate(X, IDS)
        assert capsys.readouterr().out.startswith("Test - ")

    def test_silence(self, capsys):
        model = classifier()
        model.fit(X, IDS, verbose=0)
        model.evaluate(X, IDS, verbose=0)
        model.predict(X, verbose=0)
        assert capsys.readouterr() == ("", "")

    def test_bar_on_a_terminal(self, monkeypatch):
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stdout", terminal)
        classifier().fit(X, IDS, epochs=2)
        text = terminal.getvalue()
        assert "3/3" in text or "0/3" in text
        assert "\nEpoch 2/2 - " in text.replace("\r", "\n")


class Recorder(lm.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_begin(self, logs=None):
        self.seen.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, sorted(logs)))

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs["loss"] > 0))


class TestCallbacks:
    def test_order_and_logs(self):
        recorder = Recorder()
        classifier().fit(X, IDS, batch_size=35, callbacks=[recorder], verbose=0)
        assert recorder.seen == ["begin", (0, True), (1, True), (0, ["accuracy", "loss"])]
        assert recorder.params == {"epochs": 1, "steps": 2, "verbose": 0}

    def test_stop_training(self):
        def stop(epoch, logs):
            model.stop_training = epoch == 1

        model = classifier()
        logs = model.fit(X, IDS, epochs=9, verbose=0, callbacks=lm.callbacks.LambdaCallback(on_epoch_end=stop)).history
        assert len(logs["loss"]) == 2
        assert len(model.fit(X, IDS, epochs=2, verbose=0).history["loss"]) == 2

    def test_an_exception_leaves_the_model_usable(self):
        def fail(batch, logs):
            raise RuntimeError("on purpose")

        model = classifier()
        with pytest.raises(RuntimeError, match="on purpose"):
            model.fit(X, IDS, verbose=0, callbacks=[lm.callbacks.LambdaCallback(on_train_batch_end=fail)])
        assert np.isfinite(model.fit(X, IDS, verbose=0).history["loss"][0])

    def test_errors(self):
        with pytest.raises(TypeError, match="Make an object of it first"):
            classifier().fit(X, IDS, callbacks=[Recorder], verbose=0)
        with pytest.raises(ValueError, match=r"\[hook\] is unknown.*Did you mean 'on_epoch_end'"):
            lm.callbacks.LambdaCallback(on_epoch_ende=print)


class TestOverrides:
    def test_own_train_step(self):
        class Own(lm.Model):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(1)
                self.seen = lm.metrics.Mean(name="seen")

            def call(self, inputs):
                return self.dense(inputs)

            def train_step(self, data):
                x, y = data
                with lm.GradientTape() as tape:
                    loss = lm.ops.mean(lm.ops.square(self(x, training=True) - y))
                gradients = tape.gradient(loss, self.trainable_variables)
                self.optimizer.apply(gradients, self.trainable_variables)
                self.seen.update_state(loss.detach())
                return {"seen": self.seen.result()}

        model = Own()
        model.compile("sgd")
        logs = model.fit(X, LINE, epochs=4, verbose=0).history
        assert list(logs) == ["seen"] and logs["seen"][-1] < logs["seen"][0]

    def test_own_compute_loss(self):
        class Own(lm.Sequential):
            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                return 3.0 * super().compute_loss(x, y, y_pred, sample_weight, training)

        plain, own = line(optimizer=lm.optimizers.SGD(0.0)), Own([layers.Dense(1, input_shape=(4,))])
        own.compile(lm.optimizers.SGD(0.0), "mse")
        own.set_weights(plain.get_weights())
        assert own.evaluate(X, LINE, verbose=0) == pytest.approx(3 * plain.evaluate(X, LINE, verbose=0))

    def test_training_reaches_layers(self):
        seen = []

        class Spy(layers.Layer):
            def call(self, inputs, training=None):
                seen.append(training)
                return inputs

        model = lm.Sequential([Spy(), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(X, LINE, batch_size=70, verbose=0)
        model.predict(X, batch_size=70, verbose=0)
        assert seen[-2:] == [True, False]


class TestWarnings:
    def test_raw_pixels_once(self):
        images = rng.integers(0, 256, (8, 4, 4, 1)).astype("uint8")
        model = lm.Sequential([layers.Flatten(), layers.Dense(1)])
        model.compile(lm.optimizers.SGD(1e-7), "mse")
        with pytest.warns(UserWarning, match=r"inputs span .* Divide them: x / 255"):
            model.fit(images, np.zeros((8, 1)), verbose=0)
        model.fit(images, np.zeros((8, 1)), verbose=0)

    def test_no_warning_where_the_model_rescales(self):
        images = rng.integers(0, 256, (8, 4, 4, 1)).astype("uint8")
        model = lm.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(images, np.zeros((8, 1)), verbose=0)

    def test_accuracy_of_numbers(self):
        with pytest.warns(UserWarning, match="accuracy was asked for targets that are not classes"):
            line(metrics=["accuracy"]).fit(X, LINE, verbose=0)

    def test_probabilities_given_as_logits(self):
        model = lm.Sequential([layers.Dense(3, activation="softmax")])
        model.compile("sgd", lm.losses.SparseCategoricalCrossentropy(from_logits=True))
        with pytest.warns(UserWarning, match="predictions are probabilities already"):
            model.fit(X, IDS, verbose=0, batch_size=70)
        model = lm.Sequential([layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", lm.losses.BinaryCrossentropy(from_logits=True))
        with pytest.warns(UserWarning, match="predictions are probabilities already"):
            model.fit(X, IDS > 1, verbose=0, batch_size=70)

    def test_logits_given_as_probabilities(self):
        model = lm.Sequential([layers.Dense(3)])
        model.compile("sgd", "sparse_categorical_crossentropy")
        with pytest.warns(UserWarning, match="expects probabilities.*from_logits=True"):
            model.fit(X, IDS, verbose=0)

    def test_loss_that_is_no_number(self):
        with pytest.warns(UserWarning, match="the loss is (nan|inf) in epoch 1"):
            line().fit(X * np.float32(1e30), LINE, verbose=0)


ERRORS = [
    (lambda: lm.Sequential([layers.Dense(1)]).fit(X, LINE), ValueError, r"\[fit\].*not compiled"),
    (lambda: lm.Sequential([layers.Dense(1)]).evaluate(X, LINE), ValueError, r"\[evaluate\].*not compiled"),
    (lambda: line(optimizer=None).fit(X, LINE), ValueError, r"\[fit\] training needs an optimizer"),
    (lambda: line(optimizer="adm"), ValueError, r"\[optimizer\].*Did you mean 'adam'"),
    (lambda: line(loss="msee"), ValueError, r"\[loss\].*Did you mean 'mse'"),
    (lambda: line(metrics=["acuracy"]), ValueError, r"\[metric\].*Did you mean 'accuracy'"),
    (lambda: line(loss=None).fit(X, LINE, verbose=0), ValueError, r"nothing to minimise"),
    (lambda: line().fit(X, verbose=0), ValueError, r"nothing to minimise.*y=None"),
    (lambda: line().fit(X[:0], LINE[:0], verbose=0), ValueError, r"\[fit\] the data are empty"),
    (lambda: line().fit(X, LINE[:5], verbose=0), ValueError, r"\[fit\].*70.*5"),
    (lambda: line().fit(X, LINE * np.nan, verbose=0), ValueError, r"\[fit\].*not finite.*y\[0, 0\]=nan"),
    (lambda: line().fit(X[:, :3], LINE, verbose=0), ValueError, r"dense.*\(32, 3\)"),
    (lambda: line().fit(X, LINE, epochs=1.5, verbose=0), ValueError, r"epochs=1.5"),
    (lambda: line().fit(X, LINE, batch_size=0, verbose=0), ValueError, r"batch_size"),
    (lambda: line().fit(X, LINE, verbose=3), ValueError, r"verbose=3"),
    (lambda: line().fit(X, LINE, validation_split=1.5, verbose=0), ValueError, r"validation_split=1.5"),
    (lambda: line().fit(X, LINE, class_weight={0: 1.0}, verbose=0), ValueError, r"class_weight needs"),
    (lambda: classifier().fit(X, IDS + 5, verbose=0), ValueError, r"sparse_categorical_crossentropy"),
    (lambda: line().evaluate(X, LINE, sample_weight=np.ones(3), verbose=0), ValueError, r"70.*3"),
    (lambda: line(loss=["mse", "mse"]).fit(X, LINE, verbose=0), ValueError, r"2 for 1 outputs"),
    (lambda: line().fit("data.csv", verbose=0), TypeError, r"\[fit\] x is no data"),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_label_out_of_range_leaves_the_weights():
    model = classifier()
    model(X)
    before = model.get_weights()
    with pytest.raises(ValueError, match="sparse_categorical_crossentropy"):
        model.fit(X, np.where(np.arange(70) == 0, 9, IDS), shuffle=False, verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))
