"""LayerNormalization and RMSNormalization."""

from __future__ import annotations

from ..ops.layer_norm import layer_normalization, rms_normalization
from .arguments import axes_argument, axes_in, positive_number
from .layer import Layer


class LayerNormalization(Layer):
    """Brings each row to mean 0 and variance 1, then scales and shifts it.

    A row is what lies along the axes; unlike BatchNormalization the same is done in training and in inference. Ba,
    Kiros & Hinton 2016, arXiv:1607.06450.

    Args:
        axis: int or list of ints, the axes normalised together.
        epsilon: float, added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: initialiser of beta, of the inputs' sizes along the axes.
        gamma_initializer: initialiser of gamma, of the same shape.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        beta_constraint: function applied to beta after each update.
        gamma_constraint: function applied to gamma after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.LayerNormalization()(lm.convert_to_tensor([[1.0, 3.0]])).numpy().round(2)
        array([[-1.,  1.]], dtype=float32)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.axis = axes_argument("LayerNormalization", axis)
        self.epsilon = positive_number("LayerNormalization", "epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self._keep("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._keep("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.gamma = self.beta = None

    def build(self, input_shape):
        shape = _weight_shape(self, input_shape)
        if self.scale:
            self.gamma = self._add("gamma", shape)
        if self.center:
            self.beta = self._add("beta", shape)

    def call(self, inputs):
        return layer_normalization(inputs, self.gamma, self.beta, self.axis, self.epsilon)

    def compute_output_shape(self, input_shape):
        axes_in(self.path, self.axis, input_shape)
        return input_shape


class RMSNormalization(Layer):
    """Divides each row by the root of its mean square, then scales it.

    Zhang & Sennrich 2019, arXiv:1910.07467.

    Args:
        axis: int or list of ints, the axes normalised together.
        epsilon: float, added to the mean of squares.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.RMSNormalization()(lm.convert_to_tensor([[1.0, 7.0]])).numpy().round(2)
        array([[0.2, 1.4]], dtype=float32)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis = axes_argument("RMSNormalization", axis)
        self.epsilon = positive_number("RMSNormalization", "epsilon", epsilon)

    def build(self, input_shape):
        self.scale = self.add_weight(_weight_shape(self, input_shape), "ones", name="scale")

    def call(self, inputs):
        return rms_normalization(inputs, self.scale, self.axis, self.epsilon)

    def compute_output_shape(self, input_shape):
        axes_in(self.path, self.axis, input_shape)
        return input_shape


def _weight_shape(layer, input_shape):
    shape = tuple(input_shape[a] for a in axes_in(layer.path, layer.axis, input_shape))
    if None in shape:
        raise ValueError(
            f"[{layer.path}] sizes along the normalised axes must be known. "
            f"Received: input_shape={input_shape}, axis={layer.axis}."
        )
    return shape
