"""What the arguments of a captured function are like, and how structures of tensors come apart and together."""

from __future__ import annotations

import types
import weakref

import numpy as np

from .masked_tensor import MaskedTensor, with_mask
from .tensor import Tensor, Variable, as_tensor, checked_dtype, convert_to_tensor

_PLAIN = (type(None), bool, int, str, bytes, range, type, np.dtype, type(Ellipsis))


class Slot:
    """The place of a tensor in a template."""

    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number


class _Same:
    """An object as part of a key: equal to itself alone, and held by no more than a weak reference if it can be."""

    __slots__ = ("_object", "_hash")

    def __init__(self, value):
        try:
            self._object = weakref.ref(value)
        except TypeError:
            self._object = lambda: value
        self._hash = id(value)

    def watch(self, gone):
        """Calls `gone` when the object dies; it may be called at any point of the program."""
        value = self._object()
        if isinstance(self._object, weakref.ref) and value is not None:
            self._object = weakref.ref(value, gone)

    @property
    def is_gone(self):
        return isinstance(self._object, weakref.ref) and self._object() is None

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        mine = self._object()
        return mine is not None and isinstance(other, _Same) and mine is other._object()


def watch(key, gone):
    """Calls `gone` when an object that a key stands for dies: nothing will have that key again."""
    for part in key:
        if type(part) is _Same:
            part.watch(gone)


def is_gone(key):
    """Whether an object that a key stands for is dead."""
    return any(type(part) is _Same and part.is_gone for part in key)


class Signature:
    """The arguments of one call, taken apart.

    Attributes:
        cores: core tensors of all arrays and tensors among the arguments.
        key: what the arguments are like without their values; hashable.
        template: (args, kwargs) with slots in the tensors' places.
        capturable: whether they are arguments that a captured step can be replayed for: no symbolic tensors, no
            tensors that gradients flow through.
    """

    __slots__ = ("cores", "key", "template", "capturable", "_takes")

    def __init__(self, args, kwargs, takes=None):
        self.cores: list = []
        self.capturable = True
        self._takes = takes  # which arrays count as capturable; None: all
        key: list = []
        self.template = (
            tuple([self._take(a, key) for a in args]),
            {name: self._take(value, key, name) for name, value in sorted(kwargs.items())},
        )
        self.key = tuple(key)

    def _take(self, value, key, name=None):
        if name is not None:
            key.append(name)
        kind = type(value)
        if not isinstance(value, (Tensor, np.generic)) and hasattr(value, "__array__"):
            array = np.asarray(value)
            if self._takes is not None and not self._takes(array):
                self.capturable = False
            elif array.dtype.kind in "biuf":
                value, kind = as_tensor(array), Tensor
            elif isinstance(value, np.ndarray):  # text or objects, which may change in place
                self.capturable = False
        if kind is Tensor:
            core = value._core
            if core.is_symbolic or value._source is not None:
                self.capturable = False
            key += (core.dtype, core.shape, core.strides)
            self.cores.append(core)
            return Slot(len(self.cores) - 1)
        if isinstance(value, (list, tuple)):
            key += (kind, len(value))
            return _like(value, [self._take(part, key) for part in value])
        if isinstance(value, dict):
            key += (dict, len(value))
            for name in value:
                key += (type(name), name)
            return {k: self._take(part, key) for k, part in value.items()}
        if isinstance(value, Tensor) and not isinstance(value, Variable):
            self.capturable = False  # knows more than its values
        if kind is float:
            key += (float, value.hex())
        elif kind is complex:
            key += (complex, value.real.hex(), value.imag.hex())
        elif isinstance(value, np.generic):
            key += (kind, value.dtype, value.tobytes())
        elif isinstance(value, _PLAIN):
            key += (kind, value)
        elif kind is types.MethodType:
            key += (kind, _Same(value.__self__), _Same(value.__func__))
        else:
            key.append(_Same(value))
        return value


def _like(sequence, parts):
    """A list or tuple of the type of `sequence`, named tuples too."""
    return type(sequence)(*parts) if hasattr(sequence, "_fields") else type(sequence)(parts)


class MaskedSlot(Slot):
    """The place of a tensor with a mask, whose slot is `mask`."""

    __slots__ = ("mask",)

    def __init__(self, number, mask):
        super().__init__(number)
        self.mask = mask


def rebuild(template, tensors):
    """The structure with `tensors` in its slots."""
    if type(template) is Slot:
        return tensors[template.number]
    if type(template) is MaskedSlot:
        return with_mask(tensors[template.number], tensors[template.mask.number])
    if isinstance(template, (list, tuple)):
        return _like(template, [rebuild(part, tensors) for part in template])
    if isinstance(template, dict):
        return {name: rebuild(part, tensors) for name, part in template.items()}
    return template


def split_results(result):
    """(template, core tensors) of what a function returned."""
    cores: list = []

    def take(value):
        if isinstance(value, Tensor) and not isinstance(value, Variable):
            if value._core.is_symbolic:
                raise TypeError("[function] a captured step returns tensors with values. Received: a symbolic tensor.")
            cores.append(value._core)
            slot = Slot(len(cores) - 1)
            return MaskedSlot(slot.number, take(value._keras_mask)) if isinstance(value, MaskedTensor) else slot
        if isinstance(value, (list, tuple)):
            return _like(value, [take(part) for part in value])
        if isinstance(value, dict):
            return {name: take(part) for name, part in value.items()}
        return value

    return take(result), cores


class TensorSpec:
    """Shape and dtype that an argument of a captured function must have.

    Args:
        shape: tuple of sizes, None for any; None for any shape.
        dtype: element type; arguments are converted to it.
        name: name in errors.

    Example:
        >>> import lamina as lm
        >>> @lm.function(input_signature=[lm.TensorSpec((None, 2), "float32")])
        ... def total(x):
        ...     return lm.ops.sum(x)
        >>> float(total([[1, 2], [3, 4]]))
        10.0
    """

    def __init__(self, shape=None, dtype="float32", name=None):
        self.shape = None if shape is None else tuple(shape)
        self.dtype, self.name = checked_dtype(dtype), name

    @classmethod
    def of(cls, spec):
        """A spec from anything with a shape and a dtype."""
        if not hasattr(spec, "shape") or not hasattr(spec, "dtype"):
            raise TypeError(f"[function] input_signature is a list of TensorSpec. Received: {spec!r}.")
        return spec if isinstance(spec, cls) else cls(spec.shape, spec.dtype)

    def check(self, value, position):
        """`value` as a Tensor of this dtype.

        Raises:
            ValueError: if its shape does not fit.
        """
        x = convert_to_tensor(value, self.dtype)
        fits = self.shape is None or (
            len(self.shape) == x.ndim and all(m is None or m == n for m, n in zip(self.shape, x.shape))
        )
        if not fits:
            raise ValueError(
                f"[function] argument {self.name or position} does not fit its TensorSpec; expected "
                f"shape={self.shape}. Received: shape={x.shape}."
            )
        return x

    def __repr__(self):
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype!r})"
