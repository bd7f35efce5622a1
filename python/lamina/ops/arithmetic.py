"""Arithmetic and comparison of two tensors with NumPy broadcasting: each op with its gradient.

Types meet by Keras' promotion table; Python numbers take the other operand's type.
"""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..tensor import Tensor
from .common import binary, cast, operands, sum_to, tensor


def _both(dy):
    return dy, dy


def add(x1, x2):
    """x1 + x2.

    Args:
        x1, x2: tensors or numbers whose shapes broadcast.

    Returns:
        Tensor of the broadcast shape and promoted type.

    Raises:
        ValueError: if the shapes do not broadcast.

    Example:
        >>> import lamina as lm
        >>> lm.ops.add(lm.convert_to_tensor([1, 2]), 1).numpy()
        array([2, 3], dtype=int32)
    """
    if not (isinstance(x1, Tensor) and isinstance(x2, Tensor)):
        x1, x2 = operands(x1, x2)
    core1, core2 = x1._core, x2._core
    y = _core.add(core1, core2)
    if x1._source is None and x2._source is None:
        return Tensor(y)
    if _core.same_meta(core1, core2):
        return record("add", y, (x1, x2), _both)
    if core1.dtype != core2.dtype:
        return add(cast(x1, Tensor(y).dtype), cast(x2, Tensor(y).dtype))
    # Addition needs no values: the shapes are all its gradient keeps.
    shape1, shape2 = core1.shape, core2.shape
    return record("add", y, (x1, x2), lambda dy: (sum_to(dy, shape1), sum_to(dy, shape2)))


def subtract(x1, x2):
    """x1 - x2, broadcast. Shapes, types and errors as in `add`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.subtract(3.0, lm.convert_to_tensor([1.0])).numpy()
        array([2.], dtype=float32)
    """
    return binary("subtract", _core.subtract, x1, x2, lambda dy, x1, x2: (dy, -dy))


def multiply(x1, x2):
    """x1 * x2, broadcast. Shapes, types and errors as in `add`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.multiply(lm.convert_to_tensor([1.0, 2.0]), 3).numpy()
        array([3., 6.], dtype=float32)
    """
    return binary(
        "multiply",
        _core.multiply,
        x1,
        x2,
        lambda dy, x1, x2: (
            dy * x2 if x1._source is not None else None,
            dy * x1 if x2._source is not None else None,
        ),
    )


def divide(x1, x2):
    """x1 / x2, broadcast; integers give float32. Shapes and errors as in `add`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.divide(lm.convert_to_tensor([1, 2]), 4).numpy()
        array([0.25, 0.5 ], dtype=float32)
    """
    return binary(
        "divide",
        _core.divide,
        x1,
        x2,
        lambda dy, x1, x2: (dy / x2, -(dy * x1) / (x2 * x2) if x2._source is not None else None),
    )


def floor_divide(x1, x2):
    """The quotient rounded toward minus infinity, broadcast; no gradient.

    Example:
        >>> import lamina as lm
        >>> lm.ops.floor_divide(lm.convert_to_tensor([-3, 3]), 2).numpy()
        array([-2,  1], dtype=int32)
    """
    return binary("floor_divide", _core.floor_divide, x1, x2, None)


def mod(x1, x2):
    """The remainder with the sign of x2, broadcast.

    Example:
        >>> import lamina as lm
        >>> lm.ops.mod(lm.convert_to_tensor([-3, 3]), 2).numpy()
        array([1, 1], dtype=int32)
    """
    return binary("mod", _core.mod, x1, x2, lambda dy, x1, x2: (dy, -dy * floor_divide(x1, x2)))


def power(x1, x2):
    """x1 to the power x2, broadcast. Negative integer powers of integers give 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.power(lm.convert_to_tensor([2.0, 3.0]), 2).numpy()
        array([4., 9.], dtype=float32)
    """

    def grad(dy, x1, x2):
        from .elementwise import log

        g1 = dy * x2 * power(x1, x2 - 1.0) if x1._source is not None else None
        if x2._source is None:
            return g1, None
        # The derivative in the exponent, 0 at x1 = 0 as in TensorFlow.
        safe = where(x1 > 0.0, x1, 1.0)
        return g1, dy * power(x1, x2) * log(safe)

    return binary("power", _core.power, x1, x2, grad)


