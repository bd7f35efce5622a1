"""Functions of one tensor, element by element: each with its gradient.

All take a tensor (or array, list, number) of any shape and return a tensor of that shape. Integers become float32,
except in `abs`, `negative`, `relu`, `relu6`, `round`, `sign` and `square`, which keep them. Second derivatives use
the composed form beside each function.
"""

from __future__ import annotations

from .. import _core
from ..autograd import fused_grad, record
from ..tensor import FLOATING, Tensor
from .arguments import flag, number
from .arithmetic import logical_not, maximum, minimum, not_equal, where
from .common import floating, tensor, unary


def _zero(dy, x):
    return dy * 0.0


def abs(x):
    """Absolute value; the gradient at 0 is 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.abs([-1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
    """
    return unary("abs", tensor(x), _core.abs, _core.abs_grad, lambda dy, x: dy * sign(x))


def ceil(x):
    """Smallest integer >= x, as a float; its gradient is 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.ceil([1.5]).numpy()
        array([2.], dtype=float32)
    """
    return unary("ceil", floating(x), _core.ceil, _core.ceil_grad, _zero)


def cos(x):
    """Cosine of x in radians.

    Example:
        >>> import lamina as lm
        >>> lm.ops.cos([0.0]).numpy()
        array([1.], dtype=float32)
    """
    return unary("cos", floating(x), _core.cos, _core.cos_grad, lambda dy, x: -(dy * sin(x)))


