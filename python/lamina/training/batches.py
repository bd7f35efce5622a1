"""Batches as tensors, and the weights that class_weight means."""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor, as_tensor
from .compiled import parts


def to_tensors(tree, dtype=None):
    """Arrays of a batch as tensors, without a copy where their type allows.

    Args:
        tree: array, or tuples and dicts of them; None stays None.
        dtype: type that floating arrays get; None keeps theirs.
    """
    if type(tree) is np.ndarray:
        if tree.dtype.kind == "f" and dtype is not None and tree.dtype.name != dtype and dtype != "bfloat16":
            tree = tree.astype(dtype)
        return as_tensor(tree)
    if tree is None:
        return None
    from ..data.nested import map_structure

    return map_structure(lambda leaf: leaf if isinstance(leaf, Tensor) else to_tensors(np.asarray(leaf), dtype), tree)


def count(tree):
    """Samples of a batch."""
    first = tree
    while isinstance(first, (tuple, list, dict)):
        first = next(iter(first.values() if isinstance(first, dict) else first))
    return len(first)


def _is_weight(key, weight):
    try:
        return not isinstance(key, (str, float)) and 0 <= key.__index__() < 2**31 and 0 <= float(weight) < np.inf
    except (TypeError, ValueError, AttributeError):
        return False


def class_weights(y, class_weight, sample_weight):
    """Weights of samples by their class, times what weights they have.

    Args:
        y: class ids [batch] or [batch, 1], or one-hot [batch, classes].
        class_weight: dict from class id to weight; a class that is not named has 1.
        sample_weight: array [batch] or None.

    Returns:
        float32 array [batch].

    Raises:
        ValueError: where y is not one target of classes.
    """
    if class_weight is None:
        return sample_weight
    if not isinstance(class_weight, dict) or not all(_is_weight(k, w) for k, w in class_weight.items()):
        raise ValueError(
            "[fit] class_weight must be a dict from class id to a finite weight of at least 0. "
            f"Received: class_weight={class_weight!r}."
        )
    targets = list(parts(y).values())
    ids = np.asarray(targets[0]) if len(targets) == 1 else None
    if ids is not None and ids.ndim == 2:
        ids = ids[:, 0] if ids.shape[1] == 1 else ids.argmax(1)
    if ids is None or ids.ndim != 1 or (ids.dtype.kind == "f" and (ids != np.floor(ids)).any()):
        raise ValueError(
            "[fit] class_weight needs one target of class ids or one-hot rows. "
            f"Received: y of shape {[np.shape(t) for t in targets]}. Use sample_weight instead."
        )
    ids = ids.astype(np.int64)
    table = np.ones(max([int(ids.max()), *map(int, class_weight)]) + 1, np.float32)
    for key, weight in class_weight.items():
        table[int(key)] = weight
    weight = table[ids]
    return weight if sample_weight is None else weight * np.asarray(sample_weight).reshape(weight.shape)
