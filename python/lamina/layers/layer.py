"""Layer: a callable with weights, built from the shape of its first input.

`Layer.__call__` is the one door: it casts inputs, builds, checks shapes, resolves `training`, and names the
layer in errors. Its weights and losses are in owner.py, what it owns in tracking.py, its configuration in
utils/configurable.py, the running call in call_context.py.
"""

from __future__ import annotations

import functools
import inspect

import numpy as np

from ..autograd import no_grad
from ..masked_tensor import mask_of, with_mask
from ..tensor import FLOATING, Tensor, Variable, checked_dtype, convert_to_tensor
from ..thread_state import changes, init_scope
from ..utils.configurable import arguments_of
from ..utils.naming import auto_name, nearest, to_snake_case
from ..utils.warning import warn
from . import tracking
from .call_context import context, current_path, entered, name_the_layer
from .owner import Owner
from .symbolic import LayerCall, is_symbolic, leaves, map_tensors, placeholders, results_of, shapes_of


def _guarded_build(build):
    """`build`, run unrecorded inside the layer's name scope, marking the layer as built. The shapes of several inputs
    may come one by one, as Keras gives them; `build` takes a list of them."""

    @functools.wraps(build)
    def guarded(self, input_shape=None, *more, **named):
        with entered(self), no_grad(), init_scope():
            if self._path is None:
                self._path = current_path()
            given = [s for s in (input_shape, *more, *named.values()) if s is not None]
            shape = _as_shape(given if more or named else input_shape)
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


