"""Owner: the part of a layer that holds weights and losses. What it owns is found by tracking.py."""

from __future__ import annotations

import math

import numpy as np

from .. import constraints, initializers, regularizers
from ..autograd import no_grad
from ..tensor import FLOATING, Variable, checked_dtype
from ..utils.configurable import Configurable
from . import tracking
from .call_context import context


class Owner(Configurable):
    """Weights, their values and count; losses. Needs `name`, `dtype` and `built`."""

    name: str
    dtype: str
    built: bool
    _path: str | None
    _trainable: bool
    _losses: list
    _losses_serial: int
    _trainable_variables: list
    _non_trainable_variables: list

    def _keep(self, weight, initializer, regularizer, constraint):
        """Keeps how a weight is made, as `<weight>_initializer` and so on."""
        setattr(self, f"{weight}_initializer", initializers.get(initializer))
        setattr(self, f"{weight}_regularizer", regularizers.get(regularizer))
        setattr(self, f"{weight}_constraint", constraints.get(constraint))

    def _add(self, name, shape, kept=None):
        """The weight of a name, made as `_keep` was told under that name or `kept`."""
        initializer, regularizer, constraint = (
            getattr(self, f"{kept or name}_{what}") for what in ("initializer", "regularizer", "constraint")
        )
        return self.add_weight(shape, initializer, name=name, regularizer=regularizer, constraint=constraint)

    def add_weight(
        self,
        shape=None,
        initializer=None,
        dtype=None,
        trainable=True,
        autocast=True,
        regularizer=None,
        constraint=None,
        aggregation="none",
        name=None,
    ):
        """Makes a variable that belongs to the layer.

        Args:
            shape: tuple of sizes; () by default.
            initializer: initializer, its name, or a function `f(shape, dtype=...)`; `"glorot_uniform"` by
                default for floating types, zeros otherwise.
            dtype: element type; the layer's by default.
            trainable: whether gradients reach it.
            regularizer: a penalty on it, added to the layer's `losses`.
            constraint: function applied to it after each update.
            autocast, aggregation: taken for Keras' signature, without effect.
            name: short name, e.g. `"kernel"`.

        Returns:
            Variable.
        """
        dtype = checked_dtype(dtype or self.dtype)
        shape = () if shape is None else tuple(shape)
        if any(n is None for n in shape):
            raise ValueError(
                f"[{self.path}] a weight's sizes must be known. Received: {name or 'weight'} of shape={shape}."
            )
        if initializer is None:
            initializer = "glorot_uniform" if dtype in FLOATING else "zeros"
        with no_grad():
            variable = Variable(initializers.get(initializer), shape=shape, dtype=dtype, name=name or "variable")
        variable.trainable = trainable
        variable.path = f"{self.path}/{variable.name}"
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        tracking.adopt(self, variable)
        if not self._trainable:
            variable.trainable = False
        return variable

    @property
    def path(self):
        """Names of the layers it was built in, its own last: `"my_model/dense_1"`."""
        return self._path or self.name

    @property
    def trainable(self):
        """Whether gradients reach its weights. Setting it sets every layer inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        for layer in tracking.walk(self):
            layer._trainable = bool(value)
            for variable in layer._trainable_variables:
                variable.trainable = value

    @property
    def weights(self):
        """Every variable of the layer and the layers inside it, except generators' states."""
        return tracking.weights_of(self)

    @property
    def trainable_weights(self):
        """The weights that gradients reach."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self):
        """The weights that gradients do not reach."""
        return [v for v in self.weights if not v.trainable] if self._trainable else self.weights

    @property
    def variables(self):
        """The weights and the states of random generators."""
        return [*self.weights, *(g.state for g in tracking.generators_of(self))]

    @property
    def trainable_variables(self):
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self):
        """The variables that gradients do not reach."""
        trainable = {id(v) for v in self.trainable_weights}
        return [v for v in self.variables if id(v) not in trainable]

    def count_params(self):
        """Number of elements of all weights.

        Raises:
            ValueError: before the layer is built.
        """
        if not self.built:
            raise ValueError(
                f"[{self.path}] has no weights yet: it is not built. Received: built=False. "
                "Call it on data or build(input_shape) first."
            )
        return sum(math.prod(v.shape) for v in self.weights)

    def get_weights(self):
        """Copies of all weights' values, a list of NumPy arrays in the order of `weights`."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights):
        """Writes values into all weights, in place.

        Args:
            weights: list of arrays, in the order and shapes of `weights`.

        Raises:
            ValueError: if the number of arrays or a shape differs; nothing is written then.
        """
        if not isinstance(weights, (list, tuple)):
            raise TypeError(f"[set_weights] needs a list of arrays. Received: {type(weights).__name__}.")
        own, given = self.weights, [np.asarray(w) for w in weights]
        if len(own) != len(given):
            hint = "" if self.built else " The layer is not built yet; call it on data or build(input_shape) first."
            raise ValueError(
                f"[{self.path}] set_weights needs one array for each of its {len(own)} weights. "
                f"Received: {len(given)} arrays.{hint}"
            )
        for variable, value in zip(own, given):
            if tuple(value.shape) != variable.shape:
                raise ValueError(
                    f"[{variable.path}] set_weights needs an array of shape {variable.shape}. "
                    f"Received: shape={value.shape}."
                )
        for variable, value in zip(own, given):
            variable.assign(value)

    # Losses.

    def add_loss(self, loss):
        """Adds a scalar tensor (or a list of them) to the losses of the running call of the outermost
        layer."""
        if self._losses_serial != context.serial:
            self._losses.clear()
            self.__dict__["_losses_serial"] = context.serial
        self._losses.extend(loss if isinstance(loss, (list, tuple)) else [loss])

    @property
    def losses(self):
        """What `add_loss` was given in the last call, and the penalties of the weights' regularizers."""
        found = [loss for layer in tracking.walk(self) for loss in layer._losses]
        for v in self.trainable_weights:
            if v.regularizer is not None:
                found.append(v.regularizer(v))
        return found

    def _flatten_layers(self):
        """This layer and every layer below it, outermost first, each once."""
        return list(tracking.walk(self))

    def clear_losses(self):
        """Forgets what `add_loss` was given, here and in the layers inside."""
        for layer in tracking.walk(self):
            layer._losses.clear()
