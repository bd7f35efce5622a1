"""What all optimizers share: the learning rate, the step counter, slots, clipping, decay, averages, accumulation.

A step is one launch over all parameters, which also counts it; cpp/ops/optimizer.h has the rules' formulas.
"""

from __future__ import annotations

import re
from operator import is_
from typing import NamedTuple

from .. import _core, ops
from ..capture import labelled
from ..tensor import Tensor, Variable
from ..thread_state import changes, init_scope
from ..utils.naming import to_snake_case
from .arguments import count, number, optional
from .gradients import cores_of, fitted, pairs_of, present, rows_of
from .rate import Rate
from .schedules import LearningRateSchedule
from .schedules import deserialize as schedule_of


class _Group(NamedTuple):
    """What a step over some variables needs, made once.

    Of the variables: cores, slots and decays, those with a constraint, whether some may be stepped row by row; and
    the rule's group of them.
    """

    variables: tuple
    parameters: list
    slots: list
    decay: list
    constrained: list
    by_row: bool
    core: _core.ParameterGroup | None


class Optimizer(Rate):
    """Base of optimizers; subclasses define `slots` and the core's `rule`, or `update` of their own.

    Args:
        learning_rate: number, or a LearningRateSchedule.
        weight_decay: share of the learning rate by which every parameter shrinks at each step, apart from its
            gradient (Loshchilov & Hutter 2019, arXiv:1711.05101); None for none.
        clipnorm: bound of each gradient's norm.
        clipvalue: bound of each gradient element.
        global_clipnorm: bound of the norm of all gradients together. At most one of the three.
        use_ema: keep a moving average of every parameter, `ema_momentum average + (1 - ema_momentum) parameter`
            after each step (Polyak & Juditsky 1992).
        ema_momentum: share of the average that stays, from 0 to 1.
        ema_overwrite_frequency: steps after which the averages become the parameters, again and again; None for
            once, at the end of `fit` or by `finalize_variable_values`.
        loss_scale_factor: what `scale_loss` multiplies the loss by; gradients are divided by it.
        gradient_accumulation_steps: gradients whose mean makes one step; None for one. Schedules count gradients,
            `iterations` counts steps.
        name: name in logs.

    The gradient of a matrix that is only looked up row by row (see Embedding) is kept as rows. A rule that a gradient
    of 0 leaves at rest, SGD's without momentum or Adagrad's without weight decay, then steps on the rows of the
    batch alone, with the result of a step on all; any other rule does where the variable has `sparse_gradient`.
    `use_ema` and `gradient_accumulation_steps` always step on all rows.

    Attributes:
        iterations: steps taken, int64: a variable where gradients do not accumulate.

    Example:
        >>> import lamina as lm
        >>> v = lm.Variable([1.0, 2.0])
        >>> lm.optimizers.SGD(0.5).apply_gradients([(lm.convert_to_tensor([1.0, 1.0]), v)])
        >>> v.numpy()
        array([0.5, 1.5], dtype=float32)
    """

    rule = ""  # of cpp/ops/optimizer_rules.cc
    slots: tuple = ()  # names; those in a tuple alternate in `variables`, as Keras lists them
    settings: tuple[str, ...] = ()  # attributes that the rule reads

    def __init__(
        self,
        learning_rate,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
    ):
        self.name = name = name or to_snake_case(type(self).__name__)
        given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(value is not None for value in given.values()) > 1:
            raise ValueError(f"[{self.name}] at most one kind of clipping may be set. Received: {given}.")
        self.clipnorm = optional(name, "clipnorm", clipnorm)
        self.clipvalue = optional(name, "clipvalue", clipvalue)
        self.global_clipnorm = optional(name, "global_clipnorm", global_clipnorm)
        self.weight_decay = optional(name, "weight_decay", weight_decay) or None
        self.use_ema = bool(use_ema)
        self.ema_momentum = number(name, "ema_momentum", ema_momentum, 0, 1)
        self.ema_overwrite_frequency = count(name, "ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.loss_scale_factor = optional(name, "loss_scale_factor", loss_scale_factor) or None
        steps = count(name, "gradient_accumulation_steps", gradient_accumulation_steps, 2)
        self.gradient_accumulation_steps = steps
        if not self.rule and (self.use_ema or steps or self.loss_scale_factor):
            raise ValueError(
                f"[{self.name}] an optimizer with its own update averages, accumulates and scales by itself. "
                f"Received: use_ema={use_ema}, gradient_accumulation_steps={steps}, "
                f"loss_scale_factor={loss_scale_factor}."
            )
        self.built = False
        self._iterations = self._made(Variable(0, dtype="int64", trainable=False, name="iteration"))
        self._schedule = None
        self._rate = self._made(Variable(0.0, dtype="float32", trainable=False, name="learning_rate"))
        with init_scope():  # an optimizer made by a step begins with this rate; replays find the one of the moment
            self.learning_rate = schedule_of(learning_rate) if isinstance(learning_rate, dict) else learning_rate
        self._excluded: list = []
        self._warned: set[int] = set()
        self._parameters: list[Variable] = []
        groups = [(names,) if isinstance(names, str) else names for names in self.slots]
        if steps:
            groups.insert(0, ("gradient_accumulator",))
        if self.use_ema:
            groups.insert(0, ("average",))
        self._slot_groups = groups
        self._slots: dict[str, list[Variable]] = {name: [] for names in groups for name in names}
        self._state: list[Variable] = []  # of the rule as a whole
        self._row: dict[int, int] = {}
        self._forget_groups()

    def _made(self, variable, path=None):
        variable.path = f"{self.name}/{path or variable.name}"
        return variable

    def __setattr__(self, name, value):
        if name == "_schedule" or (name[0] != "_" and name not in ("built", "learning_rate")):
            changes.note(self.__dict__.get(name), value)
            self._forget_groups()  # the settings are in them
        super().__setattr__(name, value)

    @property
    def iterations(self):
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    @property
    def variables(self):
        """Step counter, learning rate, then averages, accumulators and each slot of every parameter, as in Keras."""
        rows = range(len(self._parameters))
        slots = [self._slots[name][i] for names in self._slot_groups for i in rows for name in names]
        return [self._iterations, self._rate, *slots, *self._state]

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
                    own = slot != "gradient_accumulator"
                    shape, value = self._start(slot, v) if own else (v.shape, 0.0)
                    start = v if slot == "average" else Tensor(_core.full(shape, value, v.dtype))
                    made = Variable(start, trainable=False, name=f"{v.name}_{slot}")
                row.append(self._made(made, f"{v.path.replace('/', '_')}_{slot}"))
        self._forget_groups()
        self.built = True

    def _start(self, slot, variable):
        """(shape, value) that a slot begins with."""
        return variable.shape, 0.0

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Parameters that do not decay.

        Args:
            var_list: list of Variables.
            var_names: list of regular expressions, searched in the parameters' paths; `["bias"]` say.
        """
        self._excluded += [id(v) for v in var_list or []] + [re.compile(name) for name in var_names or []]
        self._forget_groups()
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
        pairs = pairs_of(self.name, grads_and_vars)
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
        group, rows = self._group(variables), {}
        if group.by_row:
            grads, variables = present(self.name, grads, variables, self._warned)
            rows = rows_of(grads, variables, self._steps_by_row)
            grads = [Tensor(rows[i].rows) if i in rows else g for i, g in enumerate(grads)]
        cores, variables = cores_of(self.name, grads, variables, self._warned)
        if len(variables) != len(group.variables):
            group = self._group(variables)
        if rows or group.core is None or _core.first_unlike(group.core, cores) >= 0:
            cores = fitted(self.name, cores, variables, rows)
        with labelled(self.name):
            self._follow_schedule()
            if self.rule:
                ids = [rows[i].ids if i in rows else None for i in range(len(cores))] if rows else []
                _core.optimizer_step(group.core, cores, ids)
            else:
                self.update(group.parameters, cores, group.slots, group.decay)
            for v in group.constrained:
                v.assign(v.constraint(v))

    def _forget_groups(self):
        self._groups: dict[tuple, _Group] = {}
        self._last: _Group | None = None  # most steps are over the variables of the step before

    def _group(self, variables):
        group = self._last
        if group is not None and len(variables) == len(group.variables) and all(map(is_, variables, group.variables)):
            return group
        group = self._groups.get(key := tuple(map(id, variables)))
        if group is None:
            if len(self._groups) >= _MAX_GROUPS:
                self._groups.clear()
            group = self._groups[key] = self._make_group(variables)
        self._last = group
        return group

    def _make_group(self, variables):
        self.build(variables)
        rows = [self._row[id(v)] for v in variables]
        if len(set(rows)) != len(rows):
            raise ValueError(f"[{self.name}] a variable is given twice. Received: {[v.path for v in variables]}.")
        cores = {name: [row[i]._core for i in rows] for name, row in self._slots.items()}
        accumulators, averages = cores.pop("gradient_accumulator", []), cores.pop("average", [])
        decay = [self.weight_decay if self._decays(v) else 0.0 for v in variables] if self.weight_decay else []
        constrained = [v for v in variables if v.constraint is not None]
        parameters, slots = [v._core for v in variables], self._ordered(cores)
        core = self._core_group(parameters, slots, decay, accumulators, averages) if self.rule else None
        by_row = self.rule and not self.use_ema and not self.gradient_accumulation_steps
        by_row = by_row and (self._rests_at_zero() or any(v.sparse_gradient for v in variables))
        return _Group(tuple(variables), parameters, slots, decay, constrained, bool(by_row), core)

    def _ordered(self, slots):
        """The lists of slots as the rule takes them."""
        return list(slots.values())

    def _steps_by_row(self, gradient, variable):
        exact = self._rests_at_zero() and not (self.weight_decay and self._decays(variable))
        return variable.sparse_gradient or (exact and gradient.ids.size < variable.shape[0])

    def _rests_at_zero(self):
        """Whether a gradient of 0 leaves a parameter and its slots as they are."""
        return False

    def _core_group(self, parameters, slots, decay, accumulators, averages):
        settings = {name: getattr(self, name) for name in (*self.settings, *_SHARED)}
        return _core.parameter_group(
            self.rule,
            parameters,
            slots,
            self._rate._core,
            self._iterations._core,
            {name: float(value) for name, value in settings.items() if value is not None},
            decay,
            accumulators,
            averages,
            [v._core for v in self._state],
        )

    def update(self, parameters, gradients, slots, weight_decay):
        """One step over core tensors, in place; adds 1 to `iterations`. For optimizers without a `rule`."""
        raise NotImplementedError(f"[{self.name}] an optimizer defines rule or update. Received: neither.")

    def scale_loss(self, loss):
        """The loss times `loss_scale_factor`: what gradients are taken of."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def finalize_variable_values(self, var_list):
        """Writes the averages into their parameters, where `use_ema` keeps some; `fit` does so at its end.

        Args:
            var_list: list of Variables.

        Raises:
            ValueError: for a variable that the optimizer does not know.
        """
        if "average" not in self._slots:
            return
        unknown = [v.path for v in var_list if id(v) not in self._row]
        if unknown:
            raise ValueError(f"[{self.name}] keeps no average of these variables. Received: {', '.join(unknown)}.")
        for v in var_list:
            v.assign(self._slots["average"][self._row[id(v)]])

    def get_config(self):
        """The constructor's arguments."""
        schedule = self._schedule
        rate = schedule.serialize() if isinstance(schedule, LearningRateSchedule) else float(self.learning_rate)
        shared = {"name": self.name, "learning_rate": rate, "weight_decay": self.weight_decay, "use_ema": self.use_ema}
        return shared | {name: getattr(self, name) for name in (*_SHARED, *self.settings)}

    @classmethod
    def from_config(cls, config):
        """The optimizer that `get_config` describes, without its state."""
        return cls(**config)

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key not in ("_row", "_groups", "_last")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        # A copy's parameters are other objects: what is keyed by identity is made anew.
        self._row = {id(v): i for i, v in enumerate(self._parameters)}
        self._forget_groups()

    def __repr__(self):
        return f"<{type(self).__name__} learning_rate={float(self.learning_rate):g}, iterations={int(self.iterations)}>"


_MAX_GROUPS = 64  # sets of variables whose lists are kept ready
_SHARED = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
