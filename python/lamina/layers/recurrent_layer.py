"""What SimpleRNN, LSTM and GRU share: an RNN whose cell's settings are its own."""

from __future__ import annotations

from .. import regularizers
from .input_spec import InputSpec
from .rnn import RNN


class RecurrentLayer(RNN):
    """An RNN of one cell with weights."""

    _not_config = (*RNN._not_config, "cell")

    def __init__(self, cell, activity_regularizer=None, **kwargs):
        super().__init__(cell, **kwargs)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def call(self, sequences, initial_state=None, mask=None, training=False):
        result = super().call(sequences, initial_state, mask, training)
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer(result[0] if self.return_state else result))
        return result


def of_the_cell(name):
    """A property that is the cell's."""
    return property(lambda self: getattr(self.cell, name), doc=f"The cell's `{name}`.")


for _name in (
    "units",
    "activation",
    "recurrent_activation",
    "use_bias",
    "unit_forget_bias",
    "reset_after",
    "dropout",
    "recurrent_dropout",
    "seed",
    *(f"{w}_{kind}" for w in ("kernel", "recurrent", "bias") for kind in ("initializer", "regularizer", "constraint")),
):
    setattr(RecurrentLayer, _name, of_the_cell(_name))
