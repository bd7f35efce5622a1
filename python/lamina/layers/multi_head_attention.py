"""MultiHeadAttention: every place of one sequence looks at all places of another."""

from __future__ import annotations

import math

from .. import ops, regularizers
from ..ops.attention import attention_with_scores, dot_product_attention
from ..random_state import SeedGenerator
from ..utils.registry import deserialize, serialize
from .arguments import fraction, positive
from .head_projection import HeadProjection, with_last
from .layer import Layer


class HeadedAttention(Layer):
    """What MultiHeadAttention and GroupQueryAttention share: projections, masks and the call.

    A subclass keeps the settings of its heads and answers `_sizes`.
    """

    supports_masking = True

    def __init__(
        self,
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
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.dropout = fraction(kind, "dropout", dropout)
        self.use_bias, self.use_gate = bool(use_bias), bool(use_gate)
        self.sliding_window = None if sliding_window is None else positive(kind, "sliding_window", sliding_window)
        self.flash_attention = flash_attention
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed) if self.dropout > 0 else None

    def _sizes(self, query_features):
        """(heads, key heads, size of queries and keys, size of values, shape of the output's features)."""
        raise NotImplementedError

    def _check(self, query_shape):
        """Raises where the layer does not take queries of this shape."""

    def __call__(self, query, value=None, key=None, *args, **kwargs):
        value = kwargs.pop("value", None) if value is None else value
        key = kwargs.pop("key", None) if key is None else key
        if value is None:
            raise TypeError(f"[{self.path}] needs query and value. Received: value=None. Pass (x, x) to attend to x.")
        if not self.built:
            shapes = [tuple(x.shape) for x in (query, value, value if key is None else key)]
            self.build(shapes)
        return super().__call__(query, value, key, *args, **kwargs)

    def build(self, input_shape):
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        query, value, key = (*shapes, shapes[-1], shapes[-1])[:3]
        if len(query) < 3 or value[1:-1] != key[1:-1]:
            raise ValueError(
                f"[{self.path}] needs queries [batch, length, features], and values and keys of one length. Received: "
                f"query.shape={query}, value.shape={value}, key.shape={key}."
            )
        self._check(query)
        heads, key_heads, size, value_size, features = self._sizes(query[-1])
        self.query_dense = self._projection("query", query[-1:], (heads, size))
        self.key_dense = self._projection("key", key[-1:], (key_heads, size))
        self.gate_dense = self._projection("gate", query[-1:], (heads, value_size)) if self.use_gate else None
        self.value_dense = self._projection("value", value[-1:], (key_heads, value_size))
        self.output_dense = self._projection("attention_output", (heads, value_size), features)
        for layer, shape in (
            (self.query_dense, query),
            (self.key_dense, key),
            (self.gate_dense, query),
            (self.value_dense, value),
            (self.output_dense, (*query[:-1], heads, value_size)),
        ):
            if layer is not None:
                layer.build(shape)

    def _projection(self, name, inner, outer):
        kept = {
            f"{weight}_{what}": deserialize(serialize(getattr(self, f"{weight}_{what}"), what))  # one's own draws
            for weight in ("kernel", "bias")
            for what in ("initializer", "regularizer", "constraint")
        }
        activity = self.activity_regularizer
        return HeadProjection(
            inner, outer, self.use_bias, activity_regularizer=activity, name=name, dtype=self.dtype, **kept
        )

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=False,
        use_causal_mask=False,
        cache=None,
    ):
        key = value if key is None else key
        gate = None if self.gate_dense is None else ops.sigmoid(self.gate_dense(query))
        query, key, value = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        lead = query.shape[1:-2]
        if len(lead) > 1:
            query, key, value, attention_mask = self._flat(query, key, value, attention_mask)
        masks = _masks(query_mask, value_mask, key_mask, attention_mask)
        settings = {
            "is_causal": use_causal_mask,
            "sliding_window": self.sliding_window,
            "zero_unseen": self.dropout > 0 or return_attention_scores,  # as Keras' two ways do it
            "dropout": self.dropout if training else 0.0,
            "seed": self.seed_generator,
        }
        if cache is not None:
            key, value, settings["first"] = cache.append(key, value)
            settings["is_causal"] = True
        scores = None
        if return_attention_scores:
            outputs, scores, _ = attention_with_scores(query, key, value, mask=masks, **settings)
        else:
            outputs = dot_product_attention(query, key, value, mask=masks, **settings)
        if len(lead) > 1:
            outputs = with_last(outputs, (outputs.shape[0], *lead), outputs.shape[2:])
        if gate is not None:
            outputs = outputs * gate
        outputs = self.output_dense(outputs)
        return (outputs, scores) if return_attention_scores else outputs

    def _flat(self, query, key, value, attention_mask):
        """Sequences of more axes than one as one of all their places."""
        flat = [with_last(x, x.shape[:1], (_product(x.shape[1:-2]), *x.shape[-2:])) for x in (query, key, value)]
        if attention_mask is not None:
            lead = attention_mask.shape[: attention_mask.ndim - query.ndim - key.ndim + 6]
            attention_mask = with_last(attention_mask, lead, (flat[0].shape[1], flat[1].shape[1]))
        return (*flat, attention_mask)

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        if isinstance(query_shape, list):
            query_shape = query_shape[0]
        return (*query_shape[:-1], *self._sizes(query_shape[-1])[-1])


