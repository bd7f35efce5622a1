"""A capture: one run of a step in which every launch is recorded, to be replayed as a plan.

Python runs as always while a step is captured, and results are those of an eager run. Reading a value in Python
(`float(t)`, `t.numpy()`, `if t:`) cannot be replayed: it ends the capture.
"""

from __future__ import annotations

import linecache
import os
import sys
import warnings
import weakref

from . import _core
from .thread_state import mode

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class CaptureError(RuntimeError):
    """A captured step did what a replay cannot repeat."""


class Capture:
    """Context manager that records this thread's launches.

    Args:
        inputs: core tensors that replays bind anew, each with a storage of its own (`_core.alias`).
        strict: whether reading a value raises; else the step goes on without being recorded, and `failure` says why.

    Attributes:
        failure: None, or what ended the capture, with its line.
        before_replay: functions to call before each replay, schedules say.
        host_steps: what `before_replay` does for n steps ahead, where it can: functions of n that give
            (core scalar, list of n values), or None where a function knows only the next step.
    """

    def __init__(self, inputs=(), strict=True):
        self.recording = _core.Recording(list(inputs))
        self.strict, self.failure = strict, None
        self.before_replay: list = []
        self.host_steps: list = []
        self.label = ""
        self._born: list = []  # (weak reference, storage's id, line) of variables that the step makes
        self._graded: list = []  # (weak reference, line) of tensors whose `.grad` the step sets
        self._forgot: set = set()  # ids of variables whose `.grad` the step set to None before
        self._rows: list = []  # weak references to gradients given as rows
        self._counts: dict = {}
        self._reads: int | None = None  # values read since `recorded` began; None outside of it

    def __enter__(self):
        mode.capture = self
        self.recording.open()
        return self

    def __exit__(self, *exc):
        if mode.capture is self and exc[0] is None:
            for gradient in self._rows:
                if (gradient := gradient()) is not None:  # outlives the step: replays compute its values
                    _ = gradient._core
        self.stop()

    def stop(self):
        """Ends the recording; the step goes on unrecorded."""
        if mode.capture is self:
            mode.capture = None
            self.recording.stop()

    def set_label(self, label):
        """Names the layer that later launches belong to; returns the name before."""
        before, self.label = self.label, label
        self.recording.label(label)
        return before

    def recorded(self, f):
        """(f(), whether replays can compute it anew): not where f reads a value in Python."""
        before, self._reads = self._reads, 0
        try:
            value = f()
            return value, self._reads == 0
        finally:
            self._reads = before

    def born(self, variable):
        """Notes a variable that the step makes: replays find it as the step left it."""
        self._born.append((weakref.ref(variable), variable._core.storage_id, user_line()[1]))

    def graded(self, leaf):
        """Notes a tensor whose `.grad` is set: where it was not None before, Python adds at each call."""
        if id(leaf) not in self._forgot:
            self._graded.append((weakref.ref(leaf), user_line()[1]))

    def forgot_grad(self, leaf):
        """Notes that a variable's `.grad` was set to None."""
        self._forgot.add(id(leaf))

    def gave_rows(self, gradient):
        """Notes a `RowGradient`, whose values are computed when they are read."""
        self._rows.append(weakref.ref(gradient))

    def since_first(self, owner, count):
        """By how much a counter of `owner` has moved on since this was first asked in the step."""
        return count - self._counts.setdefault(id(owner), count)

    def each_step(self, run, ahead=None):
        """Registers what must run in Python before each step: see the attributes."""
        self.before_replay.append(run)
        self.host_steps.append(ahead)

    def close(self, outputs=(), arena=None):
        """The plan of what was recorded; `outputs` are the core tensors that a replay returns.

        Raises:
            CaptureError: if the step writes a variable that it made and dropped (Python would begin with a new one at
                each call), or adds to what `.grad` was before it. Where the capture is not strict,
                None is returned instead.
        """
        fault = self._fault()
        if fault is None:
            return self.recording.close(list(outputs), arena)
        what, where, remedy = fault
        if self.strict:
            raise CaptureError(f"[function] the step {what}. Received: {where}. {remedy}")
        self.failure = f"{what}, at {where}"
        return None

    def _fault(self):
        """(what a replay would do otherwise than Python, where, a remedy), or None."""
        for variable, storage, where in self._born:
            if variable() is None and self.recording.writes(storage):
                return (
                    "writes a variable that it made and dropped, with whose last value replays would go on",
                    where,
                    "Make the variable, metric or optimizer once, outside.",
                )
        for leaf, where in self._graded:
            if leaf() is not None and leaf().grad is not None:
                return (
                    "leaves gradients in .grad without a fresh start, to which Python would add at the next call",
                    where,
                    "Set .grad = None inside the step, before backward(), or use GradientTape.",
                )
        return None


class labelled:
    """Context manager: launches belong to a part of the step by this name, where a capture is under way."""

    __slots__ = ("_label", "_before")

    def __init__(self, label):
        self._label = label

    def __enter__(self):
        if mode.capture is not None:
            self._before = mode.capture.set_label(self._label)

    def __exit__(self, *exc):
        if mode.capture is not None:
            mode.capture.set_label(self._before)


def user_line():
    """(stack level seen from the caller, "file:line (source)") of the innermost line outside of Lamina."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, number).strip()
    return level, f"{name}:{number}" + (f" ({source})" if source else "")


def _about_to_read():
    """Called by the core when Python reads a value that a replay would not read again."""
    capture = mode.capture
    if capture is None:
        return
    if capture._reads is not None:
        capture._reads += 1
        return
    where = user_line()[1]
    if capture.strict:
        raise CaptureError(
            "[function] a value was read in Python while the step is captured; replays would see the old one. "
            f"Received: {where}. Return the tensor and read it outside, use ops.where for a choice between values, "
            "or run the function without @lm.function."
        )
    capture.failure = f"reads a value in Python, at {where}"
    capture.stop()


_core.set_read_hook(_about_to_read)

_warned_lines: set[str] = set()


def note_constant(x):
    """Warns, once for each line, that host data became a constant of the step being captured."""
    level, where = user_line()
    if where in _warned_lines:
        return
    _warned_lines.add(where)
    warnings.warn(
        f"[function] {type(x).__name__} data became a constant of the captured step: every replay uses the values of "
        f"now. Received: {where}. Pass the array as an argument, or draw it with lamina.ops.random.",
        stacklevel=level,
    )