def maximum(x1, x2):
    """The larger of both, broadcast; NaN in either gives NaN. Ties send the gradient to x1, as in TensorFlow.

    Example:
        >>> import lamina as lm
        >>> lm.ops.maximum(lm.convert_to_tensor([1.0, 3.0]), 2).numpy()
        array([2., 3.], dtype=float32)
    """
    return binary("maximum", _core.maximum, x1, x2, lambda dy, x1, x2: _chosen(dy, x1 >= x2))


def minimum(x1, x2):
    """The smaller of both, broadcast; NaN in either gives NaN. Ties send the gradient to x1, as in TensorFlow.

    Example:
        >>> import lamina as lm
        >>> lm.ops.minimum(lm.convert_to_tensor([1.0, 3.0]), 2).numpy()
        array([1., 2.], dtype=float32)
    """
    return binary("minimum", _core.minimum, x1, x2, lambda dy, x1, x2: _chosen(dy, x1 <= x2))


def _chosen(dy, first):
    return where(first, dy, 0.0), where(first, 0.0, dy)


def equal(x1, x2):
    """x1 == x2 as bool, broadcast. `not_equal`, `less`, `less_equal`, `greater`, `greater_equal` likewise.

    Example:
        >>> import lamina as lm
        >>> lm.ops.equal(lm.convert_to_tensor([1, 2]), 2).numpy()
        array([False,  True])
    """
    return _compare(_core.equal, x1, x2)


def not_equal(x1, x2):
    """x1 != x2 as bool, broadcast."""
    return _compare(_core.not_equal, x1, x2)


def less(x1, x2):
    """x1 < x2 as bool, broadcast."""
    return _compare(_core.less, x1, x2)


def less_equal(x1, x2):
    """x1 <= x2 as bool, broadcast."""
    return _compare(_core.less_equal, x1, x2)


def greater(x1, x2):
    """x1 > x2 as bool, broadcast."""
    return _compare(_core.greater, x1, x2)


def greater_equal(x1, x2):
    """x1 >= x2 as bool, broadcast."""
    return _compare(_core.greater_equal, x1, x2)


def _compare(kernel, x1, x2):
    x1, x2 = operands(x1, x2)
    return Tensor(kernel(x1._core, x2._core))


def logical_and(x1, x2):
    """True where both are non-zero, broadcast.

    Example:
        >>> import lamina as lm
        >>> lm.ops.logical_and(lm.convert_to_tensor([True, False]), True).numpy()
        array([ True, False])
    """
    return Tensor(_core.multiply(cast(x1, "bool")._core, cast(x2, "bool")._core))


def logical_or(x1, x2):
    """True where either is non-zero, broadcast."""
    return Tensor(_core.add(cast(x1, "bool")._core, cast(x2, "bool")._core))


def logical_xor(x1, x2):
    """True where exactly one is non-zero, broadcast."""
    return Tensor(_core.not_equal(cast(x1, "bool")._core, cast(x2, "bool")._core))


def logical_not(x):
    """True where x is zero."""
    return Tensor(_core.equal(cast(x, "bool")._core, _core.scalar(False, "bool")))


def where(condition, x1, x2):
    """x1 where condition is true, else x2; all three broadcast.

    Args:
        condition: bool tensor (numbers count as true where non-zero).
        x1, x2: tensors or numbers.

    Returns:
        Tensor of the broadcast shape and promoted type.

    Example:
        >>> import lamina as lm
        >>> lm.ops.where(lm.convert_to_tensor([True, False]), 1.0, 2.0).numpy()
        array([1., 2.], dtype=float32)
    """
    c = cast(tensor(condition), "bool")
    x1, x2 = operands(x1, x2)
    core1, core2 = x1._core, x2._core
    y = _core.where(c._core, core1, core2)
    if x1._source is None and x2._source is None:
        return Tensor(y)
    if core1.dtype != core2.dtype:
        return where(c, cast(x1, y.dtype), cast(x2, y.dtype))
    shape1, shape2 = core1.shape, core2.shape

    def grad(dy):
        return sum_to(where(c, dy, 0.0), shape1), sum_to(where(c, 0.0, dy), shape2)

    return record("where", y, (x1, x2), grad, saved=(c,))
