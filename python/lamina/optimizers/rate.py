"""The learning rate of an optimizer: a variable, which a schedule writes before each step."""

from __future__ import annotations

from .. import _core
from ..ops.arguments import number as number_of
from ..tensor import Tensor, Variable, convert_to_tensor
from ..thread_state import init_scope, mode
from .schedules import LearningRateSchedule


class Rate:
    """The part of Optimizer that follows a schedule. Needs `name`, `_rate`, `_schedule` and `_iterations`."""

    @property
    def learning_rate(self):
        """The learning rate of the next step, a variable; assigning a number writes it, a schedule replaces it."""
        self._follow_schedule()
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value):
        if isinstance(value, LearningRateSchedule) or (callable(value) and not isinstance(value, Tensor)):
            self._schedule = value
            return
        number = number_of(self.name, "learning_rate", value)
        if not number >= 0:
            raise ValueError(
                f"[{self.name}] learning_rate is a number of at least 0. Received: learning_rate={value!r}."
            )
        self._schedule = None
        self._rate.assign(number)

    def _follow_schedule(self):
        if self._schedule is None:
            return
        capture = mode.capture
        if capture is None:
            rate = self._scheduled_rate()
        else:
            rate, replayable = capture.recorded(self._scheduled_rate)
            if replayable and isinstance(rate, Tensor):  # made of ops: replays compute it
                _core.assign(self._rate._core, rate._core)
                return
        with init_scope():
            _core.assign(self._rate._core, convert_to_tensor(rate, "float32")._core)
            done = 0 if capture is None else capture.since_first(self, int(self._iterations))
        if capture is None:
            return
        if done == 0:
            ahead = self._rates_ahead if isinstance(self._schedule, LearningRateSchedule) else None
            capture.each_step(self._follow_schedule, ahead)
            return
        # A step that applies gradients more than once has a rate for each time.
        with init_scope():
            later = Variable(self._rate, trainable=False)
        _core.assign(self._rate._core, later._core)
        capture.each_step(lambda: later.assign(self._scheduled_rate(done)))
        capture.host_steps[:] = [None] * len(capture.host_steps)

    def _scheduled_rate(self, later=0):
        if not isinstance(self._schedule, LearningRateSchedule):
            return self._schedule()
        return self._schedule(self._iterations + later if later else self._iterations)

    def _rates_ahead(self, n):
        """(learning rate's core, its values at the next n steps)."""
        first = int(self._iterations)
        steps = [Tensor(_core.scalar(first + i, "int64")) for i in range(n)]
        return self._rate._core, [float(self._schedule(step)) for step in steps]
