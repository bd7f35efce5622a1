"""Lamina: deep learning for the CPU you already have, under Keras 3's names."""

from . import _core, ops
from .autograd import GradientTape, enable_grad, grad, no_grad
from .config import get_matmul_precision, get_num_threads, set_matmul_precision, set_num_threads
from .gradient_check import check_gradients
from .tensor import Tensor, Variable, convert_to_tensor, from_dlpack, from_numpy

__version__ = _core.__version__
