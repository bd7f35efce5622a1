"""Activations that the dense and convolution kernels compute in the same pass."""

from __future__ import annotations

from .. import activations

# From the function to the kernels' name for it; other activations are applied to the result.
FUSED = {
    activations.linear: None,
    activations.relu: "relu",
    activations.sigmoid: "sigmoid",
    activations.tanh: "tanh",
}
