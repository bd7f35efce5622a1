"""Attention: queries, values and keys as they come, without projections."""

from __future__ import annotations

from .. import ops
from ..ops.attention import attention_with_scores, dot_product_attention
from ..random_state import SeedGenerator
from ..utils.naming import unknown_name
from .arguments import fraction
from .layer import Layer

_SCORES = ("dot", "concat")


def nothing(x):
    """Zeros in place of queries or keys whose scores come as a bias."""
    return x[..., :1] if x._core.is_symbolic else ops.zeros_like(x[..., :1])


class Attention(Layer):
    """softmax(query key^T) value; Luong et al. 2015, arXiv:1508.04025.

    Args:
        use_scale: whether a trainable scalar multiplies the scores (of `"concat"`: query + key).
        score_mode: `"dot"`, or `"concat"`: w sum(tanh(query + key)) with a trainable w, in memory for all sums.
        dropout: float in [0, 1], fraction of the weights dropped in training.
        seed: int, for the dropout's own sequence of draws.
        **kwargs: `name`, `dtype`, as in Layer.

    Call arguments:
        inputs: list `[query, value]` or `[query, value, key]` of `[batch, queries, size]`, `[batch, keys, value_size]`
            and `[batch, keys, size]`; the value is the key where there is none.
        mask: list of the query's mask `[batch, queries]` (outputs where it is False are 0) and the value's `[batch,
            keys]` (keys that do not count where it is False), or None in their place; by default those that came with
            the tensors. A query none of whose keys counts weighs all alike.
        training: whether dropout acts.
        return_attention_scores: whether the weights `[batch, queries, keys]` come out too.
        use_causal_mask: whether query i sees only keys up to i.

    Output: `[batch, queries, value_size]`.

    Raises:
        ValueError: for another score_mode, or inputs that are not two or three tensors.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Attention()([lm.ops.ones((2, 3, 4)), lm.ops.ones((2, 5, 4))]).shape
        (2, 3, 4)
    """

    def __init__(self, use_scale=False, score_mode="dot", dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if score_mode not in _SCORES:
            raise unknown_name(f"{type(self).__name__}.score_mode", score_mode, _SCORES)
        self.use_scale = bool(use_scale)
        self.score_mode = score_mode
        self.dropout = fraction(type(self).__name__, "dropout", dropout)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed) if self.dropout > 0 else None
        self.scale = self.concat_score_weight = None

    def __call__(self, inputs, *args, **kwargs):
        if not isinstance(inputs, (list, tuple)) or not 2 <= len(inputs) <= 3:
            given = f"{len(inputs)} of them" if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            raise ValueError(f"[{self.path}] needs a list [query, value] or [query, value, key]. Received: {given}.")
        return super().__call__(list(inputs), *args, **kwargs)

    def build(self, input_shape):
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def call(self, inputs, mask=None, training=False, return_attention_scores=False, use_causal_mask=False):
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        settings = {
            "mask": None if value_mask is None else ops.cast(value_mask, "bool")[:, None, None, :],
            "is_causal": use_causal_mask,
            "dropout": self.dropout if training else 0.0,
            "seed": self.seed_generator,
        }
        query, key, bias, settings["scale"] = self._operands(query, key)
        query, key, value = (ops.expand_dims(x, 2) for x in (query, key, value))
        if return_attention_scores:
            outputs, _, scores = attention_with_scores(query, key, value, bias, **settings)
            scores = ops.squeeze(scores, 1)
        else:
            outputs = dot_product_attention(query, key, value, bias, **settings)
        outputs = ops.squeeze(outputs, 2)
        if query_mask is not None:
            outputs = ops.where(ops.expand_dims(ops.cast(query_mask, "bool"), -1), outputs, 0.0)
        return (outputs, scores) if return_attention_scores else outputs

    def _operands(self, query, key):
        """query, key, bias and scale for `dot_product_attention`."""
        if self.score_mode == "dot":
            return query, key, None, 1.0 if self.scale is None else self.scale
        scale = 1.0 if self.scale is None else self.scale
        scores = self.concat_score_weight * ops.sum(ops.tanh(scale * self._sums(query, key)), axis=-1)
        return nothing(query), nothing(key), ops.expand_dims(scores, 1), 1.0

    def _sums(self, query, key):
        """query + key, each with each: `[batch, queries, keys, size]`."""
        return ops.expand_dims(query, 2) + ops.expand_dims(key, 1)

    def compute_mask(self, inputs, previous_mask):
        return None if previous_mask is None else previous_mask[0]

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], input_shape[1][-1])
