"""Bidirectional: a recurrent layer in both directions."""

from __future__ import annotations

from .. import ops
from ..utils.naming import unknown_name
from ..utils.registry import deserialize, serialize
from .layer import Layer
from .symbolic import leaves

MERGES = ("concat", "sum", "ave", "mul", None)


class Bidirectional(Layer):
    """Runs one copy of a recurrent layer forwards and one backwards, and joins their outputs.

    Args:
        layer: recurrent layer; copies are made of its configuration.
        merge_mode: `"concat"`, `"sum"`, `"ave"`, `"mul"`, or None: both outputs come out.
        weights: values for the weights, those of the forward layer first.
        backward_layer: layer for the other direction, with `go_backwards=True`, instead of a copy.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Input: as the layer's; `initial_state` holds the states of both directions, the forward ones first. Output: the
    outputs in the order of the inputs; with `return_state` a tuple of it and the states of both.

    Raises:
        ValueError: for an unknown merge_mode, or layers that go in the same direction.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Bidirectional(lm.layers.LSTM(4, return_sequences=True))(lm.ops.ones((2, 5, 3))).shape
        (2, 5, 8)
    """

    _casts_integers = True
    _not_config = (*Layer._not_config, "weights")

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        super().__init__(**kwargs)
        for given in (layer, *([] if backward_layer is None else [backward_layer])):
            if not isinstance(given, Layer) or not hasattr(given, "go_backwards"):
                raise ValueError(f"[Bidirectional] needs a recurrent layer. Received: {given!r}.")
        if merge_mode not in MERGES:
            raise unknown_name("Bidirectional.merge_mode", merge_mode, [m for m in MERGES if m])
        self.merge_mode = merge_mode
        self.forward_layer = _copy(layer, f"forward_{layer.name.removeprefix('forward_')}")
        if backward_layer is None:
            backward_layer = _copy(layer, f"backward_{layer.name.removeprefix('backward_')}", go_backwards=True)
        self.backward_layer = backward_layer
        both = self.forward_layer, self.backward_layer
        if both[0].go_backwards == both[1].go_backwards:
            raise ValueError(
                "[Bidirectional] the layers go in different directions. "
                f"Received: go_backwards={both[0].go_backwards} for both."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(both[0], name) != getattr(both[1], name):
                raise ValueError(
                    f"[Bidirectional] the layers have the same {name}. "
                    f"Received: {getattr(both[0], name)} and {getattr(both[1], name)}."
                )
        for one in both:  # or padding of one direction would be data of the other
            if hasattr(one, "zero_output_for_mask"):
                one.zero_output_for_mask = one.return_sequences
        self.input_spec = layer.input_spec
        self.__dict__["_given_weights"] = weights

    @property
    def layer(self):
        """The forward layer."""
        return self.forward_layer

    @property
    def return_sequences(self):
        """Whether the outputs of all steps come out."""
        return self.forward_layer.return_sequences

    @property
    def return_state(self):
        """Whether the last states come out too."""
        return self.forward_layer.return_state

    @property
    def stateful(self):
        """Whether a batch begins with the states in which the one before ended."""
        return self.forward_layer.stateful

    def reset_state(self):
        """Sets the states of stateful layers to zero."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def build(self, input_shape):
        self.forward_layer.build(input_shape)
        self.backward_layer.build(input_shape)
        if self._given_weights is not None:
            self.set_weights(self._given_weights)

    def call(self, sequences, initial_state=None, mask=None, training=None):
        states = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            states = [list(initial_state[:half]), list(initial_state[half:])]
        results = [
            layer(sequences, initial_state=state, mask=mask, training=training)
            for layer, state in zip((self.forward_layer, self.backward_layer), states)
        ]
        after = ()
        if self.return_state:
            after = (*results[0][1:], *results[1][1:])
            results = [result[0] for result in results]
        forward, backward = results
        if self.return_sequences:
            backward = ops.flip(backward, axis=1)
        merged = _merged(self.merge_mode, forward, backward)
        if not self.return_state:
            return merged
        return (*(merged if self.merge_mode is None else (merged,)), *after)

    def compute_mask(self, inputs, previous_mask):
        mask = leaves(previous_mask)[0] if self.return_sequences else None
        return [mask, mask] if self.merge_mode is None else [mask]


def _merged(mode, forward, backward):
    if mode is None:
        return forward, backward
    if mode == "concat":
        return ops.concatenate([forward, backward], axis=-1)
    if mode == "mul":
        return forward * backward
    total = forward + backward
    return total / 2.0 if mode == "ave" else total


def _copy(layer, name, **settings):
    """A layer of the same configuration, without its weights."""
    described = serialize(layer)
    return deserialize({**described, "config": {**described["config"], "name": name, **settings}})
