"""Embedding: a vector for each id."""

from __future__ import annotations

from .. import ops
from ..tensor import FLOATING
from .arguments import positive
from .layer import Layer


class Embedding(Layer):
    """Looks up a row of a trained table for each id.

    Args:
        input_dim: int, number of ids: they run from 0 to `input_dim - 1`.
        output_dim: int, size of the vectors.
        embeddings_initializer: initialiser of the table `[input_dim, output_dim]`.
        embeddings_regularizer: penalty on the table.
        embeddings_constraint: function applied to the table after each update.
        mask_zero: whether id 0 is padding: the output then has a mask, False at those steps (see Masking).
        weights: the table's values, instead of the initialiser's.
        sparse_gradient: whether every optimizer steps on the rows of the batch alone, see below.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Input: ids `[batch, ...]`, integers or integral floats. Output: `[batch, ..., output_dim]`.

    The gradient of the table is kept as a row for each id, those of equal ids adding up in their order; read in
    Python, it is the `[input_dim, output_dim]` tensor it stands for. A table that is used otherwise too (tied to the
    output, regularised) has an ordinary gradient. Steps of SGD without momentum and of Adagrad, without weight
    decay, take time by the ids of the batch, and give what steps on the whole table would.

    All other rules, and weight decay, move rows that have no gradient, so by default, as in Keras, they step on the
    whole table. With `sparse_gradient=True` they too step on the rows of the batch alone, as torch's SparseAdam does:
    the other rows keep their values and slots, so their means do not decay, their momentum waits and no weight decay
    reaches them, until a batch names them; step counts, and what depends on them, go on. Norms and means over the
    parameter (Lamb, Adafactor) are those of these rows; clipping by a norm is as ever, for the other rows are 0. With
    `use_ema` or `gradient_accumulation_steps` the step is on the whole table nevertheless.

    Raises:
        ValueError: if a size is not a positive integer, the weights have another shape, or an id is too large.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Embedding(10, 4)(lm.convert_to_tensor([[1, 2, 0]])).shape
        (1, 3, 4)
    """

    _not_config = ("input_shape", "weights")  # values are saved with the weights

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        weights=None,
        sparse_gradient=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.input_dim = positive("Embedding", "input_dim", input_dim)
        self.output_dim = positive("Embedding", "output_dim", output_dim)
        self._keep("embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        self.mask_zero = bool(mask_zero)
        self.sparse_gradient = bool(sparse_gradient)
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape=None):
        self.embeddings = self._add("embeddings", (self.input_dim, self.output_dim))
        self.embeddings.sparse_gradient = self.sparse_gradient

    def call(self, inputs):
        ids = ops.cast(inputs, "int64") if inputs.dtype in FLOATING else inputs
        return ops.take(self.embeddings, ids, axis=0)

    def compute_mask(self, inputs, previous_mask):
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.output_dim)