def _product(sizes):
    return None if None in sizes else math.prod(sizes)


def _masks(query_mask, value_mask, key_mask, attention_mask):
    """The masks that broadcast to `[batch, heads, queries, keys]`, as few as they come to."""
    keys = [ops.cast(m, "bool")[:, None, None, :] for m in (value_mask, key_mask) if m is not None]
    found = [ops.logical_and(*keys)] if len(keys) == 2 else keys
    if query_mask is not None:
        found.append(ops.cast(query_mask, "bool")[:, None, :, None])
    if attention_mask is not None:
        mask = ops.cast(attention_mask, "bool")
        while mask.ndim < 4:
            mask = ops.expand_dims(mask, -3)
        found.append(mask)
    return tuple(found) or None


class MultiHeadAttention(HeadedAttention):
    """Attention of several heads between projections; Vaswani et al. 2017, "Attention is all you need".

    Takes memory linear in the lengths, dropout and masks included, unless scores are asked for.

    Args:
        num_heads: int, number of heads.
        key_dim: int, size of a head's queries and keys.
        value_dim: int, size of a head's values; `key_dim` by default.
        dropout: float in [0, 1], fraction of the attention weights dropped in training.
        use_bias: whether the projections have biases.
        output_shape: int or tuple, features that come out; those of the query by default.
        attention_axes: axes over which attention goes; None or all between the batch and the features.
        sliding_window: int, or None: whether a query sees only keys less than so many places from its own.
        flash_attention: taken for Keras' sake; all attention is.
        kernel_initializer: initialiser of the kernels `[features, heads, size]` and `[heads, size, features]`.
        bias_initializer: initialiser of the biases.
        kernel_regularizer: penalty on the kernels.
        bias_regularizer: penalty on the biases.
        activity_regularizer: penalty on the projections' outputs.
        kernel_constraint: function applied to the kernels after each update.
        bias_constraint: function applied to the biases after each update.
        use_gate: whether a sigmoid of a projection of the query multiplies the heads' outputs (arXiv:2505.06708).
        seed: int, for the dropout's own sequence of draws.
        **kwargs: `name`, `dtype`, as in Layer.

    Call arguments:
        query: `[batch, queries, features]`; more axes between are one sequence.
        value: `[batch, keys, features]`.
        key: likewise; `value` by default.
        query_mask, value_mask, key_mask: bool `[batch, length]`; by default the masks that came with the tensors.
        attention_mask: bool, broadcasts to `[batch, queries, keys]` or `[batch, heads, queries, keys]`.
        return_attention_scores: whether the weights `[batch, heads, queries, keys]` come out too.
        training: whether dropout acts.
        use_causal_mask: whether query i sees only keys up to i, counted from the first.
        cache: a KeyValueCache: keys and values are added to it, and the queries see all it holds up to their place.

    A query that sees no key weighs all alike, but with dropout or scores gives 0; both as in Keras.

    Raises:
        ValueError: for sizes that are not positive, or values and keys that differ in length.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.ones((2, 5, 16))
        >>> outputs, scores = lm.layers.MultiHeadAttention(4, 8)(x, x, return_attention_scores=True)
        >>> outputs.shape, scores.shape
        ((2, 5, 16), (2, 4, 5, 5))
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        attention_axes=None,
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
        self.num_heads = positive("MultiHeadAttention", "num_heads", num_heads)
        self.key_dim = positive("MultiHeadAttention", "key_dim", key_dim)
        self.value_dim = positive("MultiHeadAttention", "value_dim", value_dim or key_dim)
        if output_shape is not None:
            output_shape = (output_shape,) if hasattr(output_shape, "__index__") else tuple(output_shape)
        self.output_shape = output_shape
        axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self.attention_axes = None if axes is None else tuple(axes)

    def _check(self, query):
        between = tuple(range(1, len(query) - 1))
        if self.attention_axes is not None and tuple(a % len(query) for a in self.attention_axes) != between:
            raise ValueError(
                f"[{self.path}] attention_axes must be None or all axes between the batch and the features, {between}. "
                f"Received: attention_axes={self.attention_axes}. Fold other axes into the batch."
            )

    def _sizes(self, query_features):
        features = self.output_shape or (query_features,)
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim, features
