"""AdditiveAttention: scores from sums of queries and keys."""

from __future__ import annotations

from .. import ops
from .attention import Attention, nothing


class AdditiveAttention(Attention):
    """softmax(sum(scale * tanh(query + key))) value; Bahdanau et al. 2014, arXiv:1409.0473.

    Takes memory for all sums `[batch, queries, keys, size]`.

    Args:
        use_scale: whether there is a trainable scale `[size]`.
        dropout: float in [0, 1], fraction of the weights dropped in training.
        **kwargs: `seed`, `name`, `dtype`, as in Attention.

    Call arguments and the output are those of Attention.

    Example:
        >>> import lamina as lm
        >>> lm.layers.AdditiveAttention()([lm.ops.ones((2, 3, 4)), lm.ops.ones((2, 5, 4))]).shape
        (2, 3, 4)
    """

    _not_config = (*Attention._not_config, "score_mode")

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape):
        if self.use_scale:
            self.scale = self.add_weight(input_shape[0][-1:], "glorot_uniform", name="scale")

    def _operands(self, query, key):
        sums = ops.tanh(self._sums(query, key))
        scores = ops.sum(sums if self.scale is None else self.scale * sums, axis=-1)
        return nothing(query), nothing(key), ops.expand_dims(scores, 1), 1.0
