"""Metrics by name, and what "accuracy" means for a loss and its shapes."""

from __future__ import annotations

from ..losses import registry as losses
from ..losses.loss import BinaryCrossentropy, Loss
from ..utils.naming import unknown_name
from . import accuracy, functions, metric, regression

ACCURACY = ("accuracy", "acc")

_CLASSES = {
    "binary_accuracy": accuracy.BinaryAccuracy,
    "categorical_accuracy": accuracy.CategoricalAccuracy,
    "sparse_categorical_accuracy": accuracy.SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": accuracy.TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": accuracy.SparseTopKCategoricalAccuracy,
    "mean_squared_error": regression.MeanSquaredError,
    "mse": regression.MeanSquaredError,
    "mean_absolute_error": regression.MeanAbsoluteError,
    "mae": regression.MeanAbsoluteError,
    "root_mean_squared_error": regression.RootMeanSquaredError,
    "rmse": regression.RootMeanSquaredError,
}
_BY_NAME = _CLASSES | {cls.__name__: cls for cls in _CLASSES.values()} | {"Mean": metric.Mean}
_FUNCTIONS = (functions.binary_accuracy, functions.categorical_accuracy, functions.sparse_categorical_accuracy)


def get(identifier):
    """The Metric for a name, a metric, a loss or a function `f(y_true, y_pred)`.

    A loss, or the name of one, gives the mean of that loss. `"accuracy"` alone means `Accuracy` (equality); in
    `compile` it is chosen by the loss and the shapes.

    Raises:
        ValueError: for an unknown name, with the nearest known one.

    Example:
        >>> import lamina as lm
        >>> lm.metrics.get("mse").name
        'mean_squared_error'
    """
    if isinstance(identifier, metric.Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier in ACCURACY:
            return accuracy.Accuracy(name=identifier)
        if identifier in _BY_NAME:
            return _BY_NAME[identifier]()
        if identifier in losses._BY_NAME:
            return metric.MeanMetricWrapper(losses.get(identifier).call, name=identifier)
        raise unknown_name("metric", identifier, [*ACCURACY, *_BY_NAME, *losses._BY_NAME])
    if isinstance(identifier, dict) and identifier.get("class_name") in _BY_NAME:
        return _BY_NAME[identifier["class_name"]].from_config(identifier["config"])
    if isinstance(identifier, type) and issubclass(identifier, metric.Metric):
        return identifier()
    if isinstance(identifier, Loss):
        return metric.MeanMetricWrapper(identifier.call, name=identifier.name)
    if callable(identifier):
        return metric.MeanMetricWrapper(identifier)
    raise TypeError(
        "[metric] is no metric; expected a name, a Metric or a function f(y_true, y_pred). "
        f"Received: metric={identifier!r}."
    )


def accuracy_for(name, loss, y_true, y_pred):
    """The accuracy that fits a loss and its shapes.

    One column of scores, or a binary cross-entropy: BinaryAccuracy (of logits: threshold 0, where Keras keeps 0.5).
    Class ids: SparseCategoricalAccuracy. Targets of the predictions' shape: CategoricalAccuracy.
    """
    true, pred = tuple(y_true.shape), tuple(y_pred.shape)
    binary = isinstance(loss, BinaryCrossentropy)
    if len(pred) < 2 or pred[-1] == 1 or (binary and len(true) == len(pred)):
        logits = binary and loss._settings["from_logits"]
        return accuracy.BinaryAccuracy(name=name, threshold=0.0 if logits else 0.5)
    if len(true) < len(pred) or true[-1] == 1:
        return accuracy.SparseCategoricalAccuracy(name=name)
    return accuracy.CategoricalAccuracy(name=name)
