"""Initialisers that draw from a distribution.

Without a seed every call is a new draw, governed by `lamina.utils.set_random_seed`; with an int seed every
call gives the same values; with a SeedGenerator each call continues its sequence.
"""

from __future__ import annotations

import math

import numpy as np

from .. import ops
from ..ops import random
from ..tensor import convert_to_tensor
from ..utils.naming import unknown_name
from .initializer import Initializer, compute_fans

# Standard deviation of a standard normal cut at +-2.
_TRUNCATED_STDDEV = 0.87962566103423978


class RandomUniform(Initializer):
    """Uniform in [minval, maxval).

    Args:
        minval, maxval: floats.
        seed: int, SeedGenerator or None.

    Example:
        >>> RandomUniform(0.0, 1.0, seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape, dtype=None):
        return random.uniform(shape, self.minval, self.maxval, dtype=dtype or "float32", seed=self.seed)


class RandomNormal(Initializer):
    """Normal with a mean and a standard deviation.

    Args:
        mean, stddev: floats.
        seed: int, SeedGenerator or None.

    Example:
        >>> RandomNormal(seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape, dtype=None):
        return random.normal(shape, self.mean, self.stddev, dtype=dtype or "float32", seed=self.seed)


class TruncatedNormal(RandomNormal):
    """Normal, values further than two standard deviations from the mean drawn again.

    Args:
        mean, stddev: floats, of the normal before the cut.
        seed: int, SeedGenerator or None.

    Example:
        >>> bool(abs(TruncatedNormal(seed=1)((100,)).numpy()).max() <= 0.1)
        True
    """

    def __call__(self, shape, dtype=None):
        return random.truncated_normal(shape, self.mean, self.stddev, dtype=dtype or "float32", seed=self.seed)


class VarianceScaling(Initializer):
    """Mean 0 and variance scale / n, with n the weight's fan in, fan out, or their mean.

    Args:
        scale: float > 0.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: int, SeedGenerator or None.

    Raises:
        ValueError: for another mode or distribution, or scale <= 0.

    Example:
        >>> VarianceScaling(2.0, seed=1)((4, 3)).shape
        (4, 3)
    """

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None):
        if not isinstance(scale, (int, float)) or not scale > 0.0:
            raise ValueError(f"[VarianceScaling] scale must be positive. Received: scale={scale}.")
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise unknown_name("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            known = ("truncated_normal", "untruncated_normal", "uniform")
            raise unknown_name("distribution", distribution, known)
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = compute_fans(tuple(shape))
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        dtype = dtype or "float32"
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, -limit, limit, dtype=dtype, seed=self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype=dtype, seed=self.seed)
        stddev = math.sqrt(variance) / _TRUNCATED_STDDEV
        return random.truncated_normal(shape, 0.0, stddev, dtype=dtype, seed=self.seed)


class _Scaled(VarianceScaling):
    """A named setting of VarianceScaling: only the seed is its user's."""

    _setting: tuple = ()

    def __init__(self, seed=None):
        super().__init__(*self._setting, seed=seed)


class GlorotUniform(_Scaled):
    """Uniform within sqrt(6 / (fan in + fan out)). Glorot & Bengio 2010."""

    _setting = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan in + fan out). Glorot & Bengio 2010."""

    _setting = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform within sqrt(6 / fan in). He et al. 2015, arXiv:1502.01852."""

    _setting = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan in. He et al. 2015, arXiv:1502.01852."""

    _setting = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform within sqrt(3 / fan in). LeCun et al. 1998, Efficient BackProp."""

    _setting = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan in. LeCun et al. 1998, Efficient BackProp."""

    _setting = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """A matrix whose columns (or rows, if fewer) are orthonormal; leading axes are made one. Saxe et al.
    2013.

    Args:
        gain: float, factor on the matrix.
        seed: int, SeedGenerator or None.

    Raises:
        ValueError: for shapes of fewer than two axes.

    Example:
        >>> q = Orthogonal(seed=1)((3, 3)).numpy()
        >>> bool(abs(q.T @ q - np.eye(3)).max() < 1e-5)
        True
    """

    def __init__(self, gain=1.0, seed=None):
        self.gain, self.seed = gain, seed

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            raise ValueError(f"[Orthogonal] needs at least two axes. Received: shape={tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        normal = random.normal(tall, 0.0, 1.0, dtype="float64", seed=self.seed)
        q, r = np.linalg.qr(normal.numpy())
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the distribution uniform (Mezzadri 2007)
        q = q.T if rows < columns else q
        return ops.cast(convert_to_tensor(self.gain * q.reshape(shape)), dtype or "float32")
