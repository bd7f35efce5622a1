"""Learning rates as functions of the step."""

from __future__ import annotations

import math

from ..utils.naming import unknown_name


class LearningRateSchedule:
    """Base of schedules; subclasses define `__call__(step)`, which returns the learning rate of that step.

    Example:
        >>> import lamina as lm
        >>> class Halving(lm.optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 * 0.5 ** (int(step) // 100)
        >>> float(lm.optimizers.SGD(Halving()).learning_rate) == 0.1
        False
    """

    def __call__(self, step):
        raise NotImplementedError(f"[{type(self).__name__}] a schedule defines __call__(step). Received: none.")

    def get_config(self):
        """The constructor's arguments."""
        return {key.lstrip("_"): value for key, value in vars(self).items()}

    @classmethod
    def from_config(cls, config):
        """The schedule that `get_config` describes."""
        return cls(**config)

    def serialize(self):
        """A JSON-ready description."""
        return {"class_name": type(self).__name__, "config": self.get_config()}


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        initial_learning_rate: rate of step 0.
        decay_steps: steps to one factor `decay_rate`.
        decay_rate: that factor.
        staircase: whether the exponent is whole.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(10)
        0.05
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        _check_steps(name, decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step):
        exponent = float(step) / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(exponent) if self.staircase else exponent)


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate down to alpha times it, after a linear warm-up where one is asked.

    Args:
        initial_learning_rate: rate of step 0.
        decay_steps: steps of the half cosine.
        alpha: last rate, as a share of the first.
        warmup_target: rate that the warm-up reaches; None for no warm-up.
        warmup_steps: steps of the warm-up.

    Reference: I. Loshchilov, F. Hutter, "SGDR", 2017, arXiv:1608.03983.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        alpha=0.0,
        name="CosineDecay",
        warmup_target=None,
        warmup_steps=0,
    ):
        _check_steps(name, decay_steps)
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps

    def __call__(self, step):
        step, first = float(step), self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return first + (self.warmup_target - first) * step / self.warmup_steps
            step, first = step - self.warmup_steps, self.warmup_target
        share = min(step, self.decay_steps) / self.decay_steps
        return first * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * share)) + self.alpha)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] while boundaries[i - 1] < step <= boundaries[i].

    Args:
        boundaries: rising steps.
        values: rates, one more than boundaries.
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"[{name}] needs one value more than boundaries. "
                f"Received: {len(boundaries)} boundaries, {len(values)} values."
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step):
        step = float(step)
        return self.values[sum(step > b for b in self.boundaries)]


def _check_steps(name, steps):
    if steps <= 0:
        raise ValueError(f"[{name}] decay_steps is above 0. Received: decay_steps={steps!r}.")


_BY_NAME = {cls.__name__: cls for cls in (ExponentialDecay, CosineDecay, PiecewiseConstantDecay)}


def deserialize(config):
    """The schedule of `LearningRateSchedule.serialize`."""
    name = config.get("class_name")
    if name not in _BY_NAME:
        raise unknown_name("schedule", name, _BY_NAME)
    return _BY_NAME[name].from_config(config["config"])
