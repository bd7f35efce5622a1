"""Layers, under Keras 3's names."""

from .input_spec import InputSpec
from .layer import Layer

__all__ = ["InputSpec", "Layer"]
