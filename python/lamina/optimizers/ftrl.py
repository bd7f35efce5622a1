"""Ftrl."""

from __future__ import annotations

from math import inf

from .arguments import number
from .optimizer import Optimizer


class Ftrl(Optimizer):
    """Follow the regularised leader: weights solve a problem over all gradients so far; L1 makes many of them 0.

    Args:
        learning_rate: number above 0, or LearningRateSchedule.
        learning_rate_power: at most 0: the rate falls with this power of the sum of squared gradients.
        initial_accumulator_value: what that sum begins with.
        l1_regularization_strength: weight of the parameters' absolute values.
        l2_regularization_strength: weight of their squares.
        l2_shrinkage_regularization_strength: the same, of the gradient's step alone.
        beta: added to the square root in the published rate, as beta / learning_rate / 2 to the weight of squares.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Raises:
        ValueError: by a step whose learning rate is 0, by which the rule divides.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Ftrl()
        <Ftrl learning_rate=0.001, iterations=0>

    Reference: H. B. McMahan et al., "Ad Click Prediction: a View from the Trenches", KDD, 2013.
    """

    rule = "ftrl"
    slots = (("accumulator", "linear"),)
    settings = (
        "learning_rate_power",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
        "beta",
    )

    def __init__(
        self,
        learning_rate=0.001,
        learning_rate_power=-0.5,
        initial_accumulator_value=0.1,
        l1_regularization_strength=0.0,
        l2_regularization_strength=0.0,
        l2_shrinkage_regularization_strength=0.0,
        beta=0.0,
        **shared,
    ):
        name = shared.get("name") or "ftrl"
        self.learning_rate_power = number(name, "learning_rate_power", learning_rate_power, -inf, 0)
        self.initial_accumulator_value = number(name, "initial_accumulator_value", initial_accumulator_value)
        self.l1_regularization_strength = number(name, "l1_regularization_strength", l1_regularization_strength)
        self.l2_regularization_strength = number(name, "l2_regularization_strength", l2_regularization_strength)
        shrinkage = number(name, "l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength)
        self.l2_shrinkage_regularization_strength = shrinkage
        self.beta = number(name, "beta", beta)
        super().__init__(learning_rate, **shared)

    def _start(self, slot, variable):
        return variable.shape, self.initial_accumulator_value if slot == "accumulator" else 0.0

    def get_config(self):
        return super().get_config() | {"initial_accumulator_value": self.initial_accumulator_value}
