"""TensorFlow's names for Lamina's objects: `import lamina.compat.tensorflow as tf`.

Only names: every class and function here is Lamina's own, or passes its arguments on in Lamina's order.
"""

from types import SimpleNamespace

import lamina as _lm
from lamina import GradientTape, Tensor, Variable, convert_to_tensor, losses, metrics, ops, optimizers
from lamina.data import AUTOTUNE, Dataset
from lamina.function import function

float16, bfloat16, float32, float64 = "float16", "bfloat16", "float32", "float64"
uint8, int8, int32, int64 = "uint8", "int8", "int32", "int64"
bool = "bool"
newaxis = None

keras = SimpleNamespace(
    Input=_lm.Input,
    Model=_lm.Model,
    Sequential=_lm.Sequential,
    activations=_lm.activations,
    callbacks=_lm.callbacks,
    datasets=_lm.datasets,
    initializers=_lm.initializers,
    layers=_lm.layers,
    losses=losses,
    metrics=metrics,
    models=_lm.models,
    ops=ops,
    optimizers=optimizers,
    regularizers=_lm.regularizers,
    utils=_lm.utils,
)
data = SimpleNamespace(AUTOTUNE=AUTOTUNE, Dataset=Dataset)
nn = SimpleNamespace(
    leaky_relu=ops.leaky_relu,
    log_softmax=ops.log_softmax,
    relu=ops.relu,
    sigmoid=ops.sigmoid,
    softmax=ops.softmax,
    softplus=ops.softplus,
    tanh=ops.tanh,
)
random = SimpleNamespace(normal=ops.random.normal, set_seed=_lm.utils.set_random_seed, uniform=ops.random.uniform)

abs, add, clip_by_value, divide, equal = ops.abs, ops.add, ops.clip, ops.divide, ops.equal
cast, concat, exp, expand_dims = ops.cast, ops.concatenate, ops.exp, ops.expand_dims
matmul, maximum, minimum, multiply = ops.matmul, ops.maximum, ops.minimum, ops.multiply
ones, ones_like, reshape, sigmoid = ops.ones, ops.ones_like, ops.reshape, ops.sigmoid
sqrt, square, squeeze, stack, subtract = ops.sqrt, ops.square, ops.squeeze, ops.stack, ops.subtract
tanh, transpose, where, zeros, zeros_like = ops.tanh, ops.transpose, ops.where, ops.zeros, ops.zeros_like
one_hot, pow, stop_gradient = ops.one_hot, ops.power, ops.stop_gradient
reduce_max, reduce_mean, reduce_min, reduce_sum = ops.max, ops.mean, ops.min, ops.sum


def argmax(input, axis=0, output_type=int64):
    """Index of the largest value along an axis, by default the first, as in TensorFlow.

    Example:
        >>> import lamina.compat.tensorflow as tf
        >>> tf.argmax([[1.0, 5.0], [2.0, 3.0]]).numpy().tolist()
        [1, 0]
    """
    return cast(ops.argmax(input, axis=axis), output_type)


def constant(value, dtype=None, shape=None):
    """A tensor of fixed values.

    Example:
        >>> import lamina.compat.tensorflow as tf
        >>> tf.constant([1.0, 2.0]).shape
        (2,)
    """
    tensor = convert_to_tensor(value, dtype)
    if shape is None:
        return tensor
    return ops.broadcast_to(tensor, shape) if tensor.size == 1 else reshape(tensor, shape)


__all__ = [
    "GradientTape",
    "Tensor",
    "Variable",
    "convert_to_tensor",
    "data",
    "function",
    "keras",
    "losses",
    "metrics",
    "nn",
    "optimizers",
    "random",
]
