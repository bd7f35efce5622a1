"""LSTM."""

from __future__ import annotations

from .recurrent_layer import RecurrentLayer
from .rnn_cell import LSTMCell


class LSTM(RecurrentLayer):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with a forget gate (Gers et al. 2000).

    With x(t) kernel + h(t - 1) recurrent_kernel + bias in four parts i, f, g, o: c(t) = s(f) c(t - 1) + s(i) a(g),
    h(t) = s(o) a(c(t)); a is `activation`, s `recurrent_activation`.

    Args:
        units: int, size of the state and of the output.
        activation: function of the candidate and of the cell state, or its name.
        recurrent_activation: function of the gates, or its name.
        use_bias: whether there is a bias.
        kernel_initializer: initialiser of the inputs' kernel `[features, 4 * units]`.
        recurrent_initializer: initialiser of the states' kernel `[units, 4 * units]`.
        bias_initializer: initialiser of the bias `[4 * units]`.
        unit_forget_bias: whether the forget gate's bias begins at 1.
        kernel_regularizer: penalty on the inputs' kernel.
        recurrent_regularizer: penalty on the states' kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: function applied to the inputs' kernel after each update.
        recurrent_constraint: function applied to the states' kernel after each update.
        bias_constraint: function applied to the bias after each update.
        dropout: fraction of the inputs' features set to 0 in training, the same at all steps.
        recurrent_dropout: fraction of the state set to 0 in training, the same at all steps.
        seed: int, for the layer's own sequence of draws.
        return_sequences: whether the outputs of all steps come out, not the last one alone.
        return_state: whether the last states come out too, after the output.
        go_backwards: from the last step to the first; the outputs are in that order.
        stateful: whether a batch begins with the states in which the one before ended (see RNN).
        unroll: kept for Keras' signature.
        use_cudnn: kept for Keras' signature.
        **kwargs: `zero_output_for_mask` as in RNN; `name`, `dtype`, `trainable`, `input_shape` as in Layer.

    Input: `[batch, steps, features]`; `initial_state`, `[h, c]`, each `[batch, units]`; `mask`, bool `[batch, steps]`.
    Output: `[batch, units]`, or `[batch, steps, units]`; with `return_state` a tuple of it and the states.

    Example:
        >>> import lamina as lm
        >>> layer = lm.layers.LSTM(4, return_sequences=True, return_state=True)
        >>> [tuple(y.shape) for y in layer(lm.ops.ones((2, 5, 3)))]
        [(2, 5, 4), (2, 4), (2, 4)]
    """

    cell: LSTMCell

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        use_cudnn="auto",
        **kwargs,
    ):
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.use_cudnn = use_cudnn
