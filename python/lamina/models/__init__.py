"""Models: layers that train."""

from ..layers.input_layer import Input
from ..utils.registry import publish
from .functional import Functional
from .model import Model
from .sequential import Sequential

__all__ = ["Functional", "Input", "Model", "Sequential", "load_model"]


def load_model(path, *args, **kwargs):
    """The model in a file; see `lamina.saving.load_model`."""
    from ..saving import load_model

    return load_model(path, *args, **kwargs)


publish(__name__)
