"""What belongs to the running thread: gradient mode, open tapes, the running layers, the capture under way.

`changes` belongs to the process: captured steps compare it to know that a layer or optimizer is not what it was.
"""

from __future__ import annotations

import threading

from . import _core


class _ThreadState(threading.local):
    enabled = True  # whether ops are recorded for gradients
    tapes: tuple = ()  # open GradientTapes, outermost first
    frame: tuple | None = None  # of the running layer call: (frame around, layer, training)
    serial = 0  # calls of an outermost layer so far
    capture = None  # the capture.Capture that records this thread's launches


mode = _ThreadState()


class init_scope:
    """Context manager: what runs inside is no part of the step being captured.

    For state that a step makes at its first call: weights, optimizer slots, generators. They are made once; replays
    find them.

    Example:
        >>> import lamina as lm
        >>> from lamina.thread_state import init_scope
        >>> with init_scope():
        ...     counter = lm.Variable(0)
    """

    __slots__ = ("_recording", "_capture")

    def __enter__(self):
        self._capture, mode.capture = mode.capture, None
        self._recording = _core.pause_recording()

    def __exit__(self, *exc):
        _core.resume_recording(self._recording)
        mode.capture = self._capture


class _Changes:
    """Counts changes that a captured step has baked in: `trainable`, compile, a layer's or optimizer's settings."""

    __slots__ = ("count",)

    def __init__(self):
        self.count = 0

    def note(self, before, after):
        """Counts one where a setting's value is another; changes that a step makes while it is captured are its own."""
        if before is after or mode.capture is not None:
            return
        if type(before) is type(after) and isinstance(after, (bool, int, float, str, tuple)) and before == after:
            return
        self.count += 1


changes = _Changes()
