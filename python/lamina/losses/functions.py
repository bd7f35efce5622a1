"""The losses as functions: one value for each sample, the mean over the last axis."""

from __future__ import annotations

from .. import ops
from ..tensor import convert_to_tensor
from .shapes import classes, elementwise, mismatch, predictions, scores_of


def _last_axis_mean(values):
    return ops.mean(values, axis=-1) if values.ndim else values


def mean_squared_error(y_true, y_pred):
    """mean((y_true - y_pred)^2) over the last axis.

    Args:
        y_true: targets, of y_pred's shape (a last axis of 1 may be left out).
        y_pred: predictions [batch, ..., n].

    Returns:
        Tensor [batch, ...].

    Raises:
        ValueError: where the shapes differ.

    Example:
        >>> import lamina as lm
        >>> lm.losses.mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
        array([0.5], dtype=float32)
    """
    y_true, y_pred = elementwise("mean_squared_error", y_true, y_pred)
    return _last_axis_mean(ops.square(y_pred - y_true))


def mean_absolute_error(y_true, y_pred):
    """mean(|y_true - y_pred|) over the last axis; arguments as `mean_squared_error`.

    Example:
        >>> import lamina as lm
        >>> lm.losses.mean_absolute_error([[0.0, 1.0]], [[2.0, 1.0]]).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = elementwise("mean_absolute_error", y_true, y_pred)
    return _last_axis_mean(ops.abs(y_pred - y_true))


def huber(y_true, y_pred, delta=1.0):
    """mean of e^2 / 2 where |e| <= delta, else delta |e| - delta^2 / 2, with e = y_true - y_pred.

    Args:
        y_true: targets, of y_pred's shape.
        y_pred: predictions [batch, ..., n].
        delta: where the square becomes a line.

    Returns:
        Tensor [batch, ...].

    Reference: P. Huber, "Robust Estimation of a Location Parameter", 1964.
    """
    y_true, y_pred = elementwise("huber", y_true, y_pred)
    size = ops.abs(y_pred - y_true)
    inner = ops.minimum(size, delta)
    # With inner = min(|e|, delta) both branches are inner * (|e| - inner / 2).
    return _last_axis_mean(inner * (size - inner * 0.5))


def kl_divergence(y_true, y_pred):
    """sum(y_true * log(y_true / y_pred)) over the last axis, both limited to [1e-7, 1].

    Args:
        y_true: probabilities [batch, ..., n].
        y_pred: probabilities [batch, ..., n].

    Returns:
        Tensor [batch, ...].
    """
    y_true, y_pred = elementwise("kl_divergence", y_true, y_pred)
    y_true, y_pred = ops.clip(y_true, 1e-7, 1.0), ops.clip(y_pred, 1e-7, 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """mean of -t log p - (1 - t) log(1 - p) over an axis.

    Args:
        y_true: targets in [0, 1], of y_pred's shape.
        y_pred: probabilities, or logits, [batch, ..., n].
        from_logits: whether y_pred are logits; exact for any size of them.
        label_smoothing: moves targets toward 1/2: t (1 - s) + s / 2.
        axis: the axis of the mean.

    Returns:
        Tensor [batch, ...].

    Example:
        >>> import lamina as lm
        >>> lm.losses.binary_crossentropy([[1.0]], [[0.0]], from_logits=True).numpy()
        array([0.6931472], dtype=float32)
    """
    y_true, y_pred = elementwise("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    values = ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    return ops.mean(values, axis=axis) if values.ndim else values


def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """-sum(t log p) over the classes.

    Args:
        y_true: one-hot or soft targets, of y_pred's shape.
        y_pred: probabilities, or logits, [batch, ..., classes].
        from_logits: whether y_pred are logits.
        label_smoothing: moves targets toward 1/classes: t (1 - s) + s / classes.
        axis: the axis of the classes.

    Returns:
        Tensor [batch, ...].

    Example:
        >>> import lamina as lm
        >>> lm.losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
        array([0.6931472], dtype=float32)
    """
    name = "categorical_crossentropy"
    true, pred = convert_to_tensor(y_true), convert_to_tensor(y_pred)
    if true.shape != pred.shape:
        error = mismatch(name, true, pred, "expected one-hot targets of the shape of the predictions")
        if true.ndim == pred.ndim - 1:
            error = ValueError(f"{error} ops.one_hot makes one-hot targets of class ids.")
        raise error
    true, pred = elementwise(name, true, pred)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + label_smoothing / pred.shape[axis]
    pred, from_logits = scores_of(name, pred, from_logits)
    return ops.categorical_crossentropy(true, pred, from_logits=from_logits, axis=axis)


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """-log p[class] for targets given as class ids.

    Args:
        y_true: class ids 0 <= id < classes, any integer type or integral floats, [batch, ...].
        y_pred: probabilities, or logits, [batch, ..., classes].
        from_logits: whether y_pred are logits.
        ignore_class: id of samples that do not count: loss 0.
        axis: the axis of the classes.

    Returns:
        Tensor [batch, ...].

    Raises:
        ValueError: for shapes that do not go together, and ids out of range.

    Example:
        >>> import lamina as lm
        >>> lm.losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).numpy()
        array([0.6931472], dtype=float32)
    """
    if axis != -1:
        y_pred = ops.moveaxis(convert_to_tensor(y_pred), axis, -1)
    y_true, y_pred = classes("sparse_categorical_crossentropy", y_true, y_pred)
    y_pred, from_logits = scores_of("sparse_categorical_crossentropy", y_pred, from_logits)
    return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, ignore_class=ignore_class)


def ctc(y_true, y_pred):
    """Connectionist temporal classification of whole outputs; see `ops.ctc_loss`.

    Args:
        y_true: labels [batch, length] from 1 on, 0 behind the end of shorter ones, any integer type or integral floats.
        y_pred: logits [batch, time, classes]; class 0 is the blank. All frames count.

    Returns:
        Tensor [batch].

    Raises:
        ValueError: for shapes that do not go together, labels out of range, zeros between labels, and labels that need
            more frames than there are.

    Example:
        >>> import lamina as lm
        >>> lm.losses.ctc([[1, 0]], lm.ops.zeros((1, 2, 3))).numpy()
        array([1.0986123], dtype=float32)
    """
    y_true, y_pred = convert_to_tensor(y_true), predictions(y_pred)
    if y_true.ndim != 2 or y_pred.ndim != 3:
        raise mismatch("ctc", y_true, y_pred, "expected labels [batch, length] and logits [batch, time, classes]")
    labels = ops.sum(ops.cast(ops.not_equal(y_true, 0), "int32"), axis=-1)
    frames = ops.full(y_pred.shape[:1], y_pred.shape[1], dtype="int32")
    return ops.ctc_loss(y_true, y_pred, labels, frames)
