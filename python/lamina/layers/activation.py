"""Activations as layers."""

from __future__ import annotations

from .. import activations, ops
from .layer import Layer


class _Elementwise(Layer):
    _casts_integers = True
    supports_masking = True

    def compute_output_shape(self, input_shape):
        return input_shape


class Activation(_Elementwise):
    """Any activation function.

    Args:
        activation: function or its name.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Activation("relu")(lm.convert_to_tensor([[-1.0, 2.0]])).numpy()
        array([[0., 2.]], dtype=float32)
    """

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)


class Softmax(_Elementwise):
    """Probabilities along an axis: exp(x) / sum(exp(x)).

    Args:
        axis: int or tuple of them.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Call args:
        mask: bool tensor of the inputs' shape; False gives probability 0.

    Example:
        >>> import lamina as lm
        >>> lm.layers.Softmax()(lm.convert_to_tensor([[0.0, 0.0]])).numpy()
        array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs, mask=None):
        if mask is not None:
            inputs = ops.where(ops.cast(mask, "bool"), inputs, ops.full((), -3e38, inputs.dtype))
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        return activations.softmax(inputs, axis=axis)


class ReLU(_Elementwise):
    """x where x >= threshold, else negative_slope * (x - threshold); at most max_value.

    Args:
        max_value: float >= 0, or None for no limit.
        negative_slope: float >= 0.
        threshold: float >= 0.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.ReLU(max_value=6)(lm.convert_to_tensor([[-1.0, 9.0]])).numpy()
        array([[0., 6.]], dtype=float32)
    """

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        for name, value in (
            ("max_value", max_value),
            ("negative_slope", negative_slope),
            ("threshold", threshold),
        ):
            if value is None and name == "max_value":
                continue
            if not isinstance(value, (int, float)) or not value >= 0:
                raise ValueError(f"[ReLU] {name} must be a number >= 0. Received: {name}={value!r}.")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs):
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(_Elementwise):
    """x where x >= 0, else negative_slope * x. Maas et al. 2013.

    Args:
        negative_slope: float >= 0.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.LeakyReLU()(lm.convert_to_tensor([[-1.0, 2.0]])).numpy()
        array([[-0.3,  2. ]], dtype=float32)
    """

    def __init__(self, negative_slope=0.3, **kwargs):
        if "alpha" in kwargs:  # Keras 2's name, which many programs still carry
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        if not isinstance(negative_slope, (int, float)) or not negative_slope >= 0:
            raise ValueError(
                f"[LeakyReLU] negative_slope must be a number >= 0. Received: negative_slope={negative_slope!r}."
            )
        self.negative_slope = negative_slope

    def call(self, inputs):
        return ops.leaky_relu(inputs, self.negative_slope)


class ELU(_Elementwise):
    """x where x >= 0, else alpha * (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289.

    Args:
        alpha: float.
        **kwargs: `name`, `dtype`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> lm.layers.ELU()(lm.convert_to_tensor([[0.0, 2.0]])).numpy()
        array([[0., 2.]], dtype=float32)
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs):
        return ops.elu(inputs, self.alpha)
