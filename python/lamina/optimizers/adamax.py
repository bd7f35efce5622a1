"""Relatives of Adam: Adamax, Nadam, Lamb."""

from __future__ import annotations

from .. import _core
from ..tensor import Tensor, Variable
from ..thread_state import init_scope
from .arguments import number
from .optimizer import Optimizer


class _OfMoments(Optimizer):
    """What they have in common: decays of two running means, and what keeps the divisor from zero."""

    settings = ("beta_1", "beta_2", "epsilon")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **shared):
        name = shared.get("name") or self.rule
        self.beta_1 = number(name, "beta_1", beta_1, below=1)
        self.beta_2 = number(name, "beta_2", beta_2, below=1)
        self.epsilon = number(name, "epsilon", epsilon)
        super().__init__(learning_rate, **shared)


class Adamax(_OfMoments):
    """Adam with the largest gradient of late in place of the mean square.

    Args:
        learning_rate: number or LearningRateSchedule.
        beta_1: decay of the mean of gradients.
        beta_2: decay of the largest gradient.
        epsilon: added to the divisor.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Adamax()
        <Adamax learning_rate=0.001, iterations=0>

    Reference: D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2015, section 7.1, arXiv:1412.6980.
    """

    rule = "adamax"
    slots = (("momentum", "norm"),)


class Nadam(_OfMoments):
    """Adam with Nesterov's momentum.

    Args:
        learning_rate: number or LearningRateSchedule.
        beta_1: decay of the mean of gradients.
        beta_2: decay of the mean of their squares.
        epsilon: added to the divisor.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Nadam()
        <Nadam learning_rate=0.001, iterations=0>

    Reference: T. Dozat, "Incorporating Nesterov Momentum into Adam", ICLR Workshop, 2016.
    """

    rule = "nadam"
    slots = (("momentum", "velocity"),)

    def build(self, variables):
        super().build(variables)
        if not self._state:  # the product of the momentum's decays so far
            dtype = variables[0].dtype if variables else "float32"
            with init_scope():
                one = Tensor(_core.full((), 1.0, dtype))
            self._state.append(self._made(Variable(one, trainable=False, name="u_product")))


class Lamb(_OfMoments):
    """Adam whose step in each parameter is as long as the parameter times the learning rate, for large batches.

    Args:
        learning_rate: number or LearningRateSchedule.
        beta_1: decay of the mean of gradients.
        beta_2: decay of the mean of their squares.
        epsilon: added to the divisor.
        **shared: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Lamb()
        <Lamb learning_rate=0.001, iterations=0>

    Reference: Y. You et al., "Large Batch Optimization for Deep Learning", 2020, arXiv:1904.00962.
    """

    rule = "lamb"
    slots = (("momentum", "velocity"),)
