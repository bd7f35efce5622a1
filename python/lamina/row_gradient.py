"""The gradient of a table that was read row by row, as the rows that were read."""

from __future__ import annotations

from . import _core
from .tensor import Tensor
from .thread_state import mode

_VALUES = Tensor.__dict__["_core"]


class RowGradient(Tensor):
    """A gradient `[n, width]` that is zero but for some rows: a tensor whose values are computed when they are read.

    `ops.take` of a matrix variable along axis 0 gives one; an optimizer that can (see `Optimizer`) takes the rows
    without ever making the tensor.

    Attributes:
        ids: core tensor of integers of any shape, -n <= id < n; gradients of equal ids add up, in their order.
        rows: core tensor `(*ids.shape, width)`.
    """

    __slots__ = ("rows", "ids", "_shape")

    def __init__(self, rows, ids, shape):
        self.rows, self.ids, self._shape = rows, ids, shape
        self._source = self.grad = None
        _VALUES.__set__(self, None)
        if mode.capture is not None:
            mode.capture.gave_rows(self)

    @property
    def _core(self):
        core = _VALUES.__get__(self)
        if core is None:
            core = _core.take_grad(self.rows, self.ids, self._shape, 0)
            _VALUES.__set__(self, core)
        return core

    @property
    def shape(self):
        return self._shape

    @property
    def dtype(self):
        return self.rows.dtype

    def __add__(self, other):
        if type(other) is not RowGradient or other.shape != self.shape or other.dtype != self.dtype:
            return super().__add__(other)
        rows = [_core.reshape(g.rows, (g.ids.size, self._shape[1])) for g in (self, other)]
        ids = [_core.cast(_core.reshape(g.ids, (g.ids.size,)), "int64") for g in (self, other)]
        return RowGradient(_core.concatenate(rows, 0), _core.concatenate(ids, 0), self._shape)

    @classmethod
    def _rebuild(cls, core, source):
        return Tensor(core, source)  # a copy is a tensor like others
