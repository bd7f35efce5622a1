"""Arrays laid out anywhere: at the very end or start of mapped memory, strided, permuted, backwards.

Pages on both sides cannot be touched, so that a kernel that reads or writes outside of its operand crashes, and
the bytes between strided elements are NaN.
"""

import ctypes
import mmap

import numpy as np

import lamina as lm

PAGE, NO_ACCESS = mmap.PAGESIZE, 0  # PROT_NONE
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded(count, dtype, at_end):
    """`count` elements of NaN bytes that end (or start) where a page without access begins."""
    dtype = np.dtype(dtype)
    used = -(-max(count * dtype.itemsize, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, used + 2 * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    whole[PAGE : PAGE + used] = 0xFF
    for start in (whole.ctypes.data, whole.ctypes.data + PAGE + used):
        if _mprotect(start, PAGE, NO_ACCESS) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    start = PAGE + (used - count * dtype.itemsize if at_end else 0)
    return np.frombuffer(memory, dtype, count, start)


def place(x, rng):
    """A tensor of x's values, and a function that tells whether its memory still holds what it did."""
    kind = rng.random()
    if kind < 0.25:
        t = lm.convert_to_tensor(x)
        return t, lambda: np.array_equal(t.numpy(), x)
    rank, axes, steps = x.ndim, np.arange(x.ndim), np.ones(x.ndim, int)
    if kind > 0.6:
        axes, steps = rng.permutation(rank), rng.choice([1, 1, 2, 3], rank)
    strides, span = np.zeros(rank, int), 1
    for a in axes[::-1]:  # the last of the permuted axes is the innermost
        strides[a] = span * steps[a]
        span = strides[a] * max(x.shape[a], 1)
    last = int(sum((n - 1) * s for n, s in zip(x.shape, strides))) if x.size else -1
    flat = guarded(last + 1, x.dtype, at_end=rng.random() < 0.7)
    view = np.lib.stride_tricks.as_strided(flat, x.shape, strides * x.itemsize)
    if kind > 0.8:
        view = view[(..., *(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(rank)))]
    view[...] = x
    before = flat.tobytes()
    return lm.from_numpy(view), lambda: flat.tobytes() == before
