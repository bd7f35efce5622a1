"""Looks at a run's data and first predictions, and warns of what trains but cannot be meant."""

from __future__ import annotations

import numpy as np

from ..losses.loss import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from ..metrics.accuracy import BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy
from ..utils.warning import warn
from .compiled import parts

_CROSSENTROPIES = (BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy)
_ACCURACIES = (BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy)
_SCALES = ("Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "Embedding")


def warn_once(model, key, message):
    """A warning given once in a model's life."""
    seen = model._given_warnings
    if key not in seen:
        seen.add(key)
        warn(message)


def check_targets(y, where):
    """Refuses targets that are not finite numbers.

    Raises:
        ValueError: with the place of the first NaN or infinity.
    """
    for key, target in parts(y).items():
        array = np.asarray(target)
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            place = np.unravel_index(int(np.argmin(finite)), array.shape)
            raise ValueError(
                f"[{where}] the targets hold values that are not finite; expected numbers. Received: "
                f"y{'' if key is None else f'[{key!r}]'}[{', '.join(map(str, place))}]={array[place]}. "
                "Drop these samples, or fill them in."
            )


def check_inputs(model, x):
    """Warns of pixels that were not scaled."""
    from ..data.nested import leaves

    for array in leaves(x):
        if array.ndim < 2 or array.dtype.kind not in "uif" or not array.size:
            continue
        low, high = array.min(), array.max()
        image = array.ndim >= 3 or array.shape[-1] >= 64
        if not image or low < 0 or not 100 < high <= 255 or not (array == np.floor(array)).all():
            continue
        if any(type(layer).__name__ in _SCALES for layer in _first_layers(model)):
            continue
        warn_once(
            model,
            "pixels",
            f"[{model.name}] the inputs span {low:g} to {high:g}, as raw pixels do; nets train best on values of "
            "about 1. Divide them: x / 255.",
        )


def _first_layers(model):
    while getattr(model, "layers", None):
        model = next((x for x in model.layers if type(x).__name__ not in ("InputLayer", "Flatten", "Reshape")), None)
        yield model


def check_outputs(model, y, y_pred):
    """Warns of losses and accuracies that the first predictions and targets do not fit."""
    outputs, targets = parts(y_pred), parts(y)
    for head in model._compiled.heads:
        if head.key not in targets:
            continue
        target, output = targets[head.key].numpy(), outputs[head.key].numpy()
        if isinstance(head.loss, _CROSSENTROPIES):
            _check_probabilities(model, head.loss, output)
        for metric in head.metrics:
            if isinstance(metric, _ACCURACIES) and not _are_classes(metric, target):
                warn_once(
                    model,
                    "accuracy",
                    f"[{model.name}] accuracy was asked for targets that are not classes, "
                    f"y={target[target != np.floor(target)][0]:.4g} say; it counts exact matches and means nothing "
                    'here. Use metrics=["mae"] for numbers.',
                )


def _are_classes(metric, target):
    if target.dtype.kind != "f" or (target == np.floor(target)).all():
        return True
    one_hot = isinstance(metric, CategoricalAccuracy) and target.ndim > 1
    return one_hot and np.allclose(target.sum(-1), 1.0, atol=1e-3)  # soft labels


def _check_probabilities(model, loss, output):
    if not output.size or not np.isfinite(output).all():
        return
    inside = output.min() >= 0 and output.max() <= 1 + 1e-5
    binary = isinstance(loss, BinaryCrossentropy)
    if not loss._settings["from_logits"]:
        if not inside:
            warn_once(
                model,
                "not probabilities",
                f"[{model.name}] {loss.name} expects probabilities, but the predictions span {output.min():.3g} to "
                f"{output.max():.3g}. Give the loss from_logits=True, or the last layer "
                f'activation="{"sigmoid" if binary else "softmax"}".',
            )
    elif binary and inside and _last_activation(model) == "sigmoid":  # softmax: the loss itself warns
        warn_once(
            model,
            "not logits",
            f"[{model.name}] {loss.name} was given from_logits=True, but the predictions are probabilities "
            "already. Leave out from_logits, or the last layer's sigmoid.",
        )


def _last_activation(model):
    while getattr(model, "layers", None):
        model = model.layers[-1]
    if type(model).__name__ == "Sigmoid":
        return "sigmoid"
    return getattr(getattr(model, "activation", None), "__name__", None)


def check_loss(model, epoch, logs):
    """Warns when the loss stops being a number."""
    loss = logs.get("loss")
    if loss is not None and not np.isfinite(loss):
        warn_once(
            model,
            "loss",
            f"[{model.name}] the loss is {loss} in epoch {epoch + 1}. Look for NaN or huge values in the inputs; "
            "otherwise lower the learning rate or set clipnorm on the optimizer.",
        )
