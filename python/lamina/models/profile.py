"""`Model.profile`: captures one step of a model, times its launches, and leaves the model as it was."""

from __future__ import annotations

import contextlib

import numpy as np

from .. import _core, random_state
from ..data.adapters import batches
from ..data.nested import leaves
from ..function import Function
from ..layers import tracking
from ..metrics.metric import Metric
from ..plan.profile import Profile, checked_repeats
from ..signature import Signature
from ..training.batches import to_tensors
from ..training.replay import StepFunction

_WHERE = "profile"


def profile(model, x, y=None, sample_weight=None, repeats=20):
    """See `Model.profile`."""
    model._require_built(_WHERE)
    checked_repeats(repeats)
    training = y is not None
    if training:
        model._require_compiled(_WHERE, training=True)
        if model.optimizer is not None:
            model.optimizer.build(model.trainable_variables)
    signature = Signature(_batch(x, y, sample_weight), {})
    step = StepFunction(model, "train" if training else "predict")
    with _unchanged(model):
        plan = _captured(step, signature)
        seconds = plan._core.profile(signature.cores, repeats)
    rows = signature.cores[0].shape[0]
    title = f'Profile of "{model.name}": {"training step" if training else "inference"}, batch of {rows}'
    return Profile(plan, seconds, title, f"{model.name}/")


def _batch(x, y, sample_weight):
    """The arguments as one batch of tensors, checked like those of `fit`."""
    if np.ndim(x) == 0 and not isinstance(x, (tuple, list, dict)):
        raise TypeError(f"[{_WHERE}] needs inputs of shape [batch, ...]. Received: x of type {type(x).__name__}.")
    rows = max([1, *(np.shape(leaf)[0] for leaf in leaves(x) if np.ndim(leaf))])
    data = batches(x, y, sample_weight, batch_size=rows, where=_WHERE)
    batch = [to_tensors(part) for part in next(iter(data))]
    while batch[-1] is None:
        batch.pop()
    return tuple(batch)


def _captured(step, signature):
    """The plan of a step on arguments like these."""
    function = Function(step)
    try:
        function._capture(signature)
    except ValueError as error:
        shapes = ", ".join(str(core.shape) for core in signature.cores)
        raise ValueError(f"[{_WHERE}] the step failed on these data. Received: shapes {shapes}. {error}") from error
    return function.plans[0]


@contextlib.contextmanager
def _unchanged(model):
    """Puts everything that a step writes back to what it was: weights, slots, metrics, random states, penalties."""
    compiled = model._compiled
    bound = compiled is not None and compiled.heads is not None
    before = [(v, _core.copy(v._core)) for v in _variables(model)]
    penalties = [(layer, list(layer._losses)) for layer in tracking.walk(model)]
    model.__dict__["_parts"] = None
    try:
        yield
    finally:
        for v, value in before:
            _core.assign(v._core, value)
        for layer, losses in penalties:
            layer._losses[:] = losses
        model.__dict__["_parts"] = None
        if compiled is not None and not bound:
            compiled.heads = None


def _variables(model):
    """All variables that a step may write."""
    found = [*tracking.weights_of(model), *(g.state for g in tracking.generators_of(model))]
    if model.optimizer is not None:
        found += model.optimizer.variables
    metrics = list(model.metrics)
    if model._compiled is not None:
        metrics += _metrics_in([model._compiled.metrics, model._compiled.weighted_metrics])
    found += [v for metric in metrics for v in metric.variables]
    found.append(random_state.generator_of(None).state)
    return list({id(v): v for v in found}.values())


def _metrics_in(tree):
    if isinstance(tree, Metric):
        return [tree]
    if isinstance(tree, (list, tuple, dict)):
        return [m for part in (tree.values() if isinstance(tree, dict) else tree) for m in _metrics_in(part)]
    return []
