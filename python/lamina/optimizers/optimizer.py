"""What all optimizers share: the learning rate, the step counter, slots, clipping and decay.

A step is one launch over all parameters; the subclass's kernel also counts the step.
"""

from __future__ import annotations

import re

from .. import _core
from ..capture import labelled
from ..ops.arguments import number as number_of
from ..tensor import Tensor, Variable, convert_to_tensor
from ..thread_state import changes, init_scope, mode
from ..utils.naming import to_snake_case
from ..utils.warning import warn
from .schedules import LearningRateSchedule
from .schedules import deserialize as schedule_of


class Optimizer:
    """Base of optimizers; subclasses define `slots` and `update(parameters, gradients, slots)`.

    Args:
        learning_rate: number, or a LearningRateSchedule.
        weight_decay: share of the learning rate by which every parameter shrinks at each step, apart from its
            gradient (Loshchilov & Hutter 2019, arXiv:1711.05101); None for none.
        clipnorm: bound of each gradient's norm.
        clipvalue: bound of each gradient element.
        global_clipnorm: bound of the norm of all gradients together. At most one of the three.
        name: name in logs.

    Attributes:
        iterations: steps taken, an int64 variable.

    Example:
        >>> import lamina as lm
        >>> v = lm.Variable([1.0, 2.0])
        >>> lm.optimizers.SGD(0.5).apply_gradients([(lm.convert_to_tensor([1.0, 1.0]), v)])
        >>> v.numpy()
        array([0.5, 1.5], dtype=float32)
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self, learning_rate, weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None, *, name=None
    ):
        self.name = name or to_snake_case(type(self).__name__)
        given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        self._clipping = {key: self._positive(key, value) for key, value in given.items()}
        if sum(value is not None for value in given.values()) > 1:
            raise ValueError(f"[{self.name}] at most one kind of clipping may be set. Received: {given}.")
        self.weight_decay = self._positive("weight_decay", weight_decay) or None
        self.built = False
        self.iterations = Variable(0, dtype="int64", trainable=False, name="iterations")
        self._schedule = None
        self._rate = Variable(0.0, dtype="float32", trainable=False, name="learning_rate")
        with init_scope():  # an optimizer made by a step begins with this rate; replays find the one of the moment
            self.learning_rate = schedule_of(learning_rate) if isinstance(learning_rate, dict) else learning_rate
        self._excluded: list = []
        self._warned: set[int] = set()
        self._parameters: list[Variable] = []
        self._slots: dict[str, list[Variable]] = {name: [] for name in self.slots}
        self._row: dict[int, int] = {}
        self._groups: dict[tuple, tuple] = {}

    def __setattr__(self, name, value):
        if name == "_schedule" or (name[0] != "_" and name not in ("built", "learning_rate")):
            changes.note(self.__dict__.get(name), value)
        super().__setattr__(name, value)

    def _positive(self, key, value):
        if value is not None and (not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0):
            raise ValueError(f"[{self.name}] {key} is a number of at least 0. Received: {key}={value!r}.")
        return value

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
            done = 0 if capture is None else capture.since_first(self, int(self.iterations))
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
        return self._schedule(self.iterations + later if later else self.iterations)

    def _rates_ahead(self, n):
        """(learning rate's core, its values at the next n steps)."""
        first = int(self.iterations)
        steps = [Tensor(_core.scalar(first + i, "int64")) for i in range(n)]
        return self._rate._core, [float(self._schedule(step)) for step in steps]

    @property
    def variables(self):
        """Step counter, learning rate, then each slot of every parameter."""
        slots = [row[i] for i in range(len(self._parameters)) for row in self._slots.values()]
        return [self.iterations, self._rate, *slots]

    def build(self, variables):
        """Makes the slots of all parameters.

        Args:
            variables: list of Variables; those already known keep their slots.
        """
        for v in variables:
            if id(v) in self._row:
                continue
            self._row[id(v)] = len(self._parameters)
            self._parameters.append(v)
            for slot, row in self._slots.items():
                with init_scope():
                    zeros = Tensor(_core.full(v.shape, 0.0, v.dtype))
                made = Variable(zeros, trainable=False, name=f"{v.name}_{slot}")
                made.path = f"{self.name}/{v.path.replace('/', '_')}_{slot}"
                row.append(made)
        self._groups.clear()
        self.built = True

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Parameters that do not decay.

        Args:
            var_list: list of Variables.
            var_names: list of regular expressions, searched in the parameters' paths; `["bias"]` say.
        """
        self._excluded += [id(v) for v in var_list or []] + [re.compile(name) for name in var_names or []]
        self._groups.clear()
        changes.note(None, self._excluded)

    def _decays(self, variable):
        for rule in self._excluded:
            if rule == id(variable) or (isinstance(rule, re.Pattern) and rule.search(variable.path)):
                return False
        return True

    def apply_gradients(self, grads_and_vars):
        """One step.

        Args:
            grads_and_vars: pairs (gradient, Variable), `zip(gradients, model.trainable_variables)` say.
        """
        pairs = list(grads_and_vars) if hasattr(grads_and_vars, "__iter__") else [(grads_and_vars,)]
        for pair in pairs:
            if not isinstance(pair, (tuple, list)):
                pair = (pair,)
            if len(pair) != 2 or not isinstance(pair[1], Variable):
                raise TypeError(
                    f"[{self.name}] apply_gradients takes pairs (gradient, Variable). "
                    f"Received: {type(pair[-1]).__name__} in place of a Variable."
                )
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def apply(self, grads, trainable_variables=None):
        """One step.

        Args:
            grads: gradients, one for each variable; None where there is none.
            trainable_variables: their Variables; by default those of `build`.

        Raises:
            ValueError: if no variable has a gradient, or a gradient's shape is not its variable's.
        """
        variables = self._parameters if trainable_variables is None else trainable_variables
        if len(grads) != len(variables):
            raise ValueError(
                f"[{self.name}] needs one gradient for each variable. "
                f"Received: {len(grads)} gradients, {len(variables)} variables."
            )
        if any(g is None for g in grads):
            grads, variables = self._present(grads, variables)
        group = self._groups.get(key := tuple([id(v) for v in variables]))
        if group is None:
            if len(self._groups) >= _MAX_GROUPS:
                self._groups.clear()
            group = self._groups[key] = self._group(variables)
        parameters, slots, decay, constrained = group
        cores = [g._core if isinstance(g, Tensor) else convert_to_tensor(g, "float32")._core for g in grads]
        self._check(cores, parameters, variables)
        with labelled(self.name):
            self._follow_schedule()
            self.update(parameters, cores, slots, decay)
            for v in constrained:
                v.assign(v.constraint(v))

    def _present(self, grads, variables):
        """The pairs that have a gradient; those that have none are named once."""
        missing = [v for g, v in zip(grads, variables) if g is None]
        if len(missing) == len(variables):
            raise ValueError(
                f"[{self.name}] no variable has a gradient; expected at least one. Received: "
                f"{', '.join(v.path for v in missing) or 'no variables'}. "
                "Was the loss computed from them, inside the tape?"
            )
        new = [v for v in missing if id(v) not in self._warned]
        if new:
            self._warned.update(id(v) for v in new)
            warn(
                f"[{self.name}] variables without a gradient stay as they are: {', '.join(v.path for v in new)}. "
                "The loss does not depend on them."
            )
        kept = [(g, v) for g, v in zip(grads, variables) if g is not None]
        return [g for g, _ in kept], [v for _, v in kept]

    def _group(self, variables):
        """What a step over these variables needs, made once: cores, slots' cores, decays, and who has a constraint."""
        self.build(variables)
        rows = [self._row[id(v)] for v in variables]
        if len(set(rows)) != len(rows):
            raise ValueError(f"[{self.name}] a variable is given twice. Received: {[v.path for v in variables]}.")
        slots = [[row[i]._core for i in rows] for row in self._slots.values()]
        decay = [self.weight_decay if self._decays(v) else 0.0 for v in variables] if self.weight_decay else []
        return [v._core for v in variables], slots, decay, [v for v in variables if v.constraint is not None]

    def _check(self, gradients, parameters, variables):
        for i, (g, p) in enumerate(zip(gradients, parameters)):
            if g.shape != p.shape:
                raise ValueError(
                    f"[{self.name}] a gradient has its variable's shape. Received: gradient.shape={g.shape}, "
                    f"{variables[i].path}.shape={p.shape}."
                )
            if g.dtype != p.dtype:
                gradients[i] = _core.cast(g, p.dtype)

    def update(self, parameters, gradients, slots, weight_decay):
        """One step over core tensors, in place; adds 1 to `iterations`."""
        raise NotImplementedError(f"[{self.name}] an optimizer defines update. Received: none.")

    def _clip(self):
        return {key: value or 0.0 for key, value in self._clipping.items()}

    def get_config(self):
        """The constructor's arguments."""
        schedule = self._schedule
        rate = schedule.serialize() if isinstance(schedule, LearningRateSchedule) else float(self.learning_rate)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            **self._clipping,
        }

    @classmethod
    def from_config(cls, config):
        """The optimizer that `get_config` describes, without its state."""
        return cls(**config)

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key not in ("_row", "_groups")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        # A copy's parameters are other objects: what is keyed by identity is made anew.
        self._row = {id(v): i for i, v in enumerate(self._parameters)}
        self._groups = {}

    def __repr__(self):
        return f"<{type(self).__name__} learning_rate={float(self.learning_rate):g}, iterations={int(self.iterations)}>"


_MAX_GROUPS = 64  # sets of variables whose lists are kept ready
