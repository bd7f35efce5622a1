"""Sequential: layers one after the other."""

from __future__ import annotations

from ..autograd import no_grad
from ..layers.call_context import entered
from ..layers.input_layer import InputLayer
from ..layers.layer import Layer
from ..layers.symbolic import SymbolicTensor, placeholders
from ..thread_state import changes
from .model import Model, _any_batch


class Sequential(Model):
    """A chain of layers.

    Where the first layer has an `input_shape`, or the list begins with an Input, weights are made as layers are
    added; otherwise by the first batch.

    Args:
        layers: list of layers.
        trainable: whether gradients reach the weights.
        name: name.

    Example:
        >>> import lamina as lm
        >>> model = lm.Sequential([lm.layers.Dense(8, activation="relu"), lm.layers.Dense(1)])
        >>> model(lm.ops.zeros((4, 3))).shape
        (4, 1)
    """

    def __init__(self, layers=None, trainable=True, name=None):
        super().__init__(trainable=trainable, name=name)
        self._chain = []
        self.__dict__["_input"] = None  # InputLayer, where the shape is known
        self.__dict__["_outputs"] = []  # symbolic output of each layer, where the shape is known
        if layers is not None and not isinstance(layers, (list, tuple)):
            layers = [layers]
        for layer in layers or []:
            self.add(layer)

    def add(self, layer):
        """Appends a layer.

        Args:
            layer: Layer, or the tensor of `lamina.Input` in the first place.

        Raises:
            TypeError: for anything else.
            ValueError: for a name that is taken.
        """
        if isinstance(layer, SymbolicTensor) and isinstance(layer.history.layer, InputLayer):
            layer = layer.history.layer
        if not isinstance(layer, Layer):
            made = " Make an object of it first: add parentheses." if isinstance(layer, type) else ""
            raise TypeError(f"[{self.name}] expects layers. Received: {layer!r}.{made}")
        if isinstance(layer, InputLayer):
            if self._chain or self._input is not None:
                raise ValueError(f"[{self.name}] an Input comes first. Received: it after {len(self._chain)} layers.")
            self._begin(layer)
            return
        if any(known.name == layer.name for known in self._chain):
            raise ValueError(
                f"[{self.name}] layers' names differ. Received: a second layer named {layer.name!r}. "
                "Give it another name=..., or add each layer once."
            )
        changes.note(None, layer)
        given = getattr(layer, "_given_input_shape", None)
        if not self._chain and self._input is None and given is not None:
            self._begin(InputLayer(given, dtype=self.dtype))
        if self._input is not None:
            self._extend(layer)
        elif self.built:  # by its first batch: goes on from there
            self._chain.append(layer)
            self._rebuild()
            return
        self._chain.append(layer)
        self.__dict__["_parts"] = None

    def pop(self, rebuild=True):
        """Takes the last layer off and returns it."""
        if not self._chain:
            raise ValueError(f"[{self.name}] there is no layer to take off. Received: 0 layers.")
        layer = self._chain.pop()
        if self._outputs:
            self._outputs.pop()
        self.__dict__["_parts"] = None
        changes.note(layer, None)
        return layer

    def _begin(self, layer):
        self.__dict__["_input"] = layer
        self.__dict__["_build_shape"] = layer.batch_shape
        if self._path is None:
            self._path = self.name
        self.built = True

    def _extend(self, layer):
        """Builds a layer for the shape that the chain gives so far."""
        before = self._outputs[-1] if self._outputs else self._input.output
        with entered(self), no_grad():
            self._outputs.append(layer(before))

    def _rebuild(self):
        self._begin(InputLayer(batch_shape=_any_batch(self._build_shape), dtype=self.dtype))
        self._outputs.clear()
        for layer in self._chain:
            self._extend(layer)

    def build(self, input_shape):
        """Makes all weights for inputs of this shape, the batch axis included (None: any)."""
        if self._input is not None:
            return
        if input_shape is None:
            raise ValueError(f"[{self.name}] build needs the shape of the inputs. Received: input_shape=None.")
        if not self._chain:
            raise ValueError(
                f"[{self.name}] has no layers; expected at least one. Received: layers=[]. Add them with add(layer)."
            )
        x = placeholders(_any_batch(input_shape), self.dtype)
        for layer in self._chain:
            x = layer(x)

    def call(self, inputs):
        for layer in self._chain:
            inputs = layer(inputs)
        return inputs

    @property
    def layers(self):
        """The layers in order."""
        return list(self._chain)

    @property
    def input_shape(self):
        """Shape of the inputs, None for unknown sizes."""
        self._require_built("input_shape")
        return _any_batch(self._build_shape)

    @property
    def output_shape(self):
        """Shape of the outputs, None for unknown sizes."""
        return self.compute_output_shape(self.input_shape)

    def get_config(self):
        """Name and layers."""
        from ..utils.registry import serialize

        layers = [serialize(layer, "layer") for layer in self._chain]
        if self._input is not None:
            layers.insert(0, serialize(self._input, "layer"))
        return {"name": self.name, "layers": layers}

    @classmethod
    def from_config(cls, config):
        """The model that `get_config` describes, with new weights."""
        from ..utils.registry import deserialize

        return cls([deserialize(layer) for layer in config["layers"]], name=config.get("name"))
