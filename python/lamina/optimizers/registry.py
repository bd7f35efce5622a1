"""Optimizers by name."""

from __future__ import annotations

from ..utils.naming import unknown_name
from .adafactor import Adafactor
from .adagrad import Adadelta, Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax, Lamb, Nadam
from .ftrl import Ftrl
from .lion import Lion
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

_CLASSES = (SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Adafactor, Nadam, Ftrl, Lamb, Lion)
_BY_NAME = {cls.__name__.lower(): cls for cls in _CLASSES}


def get(identifier):
    """The optimizer for a name, a config or an optimizer.

    Raises:
        ValueError: for an unknown name, with the nearest known one.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.get("adam")
        <Adam learning_rate=0.001, iterations=0>
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() not in _BY_NAME:
            raise unknown_name("optimizer", identifier, _BY_NAME)
        return _BY_NAME[identifier.lower()]()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    raise TypeError(
        f"[optimizer] is no optimizer; expected a name or an Optimizer. Received: optimizer={identifier!r}."
    )


def serialize(value):
    """A JSON-ready description of one of the library's or of a registered class; see `lamina.saving.register`."""
    from ..utils.registry import serialize

    return serialize(value, "optimizers")


def deserialize(config, custom_objects=None):
    """The object of `serialize`, without its state."""
    from ..utils.registry import deserialize

    return deserialize(config, custom_objects)
