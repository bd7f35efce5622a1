"""Functional models: the layers between input tensors and output tensors."""

from __future__ import annotations

from ..layers.input_layer import InputLayer
from ..layers.symbolic import SymbolicTensor, map_tensors, shapes_of
from .model import Model


class Functional(Model):
    """What `Model(inputs, outputs)` makes.

    Args:
        inputs: tensor of `lamina.Input`, or a list, tuple or dict of them.
        outputs: tensor that layers made of them, or a list, tuple or dict of such.
        name: name.

    Raises:
        ValueError: where an output does not come from the inputs through layers alone.

    Example:
        >>> import lamina as lm
        >>> x = lm.Input((3,))
        >>> model = lm.Model(x, lm.layers.Dense(2)(x))
        >>> model(lm.ops.zeros((4, 3))).shape
        (4, 2)
    """

    def __init__(self, inputs, outputs, name=None, trainable=True):
        super().__init__(name=name, trainable=trainable)
        self.__dict__["inputs"], self.__dict__["outputs"] = inputs, outputs
        steps: list[tuple] = []
        done: dict[int, SymbolicTensor] = {}
        calls: dict[tuple, int] = {}
        map_tensors(lambda t: self._check_input_tensor(t, done), inputs)

        def visit(tensor):
            if id(tensor) in done:
                return tensor
            if not isinstance(tensor, SymbolicTensor) or not tensor._core.is_symbolic:
                raise ValueError(
                    f"[{self.name}] an output comes from the inputs through layers. "
                    f"Received: a tensor of shape {getattr(tensor, 'shape', None)} made outside of a layer. "
                    "Wrap the operation in a layer, or subclass Model."
                )
            layer, arguments = tensor.history
            if isinstance(layer, InputLayer):
                raise ValueError(f"[{self.name}] an output needs an input that is not listed: {layer.name!r}.")
            if calls.setdefault((id(layer), id(arguments)), id(tensor)) != id(tensor):
                raise ValueError(f"[{self.name}] layers of several outputs need a subclass of Model: {layer.name!r}.")
            done[id(tensor)] = tensor
            map_tensors(visit, arguments)
            steps.append((layer, arguments, tensor))
            return tensor

        map_tensors(visit, outputs)
        self.__dict__["_steps"] = steps
        self._chain = list({id(layer): layer for layer, _, _ in steps}.values())
        self._build_shape = shapes_of(inputs)
        self.built = True

    def _check_input_tensor(self, tensor, done):
        history = getattr(tensor, "history", None)
        if history is None or not isinstance(history[0], InputLayer):
            raise ValueError(f"[{self.name}] inputs are tensors of lamina.Input. Received: {tensor!r}.")
        done[id(tensor)] = tensor
        return tensor

    def call(self, inputs):
        values: dict[int, object] = {}
        _join(self.inputs, inputs, values, self.name)
        for layer, arguments, output in self._steps:
            values[id(output)] = layer(map_tensors(lambda t: values.get(id(t), t), arguments))
        return map_tensors(lambda t: values[id(t)], self.outputs)

    @property
    def layers(self):
        """The layers, each after those it needs."""
        return list(self._chain)

    @property
    def input_shape(self):
        """Shape of the inputs, None for unknown sizes."""
        return shapes_of(self.inputs)

    @property
    def output_shape(self):
        """Shape of the outputs, None for unknown sizes."""
        return shapes_of(self.outputs)

    def get_config(self):
        """Name, layers, and the calls that join them."""
        from ..utils.registry import serialize

        names: dict[int, int] = {}

        def place(tensor):
            return {"tensor": names.setdefault(id(tensor), len(names))}

        inputs = map_tensors(lambda t: {**place(t), "layer": serialize(t.history[0], "layer")}, self.inputs)
        layers = [serialize(layer, "layer") for layer in self._chain]
        index = {id(layer): i for i, layer in enumerate(self._chain)}
        calls = [
            {"layer": index[id(layer)], "inputs": map_tensors(place, arguments), "output": place(output)}
            for layer, arguments, output in self._steps
        ]
        outputs = map_tensors(place, self.outputs)
        return {"name": self.name, "inputs": inputs, "layers": layers, "calls": calls, "outputs": outputs}

    @classmethod
    def from_config(cls, config):
        """The model that `get_config` describes, with new weights."""
        from ..utils.registry import deserialize

        tensors: dict[int, object] = {}

        def enter(tree):
            if isinstance(tree, dict) and "tensor" in tree:
                if "layer" in tree:
                    tensors[tree["tensor"]] = deserialize(tree["layer"]).output
                return tensors[tree["tensor"]]
            if isinstance(tree, dict):
                return {key: enter(part) for key, part in tree.items()}
            return [enter(part) for part in tree]

        inputs = enter(config["inputs"])
        layers = [deserialize(layer) for layer in config["layers"]]
        for call in config["calls"]:
            tensors[call["output"]["tensor"]] = layers[call["layer"]](enter(call["inputs"]))
        return cls(inputs, enter(config["outputs"]), name=config.get("name"))


def _join(inputs, given, values, name):
    """Puts given values in place of the input tensors, by the same structure."""
    if isinstance(inputs, dict):
        missing = [key for key in inputs if not isinstance(given, dict) or key not in given]
        if missing:
            raise ValueError(f"[{name}] inputs are missing: {missing}.")
        for key, part in inputs.items():
            _join(part, given[key], values, name)
    elif isinstance(inputs, (list, tuple)):
        if not isinstance(given, (list, tuple)) or len(given) != len(inputs):
            count = len(given) if isinstance(given, (list, tuple)) else 1
            raise ValueError(f"[{name}] expects {len(inputs)} inputs. Received: {count} inputs.")
        for part, value in zip(inputs, given):
            _join(part, value, values, name)
    else:
        values[id(inputs)] = given
