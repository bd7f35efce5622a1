"""RMSprop."""

from __future__ import annotations

from .arguments import number
from .optimizer import Optimizer


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of squared gradients.

    Args:
        learning_rate: number or LearningRateSchedule.
        rho: decay of that mean.
        momentum: share of the last step that goes on, in [0, 1].
        epsilon: added to the mean, under the root.
        centered: subtract the square of the mean gradient, which leaves the variance (Graves 2013).
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.RMSprop()
        <RMSprop learning_rate=0.001, iterations=0>

    Reference: T. Hinton, lecture 6.5 of "Neural Networks for Machine Learning", Coursera, 2012.
    """

    rule = "rmsprop"
    settings = ("rho", "momentum", "epsilon")

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, **shared):
        name = shared.get("name") or "rmsprop"
        self.rho = number(name, "rho", rho, high=1)
        self.momentum = number(name, "momentum", momentum, high=1)
        self.epsilon = number(name, "epsilon", epsilon)
        self.centered = bool(centered)
        self.slots = ("velocity", *(["momentum"] if momentum else []), *(["average_gradient"] if centered else []))
        super().__init__(learning_rate, **shared)

    def _ordered(self, slots):
        return [slots["velocity"], slots.get("momentum", []), slots.get("average_gradient", [])]

    def get_config(self):
        return super().get_config() | {"centered": self.centered}
