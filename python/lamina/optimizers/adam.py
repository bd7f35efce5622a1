"""Adam and its variants."""

from __future__ import annotations

from .arguments import number
from .optimizer import Optimizer


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and its square.

    Args:
        learning_rate: number or LearningRateSchedule.
        beta_1: decay of the mean of gradients.
        beta_2: decay of the mean of their squares.
        epsilon: added to the root of that mean (Keras' epsilon-hat).
        amsgrad: use the largest mean of squares so far (Reddi et al. 2018).
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ..., name: see `Optimizer`.

    Example:
        >>> import lamina as lm
        >>> lm.optimizers.Adam()
        <Adam learning_rate=0.001, iterations=0>

    Reference: D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2015, arXiv:1412.6980.
    """

    rule = "adam"
    settings = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        *,
        name="adam",
        **shared,
    ):
        self.beta_1 = number(name, "beta_1", beta_1, below=1)
        self.beta_2 = number(name, "beta_2", beta_2, below=1)
        self.epsilon = number(name, "epsilon", epsilon)
        self.amsgrad = bool(amsgrad)
        self.slots = (("momentum", "velocity"), "velocity_hat") if amsgrad else (("momentum", "velocity"),)
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name=name, **shared)

    def get_config(self):
        return super().get_config() | {"amsgrad": self.amsgrad}


class AdamW(Adam):
    """Adam with weight decay apart from the gradient, 0.004 by default; arguments as `Adam`.

    Reference: I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", 2019, arXiv:1711.05101.
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        *,
        name="adamw",
        **shared,
    ):
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name=name,
            **shared,
        )
