"""Files: weights and configurations in one .safetensors file; and the registry of classes that files may
name.

The format's library is imported at the first save or load.
"""

# Imported so that their classes are on the registry's allow-list.
from .. import (
    activations,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
)
from ..utils.registry import custom_object_scope, deserialize, get_registered_name, register, serialize

__all__ = [
    "custom_object_scope",
    "deserialize",
    "get_registered_name",
    "load_model",
    "load_weights",
    "register",
    "save_model",
    "save_weights",
    "serialize",
]

_LATER = {
    "load_model": "model_file",
    "load_weights": "model_file",
    "save_model": "model_file",
    "save_weights": "model_file",
}


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module 'lamina.saving' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value
