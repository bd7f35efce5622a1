"""Scaled dot-product attention: one launch in memory linear in the lengths, and the form that shows its weights."""

from __future__ import annotations

import functools
import math

import numpy as np

from .. import _core
from ..autograd import GradientTape, mode, record
from ..tensor import Tensor
from .arguments import integer, number
from .arithmetic import less, less_equal, logical_and, maximum, where
from .common import cast, constant, floating, sum_to, tensor
from .linalg import matmul
from .random import _drawn, _dropout_grad
from .shape import expand_dims, ones, reshape, transpose
from .softmax import softmax

_OP = "dot_product_attention"
_UNSEEN = -0.7 * 3.38953e38  # in place of a score that does not count; finite, so that a row of them is uniform


def dot_product_attention(
    query,
    key,
    value,
    bias=None,
    mask=None,
    scale=None,
    is_causal=False,
    flash_attention=None,
    attn_logits_soft_cap=None,
    *,
    sliding_window=None,
    first=None,
    zero_unseen=False,
    dropout=0.0,
    seed=None,
):
    """softmax(scale * query key^T + bias) value, over the keys of each head, in memory linear in the lengths.

    Vaswani et al. 2017, "Attention is all you need"; computed as in Dao et al. 2022, "FlashAttention".

    Args:
        query: `[batch, queries, heads, size]`.
        key: `[batch, keys, key_heads, size]`; `heads` is a multiple of `key_heads`, query head h reads key head
            `h // (heads // key_heads)`.
        value: `[batch, keys, key_heads, value_size]`.
        bias: floating, added to the scores; broadcasts to `[batch, heads, queries, keys]`. Its gradient takes memory
            for all scores.
        mask: bool, True where the key counts; broadcasts likewise. Of a tuple of masks all must be True; two are read
            as they are, so that padding of queries and of keys takes no memory for all scores. A query none of whose
            keys counts weighs all keys alike, as in Keras; see `zero_unseen`. A score of -infinity, by a bias say, does
            not count either.
        scale: float or scalar tensor; 1 / sqrt(size) by default.
        is_causal: whether query i sees only keys up to its own place `first + i`. Keys are counted from the first one,
            also where there are fewer or more of them than queries.
        flash_attention: taken for Keras' sake; all attention is.
        attn_logits_soft_cap: must be None.
        sliding_window: int, or None: whether a query sees only keys less than so many places from its own.
        first: integer scalar, the place of query 0 among the keys; 0 by default. A tensor may change from replay to
            replay of a captured step.
        zero_unseen: whether a query none of whose keys counts gives 0 instead, as in PyTorch.
        dropout: float in [0, 1), fraction of the weights that is dropped.
        seed: int, SeedGenerator or None, for dropout.

    Returns:
        `[batch, queries, heads, value_size]`.

    Raises:
        ValueError: where shapes do not fit, or attn_logits_soft_cap is given.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.ones((2, 4, 8, 16))
        >>> lm.ops.dot_product_attention(x, x, x, is_causal=True).shape
        (2, 4, 8, 16)
    """
    if attn_logits_soft_cap is not None:
        raise ValueError(
            "[dot_product_attention] attn_logits_soft_cap must be None, as in Keras on any device but a TPU. "
            f"Received: attn_logits_soft_cap={attn_logits_soft_cap!r}."
        )
    problem = _Problem(query, key, value, bias, mask, scale, is_causal, sliding_window, first, zero_unseen)
    return problem.run(seed, number(_OP, "dropout", dropout))


def attention_with_scores(
    query,
    key,
    value,
    bias=None,
    mask=None,
    scale=None,
    is_causal=False,
    *,
    sliding_window=None,
    first=None,
    zero_unseen=False,
    dropout=0.0,
    seed=None,
):
    """As `dot_product_attention`, whose arguments it takes, with the weights of all keys; in memory for all of them.

    Returns:
        (outputs, weights `[batch, heads, queries, keys]`, weights after dropout).

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.ones((1, 4, 2, 8))
        >>> lm.ops.attention.attention_with_scores(x, x, x)[1].shape
        (1, 2, 4, 4)
    """
    problem = _Problem(query, key, value, bias, mask, scale, is_causal, sliding_window, first, zero_unseen)
    rate, drawn = number(_OP, "dropout", dropout), None
    if rate and not problem.symbolic:
        drawn = _drawn(seed, _core.copy)
    outputs, *weights = problem.composed(problem.given, drawn, rate)
    return (outputs if problem.result == problem.dtype else cast(outputs, problem.result), *weights)


