"""check_layer: a layer's whole contract from a few arguments."""

import copy
import json

import numpy as np

import lamina as lm
from lamina import saving
from lamina.layers import tracking
from lamina.layers.symbolic import placeholders, shapes_of


def check_layer(
    layer_cls,
    init_kwargs,
    input_shape,
    output_shape,
    tmp_path,
    trainable=0,
    non_trainable=0,
    generators=0,
    gradients=True,
):
    """Checks building, shapes, dtype, weights, configuration, saving, symbolic shapes and gradients.

    Args:
        layer_cls: the class.
        init_kwargs: its arguments.
        input_shape: shape of the inputs with the batch, or a list of shapes.
        output_shape: the shape that must come out.
        tmp_path: folder for the file.
        trainable, non_trainable, generators: how many variables of each kind it must have.
        gradients: whether the outputs depend on the inputs smoothly enough for finite differences.

    Returns:
        The built layer.
    """
    inputs = _values(input_shape)
    layer = layer_cls(**copy.deepcopy(init_kwargs))
    outputs = layer(inputs)
    assert layer.built
    assert outputs.shape == output_shape
    assert outputs.dtype == "float32"
    assert (len(layer.trainable_weights), len(layer.non_trainable_weights)) == (trainable, non_trainable)
    assert len(layer.variables) == trainable + non_trainable + generators
    assert len({v.path for v in layer.weights}) == len(layer.weights)
    assert all(v.path.startswith(f"{layer.name}/") and v.dtype == "float32" for v in layer.weights)

    _check_symbolic(layer, inputs, outputs)
    _check_config(layer_cls, layer)
    _check_file(layer, inputs, tmp_path)
    if trainable:
        with lm.GradientTape() as tape:
            loss = lm.ops.sum(lm.ops.square(layer(inputs, training=True)))
        assert all(g is not None for g in tape.gradient(loss, layer.trainable_weights))
    _check_captured(layer_cls, init_kwargs, inputs)
    if gradients:
        _check_gradients(layer_cls, init_kwargs, input_shape)
    return layer


def _values(shape, dtype="float32", seed=0):
    if isinstance(shape, list):
        return [_values(one, dtype, seed + i) for i, one in enumerate(shape)]
    return lm.convert_to_tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def _check_symbolic(layer, inputs, outputs):
    """Shapes inferred for an unknown batch, by both ways, are the eager ones."""
    shapes = shapes_of(inputs)
    many = isinstance(shapes, list)
    unknown = [(None, *s[1:]) for s in shapes] if many else (None, *shapes[1:])
    symbolic = layer(placeholders(unknown, "float32"))
    assert symbolic.shape == (None, *outputs.shape[1:])
    assert symbolic.history.layer is layer
    assert tuple(layer.compute_output_shape(unknown)) == symbolic.shape
    assert tuple(layer.compute_output_shape(shapes)) == outputs.shape


def _check_config(layer_cls, layer):
    config = layer.get_config()
    assert json.loads(json.dumps(config)) == config
    assert layer_cls.from_config(config).get_config() == config
    described = saving.serialize(layer)
    assert described["module"] == "layers"
    assert saving.deserialize(described).get_config() == config


def _check_file(layer, inputs, tmp_path):
    path = tmp_path / "layer.safetensors"
    saving.save_model(layer, path)
    loaded = saving.load_model(path)
    assert loaded.get_config() == layer.get_config()
    np.testing.assert_array_equal(loaded(inputs).numpy(), layer(inputs).numpy())
    for mine, its in zip(layer.variables, loaded.variables):
        np.testing.assert_array_equal(mine.numpy(), its.numpy())


def _place_of(weight, layer):
    """(layer, name) of the attribute that a weight is."""
    return next((part, k) for part in tracking.walk(layer) for k, v in vars(part).items() if v is weight)


def _check_captured(layer_cls, init_kwargs, inputs):
    """Training steps replayed from C++ have the bits that Python gives: outputs, gradients and variables."""
    outcomes = []
    for capture in (False, True):
        lm.utils.set_random_seed(11)
        layer, optimizer = layer_cls(**copy.deepcopy(init_kwargs)), lm.optimizers.Adam(0.01)

        def step(x, layer=layer, optimizer=optimizer):
            x = [part * 1.0 for part in x] if isinstance(x, list) else x * 1.0
            with lm.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                loss = lm.ops.sum(lm.ops.square(y))
            variables = layer.trainable_variables
            grads = tape.gradient(loss, [x, variables])
            if variables:
                optimizer.apply(grads[1], variables)
            return y, grads, layer(x)

        run = lm.function(step) if capture else step
        got = [run(inputs) for _ in range(4)]
        outcomes.append((_bytes(got), _bytes(layer.variables)))
    assert outcomes[0] == outcomes[1]
    assert len(run.plans) == 1


def _bytes(tree):
    if isinstance(tree, (list, tuple)):
        return [_bytes(part) for part in tree]
    return None if tree is None else tree.numpy().tobytes()  # no gradient


def _check_gradients(layer_cls, init_kwargs, input_shape):
    """Inputs' and weights' gradients against finite differences in float64."""
    layer = layer_cls(**copy.deepcopy(init_kwargs), dtype="float64")
    inputs = _values(input_shape, "float64", seed=7)
    assert layer(inputs).dtype == "float64"
    places = [_place_of(weight, layer) for weight in layer.trainable_weights]
    many = isinstance(inputs, list)
    count = len(inputs) if many else 1

    def loss(*values):
        for (owner, name), value in zip(places, values[count:]):
            owner.__dict__[name] = value
        outputs = layer(list(values[:count]) if many else values[0])
        return lm.ops.sum(lm.ops.square(outputs))

    rng = np.random.default_rng(3)
    weights = [rng.standard_normal(w.shape) for w in layer.trainable_weights]
    lm.check_gradients(loss, *(inputs if many else [inputs]), *weights)
