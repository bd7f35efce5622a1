"""`lm.function`: a step that is captured once for each kind of arguments and replayed from C++.

What a call's arguments are like is its key (signature.py); each key has a plan. Replays run no Python.
"""

from __future__ import annotations

import functools
import threading
import types
import warnings
import weakref
from collections import OrderedDict

from . import _core, config
from .capture import Capture
from .signature import Signature, Slot, TensorSpec, is_gone, rebuild, split_results, watch
from .tensor import Tensor
from .thread_state import changes, mode

_MAX_PLANS = 256  # of one function; the one that was used longest ago goes first


def _state():
    """What a captured step depends on beside its arguments."""
    frame = mode.frame
    return mode.enabled, None if frame is None else frame[2], config.get_matmul_precision(), changes.count


class Captured:
    """One plan, and what turns its results into the function's.

    Attributes:
        plan: the plan.
        before_replay, host_steps: see `capture.Capture`.
    """

    __slots__ = ("plan", "before_replay", "host_steps", "_template", "_alone")

    def __init__(self, plan, capture, template):
        self.plan, self.before_replay, self.host_steps = plan, capture.before_replay, capture.host_steps
        self._template, self._alone = template, type(template) is Slot

    def results(self, cores):
        """The function's results from a replay's."""
        if self._alone:
            return Tensor(cores[0])
        return rebuild(self._template, [Tensor(core) for core in cores])

    def replay(self, cores):
        """One step on core tensors; returns the function's results."""
        for run in self.before_replay:
            run()
        return self.results(self.plan.replay(cores))


class Function:
    """What `function` makes: a callable that captures and replays a Python function.

    Attributes:
        python_function: the function itself.
        failure: what a function that need not be captured does that a replay cannot, with its line, or None; it runs
            eagerly from then on.
    """

    def __init__(self, python_function, input_signature=None, strict=True, arena=None):
        if not callable(python_function):
            raise TypeError(f"[function] decorates a function. Received: {python_function!r}.")
        self.python_function = python_function
        self.failure = None
        self._specs = None if input_signature is None else [TensorSpec.of(spec) for spec in input_signature]
        self._strict = strict
        self._arena = arena or _core.Arena()
        self._plans: OrderedDict[tuple, Captured] = OrderedDict()
        self._last: tuple | None = None  # (state, leading arguments, captured) of the last call
        self._lock = threading.Lock()
        self._warned = False
        functools.update_wrapper(self, python_function)

    def __call__(self, *args, **kwargs):
        if mode.capture is not None or mode.tapes:  # part of another step; or somebody wants its gradients
            return self._eager(args, kwargs)
        last = self._last
        if last is not None and not kwargs and last[0] == _state() and not config.functions_run_eagerly():
            lead = last[1]
            if not lead:
                cores = last[2].plan.try_replay(args, Tensor)
            elif len(args) >= len(lead) and all(map(_is, lead, args)):
                cores = last[2].plan.try_replay(args[len(lead) :], Tensor)
            else:
                cores = None
            if cores is not None:
                return last[2].results(cores)
        return self._call(args, kwargs)

    def _eager(self, args, kwargs):
        return self.python_function(*(args if self._specs is None else self._checked(args)), **kwargs)

    def _call(self, args, kwargs):
        if config.functions_run_eagerly() or self.failure is not None:
            return self._eager(args, kwargs)
        if self._specs is not None:
            args = self._checked(args)
        signature = Signature(args, kwargs)
        if not signature.capturable:
            return self.python_function(*args, **kwargs)
        captured = self.find(signature)
        if captured is None:
            return self._capture(signature)
        if not captured.plan.accepts(signature.cores):  # an argument lies in memory that the step writes
            return self.python_function(*args, **kwargs)
        if not captured.before_replay and not kwargs:
            lead = args[: len(args) - len(signature.cores)]
            rest = signature.template[0][len(lead) :]
            if all(type(part) is Slot for part in rest) and not any(
                isinstance(a, (Tensor, list, tuple, dict, types.MethodType)) for a in lead
            ):
                self._last = (_state(), tuple(map(_weak, lead)), captured)
        return captured.replay(signature.cores)

    def find(self, signature):
        """The plan for arguments like these, or None."""
        key = (signature.key, _state())
        with self._lock:
            captured = self._plans.get(key)
            if captured is not None:
                self._plans.move_to_end(key)
        return captured

    def _capture(self, signature):
        inputs = [_core.alias(core) for core in signature.cores]
        args, kwargs = rebuild(signature.template, [Tensor(core) for core in inputs])
        capture = Capture(inputs, self._strict)
        with capture:
            result = self.python_function(*args, **kwargs)
        del args, kwargs
        if capture.failure is not None:
            self.failure = capture.failure
            return result
        template, cores = split_results(result)
        result = None  # and with it the graph that led to it
        plan = capture.close(cores, self._arena)
        if plan is None:
            self.failure = capture.failure
            return rebuild(template, [Tensor(core) for core in cores])
        captured = Captured(plan, capture, template)
        self._keep((signature.key, _state()), captured)
        return captured.results(cores)

    def _keep(self, key, captured):
        watch(key[0], functools.partial(_drop_dead, weakref.ref(self)))
        with self._lock:
            # Held until the lock is free: what dies with a plan may call back.
            dropped = [self._plans.pop(k) for k in [*self._plans] if k[1][-1] != key[1][-1]]  # layers have changed
            self._plans[key] = captured
            if len(self._plans) <= _MAX_PLANS:
                return
            dropped.append(self._plans.popitem(last=False))
            warned, self._warned = self._warned, True
        if not warned:
            warnings.warn(
                f"[function] {self!r} was captured for more than {_MAX_PLANS} kinds of arguments; the oldest are "
                "forgotten. Python numbers that differ at every call are best passed as tensors.",
                stacklevel=5,
            )

    def _drop_dead(self):
        # An object may die in a call that holds the lock: then its plan stays until the next death.
        if not self._lock.acquire(blocking=False):
            return
        try:
            # As in `_keep`.
            dropped = [self._plans.pop(key) for key in [k for k in self._plans if is_gone(k[0])]]
            if self._last is not None and self._last[2] in dropped:
                self._last = None
        finally:
            self._lock.release()

    def _checked(self, args):
        """Arguments as tensors that fit `input_signature`."""
        lead = len(args) - len(self._specs)  # a method's own object
        if not 0 <= lead <= 1:
            raise TypeError(
                f"[function] input_signature names {len(self._specs)} arguments. Received: {len(args)} arguments."
            )
        return (*args[:lead], *[spec.check(a, i) for i, (spec, a) in enumerate(zip(self._specs, args[lead:]))])

    @property
    def plans(self):
        """The plans made so far as `lamina.plan.Plan`, oldest first."""
        from .plan import Plan

        with self._lock:
            return [Plan(captured.plan) for captured in self._plans.values()]

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    def __deepcopy__(self, memo):
        return Function(self.python_function, self._specs, self._strict)

    def __reduce__(self):
        return Function, (self.python_function, self._specs, self._strict)

    def __repr__(self):
        return f"<lamina.function {getattr(self, '__qualname__', self.python_function)!s}>"


