"""The loops over epochs and batches. The data package is imported by the first of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd import no_grad
from ..ops.arguments import integer
from ..tensor import Tensor
from . import checks
from .batches import class_weights, to_tensors
from .callbacks import CallbackList, History, as_list
from .progress import ProgressBar, resolve_verbose


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
    epochs = _count("epochs", request.epochs, 0)
    if request.validation_split and validation is None:
        (x, y, weight), validation = train_validation_split((x, y, weight), request.validation_split, "fit")
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
    model.stop_training = False
    with run:
        run.call("on_train_begin", {})
        logs: dict[str, float] = {}
        for epoch in range(integer("fit", "initial_epoch", request.initial_epoch), epochs):
            run.call("on_epoch_begin", epoch, {})
            source = data.iterate(epoch) if stream is None else stream.take(steps)
            logs = _train_epoch(model, source, request.class_weight, run)
            if validator is not None and _is_due(request.validation_freq, epoch):
                results = _evaluate(model, validator.iterate(0), request.validation_steps, run)
                logs |= {f"val_{name}": value for name, value in results.items()}
            checks.check_loss(model, epoch, logs)
            run.call("on_epoch_end", epoch, logs)
            if model.stop_training:
                break
        run.call("on_train_end", logs)
    return history


def _train_epoch(model, source, class_weight, run):
    """One epoch; returns its logs."""
    from .trainer import Trainer

    model.reset_metrics()
    model.__dict__["_parts"] = None
    own_step = type(model).train_step is not Trainer.train_step
    begin, end = run.wants("on_train_batch_begin"), run.wants("on_train_batch_end")
    reads_logs = run.reads_logs("on_train_batch_end")
    dtype, logs, step = model.dtype, None, -1
    for step, (x, y, weight) in enumerate(source):
        if class_weight is not None:
            weight = class_weights(y, class_weight, weight)
        if step == 0:
            checks.check_inputs(model, x)
        if begin:
            run.call("on_train_batch_begin", step, {})
        x, y, weight = to_tensors(x, dtype), to_tensors(y), to_tensors(weight)
        if own_step:
            logs = _floats(model.train_step(_given(x, y, weight)), "train_step")
        else:
            y_pred = model._learn(x, y, weight)
            if step == 0 and y is not None:
                checks.check_outputs(model, y, y_pred)
        if end:
            batch_logs = (logs if own_step else model.get_metrics_result()) if reads_logs else {}
            run.call("on_train_batch_end", step, batch_logs)
    if step < 0:
        raise ValueError("[fit] the data gave no batch; expected at least one. Received: 0 batches.")
    return dict(logs) if own_step else model.get_metrics_result()


def _evaluate(model, source, steps, run):
    """The results over a data set."""
    from .trainer import Trainer

    model.reset_metrics()
    own_step = type(model).test_step is not Trainer.test_step
    reads_logs = run.reads_logs("on_test_batch_end")
    logs, step = {}, -1
    run.call("on_test_begin", {})
    for step, (x, y, weight) in enumerate(source):
        if steps is not None and step >= steps:
            break
        run.call("on_test_batch_begin", step, {})
        x, y, weight = to_tensors(x, model.dtype), to_tensors(y), to_tensors(weight)
        if own_step:
            with no_grad():
                logs = _floats(model.test_step(_given(x, y, weight)), "test_step")
        else:
            model._judge(x, y, weight)
        run.call("on_test_batch_end", step, model.get_metrics_result() if reads_logs and not own_step else logs)
    logs = logs if own_step else model.get_metrics_result()
    run.call("on_test_end", logs)
    return dict(logs)


def evaluate(model, x, y, batch_size, verbose, sample_weight, steps, callbacks):
    """See `Model.evaluate`."""
    from ..data.adapters import batches, is_arrays

    data = batches(x, y, sample_weight, batch_size, where="evaluate")
    limit = _steps("steps", steps, data, "evaluate")
    if is_arrays(x):
        checks.check_targets(y, "evaluate")
    model.__dict__["_parts"] = None
    with _Run(model, callbacks, verbose, "evaluate", 1, limit) as run:
        return _evaluate(model, iter(data), limit, run)


def predict(model, x, batch_size, verbose, steps, callbacks):
    """See `Model.predict`."""
    from ..data.adapters import batches
    from .trainer import concatenate

    data = batches(x, None, None, batch_size, where="predict")
    limit = _steps("steps", steps, data, "predict")
    outputs = []
    with _Run(model, callbacks, verbose, "predict", 1, limit) as run, no_grad():
        run.call("on_predict_begin", {})
        for step, (inputs, _, _) in enumerate(data):
            if limit is not None and step >= limit:
                break
            run.call("on_predict_batch_begin", step, {})
            y = to_numpy(model.predict_step((to_tensors(inputs, model.dtype), None, None)))
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
        self._bar = ProgressBar(verbose, lambda: model.get_metrics_result()) if verbose else None
        everything = [*first, *([self._bar] if self._bar else []), *given]
        params = {"epochs": epochs, "steps": steps, "verbose": verbose}
        self._list = CallbackList(dict.fromkeys(everything), model, params)
        self.call, self.wants, self.reads_logs = self._list.call, self._list.wants, self._list.reads_logs

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self._bar is not None:
            self._bar.close()


def _given(x, y, weight):
    return (x, y, weight) if weight is not None else (x, y) if y is not None else (x,)


def _floats(logs, where):
    if not isinstance(logs, dict):
        raise TypeError(f"[{where}] returns a dict of results. Received: {type(logs).__name__}.")
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
