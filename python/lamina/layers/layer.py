"""Layer: a callable with weights, built from the shape of its first input.

`Layer.__call__` is the one door: it casts inputs, builds, checks shapes, resolves `training`, and names the layer in
errors. Configuration lives in utils/configurable.py, ownership in tracking.py, the running call in call_context.py.
"""

from __future__ import annotations

import functools
import inspect
import math

import numpy as np

from .. import _core
from ..autograd import no_grad
from ..tensor import FLOATING, Tensor, Variable, _checked_dtype, convert_to_tensor
from ..utils.naming import auto_name, to_snake_case
from . import tracking
from .call_context import context, current_path, entered, name_the_layer
from ..utils.configurable import Configurable
from .symbolic import SymbolicTensor, is_symbolic, map_tensors, placeholders, shapes_of


class Layer(Configurable):
    """Base class of layers and models.

    A subclass makes its weights in `build(input_shape)` with `add_weight` (or its sub-layers in `__init__`), and
    computes in `call(inputs)`, which may also take `training` and `mask`.

    Args:
        trainable: whether gradients reach its weights.
        dtype: element type of its weights and computation, `"float32"` by default.
        name: name; by default the class's in snake case, numbered.
        input_shape: shape of the inputs without the batch axis; lets a Sequential model build itself at once.
        input_dim: short for `input_shape=(input_dim,)`.

    Attributes:
        built: whether its weights exist.
        input_spec: an InputSpec (or a list of them, one per input) checked at every call.

    Example:
        >>> import lamina as lm
        >>> class Scale(lm.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
        ...     def call(self, inputs):
        ...         return inputs * self.scale
        >>> Scale()(lm.ops.zeros((2, 3))).shape
        (2, 3)
    """

    # Whether integer inputs (pixels) are cast to the layer's dtype as floating ones are.
    _casts_integers = False

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls)
        layer.__dict__.update(
            _tracked={}, _trainable_variables=[], _non_trainable_variables=[], _losses=[], _ready=False, built=False
        )
        return layer

    def __init__(self, *, trainable=True, dtype=None, name=None, input_shape=None, input_dim=None, **kwargs):
        if kwargs:
            raise TypeError(
                f"[{type(self).__name__}] got an unexpected argument. Received: {', '.join(map(repr, kwargs))}."
            )
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f'[{type(self).__name__}] a name is a string without "/". Received: name={name!r}.')
        self.name = name or auto_name(to_snake_case(type(self).__name__))
        self.dtype = _checked_dtype(dtype or "float32")
        self.input_spec = None
        self._trainable = bool(trainable)
        self._ready = True
        self._build_shape = None
        self._path = None
        if input_dim is not None:
            input_shape = (input_dim,)
        self._given_input_shape = None if input_shape is None else tuple(input_shape)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _guarded_build(cls.__dict__["build"])
        parameters = inspect.signature(cls.call).parameters
        names = list(parameters)
        cls._takes_training = "training" in parameters
        cls._takes_mask = "mask" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        cls._training_position = names.index("training") - 1 if cls._takes_training else len(names)
        default = parameters["training"].default if cls._takes_training else None
        cls._default_training = None if default is inspect.Parameter.empty else default
        cls._first_input = names[1] if len(names) > 1 else None

    # Attributes: what is assigned is owned.

    def __setattr__(self, name, value):
        if tracking.is_trackable(value):
            if not self._ready:
                raise RuntimeError(
                    f"[{type(self).__name__}] layers and variables are assigned after super().__init__(). "
                    f"Received: self.{name} assigned before it. Call super().__init__() first."
                )
            self._tracked[name] = value
            if isinstance(value, Variable):
                tracking.adopt(self, value)
        else:
            self._tracked.pop(name, None)
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        value = self._tracked.pop(name, None)
        for owned in (self._trainable_variables, self._non_trainable_variables):
            owned[:] = [v for v in owned if v is not value]
        object.__delattr__(self, name)

    # To be written by subclasses.

    def build(self, input_shape):
        """Makes the weights for inputs of this shape. Called once, before the first `call`."""
        self.built = True

    def call(self, inputs):
        """Computes the outputs."""
        raise NotImplementedError(f"[{type(self).__name__}] has no call method. Define call(self, inputs).")

    # Calling.

    def __call__(self, *args, **kwargs):
        """Casts the inputs, builds on the first call, and runs `call`.

        Args:
            *args: tensors or arrays (or nested lists, tuples, dicts of them) and what else `call` takes.
            **kwargs: likewise; `training` reaches every layer inside, whether or not this layer's `call` takes it.

        Returns:
            What `call` returns; symbolic tensors if any input is symbolic.

        Raises:
            ValueError: if the inputs do not fit; the message names the layer's path and the shapes.
        """
        before = context.frame
        training = None
        if kwargs:
            training = kwargs.get("training")
        elif len(args) > self._training_position:
            training = args[self._training_position]
            args = (*args[: self._training_position], *args[self._training_position + 1 :])
        if training is None and before is not None:
            training = before[2]
        if training is None:
            training = self._default_training
        context.frame = (before, self, training)
        try:
            x = args[0] if args else None
            if (
                not self.built
                or type(x) is not Tensor
                or len(args) > 1
                or kwargs
                or x._core.is_symbolic
                or x._core.dtype != self.dtype
            ):
                args, kwargs = self._prepared(args, kwargs)
                x = args[0] if args else next(iter(kwargs.values()), None)
                if is_symbolic(x):
                    return self._symbolic_call(x, args, kwargs, training)
            if self.input_spec is not None:
                self._check_input(x)
            if self._takes_training:
                return self.call(*args, training=training, **kwargs)
            return self.call(*args, **kwargs)
        except Exception as error:
            name_the_layer(error)
            raise
        finally:
            context.frame = before

    def _prepared(self, args, kwargs):
        """Arguments for `call`: inputs cast, `training` and an untaken `mask` dropped; builds the layer."""
        if kwargs:
            kwargs = {k: v for k, v in kwargs.items() if k != "training" and (k != "mask" or self._takes_mask)}
            if not args and self._first_input in kwargs:
                args = (kwargs.pop(self._first_input),)
        if not args:
            raise TypeError(f"[{current_path()}] needs its inputs as the first argument. Received: none.")
        args = (map_tensors(self._cast, args[0]), *(_cast_extra(self, a) for a in args[1:]))
        kwargs = {k: _cast_extra(self, v) for k, v in kwargs.items()}
        if not self.built:
            self._check_input(args[0])
            shapes = shapes_of(args[0])
            with no_grad():
                self.build(shapes)
        return args, kwargs

    def _cast(self, x):
        if x is None:
            return None
        if isinstance(x, Tensor):
            kind = x._core.dtype
            cast = kind != self.dtype and (kind in FLOATING or self._casts_integers)
            return convert_to_tensor(x, self.dtype) if cast else x
        array = np.asarray(x)
        cast = array.dtype.kind == "f" or self._casts_integers
        return convert_to_tensor(x, self.dtype if cast and array.dtype.kind in "biuf" else None)

    def _symbolic_call(self, x, args, kwargs, training):
        self._check_input(x)
        with no_grad():
            extra = {"training": training} if self._takes_training else {}
            outputs = self.call(*args, **extra, **kwargs)
        return map_tensors(lambda y: SymbolicTensor(y._core, (self, x)) if isinstance(y, Tensor) else y, outputs)

    def _check_input(self, x):
        spec = self.input_spec
        if spec is None:
            return
        many = isinstance(spec, (list, tuple))
        inputs = list(x) if isinstance(x, (list, tuple)) else [x]
        specs = list(spec) if many else [spec] * len(inputs)
        if len(inputs) != len(specs):
            raise ValueError(
                f"[{current_path()}] expects {len(specs)} inputs. Received: {len(inputs)} inputs."
            )
        for i, (one, t) in enumerate(zip(specs, inputs)):
            shape = t._core.shape
            fault = one.fault(shape)
            if fault is not None:
                place = f"inputs[{i}]" if len(inputs) > 1 else "input"
                raise ValueError(f"[{current_path()}] {fault}. Received: {place}.shape={shape}.")

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of a shape (None where unknown), by running `call` symbolically."""
        with no_grad():
            return shapes_of(self(placeholders(input_shape, self.dtype)))

    # Weights.

    def add_weight(
        self,
        shape=None,
        initializer=None,
        dtype=None,
        trainable=True,
        name=None,
        regularizer=None,
        constraint=None,
    ):
        """Makes a variable that belongs to the layer.

        Args:
            shape: tuple of sizes; () by default.
            initializer: initializer, its name, or a function `f(shape, dtype=...)`; `"glorot_uniform"` by default for
                floating types, zeros otherwise.
            dtype: element type; the layer's by default.
            trainable: whether gradients reach it.
            name: short name, e.g. `"kernel"`.
            regularizer: a penalty on it, added to the layer's `losses`.
            constraint: function applied to it after each update.

        Returns:
            Variable.
        """
        from .. import constraints, initializers, regularizers

        dtype = _checked_dtype(dtype or self.dtype)
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
                f"[{self.path}] has no weights yet: it is not built. Call it on data or build(input_shape) first."
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
        """Adds a scalar tensor (or a list of them) to the losses of the running call."""
        self._losses.extend(loss if isinstance(loss, (list, tuple)) else [loss])

    @property
    def losses(self):
        """Penalties of the weights' regularizers, and what `add_loss` was given since `clear_losses`."""
        found = [loss for layer in tracking.walk(self) for loss in layer._losses]
        for v in self.trainable_weights:
            if v.regularizer is not None:
                found.append(v.regularizer(v))
        return found

    def clear_losses(self):
        """Forgets what `add_loss` was given, here and in the layers inside."""
        for layer in tracking.walk(self):
            layer._losses.clear()

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _cast_extra(layer, value):
    """Further arguments of `call` are cast where they are tensors or arrays, and left alone otherwise."""
    return layer._cast(value) if isinstance(value, (Tensor, np.ndarray)) else value


def _guarded_build(build):
    """`build`, run unrecorded inside the layer's name scope, marking the layer as built."""

    @functools.wraps(build)
    def guarded(self, input_shape=None):
        with entered(self), no_grad():
            if self._path is None:
                self._path = current_path()
            shape = _as_shape(input_shape)
            self._build_shape = shape
            owned = (self._trainable_variables, self._non_trainable_variables)
            counts = [len(variables) for variables in owned]
            try:
                build(self, shape)
            except BaseException:  # half-made weights must not stay
                for variables, count in zip(owned, counts):
                    del variables[count:]
                raise
            self.built = True

    return guarded


def _as_shape(shape):
    """Lists of sizes as tuples; nested structures of shapes kept."""
    if isinstance(shape, dict):
        return {key: _as_shape(part) for key, part in shape.items()}
    if isinstance(shape, (list, tuple)):
        if shape and isinstance(shape[0], (list, tuple, dict)):
            return [_as_shape(part) for part in shape]
        return tuple(shape)
    return shape


Layer.build = _guarded_build(Layer.build)
