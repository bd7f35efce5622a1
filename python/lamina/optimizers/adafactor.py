"""Adafactor."""

from __future__ import annotations

from math import inf

from .arguments import number
from .optimizer import Optimizer


class Adafactor(Optimizer):
    """Steps divided by the root of mean squared gradients, which of matrices are kept as means of rows and columns.

    The step is at most `clip_threshold` times the root mean square of the parameter and the learning rate, and the
    rate at most 1 / sqrt(t).

    Args:
        learning_rate: number or LearningRateSchedule.
        beta_2_decay: power of t, at most 0: the mean at step t takes t^beta_2_decay of the new square.
        epsilon_1: added to squared gradients.
        epsilon_2: least root mean square of a parameter that the step is scaled by.
        clip_threshold: root mean square above which the step is shortened.
        relative_step: taken for Keras' signature: as in Keras, the rate is bounded either way.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Adafactor()
        <Adafactor learning_rate=0.001, iterations=0>

    Reference: N. Shazeer, M. Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018,
    arXiv:1804.04235.
    """

    rule = "adafactor"
    settings = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold")
    slots = (("r", "c", "velocity"),)

    def __init__(
        self,
        learning_rate=0.001,
        beta_2_decay=-0.8,
        epsilon_1=1e-30,
        epsilon_2=1e-3,
        clip_threshold=1.0,
        relative_step=True,
        **shared,
    ):
        name = shared.get("name") or "adafactor"
        self.beta_2_decay = number(name, "beta_2_decay", beta_2_decay, -inf, 0)
        self.epsilon_1 = number(name, "epsilon_1", epsilon_1)
        self.epsilon_2 = number(name, "epsilon_2", epsilon_2)
        self.clip_threshold = number(name, "clip_threshold", clip_threshold)
        if not clip_threshold:
            raise ValueError(f"[{name}] clip_threshold is above 0. Received: clip_threshold={clip_threshold!r}.")
        self.relative_step = bool(relative_step)
        super().__init__(learning_rate, **shared)

    def _start(self, slot, variable):
        shape = variable.shape
        if slot == "velocity":
            return shape, 0.0
        if len(shape) < 2:  # not factored: one element that stands for nothing, as in Keras
            return (), 0.0
        return (shape[:-1] if slot == "r" else (*shape[:-2], shape[-1])), 0.0

    def _ordered(self, slots):
        return [slots["velocity"], slots["r"], slots["c"]]

    def get_config(self):
        return super().get_config() | {"relative_step": self.relative_step}
