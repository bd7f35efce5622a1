"""The model set: one file a model."""

from .gpt import gpt
from .lenet import lenet

__all__ = ["gpt", "lenet"]
