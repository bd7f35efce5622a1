import json

import numpy as np
import pytest

import lamina as lm
from lamina import layers, saving
from lamina.utils import registry


@saving.register("tests")
class Doubled(layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs) * 2.0


@saving.register("tests", name="thrice")
def times_three(x):
    return x * 3.0


class Unregistered(layers.Layer):
    pass


def round_trip(value):
    return saving.deserialize(json.loads(json.dumps(saving.serialize(value))))


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "x", [1, [2]], {"a": {"b": 1}}])
def test_plain_values(value):
    assert round_trip(value) == value


def test_numpy_values():
    assert round_trip(np.float32(0.5)) == 0.5
    array = round_trip(np.arange(3, dtype="int32"))
    assert array.dtype == "int32" and array.tolist() == [0, 1, 2]


def test_nested_layers_and_registered_names():
    described = saving.serialize(Doubled(layers.Dense(2, activation=times_three)))
    assert described["class_name"] == "tests>Doubled"
    assert described["config"]["inner"]["class_name"] == "Dense"
    again = saving.deserialize(json.loads(json.dumps(described)))
    assert isinstance(again, Doubled) and again.inner.activation is times_three


def test_registered_names():
    assert saving.get_registered_name(Doubled) == "tests>Doubled"
    assert saving.get_registered_name(times_three) == "tests>thrice"
    assert saving.get_registered_name(Unregistered) == "Unregistered"


def test_registering_without_a_package():
    @saving.register
    def four(x):
        return x

    assert saving.get_registered_name(four) == "Custom>four"


def test_the_librarys_functions_go_by_name():
    assert saving.serialize(lm.activations.relu) == "relu"


@pytest.mark.parametrize(
    "config, message",
    [
        ({"module": None, "class_name": "Unregistered", "config": {}}, r"Register it with @lamina.saving.register"),
        ({"module": "layers", "class_name": "Desne", "config": {}}, r"'Desne' is not a known.*Did you mean 'Dense'"),
        ({"module": "os", "class_name": "system", "config": "ls"}, "'system' is not a known"),
        ({"module": "saving", "class_name": "load_model", "config": None}, "'load_model' is not a known"),
        ({"module": "models", "class_name": "load_model", "config": None}, "'load_model' is not a known"),
        ({"module": "layers", "class_name": "Input", "config": {}}, "'Input' is not a known"),
        ({"module": "layers", "class_name": "__builtins__", "config": {}}, "is not a known"),
    ],
)
def test_only_known_names_are_made(config, message):
    with pytest.raises(ValueError, match=message):
        saving.deserialize(config)


def test_custom_objects_hold_for_one_call():
    config = {"module": None, "class_name": "Unregistered", "config": {}}
    assert isinstance(saving.deserialize(config, {"Unregistered": Unregistered}), Unregistered)
    with saving.custom_object_scope({"Unregistered": Unregistered}):
        assert isinstance(saving.deserialize(config), Unregistered)
    assert registry._scope.objects == {}


def test_what_cannot_be_described():
    with pytest.raises(TypeError, match=r"\[serialize\] cannot describe the thing. Received: object"):
        saving.serialize(object(), "the thing")
    with pytest.raises(ValueError, match=r"\[register\] a class needs get_config"):
        saving.register("tests")(int)
