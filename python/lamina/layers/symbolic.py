"""Symbolic tensors that remember the layer call they came from; functional models are read off them."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from .. import _core
from ..masked_tensor import mask_of
from ..tensor import Tensor


class LayerCall(NamedTuple):
    """A layer and what it was called on: `call` took these arguments, `training` among them only where it was given."""

    layer: Any
    args: tuple
    kwargs: dict

    @property
    def arguments(self):
        """Positional and named arguments as one tree."""
        return [list(self.args), self.kwargs]


class SymbolicTensor(Tensor):
    """The result of calling a layer on symbolic tensors.

    Attributes:
        history: the LayerCall that made it; that of an Input has no arguments.
        index: its place among the tensors of that call's result, depth first.
    """

    __slots__ = ("history", "index", "_keras_mask")

    def __init__(self, core, history, index=0, mask=None):
        super().__init__(core)
        self.history, self.index, self._keras_mask = history, index, mask

    def __deepcopy__(self, memo):
        memo[id(self)] = made = SymbolicTensor(self._core, None)
        made.__setstate__(copy.deepcopy((self.history, self.index, self._keras_mask), memo))
        return made

    def __reduce__(self):
        return _symbolic, (self.shape, self.dtype), (self.history, self.index, self._keras_mask)

    def __setstate__(self, state):
        self.history, self.index, self._keras_mask = state


def _symbolic(shape, dtype):
    return SymbolicTensor(_core.symbolic(shape, dtype), None)


def results_of(call, outputs):
    """`outputs`, symbolic tensors or a tree of them, as the results of a LayerCall."""
    count = 0

    def made(y):
        nonlocal count
        if not isinstance(y, Tensor):
            return y
        count += 1
        return SymbolicTensor(y._core, call, count - 1, mask_of(y))

    return map_tensors(made, outputs)


def leaves(tree):
    """The leaves of a tree, depth first."""
    found: list = []
    map_tensors(found.append, tree)
    return found


def map_tensors(f, tree):
    """`tree` (a tensor, or nested lists, tuples, dicts) with f applied to every leaf."""
    if isinstance(tree, (list, tuple)):
        return type(tree)([map_tensors(f, part) for part in tree])
    if isinstance(tree, dict):
        return {key: map_tensors(f, part) for key, part in tree.items()}
    return f(tree)


def shapes_of(tree):
    """The shapes of the tensors of a tree, in its structure."""
    return map_tensors(lambda x: tuple(x.shape), tree)


def is_symbolic(tree):
    """Whether any tensor of the tree is symbolic."""
    if isinstance(tree, (list, tuple)):
        return any(is_symbolic(part) for part in tree)
    if isinstance(tree, dict):
        return any(is_symbolic(part) for part in tree.values())
    return isinstance(tree, Tensor) and tree._core.is_symbolic


def placeholders(shapes, dtype):
    """Symbolic tensors for a shape, or for a list, tuple or dict of shapes."""
    if isinstance(shapes, dict):
        return {key: placeholders(shape, dtype) for key, shape in shapes.items()}
    if isinstance(shapes, (list, tuple)) and shapes and isinstance(shapes[0], (list, tuple)):
        return [placeholders(shape, dtype) for shape in shapes]
    return Tensor(_core.symbolic(tuple(shapes), dtype))
