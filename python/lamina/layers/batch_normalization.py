"""BatchNormalization."""

from __future__ import annotations

from .. import initializers
from ..ops.normalization import batch_norm, batch_normalization
from .arguments import fraction
from .input_spec import InputSpec
from .layer import Layer


class BatchNormalization(Layer):
    """Brings each channel to mean 0 and variance 1, then scales and shifts it.

    In training with the batch's mean and (biased) variance, whose moving averages it keeps; else with those
    averages, and likewise if `trainable` is False. Ioffe & Szegedy 2015, arXiv:1502.03167.

    Args:
        axis: int, the channels' axis.
        momentum: float in [0, 1]: moving = momentum * moving + (1 - momentum) * batch.
        epsilon: float, added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: initialiser of beta `[channels]`.
        gamma_initializer: initialiser of gamma `[channels]`.
        moving_mean_initializer: initialiser of the moving mean.
        moving_variance_initializer: initialiser of the moving variance.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        beta_constraint: function applied to beta after each update.
        gamma_constraint: function applied to gamma after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> x = lm.convert_to_tensor([[1.0], [3.0]])
        >>> lm.layers.BatchNormalization()(x, training=True).numpy().round(2)
        array([[-1.],
               [ 1.]], dtype=float32)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"[BatchNormalization] axis must be an integer. Received: axis={axis!r}.")
        self.axis = axis
        self.momentum = fraction("BatchNormalization", "momentum", momentum)
        if not isinstance(epsilon, (int, float)) or not epsilon > 0:
            raise ValueError(f"[BatchNormalization] epsilon must be a positive number. Received: epsilon={epsilon!r}.")
        self.epsilon = epsilon
        self.center = bool(center)
        self.scale = bool(scale)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self._keep("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._keep("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.gamma = self.beta = None
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape):
        ndim = len(input_shape)
        if not -ndim <= self.axis < ndim:
            raise ValueError(
                f"[{self.path}] axis is out of range. Received: axis={self.axis}, input_shape={input_shape}."
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                f"[{self.path}] the number of channels must be known. "
                f"Received: input_shape={input_shape}, axis={self.axis}."
            )
        shape = (channels,)
        if self.scale:
            self.gamma = self._add("gamma", shape)
        if self.center:
            self.beta = self._add("beta", shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, name="moving_mean", trainable=False)
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", trainable=False
        )
        self.input_spec = InputSpec(ndim=ndim, axes={self.axis: channels})

    def call(self, inputs, training=False):
        if training and self._trainable:
            return batch_norm(
                inputs,
                self.moving_mean,
                self.moving_variance,
                self.gamma,
                self.beta,
                self.axis,
                self.momentum,
                self.epsilon,
            )
        return batch_normalization(
            inputs, self.moving_mean, self.moving_variance, self.axis, self.beta, self.gamma, self.epsilon
        )

    def compute_output_shape(self, input_shape):
        return input_shape
