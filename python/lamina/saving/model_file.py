"""Models in files: configuration, weights, generators' states and the optimizer's in one .safetensors
file."""

from __future__ import annotations

import os

from .. import _core
from ..container import decode, encode
from ..layers import tracking
from ..layers.symbolic import placeholders
from ..utils.registry import custom_object_scope, deserialize, serialize
from .atomic import write_atomic

_SUFFIX = ".safetensors"


def save_model(model, filepath, overwrite=True, include_optimizer=True):
    """Writes a model to one file: its configuration, weights, random generators and, if compiled, how it
    trains.

    A save that is interrupted at any point leaves an older file of that name whole.

    Args:
        model: built Model (or Layer).
        filepath: path ending in `.safetensors`.
        overwrite: whether an existing file may be replaced.
        include_optimizer: whether the compile settings and the optimizer's state are written.

    Raises:
        ValueError: if the model is not built, or the path has another suffix.
        FileExistsError: if the file exists and overwrite is False.

    Example:
        >>> import lamina as lm, os, tempfile
        >>> model = lm.Sequential([lm.layers.Dense(2, input_shape=(3,))])
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save_model(model, path)
        >>> load_model(path).count_params()
        8
    """
    path = _target("save_model", filepath, overwrite)
    _require_built("save_model", model)
    cores, config = _state(model)
    config["model"] = serialize(model, "the model")
    config["build_shape"] = model._build_shape
    compiled = getattr(model, "get_compile_config", lambda: None)() if include_optimizer else None
    if compiled is not None:
        config["compile"] = compiled
        if model.optimizer is not None and model.optimizer.built:
            config["optimizer"] = _add(cores, "optimizer", model.optimizer.variables)
    write_atomic(path, encode(cores, config))


def load_model(filepath, custom_objects=None, compile=True):
    """The model that `save_model` wrote, ready to predict and to go on training.

    Only classes of the library, registered ones and `custom_objects` are made; nothing in the file is
    executed.

    Args:
        filepath: path of the file.
        custom_objects: dict from name to class or function, besides those registered.
        compile: whether the model is compiled as it was.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged (the message names the damaged tensor) or names an unknown class.
    """
    cores, config, path = _read("load_model", filepath)
    if "model" not in config:
        raise ValueError(
            f"[load_model] the file holds weights without a model. Received: {path}. "
            "Build the model in Python and call load_weights."
        )
    with custom_object_scope(custom_objects):
        model = deserialize(config["model"])
        _build(model, config["build_shape"])
        _assign(model, cores, config, path)
        if compile and config.get("compile") is not None:
            model.compile_from_config(config["compile"])
            if "optimizer" in config:
                model.optimizer.build(model.trainable_variables)
                _write("load_model", model.optimizer.variables, config["optimizer"], cores, path)
    return model


def save_weights(model, filepath, overwrite=True):
    """Writes a model's weights and generators' states; see `save_model` for the arguments and errors."""
    path = _target("save_weights", filepath, overwrite)
    _require_built("save_weights", model)
    write_atomic(path, encode(*_state(model)))


def load_weights(model, filepath):
    """Reads weights from a file of `save_weights` or `save_model` into a built model of the same structure.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or a weight's shape differs; nothing is written then.
    """
    cores, config, path = _read("load_weights", filepath)
    _require_built("load_weights", model)
    _assign(model, cores, config, path)


def _state(model):
    """(core tensors by name, names in the model's order)."""
    cores: dict[str, object] = {}
    config = {
        "weights": _add(cores, "weights", model.weights),
        "generators": _add(cores, "generators", [g.state for g in tracking.generators_of(model)]),
    }
    return cores, config


def _add(cores, group, variables):
    """Adds variables to `cores` under their paths, numbered where paths repeat; returns the names in
    order."""
    names = []
    for variable in variables:
        name, count = f"{group}/{variable.path}", 1
        while name in cores:
            count += 1
            name = f"{group}/{variable.path}#{count}"
        cores[name] = variable._core
        names.append(name)
    return names


def _assign(model, cores, config, path):
    generators = [g.state for g in tracking.generators_of(model)]
    pairs = [(model.weights, config["weights"]), (generators, config["generators"])]
    for variables, names in pairs:
        _check("load_weights", variables, names, cores, path)
    for variables, names in pairs:
        _write("load_weights", variables, names, cores, path)


def _check(where, variables, names, cores, path):
    if len(variables) != len(names):
        raise ValueError(
            f"[{where}] the model has {len(variables)} variables and the file {len(names)}. "
            f"Received: {path}. "
            "Load it into a model of the same structure."
        )
    for variable, name in zip(variables, names):
        if cores[name].shape != variable.shape:
            raise ValueError(
                f"[{where}] {variable.path} has shape {variable.shape}, but {name!r} in the file has shape "
                f"{cores[name].shape}. Received: {path}."
            )


def _write(where, variables, names, cores, path):
    _check(where, variables, names, cores, path)
    for variable, name in zip(variables, names):
        _core.assign(variable._core, _core.cast(cores[name], variable.dtype))


def _build(model, shape):
    if not model.built or not model.weights:
        if shape is not None:
            model(placeholders(shape, model.dtype))
        else:
            model.build(None)


def _require_built(where, model):
    if not model.built:
        raise ValueError(
            f"[{where}] model {model.name!r} has no weights yet: it is not built. Received: built=False. "
            "Call it on a batch, fit it, or call build(input_shape) first."
        )


def _target(where, filepath, overwrite):
    path = _path(where, filepath)
    if not path.endswith(_SUFFIX):
        raise ValueError(
            f'[{where}] files end in "{_SUFFIX}". Received: filepath={path!r}. '
            f"Write {os.path.splitext(path)[0] + _SUFFIX!r}."
        )
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"[{where}] the file exists. Received: filepath={path!r}, overwrite=False.")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise FileNotFoundError(f"[{where}] there is no such directory. Received: filepath={path!r}.")
    return path


def _path(where, filepath):
    if not isinstance(filepath, (str, os.PathLike)):
        raise TypeError(f"[{where}] needs a path. Received: filepath={filepath!r}.")
    return os.fspath(filepath)


def _read(where, filepath):
    path = _path(where, filepath)
    if os.path.isdir(path):
        raise FileNotFoundError(f"[{where}] there is no such file but a directory. Received: filepath={path!r}.")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"[{where}] there is no such file. Received: filepath={path!r}.")
    with open(path, "rb") as file:
        data = file.read()
    cores, config = decode(data, path)
    return cores, config, path
