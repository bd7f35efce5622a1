"""Losses by name."""

from __future__ import annotations

from ..utils.naming import unknown_name
from . import functions, loss

_CLASSES = {
    "mean_squared_error": loss.MeanSquaredError,
    "mse": loss.MeanSquaredError,
    "mean_absolute_error": loss.MeanAbsoluteError,
    "mae": loss.MeanAbsoluteError,
    "huber": loss.Huber,
    "kl_divergence": loss.KLDivergence,
    "binary_crossentropy": loss.BinaryCrossentropy,
    "bce": loss.BinaryCrossentropy,
    "categorical_crossentropy": loss.CategoricalCrossentropy,
    "ctc": loss.CTC,
    "sparse_categorical_crossentropy": loss.SparseCategoricalCrossentropy,
}
_BY_NAME = _CLASSES | {cls.__name__: cls for cls in _CLASSES.values()}
_BY_FUNCTION = {getattr(functions, name): cls for name, cls in _CLASSES.items() if hasattr(functions, name)}


def get(identifier):
    """The Loss for a name, a config, a loss, or any function `f(y_true, y_pred)`.

    Args:
        identifier: `"mse"`, `"MeanSquaredError"`, a Loss, a Loss class, a config of `serialize`, or a function.

    Returns:
        Loss; None for None.

    Raises:
        ValueError: for an unknown name, with the nearest known one.

    Example:
        >>> import lamina as lm
        >>> lm.losses.get("mse").name
        'mean_squared_error'
    """
    if identifier is None or isinstance(identifier, loss.Loss):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise unknown_name("loss", identifier, _BY_NAME)
        return _BY_NAME[identifier]()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, loss.Loss):
        return identifier()
    if callable(identifier) and identifier in _BY_FUNCTION:
        return _BY_FUNCTION[identifier]()
    if callable(identifier):
        return loss.LossFunctionWrapper(identifier)
    raise TypeError(
        f"[loss] is no loss; expected a name, a Loss or a function f(y_true, y_pred). Received: loss={identifier!r}."
    )


def serialize(value):
    """A JSON-ready description of one of the library's or of a registered class; see `lamina.saving.register`."""
    from ..utils.registry import serialize

    return serialize(value, "losses")


def deserialize(config, custom_objects=None):
    """The object of `serialize`, without its state."""
    from ..utils.registry import deserialize

    return deserialize(config, custom_objects)
