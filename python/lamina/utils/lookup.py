"""One way to accept a choice: by name, by configuration, or as the object itself."""

from __future__ import annotations

from .naming import to_snake_case, unknown_name
from .registry import deserialize


def find(what, identifier, classes, functions=()):
    """The object that a user's choice means.

    Args:
        what: what is chosen, e.g. `"initializer"`; tag of the errors.
        identifier: None, a name (class or snake case), a configuration from `serialize`, an instance, a
            class, or any callable.
        classes: dict from class name to class; a name makes an instance with its defaults.
        functions: dict from name to function, for choices that are functions.

    Returns:
        The object; None for None.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
        TypeError: for anything that cannot be called.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        table = {to_snake_case(name): cls for name, cls in classes.items()} | dict(functions)
        chosen = table.get(identifier) or classes.get(identifier)
        if chosen is None:
            raise unknown_name(what, identifier, table)
        return chosen() if isinstance(chosen, type) else chosen
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier):
        return identifier
    raise TypeError(f"[{what}] must be a name, a configuration, or a callable. Received: {what}={identifier!r}.")
