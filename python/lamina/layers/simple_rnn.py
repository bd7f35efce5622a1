"""SimpleRNN."""

from __future__ import annotations

from .recurrent_layer import RecurrentLayer
from .rnn_cell import SimpleRNNCell


class SimpleRNN(RecurrentLayer):
    """Recurrent layer: h(t) = activation(x(t) kernel + h(t - 1) recurrent_kernel + bias).

    Args:
        units: int, size of the state and of the output.
        activation: function of the new state, or its name.
        use_bias: whether there is a bias.
        kernel_initializer: initialiser of the inputs' kernel `[features, units]`.
        recurrent_initializer: initialiser of the states' kernel `[units, units]`.
        bias_initializer: initialiser of the bias `[units]`.
        kernel_regularizer: penalty on the inputs' kernel.
        recurrent_regularizer: penalty on the states' kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: function applied to the inputs' kernel after each update.
        recurrent_constraint: function applied to the states' kernel after each update.
        bias_constraint: function applied to the bias after each update.
        dropout: fraction of the inputs' features set to 0 in training, the same at all steps.
        recurrent_dropout: fraction of the state set to 0 in training, the same at all steps.
        return_sequences: whether the outputs of all steps come out, not the last one alone.
        return_state: whether the last states come out too, after the output.
        go_backwards: from the last step to the first; the outputs are in that order.
        stateful: whether a batch begins with the states in which the one before ended (see RNN).
        unroll: kept for Keras' signature.
        seed: int, for the layer's own sequence of draws.
        **kwargs: `zero_output_for_mask` as in RNN; `name`, `dtype`, `trainable`, `input_shape` as in Layer.

    Input: `[batch, steps, features]`; `initial_state`, one `[batch, units]`; `mask`, bool `[batch, steps]`.
    Output: `[batch, units]`, or `[batch, steps, units]`; with `return_state` a tuple of it and the states.

    Example:
        >>> import lamina as lm
        >>> layer = lm.layers.SimpleRNN(4, return_sequences=True, return_state=True)
        >>> [tuple(y.shape) for y in layer(lm.ops.ones((2, 5, 3)))]
        [(2, 5, 4), (2, 4)]
    """

    cell: SimpleRNNCell

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        seed=None,
        **kwargs,
    ):
        cell = SimpleRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
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
            name="simple_rnn_cell",
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
