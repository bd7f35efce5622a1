"""The tensor that users hold: a core tensor, its place in the gradient graph, and `.grad`.

Arithmetic and `astype` are attached by `lamina.ops`, `backward` by `lamina.autograd`, so that imports point one way.
"""

from __future__ import annotations

import numpy as np

from . import _core
from .thread_state import changes, init_scope, mode

# A tensor's `_source` says where its gradient goes: None (nowhere: a constant), LEAF (to the tensor itself),
# or the autograd.Node that made it.
LEAF = True

FLOATING = ("float16", "bfloat16", "float32", "float64")
_NARROWED = {"int16": "int32", "uint16": "int32", "uint32": "int64", "uint64": "int64"}


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    Made by `lamina.convert_to_tensor`, by `lamina.ops`, and by layers. A symbolic tensor (from `lamina.Input`) has a
    dtype and a shape, in which None stands for an unknown size, but no values.

    Attributes:
        shape: tuple of sizes.
        dtype: name of the element type, e.g. `"float32"`.
        grad: gradient left by `backward()` on a leaf that requires one, else None.

    Example:
        >>> import lamina as lm
        >>> x = lm.convert_to_tensor([1.0, 2.0])
        >>> (x * x).numpy()
        array([1., 4.], dtype=float32)
    """

    __slots__ = ("_core", "_source", "grad", "__weakref__")
    __array_priority__ = 100.0  # so that `ndarray * tensor` and `np.float32(2) * tensor` are tensors

    def __init__(self, core, source=None):
        self._core = core
        self._source = source
        self.grad = None

    @property
    def shape(self):
        return self._core.shape

    @property
    def dtype(self):
        return self._core.dtype

    @property
    def ndim(self):
        """Number of axes."""
        return self._core.ndim

    @property
    def size(self):
        """Number of elements."""
        return self._core.size

    @property
    def nbytes(self):
        return self._core.nbytes

    @property
    def requires_grad(self):
        """Whether gradients flow to or through this tensor."""
        return self._source is not None

    def numpy(self):
        """A read-only NumPy view of the values; it keeps the memory alive.

        Raises:
            ValueError: for a symbolic tensor.
            TypeError: for bfloat16, which NumPy lacks.
        """
        return _array(self._core)

    def item(self):
        """The single value as a Python number."""
        return self._core.item()

    def detach(self):
        """The same values as a constant."""
        return Tensor(self._core)

    def __array__(self, dtype=None, copy=None):
        values = _array(self._core)
        if dtype is not None and values.dtype != dtype:
            return values.astype(dtype)
        return values.copy() if copy else values

    def __dlpack__(self, **kwargs):
        return _array(self._core).copy().__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return (1, 0)

    def __float__(self):
        return float(self._core.item())

    def __int__(self):
        return int(self._core.item())

    def __index__(self):
        value = self._core.item()
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"[index] only an integer tensor is an index. Received: dtype={self.dtype}.")
        return value

    def __bool__(self):
        return bool(self._core.item())

    def __len__(self):
        if not self._core.ndim:
            raise TypeError("[len] a scalar tensor has no length. Received: shape=().")
        if self._core.shape[0] is None:
            raise TypeError(f"[len] the first axis has no known size. Received: shape={self.shape}.")
        return self._core.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __format__(self, spec):
        return format(self.item(), spec) if spec else repr(self)

    __hash__ = object.__hash__

    def __repr__(self):
        kind = type(self).__name__
        if self._core.is_symbolic:
            return f"<{kind} shape={self.shape}, dtype={self.dtype}, symbolic>"
        if self.dtype == "bfloat16":
            values = _array(_core.cast(self._core, "float32"))
        else:
            values = _array(self._core)
        return f"<{kind} shape={self.shape}, dtype={self.dtype}, numpy={np.array2string(values, threshold=20)}>"

    def __copy__(self):
        return Tensor(self._core, self._source)

    def __deepcopy__(self, memo):
        return type(self)._rebuild(*self._state(_core.copy(self._core)))

    def __reduce__(self):
        from .tensor_bytes import bytes_of

        return _from_bytes, (type(self), bytes_of(self), self._state(None)[1:])

    def _state(self, core):
        """What rebuilds this object around a core tensor: (core, ...)."""
        return (core, LEAF if self._source is LEAF else None)

    @classmethod
    def _rebuild(cls, core, source):
        return cls(core, source)


def _array(core):
    """A read-only view of a core tensor. Through memoryview: by itself NumPy hides why there is no view."""
    try:
        return np.asarray(memoryview(core))
    except BufferError as error:
        raise (error.__cause__ or error) from None


def _from_bytes(cls, data, state):
    from .tensor_bytes import core_of_bytes

    return cls._rebuild(core_of_bytes(data), *state)


_GRAD = Tensor.__dict__["grad"]


class Variable(Tensor):
    """A tensor whose values change in place: weights, optimiser slots, counters.

    Args:
        initializer: initial value (array, tensor or number), or a callable `f(shape, dtype=...)` with `shape` given.
        shape: tuple of sizes, needed only with a callable.
        dtype: element type; by default that of the value, `"float32"` for a callable.
        trainable: whether gradients reach it.
        name: a short name; `path` is set by the layer that owns it.

    Attributes:
        regularizer, constraint: functions of the variable that training applies, or None.
        sparse_gradient: whether every optimizer may step only on the rows that a batch looked up: see Embedding.

    Example:
        >>> import lamina as lm
        >>> v = lm.Variable([1.0, 2.0])
        >>> _ = v.assign_add([1.0, 1.0])
        >>> v.numpy()
        array([2., 3.], dtype=float32)
    """

    __slots__ = ("name", "path", "_trainable", "regularizer", "constraint", "sparse_gradient")

    def __init__(self, initializer, shape=None, dtype=None, trainable=True, name=None):
        with init_scope():
            if callable(initializer) and not isinstance(initializer, Tensor):
                if shape is None:
                    raise ValueError("[Variable] an initializer needs a shape. Received: shape=None.")
                initializer = initializer(shape, dtype=dtype or "float32")
            core = convert_to_tensor(initializer, dtype)._core
            # The values must be this variable's own: writes never reach another tensor.
            super().__init__(_core.copy(core) if isinstance(initializer, Tensor) else core)
        self.name = self.path = name or "variable"
        self.regularizer = self.constraint = None
        self.sparse_gradient = False
        self._trainable = bool(trainable)
        self._source = LEAF if self._trainable and self.dtype in FLOATING else None
        if mode.capture is not None:
            mode.capture.born(self)

    @property
    def trainable(self):
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        changes.note(self._trainable, bool(value))
        self._trainable = bool(value)
        self._source = LEAF if self._trainable and self.dtype in FLOATING else None

    @property
    def grad(self):
        """Gradient left by `backward()`, which adds to it; None after `v.grad = None`."""
        return _GRAD.__get__(self)

    @grad.setter
    def grad(self, value):
        if value is None and mode.capture is not None:
            mode.capture.forgot_grad(self)
        _GRAD.__set__(self, value)

    @property
    def value(self):
        """The variable itself: it is a tensor."""
        return self

    def numpy(self):
        """A copy of the values; later writes do not change it."""
        return _array(self._core).copy()

    def assign(self, value):
        """Writes `value` (broadcast and cast) in place. Returns self."""
        core = convert_to_tensor(value)._core
        if core.shape != self._core.shape and core.ndim and core.shape != (1,) * core.ndim:
            raise ValueError(
                f"[{self.path}] assign needs a value of the variable's shape. "
                f"Received: value.shape={core.shape}, variable.shape={self.shape}."
            )
        _core.assign(self._core, core)
        return self

    def assign_add(self, value):
        """self += value in place. Returns self."""
        return self.assign(Tensor(_core.add(self._core, convert_to_tensor(value, self.dtype)._core)))

    def assign_sub(self, value):
        """self -= value in place. Returns self."""
        return self.assign(Tensor(_core.subtract(self._core, convert_to_tensor(value, self.dtype)._core)))

    def __repr__(self):
        return f"<Variable path={self.path}, {super().__repr__()[len('<Variable ') :]}"

    def __copy__(self):
        return self.__deepcopy__({})

    def _state(self, core):
        settings = (self.regularizer, self.constraint, self.sparse_gradient)
        return (core, self.name, self.path, self._trainable, *settings)

    @classmethod
    def _rebuild(cls, core, name, path, trainable, regularizer, constraint, sparse_gradient):
        variable = cls(Tensor(core), trainable=trainable, name=name)
        variable.path, variable.regularizer, variable.constraint = path, regularizer, constraint
        variable.sparse_gradient = sparse_gradient
        return variable


def convert_to_tensor(x, dtype=None):
    """Copies an array, list or number into a tensor; a tensor is returned as it is.

    Args:
        x: a Tensor, a NumPy array (its dtype is kept: any strides, byte order, read-only), a Python number or nested
            list of numbers (floats become float32, integers int32), or anything NumPy understands.
        dtype: element type to convert to, e.g. `"float32"`.

    Returns:
        Tensor.

    Raises:
        TypeError: for values that are not numbers.

    Example:
        >>> import lamina as lm
        >>> lm.convert_to_tensor([[1, 2], [3, 4]]).dtype
        'int32'
    """
    if isinstance(x, Tensor):
        if dtype is None or dtype == x._core.dtype:
            return x
        return x.astype(dtype)
    core = _copy_array(x)
    if mode.capture is not None and core.ndim:
        from .capture import note_constant

        note_constant(x)
    if dtype is not None:
        core = _core.cast(core, checked_dtype(dtype))
    return Tensor(core)


def _copy_array(x):
    is_array = isinstance(x, (np.ndarray, np.generic))
    try:
        array = np.asarray(x)
    except ValueError as error:
        if str(error).startswith("["):  # a tensor in x that has no values
            raise
        raise ValueError(f"[convert_to_tensor] rows must have equal lengths. Received: {error}.") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"[convert_to_tensor] needs numbers. Received: {type(x).__name__} of dtype {array.dtype}. "
            "Encode text and objects as numbers first."
        )
    if not is_array and not hasattr(x, "__array__"):  # Python numbers carry no width of their own
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu" and (not array.size or -(2**31) <= array.min() <= array.max() < 2**31):
            array = array.astype(np.int32)
    if array.dtype.name == "uint64" and array.size and array.max() >= 2**63:
        raise ValueError(f"[convert_to_tensor] integers must fit int64. Received: value={array.max()} of dtype uint64.")
    if array.dtype.name in _NARROWED:
        array = array.astype(_NARROWED[array.dtype.name])
    elif array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return _core.copy_buffer(array)


def from_numpy(array):
    """Borrows a NumPy array's memory without a copy; writes to the array show in the tensor.

    Args:
        array: ndarray of a type Lamina has, in native byte order, any strides. A read-only array stays read-only.

    Returns:
        Tensor that keeps the array alive.

    Raises:
        TypeError: for other types and byte orders.

    Example:
        >>> import numpy as np, lamina as lm
        >>> lm.from_numpy(np.arange(3.0)).shape
        (3,)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"[from_numpy] needs a NumPy array. Received: {type(array).__name__}.")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"[from_numpy] needs numbers. Received: dtype={array.dtype}.")
    return Tensor(_core.from_buffer(array))


