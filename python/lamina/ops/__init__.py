"""Operations on tensors, under Keras 3's names. Importing this gives `Tensor` its operators."""

from ..tensor import Tensor
from . import attention, random, recurrent
from .adaptive_pooling import adaptive_average_pool, adaptive_max_pool
from .arithmetic import (
    add,
    divide,
    equal,
    floor_divide,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    mod,
    multiply,
    not_equal,
    power,
    subtract,
    where,
)
from .attention import dot_product_attention
from .common import broadcast_to, cast
from .convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from .convolution_nd import conv, depthwise_conv, separable_conv
from .convolution_transpose import conv_transpose
from .cross_entropy import binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy
from .cumulative import cumprod, cumsum
from .elementwise import (
    abs,
    ceil,
    clip,
    cos,
    elu,
    erf,
    exp,
    expm1,
    floor,
    gelu,
    hard_sigmoid,
    isfinite,
    isinf,
    isnan,
    leaky_relu,
    log,
    log1p,
    log_sigmoid,
    negative,
    reciprocal,
    relu,
    relu6,
    round,
    rsqrt,
    selu,
    sigmoid,
    sign,
    silu,
    sin,
    softplus,
    softsign,
    sqrt,
    square,
    tanh,
)
from .indexing import boolean_mask, one_hot, take, take_along_axis
from .joining import concatenate, flip, pad, repeat, split, stack, tile
from .layer_norm import group_norm, layer_normalization, moments, normalize, rms_normalization
from .linalg import dot, matmul, outer, vdot
from .normalization import batch_norm, batch_normalization
from .pooling import average_pool, max_pool
from .reduce import all, amax, amin, any, argmax, argmin, logsumexp, max, mean, min, prod, std, sum, var
from .shape import (
    arange,
    expand_dims,
    eye,
    flatten,
    full,
    getitem,
    linspace,
    moveaxis,
    ones,
    ones_like,
    reshape,
    shape,
    squeeze,
    stop_gradient,
    swapaxes,
    transpose,
    zeros,
    zeros_like,
)
from .softmax import log_softmax, softmax
from .sorting import argsort, bincount, digitize, in_top_k, searchsorted, sort, top_k

absolute = abs
true_divide = divide


def _attach():
    """The operators of Tensor, attached here so that the tensor need not import the ops."""

    def reflected(op):
        return lambda self, other: op(other, self)

    for name, op in {
        "add": add,
        "sub": subtract,
        "matmul": matmul,
        "mul": multiply,
        "truediv": divide,
        "floordiv": floor_divide,
        "mod": mod,
        "pow": power,
    }.items():
        setattr(Tensor, f"__{name}__", op)
        setattr(Tensor, f"__r{name}__", reflected(op))
    for name, op in {
        "eq": equal,
        "ne": not_equal,
        "lt": less,
        "le": less_equal,
        "gt": greater,
        "ge": greater_equal,
        "and": logical_and,
        "or": logical_or,
        "xor": logical_xor,
        "neg": negative,
        "abs": abs,
        "invert": logical_not,
        "getitem": getitem,
    }.items():
        setattr(Tensor, f"__{name}__", op)
    Tensor.reshape = lambda self, *newshape: reshape(
        self, newshape[0] if len(newshape) == 1 and not isinstance(newshape[0], int) else newshape
    )
    Tensor.astype = cast


_attach()
