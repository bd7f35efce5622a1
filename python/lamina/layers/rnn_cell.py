"""Cells: one step of a recurrent layer."""

from __future__ import annotations

from .. import activations, ops
from ..ops import random, recurrent
from ..ops.linalg import dense
from ..random_state import SeedGenerator
from .arguments import fraction, positive
from .fusion import FUSED
from .layer import Layer


class WeightedCell(Layer):
    """What the cells with weights share: `call(inputs, states)` is `step(project(inputs), states)`.

    The projection needs no state, so a recurrent layer makes it for all steps at once.
    """

    _not_config = (*Layer._not_config, "weights")
    gates = 1
    states = 1

    def __init__(self, units, activation, use_bias, weights, dropout, recurrent_dropout, seed, **kwargs):
        super().__init__(**kwargs)
        where = type(self).__name__
        self.units = positive(where, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        for weight, (initializer, regularizer, constraint) in zip(("kernel", "recurrent", "bias"), weights):
            self._keep(weight, initializer, regularizer, constraint)
        self.dropout = fraction(where, "dropout", dropout)
        self.recurrent_dropout = fraction(where, "recurrent_dropout", recurrent_dropout)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed) if self.dropout or self.recurrent_dropout else None
        self.bias = None

    @property
    def state_size(self):
        """Size of the state, or a list of the sizes of several."""
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self):
        """Size of the output."""
        return self.units

    def get_initial_state(self, batch_size=None):
        """Zeros: a list of tensors `[batch_size, units]`."""
        return [ops.zeros((batch_size, self.units), self.dtype) for _ in range(self.states)]

    @property
    def _bias_shape(self):
        return (self.gates * self.units,)

    def build(self, input_shape):
        kernel, recurrent_kernel = self._kernel_shapes(input_shape)
        self.kernel = self._add("kernel", kernel)
        self.recurrent_kernel = self._add("recurrent_kernel", recurrent_kernel, "recurrent")
        if self.use_bias:
            self.bias = self._add("bias", self._bias_shape)

    def _kernel_shapes(self, input_shape):
        return (input_shape[-1], self.gates * self.units), (self.units, self.gates * self.units)

    def project(self, inputs, training=False, steps_axis=1):
        """What the inputs `[batch, (steps,) features]` give to every gate, `[batch, (steps,) gates * units]`."""
        if training and self.dropout:  # the same features at every step of a sequence
            shape = [1 if inputs.ndim == 3 and axis == steps_axis else n for axis, n in enumerate(inputs.shape)]
            inputs = random.dropout(inputs, self.dropout, tuple(shape), self.seed_generator)
        rows = ops.reshape(inputs, (-1, inputs.shape[-1]))  # in order, for this product and that of the gradient
        return ops.reshape(dense(rows, self.kernel, self._input_bias), (*inputs.shape[:-1], self.gates * self.units))

    @property
    def _input_bias(self):
        return self.bias

    def _recur(self, state):
        """What the state gives to every gate."""
        return ops.matmul(state, self.recurrent_kernel)

    def recurrent_mask(self, state, training=False):
        """Dropout of the state, the same at every step: a tensor to multiply it by, or None."""
        if not (training and self.recurrent_dropout):
            return None
        return random.dropout(ops.ones(state.shape, state.dtype), self.recurrent_dropout, None, self.seed_generator)

    def call(self, inputs, states, training=False):
        listed = isinstance(states, (list, tuple))
        before = list(states) if listed else [states]
        after = self.step(self.project(inputs, training), before, self.recurrent_mask(before[0], training))
        return after[0], after if listed else after[0]

    def step(self, projected, states, recurrent_mask=None):
        """The states after one step, the output first."""
        raise NotImplementedError

    def is_fused(self, training):
        """Whether `scan` does what `step` would."""
        return not (training and self.recurrent_dropout)

    def scan(self, projected, states, mask, reverse):
        """Outputs of all steps, time-major, and the last states; see `ops.recurrent`."""
        raise NotImplementedError


def _usual(cell):
    """Whether the functions are those of the fused kernels."""
    return cell.activation is activations.tanh and cell.recurrent_activation is activations.sigmoid


def _dropped(state, mask):
    return state if mask is None else state * mask


class SimpleRNNCell(WeightedCell):
    """One step of SimpleRNN: h' = activation(x kernel + h recurrent_kernel + bias).

    Args: those of SimpleRNN that say how one step computes.

    `call(inputs, states)` takes `[batch, features]` and a state `[batch, units]` (or a list of it), and returns the
    output and the new state.

    Example:
        >>> import lamina as lm
        >>> output, states = lm.layers.SimpleRNNCell(4)(lm.ops.ones((2, 3)), [lm.ops.zeros((2, 4))])
        >>> output.shape
        (2, 4)
    """

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
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        weights = (
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )
        super().__init__(units, activation, use_bias, weights, dropout, recurrent_dropout, seed, **kwargs)

    def step(self, projected, states, recurrent_mask=None):
        return [self.activation(projected + self._recur(_dropped(states[0], recurrent_mask)))]

    def is_fused(self, training):
        return super().is_fused(training) and self.activation in FUSED

    def scan(self, projected, states, mask, reverse):
        activation = FUSED[self.activation]
        return recurrent.simple_rnn(projected, self.recurrent_kernel, *states, mask, activation, reverse)


