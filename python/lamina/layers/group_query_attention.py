"""GroupQueryAttention: several heads of queries share one of keys and values."""

from __future__ import annotations

from .arguments import positive
from .multi_head_attention import HeadedAttention


class GroupQueryAttention(HeadedAttention):
    """Attention whose query heads share heads of keys and values; Ainslie et al. 2023, arXiv:2305.13245.

    Args:
        head_dim: int, size of a head.
        num_query_heads: int, heads of the query.
        num_key_value_heads: int, heads of key and value, a divisor of `num_query_heads`; 1 is multi-query attention.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, use_gate, seed: as in
            MultiHeadAttention.
        **kwargs: `name`, `dtype`, as in Layer.

    Call arguments and the output are those of MultiHeadAttention.

    Raises:
        ValueError: for sizes that are not positive, or heads that cannot be shared evenly.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.ones((2, 5, 16))
        >>> lm.layers.GroupQueryAttention(8, 4, 2)(x, x).shape
        (2, 5, 16)
    """

    def __init__(
        self,
        head_dim,
        num_query_heads,
        num_key_value_heads,
        dropout=0.0,
        use_bias=True,
        sliding_window=None,
        flash_attention=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            dropout,
            use_bias,
            sliding_window,
            flash_attention,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            use_gate,
            seed,
            **kwargs,
        )
        self.head_dim = positive("GroupQueryAttention", "head_dim", head_dim)
        self.num_query_heads = positive("GroupQueryAttention", "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive("GroupQueryAttention", "num_key_value_heads", num_key_value_heads)
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                "[GroupQueryAttention] num_query_heads must be a multiple of num_key_value_heads. Received: "
                f"num_query_heads={num_query_heads}, num_key_value_heads={num_key_value_heads}."
            )

    def _sizes(self, query_features):
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim, (query_features,)
