"""Accuracies as functions: 1 where a prediction is right, 0 where not, for each sample."""

from __future__ import annotations

from .. import ops
from ..losses.shapes import classes, mismatch, predictions
from ..ops.arguments import number
from ..tensor import FLOATING, convert_to_tensor


def _right(correct):
    return ops.cast(correct, "float32")


def accuracy(y_true, y_pred):
    """Where predictions equal targets, element by element."""
    y_true, y_pred = convert_to_tensor(y_true), convert_to_tensor(y_pred)
    if y_true.shape != y_pred.shape:
        if y_true.size != y_pred.size or y_true.shape[:1] != y_pred.shape[:1]:
            raise mismatch("accuracy", y_true, y_pred, "expected targets of the shape of the predictions")
        y_true = ops.reshape(y_true, y_pred.shape)
    return _right(y_true == y_pred)


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """Share of right yes/no answers: y_pred > threshold is yes.

    Args:
        y_true: targets 0 or 1, of y_pred's shape (a last axis of 1 may be left out).
        y_pred: scores [batch, ..., n].
        threshold: above it the answer is yes; 0 for logits.

    Returns:
        Tensor [batch, ...], the mean over the last axis.

    Example:
        >>> import lamina as lm
        >>> lm.metrics.binary_accuracy([[1.0], [0.0]], [[0.7], [0.6]]).numpy()
        array([1., 0.], dtype=float32)
    """
    from ..losses.shapes import elementwise

    y_true, y_pred = elementwise("binary_accuracy", y_true, y_pred)
    right = _right(y_true == ops.cast(y_pred > threshold, y_pred.dtype))
    return ops.mean(right, axis=-1) if right.ndim > 1 else right


def categorical_accuracy(y_true, y_pred):
    """Whether the highest score is at the 1 of a one-hot target.

    Args:
        y_true: one-hot targets [batch, ..., classes].
        y_pred: scores [batch, ..., classes].

    Returns:
        Tensor [batch, ...].
    """
    y_true, y_pred = convert_to_tensor(y_true), predictions(y_pred)
    if y_true.shape != y_pred.shape:
        raise mismatch(
            "categorical_accuracy", y_true, y_pred, "expected one-hot targets of the shape of the predictions"
        )
    return _right(ops.argmax(y_true, axis=-1) == ops.argmax(y_pred, axis=-1))


def sparse_categorical_accuracy(y_true, y_pred):
    """Whether the highest score is at the target's class.

    Args:
        y_true: class ids [batch, ...].
        y_pred: scores [batch, ..., classes]; or class ids, the argmax already taken, in y_true's shape.

    Returns:
        Tensor [batch, ...].

    Example:
        >>> import lamina as lm
        >>> lm.metrics.sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]]).numpy()
        array([1., 0.], dtype=float32)
        >>> lm.metrics.sparse_categorical_accuracy([1, 0], [1, 1]).numpy()
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = convert_to_tensor(y_true), convert_to_tensor(y_pred)
    whole = y_pred.dtype not in FLOATING
    if y_pred.shape == y_true.shape and (whole or y_pred.ndim < 2 or y_pred.shape[-1] == 1):
        return _right(y_true == y_pred)
    if whole and y_true.shape == (*y_pred.shape, 1):
        return _right(ops.reshape(y_true, y_pred.shape) == y_pred)
    y_true, y_pred = classes("sparse_categorical_accuracy", y_true, y_pred)
    return _right(y_true == ops.argmax(y_pred, axis=-1))


def _among_top(scores, y_true, k):
    """Whether fewer than k scores are higher than that of class y_true."""
    k = number("top_k_categorical_accuracy", "k", k)
    ids = ops.expand_dims(ops.cast(y_true, "int64"), -1)
    chosen = ops.cast(ids == ops.arange(scores.shape[-1]), scores.dtype)
    own = ops.sum(ops.where(chosen > 0.0, scores, 0.0), axis=-1, keepdims=True)
    higher = ops.sum(ops.cast(scores > own, "float32"), axis=-1)
    return _right(ops.logical_and(higher < k, ops.isfinite(ops.squeeze(own, -1))))


def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Whether the class of a one-hot target is among the k highest scores; shapes as `categorical_accuracy`."""
    y_true, y_pred = convert_to_tensor(y_true), predictions(y_pred)
    if y_true.shape != y_pred.shape:
        raise mismatch(
            "top_k_categorical_accuracy", y_true, y_pred, "expected one-hot targets of the shape of the predictions"
        )
    return _among_top(y_pred, ops.argmax(y_true, axis=-1), k)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Whether a class id is among the k highest scores; shapes as `sparse_categorical_accuracy`."""
    y_true, y_pred = classes("sparse_top_k_categorical_accuracy", y_true, y_pred)
    return _among_top(y_pred, y_true, k)
