"""RNN: a cell that goes along the steps of a sequence."""

from __future__ import annotations

from .. import _core, ops
from ..tensor import Tensor, Variable, convert_to_tensor
from ..thread_state import init_scope
from .input_spec import InputSpec
from .layer import Layer
from .rnn_cell import StackedRNNCells, WeightedCell, check_cell, initial_state_of, output_size_of
from .symbolic import leaves, map_tensors


class RNN(Layer):
    """Runs a cell over the steps of a sequence.

    Args:
        cell: a cell: a callable, mostly a Layer, `cell(inputs, states) -> (output, states)`, with a `state_size`; also
            `output_size` and `get_initial_state(batch_size)`. A list of cells is stacked.
        return_sequences: whether the outputs of all steps come out, not the last one alone.
        return_state: whether the last states come out too, after the output.
        go_backwards: from the last step to the first; the outputs are in that order.
        stateful: whether a batch begins with the states in which the one before ended; its size is then fixed
            (`batch_shape`), and `reset_state` sets them to zero.
        unroll: kept for Keras' signature; captured steps are unrolled anyway.
        zero_output_for_mask: whether the output at masked steps is 0, not that of the step before.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: `[batch, steps, ...]`; `initial_state`, a list of states; `mask`, bool `[batch, steps]`: at steps where it is
    False the states stay. Output: `[batch, output_size]`, or `[batch, steps, output_size]`; with `return_state` a tuple
    of it and the states.

    Raises:
        ValueError: for what is no cell, or a batch of another size than a stateful layer was built for.

    Example:
        >>> import lamina as lm
        >>> layer = lm.layers.RNN([lm.layers.LSTMCell(4), lm.layers.GRUCell(3)], return_sequences=True)
        >>> layer(lm.ops.ones((2, 5, 6))).shape
        (2, 5, 3)
    """

    _casts_integers = True

    def __init__(
        self,
        cell,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(type(self).__name__, cell)
        self.cell = cell
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.input_spec = InputSpec(min_ndim=3)
        self.__dict__["states"] = None  # variables of a stateful layer: no weights, and not saved

    @property
    def state_size(self):
        """Sizes of the states, a list."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    def build(self, input_shape):
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build(self._step_shape(input_shape))
        if self.stateful:
            if input_shape[0] is None:
                raise ValueError(
                    f"[{self.path}] a stateful layer needs the size of its batches. "
                    f"Received: input_shape={tuple(input_shape)}. Give the Input a batch_size."
                )
            with init_scope():
                states = self.get_initial_state(input_shape[0])
                self.__dict__["states"] = map_tensors(lambda s: Variable(s, trainable=False, name="rnn_state"), states)

    def _step_shape(self, input_shape):
        """The shape of what the cell gets at one step."""
        return (input_shape[0], *input_shape[2:])

    def get_initial_state(self, batch_size):
        """The states before the first step, a list."""
        states = initial_state_of(self.cell, batch_size, self.dtype)
        return list(states) if isinstance(states, (list, tuple)) else [states]

    def reset_state(self):
        """Sets the states of a stateful layer to zero."""
        for state in leaves(self.states or []):
            state.assign(ops.zeros(state.shape, state.dtype))

    reset_states = reset_state

    def call(self, sequences, initial_state=None, mask=None, training=False):
        states = self._first_states(sequences, initial_state)
        if sequences._core.is_symbolic:
            output, states = self._symbolic_outputs(sequences, states)
        else:
            if isinstance(mask, (list, tuple)):  # of several inputs: one says which steps count
                mask = leaves(mask)[0]
            output, states = self.run(sequences, states, mask, training)
        if self.stateful and not sequences._core.is_symbolic:
            for kept, state in zip(leaves(self.states), leaves(states)):
                kept.assign(state.detach())
        return (output, *states) if self.return_state else output

    def _first_states(self, sequences, initial_state):
        batch = sequences.shape[0]
        if initial_state is None:
            if not self.stateful:
                return None if sequences._core.is_symbolic else self.get_initial_state(batch)
            kept = leaves(self.states)[0].shape[0]
            if batch is not None and batch != kept:
                raise ValueError(
                    f"[{self.path}] a stateful layer takes batches of the size it was built for, {kept}. "
                    f"Received: inputs.shape={sequences.shape}."
                )
            return map_tensors(lambda s: Tensor(_core.copy(s._core)), self.states)
        if not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        return map_tensors(lambda s: convert_to_tensor(s, self.dtype), list(initial_state))

    def run(self, sequences, states, mask, training):
        """(output or outputs, states) of all steps."""
        cell, steps = self.cell, sequences.shape[1]
        if not steps:
            raise ValueError(f"[{self.path}] needs at least one step. Received: inputs.shape={sequences.shape}.")
        if isinstance(cell, WeightedCell) and cell.is_fused(training):
            return self._run_fused(sequences, states, mask, training)
        if isinstance(cell, WeightedCell):
            sequences = cell.project(sequences, training)
            dropped = cell.recurrent_mask(states[0], training)

            def step(x, states):
                after = cell.step(x, states, dropped)
                return after[0], after
        else:

            def step(x, states):
                output, after = cell(x, states)
                return output, list(after) if isinstance(after, (list, tuple)) else [after]

        order, outputs = range(steps), []
        output = None
        for t in reversed(order) if self.go_backwards else order:
            new, after = step(sequences[:, t], states)
            if mask is not None:
                counts = mask[:, t]
                after = _chosen(counts, after, states)
                last = ops.zeros(new.shape, new.dtype) if output is None or self.zero_output_for_mask else output
                new = _chosen(counts, new, last)
            output, states = new, after
            if self.return_sequences:
                outputs.append(output)
        return ops.stack(outputs, axis=1) if self.return_sequences else output, states

    def _run_fused(self, sequences, states, mask, training):
        """The same, all steps in one launch, time-major."""
        x = self.cell.project(ops.swapaxes(sequences, 0, 1), training, steps_axis=0)
        by_step = None if mask is None else ops.swapaxes(ops.cast(mask, "bool"), 0, 1)
        outputs, *after = self.cell.scan(x, states, by_step, self.go_backwards)
        if not self.return_sequences:
            outputs = after[0]
        if by_step is not None:  # where a step does not count, its output is that of the step before, 0 at first
            if self.go_backwards:
                by_step = ops.flip(by_step, axis=0)
            if self.return_sequences and not self.zero_output_for_mask:
                by_step = ops.greater(ops.cumsum(ops.cast(by_step, "int32"), axis=0), 0)
            elif not self.return_sequences:
                by_step = by_step[-1] if self.zero_output_for_mask else ops.any(by_step, axis=0)
            outputs = ops.where(ops.expand_dims(by_step, -1), outputs, ops.zeros((), outputs.dtype))
        return ops.swapaxes(outputs, 0, 1) if self.return_sequences else outputs, after

    def _symbolic_outputs(self, sequences, states):
        """Shapes alone: the number of steps may be unknown."""
        batch, steps = sequences.shape[:2]

        def symbolic(*shape):
            return Tensor(_core.symbolic(shape, self.dtype))

        size = output_size_of(self.cell)
        output = symbolic(batch, steps, size) if self.return_sequences else symbolic(batch, size)
        return output, map_tensors(lambda n: symbolic(batch, n), self.state_size) if states is None else states

    def compute_mask(self, inputs, previous_mask):
        mask = leaves(previous_mask)[0] if self.return_sequences else None
        return [mask, *[None] * len(leaves(self.state_size))] if self.return_state else mask


def _chosen(counts, new, old):
    """`new` where the step counts, else `old`; trees of tensors `[batch, ...]`."""
    if isinstance(new, (list, tuple)):
        return [_chosen(counts, a, b) for a, b in zip(new, old)]
    return ops.where(ops.reshape(counts, (counts.shape[0], *(1,) * (new.ndim - 1))), new, old)
