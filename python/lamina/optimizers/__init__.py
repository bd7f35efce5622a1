"""Optimizers and learning-rate schedules, under Keras 3's names."""

from ..utils.registry import publish
from . import schedules
from .adafactor import Adafactor
from .adagrad import Adadelta, Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax, Lamb, Nadam
from .ftrl import Ftrl
from .lion import Lion
from .optimizer import Optimizer
from .registry import deserialize, get, serialize
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

publish(__name__)
