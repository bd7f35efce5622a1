"""From one loss per sample to one number, with weights: Keras' reductions."""

from __future__ import annotations

from .. import ops
from ..masked_tensor import mask_of
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


def unmasked_weight(sample_weight, mask, values, reduction, where="loss"):
    """Weights of the values, 0 where the mask is False.

    For reductions that divide by the number of values they are scaled up, so that the mean is one over the values that
    count, as in Keras.
    """
    weight = ops.cast(mask, values.dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        weight = weight * (float(mask.size) / ops.maximum(ops.sum(weight), 1.0))
    return weight if sample_weight is None else weighted(weight, sample_weight, where)[0]


def reduce_weighted(values, sample_weight, reduction, where="loss", mask=None):
    """One number (or the weighted values, for "none").

    The mask and the values' own, bools of their leading axes, leave values out.

    "sum_over_batch_size" and "mean" divide by the number of values whatever the weights; "mean_with_sample_weight"
    divides by the sum of the weights.
    """
    own = mask_of(values)
    if own is not None:
        mask = own if mask is None else ops.logical_and(mask, own)
    if mask is not None:
        sample_weight = unmasked_weight(sample_weight, mask, values, reduction, where)
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
