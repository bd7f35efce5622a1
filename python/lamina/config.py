"""Settings of the process: threads and the precision of matrix products."""

from __future__ import annotations

from . import _core

_PRECISIONS = ("highest", "high", "medium", "low")
_precision = "high"
_run_eagerly = False


def set_num_threads(n):
    """Sets how many threads an op may use, from the next op on. Results do not depend on it.

    Args:
        n: int >= 1. The default is what the process may use: its CPU affinity mask and cgroup quota.

    Example:
        >>> import lamina as lm
        >>> lm.set_num_threads(1)
    """
    if isinstance(n, bool) or not hasattr(n, "__index__") or getattr(n, "ndim", 0):
        raise TypeError(f"[set_num_threads] n must be an integer. Received: n={n!r}.")
    n = n.__index__()
    if not 1 <= n < 2**31:
        raise ValueError(f"[set_num_threads] the number of threads must be from 1 to 4096. Received: n={n}.")
    _core.set_num_threads(n)


def get_num_threads():
    """The number of threads an op may use."""
    return _core.num_threads()


def set_matmul_precision(precision):
    """Sets how float32 matrix products and convolutions may be computed.

    Args:
        precision: `"highest"` (float32 FMA), `"high"` (the default: error no larger than the FMA chain's, on CPUs
            with AMX from three bfloat16 parts of each operand), `"medium"` (two parts: an error of at most 2^-14 of
            the sum of |a||b|) or `"low"` (bfloat16 operands: 2^-7). CPUs without AMX compute every level as
            `"highest"`, which satisfies each promise; docs/precision.md has measured errors.

    Raises:
        ValueError: for another name.

    Example:
        >>> import lamina as lm
        >>> lm.set_matmul_precision("highest")
        >>> lm.get_matmul_precision()
        'highest'
        >>> lm.set_matmul_precision("high")
    """
    global _precision
    if not isinstance(precision, str) or precision not in _PRECISIONS:
        raise ValueError(
            f"[set_matmul_precision] expects one of {', '.join(_PRECISIONS)}. Received: precision={precision!r}."
        )
    _core.set_matmul_precision(_PRECISIONS.index(precision))
    _precision = precision


def get_matmul_precision():
    """The precision set by `set_matmul_precision`."""
    return _precision


def run_functions_eagerly(run_eagerly):
    """Makes every `lamina.function`, `fit`, `evaluate` and `predict` run Python at each step: for debugging.

    Args:
        run_eagerly: bool.

    Example:
        >>> import lamina as lm
        >>> lm.run_functions_eagerly(True)
        >>> lm.functions_run_eagerly()
        True
        >>> lm.run_functions_eagerly(False)
    """
    global _run_eagerly
    _run_eagerly = bool(run_eagerly)


def functions_run_eagerly():
    """What `run_functions_eagerly` was last given."""
    return _run_eagerly
