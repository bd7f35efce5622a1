"""Views and new shapes: each op with its gradient. No arithmetic."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..tensor import Tensor, checked_dtype
from .arguments import flag, integer, integers, number, one_axis, real
from .common import broadcast_to, tensor


def axis_of(op, axis, ndim):
    """The axis counted from the front."""
    axis = one_axis(op, axis)
    if not -ndim <= axis < ndim:
        raise IndexError(f"[{op}] axis is out of range; expected {-ndim} <= axis < {ndim}. Received: axis={axis}.")
    return axis % ndim if ndim else 0


def reshape(x, newshape):
    """The same elements in another shape.

    Args:
        x: tensor.
        newshape: tuple of sizes; one may be -1 and is inferred.

    Returns:
        Tensor; it shares x's memory where x is contiguous.

    Raises:
        ValueError: if the number of elements differs.

    Example:
        >>> import lamina as lm
        >>> lm.ops.reshape(lm.ops.arange(6), (2, -1)).shape
        (2, 3)
    """
    x = tensor(x)
    shape = integers("reshape", "newshape", newshape, unknown=True)
    return record("reshape", _core.reshape(x._core, shape), (x,), lambda dy, back=x.shape: reshape(dy, back))


def transpose(x, axes=None):
    """Axes in another order, as a view.

    Args:
        x: tensor.
        axes: permutation of the axes; by default their reverse.

    Example:
        >>> import lamina as lm
        >>> lm.ops.transpose(lm.ops.zeros((2, 3))).shape
        (3, 2)
    """
    x = tensor(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else integers("transpose", "axes", axes)

    def grad(dy):
        inverse = [0] * len(order)
        for position, axis in enumerate(order):
            inverse[axis] = position
        return transpose(dy, inverse)

    return record("transpose", x._core.transpose(order), (x,), grad)


def swapaxes(x, axis1, axis2):
    """Exchanges two axes, as a view."""
    x = tensor(x)
    order = list(range(x.ndim))
    a, b = axis_of("swapaxes", axis1, x.ndim), axis_of("swapaxes", axis2, x.ndim)
    order[a], order[b] = b, a
    return transpose(x, order)


def moveaxis(x, source, destination):
    """Moves one axis to another place, as a view."""
    x = tensor(x)
    order = list(range(x.ndim))
    order.insert(axis_of("moveaxis", destination, x.ndim), order.pop(axis_of("moveaxis", source, x.ndim)))
    return transpose(x, order)


def expand_dims(x, axis):
    """Inserts an axis of size 1 at `axis`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.expand_dims(lm.ops.zeros((2, 3)), -1).shape
        (2, 3, 1)
    """
    x = tensor(x)
    shape = list(x.shape)
    shape.insert(axis_of("expand_dims", axis, x.ndim + 1), 1)
    return same_elements("expand_dims", x, shape)


def squeeze(x, axis=None):
    """Removes axes of size 1: all of them, or those named.

    Raises:
        ValueError: if a named axis is longer than 1.
    """
    x = tensor(x)
    if axis is None:
        drop = {i for i, n in enumerate(x.shape) if n == 1}
    else:
        drop = {axis_of("squeeze", a, x.ndim) for a in integers("squeeze", "axis", axis)}
        for a in drop:
            if x.shape[a] not in (1, None):
                raise ValueError(
                    f"[squeeze] only axes of size 1 can go. Received: axis={a} of size {x.shape[a]}, x.shape={x.shape}."
                )
    return same_elements("squeeze", x, [n for i, n in enumerate(x.shape) if i not in drop])


def same_elements(op, x, shape):
    """A reshape that may carry unknown sizes of a symbolic tensor."""
    if x._core.is_symbolic:
        return Tensor(_core.symbolic(tuple(shape), x.dtype), x._source)
    back = x.shape
    return record(op, _core.reshape(x._core, tuple(shape)), (x,), lambda dy: reshape(dy, back))


def getitem(x, index):
    """x[index] with integers, slices, `...` and None, as a view; an integer tensor or array picks along the first axis.

    Raises:
        IndexError: for positions out of range, too many indices, or an unsupported kind of index.
    """
    if isinstance(index, Tensor) or hasattr(index, "__array__") or isinstance(index, list):
        from .indexing import boolean_mask, take

        index = tensor(index)
        return boolean_mask(x, index) if index.dtype == "bool" else take(x, index, axis=0)
    x = tensor(x)
    items = index if isinstance(index, tuple) else (index,)
    given = sum(item is not None and item is not Ellipsis for item in items)
    if given > x.ndim:
        raise IndexError(f"[getitem] has too many indices. Received: {given} for a tensor of shape {x.shape}.")
    dots = sum(item is Ellipsis for item in items)
    if dots > 1:
        raise IndexError(f"[getitem] `...` may stand once. Received: {dots} of them.")
    if not dots:
        items = (*items, Ellipsis)
    core, shape, axis = x._core, [], 0
    cuts = []  # (axis, start, stop, step) of the view, before axes are dropped and added
    for item in items:
        if item is None:
            shape.append(1)
        elif item is Ellipsis:
            for _ in range(x.ndim - given):
                shape.append(core.shape[axis])
                axis += 1
        elif isinstance(item, slice):
            if core.shape[axis] is None:  # symbolic: what is left of it is unknown too
                shape.append(None)
                axis += 1
                continue
            try:
                cut = (axis, *item.indices(core.shape[axis]))
            except (TypeError, ValueError) as error:
                raise IndexError(f"[getitem] {error}. Received: {item}.") from None
            core = core.slice(*cut)
            cuts.append(cut)
            shape.append(core.shape[axis])
            axis += 1
        else:
            core, cut = _pick(core, axis, item)
            cuts.append(cut)
            axis += 1
    kept = core
    core = _reshape_view(core, tuple(shape))

    def grad(dy, back=x.shape, inner=kept.shape):
        return _scatter(dy, back, inner, cuts)

    return record("getitem", core, (x,), grad)


def _pick(core, axis, item):
    try:
        i = item.__index__()
    except (AttributeError, TypeError):
        raise IndexError(
            "[getitem] an index is an integer, slice, `...`, None, or one integer or bool tensor. "
            f"Received: {type(item).__name__}."
        ) from None
    n = core.shape[axis]
    if n is not None and not -n <= i < n:
        raise IndexError(f"[getitem] index is out of range. Received: index={i} for axis {axis} of size {n}.")
    cut = (axis, i % n if n else i, (i % n if n else i) + 1, 1)
    return core.slice(*cut), cut


def _reshape_view(core, shape):
    """Drops and adds axes of size 1 without moving anything."""
    return _core.symbolic(shape, core.dtype) if core.is_symbolic else _core.view_as(core, shape)


def _scatter(dy, shape, inner, cuts):
    """Zeros of `shape` with dy written where the cuts looked."""
    dx = _core.full(shape, 0.0, dy.dtype)
    view = dx
    for cut in cuts:
        view = view.slice(*cut)
    _core.assign(view, _core.reshape(dy._core, inner))

    def grad(ddx):
        index = [slice(None)] * len(shape)
        for axis, start, stop, step in cuts:
            index[axis] = slice(start, stop if stop >= 0 else None, step)
        return reshape(getitem(ddx, tuple(index)), dy.shape)

    return record("getitem_grad", dx, (dy,), grad)


def flatten(x):
    """All elements along one axis."""
    return reshape(x, (-1,))


def zeros(shape, dtype=None):
    """A tensor of zeros.

    Example:
        >>> import lamina as lm
        >>> lm.ops.zeros((2,)).numpy()
        array([0., 0.], dtype=float32)
    """
    return full(shape, 0.0, dtype)


def ones(shape, dtype=None):
    """A tensor of ones."""
    return full(shape, 1.0, dtype)


def full(shape, fill_value, dtype=None):
    """A tensor with one value everywhere.

    Args:
        shape: tuple of sizes >= 0, or one size.
        fill_value: number.
        dtype: element type, float32 by default.

    Raises:
        ValueError: for a negative size, an unknown dtype, or a value that is not a number.
        TypeError: for sizes that are not integers.

    Example:
        >>> import lamina as lm
        >>> lm.ops.full((2,), 7, dtype="int32").numpy()
        array([7, 7], dtype=int32)
    """
    shape = integers("full", "shape", shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"[full] shape must hold integers >= 0. Received: shape={shape}.")
    try:
        value = number("full", "fill_value", fill_value)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return Tensor(_core.full(shape, value, checked_dtype("float32" if dtype is None else dtype)))


def zeros_like(x, dtype=None):
    """Zeros of x's shape and type."""
    x = tensor(x)
    return full(x.shape, 0.0, x.dtype if dtype is None else dtype)


