"""Initialisers: the first values of weights, under Keras 3's names."""

from ..utils.lookup import find
from ..utils.registry import deserialize, publish, serialize
from .constant import Constant, Identity, Ones, Zeros
from .initializer import Initializer
from .random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "deserialize",
    "get",
    "serialize",
]

_classes = {name: globals()[name] for name in __all__ if name[0].isupper() and name != "Initializer"}
_short = {
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "one": Ones,
    "zero": Zeros,
    "IdentityInitializer": Identity,
}


def get(identifier):
    """An initialiser by name (`"he_normal"`), configuration, class, or as it is.

    Raises:
        ValueError: for an unknown name, with the nearest known one.

    Example:
        >>> get("zeros")((1,)).numpy()
        array([0.], dtype=float32)
    """
    return find("initializer", identifier, _classes, _short)


publish(__name__)
