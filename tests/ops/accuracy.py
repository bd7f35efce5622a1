"""How far float32 functions are from the truth: python -m tests.ops.accuracy [--step 1] [--function exp ...]

Takes every `step`-th of the 2^32 floats and those at the ends of the normal range, computes each function through
lamina.ops and in float64, and prints the worst error wherever argument and true result are normal numbers: of functions
that are one kernel in units in the last place, of compositions in units of 2^-24 max(|x|, |y|). Where the truth is
infinite or NaN, so must be the result.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np

import lamina as lm
from lamina import _core

BOUND = 2.5
BLOCK = 1 << 17  # floats at a time: their float64 arrays stay in the second-level cache
END = 1 << 14  # floats on each side of an end of their range
TINY = np.finfo(np.float32).tiny


def erf(x):
    return lm.ops.erf(lm.convert_to_tensor(x)).numpy()  # float64: the C library's, lane by lane


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # selu's
KERNELS = {
    "cos": np.cos,
    "erf": erf,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "reciprocal": lambda x: 1 / x,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": sigmoid,
    "sin": np.sin,
    "softplus": softplus,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}
COMPOSITIONS = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "gelu": gelu,
    "gelu_erf": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "log_sigmoid": lambda x: -softplus(-x),
    "selu": lambda x: SCALE * np.where(x > 0, x, ALPHA * np.expm1(x)),
    "silu": lambda x: x * sigmoid(x),
    "softsign": lambda x: x / (1 + np.abs(x)),
}
CALLS = {"gelu_erf": lambda x: lm.ops.gelu(x, approximate=False)}


@dataclass
class Worst:
    error: float = 0.0
    at: float = 0.0

    def take(self, errors, x):
        if errors.size:
            i = int(np.argmax(errors))  # of a NaN if there is one
            if not errors[i] <= self.error:
                self.error, self.at = float(errors[i]), float(x[i])


def floats(step):
    """Blocks: the floats around the least normal one, twice it, and infinity, then every step-th by its bits."""
    for sign in (0, 1 << 31):
        for end in (0x00800000, 0x01000000, 0x7F800000):
            around = np.arange(end - END, end + END) + sign
            yield around.astype(np.uint32).view(np.float32)
    stride = BLOCK * step
    for start in range(0, 1 << 32, stride):
        yield np.arange(start, min(start + stride, 1 << 32), step, np.uint64).astype(np.uint32).view(np.float32)


def ulp(y):
    """The unit in the last place of a float32 at normal float64 values y."""
    exponent = y.view(np.int64) & (0x7FF << 52)
    return (exponent - (23 << 52)).view(np.float64)


def worst(function, step):
    """The largest error of one function over the floats of a step."""
    kernel = function in KERNELS
    reference, call = (KERNELS if kernel else COMPOSITIONS)[function], CALLS.get(function) or getattr(lm.ops, function)
    found = Worst()
    with np.errstate(all="ignore"):
        for x in floats(step):
            y = call(lm.from_numpy(x)).numpy()
            exact, wide = x.astype(np.float64), y.astype(np.float64)
            want = reference(exact)
            rounded = want.astype(np.float32)
            kept = (np.abs(x) >= TINY) | (x == 0) | np.isnan(x)  # kernels take subnormal numbers for zeros
            odd = kept & ~np.isfinite(rounded) & (kernel | np.isfinite(x))
            wrong = odd & ~((y == rounded) | (np.isnan(y) & np.isnan(rounded)))
            found.take(np.where(wrong[wrong], np.inf, 0.0), x[wrong])
            normal = (np.abs(x) >= TINY) & np.isfinite(x) & np.isfinite(rounded) & (np.abs(want) >= TINY)
            edge = (np.abs(want) < TINY) & (np.abs(rounded) == TINY)  # subnormal but for its rounding: that, or flushed
            found.take(np.where((y[edge] == 0) | (y[edge] == rounded[edge]), 0.0, np.inf), x[edge])
            if kernel:
                found.take(np.abs(wide - want)[normal] / ulp(want[normal]), x[normal])
            else:
                error = np.abs(wide - want)[normal] * 2.0**24
                found.take(error / np.maximum(np.abs(exact), np.abs(want))[normal], x[normal])
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.ops.accuracy")
    parser.add_argument("--step", type=int, default=1009)
    parser.add_argument("--function", nargs="+", choices=[*KERNELS, *COMPOSITIONS], default=[*KERNELS, *COMPOSITIONS])
    args = parser.parse_args()
    lm.set_num_threads(1)
    failed = 0
    for function in args.function:
        found = worst(function, args.step)
        failed += not found.error <= BOUND
        print(f"{_core.isa()} {function}: {found.error:.3f} at {found.at:.9g}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