def ones_like(x, dtype=None):
    """Ones of x's shape and type."""
    x = tensor(x)
    return full(x.shape, 1.0, x.dtype if dtype is None else dtype)


def arange(start, stop=None, step=None, dtype=None):
    """Evenly spaced numbers in [start, stop), int32 (int64 for large ones) for integers and float32 otherwise.

    Example:
        >>> import lamina as lm
        >>> lm.ops.arange(3).numpy()
        array([0, 1, 2], dtype=int32)
    """
    import numpy as np

    from .common import cast, constant

    start = real("arange", "start", start)
    start, stop = (0, start) if stop is None else (start, real("arange", "stop", stop))
    step = 1 if step is None else real("arange", "step", step)
    if not step or not abs(count := (stop - start) / step) < 2.0**31:
        raise ValueError(
            "[arange] needs fewer than 2^31 numbers, a step that is not 0, and finite bounds. "
            f"Received: start={start!r}, stop={stop!r}, step={step!r}."
        )
    values = np.arange(start, stop, step) if count > 0 else np.arange(0, type(start + step)(0))
    whole = "int32" if max(abs(start), abs(stop)) < 2**31 else "int64"
    return cast(constant(values), dtype or ("float32" if values.dtype.kind == "f" else whole))


def eye(N, M=None, k=0, dtype=None):
    """A matrix [N, M] (M = N by default) with ones on its k-th diagonal, above the main one for k > 0."""
    import numpy as np

    from .common import cast, constant

    N = integer("eye", "N", N)
    M, k = N if M is None else integer("eye", "M", M), integer("eye", "k", k)
    zeros((N, M), "uint8")  # checks the sizes
    matrix = np.zeros((N, M), np.uint8)
    if -N < k < M:
        i = np.arange(max(0, -k), min(N, M - k))
        matrix[i, i + k] = 1
    return cast(constant(matrix), "float32" if dtype is None else dtype)


def linspace(start, stop, num=50, endpoint=True, *, dtype=None):
    """`num` evenly spaced numbers from start to stop, which is the last of them where endpoint is true."""
    import numpy as np

    from .common import cast, constant

    start, stop = number("linspace", "start", start), number("linspace", "stop", stop)
    num = integer("linspace", "num", num)
    if not 0 <= num < 2**31:
        raise ValueError(f"[linspace] num must be from 0 to 2^31 - 1. Received: num={num}.")
    values = np.linspace(start, stop, num, flag("linspace", "endpoint", endpoint))
    return cast(constant(values), "float32" if dtype is None else dtype)


def stop_gradient(variable):
    """The same values as a constant: no gradient passes."""
    return Tensor(tensor(variable)._core)


def shape(x):
    """The shape as a tuple; None where a symbolic tensor's size is unknown."""
    return tensor(x).shape


__all__ = [
    "arange",
    "broadcast_to",
    "expand_dims",
    "eye",
    "flatten",
    "full",
    "getitem",
    "linspace",
    "moveaxis",
    "ones",
    "ones_like",
    "reshape",
    "shape",
    "squeeze",
    "stop_gradient",
    "swapaxes",
    "transpose",
    "zeros",
    "zeros_like",
]
