"""Names: automatic ones for layers, and the nearest known one for a misspelt choice."""

from __future__ import annotations

import re
import threading

_counts: dict[str, int] = {}
_lock = threading.Lock()


def to_snake_case(name):
    """`"BatchNormalization"` as `"batch_normalization"`, `"Conv2D"` as `"conv2d"`.

    Example:
        >>> to_snake_case("MaxPooling2D")
        'max_pooling2d'
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix):
    """The next unused name of a kind: `"dense"`, `"dense_1"`, `"dense_2"`, ... counted over the process."""
    with _lock:
        count = _counts.get(prefix, 0)
        _counts[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def reset_names():
    """Starts the automatic names from the beginning again."""
    with _lock:
        _counts.clear()


def nearest(name, known):
    """The known name closest to a misspelt one, or None where none is close.

    Example:
        >>> nearest("adm", ["sgd", "adam"])
        'adam'
    """
    import difflib  # only errors need it

    by_lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def unknown_name(what, name, known):
    """The ValueError for a name that is not one of `known`.

    Args:
        what: what was looked up, e.g. `"optimizer"`; the tag of the message.
        name: what was given.
        known: the names that exist.

    Returns:
        ValueError, to be raised.

    Example:
        >>> str(unknown_name("loss", "mze", ["mse", "mae"]))
        "[loss] is unknown; expected one of 'mae', 'mse'. Received: loss='mze'. Did you mean 'mse'?"
    """
    names = ", ".join(repr(k) for k in sorted(known))
    guess = nearest(name, known)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return ValueError(f"[{what}] is unknown; expected one of {names}. Received: {what}={name!r}.{hint}")
