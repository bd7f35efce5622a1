"""What op functions share: operands, and the two elementwise patterns."""

from __future__ import annotations

from .. import _core
from ..autograd import fused_grad, record
from ..tensor import FLOATING, Tensor, checked_dtype, convert_to_tensor
from ..thread_state import init_scope
from .arguments import integers


def tensor(x):
    """x as a Tensor."""
    return x if isinstance(x, Tensor) else convert_to_tensor(x)


def constant(values, dtype=None):
    """Values that depend on nothing but sizes, as a Tensor; a captured step keeps them."""
    with init_scope():
        return convert_to_tensor(values, dtype)


def floating(x):
    """x as a floating Tensor; integers become float32, as in Keras."""
    x = tensor(x)
    if x._core.dtype in FLOATING:
        return x
    return Tensor(_core.cast(x._core, "float32"))


def operands(x1, x2):
    """Two operands of one op. Python numbers are weak: they take the other operand's type where it can hold them."""
    if not isinstance(x1, Tensor):
        x1 = _weak(x1, x2) if isinstance(x1, (int, float)) and isinstance(x2, Tensor) else convert_to_tensor(x1)
    if not isinstance(x2, Tensor):
        x2 = _weak(x2, x1) if isinstance(x2, (int, float)) else convert_to_tensor(x2)
    return x1, x2


_RANGES = {"uint8": (0, 2**8), "int8": (-(2**7), 2**7), "int32": (-(2**31), 2**31)}


def _weak(number, other):
    dtype = other._core.dtype
    if dtype not in FLOATING:
        if isinstance(number, float):
            dtype = "float32"
        elif dtype == "bool" and not isinstance(number, bool):
            dtype = "int32"
        low, high = _RANGES.get(dtype, (-(2**63), 2**63))
        if isinstance(number, int) and not low <= number < high:
            dtype = "int32" if -(2**31) <= number < 2**31 else "int64"
        if isinstance(number, int) and not -(2**63) <= number < 2**63:
            raise ValueError(f"[convert_to_tensor] an integer must fit 64 bits. Received: value={number}.")
    return Tensor(_core.scalar(number, dtype))


def sum_to(x, shape):
    """Sums away what broadcasting added: the gradient of broadcasting to x's shape from `shape`."""
    if x._core.shape == shape:
        return x
    if x._core.dtype in ("float16", "bfloat16"):
        return cast(sum_to(cast(x, "float32"), shape), x._core.dtype)
    return record("sum_to", _core.sum_to(x._core, shape), (x,), lambda dy, full=x.shape: broadcast_to(dy, full))


def broadcast_to(x, shape):
    """Repeats axes of size 1 up to `shape` (NumPy's rule).

    Args:
        x: tensor.
        shape: tuple of sizes.

    Returns:
        Tensor that shares x's memory.

    Raises:
        ValueError: where an axis is neither equal nor 1.

    Example:
        >>> import lamina as lm
        >>> lm.ops.broadcast_to(lm.convert_to_tensor([[1], [2]]), (2, 3)).shape
        (2, 3)
    """
    x = tensor(x)
    return record(
        "broadcast_to",
        x._core.expand(integers("broadcast_to", "shape", shape, unknown=True)),
        (x,),
        lambda dy, back=x.shape: sum_to(dy, back),
    )


def binary(op, kernel, x1, x2, grad):
    """One broadcasting op of two tensors; grad(dy, x1, x2) gives both gradients in the output's shape."""
    if not (isinstance(x1, Tensor) and isinstance(x2, Tensor)):
        x1, x2 = operands(x1, x2)
    if x1._source is None and x2._source is None:
        return Tensor(kernel(x1._core, x2._core))
    core1, core2 = x1._core, x2._core
    y = kernel(core1, core2)
    if grad is None:
        return Tensor(y)
    if _core.same_meta(core1, core2):
        return record(op, y, (x1, x2), lambda dy: grad(dy, x1, x2), saved=(x1, x2))
    if core1.dtype != core2.dtype:
        return binary(op, kernel, cast(x1, y.dtype), cast(x2, y.dtype), grad)
    shape1, shape2 = core1.shape, core2.shape

    def backward(dy):
        g1, g2 = grad(dy, x1, x2)
        return (
            None if x1._source is None or g1 is None else sum_to(g1, shape1),
            None if x2._source is None or g2 is None else sum_to(g2, shape2),
        )

    return record(op, y, (x1, x2), backward, saved=(x1, x2))


def unary(op, x, kernel, kernel_grad, composed, from_output=False):
    """One elementwise function; its gradient kernel and composed form take (dy, x), or (dy, y) with from_output."""
    core = kernel(x._core)
    if x._source is None:
        return Tensor(core)
    if from_output:
        return record(op, core, (x,), lambda dy, y: fused_grad(kernel_grad, composed, dy, y), output=True)
    return record(op, core, (x,), lambda dy: fused_grad(kernel_grad, composed, dy, x), saved=(x,))


def cast(x, dtype):
    """Converts the element type.

    Args:
        x: tensor.
        dtype: name such as `"float32"`. Floats to integers truncate toward zero and saturate; NaN gives 0.

    Returns:
        Tensor; x itself where it has that type.

    Example:
        >>> import lamina as lm
        >>> lm.ops.cast(lm.convert_to_tensor([1.7, -1.7]), "int32").numpy()
        array([ 1, -1], dtype=int32)
    """
    x, dtype = tensor(x), checked_dtype(dtype)
    before = x._core.dtype
    if before == dtype:
        return x
    core = _core.cast(x._core, dtype)
    if before not in FLOATING or dtype not in FLOATING:
        return Tensor(core)
    return record("cast", core, (x,), lambda dy: cast(dy, before))
