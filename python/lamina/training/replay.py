"""The captured steps of a model: what fit, evaluate, predict and calls without gradients replay.

Each kind of step is one `Function`; they share an arena. A step that reads a value in Python cannot be captured: it
runs eagerly from then on, and says so once.
"""

from __future__ import annotations

import weakref

import numpy as np

from .. import _core, config
from ..autograd import no_grad
from ..function import Function
from ..layers.layer import Layer
from ..ops.common import cast
from ..signature import Signature
from ..tensor import FLOATING, Tensor, borrowable
from ..thread_state import init_scope
from .batches import to_tensors
from .checks import warn_once

_FEW_STEPS = 64  # that a plain-Python schedule is asked for at first; then twice what ran in one call
_SECONDS = 0.1  # from one return to Python to the next


class StepFunction:
    """One kind of step of a model as a function of its batch: (x,), (x, y) or (x, y, weight).

    Attributes:
        inspect: None, or a function of (y, y_pred) that sees the first batch of a training step that Python runs.
    """

    def __init__(self, model, kind):
        self._model, self._kind = weakref.ref(model), kind
        self.inspect = None
        self.__name__ = f"{kind}_step"

    def __call__(self, *batch, **kwargs):
        model = self._model()
        if self._kind == "call":
            return Layer.__call__(model, *batch, **kwargs)
        x, y, weight = (*batch, None, None)[:3]
        return getattr(self, f"_{self._kind}")(model, _as_dtype(x, model.dtype), y, weight)

    def _train(self, model, x, y, weight):
        if overrides(model, "train_step"):
            return model.train_step(given(x, y, weight))
        y_pred = model._learn(x, y, weight)
        if self.inspect is not None and y is not None:
            inspect, self.inspect = self.inspect, None
            with init_scope():
                inspect(y, y_pred)
        return None

    def _test(self, model, x, y, weight):
        with no_grad():
            if overrides(model, "test_step"):
                return model.test_step(given(x, y, weight))
            model._judge(x, y, weight)
            return None

    def _predict(self, model, x, y, weight):
        with no_grad():
            return model.predict_step((x, None, None))


class Runner:
    """Runs one kind of step over batches: captured where it can be, else in Python.

    Args:
        model: the model.
        kind: "train", "test" or "predict".
        where: tag of warnings: fit, evaluate or predict.
    """

    def __init__(self, model, kind, where):
        self.model, self._where = model, where
        self.function = step_function(model, kind)
        self.step = self.function.python_function
        self._eager = model.run_eagerly

    def __call__(self, x, y=None, weight=None):
        """One step on a batch of arrays or tensors; returns what the step returns."""
        batch = [to_tensors(part) for part in (x, y, weight)]
        while batch[-1] is None:
            batch.pop()
        if self._eager or self.function.failure is not None or any(part is None for part in batch):
            return self.step(*batch)
        result = self.function(*batch)
        if self.function.failure is not None:
            warn_once(
                self.model,
                f"eager {self.step.__name__}",
                f"[{self._where}] the step {self.function.failure}, and so cannot be captured: it runs eagerly, which "
                "is slower. Return tensors from it, read values in a callback, make variables outside.",
            )
        return result

    def rows(self, data):
        """The RowRunner for arrays in memory, or None where a step is not captured (yet) or needs Python."""
        if self._eager or self.function.failure is not None or config.functions_run_eagerly():
            return None
        columns = tuple(part for part in data.columns if part is not None)
        if any(part is None for part in data.columns[: len(columns)]):
            return None
        whole = Signature(columns, {}, borrowable)
        batch = Signature(tuple(part for part in data.batch(None, 0) if part is not None), {}, borrowable)
        if not whole.capturable or not batch.capturable:
            return None
        captured = self.function.find(batch)
        if (
            captured is None
            or not captured.plan.accepts(batch.cores)
            or any(ahead is None for ahead in captured.host_steps)
        ):
            return None
        return RowRunner(captured, whole.cores, data, self.model._stop_flag)


class RowRunner:
    """Replays many steps over rows of arrays in one call."""

    def __init__(self, captured, columns, data, stop):
        self._captured, self._columns, self._data = captured, columns, data
        self._stop = None if stop is None else stop._core
        self.full = data.num_samples // data.batch_size  # batches that are not cut short

    def run(self, order, step, on_steps):
        """Steps `step` .. `full`, rows by `order` (None: as they lie); returns (steps done, the last one's results).

        Comes back to Python about ten times a second for `on_steps(steps since)`.
        """
        size, result, done = self._data.batch_size, None, 0
        order = None if order is None else _core.from_buffer(np.ascontiguousarray(order, np.int64))
        while step < self.full:
            steps = self.full - step
            if self._captured.host_steps:
                steps = min(steps, max(_FEW_STEPS, 2 * done))
            host = [ahead(steps) for ahead in self._captured.host_steps]
            done, cores = self._captured.plan.replay_rows(
                self._columns, order, step * size, size, steps, _SECONDS, host, self._stop
            )
            result = self._captured.results(cores)
            step += done
            on_steps(done)
            if self._stop is not None and self._stop.item():
                break
        return step, result


def step_function(model, kind):
    """The Function of a kind of step, made at its first use."""
    functions = model._functions
    if kind not in functions:
        arena = functions.setdefault("arena", _core.Arena())
        functions[kind] = Function(StepFunction(model, kind), strict=False, arena=arena)
    return functions[kind]


def overrides(model, name):
    """Whether a model's class defines its own `name`."""
    from .steps import Steps

    return getattr(type(model), name) is not getattr(Steps, name)


def given(x, y, weight):
    """A batch as a step's `data`: without what is absent."""
    return (x, y, weight) if weight is not None else (x, y) if y is not None else (x,)


def _as_dtype(tree, dtype):
    if isinstance(tree, Tensor):
        return cast(tree, dtype) if tree.dtype in FLOATING and tree.dtype != dtype else tree
    if isinstance(tree, dict):
        return {key: _as_dtype(part, dtype) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_as_dtype(part, dtype) for part in tree)
    return tree
