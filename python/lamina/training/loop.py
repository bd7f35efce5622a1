"""The loops over epochs and batches. The data package is imported by the first of them."""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ..autograd import no_grad
from ..ops.arguments import integer
from ..tensor import Tensor
from . import checks
from .batches import class_weights, to_tensors
from .callbacks import CallbackList, History, as_list
from .progress import ProgressBar, resolve_verbose
from .replay import Runner, overrides


class Request(NamedTuple):
    """The arguments of `fit`."""

    x: Any
    y: Any
    batch_size: Any
    epochs: Any
    verbose: Any
    callbacks: Any
    validation_split: Any
    validation_data: Any
    shuffle: Any
    class_weight: Any
    sample_weight: Any
    initial_epoch: Any
    steps_per_epoch: Any
    validation_steps: Any
    validation_batch_size: Any
    validation_freq: Any


def fit(model, request):
    """See `Model.fit`."""
    from ..data.adapters import batches, is_arrays, train_validation_split

    x, y, weight, validation = request.x, request.y, request.sample_weight, request.validation_data
    class_weight = request.class_weight
    epochs = _count("epochs", request.epochs, 0)
    if request.validation_split and validation is None:
        (x, y, weight), validation = train_validation_split((x, y, weight), request.validation_split, "fit")
    if class_weight is not None and is_arrays(x):
        weight, class_weight = class_weights(y, class_weight, weight), None
    data = batches(
        x,
        y,
        weight,
        request.batch_size,
        bool(request.shuffle),
        epoch=integer("fit", "initial_epoch", request.initial_epoch),
        where="fit",
    )
    steps = _steps("steps_per_epoch", request.steps_per_epoch, data, "fit")
    if is_arrays(x):
        checks.check_targets(y, "fit")
    run = _Run(model, request.callbacks, request.verbose, "fit", epochs, steps, [History()])
    history = run.history
    validator = None
    if validation is not None:
        vx, vy, vw = _validation(validation)
        size = request.validation_batch_size or request.batch_size
        validator = batches(vx, vy, vw, size, where="fit.validation_data")
        if is_arrays(vx):
            checks.check_targets(vy, "fit.validation_data")
    stream = _Stream(data) if request.steps_per_epoch is not None else None
    runner = Runner(model, "train", "fit")
    runner.step.inspect = lambda y, y_pred: checks.check_outputs(model, y, y_pred)
    model.stop_training = False
    model._watch_loss(run.watches_loss)
    with run:
        run.call("on_train_begin", {})
        logs: dict[str, float] = {}
        for epoch in range(integer("fit", "initial_epoch", request.initial_epoch), epochs):
            run.call("on_epoch_begin", epoch, {})
            source = None if stream is None else stream.take(steps)
            logs = _train_epoch(model, runner, data, epoch, source, class_weight, run)
            if validator is not None and _is_due(request.validation_freq, epoch):
                results = _evaluate(model, validator, request.validation_steps, run)
                logs |= {f"val_{name}": value for name, value in results.items()}
            if not run.watches_loss:
                checks.check_loss(model, epoch, logs)
            run.call("on_epoch_end", epoch, logs)
            if model._must_stop():
                break
        if model.optimizer is not None and model.optimizer.built:
            model.optimizer.finalize_variable_values(model.trainable_variables)
        run.call("on_train_end", logs)
    return history


def _train_epoch(model, runner, data, epoch, stream, class_weight, run):
    """One epoch; returns its logs."""
    model.reset_metrics()
    model.__dict__["_parts"] = None
    own_step = overrides(model, "train_step")

    def step_of(step, batch):
        x, y, weight = batch
        if class_weight is not None:
            weight = class_weights(y, class_weight, weight)
        if step == 0:
            checks.check_inputs(model, x)
        result = runner(x, y, weight)
        return _logs(result, "train_step") if own_step else result

    steps, logs = _each_step(model, runner, data, epoch, stream, step_of, "train", run, own_step)
    if not steps:
        raise ValueError("[fit] the data gave no batch; expected at least one. Received: 0 batches.")
    return _floats(_logs(logs, "train_step")) if own_step else model.metric_values()


def _each_step(model, runner, data, epoch, source, step_of, what, run, own_step):
    """Runs an epoch's steps, many in one call where nobody must see each; returns (steps, the last one's result).

    Args:
        data: where batches come from.
        source: batches that are ready, or None for those of `data` in this epoch.
        step_of: function of (number, batch) that runs one step.
        what: "train" or "test".
        own_step: whether the step's results are its logs.
    """
    hooks = f"on_{what}_batch_begin", f"on_{what}_batch_end"
    reads_logs, result, step = run.reads_logs(hooks[1]), None, -1
    if source is None and data.columns is not None and not run.wants_steps(what):
        order, step, full = data.order(epoch), 0, data.num_samples // data.batch_size
        while step < data.steps and not (what == "train" and step and model._must_stop()):
            rows = runner.rows(data) if 0 < step < full else None
            if rows is not None:
                step, result = rows.run(order, step, lambda steps: run.advance(what, steps))
                continue
            result = step_of(step, data.batch(order, step))
            run.advance(what, 1)
            step += 1
        return step, result
    begin, end = map(run.wants, hooks)
    for step, batch in enumerate(data.iterate(epoch) if source is None else source):
        if begin:
            run.call(hooks[0], step, {})
        result = step_of(step, batch)
        if end:
            logs = {} if not reads_logs else _floats(result) if own_step else model.metric_values()
            run.call(hooks[1], step, logs)
        if what == "train" and model._must_stop():
            break
    return step + 1, result


