"""Symbolic tensors that remember the layer call they came from; functional models are read off them."""

from __future__ import annotations

import copy

from .. import _core
from ..tensor import Tensor


class SymbolicTensor(Tensor):
    """The result of calling a layer on symbolic tensors.

    Attributes:
        history: (layer, inputs): the layer that made it and the tensors it was called on, `(layer, ())` for
            an Input.
    """

    __slots__ = ("history",)

    def __init__(self, core, history):
        super().__init__(core)
        self.history = history

    def __deepcopy__(self, memo):
        memo[id(self)] = made = SymbolicTensor(self._core, None)
        made.history = copy.deepcopy(self.history, memo)
        return made

    def __reduce__(self):
        return _symbolic, (self.shape, self.dtype), self.history

    def __setstate__(self, history):
        self.history = history


def _symbolic(shape, dtype):
    return SymbolicTensor(_core.symbolic(shape, dtype), None)


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
