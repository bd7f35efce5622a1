"""ReversibleEmbedding, and TokenAndPositionEmbedding made of it."""

from __future__ import annotations

from .. import ops
from ..masked_tensor import with_mask
from ..tensor import checked_dtype
from .arguments import positive_number
from .embedding import Embedding
from .layer import Layer
from .position_encoding import PositionEmbedding


class ReversibleEmbedding(Embedding):
    """An Embedding that also goes from vectors to a score for each id: `layer(x, reverse=True)`.

    Args:
        input_dim: int, number of ids.
        output_dim: int, size of the vectors.
        tie_weights: whether the way back multiplies by the table, transposed (Press & Wolf 2017, arXiv:1608.05859);
            else by a weight of its own, `reverse_embeddings` `[output_dim, input_dim]`.
        embeddings_initializer: initialiser of the table, and of that weight.
        embeddings_regularizer: penalty on the table.
        embeddings_constraint: function applied to the table after each update.
        mask_zero: whether id 0 is padding.
        reverse_dtype: element type of the way back; the layer's by default.
        logit_soft_cap: number c that scores are bent to, c tanh(score / c); None for none.
        **kwargs: `weights`, `sparse_gradient`, `name`, `dtype`, `trainable`, as in Embedding.

    Input: ids `[batch, ...]`; in reverse vectors `[batch, ..., output_dim]`. Output: `[batch, ..., output_dim]`; in
    reverse scores `[batch, ..., input_dim]`.

    Example:
        >>> import lamina as lm
        >>> layer = lm.layers.ReversibleEmbedding(10, 4)
        >>> layer(layer(lm.convert_to_tensor([[1, 2, 0]])), reverse=True).shape
        (1, 3, 10)
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        tie_weights=True,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        reverse_dtype=None,
        logit_soft_cap=None,
        **kwargs,
    ):
        self.__dict__["tie_weights"] = bool(tie_weights)  # `weights` build the layer
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **kwargs,
        )
        self.reverse_dtype = None if reverse_dtype is None else checked_dtype(reverse_dtype)
        if logit_soft_cap is not None:
            logit_soft_cap = positive_number("ReversibleEmbedding", "logit_soft_cap", logit_soft_cap)
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape=None):
        super().build(input_shape)
        if not self.tie_weights:
            shape = (self.output_dim, self.input_dim)
            self.reverse_embeddings = self.add_weight(shape, self.embeddings_initializer, name="reverse_embeddings")

    def call(self, inputs, reverse=False):
        if not reverse:
            vectors = super().call(inputs)
            return with_mask(vectors, ops.not_equal(inputs, 0)) if self.mask_zero else vectors
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype is not None:
            inputs, kernel = ops.cast(inputs, self.reverse_dtype), ops.cast(kernel, self.reverse_dtype)
        scores = ops.matmul(inputs, kernel)
        cap = self.logit_soft_cap
        return scores if cap is None else ops.tanh(scores / cap) * cap

    def compute_mask(self, inputs, previous_mask):
        return None  # `call` knows which way it goes

    def compute_output_shape(self, input_shape, reverse=False):
        return (*input_shape[:-1], self.input_dim) if reverse else super().compute_output_shape(input_shape)


class TokenAndPositionEmbedding(Layer):
    """The sum of a trained vector for each id and one for its position.

    Args:
        vocabulary_size: int, number of ids.
        sequence_length: int, number of positions.
        embedding_dim: int, size of the vectors.
        tie_weights: as in ReversibleEmbedding, which `token_embedding` is.
        embeddings_initializer: initialiser of both tables.
        mask_zero: whether id 0 is padding: the output then has a mask.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: ids `[batch, steps]`, and of `call` `start_index`, the position of the first step. Output:
    `[batch, steps, embedding_dim]`.

    Example:
        >>> import lamina as lm
        >>> lm.layers.TokenAndPositionEmbedding(100, 16, 8)(lm.ops.zeros((2, 5), "int32")).shape
        (2, 5, 8)
    """

    supports_masking = True

    def __init__(
        self,
        vocabulary_size,
        sequence_length,
        embedding_dim,
        tie_weights=True,
        embeddings_initializer="uniform",
        mask_zero=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size, self.sequence_length = vocabulary_size, sequence_length
        self.embedding_dim, self.tie_weights, self.mask_zero = embedding_dim, tie_weights, mask_zero
        self.embeddings_initializer = embeddings_initializer
        options = {"dtype": self.dtype}
        self.token_embedding = ReversibleEmbedding(
            vocabulary_size,
            embedding_dim,
            tie_weights,
            embeddings_initializer,
            mask_zero=mask_zero,
            name="token_embedding",
            **options,
        )
        self.position_embedding = PositionEmbedding(
            sequence_length, embeddings_initializer, name="position_embedding", **options
        )

    def build(self, input_shape):
        self.token_embedding.build(input_shape)
        self.position_embedding.build((*input_shape, self.embedding_dim))

    def call(self, inputs, start_index=0, positions=None):
        tokens = self.token_embedding(inputs)
        return tokens + self.position_embedding(tokens, start_index=start_index, positions=positions)

    def compute_mask(self, inputs, previous_mask):
        return ops.not_equal(inputs, 0) if self.mask_zero else previous_mask

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.embedding_dim)
