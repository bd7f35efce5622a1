"""Functional models whose layers take and give several tensors."""

import numpy as np
import pytest

import lamina as lm
from lamina import layers


class Halves(layers.Layer):
    """Two outputs."""

    def call(self, inputs, scale=1.0, first=None):
        n = inputs.shape[-1] // 2
        left = inputs[:, :n] if first is None else inputs[:, :n] + first
        return left * scale, {"right": inputs[:, n:]}


lm.saving.register("tests")(Halves)


def model_of_halves():
    x, z = lm.Input((4,), name="x"), lm.Input((2,), name="z")
    left, rest = Halves(name="halves")(layers.Dense(4, name="fc")(x), 2.0, first=z)
    return lm.Model([x, z], {"sum": layers.Add(name="add")([left, rest["right"]]), "left": left})


def inputs():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype("float32") for shape in ((5, 4), (5, 2))]


def test_several_outputs_and_arguments():
    model, (x, z) = model_of_halves(), inputs()
    kernel, bias = model.get_weights()
    y = x @ kernel + bias
    left = (y[:, :2] + z) * 2
    out = model([x, z])
    np.testing.assert_allclose(out["left"].numpy(), left, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out["sum"].numpy(), left + y[:, 2:], rtol=1e-5, atol=1e-6)
    assert model.output_shape == {"sum": (None, 2), "left": (None, 2)}
    assert [layer.name for layer in model.layers] == ["fc", "halves", "add"]


def test_saved_and_loaded(tmp_path):
    model = model_of_halves()
    model.save(tmp_path / "model.safetensors")
    loaded = lm.models.load_model(tmp_path / "model.safetensors")
    assert loaded.get_config() == model.get_config()
    for key, value in model(inputs()).items():
        np.testing.assert_array_equal(loaded(inputs())[key].numpy(), value.numpy())


def test_trained_captured_as_eager():
    def weights(eager):
        lm.utils.set_random_seed(1)
        model = model_of_halves()
        model.compile("adam", "mse", run_eagerly=eager)
        targets = {"sum": np.ones((5, 2), "float32"), "left": np.zeros((5, 2), "float32")}
        model.fit(inputs(), targets, epochs=3, verbose=0)
        return [w.tobytes() for w in model.get_weights()]

    assert weights(True) == weights(False)


def test_an_explicit_training_flag_stays_with_the_call():
    x = lm.Input((3,))
    model = lm.Model(x, layers.Dropout(0.9)(x, training=False))
    np.testing.assert_array_equal(model(np.ones((2, 3)), training=True).numpy(), np.ones((2, 3)))


def test_one_layer_called_twice():
    x = lm.Input((2,))
    layer = layers.Dense(2, use_bias=False, kernel_initializer="ones")
    np.testing.assert_array_equal(lm.Model(x, layer(layer(x)))(np.ones((1, 2))).numpy(), [[4, 4]])


def test_names_of_inputs_may_be_any_word():
    x = {"input": lm.Input((2,)), "call": lm.Input((2,))}
    model = lm.Model(x, layers.Add()([x["input"], x["call"]]))
    twin = type(model).from_config(model.get_config())
    ones = {"input": np.ones((1, 2)), "call": np.ones((1, 2))}
    np.testing.assert_array_equal(twin(ones).numpy(), [[2, 2]])


def test_a_tensor_made_outside_of_layers():
    x = lm.Input((2,))
    with pytest.raises(ValueError, match="made outside of a layer"):
        lm.Model(x, layers.Add()([x, lm.ops.ones((1, 2)) * x]))
