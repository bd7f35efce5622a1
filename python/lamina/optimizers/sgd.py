"""Stochastic gradient descent."""

from __future__ import annotations

from .. import _core
from .optimizer import Optimizer


class SGD(Optimizer):
    """Gradient descent with momentum: v = momentum v - lr g; p += v, or with nesterov p += momentum v - lr g.

    Args:
        learning_rate: number or LearningRateSchedule.
        momentum: share of the last step that goes on, in [0, 1].
        nesterov: look ahead along the momentum (Sutskever et al. 2013).
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.SGD(learning_rate=0.1, momentum=0.9)
        <SGD learning_rate=0.1, iterations=0>
    """

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
    ):
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"[{name}] momentum is a number from 0 to 1. Received: momentum={momentum!r}.")
        self.momentum, self.nesterov = momentum, bool(nesterov)
        self.slots = ("momentum",) if momentum else ()
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name=name)

    def update(self, parameters, gradients, slots, weight_decay):
        _core.sgd(
            parameters,
            gradients,
            slots[0] if slots else [],
            self._rate._core,
            self.iterations._core,
            self.momentum,
            self.nesterov,
            weight_decay,
            **self._clip(),
        )

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
