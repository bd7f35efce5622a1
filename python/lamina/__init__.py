"""Lamina: deep learning for the CPU you already have, under Keras 3's names."""

from . import _core, ops
from .autograd import GradientTape, enable_grad, grad, no_grad
from .capture import CaptureError
from .config import (
    functions_run_eagerly,
    get_matmul_precision,
    get_num_threads,
    run_functions_eagerly,
    set_matmul_precision,
    set_num_threads,
)
from .function import function
from .gradient_check import check_gradients
from .signature import TensorSpec
from .tensor import Tensor, Variable, convert_to_tensor, from_dlpack, from_numpy

__version__ = _core.__version__

# Imported at first use: rooms, and names that live in them.
_ROOMS = (
    "activations",
    "callbacks",
    "constraints",
    "data",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "saving",
    "utils",
)
_FROM_MODELS = ("Input", "Model", "Sequential")


def __getattr__(name):
    import importlib

    if name in _FROM_MODELS:
        value = getattr(importlib.import_module(".models", __name__), name)
    elif name in _ROOMS:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_ROOMS, *_FROM_MODELS])
