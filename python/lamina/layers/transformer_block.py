"""TransformerEncoder and TransformerDecoder: attention and a two-layer network, each with a way around it."""

from __future__ import annotations

from .. import activations, initializers
from ..masked_tensor import mask_of
from ..tensor import Tensor
from ..utils.registry import deserialize, serialize
from .arguments import fraction, positive, positive_number
from .dense import Dense
from .dropout import Dropout
from .layer import Layer
from .layer_normalization import LayerNormalization
from .multi_head_attention import MultiHeadAttention


class _TransformerBlock(Layer):
    """What the two blocks share: settings, and the parts of a branch."""

    supports_masking = True

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        dropout=0,
        activation="relu",
        layer_norm_epsilon=1e-05,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.intermediate_dim = positive(kind, "intermediate_dim", intermediate_dim)
        self.num_heads = positive(kind, "num_heads", num_heads)
        self.dropout = fraction(kind, "dropout", dropout)
        self.activation = activations.get(activation)
        self.layer_norm_epsilon = positive_number(kind, "layer_norm_epsilon", layer_norm_epsilon)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = bool(normalize_first)

    def _made(self, layer_cls, name, shape, *args, **options):
        layer = layer_cls(*args, name=name, dtype=self.dtype, **options)
        layer.build(shape)
        return layer

    def _initializers(self):
        """Those of one part, which draws for itself."""
        names = ("kernel_initializer", "bias_initializer")
        return {name: deserialize(serialize(getattr(self, name), name)) for name in names}

    def _attention(self, name, query, value):
        width = query[-1]
        if width is None or width < self.num_heads:
            raise ValueError(
                f"[{self.path}] needs at least one feature for each head. "
                f"Received: shape={query}, num_heads={self.num_heads}."
            )
        options = {"dropout": self.dropout, **self._initializers()}
        return self._made(MultiHeadAttention, name, [query, value], self.num_heads, width // self.num_heads, **options)

    def _norm(self, name, shape):
        return self._made(LayerNormalization, name, shape, epsilon=self.layer_norm_epsilon)

    def _drop(self, name):
        return Dropout(self.dropout, name=name, dtype=self.dtype)

    def _dense(self, name, shape, units, activation=None):
        return self._made(Dense, name, shape, units, activation=activation, **self._initializers())

    def _around(self, x, norm, drop, branch):
        """x + branch(x), normalised on the way in or out."""
        if self.normalize_first:
            return x + drop(branch(norm(x)))
        return norm(x + drop(branch(x)))

    def _feedforward(self, x):
        return self.feedforward_output_dense(self.feedforward_intermediate_dense(x))


class TransformerEncoder(_TransformerBlock):
    """An encoder block: x + attention(x), then x + dense(activation(dense(x))), each normalised.

    Args:
        intermediate_dim: int, units of the network's first layer.
        num_heads: int, number of heads, of `features // num_heads` each.
        dropout: float in [0, 1], fraction dropped in training of the attention weights and of each branch's result.
        activation: function, or its name, after the first layer.
        layer_norm_epsilon: number added to the variance in the layer normalisations.
        kernel_initializer: initialiser of all kernels.
        bias_initializer: initialiser of all biases.
        normalize_first: whether branches normalise what comes in; else the sum of branch and way around is normalised.
        **kwargs: `name`, `dtype`, `trainable`, as in Layer.

    Call arguments:
        inputs: `[batch, steps, features]`.
        padding_mask: bool `[batch, steps]`, False at steps that no step may look at; by default the mask that came with
            the inputs.
        attention_mask: bool `[batch, steps, steps]`, False where a step (row) may not look at another (column).
        training: whether dropout acts.
        return_attention_scores: whether the weights `[batch, heads, steps, steps]` come out too.

    Raises:
        ValueError: for sizes that are not positive, or fewer features than heads.

    Example:
        >>> import lamina as lm
        >>> lm.layers.TransformerEncoder(intermediate_dim=64, num_heads=8)(lm.ops.ones((2, 10, 32))).shape
        (2, 10, 32)

    Reference: A. Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762; with `normalize_first`: R. Xiong
    et al., "On Layer Normalization in the Transformer Architecture", 2020, arXiv:2002.04745.
    """

    def build(self, input_shape):
        shape, width = input_shape, input_shape[-1]
        self.self_attention_layer = self._attention("self_attention_layer", shape, shape)
        self.self_attention_layer_norm = self._norm("self_attention_layer_norm", shape)
        self.self_attention_dropout = self._drop("self_attention_dropout")
        self.feedforward_layer_norm = self._norm("feedforward_layer_norm", shape)
        units = self.intermediate_dim
        self.feedforward_intermediate_dense = self._dense(
            "feedforward_intermediate_dense", shape, units, self.activation
        )
        self.feedforward_output_dense = self._dense("feedforward_output_dense", (*shape[:-1], units), width)
        self.feedforward_dropout = self._drop("feedforward_dropout")

    def call(self, inputs, padding_mask=None, attention_mask=None, training=None, return_attention_scores=False):
        padding_mask = mask_of(inputs) if padding_mask is None else padding_mask
        scores = None

        def attend(x):
            nonlocal scores
            found = self.self_attention_layer(
                x,
                x,
                value_mask=padding_mask,
                attention_mask=attention_mask,
                return_attention_scores=return_attention_scores,
            )
            if not return_attention_scores:
                return found
            outputs, scores = found
            return outputs

        x = self._around(_plain(inputs), self.self_attention_layer_norm, self.self_attention_dropout, attend)
        x = self._around(x, self.feedforward_layer_norm, self.feedforward_dropout, self._feedforward)
        return (x, scores) if return_attention_scores else x

    def compute_output_shape(self, input_shape):
        return input_shape


class TransformerDecoder(_TransformerBlock):
    """A decoder block: causal attention, attention to an encoder's outputs where there are some, and a network.

    Args:
        intermediate_dim: int, units of the network's first layer.
        num_heads: int, number of heads, of `features // num_heads` each.
        dropout: float in [0, 1], fraction dropped in training of the attention weights and of each branch's result.
        activation: function, or its name, after the first layer.
        layer_norm_epsilon: number added to the variance in the layer normalisations.
        kernel_initializer: initialiser of all kernels.
        bias_initializer: initialiser of all biases.
        normalize_first: whether branches normalise what comes in; else the sum of branch and way around is normalised.
        **kwargs: `name`, `dtype`, `trainable`, as in Layer.

    Call arguments:
        decoder_sequence: `[batch, steps, features]`.
        encoder_sequence: `[batch, source steps, features]`, or None for a decoder alone, GPT's say; the first call
            decides which of the two the block is.
        decoder_padding_mask: bool `[batch, steps]`, False at steps that no step may look at; by default the mask that
            came with the sequence.
        decoder_attention_mask: bool `[batch, steps, steps]`, False where a step (row) may not look at another (column).
        encoder_padding_mask: bool `[batch, source steps]`, likewise.
        encoder_attention_mask: bool `[batch, steps, source steps]`, likewise.
        use_causal_mask: whether a step sees only itself and those before it.
        training: whether dropout acts.

    Raises:
        ValueError: for sizes that are not positive, fewer features than heads, or an encoder's outputs at one call and
            none at another.

    Example:
        >>> import lamina as lm
        >>> block = lm.layers.TransformerDecoder(intermediate_dim=64, num_heads=8)
        >>> block(lm.ops.ones((2, 10, 32)), lm.ops.ones((2, 7, 32))).shape
        (2, 10, 32)

    Reference: A. Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762; decoders alone: A. Radford et
    al., "Improving Language Understanding by Generative Pre-Training", 2018.
    """

    def __call__(self, decoder_sequence, encoder_sequence=None, **kwargs):
        if not self.built:
            given = [x for x in (decoder_sequence, encoder_sequence) if x is not None]
            shapes = [tuple(x.shape) for x in given]
            self.build(shapes if len(shapes) > 1 else shapes[0])
        return super().__call__(decoder_sequence, encoder_sequence, **kwargs)

    def build(self, input_shape):
        shape, source = input_shape if isinstance(input_shape, list) else (input_shape, None)
        width = shape[-1]
        self.self_attention = self._attention("self_attention", shape, shape)
        self.self_attention_layer_norm = self._norm("self_attention_layer_norm", shape)
        self.self_attention_dropout = self._drop("self_attention_dropout")
        self.cross_attention = None
        if source is not None:
            self.cross_attention = self._attention("cross_attention", shape, source)
            self.cross_attention_layer_norm = self._norm("cross_attention_layer_norm", shape)
            self.cross_attention_dropout = self._drop("cross_attention_dropout")
        units = self.intermediate_dim
        self.feedforward_intermediate_dense = self._dense(
            "feedforward_intermediate_dense", shape, units, self.activation
        )
        self.feedforward_output_dense = self._dense("feedforward_output_dense", (*shape[:-1], units), width)
        self.feedforward_layer_norm = self._norm("feedforward_layer_norm", shape)
        self.feedforward_dropout = self._drop("feedforward_dropout")

    def call(
        self,
        decoder_sequence,
        encoder_sequence=None,
        decoder_padding_mask=None,
        decoder_attention_mask=None,
        encoder_padding_mask=None,
        encoder_attention_mask=None,
        use_causal_mask=True,
        training=None,
    ):
        if (encoder_sequence is None) != (self.cross_attention is None):
            built, given = ("without", "given") if self.cross_attention is None else ("with", "None")
            raise ValueError(
                f"[{self.path}] was built {built} an encoder's outputs; expected the same at every call. "
                f"Received: encoder_sequence={given}."
            )
        if decoder_padding_mask is None:
            decoder_padding_mask = mask_of(decoder_sequence)
        x = self._around(
            _plain(decoder_sequence),
            self.self_attention_layer_norm,
            self.self_attention_dropout,
            lambda x: self.self_attention(
                x,
                x,
                value_mask=decoder_padding_mask,
                attention_mask=decoder_attention_mask,
                use_causal_mask=use_causal_mask,
            ),
        )
        if self.cross_attention is not None:
            if encoder_padding_mask is None:
                encoder_padding_mask = mask_of(encoder_sequence)
            source = _plain(encoder_sequence)
            x = self._around(
                x,
                self.cross_attention_layer_norm,
                self.cross_attention_dropout,
                lambda x: self.cross_attention(
                    x, source, value_mask=encoder_padding_mask, attention_mask=encoder_attention_mask
                ),
            )
        return self._around(x, self.feedforward_layer_norm, self.feedforward_dropout, self._feedforward)

    def compute_output_shape(self, decoder_sequence_shape, encoder_sequence_shape=None):
        return decoder_sequence_shape[0] if isinstance(decoder_sequence_shape, list) else decoder_sequence_shape


def _plain(x):
    """The tensor without its mask, which goes to the attention by name."""
    return x if mask_of(x) is None else Tensor(x._core, x._source)
