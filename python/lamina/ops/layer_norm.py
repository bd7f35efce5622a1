"""Layer, RMS, group and unit normalisation: per sample, with no moving statistics."""

from __future__ import annotations

from .. import _core
from ..autograd import mode, record
from ..tensor import Tensor
from .arguments import axes as axes_of
from .arguments import flag, in_range, integer, integers, number, one_axis
from .arithmetic import maximum, power
from .common import cast, floating
from .elementwise import abs, rsqrt, square
from .reduce import mean, sum
from .shape import moveaxis, reshape

_EPSILON = 1e-7  # Keras' backend.epsilon()


def layer_normalization(x, gamma=None, beta=None, axis=-1, epsilon=None):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with each row's own statistics.

    Ba, Kiros & Hinton 2016, arXiv:1607.06450. The variance is the biased one.

    Args:
        x: float tensor.
        gamma: tensor of x's sizes along the axes, in rising order; None for 1.
        beta: the same; None for 0.
        axis: axis, or tuple of axes, that are normalised together.
        epsilon: float added to the variance; None for 1e-7.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: where gamma or beta does not fit, or an axis is named twice.
        IndexError: if an axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.layer_normalization([[1.0, 3.0]], epsilon=0.0).numpy()
        array([[-1.,  1.]], dtype=float32)
    """
    return _rows("layer_normalization", x, gamma, beta, axis, epsilon, False)


def rms_normalization(x, scale=None, axis=-1, epsilon=None):
    """x / sqrt(mean(x^2) + epsilon) * scale, with each row's own mean.

    Zhang & Sennrich 2019, arXiv:1910.07467.

    Args:
        x: float tensor.
        scale: tensor of x's sizes along the axes, in rising order; None for 1.
        axis: axis, or tuple of axes, that are normalised together.
        epsilon: float added to the mean of squares; None for 1e-7.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: where the scale does not fit, or an axis is named twice.
        IndexError: if an axis is out of range.

    Example:
        >>> import lamina as lm
        >>> lm.ops.rms_normalization([[1.0, 7.0]], epsilon=0.0).numpy()
        array([[0.2, 1.4]], dtype=float32)
    """
    return _rows("rms_normalization", x, scale, None, axis, epsilon, True)


def _rows(op, x, gamma, beta, axis, epsilon, rms):
    x, axes = floating(x), integers(op, "axis", axis)
    gamma, beta = _like(gamma, x), _like(beta, x)
    epsilon = _EPSILON if epsilon is None else number(op, "epsilon", epsilon)
    y, row_mean, rstd = _core.layer_norm(x._core, _of(gamma), _of(beta), axes, epsilon, rms)

    def grad(dy):
        if _recorded(dy, x, gamma):
            return _picked(*_composed_rows(dy, x, gamma, axes, epsilon, rms), gamma, beta)
        shifts = beta is not None
        cores = _core.layer_norm_grad(dy._core, x._core, _of(gamma), row_mean, rstd, axes, rms, shifts)
        return _picked(*map(Tensor, cores), gamma, beta)

    return record(op, y, _given(x, gamma, beta), grad, saved=_given(x, gamma))


def _composed_rows(dy, x, gamma, axes, epsilon, rms):
    axes = tuple(sorted(a % x.ndim for a in axes))
    others = tuple(i for i in range(x.ndim) if i not in axes)
    centred = x if rms else x - mean(x, axes, keepdims=True)
    r = rsqrt(mean(centred * centred, axes, keepdims=True) + epsilon)
    xhat = centred * r
    shape = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    g = dy if gamma is None else dy * reshape(gamma, shape)
    dx = g - xhat * mean(g * xhat, axes, keepdims=True)
    dx = dx if rms else dx - mean(g, axes, keepdims=True)
    return dx * r, sum(dy * xhat, others), sum(dy, others)


def group_norm(x, groups, gamma=None, beta=None, axis=-1, epsilon=1e-3):
    """Normalises each sample's channels in groups, over all places: (x - mean) / sqrt(variance + epsilon).

    Then times gamma and plus beta, per channel. Wu & He 2018, arXiv:1803.08494.

    Args:
        x: float tensor; axis 0 holds the samples.
        groups: int that divides the number of channels; channels of a group are neighbours.
        gamma: tensor of shape (channels,), or None for 1.
        beta: tensor of shape (channels,), or None for 0.
        axis: int, the channel axis.
        epsilon: float added to the (biased) variance.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: where the groups do not divide the channels, or gamma or beta does not fit.

    Example:
        >>> import lamina as lm
        >>> lm.ops.group_norm([[1.0, 3.0, 10.0, 30.0]], groups=2, epsilon=0.0).numpy()
        array([[-1.,  1., -1.,  1.]], dtype=float32)
    """
    x, axis = floating(x), one_axis("group_norm", axis)
    gamma, beta = _like(gamma, x), _like(beta, x)
    groups, epsilon = integer("group_norm", "groups", groups), number("group_norm", "epsilon", epsilon)
    y, group_mean, rstd = _core.group_norm(x._core, _of(gamma), _of(beta), groups, axis, epsilon)

    def grad(dy):
        if _recorded(dy, x, gamma):
            return _picked(*_composed_groups(dy, x, gamma, groups, axis, epsilon), gamma, beta)
        cores = _core.group_norm_grad(dy._core, x._core, _of(gamma), group_mean, rstd, groups, axis)
        return _picked(*map(Tensor, cores), gamma, beta)

    return record("group_norm", y, _given(x, gamma, beta), grad, saved=_given(x, gamma))


def _composed_groups(dy, x, gamma, groups, axis, epsilon):
    last = moveaxis(x, axis, -1)
    channels = last.shape[-1]
    split = (x.shape[0], -1, groups, channels // groups)
    v, d = reshape(last, split), reshape(moveaxis(dy, axis, -1), split)
    centred = v - mean(v, (1, 3), keepdims=True)
    r = rsqrt(mean(centred * centred, (1, 3), keepdims=True) + epsilon)
    xhat = centred * r
    g = d if gamma is None else d * reshape(gamma, (groups, channels // groups))
    dv = (g - mean(g, (1, 3), keepdims=True) - xhat * mean(g * xhat, (1, 3), keepdims=True)) * r
    dx = moveaxis(reshape(dv, last.shape), -1, axis)
    return dx, reshape(sum(d * xhat, (0, 1)), (channels,)), reshape(sum(d, (0, 1)), (channels,))


def normalize(x, axis=-1, order=2, epsilon=None):
    """x / max(norm, epsilon), where norm = sum(|x|^order)^(1 / order) along the axes.

    Args:
        x: float tensor.
        axis: axis, tuple of axes, or None for all of them.
        order: int >= 1.
        epsilon: float, the least norm divided by; None for 1e-7.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: if the order is below 1.

    Example:
        >>> import lamina as lm
        >>> lm.ops.normalize([[3.0, 4.0]]).numpy()
        array([[0.6, 0.8]], dtype=float32)
    """
    x, axes, order = floating(x), axes_of("normalize", axis), integer("normalize", "order", order)
    if order < 1:
        raise ValueError(f"[normalize] order must be at least 1. Received: order={order}.")
    epsilon = _EPSILON if epsilon is None else number("normalize", "epsilon", epsilon)
    if order == 1:
        return x / maximum(sum(abs(x), axes, keepdims=True), epsilon)
    # The bound is set on the sum, whose root has no finite slope at 0.
    least = max(epsilon**order, 1.2e-38)
    if order == 2:
        return x * rsqrt(maximum(sum(square(x), axes, keepdims=True), least))
    return x / power(maximum(sum(power(abs(x), order), axes, keepdims=True), least), 1 / order)


def moments(x, axes, keepdims=False, synchronized=False):
    """Mean and (biased) variance along axes.

    Args:
        x: float tensor.
        axes: axis, or tuple of axes.
        keepdims: whether reduced axes stay, with size 1.
        synchronized: for Keras' signature; one process has nothing to synchronise, so only False.

    Returns:
        Tuple (mean, variance).

    Raises:
        ValueError: if `synchronized` is set.

    Example:
        >>> import lamina as lm
        >>> [float(t) for t in lm.ops.moments([1.0, 3.0], axes=0)]
        [2.0, 1.0]
    """
    if flag("moments", "synchronized", synchronized):
        raise ValueError("[moments] expects synchronized=False: there is one process. Received: synchronized=True.")
    x, along = floating(x), axes_of("moments", axes)
    in_range("moments", along, x.ndim)
    centre = mean(x, along, keepdims=True)
    distance = x - centre
    variance = mean(distance * distance, along, keepdims)
    return (centre if keepdims else mean(x, along)), variance


def _like(weight, x):
    """A weight in x's floating type, as in Keras; None stays."""
    return None if weight is None else cast(floating(weight), x.dtype)


def _of(t):
    return None if t is None else t._core


def _given(*tensors):
    return tuple([t for t in tensors if t is not None])


def _recorded(*tensors):
    return mode.enabled and any(t is not None and t._source is not None for t in tensors)


def _picked(dx, dgamma, dbeta, gamma, beta):
    """The gradients of x and of the weights that there are."""
    return tuple([dx] + ([] if gamma is None else [dgamma]) + ([] if beta is None else [dbeta]))
