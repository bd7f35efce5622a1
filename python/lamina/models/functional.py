"""Functional models: the layers between input tensors and output tensors."""

from __future__ import annotations

from ..layers.input_layer import InputLayer
from ..layers.symbolic import LayerCall, SymbolicTensor, leaves, map_tensors, shapes_of
from ..tensor import Tensor
from .model import Model

_TENSOR = "__tensor__"  # in a config: the number of an input, or of a call and its result


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
        steps: list[LayerCall] = []
        done: set[int] = set()  # ids of calls
        given = {id(self._checked_input(t)) for t in leaves(inputs)}

        def visit(tensor):
            if id(tensor) in given:
                return
            if not isinstance(tensor, SymbolicTensor) or not tensor._core.is_symbolic:
                raise ValueError(
                    f"[{self.name}] an output comes from the inputs through layers. "
                    f"Received: a tensor of shape {getattr(tensor, 'shape', None)} made outside of a layer. "
                    "Wrap the operation in a layer, or subclass Model."
                )
            call = tensor.history
            if isinstance(call.layer, InputLayer):
                raise ValueError(f"[{self.name}] an output needs an input that is not listed: {call.layer.name!r}.")
            if id(call) in done:
                return
            done.add(id(call))
            for argument in leaves(call.arguments):
                if isinstance(argument, Tensor):
                    visit(argument)
            steps.append(call)

        for tensor in leaves(outputs):
            visit(tensor)
        self.__dict__["_steps"] = steps
        self._chain = list({id(call.layer): call.layer for call in steps}.values())
        self._build_shape = shapes_of(inputs)
        self.built = True

    def _checked_input(self, tensor):
        history = getattr(tensor, "history", None)
        if history is None or not isinstance(history.layer, InputLayer):
            raise ValueError(f"[{self.name}] inputs are tensors of lamina.Input. Received: {tensor!r}.")
        return tensor

    def call(self, inputs):
        values: dict[int, object] = {}  # by ids of inputs
        results: dict[int, list] = {}  # by ids of calls: the tensors of their results
        _join(self.inputs, inputs, values, self.name)

        def value(leaf):
            if not isinstance(leaf, SymbolicTensor):
                return leaf
            return values[id(leaf)] if id(leaf) in values else results[id(leaf.history)][leaf.index]

        for call in self._steps:
            made = call.layer(*map_tensors(value, call.args), **map_tensors(value, call.kwargs))
            results[id(call)] = _tensors(made)
        return map_tensors(value, self.outputs)

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

        def place(leaf):
            if not isinstance(leaf, SymbolicTensor):
                return leaf
            if isinstance(leaf.history.layer, InputLayer):
                return {_TENSOR: names.setdefault(id(leaf), len(names))}
            return {_TENSOR: [numbers[id(leaf.history)], leaf.index]}

        numbers = {id(call): i for i, call in enumerate(self._steps)}
        inputs = map_tensors(lambda t: {**place(t), "layer": serialize(t.history.layer, "layer")}, self.inputs)
        layers = [serialize(layer, "layer") for layer in self._chain]
        index = {id(layer): i for i, layer in enumerate(self._chain)}
        calls = [
            {
                "layer": index[id(call.layer)],
                "args": map_tensors(place, list(call.args)),
                "kwargs": map_tensors(place, call.kwargs),
            }
            for call in self._steps
        ]
        outputs = map_tensors(place, self.outputs)
        return {"name": self.name, "inputs": inputs, "layers": layers, "calls": calls, "outputs": outputs}

    @classmethod
    def from_config(cls, config):
        """The model that `get_config` describes, with new weights."""
        from ..utils.registry import deserialize

        given: dict[int, object] = {}
        results: list[list] = []

        def enter(tree):
            if isinstance(tree, dict) and _TENSOR in tree:
                place = tree[_TENSOR]
                if isinstance(place, list):
                    return results[place[0]][place[1]]
                if "layer" in tree:
                    given[place] = deserialize(tree["layer"]).output
                return given[place]
            if isinstance(tree, dict):
                return {key: enter(part) for key, part in tree.items()}
            return [enter(part) for part in tree] if isinstance(tree, list) else tree

        inputs = enter(config["inputs"])
        layers = [deserialize(layer) for layer in config["layers"]]
        for call in config["calls"]:
            made = layers[call["layer"]](*enter(call["args"]), **enter(call["kwargs"]))
            results.append(_tensors(made))
        return cls(inputs, enter(config["outputs"]), name=config.get("name"))


def _tensors(tree):
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]


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
