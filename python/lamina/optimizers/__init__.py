"""Optimizers and learning-rate schedules, under Keras 3's names."""

from ..utils.registry import publish
from . import schedules
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .registry import deserialize, get, serialize
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "deserialize", "get", "schedules", "serialize"]

publish(__name__)
