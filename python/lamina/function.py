"""`lm.function`: marks a step to be captured."""

from __future__ import annotations

import functools
import types


class Function:
    """What `function` makes: calls the Python function."""

    def __init__(self, python_function):
        if not callable(python_function):
            raise TypeError(f"[function] decorates a function. Received: {python_function!r}.")
        self.python_function = python_function
        functools.update_wrapper(self, python_function)

    def __call__(self, *args, **kwargs):
        return self.python_function(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self):
        return f"<lamina.function {getattr(self, '__qualname__', self.python_function)!s}>"


def function(func=None, *, input_signature=None, jit_compile=None, reduce_retracing=False, autograph=True):
    """Marks a function of tensors as a step that may be captured once and replayed.

    Steps are not captured yet: every call runs the Python function eagerly, with the same results that capture will
    give. Programs that carry the decorator run as they are.

    Args:
        func: the function or method; left out where the decorator has arguments.
        input_signature, jit_compile, reduce_retracing, autograph: TensorFlow's arguments, without effect.

    Returns:
        Callable with the function's arguments and results; `.python_function` is the function itself.

    Raises:
        TypeError: for what cannot be called.

    Example:
        >>> import lamina as lm
        >>> @lm.function
        ... def double(x):
        ...     return x * 2.0
        >>> double(lm.convert_to_tensor([1.0])).numpy()
        array([2.], dtype=float32)
    """
    return Function if func is None else Function(func)
