"""Sequential and functional models: structure, building, description."""

import numpy as np
import pytest

import lamina as lm
from lamina import layers

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def dense(units=3, **kwargs):
    return layers.Dense(units, **kwargs)


class TestSequential:
    def test_list_and_add_are_the_same(self):
        first, second = lm.Sequential([dense(5, name="a"), dense(2, name="b")]), lm.Sequential()
        second.add(dense(5, name="a"))
        second.add(dense(2, name="b"))
        first(X), second(X)
        second.set_weights(first.get_weights())
        assert (first(X).numpy() == second(X).numpy()).all()
        assert [layer.name for layer in second.layers] == ["a", "b"]

    @pytest.mark.parametrize(
        "make",
        [
            lambda: [dense(5, input_shape=(4,)), dense(2)],
            lambda: [lm.Input((4,)), dense(5), dense(2)],
            lambda: [layers.InputLayer((4,)), dense(5), dense(2)],
            lambda: [dense(5, input_dim=4), dense(2)],
        ],
    )
    def test_known_shape_builds_at_once(self, make):
        model = lm.Sequential(make())
        assert model.built and model.count_params() == 4 * 5 + 5 + 5 * 2 + 2
        assert model.input_shape == (None, 4) and model.output_shape == (None, 2)
        assert [v.path.split("/")[0] for v in model.weights] == [model.name] * 4

    def test_lazy_build(self):
        model = lm.Sequential([dense(5), dense(2)])
        assert not model.built
        model.build((None, 4))
        assert model.count_params() == 37
        assert model(X).shape == (6, 2)

    def test_add_after_the_first_batch(self):
        model = lm.Sequential([dense(5)])
        model(X)
        model.add(dense(2))
        assert model.count_params() == 37 and model(X).shape == (6, 2)

    def test_pop(self):
        model = lm.Sequential([dense(5, input_shape=(4,)), dense(2)])
        model.pop()
        assert model.output_shape == (None, 5) and len(model.weights) == 2
        model.add(dense(7))
        assert model(X).shape == (6, 7)

    def test_get_layer(self):
        model = lm.Sequential([dense(5, name="hidden"), dense(2, name="scores")])
        assert model.get_layer("scores") is model.get_layer(index=1)
        with pytest.raises(ValueError, match="Did you mean 'scores'"):
            model.get_layer("score")
        with pytest.raises(ValueError, match="index=2"):
            model.get_layer(index=2)

    def test_config_round_trip(self):
        model = lm.Sequential([dense(5, input_shape=(4,), activation="relu"), dense(2)], name="net")
        again = lm.Sequential.from_config(model.get_config())
        again.set_weights(model.get_weights())
        assert again.name == "net" and (again(X).numpy() == model(X).numpy()).all()

    @pytest.mark.parametrize(
        "call, error, message",
        [
            (lambda: lm.Sequential([dense]), TypeError, r"expects layers"),
            (lambda: lm.Sequential([layers.Dense]), TypeError, r"add parentheses"),
            (lambda: lm.Sequential([dense(name="a"), dense(name="a")]), ValueError, r"second layer named 'a'"),
            (lambda: lm.Sequential([dense(), lm.Input((3,))]), ValueError, r"an Input comes first"),
            (lambda: lm.Sequential().pop(), ValueError, r"no layer to take off"),
            (lambda: lm.Sequential()(X), ValueError, r"has no layers"),
            (lambda: lm.Sequential([dense()]).summary(), ValueError, r"\[summary\].*not built"),
            (lambda: lm.Sequential([dense()]).save("x.safetensors"), ValueError, r"\[save\].*not built"),
            (lambda: lm.Sequential([dense()]).count_params(), ValueError, r"not built"),
            (lambda: lm.Sequential([dense(input_shape=(4,))])(X[:, :3]), ValueError, r"/dense.*\(6, 3\)"),
        ],
    )
    def test_errors(self, call, error, message):
        with pytest.raises(error, match=message):
            call()


