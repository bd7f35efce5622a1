"""ConvLSTM1D, ConvLSTM2D, ConvLSTM3D: LSTM whose products are convolutions."""

from __future__ import annotations

from .. import ops
from ..ops import random
from ..ops.convolution_nd import convolve
from ..ops.spatial import to_first, to_last
from .arguments import data_format_of, padding_of, positive, sizes_of
from .input_spec import InputSpec
from .recurrent_layer import RecurrentLayer, of_the_cell
from .rnn_cell import LSTMCell
from .symbolic import placeholders


class ConvLSTMCell(LSTMCell):
    """One step of ConvLSTM, channels last; the states are [h, c], each `[batch, spatial axes, filters]`."""

    def __init__(self, rank, filters, kernel_size, strides, padding, dilation_rate, **kwargs):
        super().__init__(positive(type(self).__name__, "filters", filters), **kwargs)
        where = type(self).__name__
        self.rank, self.filters = rank, self.units
        self.kernel_size = sizes_of(where, "kernel_size", kernel_size, rank)
        self.strides = sizes_of(where, "strides", strides, rank)
        self.padding = padding_of(where, padding)
        self.dilation_rate = sizes_of(where, "dilation_rate", dilation_rate, rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"[{where}] strides and dilation_rate cannot both exceed 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}."
            )

    def build(self, input_shape):
        if None in input_shape[1:]:
            raise ValueError(
                f"[{self.path}] the spatial sizes and the number of channels must be known. "
                f"Received: input_shape={tuple(input_shape)}."
            )
        super().build(input_shape)
        image, kernel = placeholders((None, *input_shape[1:]), self.dtype), placeholders(self.kernel.shape, self.dtype)
        projected = convolve(image, kernel, None, self.strides, self.padding, self.dilation_rate)
        self.state_shape = (*projected.shape[1:-1], self.filters)

    def _kernel_shapes(self, input_shape):
        gates = self.gates * self.filters
        return (*self.kernel_size, input_shape[-1], gates), (*self.kernel_size, self.filters, gates)

    def get_initial_state(self, batch_size=None):
        """Zeros: [h, c]."""
        return [ops.zeros((batch_size, *self.state_shape), self.dtype) for _ in range(self.states)]

    def project(self, inputs, training=False, steps_axis=1):
        """The inputs' convolutions for every gate; of sequences for all steps at once, as one batch of images."""
        sequences = inputs.ndim == self.rank + 3
        if training and self.dropout:  # the same places at every step of a sequence
            shape = [1 if sequences and axis == steps_axis else n for axis, n in enumerate(inputs.shape)]
            inputs = random.dropout(inputs, self.dropout, tuple(shape), self.seed_generator)
        images = ops.reshape(inputs, (-1, *inputs.shape[2:])) if sequences else inputs
        y = convolve(images, self.kernel, self.bias, self.strides, self.padding, self.dilation_rate)
        return ops.reshape(y, (*inputs.shape[:2], *y.shape[1:])) if sequences else y

    def _recur(self, state):
        return convolve(state, self.recurrent_kernel, padding="same")

    def is_fused(self, training):
        return False