class LSTMCell(WeightedCell):
    """One step of LSTM; the states are [h, c].

    Args: those of LSTM that say how one step computes.

    `call(inputs, states)` takes `[batch, features]` and `[h, c]`, each `[batch, units]`, and returns h' and [h', c'].

    Example:
        >>> import lamina as lm
        >>> cell = lm.layers.LSTMCell(4)
        >>> output, states = cell(lm.ops.ones((2, 3)), cell.get_initial_state(2))
        >>> output.shape, len(states)
        ((2, 4), 2)
    """

    gates = 4  # input, forget, candidate, output
    states = 2

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
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        weights = (
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )
        super().__init__(units, activation, use_bias, weights, dropout, recurrent_dropout, seed, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)

    def build(self, input_shape):
        super().build(input_shape)
        if self.use_bias and self.unit_forget_bias:  # the forget gate begins open
            n = self.units
            self.bias.assign(ops.concatenate([self.bias[:n], ops.ones((n,), self.dtype), self.bias[2 * n :]]))

    def step(self, projected, states, recurrent_mask=None):
        h, c = states
        gates = projected + self._recur(_dropped(h, recurrent_mask))
        i, f, candidate, o = ops.split(gates, 4, axis=-1)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(candidate)
        return [self.recurrent_activation(o) * self.activation(c), c]

    def is_fused(self, training):
        return super().is_fused(training) and _usual(self)

    def scan(self, projected, states, mask, reverse):
        return recurrent.lstm(projected, self.recurrent_kernel, *states, mask, reverse)


class GRUCell(WeightedCell):
    """One step of GRU.

    Args: those of GRU that say how one step computes.

    `call(inputs, states)` takes `[batch, features]` and a state `[batch, units]` (or a list of it), and returns the
    output and the new state.

    Example:
        >>> import lamina as lm
        >>> output, states = lm.layers.GRUCell(4)(lm.ops.ones((2, 3)), [lm.ops.zeros((2, 4))])
        >>> output.shape
        (2, 4)
    """

    gates = 3  # update, reset, candidate

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        reset_after=True,
        seed=None,
        **kwargs,
    ):
        weights = (
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )
        super().__init__(units, activation, use_bias, weights, dropout, recurrent_dropout, seed, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)

    @property
    def _bias_shape(self):  # the recurrent product has a bias of its own where the reset gate comes after it
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    @property
    def _input_bias(self):
        return self.bias[0] if self.reset_after and self.bias is not None else self.bias

    def step(self, projected, states, recurrent_mask=None):
        n, h = self.units, states[0]
        x_zr, x_candidate = projected[:, : 2 * n], projected[:, 2 * n :]
        before = _dropped(h, recurrent_mask)
        if self.reset_after:
            recurrent = dense(before, self.recurrent_kernel, None if self.bias is None else self.bias[1])
            z, r = ops.split(self.recurrent_activation(x_zr + recurrent[:, : 2 * n]), 2, axis=-1)
            candidate = x_candidate + r * recurrent[:, 2 * n :]
        else:
            gates = x_zr + ops.matmul(before, self.recurrent_kernel[:, : 2 * n])
            z, r = ops.split(self.recurrent_activation(gates), 2, axis=-1)
            candidate = x_candidate + ops.matmul(r * before, self.recurrent_kernel[:, 2 * n :])
        return [z * h + (1.0 - z) * self.activation(candidate)]

    def is_fused(self, training):
        return super().is_fused(training) and self.reset_after and _usual(self)

    def scan(self, projected, states, mask, reverse):
        bias = None if self.bias is None else self.bias[1]
        return recurrent.gru(projected, self.recurrent_kernel, bias, *states, mask, reverse)


class StackedRNNCells(Layer):
    """Cells one above the other, as one cell.

    Args:
        cells: list of cells, the lowest first.
        **kwargs: `name`, `dtype`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> cells = lm.layers.StackedRNNCells([lm.layers.GRUCell(4), lm.layers.LSTMCell(3)])
        >>> lm.layers.RNN(cells)(lm.ops.ones((2, 5, 6))).shape
        (2, 3)
    """

    def __init__(self, cells, **kwargs):
        super().__init__(**kwargs)
        for cell in cells:
            check_cell("StackedRNNCells", cell)
        self.cells = list(cells)

    @property
    def state_size(self):
        """The cells' sizes of states, a list."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        """Size of the last cell's output."""
        return output_size_of(self.cells[-1])

    def get_initial_state(self, batch_size=None):
        """The cells' initial states, a list."""
        return [initial_state_of(cell, batch_size, self.dtype) for cell in self.cells]

    def build(self, input_shape):
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def call(self, inputs, states):
        after = []
        for cell, before in zip(self.cells, states):
            inputs, state = cell(inputs, before)
            after.append(state)
        return inputs, after


def check_cell(where, cell):
    """Raises ValueError for what is no cell."""
    if not callable(cell) or getattr(cell, "state_size", None) is None:
        raise ValueError(
            f"[{where}] a cell is called on (inputs, states) and has a state_size, an integer or a list. "
            f"Received: {cell!r}."
        )


def output_size_of(cell):
    """Size of a cell's output: its `output_size`, or that of its first state."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def initial_state_of(cell, batch_size, dtype):
    """A cell's first state: what it says, or zeros."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)

    def zeros(size):
        if isinstance(size, (list, tuple)):
            return [zeros(part) for part in size]
        return ops.zeros((batch_size, size), dtype)

    return zeros(cell.state_size)
