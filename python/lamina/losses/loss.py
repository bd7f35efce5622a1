"""The losses as classes: a function, its settings and a reduction."""

from __future__ import annotations

from ..masked_tensor import mask_of, with_mask
from ..tensor import convert_to_tensor
from ..utils.naming import to_snake_case
from . import functions
from .reduction import check_reduction, reduce_weighted


class Loss:
    """Base of losses; subclasses define `call(y_true, y_pred)`.

    Where the predictions have a mask (see `layers.Masking`), masked steps do not count.

    Args:
        name: name in logs.
        reduction: `"sum_over_batch_size"` (the mean over all losses), `"sum"`, `"mean"`,
            `"mean_with_sample_weight"` (divides by the sum of the weights), or `"none"`.
        dtype: kept for Keras' signature; losses compute in the type of the predictions.

    Example:
        >>> import lamina as lm
        >>> class Distance(lm.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return lm.ops.abs(y_pred - y_true)
        >>> float(Distance()([0.0, 1.0], [1.0, 1.0]))
        0.5
    """

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        self.name = name or to_snake_case(type(self).__name__)
        self.reduction = check_reduction(reduction)
        self.dtype = dtype or "float32"

    def call(self, y_true, y_pred):
        """One loss for each sample."""
        raise NotImplementedError(f"[{self.name}] a loss defines call(y_true, y_pred). Received: none.")

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_pred = convert_to_tensor(y_pred)
        values = convert_to_tensor(self.call(convert_to_tensor(y_true), y_pred))
        return reduce_weighted(values, sample_weight, self.reduction, self.name, mask_of(y_pred))

    def get_config(self):
        """The constructor's arguments."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config):
        """The loss that `get_config` describes."""
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, reduction={self.reduction}>"


class LossFunctionWrapper(Loss):
    """A loss that calls a function `fn(y_true, y_pred, **kwargs)`."""

    def __init__(self, fn, reduction="sum_over_batch_size", name=None, dtype=None, **kwargs):
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn, self._settings = fn, kwargs

    def call(self, y_true, y_pred):
        return self.fn(y_true, y_pred, **self._settings)

    def get_config(self):
        config = super().get_config() | self._settings
        return config if type(self) is not LossFunctionWrapper else {"fn": self.fn, **config}


class MeanSquaredError(LossFunctionWrapper):
    """Mean of the squared differences; see `mean_squared_error`.

    Example:
        >>> import lamina as lm
        >>> float(lm.losses.MeanSquaredError()([[0.0], [2.0]], [[0.0], [0.0]]))
        2.0
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(functions.mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """Mean of the absolute differences; see `mean_absolute_error`."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(functions.mean_absolute_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """Squares up to `delta`, a line beyond; see `huber`."""

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


class KLDivergence(LossFunctionWrapper):
    """sum(t log(t / p)); see `kl_divergence`."""

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(functions.kl_divergence, reduction, name, dtype)


class BinaryCrossentropy(LossFunctionWrapper):
    """Cross-entropy of yes/no targets; see `binary_crossentropy`.

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        label_smoothing: in [0, 1], moves targets toward 1/2.
        axis: the axis of the mean.
        reduction: see `Loss`.
        name: name in logs.
        dtype: see `Loss`.
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        super().__init__(
            functions.binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=_share(name, label_smoothing),
            axis=axis,
        )


class CategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of one-hot targets; see `categorical_crossentropy`.

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        label_smoothing: in [0, 1], moves targets toward 1/classes.
        axis: the axis of the classes.
        reduction: see `Loss`.
        name: name in logs.
        dtype: see `Loss`.
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            functions.categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=_share(name, label_smoothing),
            axis=axis,
        )


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of class ids; see `sparse_categorical_crossentropy`.

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        ignore_class: id of samples that do not count.
        reduction: see `Loss`. With `ignore_class` the mean is taken over the samples that count.
        axis: the axis of the classes.
        name: name in logs.
        dtype: see `Loss`.

    Example:
        >>> import lamina as lm
        >>> loss = lm.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> f"{float(loss([0, 1], [[2.0, 0.0], [2.0, 0.0]])):.4f}"
        '1.1269'
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            functions.sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )

    def call(self, y_true, y_pred):
        values, ignored = super().call(y_true, y_pred), self._settings["ignore_class"]
        if ignored is None:
            return values
        from .. import ops

        # As in Keras: ignored samples are masked out of numerator and denominator.
        return with_mask(values, ops.reshape(ops.not_equal(y_true, ignored), values.shape))


class CTC(LossFunctionWrapper):
    """Connectionist temporal classification, of logits; see `ctc`.

    Example:
        >>> import lamina as lm
        >>> f"{float(lm.losses.CTC()([[1, 0]], lm.ops.zeros((1, 2, 3)))):.4f}"
        '1.0986'
    """

    def __init__(self, reduction="sum_over_batch_size", name="ctc", dtype=None):
        super().__init__(functions.ctc, reduction, name, dtype)


def _share(where, value):
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"[{where}] label_smoothing is a share; expected 0 to 1. Received: label_smoothing={value!r}.")
    return float(value)
