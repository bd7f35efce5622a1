"""GroupNormalization."""

from __future__ import annotations

from ..ops.layer_norm import group_norm
from .arguments import positive_number
from .input_spec import InputSpec
from .layer import Layer


class GroupNormalization(Layer):
    """Brings each group of a sample's channels to mean 0 and variance 1, then scales and shifts each channel.

    Statistics are taken over the group's channels and all places of one sample. Wu & He 2018, arXiv:1803.08494.

    Args:
        groups: int that divides the number of channels; 1 normalises all of a sample together, -1 each channel by
            itself (instance normalisation).
        axis: int, the channels' axis.
        epsilon: float, added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: initialiser of beta `[channels]`.
        gamma_initializer: initialiser of gamma `[channels]`.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        beta_constraint: function applied to beta after each update.
        gamma_constraint: function applied to gamma after each update.
        **kwargs: `name`, `dtype`, `trainable`, `input_shape`, as in Layer.

    Example:
        >>> import lamina as lm
        >>> x = lm.convert_to_tensor([[1.0, 3.0, 10.0, 30.0]])
        >>> lm.layers.GroupNormalization(groups=2)(x).numpy().round(2)
        array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    _casts_integers = True
    supports_masking = True

    def __init__(
        self,
        groups=32,
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
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups <= 0 and groups != -1):
            raise ValueError(
                "[GroupNormalization] groups must be a positive integer, or -1 for one group per channel. "
                f"Received: groups={groups!r}."
            )
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"[GroupNormalization] axis must be an integer. Received: axis={axis!r}.")
        self.groups = groups
        self.axis = axis
        self.epsilon = positive_number("GroupNormalization", "epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self._keep("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._keep("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.gamma = self.beta = None
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape):
        ndim = len(input_shape)
        if not -ndim <= self.axis < ndim or self.axis % ndim == 0:
            raise ValueError(
                f"[{self.path}] axis must name an axis of the inputs other than the samples'. "
                f"Received: axis={self.axis}, input_shape={input_shape}."
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                f"[{self.path}] the number of channels must be known. "
                f"Received: input_shape={input_shape}, axis={self.axis}."
            )
        if channels % (channels if self.groups == -1 else self.groups):
            raise ValueError(
                f"[{self.path}] groups must divide the number of channels. "
                f"Received: groups={self.groups}, channels={channels}."
            )
        if self.scale:
            self.gamma = self._add("gamma", (channels,))
        if self.center:
            self.beta = self._add("beta", (channels,))
        self.input_spec = InputSpec(ndim=ndim, axes={self.axis: channels})

    def call(self, inputs):
        groups = inputs.shape[self.axis] if self.groups == -1 else self.groups
        return group_norm(inputs, groups, self.gamma, self.beta, self.axis, self.epsilon)

    def compute_output_shape(self, input_shape):
        return input_shape