class TestFunctional:
    def make(self):
        a, b = lm.Input((4,), name="a"), lm.Input((4,), name="b")
        shared = dense(3, name="shared")
        joined = layers.Concatenate(name="joined")([shared(a), shared(b)])
        return lm.Model([a, b], [dense(2, name="left")(joined), dense(1, name="right")(joined)], name="twin")

    def test_call_and_shapes(self):
        model = self.make()
        left, right = model([X, X])
        assert left.shape == (6, 2) and right.shape == (6, 1)
        assert model.input_shape == [(None, 4), (None, 4)] and model.output_shape == [(None, 2), (None, 1)]
        assert len(model.weights) == 6

    def test_config_round_trip(self):
        model = self.make()
        again = type(model).from_config(model.get_config())
        again.set_weights(model.get_weights())
        for one, other in zip(again([X, 2 * X]), model([X, 2 * X])):
            assert (one.numpy() == other.numpy()).all()

    def test_trains(self):
        model = self.make()
        model.compile("adam", ["mse", "mae"], loss_weights=[1.0, 0.5], metrics=[["mae"], ["mse"]])
        targets = (np.zeros((6, 2), np.float32), np.ones((6, 1), np.float32))
        logs = model.fit((X, X), targets, epochs=3, verbose=0).history
        assert list(logs) == ["loss", "output_0_loss", "output_0_mae", "output_1_loss", "output_1_mse"]
        for i in range(3):
            want = logs["output_0_loss"][i] + 0.5 * logs["output_1_loss"][i]
            assert logs["loss"][i] == pytest.approx(want, rel=1e-5)

    def test_errors(self):
        x, other = lm.Input((4,)), lm.Input((4,))
        with pytest.raises(ValueError, match="made outside of a layer"):
            lm.Model(x, dense()(x) + 1.0)
        with pytest.raises(ValueError, match="an input that is not listed"):
            lm.Model(x, dense()(other))
        with pytest.raises(ValueError, match="inputs are tensors of lamina.Input"):
            lm.Model(dense()(x), dense()(x))
        with pytest.raises(ValueError, match="expects 2 inputs"):
            self.make()(X)


class Net(lm.Model):
    def __init__(self):
        super().__init__()
        self.hidden = dense(5, activation="relu")
        self.scores = dense(2)

    def call(self, inputs):
        return self.scores(self.hidden(inputs))


class TestSubclass:
    def test_build_by_shape_and_by_call(self):
        first, second = Net(), Net()
        first.build((None, 4))
        second(X)
        assert first.count_params() == second.count_params() == 37
        assert [layer.units for layer in first.layers] == [5, 2]

    def test_summary(self):
        model, lines = Net(), []
        model(X)
        model.summary(print_fn=lines.append)
        text = lines[0]
        assert "(None, 5)" in text and "(None, 2)" in text and "Total params: 37 (148.00 B)" in text
        model.trainable = False
        model.summary(print_fn=lines.append, show_trainable=True)
        assert "Trainable params: 0" in lines[1] and "Non-trainable params: 37" in lines[1]

    def test_layers_before_init_are_refused(self):
        class Early(lm.Model):
            def __init__(self):
                self.hidden = dense(5)

        with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\)"):
            Early()

    def test_inputs_to_a_subclass_are_refused(self):
        class Plain(lm.Model):
            pass

        with pytest.raises(TypeError, match="define call"):
            Plain(lm.Input((3,)), lm.Input((3,)))


def test_saved_model_goes_on_training(tmp_path):
    y = X.sum(1, keepdims=True)
    model = lm.Sequential([dense(5, input_shape=(4,), activation="relu"), dense(1)])
    model.compile(lm.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.fit(X, y, epochs=2, verbose=0, shuffle=False)
    model.save(tmp_path / "net.safetensors")
    again = lm.models.load_model(tmp_path / "net.safetensors")
    assert (again.predict(X, verbose=0) == model.predict(X, verbose=0)).all()
    first = model.fit(X, y, epochs=2, verbose=0, shuffle=False).history
    second = again.fit(X, y, epochs=2, verbose=0, shuffle=False).history
    assert first == second
