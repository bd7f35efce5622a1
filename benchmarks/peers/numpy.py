"""NumPy: the yardstick of call overhead. It records no gradients; a recorded add meets its plain one."""

import itertools

import numpy as np

from benchmarks import workloads


def set_threads(threads):
    """The worker's environment has set the threads of NumPy's BLAS."""


def versions():
    return {"numpy": np.__version__}


def variants(case, also):
    return [] if case.get("dtype") == "bfloat16" else ["eager"]


def add(size, recorded, calls, variant="eager"):
    a = workloads.ones(size)

    def step():
        for _ in itertools.repeat(None, calls):
            a + a

    return step


def gemm(m, k, n, dtype, variant="eager"):
    a, b = workloads.gemm_data(m, k, n)
    return lambda: a @ b


FACTORIES = {"add": add, "gemm": gemm}
