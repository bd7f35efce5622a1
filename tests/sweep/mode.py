"""The calling thread's floating-point mode."""

import ctypes
import ctypes.util
import platform

_libm = ctypes.CDLL(ctypes.util.find_library("m"))
_X86 = platform.machine() in ("x86_64", "AMD64")
_FLAGS = 0x3F  # MXCSR's lowest bits: exceptions that have happened, not a mode


def floating_point_mode():
    """On x86-64 the bits of MXCSR that set rounding, traps and flushing; elsewhere C's environment, byte by byte."""
    environment = ctypes.create_string_buffer(64)
    if _libm.fegetenv(environment) != 0:
        raise OSError("fegetenv")
    if _X86:  # glibc's fenv_t: 28 bytes of the x87's environment, then MXCSR
        return int.from_bytes(environment.raw[28:32], "little") & ~_FLAGS
    return environment.raw


def set_rounding(towards_zero):
    """C's rounding direction of this thread: towards zero, or to nearest."""
    _libm.fesetround((0xC00 if _X86 else 0xC00000) if towards_zero else 0)
