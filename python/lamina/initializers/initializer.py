"""Base of initialisers, and the fans that scale some of them."""

from __future__ import annotations

import math

from ..utils.configurable import Configurable


class Initializer(Configurable):
    """A function from a shape to the first values of a weight.

    Subclass it and define `__call__(self, shape, dtype=None)`; keep every constructor argument as an
    attribute of its name, and the initialiser can be saved.
    """

    def __call__(self, shape, dtype=None):
        """Values for a weight.

        Args:
            shape: tuple of sizes.
            dtype: element type, `"float32"` by default.

        Returns:
            Tensor.
        """
        raise NotImplementedError(f"[{type(self).__name__}] has no __call__(shape, dtype). Define it.")

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


def compute_fans(shape):
    """(fan in, fan out) of a weight: inputs and outputs that one element of it meets.

    Args:
        shape: () or (n,) for scales and biases, (in, out) for a matrix, (*window, in, out) for a convolution.

    Example:
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window
