"""Random tensors.

`seed` is everywhere an int (the same values on every call), a SeedGenerator (moves on with each call), or None (the
global generator, see `set_random_seed`).
"""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..random_state import SeedGenerator, generator_of
from ..tensor import FLOATING, Tensor, checked_dtype
from .arguments import integer, integers, number
from .common import cast, floating, tensor
from .elementwise import log
from .indexing import take
from .reduce import argmax
from .shape import axis_of, expand_dims, zeros_like


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Uniform numbers in [minval, maxval).

    Args:
        shape: tuple of sizes.
        minval: lowest value.
        maxval: bound above.
        dtype: `"float32"` (the default) or another float type; integers as in `randint`.
        seed: int, SeedGenerator or None.

    Returns:
        Tensor of that shape.

    Raises:
        ValueError: if minval > maxval.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.random.uniform((1000,), seed=0).numpy()
        >>> bool(0 <= x.min() and x.max() < 1)
        True
    """
    dtype = checked_dtype("float32" if dtype is None else dtype)
    if dtype.startswith(("int", "uint")):
        return randint(shape, minval, maxval, dtype, seed)
    return _floats(
        _core.random_uniform,
        shape,
        number("uniform", "minval", minval),
        number("uniform", "maxval", maxval),
        dtype,
        seed,
    )


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers (Box-Muller).

    Args:
        shape: tuple of sizes.
        mean: float.
        stddev: float.
        dtype: `"float32"` (the default) or another float type.
        seed: int, SeedGenerator or None.

    Example:
        >>> import lamina as lm
        >>> abs(float(lm.ops.random.normal((10000,), seed=0).numpy().mean())) < 0.05
        True
    """
    mean, stddev = number("normal", "mean", mean), number("normal", "stddev", stddev)
    return _floats(_core.random_normal, shape, mean, stddev, dtype, seed)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers, drawn again where they fall more than two stddev from the mean.

    Arguments as in `normal`.

    Example:
        >>> import lamina as lm
        >>> bool(abs(lm.ops.random.truncated_normal((1000,), seed=0).numpy()).max() <= 2)
        True
    """
    mean, stddev = number("truncated_normal", "mean", mean), number("truncated_normal", "stddev", stddev)
    return _floats(_core.random_truncated_normal, shape, mean, stddev, dtype, seed)


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Uniform integers in [minval, maxval).

    Example:
        >>> import lamina as lm
        >>> set(lm.ops.random.randint((100,), 0, 3, seed=0).numpy().tolist())
        {0, 1, 2}
    """
    dtype = checked_dtype(dtype)
    kind = dtype if dtype in ("int32", "int64") else "int32"
    low, high = (_whole("randint", n, v) for n, v in (("minval", minval), ("maxval", maxval)))
    if dtype in ("uint8", "int8") and not (-128 if dtype == "int8" else 0) <= low < high <= (
        128 if dtype == "int8" else 256
    ):
        raise ValueError(
            f"[randint] needs minval < maxval in the range of {dtype}. Received: minval={low}, maxval={high}."
        )
    y = _draw(seed, lambda state: _core.random_integers(state, _shape(shape), kind, low, high))
    return cast(y, dtype)


def bernoulli(shape, p=0.5, dtype="bool", seed=None):
    """True (1) with probability p.

    Raises:
        ValueError: if p is not from 0 to 1.

    Example:
        >>> import lamina as lm
        >>> bool(lm.ops.random.bernoulli((4,), 1.0).numpy().all())
        True
    """
    p, dtype = number("bernoulli", "p", p), checked_dtype(dtype)
    return cast(_draw(seed, lambda state: _core.random_bernoulli(state, _shape(shape), p)), dtype)


def permutation(n, seed=None):
    """0 .. n-1 in random order, int64.

    Example:
        >>> import lamina as lm
        >>> sorted(lm.ops.random.permutation(4, seed=0).numpy().tolist())
        [0, 1, 2, 3]
    """
    n = integer("permutation", "n", n)
    return _draw(seed, lambda state: _core.random_permutation(state, n))


