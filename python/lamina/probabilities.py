"""Probabilities that remember the logits they came from."""

from __future__ import annotations

from .tensor import Tensor


class Probabilities(Tensor):
    """The result of a softmax activation.

    Cross-entropies use the logits instead of the values: where a float32 probability has reached 0 or 1, its logarithm
    and its gradient are lost, those of the logits are not. Anything computed from the values is a plain Tensor.

    Attributes:
        logits: tensor of the same shape, or None.
    """

    __slots__ = ("logits",)

    def __init__(self, core, source=None, logits=None):
        super().__init__(core, source)
        self.logits = logits


def softmax_with_logits(logits, axis=-1):
    """softmax(logits) over an axis, as Probabilities where that is the last one."""
    from .ops import softmax

    y = softmax(logits, axis)
    last = axis == -1 or axis == y.ndim - 1
    return Probabilities(y._core, y._source, logits) if last and not y._core.is_symbolic else y
