"""Tensors that say which of their steps count: Keras' masks, which layers hand on from one to the next."""

from __future__ import annotations

from .tensor import Tensor


class MaskedTensor(Tensor):
    """A tensor with a mask beside it; ops read the values alone, layers, losses and metrics the mask too.

    Attributes:
        _keras_mask: bool tensor of the leading axes, mostly `[batch, steps]`; False: padding.
    """

    __slots__ = ("_keras_mask",)

    def __init__(self, core, source, mask):
        super().__init__(core, source)
        self._keras_mask = mask

    def __copy__(self):
        return MaskedTensor(self._core, self._source, self._keras_mask)

    def _state(self, core):
        return (*super()._state(core), self._keras_mask)

    @classmethod
    def _rebuild(cls, core, source, mask):
        return cls(core, source, mask)


def mask_of(x):
    """The mask of a tensor, or None."""
    return getattr(x, "_keras_mask", None)


def with_mask(x, mask):
    """The tensor with a mask beside it."""
    return MaskedTensor(x._core, x._source, mask)
