"""What layers know about the call they run in: the layers around them, and whether it trains.
Thread-local."""

from __future__ import annotations

from ..thread_state import mode as context


def current_training():
    """The `training` flag of the innermost running layer call, or None outside of any."""
    return context.frame[2] if context.frame is not None else None


def current_path():
    """Names of the running layers, outermost first, joined by "/": `"my_model/dense_1"`. Empty outside of
    any."""
    names: list[str] = []
    frame, inner = context.frame, None
    while frame is not None:
        if frame[1] is not inner:  # a layer that builds itself inside its own call counts once
            names.append(frame[1].name)
        frame, inner = frame[0], frame[1]
    return "/".join(reversed(names))


class entered:
    """Context manager: `layer` is the innermost running layer."""

    __slots__ = ("_layer", "_training", "_before")

    def __init__(self, layer, training=None):
        self._layer, self._training = layer, training

    def __enter__(self):
        self._before = context.frame
        training = current_training() if self._training is None else self._training
        context.frame = (self._before, self._layer, training)

    def __exit__(self, *exc):
        context.frame = self._before


_NAMED = (ValueError, TypeError, IndexError, RuntimeError, MemoryError, NotImplementedError)


def name_the_layer(error):
    """Puts the running layers' path in front of an error's message, once however many layers it passes
    through."""
    if getattr(error, "layer_path", None) is not None or type(error) not in _NAMED:
        return
    path = current_path()
    if not error.args or not isinstance(error.args[0], str):
        return
    if not error.args[0].startswith(f"[{path}]"):
        error.args = (f"[{path}] {error.args[0]}", *error.args[1:])
    error.layer_path = path
