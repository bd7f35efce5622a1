"""The model set: one file a model."""

from .lenet import lenet

__all__ = ["lenet"]