def borrowable(array):
    """Whether Lamina can read an array's memory as it is: a type it has, native byte order, row after row."""
    kind, flags = array.dtype, array.flags
    return kind.name in _ALL_DTYPES and kind.isnative and flags.c_contiguous and flags.aligned


def as_tensor(array):
    """An array as a Tensor: its own memory where that is possible, else a copy."""
    if borrowable(array):
        return Tensor(_core.from_buffer(array))
    return convert_to_tensor(array)


def from_dlpack(x):
    """Borrows the CPU memory of any object with `__dlpack__` (PyTorch, JAX, ...).

    Example:
        >>> import numpy as np, lamina as lm
        >>> lm.from_dlpack(np.ones(2)).shape
        (2,)
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"[from_dlpack] needs an object with __dlpack__. Received: {type(x).__name__}.")
    return from_numpy(np.from_dlpack(x))


def checked_dtype(dtype):
    if isinstance(dtype, str) and dtype in _ALL_DTYPES:
        return dtype
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except (TypeError, ValueError):
        name = None
    if name in _ALL_DTYPES:
        return name
    raise ValueError(f"[dtype] is unknown; expected one of {', '.join(_ALL_DTYPES)}. Received: dtype={dtype!r}.")


_ALL_DTYPES = ("bool", "uint8", "int8", "int32", "int64", *FLOATING)
