"""Prints the instruction sets this machine can run besides the one in use, for the test matrix."""

from lamina import _core

BUILT = ("baseline", "avx2", "avx512", "amx")


def runnable():
    return [isa for isa in BUILT if isa in _core.supported_isas()]


if __name__ == "__main__":
    print(*[isa for isa in runnable() if isa != _core.isa()])