def _weak(value):
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


def _drop_dead(function, _):
    if (function := function()) is not None:
        function._drop_dead()


def _is(reference, value):
    return reference() is value


def function(func=None, *, input_signature=None, jit_compile=None, reduce_retracing=False, autograph=True):
    """Captures a function of tensors as a step: the first call runs it, later calls replay it from C++.

    Python runs at the first call with arguments of a new kind (shapes, dtypes, Python values, and what `trainable`,
    precision and grad mode are); every other call replays the recorded launches, with the bits that Python would
    have given. So `print`, `list.append` and other effects in Python happen at captures only; what Python still holds
    of a step's own tensors is overwritten by later calls, except for results. Arrays and tensors among the arguments
    are inputs, also within lists, tuples and dicts; other values are part of the kind. A value cannot be read
    inside. Inside another captured function, and while an outer GradientTape is open, the function simply runs.

    Args:
        func: the function or method; left out where the decorator has arguments.
        input_signature: list of TensorSpec, one for each argument: arguments are converted to their dtypes, and
            checked.
        jit_compile, reduce_retracing, autograph: TensorFlow's arguments, without effect.

    Returns:
        Callable with the function's arguments and results, whose tensors carry no gradient;
        `.python_function` is the function itself.

    Raises:
        TypeError: for what cannot be called.
        lamina.CaptureError: at a call that reads a value in Python (`float(t)`, `t.numpy()`, `if t:`), with the line.

    Example:
        >>> import lamina as lm
        >>> @lm.function
        ... def double(x):
        ...     print("captured for", x.shape)
        ...     return x * 2.0
        >>> double(lm.convert_to_tensor([1.0])).numpy()
        captured for (1,)
        array([2.], dtype=float32)
        >>> double(lm.convert_to_tensor([3.0])).numpy()
        array([6.], dtype=float32)
    """
    if func is None:
        return functools.partial(Function, input_signature=input_signature)
    return Function(func, input_signature)
