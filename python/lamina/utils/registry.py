"""From objects to plain configurations and back, by an allow-list: nothing is imported or evaluated by
name."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import ModuleType

import numpy as np

from .. import random_state
from .naming import nearest

_registered: dict[str, object] = {}  # "package>name" -> class or function


class _Scope(threading.local):
    objects: dict = {}


_scope = _Scope()


def register(package="Custom", name=None):
    """Decorator: lets `load_model` find a class or function of yours.

    Args:
        package: a word that tells your names from others', e.g. your project's.
        name: name in files; by default the object's own.

    Returns:
        Decorator that returns the object itself.

    Example:
        >>> import lamina as lm
        >>> @lm.saving.register("demo")
        ... def twice(x):
        ...     return x * 2.0
        >>> lm.saving.get_registered_name(twice)
        'demo>twice'
    """
    if callable(package):  # used without parentheses
        return register()(package)

    def decorate(obj):
        if isinstance(obj, type) and not hasattr(obj, "get_config"):
            raise ValueError(
                f"[register] a class needs get_config and from_config to be saved. Received: {obj.__name__}."
            )
        _registered[f"{package}>{name or obj.__name__}"] = obj
        return obj

    return decorate


def get_registered_name(obj):
    """The name an object was registered under, or its own name."""
    return next((key for key, known in _registered.items() if known is obj), obj.__name__)


@contextlib.contextmanager
def custom_object_scope(objects):
    """Context manager: names in `objects` (a dict from name to class or function) can be loaded inside."""
    before, _scope.objects = _scope.objects, {**_scope.objects, **(objects or {})}
    try:
        yield
    finally:
        _scope.objects = before


# The library's own modules whose public names can be loaded, by name. Each announces itself when it is imported.
_rooms: dict[str, ModuleType] = {"random_state": random_state}


def publish(module_name):
    """Puts a module of the library on the allow-list; called by the module itself as `publish(__name__)`."""
    _rooms[module_name.rpartition(".")[2]] = sys.modules[module_name]


# Rooms whose functions may be named as well as their classes.
_WITH_FUNCTIONS = ("activations", "losses", "metrics")


def _public(room, module):
    """What a file may name of a module: classes that configurations describe, and mathematical functions."""
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    found = {}
    for name in names:
        obj = getattr(module, name)
        if isinstance(obj, type):
            if hasattr(obj, "from_config"):
                found[name] = obj
        elif room in _WITH_FUNCTIONS and callable(obj) and name not in ("get", "serialize", "deserialize"):
            found[name] = obj
    return found


def _room_of(obj):
    """Name of the library's module that publishes an object, or None."""
    if not getattr(obj, "__module__", "").startswith("lamina."):
        return None
    for room, module in _rooms.items():
        if _public(room, module).get(obj.__name__) is obj:
            return room
    return None


def serialize(value, what="value"):
    """A value as numbers, strings, lists and dicts.

    Args:
        value: plain values, NumPy scalars and arrays, objects with `get_config`, or functions that the
            library has or that were registered.
        what: how errors call it.

    Returns:
        What `deserialize` turns back.

    Raises:
        TypeError: for anything else.

    Example:
        >>> import lamina as lm
        >>> lm.saving.serialize(lm.regularizers.L2(0.5))["config"]
        {'l2': 0.5}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"class_name": "ndarray", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
    if isinstance(value, (list, tuple)):
        return [serialize(part, what) for part in value]
    if isinstance(value, dict):
        return {str(key): serialize(part, what) for key, part in value.items()}
    if hasattr(value, "get_config") and not isinstance(value, type):
        return {**_address(type(value)), "config": value.get_config()}
    if callable(value) and hasattr(value, "__name__"):
        if _room_of(value) == "activations":
            return value.__name__
        return {**_address(value), "config": None}
    raise TypeError(f"[serialize] cannot describe {what}. Received: {type(value).__name__}. Define get_config.")


def _address(obj):
    room = _room_of(obj)
    if room is not None:
        return {"module": room, "class_name": obj.__name__}
    return {"module": None, "class_name": get_registered_name(obj)}


def deserialize(config, custom_objects=None):
    """The value that `serialize` described.

    Args:
        config: result of `serialize`.
        custom_objects: dict from name to class or function, besides those registered.

    Raises:
        ValueError: for a class or function that is not known; the message says how to make it known.
    """
    if custom_objects:
        with custom_object_scope(custom_objects):
            return deserialize(config)
    if isinstance(config, list):
        return [deserialize(part) for part in config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {key: deserialize(part) for key, part in config.items()}
    if config["class_name"] == "ndarray":
        return np.array(config["config"]["value"], dtype=config["config"]["dtype"])
    obj = _find(config.get("module"), config["class_name"])
    return obj if config["config"] is None else obj.from_config(config["config"])


def _find(room, name):
    known = {**_registered, **{key.split(">")[-1]: obj for key, obj in _registered.items()}, **_scope.objects}
    short = str(name).split(">")[-1]
    if room is not None:
        rooms = _rooms
        if room in rooms:
            known = _public(room, rooms[room])
    for key in (name, short):
        if key in known:
            return known[key]
    guess = nearest(short, known)
    raise ValueError(
        f"[deserialize] {name!r} is not a known class or function. "
        f"Received: module={room!r}, class_name={name!r}."
        + (f" Did you mean {guess!r}?" if guess else "")
        + ' Register it with @lamina.saving.register("package"), or pass custom_objects={name: class}.'
    )