class _ConvLSTM(RecurrentLayer):
    cell: ConvLSTMCell
    rank = 2

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
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
        **kwargs,
    ):
        cell = ConvLSTMCell(
            self.rank,
            filters,
            kernel_size,
            strides,
            padding,
            dilation_rate,
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
            name="conv_lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 3)

    @property
    def _first(self):
        return self.data_format == "channels_first"

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = InputSpec(ndim=self.rank + 3, axes=dict(enumerate(input_shape[2:], 2)))

    def _step_shape(self, input_shape):
        batch, *image = super()._step_shape(input_shape)
        return (batch, *image[1:], image[0]) if self._first else (batch, *image)

    def get_initial_state(self, batch_size):
        """The states before the first step, [h, c], in the layer's data format."""
        return [to_first(state, self._first) for state in super().get_initial_state(batch_size)]

    def run(self, sequences, states, mask, training):
        if self._first:
            sequences = ops.moveaxis(sequences, 2, -1)
        before = [to_last(state, self._first) for state in states]
        output, after = super().run(sequences, before, mask, training)
        if self._first:
            output = ops.moveaxis(output, -1, 2 if self.return_sequences else 1)
        return output, [to_first(state, self._first) for state in after]

    def _symbolic_outputs(self, sequences, states):
        *spatial, filters = self.cell.state_shape
        shape = (filters, *spatial) if self._first else (*spatial, filters)
        batch, steps = sequences.shape[:2]
        state = placeholders((batch, *shape), self.dtype)
        output = placeholders((batch, steps, *shape), self.dtype) if self.return_sequences else state
        return output, [state, state] if states is None else states


class ConvLSTM2D(_ConvLSTM):
    """LSTM over sequences of images whose products are convolutions; Shi et al. 2015.

    With x(t) convolved with the kernel, plus h(t - 1) with the recurrent kernel ("same", stride 1), plus the bias, in
    four parts i, f, g, o: c(t) = s(f) c(t - 1) + s(i) a(g), h(t) = s(o) a(c(t)); a is `activation`, s
    `recurrent_activation`.

    Args:
        filters: int, channels of the states and of the output.
        kernel_size: int, or one per spatial axis, the window of both convolutions.
        strides: how far the inputs' window moves.
        padding: of the inputs, `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`, for the inputs, states and outputs.
        dilation_rate: gaps between the taps of the inputs' window; not with strides.
        activation: function of the candidate and of the cell state, or its name.
        recurrent_activation: function of the gates, or its name.
        use_bias: whether there is a bias.
        kernel_initializer: initialiser of the inputs' kernel `[*kernel_size, channels, 4 * filters]`.
        recurrent_initializer: initialiser of the states' kernel `[*kernel_size, filters, 4 * filters]`.
        bias_initializer: initialiser of the bias `[4 * filters]`.
        unit_forget_bias: whether the forget gate's bias begins at 1.
        kernel_regularizer: penalty on the inputs' kernel.
        recurrent_regularizer: penalty on the states' kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: function applied to the inputs' kernel after each update.
        recurrent_constraint: function applied to the states' kernel after each update.
        bias_constraint: function applied to the bias after each update.
        dropout: fraction of the inputs set to 0 in training, the same at all steps and for all gates.
        recurrent_dropout: fraction of the state set to 0 in training, the same at all steps and for all gates.
        seed: int, for the layer's own sequence of draws.
        return_sequences: whether the outputs of all steps come out, not the last one alone.
        return_state: whether the last states come out too, after the output.
        go_backwards: from the last step to the first; the outputs are in that order.
        stateful: whether a batch begins with the states in which the one before ended (see RNN).
        **kwargs: `zero_output_for_mask` as in RNN; `name`, `dtype`, `trainable`, `input_shape` as in Layer.

    Input: `[batch, steps, height, width, channels]`, heights and widths known; `initial_state`, `[h, c]`; `mask`, bool
    `[batch, steps]`. Output: `[batch, new height, new width, filters]`, or with the steps as second axis; with
    `return_state` a tuple of it and the states.

    Example:
        >>> import lamina as lm
        >>> layer = lm.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
        >>> layer(lm.ops.ones((2, 5, 8, 6, 1))).shape
        (2, 5, 8, 6, 4)
    """


class ConvLSTM1D(_ConvLSTM):
    """LSTM over sequences of rows `[batch, steps, width, channels]`; arguments as in ConvLSTM2D.

    Example:
        >>> import lamina as lm
        >>> lm.layers.ConvLSTM1D(4, 3)(lm.ops.ones((2, 5, 8, 1))).shape
        (2, 6, 4)
    """

    rank = 1


class ConvLSTM3D(_ConvLSTM):
    """LSTM over sequences of volumes `[batch, steps, depth, height, width, channels]`; arguments as in ConvLSTM2D.

    Example:
        >>> import lamina as lm
        >>> lm.layers.ConvLSTM3D(2, 2)(lm.ops.ones((2, 3, 4, 5, 6, 1))).shape
        (2, 3, 4, 5, 2)
    """

    rank = 3


for _name in ("filters", "kernel_size", "strides", "padding", "dilation_rate"):
    setattr(_ConvLSTM, _name, of_the_cell(_name))
