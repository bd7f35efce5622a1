"""Adagrad and Adadelta."""

from __future__ import annotations

from .arguments import number
from .optimizer import Optimizer


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of squared gradients so far.

    Args:
        learning_rate: number or LearningRateSchedule.
        initial_accumulator_value: what the sum begins with.
        epsilon: added to the sum, under the root.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Adagrad()
        <Adagrad learning_rate=0.001, iterations=0>

    Reference: J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods", JMLR 12, 2011.
    """

    rule = "adagrad"
    settings = ("epsilon",)
    slots = ("accumulator",)

    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, **shared):
        name = shared.get("name") or "adagrad"
        self.initial_accumulator_value = number(name, "initial_accumulator_value", initial_accumulator_value)
        self.epsilon = number(name, "epsilon", epsilon)
        super().__init__(learning_rate, **shared)

    def _start(self, slot, variable):
        return variable.shape, self.initial_accumulator_value

    def _rests_at_zero(self):
        return True

    def get_config(self):
        return super().get_config() | {"initial_accumulator_value": self.initial_accumulator_value}


class Adadelta(Optimizer):
    """Steps scaled by the ratio of running means: of squared steps and of squared gradients.

    Args:
        learning_rate: number or LearningRateSchedule.
        rho: decay of the means.
        epsilon: added to both, under the root.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Adadelta()
        <Adadelta learning_rate=0.001, iterations=0>

    Reference: M. Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, arXiv:1212.5701.
    """

    rule = "adadelta"
    settings = ("rho", "epsilon")
    slots = (("accumulated_grad", "accumulated_delta_var"),)

    def __init__(self, learning_rate=0.001, rho=0.95, epsilon=1e-7, **shared):
        name = shared.get("name") or "adadelta"
        self.rho = number(name, "rho", rho, high=1)
        self.epsilon = number(name, "epsilon", epsilon)
        super().__init__(learning_rate, **shared)