def erf(x):
    """Error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to x.

    Example:
        >>> import lamina as lm
        >>> lm.ops.erf([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return unary("erf", floating(x), _core.erf, _core.erf_grad, lambda dy, x: dy * (exp(-(x * x)) * 1.1283791670955126))


def exp(x):
    """e to the power x.

    Example:
        >>> import lamina as lm
        >>> lm.ops.exp([0.0]).numpy()
        array([1.], dtype=float32)
    """
    return unary("exp", floating(x), _core.exp, _core.exp_grad, lambda dy, y: dy * y, from_output=True)


def expm1(x):
    """exp(x) - 1, accurate near 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.expm1([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return unary("expm1", floating(x), _core.expm1, _core.expm1_grad, lambda dy, y: dy * (y + 1.0), from_output=True)


def floor(x):
    """Largest integer <= x, as a float; its gradient is 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.floor([1.5]).numpy()
        array([1.], dtype=float32)
    """
    return unary("floor", floating(x), _core.floor, _core.floor_grad, _zero)


def log(x):
    """Natural logarithm; log(0) is -inf, of a negative number NaN.

    Example:
        >>> import lamina as lm
        >>> lm.ops.log([1.0]).numpy()
        array([0.], dtype=float32)
    """
    return unary("log", floating(x), _core.log, _core.log_grad, lambda dy, x: dy / x)


def log1p(x):
    """log(1 + x), accurate near 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.log1p([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return unary("log1p", floating(x), _core.log1p, _core.log1p_grad, lambda dy, x: dy / (x + 1.0))


def negative(x):
    """-x.

    Example:
        >>> import lamina as lm
        >>> lm.ops.negative([1.0, -2.0]).numpy()
        array([-1.,  2.], dtype=float32)
    """
    return unary("negative", tensor(x), _core.negative, _core.negative_grad, lambda dy, x: negative(dy))


def reciprocal(x):
    """1 / x.

    Example:
        >>> import lamina as lm
        >>> lm.ops.reciprocal([4.0]).numpy()
        array([0.25], dtype=float32)
    """
    return unary(
        "reciprocal",
        floating(x),
        _core.reciprocal,
        _core.reciprocal_grad,
        lambda dy, y: -(dy * (y * y)),
        from_output=True,
    )


def relu(x):
    """max(x, 0); the gradient at 0 is 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.relu([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """
    return unary(
        "relu", tensor(x), _core.relu, _core.relu_grad, lambda dy, y: where(y > 0.0, dy, 0.0), from_output=True
    )


def round(x):
    """The nearest integer, halves to even, of x's type; its gradient is 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.round([0.5, 1.5]).numpy()
        array([0., 2.], dtype=float32)
    """
    x = tensor(x)
    if x.dtype not in FLOATING and x.dtype != "bool":
        return Tensor(x._core)
    return unary("round", floating(x), _core.round, _core.round_grad, _zero)


def rsqrt(x):
    """1 / sqrt(x).

    Example:
        >>> import lamina as lm
        >>> lm.ops.rsqrt([4.0]).numpy()
        array([0.5], dtype=float32)
    """
    return unary(
        "rsqrt", floating(x), _core.rsqrt, _core.rsqrt_grad, lambda dy, y: dy * -0.5 * (y * y * y), from_output=True
    )


def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow at either end.

    Example:
        >>> import lamina as lm
        >>> lm.ops.sigmoid([0.0]).numpy()
        array([0.5], dtype=float32)
    """
    return unary(
        "sigmoid", floating(x), _core.sigmoid, _core.sigmoid_grad, lambda dy, y: dy * (y * (1.0 - y)), from_output=True
    )


def sign(x):
    """-1, 0 or 1 by the sign of x; its gradient is 0.

    Example:
        >>> import lamina as lm
        >>> lm.ops.sign([-3.0, 0.0]).numpy()
        array([-1.,  0.], dtype=float32)
    """
    return unary("sign", tensor(x), _core.sign, _core.sign_grad, _zero)


def sin(x):
    """Sine of x in radians.

    Example:
        >>> import lamina as lm
        >>> lm.ops.sin([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return unary("sin", floating(x), _core.sin, _core.sin_grad, lambda dy, x: dy * cos(x))


def softplus(x):
    """log(1 + exp(x)), without overflow.

    Example:
        >>> import lamina as lm
        >>> lm.ops.softplus([0.0]).numpy()
        array([0.6931472], dtype=float32)
    """
    return unary("softplus", floating(x), _core.softplus, _core.softplus_grad, lambda dy, x: dy * sigmoid(x))


def sqrt(x):
    """Square root; of a negative number NaN.

    Example:
        >>> import lamina as lm
        >>> lm.ops.sqrt([4.0]).numpy()
        array([2.], dtype=float32)
    """
    return unary("sqrt", floating(x), _core.sqrt, _core.sqrt_grad, lambda dy, y: dy * 0.5 / y, from_output=True)


def square(x):
    """x * x.

    Example:
        >>> import lamina as lm
        >>> lm.ops.square([3.0]).numpy()
        array([9.], dtype=float32)
    """
    return unary("square", tensor(x), _core.square, _core.square_grad, lambda dy, x: dy * (x * 2.0))


def tanh(x):
    """Hyperbolic tangent.

    Example:
        >>> import lamina as lm
        >>> lm.ops.tanh([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return unary("tanh", floating(x), _core.tanh, _core.tanh_grad, lambda dy, y: dy * (1.0 - y * y), from_output=True)


def leaky_relu(x, negative_slope=0.2):
    """x where positive, else negative_slope * x.

    Args:
        x: tensor.
        negative_slope: float, slope on the negative side.

    Example:
        >>> import lamina as lm
        >>> lm.ops.leaky_relu([-1.0, 2.0]).numpy()
        array([-0.2,  2. ], dtype=float32)
    """
    return _with_alpha(
        "leaky_relu",
        floating(x),
        negative_slope,
        _core.leaky_relu,
        _core.leaky_relu_grad,
        lambda dy, x: where(x > 0.0, dy, dy * negative_slope),
    )


def elu(x, alpha=1.0):
    """x where positive, else alpha * (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289.

    Args:
        x: tensor.
        alpha: float, minus the limit at -infinity.

    Example:
        >>> import lamina as lm
        >>> lm.ops.elu([0.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """
    return _with_alpha(
        "elu",
        floating(x),
        alpha,
        _core.elu,
        lambda dy, x, alpha: _core.elu_grad(dy, _core.elu(x, alpha), alpha),
        lambda dy, x: where(x > 0.0, dy, dy * exp(minimum(x, 0.0)) * alpha),
    )


def _with_alpha(op, x, alpha, kernel, kernel_grad, composed):
    name = "negative_slope" if op == "leaky_relu" else "alpha"
    alpha = number(op, name, alpha)
    core = kernel(x._core, alpha)
    return record(
        op,
        core,
        (x,),
        lambda dy: fused_grad(lambda dy, x: kernel_grad(dy, x, alpha), composed, dy, x),
        saved=(x,),
    )


def clip(x, x_min, x_max):
    """x limited to [x_min, x_max].

    Example:
        >>> import lamina as lm
        >>> lm.ops.clip([-1.0, 0.5, 3.0], 0.0, 1.0).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    return minimum(maximum(tensor(x), x_min), x_max)


def silu(x):
    """x * sigmoid(x), also called swish. Elfwing et al. 2017, arXiv:1702.03118."""
    x = floating(x)
    return x * sigmoid(x)


def gelu(x, approximate=True):
    """x times the normal distribution function at x. Hendrycks & Gimpel 2016, arXiv:1606.08415.

    Args:
        x: tensor.
        approximate: use the tanh form, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), as Keras does.
    """
    x = floating(x)
    if flag("gelu", "approximate", approximate):

        def composed(dy, x):  # y = x s, s = sigmoid(2 u)
            u2 = (x + x * x * x * 0.044715) * 1.5957691216057308
            s = sigmoid(u2)
            return dy * (s + x * s * (1.0 - s) * (x * x * 0.134145 + 1.0) * 1.5957691216057308)

        return unary("gelu", x, _core.gelu_tanh, _core.gelu_tanh_grad, composed)

    def composed(dy, x):
        density = exp(x * x * -0.5) * 0.3989422804014327
        return dy * ((erf(x * 0.7071067811865476) + 1.0) * 0.5 + x * density)

    return unary("gelu", x, _core.gelu, _core.gelu_grad, composed)


def selu(x):
    """Scaled ELU with the constants of Klambauer et al. 2017, arXiv:1706.02515."""
    scale, bottom = 1.0507009873554805, 1.0507009873554805 * 1.6732632423543772

    def composed(dy, y):
        return where(y > 0.0, dy * scale, dy * (y + bottom))

    return unary("selu", floating(x), _core.selu, _core.selu_grad, composed, from_output=True)


def softsign(x):
    """x / (1 + |x|)."""
    x = floating(x)
    return x / (abs(x) + 1.0)


def hard_sigmoid(x):
    """0 below -3, 1 above 3, x / 6 + 0.5 between."""
    return clip(floating(x) * (1.0 / 6.0) + 0.5, 0.0, 1.0)


def log_sigmoid(x):
    """log(sigmoid(x)), without overflow."""
    return -softplus(-floating(x))


def relu6(x):
    """min(max(x, 0), 6)."""
    return minimum(relu(x), 6)


def isnan(x):
    """True where x is NaN."""
    x = tensor(x)
    return not_equal(x, x)


def isfinite(x):
    """True where x is neither NaN nor infinite."""
    return abs(floating(x)) < float("inf")


def isinf(x):
    """True where x is plus or minus infinity."""
    return logical_not(abs(floating(x)) != float("inf"))
