"""Errors of numbers that accumulate over batches."""

from __future__ import annotations

from .. import _core
from ..losses import functions
from ..tensor import Tensor
from .metric import MeanMetricWrapper


class MeanSquaredError(MeanMetricWrapper):
    """Mean of the squared differences."""

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(functions.mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """Mean of the absolute differences."""

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(functions.mean_absolute_error, name, dtype)


class RootMeanSquaredError(MeanMetricWrapper):
    """Square root of the mean of the squared differences.

    Example:
        >>> import lamina as lm
        >>> float(lm.metrics.RootMeanSquaredError()([[0.0], [0.0]], [[3.0], [3.0]]))
        3.0
    """

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(functions.mean_squared_error, name, dtype)

    def result(self):
        return Tensor(_core.sqrt(super().result()._core))
