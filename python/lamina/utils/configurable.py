"""Configurations: what rebuilds an object, read off its constructor's arguments."""

from __future__ import annotations

import inspect

from .registry import deserialize, serialize


class Configurable:
    """Base of objects that `get_config` describes and `from_config` rebuilds.

    Every argument of `__init__` that the object keeps as an attribute of the same name is part of its
    configuration, but for those that a class names in `_not_config`.
    """

    _not_config: tuple[str, ...] = ()

    def get_config(self):
        """The constructor's arguments, as numbers, strings, lists and dicts.

        Raises:
            NotImplementedError: if an argument without default is not kept under its name.
        """
        config = {}
        for name, parameter in arguments_of(type(self)).items():
            if name in self._not_config:
                continue
            if hasattr(self, name):
                config[name] = serialize(getattr(self, name), f"{type(self).__name__}.{name}")
            elif parameter.default is inspect.Parameter.empty and not _overrides_get_config(type(self)):
                raise NotImplementedError(
                    f"[{type(self).__name__}] cannot be described: its argument {name!r} is not kept "
                    f"as self.{name}. Keep it, or define get_config(self)."
                )
        return config

    @classmethod
    def from_config(cls, config):
        """The object that a configuration from `get_config` describes."""
        return cls(**{name: deserialize(value) for name, value in config.items()})


def arguments_of(cls):
    """Named arguments of a class's constructor; where it passes **kwargs on, those of its base too."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in base.__dict__ or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(p.name, p)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def _overrides_get_config(cls):
    return cls.get_config is not Configurable.get_config
