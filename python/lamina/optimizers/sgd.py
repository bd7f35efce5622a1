"""Stochastic gradient descent."""

from __future__ import annotations

from .arguments import number
from .optimizer import Optimizer


class SGD(Optimizer):
    """Gradient descent with momentum: v = momentum v - lr g; p += v, or with nesterov p += momentum v - lr g.

    Args:
        learning_rate: number or LearningRateSchedule.
        momentum: share of the last step that goes on, in [0, 1].
        nesterov: look ahead along the momentum (Sutskever et al. 2013).
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.SGD(learning_rate=0.1, momentum=0.9)
        <SGD learning_rate=0.1, iterations=0>
    """

    rule = "sgd"
    settings = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.0,
        nesterov=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        *,
        name="SGD",
        **shared,
    ):
        self.momentum = number(name, "momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)
        self.slots = ("momentum",) if momentum else ()
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name=name, **shared)

    def _rests_at_zero(self):
        return not self.momentum