class Layer(Owner):
    """Base class of layers and models.

    A subclass makes its weights in `build(input_shape)` with `add_weight` (or its sub-layers in `__init__`),
    and computes in `call(inputs)`, which may also take `training` and `mask`.

    Args:
        trainable: whether gradients reach its weights.
        dtype: element type of its weights and computation, `"float32"` by default.
        name: name; by default the class's in snake case, numbered.
        input_shape: shape of the inputs without the batch axis; lets a Sequential model build itself at once.
        input_dim: short for `input_shape=(input_dim,)`.

    Attributes:
        built: whether its weights exist.
        input_spec: an InputSpec (or a list of them, one per input) checked at every call.
        supports_masking: whether masks of the inputs (`[batch, steps]`, from Embedding or Masking) reach the outputs,
            by `compute_mask`. A `call` that takes `mask` is given them too.

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

    # Hints for building, saved with the built shape instead.
    _not_config: tuple[str, ...] = ("input_shape", "input_dim")
    # Whether integer inputs (pixels) are cast to the layer's dtype as floating ones are.
    _casts_integers = False
    # What `call` takes; set for each subclass.
    _takes_training = _takes_mask = False
    _training_position = 1
    _mask_arguments: tuple[tuple, ...] = ()  # (position and name of a tensor, position and name of its mask)
    supports_masking = False
    _makes_masks = False  # has a compute_mask of its own, and so supports masking
    _default_training: bool | None = None
    _first_input: str | None = "inputs"

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls)
        layer.__dict__.update(
            _tracked={},
            _trainable_variables=[],
            _non_trainable_variables=[],
            _losses=[],
            _losses_serial=0,
            _ready=False,
            _checked_shape=None,
            _lost_mask=False,
            built=False,
        )
        return layer

    def __init__(self, *, trainable=True, dtype=None, name=None, input_shape=None, input_dim=None, **kwargs):
        if kwargs:
            guess = nearest(next(iter(kwargs)), arguments_of(type(self)))
            raise TypeError(
                f"[{type(self).__name__}] got an unexpected argument. Received: {', '.join(map(repr, kwargs))}."
                + (f" Did you mean {guess!r}?" if guess else "")
            )
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f'[{type(self).__name__}] a name is a string without "/". Received: name={name!r}.')
        self.name = name or auto_name(to_snake_case(type(self).__name__))
        self.dtype = checked_dtype(dtype or "float32")
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
        masks = [(name, "mask" if i == 0 and "mask" in names else f"{name}_mask") for i, name in enumerate(names[1:])]
        cls._mask_arguments = tuple(
            (names.index(name) - 1, name, names.index(mask) - 1, mask) for name, mask in masks if mask in names
        )
        if "compute_mask" in cls.__dict__:
            cls.supports_masking = cls._makes_masks = True
        default = parameters["training"].default if cls._takes_training else None
        cls._default_training = None if default is inspect.Parameter.empty else default
        cls._first_input = names[1] if len(names) > 1 else None

    @property
    def compute_dtype(self):
        """Element type that `call` computes in: the layer's."""
        return self.dtype

    @property
    def variable_dtype(self):
        """Element type of its weights: the layer's."""
        return self.dtype

    # Attributes: what is assigned is owned.

    def __setattr__(self, name, value):
        if name == "input_spec":
            self.__dict__["_checked_shape"] = None
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
        # Nothing is baked into a step before the first call; a property sets what lies beneath it.
        if self.built and not isinstance(getattr(type(self), name, None), property):
            changes.note(self.__dict__.get(name), value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        value = self._tracked.pop(name, None)
        for owned in (self._trainable_variables, self._non_trainable_variables):
            owned[:] = [v for v in owned if v is not value]
        object.__delattr__(self, name)

    # To be written by subclasses.

    @_guarded_build
    def build(self, input_shape):
        """Makes the weights for inputs of this shape. Called once, before the first `call`."""
        self.built = True

    def call(self, inputs):
        """Computes the outputs."""
        raise NotImplementedError(f"[{type(self).__name__}] has no call method. Define call(self, inputs).")

    def compute_mask(self, inputs, previous_mask):
        """The mask of the outputs, or None: by default that of the inputs.

        Args:
            inputs: the first argument of `call`.
            previous_mask: its mask, bool `[batch, steps]`, or None; in the structure of the inputs.
        """
        return previous_mask

    # Calling.

    def __call__(self, *args, **kwargs):
        """Casts the inputs, builds on the first call, and runs `call`.

        Args:
            *args: tensors or arrays (or nested lists, tuples, dicts of them) and what else `call` takes.
            **kwargs: likewise; `training` reaches every layer inside, whether or not this layer's `call`
                takes it.

        Returns:
            What `call` returns; symbolic tensors if any input is symbolic.

        Raises:
            ValueError: if the inputs do not fit; the message names the layer's path and the shapes.
        """
        before = context.frame
        training = None
        if before is not None:
            training = before[2]
        else:
            context.serial += 1
        if kwargs:
            if kwargs.get("training") is not None:
                training = kwargs["training"]
        if len(args) > self._training_position:
            given = args[self._training_position]
            args = (*args[: self._training_position], *args[self._training_position + 1 :])
            if given is not None:
                training = given
                kwargs = {**kwargs, "training": given}
        if training is None:
            training = self._default_training
        context.frame = (before, self, training)
        if context.capture is not None:
            label = context.capture.set_label(current_path())
        try:
            x = args[0] if args else None
            if type(x) is Tensor and self.built and not kwargs and len(args) == 1 and x._core.dtype == self.dtype:
                shape = x._core.shape
                if shape != self._checked_shape:  # a shape that passed is not looked at again
                    self._check_input(x)
                    self.__dict__["_checked_shape"] = shape
                masks, history = None, LayerCall(self, args, {}) if x._core.is_symbolic else None
            else:
                history = LayerCall(self, args, kwargs)
                args, kwargs, masks = self._prepared(args, kwargs)
                x = args[0]
                self._check_input(x)
                if not is_symbolic(history.arguments):
                    history = None
            if history is not None:
                return self._symbolic_call(history, args, kwargs, training, masks)
            if self._takes_training:
                outputs = self.call(*args, training=training, **kwargs)
            else:
                outputs = self.call(*args, **kwargs)
            return outputs if masks is None and not self._makes_masks else self._masked(x, outputs, masks)
        except Exception as error:
            name_the_layer(error)
            raise
        finally:
            context.frame = before
            if context.capture is not None:
                context.capture.set_label(label)

    def _prepared(self, args, kwargs):
        """Arguments for `call`, inputs cast, `training` and an untaken `mask` dropped, and the masks of the first
        (None: none); builds the layer."""
        masks = None
        if kwargs:
            masks = kwargs.get("mask")
            kwargs = {k: v for k, v in kwargs.items() if k != "training" and (k != "mask" or self._takes_mask)}
            if not args and self._first_input in kwargs:
                args = (kwargs.pop(self._first_input),)
        if not args:
            raise TypeError(f"[{current_path()}] needs its inputs as the first argument. Received: none.")
        first = args[0]
        if first is None or (isinstance(first, (dict, list, tuple)) and not len(first)):
            raise TypeError(f"[{current_path()}] needs a tensor or array. Received: inputs={first!r}.")
        if _is_numbers(first):
            first = convert_to_tensor(first).numpy()
        if masks is None:
            masks = _masks_of(first)
        for at, name, mask_at, mask_name in self._mask_arguments:
            value = args[at] if at < len(args) else kwargs.get(name)
            if mask_at >= len(args) and kwargs.get(mask_name) is None and (found := _masks_of(value)) is not None:
                kwargs = {**kwargs, mask_name: found}
        args = (map_tensors(self._cast, first), *(_cast_extra(self, a) for a in args[1:]))
        kwargs = {k: _cast_extra(self, v) for k, v in kwargs.items()}
        if not self.built:
            self._check_input(args[0])
            shapes = shapes_of(args[0])
            with no_grad():
                self.build(shapes)
        return args, kwargs, masks

    def _cast(self, x):
        if x is None:
            return None
        if isinstance(x, Tensor):
            kind = x._core.dtype
            if kind == self.dtype or not (kind in FLOATING or self._casts_integers):
                return x
            made = convert_to_tensor(x, self.dtype)
            return made if mask_of(x) is None else with_mask(made, mask_of(x))
        array = x if isinstance(x, np.ndarray) else convert_to_tensor(x).numpy()
        cast = array.dtype.kind == "f" or self._casts_integers
        return convert_to_tensor(x, self.dtype if cast and array.dtype.kind in "biuf" else None)

    def _symbolic_call(self, history, args, kwargs, training, masks):
        with no_grad():
            extra = {"training": training} if self._takes_training else {}
            outputs = self.call(*args, **extra, **kwargs)
            return results_of(history, self._masked(args[0], outputs, masks))

    def _masked(self, inputs, outputs, masks):
        """The outputs with their masks, where they have none of their own."""
        if not self.supports_masking:
            if masks is not None and not self._lost_mask:
                self.__dict__["_lost_mask"] = True
                warn(
                    f"[{current_path()}] the inputs have a mask, which {type(self).__name__} does not hand on: layers "
                    "behind it take padding for data. Set supports_masking = True if its steps are the inputs'."
                )
            return outputs
        found = self.compute_mask(inputs, masks)
        if found is None:
            return outputs
        remaining = iter(leaves(found))

        def attach(y):
            mask = next(remaining, None)
            return y if mask is None or mask_of(y) is not None else with_mask(y, mask)

        return map_tensors(attach, outputs)

    def _check_input(self, x):
        spec = self.input_spec
        if spec is None:
            return
        many = isinstance(spec, (list, tuple))
        inputs = list(x) if isinstance(x, (list, tuple)) else [x]
        specs = list(spec) if many else [spec] * len(inputs)
        if len(inputs) != len(specs):
            raise ValueError(f"[{current_path()}] expects {len(specs)} inputs. Received: {len(inputs)} inputs.")
        for i, (one, t) in enumerate(zip(specs, inputs)):
            shape = t._core.shape
            fault = one.fault(shape)
            if fault is not None:
                place = f"inputs[{i}]" if len(inputs) > 1 else "input"
                raise ValueError(f"[{current_path()}] {fault}. Received: {place}.shape={shape}.")

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of a shape (None where unknown), by running `call`
        symbolically."""
        with no_grad():
            return shapes_of(self(placeholders(input_shape, self.dtype)))

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _masks_of(tree):
    """The masks of a tensor or of a tree of them, in its structure; None if there are none."""
    if isinstance(tree, (list, tuple, dict)):
        masks = map_tensors(mask_of, tree)
        return masks if any(mask is not None for mask in leaves(masks)) else None
    return mask_of(tree)


def _is_numbers(tree):
    """Whether the inputs are nested lists of Python numbers: one array, not a structure of inputs."""
    while isinstance(tree, (list, tuple)) and tree:
        tree = tree[0]
    return isinstance(tree, (int, float))


def _cast_extra(layer, value):
    """Further arguments of `call` are cast where they are tensors or arrays, and left alone otherwise."""
    return layer._cast(value) if isinstance(value, (Tensor, np.ndarray)) else value
