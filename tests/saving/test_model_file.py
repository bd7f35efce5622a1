import os

import numpy as np
import pytest

import lamina as lm
from lamina import layers, models, saving
from lamina.saving import atomic


class Net(models.Model):
    def __init__(self, units=4):
        super().__init__()
        self.units = units
        self.steps = [layers.Dense(units, activation="relu"), layers.Dropout(0.2), layers.Dense(2)]

    def call(self, inputs):
        for step in self.steps:
            inputs = step(inputs)
        return inputs


def sequential():
    return models.Sequential(
        [
            layers.Conv2D(3, 3, activation="relu", input_shape=(8, 8, 1)),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(4, activation="softmax", kernel_regularizer="l2"),
        ]
    )


def functional():
    x = layers.Input((8, 8, 1))
    y = layers.Flatten()(x)
    return models.Model(x, layers.Add()([layers.Dense(4)(y), layers.Dense(4, activation="tanh")(y)]))


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((32, 8, 8, 1), "float32"), rng.integers(0, 4, 32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def same_variables(a, b):
    assert len(a.variables) == len(b.variables)
    for x, y in zip(a.variables, b.variables):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


@pytest.mark.parametrize("make", [sequential, functional])
def test_a_loaded_model_is_the_same(make, path):
    model = make()
    saving.save_model(model, path)
    loaded = saving.load_model(path)
    assert type(loaded) is type(model)
    same_variables(model, loaded)
    np.testing.assert_array_equal(loaded(data()[0]).numpy(), model(data()[0]).numpy())
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("optimizer", ["adam", lambda: lm.optimizers.SGD(0.05, momentum=0.9)])
def test_training_goes_on_with_the_same_bits(optimizer, path):
    x, y = data()
    model = sequential()
    model.compile(
        optimizer if isinstance(optimizer, str) else optimizer(),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    saving.save_model(model, path)
    loaded = saving.load_model(path)
    histories = [m.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0).history for m in (model, loaded)]
    assert histories[0] == histories[1]
    same_variables(model, loaded)
    for a, b in zip(model.optimizer.variables, loaded.optimizer.variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_without_the_optimizer(path):
    model = sequential()
    model.compile("adam", "mse")
    saving.save_model(model, path, include_optimizer=False)
    assert not saving.load_model(path).compiled
    saving.save_model(model, path)
    assert not saving.load_model(path, compile=False).compiled
    assert saving.load_model(path).compiled


def test_a_subclass_is_loaded_when_it_is_known(path):
    model = Net(units=6)
    x = np.ones((2, 3), "float32")
    expected = model(x).numpy()
    saving.save_model(model, path)
    with pytest.raises(ValueError, match=r"'Net' is not a known class or function.*custom_objects"):
        saving.load_model(path)
    loaded = saving.load_model(path, custom_objects={"Net": Net})
    assert loaded.units == 6
    np.testing.assert_array_equal(loaded(x).numpy(), expected)


def test_weights_alone(path):
    model, other = sequential(), sequential()
    saving.save_weights(model, path)
    saving.load_weights(other, path)
    same_variables(model, other)
    with pytest.raises(ValueError, match="holds weights without a model"):
        saving.load_model(path)


def test_weights_from_a_models_file(path):
    model, other = sequential(), sequential()
    saving.save_model(model, path)
    saving.load_weights(other, path)
    same_variables(model, other)


def test_weights_that_do_not_fit_write_nothing(path):
    saving.save_weights(sequential(), path)
    other = models.Sequential([layers.Dense(3, name="fc", input_shape=(5,))])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"the model has 2 variables and the file 8"):
        saving.load_weights(other, path)
    saving.save_weights(models.Sequential([layers.Dense(4, input_shape=(5,))]), path)
    with pytest.raises(ValueError, match=r"fc/kernel has shape \(5, 3\), but .* has shape \(5, 4\).*m.safetensors"):
        saving.load_weights(other, path)
    for a, b in zip(before, other.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_layers_of_one_name_keep_their_own_weights(path):
    model = Net()
    model.steps = [layers.Dense(3, name="same"), layers.Dense(3, name="same")]
    model(np.ones((1, 3)))
    other = Net()
    other.steps = [layers.Dense(3, name="same"), layers.Dense(3, name="same")]
    other(np.ones((1, 3)))
    saving.save_weights(model, path)
    saving.load_weights(other, path)
    same_variables(model, other)


def test_loading_keeps_the_variables_memory(path):
    model = sequential()
    saving.save_weights(model, path)
    addresses = [v._core.address for v in model.weights]
    saving.load_weights(model, path)
    assert [v._core.address for v in model.weights] == addresses


@pytest.mark.parametrize("step", ["open", "fdopen", "fsync", "replace"])
def test_an_interrupted_save_leaves_the_old_model(path, step, monkeypatch):
    old = sequential()
    saving.save_model(old, path)

    def kill(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, step, kill)
    with pytest.raises(KeyboardInterrupt):
        saving.save_model(sequential(), path)
    monkeypatch.undo()
    same_variables(old, saving.load_model(path))
    assert os.listdir(path.parent) == [path.name]


def test_damaged_files_are_refused_by_name(path):
    saving.save_model(sequential(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(ValueError, match=r"damaged, cut short.*m.safetensors"):
        saving.load_model(path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"tensor '.*' is damaged.*m.safetensors"):
        saving.load_model(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"damaged, cut short.*m.safetensors"):
        saving.load_weights(sequential(), path)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda p: saving.load_model(p / "none.safetensors"), FileNotFoundError, "there is no such file"),
        (lambda p: saving.load_model(p), FileNotFoundError, "there is no such file"),
        (
            lambda p: saving.save_model(sequential(), p / "m.h5"),
            ValueError,
            r'files end in ".safetensors".*m.safetensors',
        ),
        (
            lambda p: saving.save_model(models.Sequential([layers.Dense(1)]), p / "m.safetensors"),
            ValueError,
            "not built",
        ),
        (lambda p: saving.save_weights(Net(), p / "m.safetensors"), ValueError, "not built"),
    ],
)
def test_errors(call, error, message, tmp_path):
    with pytest.raises(error, match=message):
        call(tmp_path)


def test_overwrite(path):
    saving.save_model(sequential(), path)
    with pytest.raises(FileExistsError, match=r"the file exists. Received: filepath=.*overwrite=False"):
        saving.save_model(sequential(), path, overwrite=False)
