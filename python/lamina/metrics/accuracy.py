"""Accuracies that accumulate over batches."""

from __future__ import annotations

from . import functions
from .metric import MeanMetricWrapper


class Accuracy(MeanMetricWrapper):
    """Share of predictions equal to their target.

    Example:
        >>> import lamina as lm
        >>> float(lm.metrics.Accuracy()([1, 2], [1, 3]))
        0.5
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(functions.accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """Share of right yes/no answers; see `binary_accuracy`.

    Args:
        name: name in logs.
        dtype: see `Metric`.
        threshold: scores above it mean yes; 0 for logits.
    """

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(functions.binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """Share of right classes, targets one-hot; see `categorical_accuracy`."""

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(functions.categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """Share of right classes, targets class ids; see `sparse_categorical_accuracy`.

    Example:
        >>> import lamina as lm
        >>> float(lm.metrics.SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.2, 0.8]]))
        0.5
    """

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(functions.sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of one-hot targets whose class is among the k highest scores.

    Args:
        k: how many scores count.
        name: name in logs.
        dtype: see `Metric`.
    """

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        super().__init__(functions.top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of class ids among the k highest scores.

    Args:
        k: how many scores count.
        name: name in logs.
        dtype: see `Metric`.
    """

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None):
        super().__init__(functions.sparse_top_k_categorical_accuracy, name, dtype, k=k)
