"""Input: the place where data enters a model."""

from __future__ import annotations

from .. import _core
from ..ops.arguments import integer, integers
from ..tensor import checked_dtype
from .layer import Layer
from .symbolic import LayerCall, SymbolicTensor


class InputLayer(Layer):
    """Passes its input on; says a model's input shape.

    Args:
        shape: tuple of sizes without the batch; None for unknown ones.
        batch_size: int, or None for any.
        dtype: element type of the data.
        batch_shape: tuple of sizes with the batch, instead of `shape` and `batch_size`.
        name: name.

    Example:
        >>> import lamina as lm
        >>> lm.layers.InputLayer((3,)).batch_shape
        (None, 3)
    """

    def __init__(self, shape=None, batch_size=None, dtype=None, *, batch_shape=None, name=None):
        super().__init__(name=name)
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                f"[Input] needs either shape or batch_shape. Received: shape={shape}, batch_shape={batch_shape}."
            )
        if batch_shape is None:
            sizes = integers("Input", "shape", shape, unknown=True)
            batch_shape = (None if batch_size is None else integer("Input", "batch_size", batch_size), *sizes)
        batch_shape = integers("Input", "batch_shape", batch_shape, unknown=True)
        if any(n is not None and n < 0 for n in batch_shape):
            raise ValueError(f"[Input] sizes are integers >= 0 or None. Received: shape={batch_shape}.")
        self.batch_shape = batch_shape
        self.dtype = checked_dtype(dtype or "float32")
        self.built = True

    def get_config(self):
        return {"batch_shape": list(self.batch_shape), "dtype": self.dtype, "name": self.name}

    @property
    def output(self):
        """A new symbolic tensor of its shape and dtype."""
        return SymbolicTensor(_core.symbolic(self.batch_shape, self.dtype), LayerCall(self, (), {}))

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


def Input(shape=None, batch_size=None, dtype=None, *, batch_shape=None, name=None):
    """A symbolic tensor that stands for a model's input.

    Args:
        shape: tuple of sizes without the batch; None for unknown ones.
        batch_size: int, or None for any.
        dtype: element type of the data.
        batch_shape: tuple of sizes with the batch, instead of `shape` and `batch_size`.
        name: name.

    Returns:
        Tensor with a shape and a dtype but no values.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Dense(2)(lm.layers.Input((3,))).shape
        (None, 2)
    """
    return InputLayer(shape, batch_size, dtype, batch_shape=batch_shape, name=name).output
