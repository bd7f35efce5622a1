"""Dropout."""

from __future__ import annotations

from ..ops import random
from ..random_state import SeedGenerator
from .arguments import fraction
from .layer import Layer


class Dropout(Layer):
    """In training sets a random fraction of the inputs to 0 and scales the rest up; else passes them on.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    Args:
        rate: float in [0, 1], the fraction dropped.
        noise_shape: tuple whose axes of size 1 are dropped as a whole; None stands for the input's size.
        seed: int, for the layer's own sequence of draws.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Raises:
        ValueError: for a rate outside [0, 1].

    Example:
        >>> import lamina as lm
        >>> lm.layers.Dropout(0.5)(lm.ops.ones((1, 2))).numpy()
        array([[1., 1.]], dtype=float32)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = fraction("Dropout", "rate", rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed) if self.rate > 0 else None
        self.built = True

    def call(self, inputs, training=False):
        if training and self.rate > 0:
            return random.dropout(inputs, self.rate, self.noise_shape, self.seed_generator)
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape
