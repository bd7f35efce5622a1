"""What `compile` sets up: losses and metrics, joined to a model's outputs at the first batch."""

from __future__ import annotations

from .. import losses as loss_module
from .. import metrics as metric_module
from ..metrics.registry import ACCURACY, accuracy_for
from ..tensor import Tensor


def parts(tree):
    """A model's outputs (or targets, or weights) as {key: tensor}: one tensor has the key None, tuples count."""
    if tree is None:
        return {}
    if isinstance(tree, dict):
        return dict(tree)
    if isinstance(tree, (list, tuple)):
        return dict(enumerate(tree))
    return {None: tree}


class Head:
    """One output: its loss, the loss's weight, and its metrics."""

    __slots__ = ("key", "loss", "weight", "metrics", "weighted_metrics", "tracker")

    def __init__(self, key, loss, weight, metrics, weighted_metrics, tracker):
        self.key, self.loss, self.weight = key, loss, weight
        self.metrics, self.weighted_metrics, self.tracker = metrics, weighted_metrics, tracker

    @property
    def all_metrics(self):
        return [*([self.tracker] if self.tracker else []), *self.metrics, *self.weighted_metrics]


class Compiled:
    """Losses and metrics of a model.

    Args:
        loss: name, Loss or function; for several outputs one for all, or a list or dict of them.
        loss_weights: number, or list or dict of numbers, like `loss`.
        metrics: list of names, Metrics or functions; for several outputs a list or dict of such lists.
        weighted_metrics: the same, given the sample weights too.
    """

    def __init__(self, loss=None, loss_weights=None, metrics=None, weighted_metrics=None):
        self.loss = _map(loss_module.get, loss)
        self.loss_weights = loss_weights
        self.metrics = _map(_resolve, metrics)
        self.weighted_metrics = _map(_resolve, weighted_metrics)
        self.tracker = metric_module.Mean(name="loss")
        self.heads: list[Head] | None = None

    @property
    def all_metrics(self):
        """Every metric, the loss first."""
        return [self.tracker, *(m for head in self.heads or () for m in head.all_metrics)]

    def reset(self):
        """Sets every metric back."""
        for metric in self.all_metrics:
            metric.reset_state()

    def bind(self, y, y_pred):
        """Decides which loss and metrics belong to which output, by the structure and shapes of a batch."""
        outputs, targets = parts(y_pred), parts(y)
        several = len(outputs) > 1
        if targets and (len(targets) != len(outputs) or set(targets) != set(outputs)):
            if len(targets) != len(outputs):
                raise ValueError(
                    f"[fit] needs one target for each output. Received: {len(targets)} targets, {len(outputs)} outputs."
                )
            raise ValueError(f"[fit] targets and outputs have other keys. Received: {list(targets)}, {list(outputs)}.")
        heads = []
        for position, key in enumerate(outputs):
            loss = _pick("loss", self.loss, key, position, outputs)
            weight = _pick("loss_weights", self.loss_weights, key, position, outputs)
            prefix = f"{key if isinstance(key, str) else f'output_{position}'}_" if several else ""
            target, output = targets.get(key), outputs[key]
            made = []
            for spec in (self.metrics, self.weighted_metrics):
                chosen = _metrics_of(spec, key, position, several)
                made.append([_made(m, prefix, loss, target, output) for m in chosen if target is not None])
            taken = {m.name for m in made[0]}
            for m in made[1]:
                if m.name in taken:
                    m.name = f"weighted_{m.name}"
            tracker = metric_module.Mean(name=f"{prefix}loss") if several and loss is not None else None
            heads.append(Head(key, loss, 1.0 if weight is None else float(weight), *made, tracker))
        self.heads = heads

    def compute_loss(self, y, y_pred, sample_weight=None):
        """The weighted sum of all outputs' losses, a scalar; None where there is no loss."""
        if self.heads is None:
            self.bind(y, y_pred)
        if isinstance(y_pred, Tensor):
            head = self.heads[0]
            if head.loss is None or y is None:
                return None
            value = head.loss(y, y_pred, sample_weight)
            return value if head.weight == 1.0 else value * head.weight
        outputs, targets, total = parts(y_pred), parts(y), None
        weights = parts(sample_weight)
        for head in self.heads:
            if head.loss is None or head.key not in targets:
                continue
            weight = weights.get(head.key, weights.get(None))
            value = head.loss(targets[head.key], outputs[head.key], weight)
            if head.tracker is not None:
                head.tracker.update_state(value.detach(), len(outputs[head.key]))
            value = value if head.weight == 1.0 else value * head.weight
            total = value if total is None else total + value
        return total

    def update_metrics(self, y, y_pred, sample_weight=None):
        """Adds a batch to every metric but the loss."""
        if self.heads is None:
            self.bind(y, y_pred)
        outputs, targets, weights = parts(y_pred), parts(y), parts(sample_weight)
        for head in self.heads:
            if head.key not in targets:
                continue
            for metric in head.metrics:
                metric.update_state(targets[head.key], outputs[head.key])
            for metric in head.weighted_metrics:
                weight = weights.get(head.key, weights.get(None))
                metric.update_state(targets[head.key], outputs[head.key], weight)

    def results(self):
        """{name: float} of every metric, the loss first."""
        return {metric.name: float(metric.result()) for metric in self.all_metrics}


def _resolve(metric):
    """Names are checked here, and stay the metric's name; "accuracy" waits for the shapes."""
    if not isinstance(metric, str) or metric in ACCURACY:
        return metric if isinstance(metric, str) else metric_module.get(metric)
    made = metric_module.get(metric)
    made.name = metric
    return made


def _made(metric, prefix, loss, y, y_pred):
    if isinstance(metric, str):
        return accuracy_for(prefix + metric, loss, y, y_pred)
    if prefix and not metric.name.startswith(prefix):
        metric.name = prefix + metric.name
    return metric


def _map(f, tree):
    if isinstance(tree, (list, tuple)):
        return [_map(f, part) for part in tree]
    if isinstance(tree, dict) and "class_name" not in tree:
        return {key: _map(f, part) for key, part in tree.items()}
    return None if tree is None else f(tree)


def _pick(what, spec, key, position, outputs):
    """The part of a compile argument that belongs to one output."""
    if isinstance(spec, dict):
        unknown = [k for k in spec if k not in outputs]
        if unknown:
            raise ValueError(f"[compile] {what} names no output. Received: {unknown}, outputs: {list(outputs)}.")
        return spec.get(key)
    if isinstance(spec, list):
        if len(spec) != len(outputs):
            raise ValueError(
                f"[compile] {what} needs one entry for each output. Received: {len(spec)} for {len(outputs)} outputs."
            )
        return spec[position]
    return spec


def _metrics_of(spec, key, position, several):
    if spec is None:
        return []
    if isinstance(spec, dict):
        spec = spec.get(key, [])
    elif isinstance(spec, list) and several and any(isinstance(part, list) for part in spec):
        spec = spec[position]
    elif isinstance(spec, list) and not several and len(spec) == 1 and isinstance(spec[0], list):
        spec = spec[0]
    return spec if isinstance(spec, list) else [] if spec is None else [spec]
