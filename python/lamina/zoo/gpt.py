"""GPT: a stack of causal Transformer blocks that gives scores for the next token."""

from __future__ import annotations


def gpt(vocabulary, context=128, width=128, heads=4, blocks=4, units=None, dropout=0.0, name="gpt"):
    """A decoder alone, each branch normalised first, as in GPT-2.

    Args:
        vocabulary: int, number of tokens.
        context: int, the most steps it sees.
        width: int, features of a step, a multiple of `heads`.
        heads: int, heads of each attention.
        blocks: int, number of blocks.
        units: int, units of each block's network; 4 * width by default.
        dropout: float in [0, 1], fraction dropped in training.
        name: name of the model.

    Returns:
        Functional model, not compiled: ids `[batch, steps]`, at most `context` steps, to scores (logits)
        `[batch, steps, vocabulary]`.

    Example:
        >>> import lamina as lm
        >>> from lamina.zoo import gpt
        >>> gpt(65).count_params()
        826368

    Reference: A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
    """
    from ..layers import Dense, Dropout, Input, LayerNormalization, TokenAndPositionEmbedding, TransformerDecoder
    from ..models import Model

    ids = Input((None,), dtype="int32")
    x = TokenAndPositionEmbedding(vocabulary, context, width, name="embedding")(ids)
    x = Dropout(dropout, name="dropout")(x) if dropout else x
    for i in range(blocks):
        block = TransformerDecoder(
            units or 4 * width, heads, dropout, activation="gelu", normalize_first=True, name=f"block{i + 1}"
        )
        x = block(x)
    x = LayerNormalization(name="norm")(x)
    return Model(ids, Dense(vocabulary, use_bias=False, name="scores")(x), name=name)
