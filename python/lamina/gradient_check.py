"""Checks gradients against finite differences."""

from __future__ import annotations

import numpy as np

from .autograd import grad
from .tensor import Tensor, convert_to_tensor


def check_gradients(f, *inputs, eps=1e-5, rtol=1e-4, second=False):
    """Compares a function's gradients with central differences, in float64.

    Args:
        f: function of tensors that returns a scalar tensor (make float64 constants inside it).
        *inputs: tensors, variables or arrays: where to check; they are converted to float64.
        eps: step of the differences.
        rtol: largest allowed error relative to the largest gradient entry (at least 1).
        second: also check the gradient of a random projection of the gradient.

    Returns:
        The largest relative error found.

    Raises:
        AssertionError: naming the input, the position, and both values.

    Example:
        >>> import lamina as lm
        >>> bool(lm.check_gradients(lambda x: lm.ops.sum(lm.ops.tanh(x)), [0.5, -1.0]) < 1e-4)
        True
    """
    values = [np.array(convert_to_tensor(x, "float64").numpy()) for x in inputs]
    worst = _compare(f, values, eps, rtol, "gradient")
    if second:
        rng = np.random.default_rng(0)
        directions = [Tensor(convert_to_tensor(rng.standard_normal(v.shape))._core) for v in values]
        positions = tuple(range(len(values)))

        def projected(*xs):
            from . import ops

            grads = grad(f, positions)(*xs)
            return sum(ops.sum(g * d) for g, d in zip(grads, directions))

        worst = max(worst, _compare(projected, values, eps, rtol, "second derivative"))
    return worst


def _compare(f, values, eps, rtol, what):
    tensors = [convert_to_tensor(v) for v in values]
    got = grad(f, tuple(range(len(values))))(*tensors)
    worst = 0.0
    for i, value in enumerate(values):
        analytic = np.asarray(got[i], np.float64)
        numeric = np.zeros_like(value)
        for at in np.ndindex(value.shape):
            ends = []
            for step in (eps, -eps):
                moved = value.copy()
                moved[at] += step
                ends.append(float(f(*tensors[:i], convert_to_tensor(moved), *tensors[i + 1 :])))
            numeric[at] = (ends[0] - ends[1]) / (2 * eps)
        if not value.size:
            continue
        error = np.abs(analytic - numeric) / max(1.0, np.abs(numeric).max())
        at = np.unravel_index(np.argmax(error), error.shape)
        if not error[at] <= rtol:
            raise AssertionError(
                f"[check_gradients] the {what} of input {i} differs from finite differences. "
                f"Received: {analytic[at]:.8g} at {tuple(map(int, at))}; differences give {numeric[at]:.8g}."
            )
        worst = max(worst, float(error[at]))
    return worst
