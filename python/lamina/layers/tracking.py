"""What a layer owns: variables, sub-layers and generators found in its attributes, in Keras' order."""

from __future__ import annotations

from ..random_state import SeedGenerator
from ..tensor import Variable


def is_layer(value):
    """Whether a value is a Layer, asked without importing it."""
    return hasattr(value, "_tracked")


def is_generator(value):
    """Whether a value is a random generator whose state is part of the layer."""
    return isinstance(value, SeedGenerator)


def is_trackable(value):
    """Whether an attribute's value can hold variables, layers or generators, now or later."""
    if isinstance(value, tuple):
        return any(is_trackable(part) for part in value)
    return isinstance(value, (Variable, list, dict)) or is_layer(value) or is_generator(value)


def adopt(layer, variable):
    """Makes a variable one of the layer's own, once."""
    for known in (layer._trainable_variables, layer._non_trainable_variables):
        if any(v is variable for v in known):
            return
    (layer._trainable_variables if variable.trainable else layer._non_trainable_variables).append(variable)


def parts_of(layer):
    """(layers, generators) directly in a layer's attributes, lists, tuples and dicts included, each once.

    Containers may have grown since they were assigned, so they are read anew; variables met in them are
    adopted.
    """
    layers: dict[int, object] = {}
    generators: dict[int, object] = {}
    for value in layer._tracked.values():
        _collect(layer, value, layers, generators)
    return list(layers.values()), list(generators.values())


def _collect(layer, value, layers, generators):
    if is_layer(value):
        layers.setdefault(id(value), value)
    elif isinstance(value, Variable):
        adopt(layer, value)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _collect(layer, part, layers, generators)
    elif isinstance(value, dict):
        for part in value.values():
            _collect(layer, part, layers, generators)
    elif is_generator(value):
        generators.setdefault(id(value), value)


def walk(layer, seen=None):
    """A layer and every layer below it, outermost first, each once."""
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield layer
    for part in parts_of(layer)[0]:
        yield from walk(part, seen)


def weights_of(layer):
    """Every weight below a layer, each once: for each layer its trainable ones first, then the others."""
    found: dict[int, Variable] = {}
    for part in walk(layer):
        for v in (*part._trainable_variables, *part._non_trainable_variables):
            found.setdefault(id(v), v)
    return list(found.values())


def generators_of(layer):
    """Every random generator below a layer, each once."""
    found: dict[int, object] = {}
    for part in walk(layer):
        for generator in parts_of(part)[1]:
            found.setdefault(id(generator), generator)
    return list(found.values())
