"""From one loss per sample to one number, with weights: Keras' reductions."""

from __future__ import annotations

from .. import ops
from ..tensor import convert_to_tensor
from ..utils.naming import unknown_name

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")


def check_reduction(reduction):
    """The reduction's name; None is "none"."""
    if reduction is None:
        return "none"
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    return reduction


def weighted(values, sample_weight, where):
    """values * sample_weight, the weights given per sample [batch] or per value.

    Raises:
        ValueError: where the weights have another shape.
    """
    weight = convert_to_tensor(sample_weight, values.dtype)
    if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
        weight = ops.reshape(weight, weight.shape[:-1])
    if weight.ndim < values.ndim:
        weight = ops.reshape(weight, weight.shape + (1,) * (values.ndim - weight.ndim))
    if weight.ndim != values.ndim or any(w not in (1, v) for w, v in zip(weight.shape, values.shape)):
        raise ValueError(
            f"[{where}] the sample weights do not fit the losses; expected one weight for each sample. "
            f"Received: sample_weight.shape={tuple(weight.shape)}, losses of shape={values.shape}."
        )
    return values * weight, weight


def reduce_weighted(values, sample_weight, reduction, where="loss"):
    """One number (or the weighted values, for "none").

    "sum_over_batch_size" and "mean" divide by the number of values whatever the weights; "mean_with_sample_weight"
    divides by the sum of the weights.
    """
    weight = None
    if sample_weight is not None:
        values, weight = weighted(values, sample_weight, where)
    if reduction == "none":
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ops.sum(values) / ops.maximum(ops.sum(weight), 1e-7)
    return ops.mean(values)
