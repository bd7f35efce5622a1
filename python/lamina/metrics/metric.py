"""What accumulates over batches: the base of metrics, sums and means."""

from __future__ import annotations

from .. import _core, ops
from ..autograd import no_grad
from ..losses.reduction import unmasked_weight, weighted
from ..masked_tensor import mask_of
from ..tensor import Tensor, Variable, convert_to_tensor
from ..utils.naming import to_snake_case


class Metric:
    """Base of metrics; subclasses define `update_state` and `result` over variables made by `add_variable`.

    Args:
        dtype: kept for Keras' signature; states are float64, so that long epochs add up exactly enough.
        name: name in logs.

    Example:
        >>> import lamina as lm
        >>> m = lm.metrics.Mean()
        >>> m.update_state([1.0, 3.0])
        >>> float(m.result())
        2.0
    """

    def __init__(self, dtype=None, name=None):
        self.name = name or to_snake_case(type(self).__name__)
        self.dtype = dtype or "float32"
        self._variables: list[Variable] = []

    def add_variable(self, shape=(), initializer=None, dtype="float64", name=None):
        """A state variable; `reset_state` sets it back to 0."""
        value = initializer if initializer is not None else ops.zeros(shape, dtype)
        variable = Variable(value, shape=shape, dtype=dtype, trainable=False, name=name or "state")
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    @property
    def variables(self):
        """The state."""
        return list(self._variables)

    def update_state(self, *args, **kwargs):
        """Adds one batch."""
        raise NotImplementedError(f"[{self.name}] a metric defines update_state. Received: none.")

    def result(self):
        """The value so far, a scalar tensor."""
        raise NotImplementedError(f"[{self.name}] a metric defines result. Received: none.")

    def reset_state(self):
        """Forgets every batch."""
        for variable in self._variables:
            _core.assign(variable._core, _core.full(variable.shape, 0.0, variable.dtype))

    def __call__(self, *args, **kwargs):
        """Adds one batch and returns the value so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self):
        """The constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config):
        """The metric that `get_config` describes."""
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


def _add(variable, core):
    _core.assign(variable._core, ops.add(variable, Tensor(core))._core)


class Sum(Metric):
    """Sum of all values seen.

    Args:
        name: name in logs.
        dtype: see `Metric`.
    """

    def __init__(self, name="sum", dtype=None):
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")

    def update_state(self, values, sample_weight=None):
        """Adds values (any shape), each times its weight."""
        with no_grad():
            values = convert_to_tensor(values, "float64")
            if sample_weight is not None:
                values = weighted(values, sample_weight, self.name)[0]
            _add(self.total, _core.sum(values._core, None, False))

    def result(self):
        return Tensor(_core.cast(self.total._core, "float32"))


class Mean(Metric):
    """Weighted mean of all values seen; 0 before any.

    Args:
        name: name in logs.
        dtype: see `Metric`.

    Example:
        >>> import lamina as lm
        >>> m = lm.metrics.Mean()
        >>> m.update_state([1.0, 3.0], sample_weight=[1.0, 0.0])
        >>> float(m.result())
        1.0
    """

    def __init__(self, name="mean", dtype=None):
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values, sample_weight=None):
        """Adds values (any shape), each with its weight.

        Args:
            values: numbers of any shape.
            sample_weight: one weight for all, for each sample, or for each value.
        """
        if sample_weight is None:
            core = convert_to_tensor(values)._core
            self._accumulate(core if core.ndim == 0 else _core.sum(_float64(core), None, False), core.size)
            return
        if isinstance(sample_weight, (int, float)):
            core = _float64(convert_to_tensor(values)._core)
            total = core if core.ndim == 0 else _core.sum(core, None, False)
            scale = _core.scalar(float(sample_weight), "float64")
            self._accumulate(_core.multiply(total, scale), core.size * sample_weight)
            return
        with no_grad():
            product, weight = weighted(convert_to_tensor(values, "float64"), sample_weight, self.name)
            weight = ops.broadcast_to(weight, product.shape)
            _add(self.total, _core.sum(product._core, None, False))
            _add(self.count, _core.sum(weight._core, None, False))

    def _accumulate(self, total, count):
        _add(self.total, total)
        _add(self.count, _core.scalar(float(count), "float64"))

    def result(self):
        with no_grad():
            mean = self.total / ops.where(self.count == 0.0, 1.0, self.count)  # nothing was added to the total then
            return ops.cast(mean, "float32")


def _float64(core):
    return core if core.dtype == "float64" else _core.cast(core, "float64")


class MeanMetricWrapper(Mean):
    """Mean of a function of targets and predictions.

    Args:
        fn: `fn(y_true, y_pred, **kwargs)`, one value for each sample.
        name: name in logs, by default the function's.
        dtype: see `Metric`.
        **kwargs: further arguments of fn.
    """

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        super().__init__(name or getattr(fn, "__name__", "metric"), dtype)
        self._fn, self._settings = fn, kwargs

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds one batch.

        Args:
            y_true: targets [batch, ...].
            y_pred: predictions [batch, ...]; steps that their mask leaves out do not count.
            sample_weight: weights [batch], or as the function's values.
        """
        with no_grad():
            values, mask = self._fn(y_true, y_pred, **self._settings), mask_of(y_pred)
            if mask is not None:
                sample_weight = unmasked_weight(sample_weight, mask, values, "sum", self.name)
            super().update_state(values, sample_weight)

    def get_config(self):
        config = super().get_config() | self._settings
        return config if type(self) is not MeanMetricWrapper else {"fn": self._fn, **config}