class _Problem:
    """Operands that have been looked at, and both ways to attend."""

    def __init__(self, query, key, value, bias, mask, scale, causal, window, first, zero_unseen):
        given = [floating(x) for x in (query, key, value)]
        self.result = given[0].dtype
        self.dtype = "float32" if self.result in ("float16", "bfloat16") else self.result
        q, k, v = (cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x for x in given)
        if scale is None:
            scale = 1.0 / math.sqrt((q.shape[-1] if q.ndim else 1) or 1)
        elif isinstance(scale, Tensor):
            q, scale = q * cast(scale, q.dtype), 1.0
        self.scale = number(_OP, "scale", scale)
        self.given = (q, k, v) if bias is None else (q, k, v, cast(floating(bias), self.dtype))
        masks = mask if isinstance(mask, (list, tuple)) and all(isinstance(m, Tensor) for m in mask) else (mask,)
        self.masks = [tensor(m) for m in masks if m is not None]
        while len(self.masks) > 2:
            self.masks.append(logical_and(self.masks.pop(), self.masks.pop()))
        self.causal, self.window = bool(causal), 0 if window is None else integer(_OP, "sliding_window", window)
        if window is not None and self.window < 1:
            raise ValueError(f"[{_OP}] sliding_window must be at least 1. Received: sliding_window={window}.")
        self.first = None if first is None else cast(first if isinstance(first, Tensor) else constant(first), "int64")
        self.zero_unseen = bool(zero_unseen)
        self.symbolic = any(x._core.is_symbolic for x in self.given)

    @property
    def scores_shape(self):
        """[batch, heads, queries, keys]."""
        q, k = self.given[0].shape, self.given[1].shape
        return q[0], q[2], q[1], k[1]

    def _options(self, drawn, rate):
        q, k, v, *bias = (x._core for x in self.given)
        more = [None if x is None else x._core for x in (*(*self.masks, None, None)[:2], self.first)]
        numbers = (self.scale, self.causal, self.window, self.zero_unseen, rate)
        return q, k, v, *(bias or [None]), *more, drawn, *numbers

    def run(self, seed, rate):
        """The outputs, by the kernel."""
        if rate and not self.symbolic:
            y, lse, drawn = _drawn(seed, lambda state: _core.attention(*self._options(state, rate)))
        else:
            rate, drawn = 0.0, None
            y, lse, _ = _core.attention(*self._options(None, rate))

        def grad(dy, y):
            if mode.enabled and any(t._source is not None for t in (dy, *self.given)):
                with GradientTape() as tape:
                    tape.watch(list(self.given))
                    outputs = self.composed(self.given, drawn, rate)[0]
                return tape.gradient(outputs, list(self.given), output_gradients=dy)
            want = len(self.given) == 4 and self.given[3]._source is not None
            cores = _core.attention_grad(dy._core, y._core, lse, *self._options(drawn, rate), want)
            found = [Tensor(core) for core in cores[:3]]
            if want:
                found.append(_sum_to_bias(Tensor(cores[3]), self.given[3].shape))
            return (*found, None)[: len(self.given)]

        y = record(_OP, y, self.given, grad, saved=self.given, output=True)
        return y if self.result == self.dtype else cast(y, self.result)

    def composed(self, given, drawn, rate):
        """(outputs, weights before and after dropout), by public ops; `drawn` is the state that dropout drew from."""
        q, k, v, *bias = given
        shape = batch, heads, queries, keys = self.scores_shape
        if self.symbolic:
            outputs = Tensor(_core.symbolic((batch, queries, heads, v.shape[3]), self.dtype))
            return outputs, *(Tensor(_core.symbolic(shape, self.dtype)) for _ in range(2))
        groups = (batch, k.shape[2], heads // max(k.shape[2], 1))
        q = reshape(transpose(q, (0, 2, 1, 3)), (*groups, queries, q.shape[3]))
        k, v = (expand_dims(transpose(x, axes), 2) for x, axes in ((k, (0, 2, 3, 1)), (v, (0, 2, 1, 3))))
        scores = reshape(matmul(q * self.scale, k), shape)
        if bias:
            scores = maximum(scores + bias[0], _UNSEEN)
        seen = self._seen(queries, keys)
        if seen is not None:
            scores = where(seen, scores, _UNSEEN)
        weights = softmax(scores, axis=-1)
        if self.zero_unseen:
            weights = where(less_equal(scores, _UNSEEN), 0.0, weights)
        kept = weights
        if drawn is not None:
            whole = ones((*shape[:3], -(-keys // 64) * 64), self.dtype)
            kept = weights * _dropout_grad(whole, drawn, rate)[..., :keys]
        outputs = transpose(reshape(matmul(reshape(kept, (*groups, queries, keys)), v), (*shape[:3], -1)), (0, 2, 1, 3))
        return outputs, weights, kept

    def _seen(self, queries, keys):
        """Which keys each query sees, or None for all."""
        limits = list(self.masks)
        if self.causal or self.window:
            place = expand_dims(constant(np.arange(queries)), 1)
            place, key = place if self.first is None else place + reshape(self.first, ()), constant(np.arange(keys))
            if self.causal:
                limits.append(less_equal(key, place))
            if self.window:
                limits += [less(place - key, self.window), less(key - place, self.window)]
        return functools.reduce(logical_and, limits) if limits else None


def _sum_to_bias(ds, shape):
    return reshape(sum_to(ds, (1,) * (4 - len(shape)) + shape), shape)
