"""What `apply` and `apply_gradients` are given."""

from __future__ import annotations

from .. import _core
from ..row_gradient import RowGradient
from ..tensor import Tensor, Variable, convert_to_tensor
from ..utils.warning import warn


def pairs_of(name, grads_and_vars):
    """The pairs (gradient, Variable) as a list."""
    pairs = list(grads_and_vars) if hasattr(grads_and_vars, "__iter__") else [(grads_and_vars,)]
    for pair in pairs:
        if not isinstance(pair, (tuple, list)):
            pair = (pair,)
        if len(pair) != 2 or not isinstance(pair[1], Variable):
            raise TypeError(
                f"[{name}] apply_gradients takes pairs (gradient, Variable). "
                f"Received: {type(pair[-1]).__name__} in place of a Variable."
            )
    return pairs


def present(name, grads, variables, warned):
    """The gradients that are not None, and their variables; those that have none are named once, by `warned`."""
    missing = [v for g, v in zip(grads, variables) if g is None]
    if len(missing) == len(variables):
        raise ValueError(
            f"[{name}] no variable has a gradient; expected at least one. Received: "
            f"{', '.join(v.path for v in missing) or 'no variables'}. "
            "Was the loss computed from them, inside the tape?"
        )
    new = [v for v in missing if id(v) not in warned]
    if new:
        warned.update(id(v) for v in new)
        warn(
            f"[{name}] variables without a gradient stay as they are: {', '.join(v.path for v in new)}. "
            "The loss does not depend on them."
        )
    kept = [(g, v) for g, v in zip(grads, variables) if g is not None]
    return [g for g, _ in kept], [v for _, v in kept]


def rows_of(grads, variables, by_row):
    """{position: RowGradient} of the gradients whose variables are stepped row by row: `by_row(gradient, variable)`."""
    return {
        i: g
        for i, (g, v) in enumerate(zip(grads, variables))
        if type(g) is RowGradient and g.shape == v.shape and g.dtype == v.dtype and by_row(g, v)
    }


def cores_of(name, grads, variables, warned):
    """Core tensors of the gradients that are not None, and their variables."""
    try:
        return [g._core for g in grads], variables  # tensors, as a rule
    except AttributeError:
        if any(g is None for g in grads):
            grads, variables = present(name, grads, variables, warned)
    return [g._core if isinstance(g, Tensor) else convert_to_tensor(g, "float32")._core for g in grads], variables


def fitted(name, cores, variables, rows=()):
    """The cores in the dtypes of their variables, but for `rows`; raises where a shape is not the variable's."""
    for i, (g, v) in enumerate(zip(cores, variables)):
        if i in rows:
            continue
        if g.shape != v._core.shape:
            raise ValueError(
                f"[{name}] a gradient has its variable's shape. Received: gradient.shape={g.shape}, "
                f"{v.path}.shape={v.shape}."
            )
        if g.dtype != v._core.dtype:
            cores[i] = _core.cast(g, v._core.dtype)
    return cores
