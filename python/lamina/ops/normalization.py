"""Batch normalisation: one kernel launch forward, one backward."""

from __future__ import annotations

from .. import _core
from ..autograd import mode, record
from ..tensor import Tensor
from .arguments import number, one_axis
from .common import floating
from .elementwise import rsqrt
from .reduce import mean, sum
from .shape import reshape


def batch_normalization(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with statistics given per channel.

    Args:
        x: float tensor.
        mean: tensor of shape (channels,).
        variance: tensor of shape (channels,).
        axis: int, the channel axis of x.
        offset: tensor of shape (channels,), or None for 0.
        scale: tensor of shape (channels,), or None for 1.
        epsilon: float added to the variance.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: where a vector's shape or dtype does not fit x.

    Example:
        >>> import lamina as lm
        >>> lm.ops.batch_normalization([[3.0]], mean=[1.0], variance=[4.0], axis=-1, epsilon=0.0).numpy()
        array([[1.]], dtype=float32)
    """
    x, mean, variance, axis = floating(x), floating(mean), floating(variance), one_axis("batch_norm", axis)
    scale = None if scale is None else floating(scale)
    offset = None if offset is None else floating(offset)
    y, saved_mean, rstd = _core.batch_norm(
        x._core,
        _of(scale),
        _of(offset),
        mean._core,
        variance._core,
        axis,
        0.0,
        number("batch_norm", "epsilon", epsilon),
        False,
    )

    def grad(dy):
        if _recording(dy, x, scale, mean, variance):
            dx, dscale, doffset = _composed_given(dy, x, scale, mean, variance, axis, epsilon)
        else:
            cores = _core.batch_norm_grad(dy._core, x._core, _of(scale), saved_mean, rstd, axis, False)
            dx, dscale, doffset = map(Tensor, cores)
        # d/dmean = -sum(dy) scale rstd;  d/dvariance = -1/2 sum(dy xhat) scale rstd^2
        r = rsqrt(variance + epsilon)
        weight = r if scale is None else r * scale
        grads = [dx, -(doffset * weight), dscale * weight * r * -0.5]
        return _optional(grads, scale, dscale, offset, doffset)

    inputs = [x, mean, variance, *(t for t in (scale, offset) if t is not None)]
    saved = [x, mean, variance] + ([] if scale is None else [scale])
    return record("batch_norm", y, tuple(inputs), grad, saved=saved)


def batch_norm(x, moving_mean, moving_variance, gamma=None, beta=None, axis=-1, momentum=0.99, epsilon=1e-3):
    """Normalises each channel by the mean and (biased) variance of this batch.

    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta (Ioffe & Szegedy 2015, arXiv:1502.03167). In the same
    launch the moving statistics are written: moving = moving * momentum + statistic * (1 - momentum).

    Args:
        x: float tensor.
        moving_mean: Variable of shape (channels,), updated in place; or None.
        moving_variance: Variable of shape (channels,), updated in place; or None.
        gamma: tensor of shape (channels,), or None for 1.
        beta: tensor of shape (channels,), or None for 0.
        axis: int, the channel axis.
        momentum: float from 0 to 1.
        epsilon: float added to the variance.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: where a vector's shape or dtype does not fit x.

    Example:
        >>> import lamina as lm
        >>> lm.ops.batch_norm([[1.0], [3.0]], None, None, epsilon=0.0).numpy().ravel()
        array([-1.,  1.], dtype=float32)
    """
    x, axis = floating(x), one_axis("batch_norm", axis)
    gamma = None if gamma is None else floating(gamma)
    beta = None if beta is None else floating(beta)
    y, batch_mean, rstd = _core.batch_norm(
        x._core,
        _of(gamma),
        _of(beta),
        _of(moving_mean),
        _of(moving_variance),
        axis,
        number("batch_norm", "momentum", momentum),
        number("batch_norm", "epsilon", epsilon),
        True,
    )

    def grad(dy):
        if _recording(dy, x, gamma):
            dx, dgamma, dbeta = _composed_batch(dy, x, gamma, axis, epsilon)
        else:
            cores = _core.batch_norm_grad(dy._core, x._core, _of(gamma), batch_mean, rstd, axis, True)
            dx, dgamma, dbeta = map(Tensor, cores)
        return _optional([dx], gamma, dgamma, beta, dbeta)

    inputs = [x, *(t for t in (gamma, beta) if t is not None)]
    return record("batch_norm", y, tuple(inputs), grad, saved=[x] if gamma is None else [x, gamma])


def _of(t):
    if t is not None and not isinstance(t, Tensor):
        raise TypeError(
            "[batch_norm] moving_mean and moving_variance must be Variables, which are written in place, or None. "
            f"Received: {type(t).__name__}."
        )
    return None if t is None else t._core


def _recording(*tensors):
    return mode.enabled and any(t is not None and t._source is not None for t in tensors)


def _optional(grads, gamma, dgamma, beta, dbeta):
    if gamma is not None:
        grads.append(dgamma)
    if beta is not None:
        grads.append(dbeta)
    return tuple(grads)


def _per_channel(x, axis):
    """The other axes, and the shape that makes a (channels,) vector broadcast against x."""
    axis %= x.ndim
    others = tuple(i for i in range(x.ndim) if i != axis)
    return others, tuple(x.shape[i] if i == axis else 1 for i in range(x.ndim))


def _composed_given(dy, x, scale, mean, variance, axis, epsilon):
    others, shape = _per_channel(x, axis)
    r = rsqrt(variance + epsilon)
    xhat = (x - reshape(mean, shape)) * reshape(r, shape)
    dx = dy * reshape(r if scale is None else r * scale, shape)
    return dx, sum(dy * xhat, others), sum(dy, others)


def _composed_batch(dy, x, gamma, axis, epsilon):
    others, shape = _per_channel(x, axis)
    centred = x - mean(x, others, keepdims=True)
    r = rsqrt(mean(centred * centred, others, keepdims=True) + epsilon)
    xhat = centred * r
    g = dy - mean(dy, others, keepdims=True) - xhat * mean(dy * xhat, others, keepdims=True)
    dx = g * r if gamma is None else g * r * reshape(gamma, shape)
    return dx, sum(dy * xhat, others), sum(dy, others)