def shuffle(x, axis=0, seed=None):
    """x with its slices along `axis` in random order.

    Example:
        >>> import lamina as lm
        >>> sorted(lm.ops.random.shuffle([1, 2, 3], seed=0).numpy().tolist())
        [1, 2, 3]
    """
    x = tensor(x)
    axis = axis_of("shuffle", axis, x.ndim)
    return take(x, permutation(x.shape[axis], seed), axis)


def categorical(logits, num_samples, dtype="int32", seed=None):
    """Draws classes with probabilities softmax(logits): the largest of logits plus Gumbel noise (1954).

    Args:
        logits: float tensor of shape (batch, classes).
        num_samples: int, draws per row.
        dtype: integer type of the result.
        seed: int, SeedGenerator or None.

    Returns:
        Integer tensor of shape (batch, num_samples).

    Example:
        >>> import lamina as lm
        >>> lm.ops.random.categorical([[0.0, -1e9]], 3).numpy()
        array([[0, 0, 0]], dtype=int32)
    """
    logits = floating(logits)
    if logits.ndim != 2:
        raise ValueError(f"[categorical] needs logits of shape (batch, classes). Received: shape={logits.shape}.")
    batch, classes = logits.shape
    num_samples = integer("categorical", "num_samples", num_samples)
    u = uniform((batch, num_samples, classes), 1e-30, 1.0, logits.dtype, seed)
    return cast(argmax(expand_dims(logits, 1) - log(-log(u)), axis=-1), dtype)


def dropout(inputs, rate, noise_shape=None, seed=None):
    """Sets elements to 0 with probability `rate` and scales the others by 1 / (1 - rate).

    Srivastava et al. 2014, JMLR 15.

    Args:
        inputs: float tensor.
        rate: float from 0 to 1.
        noise_shape: tuple that broadcasts against the inputs' shape: elements that share a place in it share
            their fate; None in it is the input's size.
        seed: int, SeedGenerator or None.

    Returns:
        Tensor of the inputs' shape.

    Raises:
        ValueError: if rate is not from 0 to 1.

    Example:
        >>> import lamina as lm
        >>> sorted(set(lm.ops.random.dropout(lm.ops.ones((100,)), 0.5, seed=0).numpy().tolist()))
        [0.0, 2.0]
    """
    x, rate = floating(inputs), number("dropout", "rate", rate)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"[dropout] rate must be from 0 to 1. Received: rate={rate}.")
    if rate == 0.0 or x._core.is_symbolic:
        return x
    if rate == 1.0:
        return zeros_like(x)
    if noise_shape is not None:
        shape = tuple(
            n if m is None else m for m, n in zip(integers("dropout", "noise_shape", noise_shape, True), x.shape)
        )
        return x * (bernoulli(shape, 1.0 - rate, x.dtype, seed) * (1.0 / (1.0 - rate)))
    y, drawn = _drawn(seed, lambda state: _core.dropout(x._core, state, rate))
    return record("dropout", y, (x,), lambda dy: _dropout_grad(dy, drawn, rate))


def _dropout_grad(dy, drawn, rate):
    """The forward call's mask and scale on another tensor: a linear map that is its own transpose."""
    return record(
        "dropout_grad",
        _core.dropout_grad(dy._core, drawn, rate),
        (dy,),
        lambda ddy: _dropout_grad(ddy, drawn, rate),
    )


def _draw(seed, kernel):
    return Tensor(_drawn(seed, kernel))


def _drawn(seed, kernel):
    """What kernel(state) gives; moves a generator on. A number as seed stands for the same values at every call."""
    state = generator_of(seed).state._core
    y = kernel(state)
    if seed is None or isinstance(seed, SeedGenerator):
        _core.random_advance(state, 1)
    return y


def _floats(kernel, shape, a, b, dtype, seed):
    dtype = checked_dtype("float32" if dtype is None else dtype)
    if dtype not in FLOATING:
        raise ValueError(f"[random] dtype must be a floating type. Received: dtype={dtype!r}.")
    kind = "float64" if dtype == "float64" else "float32"
    return cast(_draw(seed, lambda state: kernel(state, _shape(shape), kind, a, b)), dtype)


def _shape(shape):
    return integers("random", "shape", shape)


def _whole(op, name, value):
    """An int in the range of int64; whole floats count, as in Keras."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    value = integer(op, name, value)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"[{op}] {name} must fit int64. Received: {name}={value}.")
    return value