def _evaluate(model, data, steps, run):
    """The results over a data set."""
    model.reset_metrics()
    model.__dict__["_parts"] = None
    own_step = overrides(model, "test_step")
    runner = Runner(model, "test", "evaluate")
    run.call("on_test_begin", {})
    source = None if steps is None or steps == data.steps else islice(data.iterate(0), steps)

    def step_of(step, batch):
        result = runner(*batch)
        return _logs(result, "test_step") if own_step else result

    _, logs = _each_step(model, runner, data, 0, source, step_of, "test", run, own_step)
    logs = _floats(_logs(logs, "test_step")) if own_step else model.metric_values()
    run.call("on_test_end", logs)
    return logs


def evaluate(model, x, y, batch_size, verbose, sample_weight, steps, callbacks):
    """See `Model.evaluate`."""
    from ..data.adapters import batches, is_arrays

    data = batches(x, y, sample_weight, batch_size, where="evaluate")
    limit = _steps("steps", steps, data, "evaluate")
    if is_arrays(x):
        checks.check_targets(y, "evaluate")
    with _Run(model, callbacks, verbose, "evaluate", 1, limit) as run:
        return _evaluate(model, data, limit, run)


def predict(model, x, batch_size, verbose, steps, callbacks):
    """See `Model.predict`."""
    from ..data.adapters import batches
    from .trainer import concatenate

    data = batches(x, None, None, batch_size, where="predict")
    limit = _steps("steps", steps, data, "predict")
    outputs, runner = [], Runner(model, "predict", "predict")
    with _Run(model, callbacks, verbose, "predict", 1, limit) as run, no_grad():
        run.call("on_predict_begin", {})
        for step, (inputs, _, _) in enumerate(data):
            if limit is not None and step >= limit:
                break
            run.call("on_predict_batch_begin", step, {})
            y = to_numpy(runner(inputs))
            outputs.append(y)
            run.call("on_predict_batch_end", step, {"outputs": y})
        run.call("on_predict_end", {})
    return concatenate(outputs)


def one_batch(model, x, y, sample_weight, class_weight=None):
    """A batch given by the user, checked and as tensors."""
    from ..data.adapters import batches

    if np.ndim(x) == 0 and not isinstance(x, (tuple, list, dict)):
        raise TypeError(f"[train_on_batch] needs inputs of shape [batch, ...]. Received: {type(x).__name__}.")
    rows = len(np.asarray(x)) if not isinstance(x, (tuple, list, dict)) else None
    source = batches(x, y, sample_weight, batch_size=rows or _MAX_ROWS, where="train_on_batch")
    x, y, weight = next(iter(source))
    return (
        to_tensors(x, model.dtype),
        to_tensors(y),
        to_tensors(class_weights(y, class_weight, weight)),
    )


_MAX_ROWS = 2**62


def to_numpy(tree):
    """Outputs as NumPy arrays of their own."""
    if isinstance(tree, Tensor):
        return np.array(tree.numpy())
    if isinstance(tree, (list, tuple)):
        return type(tree)([to_numpy(part) for part in tree])
    if isinstance(tree, dict):
        return {key: to_numpy(part) for key, part in tree.items()}
    return np.asarray(tree)


class _Run:
    """Callbacks and progress of one call of fit, evaluate or predict; closes the bar whatever happens."""

    def __init__(self, model, callbacks, verbose, where, epochs, steps, own=()):
        verbose = resolve_verbose(verbose, where)
        given = as_list(callbacks)
        self.history = next((c for c in given if isinstance(c, History)), own[0] if own else None)
        first = [c for c in own if not (isinstance(c, History) and c is not self.history)]
        self._bar = ProgressBar(verbose, model.metric_values) if verbose else None
        everything = [*first, *([self._bar] if self._bar else []), *given]
        params = {"epochs": epochs, "steps": steps, "verbose": verbose}
        self._list = CallbackList(dict.fromkeys(everything), model, params)
        self.call, self.wants, self.reads_logs = self._list.call, self._list.wants, self._list.reads_logs
        self.watches_loss = any(getattr(c, "watches_loss", False) for c in everything)
        self.wants_steps, self.advance = self._list.wants_steps, self._list.advance

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self._bar is not None:
            self._bar.close()


def _logs(logs, where):
    if not isinstance(logs, dict):
        raise TypeError(f"[{where}] returns a dict of results. Received: {type(logs).__name__}.")
    return logs


def _floats(logs):
    return {name: float(value) for name, value in logs.items()}


def _count(name, value, minimum):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"[fit] {name} is an integer of at least {minimum}. Received: {name}={value!r}.")
    return int(value)


def _steps(name, steps, data, where):
    if steps is not None:
        return _count(name, steps, 1)
    if data.infinite:
        raise ValueError(f"[{where}] endless data need {name}. Received: {name}=None.")
    return data.steps


class _Stream:
    """Batches that go on in the next epoch where the last one stopped, and begin anew when they end."""

    def __init__(self, data):
        self._data, self._source = data, iter(data)

    def take(self, steps):
        """The next `steps` batches."""
        for _ in range(steps):
            batch = next(self._source, None)
            if batch is None:
                self._source = iter(self._data)
                batch = next(self._source)
            yield batch


def _validation(data):
    if isinstance(data, (tuple, list)):
        if not 2 <= len(data) <= 3:
            raise ValueError(f"[fit] validation_data is (x, y) or (x, y, sample_weight). Received: {len(data)} parts.")
        return (*data, None)[:3]
    return data, None, None


def _is_due(frequency, epoch):
    if not isinstance(frequency, (list, tuple)) and integer("fit", "validation_freq", frequency) < 1:
        raise ValueError(f"[fit] validation_freq must be at least 1. Received: validation_freq={frequency}.")
    return epoch + 1 in frequency if isinstance(frequency, (list, tuple)) else (epoch + 1) % frequency == 0
