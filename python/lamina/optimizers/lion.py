"""Lion."""

from __future__ import annotations

from .arguments import number
from .optimizer import Optimizer


class Lion(Optimizer):
    """Steps of one length, along the sign of a running mean of gradients.

    Args:
        learning_rate: number or LearningRateSchedule.
        beta_1: share of the mean in the direction, in (0, 1].
        beta_2: decay of the mean.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Lion()
        <Lion learning_rate=0.001, iterations=0>

    Reference: X. Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, arXiv:2302.06675.
    """

    rule = "lion"
    settings = ("beta_1", "beta_2")
    slots = ("momentum",)

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, **shared):
        name = shared.get("name") or "lion"
        self.beta_1 = number(name, "beta_1", beta_1, high=1)
        if not beta_1:
            raise ValueError(f"[{name}] beta_1 is above 0, else the mean has no part. Received: beta_1={beta_1!r}.")
        self.beta_2 = number(name, "beta_2", beta_2, high=1)
        super().__init__(learning_rate, **shared)
